/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes and changes metadata through the handles of the library, and only that; for interop cases. What it does is decided
 * by SEED. Besides what it commits it does things that it aborts: those must leave no trace.
 *
 *	change make-thin META BLOCK_SECTORS NR_BLOCKS		change thin META SEED
 *	change make-cache META BLOCK_SECTORS NR_BLOCKS VERSION	change cache META SEED NR_ORIGIN_BLOCKS
 *	change make-era META BLOCK_SECTORS NR_BLOCKS		change era META SEED
 *	change make-clone META REGION_SECTORS TARGET_SECTORS	change clone META BEGIN END
 */
#include <inttypes.h>
#include <pdata/cache-metadata.h>
#include <pdata/clone.h>
#include <pdata/clone-metadata.h>
#include <pdata/era-metadata.h>
#include <pdata/err.h>
#include <pdata/thin-pool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say(void *ctx, enum pd_log_level level, const char *text)
{
	(void)ctx;
	(void)level;
	fprintf(stderr, "%s\n", text);
}

static struct pd_log talk = { .msg = say, .level = PD_LOG_WARN };

static uint64_t seed;

static uint64_t rnd(uint64_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % n;
}

/* ---- Thin ---- */

#define THIN_VBLOCKS 1000u

static int change_device(struct pd_thin_pool *p, uint32_t dev, uint64_t nr_data)
{
	struct pd_thin_mapping m;
	uint64_t dblock, removed;
	int r = 0;

	for (unsigned i = 0; i < 60 && !r; i++) {
		uint64_t v = rnd(THIN_VBLOCKS), len = 1 + rnd(12);

		switch (rnd(4)) {
		case 0:
			r = pd_thin_pool_remove(p, dev, v, v + len, &removed);
			break;
		case 1:
			/* what another virtual block has, as a reflink would */
			r = pd_thin_pool_next_mapping(p, dev, v, &m);
			if (!r && m.dblock + len <= nr_data)
				r = pd_thin_pool_insert(p, dev, rnd(THIN_VBLOCKS), m.dblock, 1);
			if (r == -ENODATA)
				r = 0;
			break;
		default:
			for (uint64_t k = v; k < v + len && !r; k++)
				r = pd_thin_pool_map(p, dev, k, &dblock);
		}
	}
	return r;
}

static int change_thin(struct pd_io *io)
{
	struct pd_thin_pool *p = NULL;
	struct pd_thin_pool_info info;
	struct pd_thin_device_info dev;
	uint32_t next = 0;
	int r = pd_thin_pool_open(&p, io, 256, &talk);

	if (r)
		return r;
	pd_thin_pool_get_info(p, &info);
	/* nothing of this is to be seen */
	if (!pd_thin_pool_next_device(p, 0, &dev))
		r = pd_thin_pool_delete(p, dev.dev_id);
	if (!r)
		r = pd_thin_pool_create(p, 999);
	if (!r)
		r = pd_thin_pool_abort(p);
	while (!r && !(r = pd_thin_pool_next_device(p, next, &dev))) {
		r = change_device(p, dev.dev_id, info.nr_data_blocks);
		next = dev.dev_id + 1;
	}
	if (r == -ENODATA)
		r = 0;
	/* the last device's snapshot, one more device, and the first one goes */
	if (!r && next)
		r = pd_thin_pool_snapshot(p, next + 10, next - 1);
	if (!r && next)
		r = change_device(p, next - 1, info.nr_data_blocks);
	if (!r)
		r = pd_thin_pool_create(p, next + 11);
	if (!r)
		r = change_device(p, next + 11, info.nr_data_blocks);
	if (!r)
		r = pd_thin_pool_reserve_metadata_snap(p);	/* commits */
	if (!r && next > 2 && !pd_thin_pool_next_device(p, 0, &dev))
		r = pd_thin_pool_delete(p, dev.dev_id);
	if (!r)
		r = pd_thin_pool_set_transaction_id(p, info.transaction_id, info.transaction_id + 1);
	if (!r)
		r = pd_thin_pool_commit(p);
	if (!r)
		r = pd_thin_pool_release_metadata_snap(p);
	if (!r)
		r = pd_thin_pool_commit(p);
	pd_thin_pool_close(p);
	return r;
}

/* ---- Cache ---- */

static int is_cached(struct pd_cache *c, uint64_t oblock)
{
	struct pd_cache_mapping m = { .cblock = 0 };
	int r;

	for (uint32_t at = 0; !(r = pd_cache_next_mapping(c, at, &m)); at = m.cblock + 1)
		if (m.oblock == oblock)
			return 1;
	return r == -ENODATA ? 0 : r;
}

