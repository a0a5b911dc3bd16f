/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The handles of caches, eras and clones against plain models, and against our own check after every commit; power cuts, and
 * each I/O failing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"
#include "fault/each.h"
#include "unit/unit.h"
#include <pdata/cache.h>
#include <pdata/cache-metadata.h>
#include <pdata/clone.h>
#include <pdata/clone-metadata.h>
#include <pdata/era.h>
#include <pdata/era-metadata.h>

static uint64_t rnd(uint64_t *seed, uint64_t n)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (*seed >> 33) % n;
}

static uint64_t nr_seeds(uint64_t nr)
{
	const char *s = getenv("PD_TEST_SCALE");

	return nr * (uint64_t)(s && atoi(s) > 0 ? atoi(s) : 1);
}

static void hear(void *ctx, enum pd_log_level level, const char *text)
{
	(void)level;
	++*(unsigned *)ctx;
	fprintf(stderr, "%s\n", text);
}

/* Not even a warning. */
static bool sound(struct pd_io *io, int (*check)(struct pd_io *io, const struct pd_run *run,
						 struct pd_check_result *res))
{
	unsigned said = 0;
	struct pd_log log = { .msg = hear, .ctx = &said, .level = PD_LOG_WARN };
	struct pd_run run = { .log = &log, .nr_threads = 1 };
	struct pd_check_result res;

	return !check(io, &run, &res) && res.worst <= PD_SEV_INFO && !said;
}

static int check_cache(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res)
{
	struct pd_cache_check_opts o = { .size = sizeof(o) };

	return pd_cache_check(io, &o, run, res, NULL);
}

static int check_era(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res)
{
	return pd_era_check(io, false, run, res);
}

static int check_clone(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res)
{
	struct pd_clone_check_opts o = { .size = sizeof(o) };
	struct pd_clone_status status;

	return pd_clone_check(io, &o, run, res, &status);
}

/* ---- Caches ---- */

#define MAX_CBLOCKS 3000u
#define NR_DISCARDS 900u

struct cache_model {
	uint32_t nr;
	uint64_t oblock[MAX_CBLOCKS];	/* + 1; 0: nothing */
	bool dirty[MAX_CBLOCKS], discarded[NR_DISCARDS];
	uint32_t hint[MAX_CBLOCKS];
	uint64_t next;			/* origin blocks not yet cached */
};

static int change_cache(struct pd_cache *c, struct cache_model *m, uint64_t *seed, unsigned nr)
{
	int r = 0;

	for (unsigned i = 0; !r && i < nr; i++) {
		uint32_t b = (uint32_t)rnd(seed, m->nr);
		bool on = rnd(seed, 2);
		uint64_t d = rnd(seed, NR_DISCARDS);

		switch (rnd(seed, 6)) {
		case 0:
		case 1:
			r = pd_cache_insert(c, b, m->next, on);
			if (r == -EEXIST && m->oblock[b]) {
				r = 0;
				break;
			}
			m->oblock[b] = ++m->next;
			m->dirty[b] = on;
			break;
		case 2:
			r = pd_cache_remove(c, b);
			if (r == -ENODATA && !m->oblock[b])
				r = 0;
			m->oblock[b] = 0;
			m->dirty[b] = false;
			break;
		case 3:
			r = pd_cache_set_dirty(c, b, on);
			if (r == -ENODATA && !m->oblock[b])
				r = 0;
			m->dirty[b] = m->oblock[b] && on;
			break;
		case 4:
			m->hint[b] = (uint32_t)rnd(seed, 64);
			r = pd_cache_set_hint(c, b, m->hint[b]);
			break;
		default:
			m->discarded[d] = on;
			r = pd_cache_set_discarded(c, d, on);
		}
	}
	return r;
}

static bool same_cache(struct pd_cache *c, const struct cache_model *m)
{
	bool discarded;

	for (uint32_t b = 0; b < m->nr; b++) {
		struct pd_cache_mapping map;
		uint32_t hint;
		int r = pd_cache_lookup(c, b, &map);

		if (m->oblock[b] ? r || map.oblock != m->oblock[b] - 1 || map.dirty != m->dirty[b] : r != -ENODATA)
			return false;
		if (pd_cache_get_hint(c, b, &hint) || hint != m->hint[b])
			return false;
	}
	for (uint64_t d = 0; d < NR_DISCARDS; d++)
		if (pd_cache_is_discarded(c, d, &discarded) || discarded != m->discarded[d])
			return false;
	return true;
}

static int open_cache(struct pd_cache **c, struct pd_io *io)
{
	return pd_cache_open(c, io, 128, NULL);
}

