/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Metadata made through the library, of shapes that small kernel images lack: trees of three levels, arrays and
 * bitsets of two, subtrees that many devices share, overflow trees, metadata snapshots, index trees with inner nodes.
 */
#include <stdlib.h>
#include <string.h>
#include <pdata/cache-metadata.h>
#include <pdata/cache.h>
#include <pdata/clone.h>
#include <pdata/era-metadata.h>
#include <pdata/era.h>
#include <pdata/thin-pool.h>
#include "fuzz/types.h"

#define MEMORY_BLOCKS 256u
#define POOL_BLOCKS (1u << 17)

static void must(int r)
{
	if (r)
		abort();
}

static struct pd_io *ram(uint64_t nr_blocks)
{
	struct pd_io *io;

	must(pd_io_open_ram(&io, nr_blocks));
	return io;
}

/* ---- Thin ---- */

static struct pd_thin_pool *pool(struct pd_io *io, uint64_t nr_data_blocks)
{
	struct pd_thin_pool *p;

	must(pd_thin_pool_format(io, 128, nr_data_blocks, NULL));
	must(pd_thin_pool_open(&p, io, MEMORY_BLOCKS, NULL));
	return p;
}

static struct pd_io *committed(struct pd_io *io, struct pd_thin_pool *p)
{
	must(pd_thin_pool_commit(p));
	pd_thin_pool_close(p);
	return io;
}

/* Mappings that are no runs, so that each needs an entry wherever they are counted. */
static void scatter(struct pd_thin_pool *p, uint32_t dev, uint64_t first, unsigned nr, uint64_t data)
{
	for (unsigned i = 0; i < nr; i++)
		must(pd_thin_pool_insert(p, dev, first + 3ull * i, data + (i ^ 1), 1));
}

static struct pd_io *thin_deep(void)
{
	struct pd_io *io = ram(1024);
	struct pd_thin_pool *p = pool(io, POOL_BLOCKS);

	for (uint32_t dev = 0; dev < 3; dev++)
		must(pd_thin_pool_create(p, dev));
	scatter(p, 0, 0, 36000, 0);
	must(pd_thin_pool_insert(p, 1, 1000, 40000, 3000));
	scatter(p, 2, 1ull << 40, 500, 50000);
	return committed(io, p);
}

/* Snapshots of snapshots, written to here and there: shared leaves, counts above 2 of metadata and data. */
static struct pd_io *thin_shared(void)
{
	struct pd_io *io = ram(600);
	struct pd_thin_pool *p = pool(io, POOL_BLOCKS);

	must(pd_thin_pool_create(p, 1));
	scatter(p, 1, 0, 1500, 0);
	for (uint32_t dev = 2; dev < 9; dev++) {
		must(pd_thin_pool_snapshot(p, dev, dev / 2));
		for (uint64_t v = dev * 61; v < 4500 && dev % 3; v += 700)
			must(pd_thin_pool_insert(p, dev, v, 10000 + dev * 10 + v / 700, 1));
		must(pd_thin_pool_commit(p));
	}
	return committed(io, p);
}

static struct pd_io *thin_snapped(void)
{
	struct pd_io *io = ram(400);
	struct pd_thin_pool *p = pool(io, POOL_BLOCKS);

	for (uint32_t dev = 0; dev < 5; dev++) {
		must(pd_thin_pool_create(p, dev));
		scatter(p, dev, 0, 400, dev * 500);
	}
	must(pd_thin_pool_snapshot(p, 9, 3));
	must(pd_thin_pool_reserve_metadata_snap(p));
	must(pd_thin_pool_commit(p));
	must(pd_thin_pool_delete(p, 1));
	must(pd_thin_pool_remove(p, 2, 100, 900, NULL));
	must(pd_thin_pool_insert(p, 3, 10, 9000, 50));
	return committed(io, p);
}

/* More devices than one node of the upper tree, or of the details, holds. */
static struct pd_io *thin_devices(void)
{
	struct pd_io *io = ram(1200);
	struct pd_thin_pool *p = pool(io, POOL_BLOCKS);

	for (uint32_t dev = 0; dev < 400; dev++) {
		must(pd_thin_pool_create(p, 7 * dev));
		if (dev % 3 == 0)
			must(pd_thin_pool_insert(p, 7 * dev, dev, 10 * dev, 1 + dev % 9));
	}
	return committed(io, p);
}

