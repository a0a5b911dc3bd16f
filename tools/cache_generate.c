/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_generate_metadata: metadata for tests. */
#include <pdata/cache.h>
#include <pdata/dev.h>
#include "tools/frame.h"
#include "tools/generate.h"

struct args {
	const char *output;
	bool format, given;
	struct pd_cache_format_opts o;
	struct pd_dev_cache_patch patch;
};

static void init(void *v)
{
	struct args *a = v;

	a->o = (struct pd_cache_format_opts){
		.size = sizeof(a->o), .block_size = 128, .nr_cache_blocks = 10240, .nr_origin_blocks = 1048576,
		.hotspot_size = 1, .percent_resident = 80, .percent_dirty = 50, .version = 2,
	};
}

static int set_needs_check(void *v, const char *value)
{
	struct pd_dev_cache_patch *p = &((struct args *)v)->patch;

	return set_flag("set-needs-check", value, &p->has_needs_check, &p->needs_check);
}

static int set_clean_shutdown(void *v, const char *value)
{
	struct pd_dev_cache_patch *p = &((struct args *)v)->patch;

	return set_flag("set-clean-shutdown", value, &p->has_clean_shutdown, &p->clean_shutdown);
}

static const struct opt opts[] = {
	OPT_STR('o', "output", "FILE", args, output, OPT_REQUIRED, "Metadata device or file to write"),
	OPT_FLAG(0, "format", args, format, "Write new metadata"),
	OPT_U32(0, "cache-block-size", "SECTORS", args, o.block_size, given, "Block size, 128 if not given"),
	OPT_U32(0, "hotspot-size", "BLOCKS", args, o.hotspot_size, given,
		"Origin blocks cached one after the other, 1 if not given"),
	OPT_U32(0, "nr-cache-blocks", "N", args, o.nr_cache_blocks, given, "Cache blocks, 10240 if not given"),
	OPT_U64(0, "nr-origin-blocks", "N", args, o.nr_origin_blocks, given,
		"Origin blocks, 1048576 if not given"),
	OPT_U32(0, "percent-dirty", "N", args, o.percent_dirty, given,
		"Dirty ones of the mapped blocks, 50 if not given"),
	OPT_U32(0, "percent-resident", "N", args, o.percent_resident, given,
		"Mapped ones of the cache blocks, 80 if not given"),
	OPT_U32(0, "metadata-version", "1|2", args, o.version, given, "Metadata version, 2 if not given"),
	OPT_U32(0, "set-superblock-version", "N", args, patch.version, patch.has_version,
		"Write this version number into the superblock"),
	{ .kind = OPT_KIND_CALL, .name = "set-needs-check", .metavar = "true|false",
	  .flags = OPT_OPTIONAL_VALUE, .call = set_needs_check, .help = "Set or clear the needs_check flag" },
	{ .kind = OPT_KIND_CALL, .name = "set-clean-shutdown", .metavar = "true|false",
	  .flags = OPT_OPTIONAL_VALUE, .call = set_clean_shutdown,
	  .help = "Set or clear the flag of a clean shutdown" },
	OPT_END
};

static int run(struct frame *f, void *v)
{
	const struct args *a = v;
	const struct pd_dev_cache_patch *p = &a->patch;
	struct pd_io *io;
	int r;

	if (!a->format && !p->has_version && !p->has_needs_check && !p->has_clean_shutdown)
		return usage_error(f, "--format or one of --set-... is needed");
	r = open_output(f, a->output, NULL, &io);
	if (r)
		return r;
	if (a->format)
		r = pd_cache_format(io, &a->o, &f->run);
	if (!r && (p->has_version || p->has_needs_check || p->has_clean_shutdown))
		r = pd_dev_patch_cache_superblock(io, p, &f->log);
	pd_io_close(io);
	return r ? EXIT_BAD : EXIT_CLEAN;
}

const struct command cache_generate_metadata_cmd = {
	.name = "cache_generate_metadata",
	.about = "Makes cache metadata for tests",
	.opts = opts,
	.args_size = sizeof(struct args),
	.init = init,
	.run = run,
};