static const uint32_t policy_version[3] = { 2, 0, 0 };

static int prepare_cache(struct pd_io *io, struct cache_model *m, uint32_t version)
{
	struct pd_cache *c = NULL;
	int r = pd_cache_create(io, 128, m->nr, version, NULL);

	if (!r)
		r = open_cache(&c, io);
	if (!r)
		r = pd_cache_set_policy(c, "smq", policy_version, 4);
	if (!r)
		r = pd_cache_resize_discards(c, 128, NR_DISCARDS);
	if (!r)
		r = pd_cache_commit(c);
	pd_cache_close(c);
	return r;
}

static void test_caches_against_a_model(void)
{
	struct cache_model *m = calloc(1, sizeof(*m)), *old = malloc(sizeof(*m));

	for (uint64_t seed = 1; seed <= nr_seeds(4); seed++) {
		struct pd_cache_info info;
		struct pd_cache *c;
		uint64_t state = seed;
		struct pd_io *io;

		memset(m, 0, sizeof(*m));
		m->nr = 1000 + (uint32_t)rnd(&state, 1000);
		CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 700), 0);
		CU_ASSERT_EQUAL_FATAL(prepare_cache(io, m, 1 + seed % 2), 0);
		CU_ASSERT(sound(io, check_cache));
		CU_ASSERT_EQUAL_FATAL(open_cache(&c, io), 0);
		for (unsigned step = 0; step < 8; step++) {
			*old = *m;
			CU_ASSERT_EQUAL_FATAL(change_cache(c, m, &state, 400), 0);
			CU_ASSERT(same_cache(c, m));
			if (step % 3 == 2) {
				CU_ASSERT_EQUAL_FATAL(pd_cache_abort(c), 0);
				*m = *old;
				CU_ASSERT(same_cache(c, m));
				continue;
			}
			CU_ASSERT_EQUAL_FATAL(pd_cache_commit(c), 0);
			CU_ASSERT(sound(io, check_cache));
			if (step % 3 == 1) {
				pd_cache_close(c);
				CU_ASSERT_EQUAL_FATAL(open_cache(&c, io), 0);
				CU_ASSERT(same_cache(c, m));
			}
		}
		/* it grows, and shrinks over what is not used */
		for (uint32_t b = 900; b < m->nr; b++)
			if (m->oblock[b])
				CU_ASSERT_EQUAL(pd_cache_resize(c, b), -EBUSY);
		for (uint32_t b = 900; b < m->nr; b++)
			if (m->oblock[b])
				CU_ASSERT_EQUAL(pd_cache_remove(c, b), 0);
		CU_ASSERT_EQUAL(pd_cache_resize(c, 900), 0);
		CU_ASSERT_EQUAL(pd_cache_resize(c, MAX_CBLOCKS), 0);
		for (uint32_t b = 900; b < MAX_CBLOCKS; b++) {
			m->oblock[b] = m->hint[b] = 0;
			m->dirty[b] = false;
		}
		m->nr = MAX_CBLOCKS;
		CU_ASSERT(same_cache(c, m));
		CU_ASSERT_EQUAL_FATAL(change_cache(c, m, &state, 200), 0);
		CU_ASSERT_EQUAL_FATAL(pd_cache_commit(c), 0);
		CU_ASSERT(same_cache(c, m));
		pd_cache_get_info(c, &info);
		CU_ASSERT(info.version == 1 + seed % 2 && info.block_size == 128 && info.nr_cache_blocks == MAX_CBLOCKS);
		CU_ASSERT(info.hint_size == 4 && !strcmp(info.policy, "smq") && info.nr_discard_blocks == NR_DISCARDS);
		pd_cache_close(c);
		CU_ASSERT(sound(io, check_cache));
		pd_io_close(io);
	}
	free(m);
	free(old);
}

static ssize_t read_text(void *ctx, void *buf, size_t len)
{
	const char **at = ctx;
	size_t n = min_t(size_t, len, strlen(*at));

	memcpy(buf, *at, n);
	*at += n;
	return (ssize_t)n;
}

static void restore_unclean(struct pd_io *io, const char *xml)
{
	struct pd_cache_restore_opts o = { .size = sizeof(o), .omit_clean_shutdown = true };
	struct pd_run run = { .nr_threads = 1 };
	struct pd_source src = { read_text, &xml };

	CU_ASSERT_EQUAL_FATAL(pd_cache_restore(&src, io, &o, &run), 0);
}

