/* SPDX-License-Identifier: GPL-2.0-or-later */
/* thin_generate_damage and cache_generate_damage: metadata made wrong, for tests. */
#include <string.h>
#include <pdata/dev.h>
#include "tools/frame.h"
#include "tools/generate.h"

int set_flag(const char *name, const char *value, bool *has, bool *on)
{
	*has = true;
	*on = !value || !strcmp(value, "true");
	if (*on || !strcmp(value, "false"))
		return 0;
	fprintf(stderr, "error: invalid value '%s' for '--%s': it is true or false\n", value, name);
	return EXIT_USAGE;
}

struct damage_args {
	const char *output;
	bool leaks, override;
	uint32_t expected, actual;
	uint64_t nr_blocks;
	bool has_expected, has_actual, has_nr;
	uint64_t mapping_root, details_root, held_root;
	bool has_mapping_root, has_details_root, has_held_root;
};

#define LEAK_OPTS \
	OPT_STR('o', "output", "FILE", damage_args, output, OPT_REQUIRED, "Metadata device or file to change"), \
	OPT_FLAG(0, "create-metadata-leaks", damage_args, leaks, "Store wrong counts of metadata blocks"), \
	OPT_U32(0, "expected", "COUNT", damage_args, expected, has_expected, "True count of these blocks"), \
	OPT_U32(0, "actual", "COUNT", damage_args, actual, has_actual, "Count to store instead"), \
	OPT_U64(0, "nr-blocks", "N", damage_args, nr_blocks, has_nr, "How many of them"),

static const struct opt thin_opts[] = {
	LEAK_OPTS
	OPT_FLAG(0, "override", damage_args, override, "Change fields of the superblock"),
	OPT_U64(0, "mapping-root", "BLOCKNR", damage_args, mapping_root, has_mapping_root,
		"With --override: root of the mapping tree"),
	OPT_U64(0, "details-root", "BLOCKNR", damage_args, details_root, has_details_root,
		"With --override: root of the details tree"),
	OPT_U64(0, "metadata-snap", "BLOCKNR", damage_args, held_root, has_held_root,
		"With --override: block of the metadata snapshot"),
	OPT_END
};

static const struct opt cache_opts[] = {
	LEAK_OPTS
	OPT_END
};

static int change(struct frame *f, const struct damage_args *a)
{
	struct pd_dev_thin_patch patch = {
		.has_mapping_root = a->has_mapping_root, .mapping_root = a->mapping_root,
		.has_details_root = a->has_details_root, .details_root = a->details_root,
		.has_held_root = a->has_held_root, .held_root = a->held_root,
	};
	struct pd_io *io;
	int r;

	if (a->leaks && !(a->has_expected && a->has_actual && a->has_nr))
		return usage_error(f, "--create-metadata-leaks needs --expected, --actual and --nr-blocks");
	r = open_output(f, a->output, NULL, &io);
	if (r)
		return r;
	r = a->leaks ? pd_dev_set_metadata_counts(io, a->expected, a->actual, a->nr_blocks, &f->log) :
		       pd_dev_patch_thin_superblock(io, &patch, &f->log);
	pd_io_close(io);
	return r ? EXIT_BAD : EXIT_CLEAN;
}

static int thin_run(struct frame *f, void *v)
{
	const struct damage_args *a = v;

	if (a->leaks == a->override)
		return usage_error(f, "one of --create-metadata-leaks and --override is needed");
	return change(f, a);
}

static int cache_run(struct frame *f, void *v)
{
	const struct damage_args *a = v;

	if (!a->leaks)
		return usage_error(f, "--create-metadata-leaks is needed");
	return change(f, a);
}

const struct command thin_generate_damage_cmd = {
	.name = "thin_generate_damage",
	.about = "Makes thin pool metadata wrong, for tests",
	.opts = thin_opts,
	.args_size = sizeof(struct damage_args),
	.run = thin_run,
};

const struct command cache_generate_damage_cmd = {
	.name = "cache_generate_damage",
	.about = "Makes cache metadata wrong, for tests",
	.opts = cache_opts,
	.args_size = sizeof(struct damage_args),
	.run = cache_run,
};
