/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Caches for tests: so many mappings, spread over the cache and its origin. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "cache/build.h"
#include "persistent-data/disk.h"

/* @left of @among are still to be taken: is this one? So many are, and all are as likely. */
struct draw {
	uint64_t left, among;
};

struct generator {
	const struct pd_cache_format_opts *o;
	uint64_t seed, resident;
	uint64_t nr_spots, step, spot;	/* hot spots of the origin; @spot is the one in use */
	uint32_t used;			/* blocks of it */
};

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*seed >> 32);
}

static bool drawn(struct draw *d, uint64_t *seed)
{
	bool yes = ((uint64_t)next_random(seed) * d->among) >> 32 < d->left;

	d->among--;
	d->left -= yes;
	return yes;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t t = a % b;

		a = b;
		b = t;
	}
	return a;
}

/* Origin block of the next mapping: steps through all spots without meeting one twice. */
static uint64_t next_origin_block(struct generator *g)
{
	if (g->used == g->o->hotspot_size) {
		g->used = 0;
		g->spot = g->spot >= g->nr_spots - g->step ? g->spot - (g->nr_spots - g->step) : g->spot + g->step;
	}
	return g->spot * g->o->hotspot_size + g->used++;
}

static int mappings(struct generator *g, struct cache_emitter *e)
{
	struct draw resident = { g->resident, g->o->nr_cache_blocks };
	struct draw dirty = { g->resident * g->o->percent_dirty / 100, g->resident };
	int r = e->mappings_begin(e);

	for (uint32_t c = 0; !r && c < g->o->nr_cache_blocks; c++) {
		struct cache_mapping_record m = { .cblock = c };

		if (!drawn(&resident, &g->seed))
			continue;
		m.oblock = next_origin_block(g);
		m.dirty = drawn(&dirty, &g->seed);
		r = e->mappings(e, &m, 1);
	}
	return r ? r : e->mappings_end(e);
}

/* The same draws again, for the same blocks. */
static int hints(struct generator *g, struct cache_emitter *e, uint64_t seed)
{
	struct draw resident = { g->resident, g->o->nr_cache_blocks };
	int r = e->hints_begin(e);

	for (uint32_t c = 0; !r && c < g->o->nr_cache_blocks; c++) {
		le32 level;
		struct cache_hint_record h = { c, sizeof(level), (const uint8_t *)&level };

		if (!drawn(&resident, &seed))
			continue;
		level = le32_put(next_random(&seed) >> 26);
		r = e->hints(e, &h, 1);
	}
	return r ? r : e->hints_end(e);
}

#define refuse(...) (pd_log(run->log, PD_LOG_ERR, __VA_ARGS__), -EINVAL)

static int prepare(struct generator *g, const struct pd_run *run)
{
	const struct pd_cache_format_opts *o = g->o;

	if (o->percent_resident > 100 || o->percent_dirty > 100)
		return refuse("there is nothing above 100 percent");
	if (o->version != 1 && o->version != 2)
		return refuse("metadata version %" PRIu32 " is neither 1 nor 2", o->version);
	if (!o->hotspot_size)
		return refuse("a hot spot has one block at least");
	g->resident = (uint64_t)o->nr_cache_blocks * o->percent_resident / 100;
	g->nr_spots = o->nr_origin_blocks / o->hotspot_size;
	if (ceil_div(g->resident, o->hotspot_size) > g->nr_spots)
		return refuse("%" PRIu64 " origin blocks have no room for %" PRIu64 " mappings in runs of %"
			      PRIu32, o->nr_origin_blocks, g->resident, o->hotspot_size);
	/* About the golden ratio of all, so that neighbours in the cache lie far apart. */
	g->step = g->nr_spots * 5 / 8 + 1;
	if (g->nr_spots > UINT64_MAX / 5)
		g->step = g->nr_spots / 8 * 5 + 1;
	while (g->nr_spots && gcd(g->step, g->nr_spots) != 1)
		g->step++;
	if (g->nr_spots)
		g->step %= g->nr_spots;
	return 0;
}

int pd_cache_format(struct pd_io *io, const struct pd_cache_format_opts *o, const struct pd_run *run)
{
	struct pd_cache_restore_opts how = { .size = sizeof(how), .version = o->version };
	struct cache_sb_record sb = { o->block_size, o->nr_cache_blocks, "smq", sizeof(le32) };
	struct generator g = { .o = o, .seed = 1 };
	struct cache_emitter *e;
	int r = prepare(&g, run);

	if (!r)
		r = cache_build_create(&e, io, &how, run->log);
	if (r)
		return r;
	r = e->superblock(e, &sb);
	if (!r)
		r = mappings(&g, e);
	if (!r)
		r = hints(&g, e, 1);
	if (!r)
		r = e->superblock_end(e);
	cache_build_destroy(e);
	return r;
}