static void test_after_an_unclean_stop_all_is_dirty(void)
{
	struct pd_cache_mapping map;
	struct pd_cache *c;
	struct pd_io *io;
	uint32_t hint;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 200), 0);
	restore_unclean(io, "<superblock uuid=\"\" block_size=\"64\" nr_cache_blocks=\"9\" policy=\"smq\" hint_width=\"4\">"
			"<mappings><mapping cache_block=\"3\" origin_block=\"7\" dirty=\"false\"/></mappings>"
			"<hints><hint cache_block=\"3\" data=\"AQAAAA==\"/></hints></superblock>");
	CU_ASSERT_EQUAL_FATAL(open_cache(&c, io), 0);
	CU_ASSERT(!pd_cache_lookup(c, 3, &map) && map.dirty && map.oblock == 7);
	CU_ASSERT_EQUAL(pd_cache_get_hint(c, 3, &hint), -ENODATA);
	CU_ASSERT_EQUAL(pd_cache_commit(c), 0);
	pd_cache_close(c);
	CU_ASSERT(sound(io, check_cache));
	CU_ASSERT_EQUAL_FATAL(open_cache(&c, io), 0);
	CU_ASSERT(!pd_cache_next_mapping(c, 0, &map) && map.cblock == 3 && map.dirty);
	CU_ASSERT_EQUAL(pd_cache_next_mapping(c, 4, &map), -ENODATA);
	CU_ASSERT_EQUAL(pd_cache_insert(c, 9, 1, false), -EINVAL);
	CU_ASSERT_EQUAL(pd_cache_insert(c, 8, 1ull << 48, false), -EINVAL);
	CU_ASSERT_EQUAL(pd_cache_set_policy(c, "sixteen letters!", policy_version, 4), -EINVAL);
	pd_cache_close(c);
	pd_io_close(io);
	CU_ASSERT_EQUAL(pd_cache_create(NULL, 100, 9, 2, NULL), -EINVAL);
	CU_ASSERT_EQUAL(pd_cache_create(NULL, 64, 9, 3, NULL), -EINVAL);
}

/* ---- Eras ---- */

#define NR_BLOCKS 5000u

struct era_model {
	uint32_t nr, era;
	uint32_t last[NR_BLOCKS];
};

static int change_era(struct pd_era *e, struct era_model *m, uint64_t *seed, unsigned nr)
{
	struct pd_era_info info;
	int r = 0;

	for (unsigned i = 0; !r && i < nr; i++) {
		uint32_t b = (uint32_t)rnd(seed, m->nr);

		pd_era_get_info(e, &info);
		switch (rnd(seed, 20)) {
		case 0:
			r = pd_era_begin(e);
			m->era++;
			break;
		case 1:
			r = pd_era_end(e);
			if (r == -ENODATA && !info.live)
				r = 0;
			break;
		case 2:
			r = pd_era_digest(e);
			if (r == -ENODATA)
				r = 0;
			break;
		default:
			if (!info.live) {
				r = pd_era_mark(e, b) == -ENODATA ? 0 : -EINVAL;
				break;
			}
			r = pd_era_mark(e, b);
			m->last[b] = m->era;
		}
	}
	return r;
}

static bool same_era(struct pd_era *e, const struct era_model *m)
{
	struct pd_era_info info;
	uint32_t last;

	pd_era_get_info(e, &info);
	if (info.current_era != m->era || info.nr_blocks != m->nr)
		return false;
	for (uint32_t b = 0; b < m->nr; b++)
		if (pd_era_last_written(e, b, &last) || last != m->last[b])
			return false;
	return pd_era_last_written(e, m->nr, &last) == -EINVAL;
}

