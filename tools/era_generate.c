/* SPDX-License-Identifier: GPL-2.0-or-later */
/* era_generate_metadata: metadata for tests. */
#include <pdata/era.h>
#include "tools/frame.h"

struct args {
	const char *output;
	bool format, has_size, has_nr, has_era, has_writesets;
	uint32_t block_size, nr_blocks, current_era, nr_writesets;
};

static const struct opt opts[] = {
	OPT_STR('o', "output", "FILE", args, output, OPT_REQUIRED, "Metadata device or file to write"),
	OPT_FLAG(0, "format", args, format, "Write new metadata"),
	OPT_U32(0, "block-size", "SECTORS", args, block_size, has_size, "Block size, 128 if not given"),
	OPT_U32(0, "nr-blocks", "N", args, nr_blocks, has_nr, "Number of blocks, 10240 if not given"),
	OPT_U32(0, "current-era", "N", args, current_era, has_era, "Current era, 0 if not given"),
	OPT_U32(0, "nr-writesets", "N", args, nr_writesets, has_writesets, "Archived writesets, 0 if not given"),
	OPT_END
};

static int run(struct frame *f, void *v)
{
	const struct args *a = v;
	struct pd_io *io;
	int r;

	if (!a->format)
		return usage_error(f, "--format is needed");
	r = open_output(f, a->output, NULL, &io);
	if (r)
		return r;
	r = pd_era_format(io, a->has_size ? a->block_size : 128, a->has_nr ? a->nr_blocks : 10240,
			  a->current_era, a->nr_writesets, &f->run);
	pd_io_close(io);
	return r ? EXIT_BAD : EXIT_CLEAN;
}

const struct command era_generate_metadata_cmd = {
	.name = "era_generate_metadata",
	.about = "Makes era metadata for tests",
	.opts = opts,
	.args_size = sizeof(struct args),
	.run = run,
};
