/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clone_generate_metadata: metadata for tests. */
#include <pdata/clone.h>
#include "tools/frame.h"

struct args {
	const char *output;
	bool format, has_region_size, has_target_size, has_percent, has_seed;
	uint64_t region_size, target_size, seed;
	uint32_t percent;
};

static const struct opt opts[] = {
	OPT_STR('o', "output", "FILE", args, output, OPT_REQUIRED, "Metadata device or file to write"),
	OPT_FLAG(0, "format", args, format, "Write new metadata"),
	OPT_U64(0, "region-size", "SECTORS", args, region_size, has_region_size, "Region size, 8 if not given"),
	OPT_U64(0, "target-size", "SECTORS", args, target_size, has_target_size,
		"Size of the cloned device, 81920 if not given"),
	OPT_U32(0, "percent-hydrated", "N", args, percent, has_percent, "Share of hydrated regions, 0 if not given"),
	OPT_U64(0, "seed", "N", args, seed, has_seed, "Which regions are hydrated"),
	OPT_END
};

static int run(struct frame *f, void *v)
{
	const struct args *a = v;
	struct pd_io *io;
	int r;

	if (!a->format)
		return usage_error(f, "--format is needed");
	if (a->percent > 100)
		return usage_error(f, "invalid value for '--percent-hydrated': it is 0 to 100");
	r = open_output(f, a->output, NULL, &io);
	if (r)
		return r;
	r = pd_clone_format(io, a->has_region_size ? a->region_size : 8,
			    a->has_target_size ? a->target_size : 81920, a->percent, a->seed, &f->run);
	pd_io_close(io);
	return r ? EXIT_BAD : EXIT_CLEAN;
}

const struct command clone_generate_metadata_cmd = {
	.name = "clone_generate_metadata",
	.about = "Makes clone metadata for tests",
	.opts = opts,
	.args_size = sizeof(struct args),
	.run = run,
};