/* A data device whose index tree has inner nodes. */
static struct pd_io *thin_wide(void)
{
	struct pd_io *io = ram(512);
	struct pd_thin_pool *p = pool(io, 3000000);

	must(pd_thin_pool_create(p, 0));
	for (uint64_t d = 0; d < 3000000; d += 16000)
		must(pd_thin_pool_insert(p, 0, d, d, 3));
	return committed(io, p);
}

/* ---- Cache ---- */

static struct pd_io *cache_wide(void)
{
	struct pd_cache_format_opts o = {
		.size = sizeof(o), .block_size = 64, .nr_cache_blocks = 140000, .nr_origin_blocks = 300000,
		.hotspot_size = 7, .percent_resident = 3, .percent_dirty = 40, .version = 2,
	};
	struct pd_run run = { .nr_threads = 1 };
	struct pd_io *io = ram(600);

	must(pd_cache_format(io, &o, &run));
	return io;
}

static struct pd_io *cache_of(uint32_t version, uint32_t nr)
{
	struct pd_io *io = ram(256);
	struct pd_cache *c;

	must(pd_cache_create(io, 128, nr, version, NULL));
	must(pd_cache_open(&c, io, MEMORY_BLOCKS, NULL));
	must(pd_cache_set_policy(c, "smq", (uint32_t[]){ 2, 0, 0 }, 4));
	must(pd_cache_resize_discards(c, 256, 40000));
	for (uint32_t b = 0; b < nr; b += 1 + b % 3) {
		must(pd_cache_insert(c, b, 7ull * b, b % 5 == 0));
		must(pd_cache_set_hint(c, b, b * 11));
		must(pd_cache_set_discarded(c, b * 9 % 40000, true));
	}
	must(pd_cache_commit(c));
	pd_cache_close(c);
	return io;
}

static struct pd_io *cache_v1(void) { return cache_of(1, 2500); }
static struct pd_io *cache_v2(void) { return cache_of(2, 2500); }

/* ---- Era, clone ---- */

static struct pd_io *era_of(uint64_t nr_blocks, uint32_t nr, uint32_t nr_writesets)
{
	struct pd_run run = { .nr_threads = 1 };
	struct pd_io *io = ram(nr_blocks);

	must(pd_era_format(io, 128, nr, 20, nr_writesets, &run));
	return io;
}

static struct pd_io *era_wide(void) { return era_of(600, 270000, 5); }
static struct pd_io *era_small(void) { return era_of(64, 2500, 3); }

/* A tree of writesets of two levels, a live one, and a metadata snapshot. */
static struct pd_io *era_snapped(void)
{
	struct pd_io *io = ram(900);
	struct pd_era *e;

	must(pd_era_create(io, 128, 3000, NULL));
	must(pd_era_open(&e, io, MEMORY_BLOCKS, NULL));
	for (uint32_t n = 0; n < 260; n++) {
		must(pd_era_begin(e));
		for (uint32_t b = 0; b < 5; b++)
			must(pd_era_mark(e, (n * 97 + b * 31) % 3000));
		if (n == 20) {
			must(pd_era_digest(e));
			must(pd_era_take_metadata_snap(e));
		}
		if (n % 40 == 20)
			must(pd_era_commit(e));
	}
	must(pd_era_commit(e));
	pd_era_close(e);
	return io;
}

static struct pd_io *clone_of(uint64_t nr_blocks, uint64_t nr_regions)
{
	struct pd_run run = { .nr_threads = 1 };
	struct pd_io *io = ram(nr_blocks);

	must(pd_clone_format(io, 8, 8 * nr_regions, 40, 5, &run));
	return io;
}

static struct pd_io *clone_wide(void) { return clone_of(400, 8500000); }
static struct pd_io *clone_small(void) { return clone_of(64, 100000); }

struct pd_io *fuzz_generate(const char *name)
{
	static const struct { const char *name; struct pd_io *(*make)(void); } made[] = {
		{ "thin:deep", thin_deep }, { "thin:shared", thin_shared }, { "thin:snapped", thin_snapped },
		{ "thin:devices", thin_devices }, { "thin:wide", thin_wide },
		{ "cache:wide", cache_wide }, { "cache:v1", cache_v1 }, { "cache:v2", cache_v2 },
		{ "era:wide", era_wide }, { "era:small", era_small }, { "era:snapped", era_snapped },
		{ "clone:wide", clone_wide }, { "clone:small", clone_small },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(made); i++)
		if (!strcmp(name, made[i].name))
			return made[i].make();
	return NULL;
}