/* Mappings that go were clean; those that come are dirty, so the fast device has what counts. */
static int change_cache(struct pd_io *io, uint64_t nr_origin)
{
	struct pd_cache *c = NULL;
	struct pd_cache_info info;
	struct pd_cache_mapping m;
	int r = pd_cache_open(&c, io, 256, &talk);

	if (r)
		return r;
	pd_cache_get_info(c, &info);
	if (!pd_cache_next_mapping(c, 0, &m)) {
		r = pd_cache_remove(c, m.cblock);
		if (!r)
			r = pd_cache_abort(c);
	}
	for (unsigned i = 0; i < 100 && !r; i++) {
		uint32_t cblock = (uint32_t)rnd(info.nr_cache_blocks);
		uint64_t oblock = rnd(nr_origin);

		r = pd_cache_lookup(c, cblock, &m);
		if (!r && !m.dirty && rnd(2)) {
			r = pd_cache_remove(c, cblock);
		} else if (r == -ENODATA) {
			r = is_cached(c, oblock);
			if (!r)
				r = pd_cache_insert(c, cblock, oblock, true);
			else if (r == 1)
				r = 0;
		}
	}
	if (!r)
		r = pd_cache_commit(c);
	pd_cache_close(c);
	return r;
}

/* ---- Era, clone ---- */

/* Says "MARKED BLOCK" for each. */
static int change_era(struct pd_io *io)
{
	struct pd_era *e = NULL;
	struct pd_era_info info;
	int r = pd_era_open(&e, io, 256, &talk);

	if (r)
		return r;
	r = pd_era_begin(e);
	if (!r)
		r = pd_era_mark(e, 0);
	if (!r)
		r = pd_era_abort(e);
	for (unsigned i = 0; i < 3 && !r; i++) {
		r = pd_era_begin(e);
		pd_era_get_info(e, &info);
		for (unsigned k = 0; k < 20 && !r; k++) {
			uint32_t block = (uint32_t)rnd(info.nr_blocks);

			r = pd_era_mark(e, block);
			if (!r)
				printf("%" PRIu32 " %" PRIu32 "\n", block, info.current_era);
		}
		if (!r)
			r = pd_era_commit(e);
	}
	if (!r)
		r = pd_era_end(e);
	if (!r)
		r = pd_era_digest(e);
	if (!r)
		r = pd_era_commit(e);
	pd_era_close(e);
	return r;
}

static int change_clone(struct pd_io *io, uint64_t begin, uint64_t end)
{
	struct pd_clone *c = NULL;
	struct pd_clone_info info;
	int r = pd_clone_open(&c, io, 256, &talk);

	if (r)
		return r;
	pd_clone_get_info(c, &info);
	r = pd_clone_set_hydrated(c, 0, info.nr_regions);
	if (!r)
		r = pd_clone_abort(c);
	if (!r)
		r = pd_clone_set_hydrated(c, begin, end);
	if (!r)
		r = pd_clone_commit(c);
	pd_clone_close(c);
	return r;
}

int main(int argc, char **argv)
{
	struct pd_run run = { .size = sizeof(run), .log = &talk };
	uint64_t n[3] = { 0, 0, 0 };
	const char *what = argc > 3 ? argv[1] : "";
	struct pd_io *io;
	int r;

	for (int i = 3; i < argc && i < 6; i++)
		n[i - 3] = strtoull(argv[i], NULL, 0);
	seed = n[0];
	if (argc < 4) {
		fprintf(stderr, "usage: change WHAT META NUMBER...\n");
		return 64;
	}
	r = pd_io_open(&io, argv[2], PD_IO_WRITE, NULL, &talk);
	if (r)
		return 1;
	if (!strcmp(what, "make-thin"))
		r = pd_thin_pool_format(io, (uint32_t)n[0], n[1], &talk);
	else if (!strcmp(what, "thin"))
		r = change_thin(io);
	else if (!strcmp(what, "make-cache"))
		r = pd_cache_create(io, (uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2], &talk);
	else if (!strcmp(what, "cache"))
		r = change_cache(io, n[1]);
	else if (!strcmp(what, "make-era"))
		r = pd_era_create(io, (uint32_t)n[0], (uint32_t)n[1], &talk);
	else if (!strcmp(what, "era"))
		r = change_era(io);
	else if (!strcmp(what, "make-clone"))
		r = pd_clone_format(io, n[0], n[1], 0, 0, &run);
	else if (!strcmp(what, "clone"))
		r = change_clone(io, n[0], n[1]);
	else
		r = -EINVAL;
	pd_io_close(io);
	if (r)
		fprintf(stderr, "change %s: %s\n", what, pd_strerror(r));
	return r != 0;
}
