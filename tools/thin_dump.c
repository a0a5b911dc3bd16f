/* SPDX-License-Identifier: GPL-2.0-or-later */
/* thin_dump: a pool's metadata as text. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/err.h>
#include <pdata/thin.h>
#include "tools/frame.h"

struct args {
	const char *input, *output;
	enum pd_text_format format;
	bool repair, metadata_snap, skip_mappings;
	uint64_t snap_block;
	bool snap_block_given;
	uint32_t *dev_ids;
	unsigned nr_dev_ids;
	uint64_t transaction_id, nr_data_blocks, generation;
	bool has_generation;
	uint32_t data_block_size;
	bool has_transaction_id, has_data_block_size, has_nr_data_blocks;
};

static int bad_value(const char *value, const char *option, const char *want)
{
	fprintf(stderr, "error: invalid value '%s' for '--%s': %s\n", value, option, want);
	return EXIT_USAGE;
}

static bool parse_number(const char *s, uint64_t *n)
{
	char *end;

	if (!*s || strspn(s, "0123456789") != strlen(s))
		return false;
	errno = 0;
	*n = strtoull(s, &end, 10);
	return !errno;
}

static int set_format(void *v, const char *value)
{
	struct args *a = v;

	if (!strcmp(value, "xml"))
		a->format = PD_TEXT_XML;
	else if (!strcmp(value, "human_readable"))
		a->format = PD_TEXT_HUMAN_READABLE;
	else
		return bad_value(value, "format", "it is xml or human_readable");
	return 0;
}

static int set_snap(void *v, const char *value)
{
	struct args *a = v;

	a->metadata_snap = true;
	if (!value)
		return 0;
	a->snap_block_given = true;
	return parse_number(value, &a->snap_block) ? 0 :
	       bad_value(value, "metadata-snap", "not a number that fits");
}

static int add_dev_id(void *v, const char *value)
{
	struct args *a = v;
	uint64_t id;
	uint32_t *grown;

	if (!parse_number(value, &id) || id > UINT32_MAX)
		return bad_value(value, "dev-id", "not a number that fits");
	grown = realloc(a->dev_ids, (a->nr_dev_ids + 1) * sizeof(*grown));
	if (!grown)
		return bad_value(value, "dev-id", "out of memory");
	a->dev_ids = grown;
	a->dev_ids[a->nr_dev_ids++] = (uint32_t)id;
	return 0;
}

static const struct opt opts[] = {
	{ .kind = OPT_KIND_CALL, .short_name = 'f', .name = "format", .metavar = "TYPE",
	  .call = set_format, .help = "Format of the text: xml (if not given) or human_readable" },
	OPT_STR('o', "output", "FILE", args, output, 0, "File to write to instead of standard output"),
	OPT_FLAG('r', "repair", args, repair, "Step over damage and dump what can be saved"),
	{ .kind = OPT_KIND_CALL, .short_name = 'm', .name = "metadata-snap", .alias = "metadata-snapshot",
	  .metavar = "BLOCKNR", .flags = OPT_OPTIONAL_VALUE, .call = set_snap,
	  .help = "Dump the metadata snapshot, as one can on a live pool" },
	{ .kind = OPT_KIND_CALL, .name = "dev-id", .metavar = "ID", .flags = OPT_REPEAT,
	  .call = add_dev_id, .help = "Dump this device alone; may be given several times" },
	OPT_FLAG(0, "skip-mappings", args, skip_mappings, "Leave the mappings out"),
	OPT_U64(0, "transaction-id", "N", args, transaction_id, has_transaction_id,
		"Transaction id to write instead of the superblock's"),
	OPT_U32(0, "data-block-size", "SECTORS", args, data_block_size, has_data_block_size,
		"Data block size to write instead of the superblock's"),
	OPT_U64(0, "nr-data-blocks", "N", args, nr_data_blocks, has_nr_data_blocks,
		"Number of data blocks to write instead of the superblock's"),
	OPT_U64(0, "generation", "BLOCKNR", args, generation, has_generation,
		"With --repair: take this generation, as thin_repair does"),
	OPT_ARG("INPUT", args, input, OPT_REQUIRED, "Metadata device or file"),
	OPT_END
};

static int dump(struct frame *f, const struct args *a)
{
	struct pd_thin_dump_opts o = {
		.size = sizeof(o),
		.format = a->format,
		.metadata_snap = a->metadata_snap,
		.has_snap_block = a->snap_block_given,
		.snap_block = a->snap_block,
		.skip_mappings = a->skip_mappings,
		.dev_ids = a->dev_ids,
		.nr_dev_ids = a->nr_dev_ids,
		.overrides = {
			.has_transaction_id = a->has_transaction_id,
			.has_data_block_size = a->has_data_block_size,
			.has_nr_data_blocks = a->has_nr_data_blocks,
			.transaction_id = a->transaction_id,
			.data_block_size = a->data_block_size,
			.nr_data_blocks = a->nr_data_blocks,
		},
	};
	struct pd_sink sink = { .write = text_write };
	struct text_out *out;
	struct pd_io *io;
	int r = open_input(f, a->input, a->metadata_snap ? PD_IO_SHARED : 0, &io), closed;

	if (r)
		return r;
	if (a->output && strcmp(a->output, "-") && pd_io_same(a->output, a->input)) {
		pd_io_close(io);
		return usage_error(f, "input and output are the same: %s", a->output);
	}
	out = text_create(f, a->output);
	if (!out) {
		pd_io_close(io);
		return EXIT_BAD;
	}
	sink.ctx = out;
	o.final_newline = text_is_tty(out);
	if (a->repair) {
		struct pd_thin_repair_opts repair = {
			.size = sizeof(repair), .overrides = o.overrides,
			.has_generation = a->has_generation, .generation = a->generation,
		};
		struct pd_thin_repair_result res;

		r = pd_thin_repair_dump(io, &repair, &o, &f->run, &sink, &res);
	} else {
		r = pd_thin_dump(io, &o, &f->run, &sink);
	}
	if (r == -ENOMEM)
		fail(f, "out of memory");
	pd_io_close(io);
	closed = text_close(f, out, !r);
	return r ? EXIT_BAD : closed;
}

static int run(struct frame *f, void *v)
{
	struct args *a = v;
	int r;

	if (f->numeric_operand_given && (!a->metadata_snap || a->snap_block_given))
		r = usage_error(f, "unexpected argument '%llu' found",
				(unsigned long long)f->numeric_operand);
	else if (a->has_generation && !a->repair)
		r = usage_error(f, "--generation is for --repair");
	else {
		if (f->numeric_operand_given) {
			a->snap_block_given = true;
			a->snap_block = f->numeric_operand;
		}
		r = dump(f, a);
	}
	free(a->dev_ids);
	return r;
}

const struct command thin_dump_cmd = {
	.name = "thin_dump",
	.about = "Writes thin provisioning metadata as text",
	.opts = opts,
	.conflicts = { { "repair", "metadata-snap" } },
	.args_size = sizeof(struct args),
	.takes_quiet = true,
	.takes_numeric_operand = true,
	.run = run,
};
