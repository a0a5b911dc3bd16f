/* SPDX-License-Identifier: GPL-2.0-or-later */
/* thin_generate_metadata: metadata for tests. */
#include <pdata/dev.h>
#include <pdata/thin.h>
#include <pdata/thin-pool.h>
#include "tools/frame.h"
#include "tools/generate.h"

struct metadata_args {
	const char *output;
	bool format, set_needs_check, needs_check;
	uint32_t block_size;
	uint64_t nr_data_blocks;
	bool block_size_given, nr_given, devices_given, mappings_given, seed_given;
	uint32_t nr_devices, nr_mappings;
	uint64_t seed;
};

static void metadata_init(void *v)
{
	struct metadata_args *a = v;

	a->block_size = 128;
	a->nr_data_blocks = 10240;
}

static int set_needs_check(void *v, const char *value)
{
	struct metadata_args *a = v;

	return set_flag("set-needs-check", value, &a->set_needs_check, &a->needs_check);
}

static const struct opt metadata_opts[] = {
	OPT_STR('o', "output", "FILE", metadata_args, output, OPT_REQUIRED, "Metadata device or file to write"),
	OPT_FLAG(0, "format", metadata_args, format, "Write metadata of a pool without devices"),
	OPT_U32(0, "block-size", "SECTORS", metadata_args, block_size, block_size_given,
		"Data block size, 128 if not given"),
	OPT_U64(0, "nr-data-blocks", "N", metadata_args, nr_data_blocks, nr_given,
		"Number of data blocks, 10240 if not given"),
	OPT_U32(0, "nr-devices", "N", metadata_args, nr_devices, devices_given,
		"Make devices 1 to N, each third one a snapshot, in transactions"),
	OPT_U32(0, "nr-mappings", "N", metadata_args, nr_mappings, mappings_given,
		"Mappings to make in each of them, 100 if not given"),
	OPT_U64(0, "seed", "N", metadata_args, seed, seed_given, "Which virtual blocks are mapped"),
	{ .kind = OPT_KIND_CALL, .name = "set-needs-check", .metavar = "true|false",
	  .flags = OPT_OPTIONAL_VALUE, .call = set_needs_check, .help = "Set or clear the needs_check flag" },
	OPT_END
};

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*seed >> 33);
}

/* Runs of up to 8 blocks among the first 4 * nr_mappings; now and then some are taken away again. */
static int fill_device(struct pd_thin_pool *pool, uint32_t dev, const struct metadata_args *a,
		       uint64_t *seed)
{
	uint32_t nr = a->mappings_given ? a->nr_mappings : 100;
	uint64_t dblock;
	int r = 0;

	for (uint32_t done = 0; done < nr && !r; ) {
		uint64_t vblock = next_random(seed) % (4ull * nr);
		uint32_t len = 1 + next_random(seed) % 8;

		for (uint32_t i = 0; i < len && done < nr && !r; i++, done++)
			r = pd_thin_pool_map(pool, dev, vblock + i, &dblock);
		if (!r && next_random(seed) % 10 == 0)
			r = pd_thin_pool_remove(pool, dev, vblock, vblock + 2, NULL);
	}
	return r;
}

static int make_devices(struct pd_io *io, const struct metadata_args *a, struct pd_log *log)
{
	struct pd_thin_pool *pool;
	uint64_t seed = a->seed;
	int r = pd_thin_pool_open(&pool, io, 1024, log);

	if (r)
		return r;
	for (uint32_t dev = 1; dev <= a->nr_devices && !r; dev++) {
		r = dev % 3 ? pd_thin_pool_create(pool, dev) : pd_thin_pool_snapshot(pool, dev, dev - 1);
		if (!r)
			r = fill_device(pool, dev, a, &seed);
		if (!r && dev % 2)
			r = pd_thin_pool_commit(pool);
	}
	if (!r)
		r = pd_thin_pool_commit(pool);
	pd_thin_pool_close(pool);
	return r;
}

static int metadata_run(struct frame *f, void *v)
{
	const struct metadata_args *a = v;
	struct pd_dev_thin_patch patch = { .has_needs_check = true, .needs_check = a->needs_check };
	struct pd_io *io;
	int r = open_output(f, a->output, NULL, &io);

	if (r)
		return r;
	if (a->format)
		r = pd_thin_format(io, a->block_size, a->nr_data_blocks, &f->run);
	if (!r && a->devices_given)
		r = make_devices(io, a, &f->log);
	if (!r && a->set_needs_check)
		r = pd_dev_patch_thin_superblock(io, &patch, &f->log);
	pd_io_close(io);
	return r ? EXIT_BAD : EXIT_CLEAN;
}

const struct command thin_generate_metadata_cmd = {
	.name = "thin_generate_metadata",
	.about = "Makes thin pool metadata for tests",
	.opts = metadata_opts,
	.args_size = sizeof(struct metadata_args),
	.init = metadata_init,
	.run = metadata_run,
};