static void test_eras_against_a_model(void)
{
	struct era_model *m = malloc(sizeof(*m)), *old = malloc(sizeof(*m));

	for (uint64_t seed = 1; seed <= nr_seeds(3); seed++) {
		uint64_t state = seed;
		struct pd_era *e;
		struct pd_io *io;

		memset(m, 0, sizeof(*m));
		m->nr = NR_BLOCKS - 1000;
		CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 700), 0);
		CU_ASSERT_EQUAL_FATAL(pd_era_create(io, 8, m->nr, NULL), 0);
		CU_ASSERT(sound(io, check_era));
		CU_ASSERT_EQUAL_FATAL(pd_era_open(&e, io, 128, NULL), 0);
		for (unsigned step = 0; step < 8; step++) {
			*old = *m;
			CU_ASSERT_EQUAL_FATAL(change_era(e, m, &state, 150), 0);
			CU_ASSERT(same_era(e, m));
			if (step % 3 == 2) {
				CU_ASSERT_EQUAL_FATAL(pd_era_abort(e), 0);
				*m = *old;
				CU_ASSERT(same_era(e, m));
				continue;
			}
			CU_ASSERT_EQUAL_FATAL(pd_era_commit(e), 0);
			CU_ASSERT(sound(io, check_era));
			if (step == 3) {
				CU_ASSERT_EQUAL(pd_era_take_metadata_snap(e), 0);
				m->era++;
				CU_ASSERT_EQUAL(pd_era_take_metadata_snap(e), -EBUSY);
				CU_ASSERT_EQUAL_FATAL(pd_era_commit(e), 0);
				CU_ASSERT(sound(io, check_era));
			}
			if (step % 3 == 1) {
				pd_era_close(e);
				CU_ASSERT_EQUAL_FATAL(pd_era_open(&e, io, 128, NULL), 0);
				CU_ASSERT(same_era(e, m));
			}
		}
		CU_ASSERT_EQUAL(pd_era_drop_metadata_snap(e), 0);
		CU_ASSERT_EQUAL(pd_era_drop_metadata_snap(e), -ENODATA);
		CU_ASSERT_EQUAL(pd_era_begin(e), 0);
		m->era++;
		CU_ASSERT_EQUAL(pd_era_resize(e, NR_BLOCKS), -EBUSY);
		CU_ASSERT_EQUAL(pd_era_end(e), 0);
		CU_ASSERT_EQUAL(pd_era_resize(e, 1u << 31), -EINVAL);
		CU_ASSERT_EQUAL(pd_era_resize(e, NR_BLOCKS), 0);
		m->nr = NR_BLOCKS;
		CU_ASSERT_EQUAL_FATAL(change_era(e, m, &state, 100), 0);
		CU_ASSERT_EQUAL_FATAL(pd_era_commit(e), 0);
		while (!pd_era_digest(e))
			;
		CU_ASSERT(same_era(e, m));
		CU_ASSERT_EQUAL_FATAL(pd_era_commit(e), 0);
		pd_era_close(e);
		CU_ASSERT(sound(io, check_era));
		pd_io_close(io);
	}
	free(m);
	free(old);
	CU_ASSERT_EQUAL(pd_era_create(NULL, 12, 9, NULL), -EINVAL);
	CU_ASSERT_EQUAL(pd_era_create(NULL, 8, 1u << 31, NULL), -EINVAL);
}

/* ---- Clones ---- */

#define NR_REGIONS 70001u

static bool same_clone(struct pd_clone *c, const bool *hydrated)
{
	uint64_t at = 0, begin, end;
	bool is;

	for (uint64_t i = 0; i < NR_REGIONS; i++)
		if (pd_clone_is_hydrated(c, i, &is) || is != hydrated[i])
			return false;
	while (!pd_clone_next_hydrated(c, at, &begin, &end)) {
		for (; at < begin; at++)
			if (hydrated[at])
				return false;
		for (; at < end; at++)
			if (!hydrated[at])
				return false;
	}
	for (; at < NR_REGIONS; at++)
		if (hydrated[at])
			return false;
	return pd_clone_is_hydrated(c, NR_REGIONS, &is) == -EINVAL;
}

static void test_clones_against_a_model(void)
{
	bool *m = calloc(NR_REGIONS, 1), *old = malloc(NR_REGIONS);
	struct pd_clone_info info;
	struct pd_run run = { .nr_threads = 1 };
	uint64_t state = 9;
	struct pd_clone *c;
	struct pd_io *io;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 100), 0);
	CU_ASSERT_EQUAL_FATAL(pd_clone_format(io, 8, 8 * NR_REGIONS - 3, 0, 0, &run), 0);
	CU_ASSERT_EQUAL_FATAL(pd_clone_open(&c, io, 128, NULL), 0);
	pd_clone_get_info(c, &info);
	CU_ASSERT_EQUAL(info.nr_regions, NR_REGIONS);
	for (unsigned step = 0; step < 9; step++) {
		memcpy(old, m, NR_REGIONS);
		for (unsigned i = 0; i < 20; i++) {
			uint64_t b = rnd(&state, NR_REGIONS), len = rnd(&state, i % 4 ? 20 : 3000);
			uint64_t end = min_t(uint64_t, NR_REGIONS, b + len);

			CU_ASSERT_EQUAL_FATAL(pd_clone_set_hydrated(c, b, end), 0);
			memset(m + b, true, end - b);
		}
		CU_ASSERT(same_clone(c, m));
		CU_ASSERT_EQUAL(pd_clone_set_hydrated(c, 5, NR_REGIONS + 1), -EINVAL);
		if (step % 3 == 2) {
			CU_ASSERT_EQUAL_FATAL(pd_clone_abort(c), 0);
			memcpy(m, old, NR_REGIONS);
			continue;
		}
		CU_ASSERT_EQUAL_FATAL(pd_clone_commit(c), 0);
		CU_ASSERT(sound(io, check_clone));
		pd_clone_close(c);
		CU_ASSERT_EQUAL_FATAL(pd_clone_open(&c, io, 128, NULL), 0);
		CU_ASSERT(same_clone(c, m));
	}
	pd_clone_close(c);
	pd_io_close(io);
	free(m);
	free(old);
}

