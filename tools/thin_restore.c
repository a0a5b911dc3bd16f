/* SPDX-License-Identifier: GPL-2.0-or-later */
/* thin_restore: a pool's metadata from XML. */
#include <errno.h>
#include <pdata/thin.h>
#include "tools/frame.h"

struct args {
	const char *input, *output;
	uint64_t transaction_id, nr_data_blocks;
	uint32_t data_block_size;
	bool has_transaction_id, has_data_block_size, has_nr_data_blocks;
};

static const struct opt opts[] = {
	OPT_STR('i', "input", "FILE", args, input, OPT_REQUIRED,
		"XML to read, which may be compressed by gzip; - is standard input"),
	OPT_STR('o', "output", "FILE", args, output, OPT_REQUIRED,
		"Metadata device or file to overwrite"),
	OPT_U64(0, "transaction-id", "N", args, transaction_id, has_transaction_id,
		"Transaction id to write instead of the XML's"),
	OPT_U32(0, "data-block-size", "SECTORS", args, data_block_size, has_data_block_size,
		"Data block size to write instead of the XML's"),
	OPT_U64(0, "nr-data-blocks", "N", args, nr_data_blocks, has_nr_data_blocks,
		"Number of data blocks to write instead of the XML's"),
	OPT_END
};

static int run(struct frame *f, void *v)
{
	const struct args *a = v;
	struct pd_thin_restore_opts o = {
		.size = sizeof(o),
		.overrides = {
			.has_transaction_id = a->has_transaction_id,
			.has_data_block_size = a->has_data_block_size,
			.has_nr_data_blocks = a->has_nr_data_blocks,
			.transaction_id = a->transaction_id,
			.data_block_size = a->data_block_size,
			.nr_data_blocks = a->nr_data_blocks,
		},
	};
	int fd, r = source_open(f, a->input, &fd);
	struct pd_source xml = { source_read, &fd };
	struct pd_io *io;

	if (r)
		return r;
	r = open_output(f, a->output, source_path(a->input), &io);
	if (r) {
		source_close(fd);
		return r;
	}
	signals_guard(f, a->output);
	r = pd_thin_restore(&xml, io, &o, &f->run);
	signals_release();
	pd_io_close(io);
	source_close(fd);
	if (r == -ENOMEM)
		fail(f, "out of memory");
	return r ? EXIT_BAD : EXIT_CLEAN;
}

const struct command thin_restore_cmd = {
	.name = "thin_restore",
	.about = "Writes thin provisioning metadata from XML",
	.opts = opts,
	.args_size = sizeof(struct args),
	.takes_quiet = true,
	.run = run,
};