/* ---- Power cuts, failures ---- */

static int some_work(struct pd_io *io, unsigned which, struct cache_model *m)
{
	uint64_t seed = 3, state = 4;
	struct pd_cache *c = NULL;
	struct pd_era *e = NULL;
	struct era_model *em;
	struct pd_clone *l = NULL;
	int r;

	switch (which) {
	case 0:
	case 1:
		r = open_cache(&c, io);
		for (unsigned i = 0; !r && i < 3; i++) {
			r = change_cache(c, m, &seed, 100);
			if (!r)
				r = pd_cache_commit(c);
		}
		pd_cache_close(c);
		return r;
	case 2:
		em = calloc(1, sizeof(*em));
		em->nr = 4000;
		r = pd_era_open(&e, io, 128, NULL);
		for (unsigned i = 0; !r && i < 3; i++) {
			r = change_era(e, em, &state, 60);
			if (!r)
				r = pd_era_commit(e);
		}
		pd_era_close(e);
		free(em);
		return r;
	default:
		r = pd_clone_open(&l, io, 128, NULL);
		for (unsigned i = 0; !r && i < 3; i++) {
			r = pd_clone_set_hydrated(l, 30000 * i, 30000 * i + 5000);
			if (!r)
				r = pd_clone_commit(l);
		}
		pd_clone_close(l);
		return r;
	}
}

static int (*const checks[])(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res) = {
	check_cache, check_cache, check_era, check_clone,
};

struct work {
	unsigned which;
	struct cache_model *m;
};

static int prepare(void *ctx, struct pd_io **io)
{
	struct work *w = ctx;
	struct pd_run run = { .nr_threads = 1 };
	int r = pd_io_open_ram(io, 400);

	memset(w->m, 0, sizeof(*w->m));
	w->m->nr = 1500;
	if (!r)
		r = w->which < 2 ? prepare_cache(*io, w->m, 1 + w->which) :
		    w->which == 2 ? pd_era_create(*io, 8, 4000, NULL) :
				    pd_clone_format(*io, 8, 8 * NR_REGIONS, 0, 0, &run);
	return r;
}

static int work(void *ctx, struct pd_io *io)
{
	struct work *w = ctx;

	memset(w->m, 0, sizeof(*w->m));
	w->m->nr = 1500;
	return some_work(io, w->which, w->m);
}

static void test_a_power_cut_leaves_sound_metadata(void)
{
	struct work w = { .m = malloc(sizeof(*w.m)) };

	for (w.which = 0; w.which < ARRAY_SIZE(checks); w.which++) {
		struct pd_io *ram, *io, *disk;

		CU_ASSERT_EQUAL_FATAL(prepare(&w, &ram), 0);
		CU_ASSERT_EQUAL_FATAL(pd_io_crash(&io, ram), 0);
		CU_ASSERT_EQUAL_FATAL(work(&w, io), 0);
		for (uint64_t n = 0; n <= pd_crash_nr_writes(io); n++) {
			CU_ASSERT_EQUAL_FATAL(pd_crash_disk(io, n, n * 7 + 1, &disk), 0);
			CU_ASSERT(sound(disk, checks[w.which]));
			pd_io_close(disk);
		}
		pd_io_close(io);
	}
	free(w.m);
}

static void test_failures_come_back(void)
{
	struct work w = { .m = malloc(sizeof(*w.m)) };

	for (w.which = 0; w.which < ARRAY_SIZE(checks); w.which++)
		CU_ASSERT(fault_each_io(prepare, PD_FAULT_ANY, work, &w) > 5);
	free(w.m);
}

UNIT_SUITE(handles,
	UNIT(test_caches_against_a_model),
	UNIT(test_after_an_unclean_stop_all_is_dirty),
	UNIT(test_eras_against_a_model),
	UNIT(test_clones_against_a_model),
	UNIT(test_a_power_cut_leaves_sound_metadata),
	UNIT(test_failures_come_back));
