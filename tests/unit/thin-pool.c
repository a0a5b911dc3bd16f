/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The thin pool API against a plain model, and against our own check after every commit; arrays, bitsets and
 * the data space map against arrays in memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fault/each.h"
#include "persistent-data/bitset.h"
#include "persistent-data/space-map-disk.h"
#include "unit/random.h"
#include "unit/unit.h"
#include <pdata/err.h>
#include <pdata/thin.h>
#include <pdata/thin-pool.h>

#define NR_DEVS 5u
#define NR_VBLOCKS 700u
#define NR_DBLOCKS 9000u

struct model {
	bool there[NR_DEVS];
	uint64_t map[NR_DEVS][NR_VBLOCKS];	/* data block + 1, 0 if not mapped */
};

static void hear(void *ctx, enum pd_log_level level, const char *text)
{
	(void)level;
	++*(unsigned *)ctx;
	fprintf(stderr, "%s\n", text);
}

static bool sound(struct pd_io *io)
{
	struct pd_thin_check_opts o = { .size = sizeof(o) };
	unsigned said = 0;	/* not even a warning */
	struct pd_log log = { .msg = hear, .ctx = &said, .level = PD_LOG_WARN };
	struct pd_run run = { .log = &log, .nr_threads = 1 };
	struct pd_check_result res;

	return !pd_thin_check(io, &o, &run, &res) && res.worst <= PD_SEV_INFO && !said;
}

static int change(struct pd_thin_pool *p, struct model *m, uint64_t *seed, unsigned nr)
{
	struct pd_thin_pool_info info;
	int r = 0;

	for (unsigned i = 0; i < nr && !r; i++) {
		uint32_t dev = (uint32_t)rnd(seed, NR_DEVS), to = (uint32_t)rnd(seed, NR_DEVS);
		uint64_t v = rnd(seed, NR_VBLOCKS), len = rnd(seed, 30), d;

		if (v + len > NR_VBLOCKS)
			len = NR_VBLOCKS - v;
		switch (rnd(seed, 40)) {
		case 0:
			r = pd_thin_pool_create(p, dev);
			CU_ASSERT(r == (m->there[dev] ? -EEXIST : 0) || r == -EIO || r == -ENOMEM);
			if (!r) {
				m->there[dev] = true;
				memset(m->map[dev], 0, sizeof(m->map[dev]));
			}
			break;
		case 1:
			r = pd_thin_pool_snapshot(p, to, dev);
			if (!r) {
				CU_ASSERT(m->there[dev] && !m->there[to]);
				m->there[to] = true;
				memcpy(m->map[to], m->map[dev], sizeof(m->map[to]));
			}
			break;
		case 2:
			if (rnd(seed, 3))
				break;
			r = pd_thin_pool_delete(p, dev);
			CU_ASSERT(r == (m->there[dev] ? 0 : -ENODATA) || r == -EIO || r == -ENOMEM);
			if (!r)
				m->there[dev] = false;
			break;
		case 3:
			pd_thin_pool_get_info(p, &info);
			r = info.metadata_snap ? pd_thin_pool_release_metadata_snap(p) :
				pd_thin_pool_reserve_metadata_snap(p);
			break;
		case 4: case 5: case 6: case 7: case 8:
			r = pd_thin_pool_remove(p, dev, v, v + len, &d);
			for (uint64_t k = v; !r && k < v + len; k++) {
				d -= !!m->map[dev][k];
				m->map[dev][k] = 0;
			}
			CU_ASSERT(r || !d);
			break;
		case 9: case 10:
			d = rnd(seed, NR_DBLOCKS - 30);
			r = pd_thin_pool_insert(p, dev, v, d, len);
			for (uint64_t k = 0; !r && k < len; k++)
				m->map[dev][v + k] = d + k + 1;
			break;
		default:
			for (uint64_t k = v; !r && k < v + len; k++) {
				r = pd_thin_pool_map(p, dev, k, &d);
				if (!r)
					m->map[dev][k] = d + 1;
			}
		}
		if (r == -EEXIST || r == -ENODATA)
			r = 0;
	}
	return r;
}

static bool same(struct pd_thin_pool *p, const struct model *m)
{
	struct pd_thin_device_info info;
	struct pd_thin_mapping map;

	for (uint32_t dev = 0; dev < NR_DEVS; dev++) {
		uint64_t mapped = 0, next = 0;
		int r = pd_thin_pool_next_device(p, dev, &info);

		if (m->there[dev] != (!r && info.dev_id == dev))
			return false;
		if (!m->there[dev])
			continue;
		for (uint64_t v = 0; v < NR_VBLOCKS; v++) {
			r = pd_thin_pool_lookup(p, dev, v, &map);
			if (m->map[dev][v] ? r || map.dblock + 1 != m->map[dev][v] : r != -ENODATA)
				return false;
			mapped += !!m->map[dev][v];
		}
		if (info.mapped_blocks != mapped)
			return false;
		for (; !(r = pd_thin_pool_next_mapping(p, dev, next, &map)); next = map.vblock + 1)
			mapped--;
		if (mapped || r != -ENODATA)
			return false;
	}
	return true;
}

static void test_pools_made_by_the_api_are_sound(void)
{
	struct model *m = malloc(sizeof(*m)), *old = malloc(sizeof(*m));
	const char *s = getenv("PD_TEST_SCALE");
	uint64_t nr_seeds = 3 * (uint64_t)(s && atoi(s) > 0 ? atoi(s) : 1);
	struct pd_thin_pool *p;
	struct pd_io *io;

	for (uint64_t seed = 1; seed <= nr_seeds; seed++) {
		uint64_t state = seed;

		memset(m, 0, sizeof(*m));
		*old = *m;
		CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 2000), 0);
		CU_ASSERT_EQUAL_FATAL(pd_thin_pool_format(io, 128, NR_DBLOCKS, NULL), 0);
		CU_ASSERT(sound(io));
		CU_ASSERT_EQUAL_FATAL(pd_thin_pool_open(&p, io, 256, NULL), 0);
		for (unsigned step = 0; step < 10; step++) {
			int r = change(p, m, &state, 120);

			CU_ASSERT_EQUAL_FATAL(r, 0);
			CU_ASSERT(same(p, m));
			if (step == 4 || step == 8) {
				/* reserving a snapshot commits: the last commit is not ours to know */
				pd_thin_pool_close(p);
				CU_ASSERT(sound(io));
				CU_ASSERT_EQUAL_FATAL(pd_thin_pool_open(&p, io, 256, NULL), 0);
				for (uint32_t dev = 0; dev < NR_DEVS; dev++) {
					struct pd_thin_device_info info;
					struct pd_thin_mapping map;

					m->there[dev] = !pd_thin_pool_next_device(p, dev, &info) &&
						info.dev_id == dev;
					memset(m->map[dev], 0, sizeof(m->map[dev]));
					for (uint64_t v = 0; !pd_thin_pool_next_mapping(p, dev, v, &map);
					     v = map.vblock + 1)
						m->map[dev][map.vblock] = map.dblock + 1;
				}
				continue;
			}
			CU_ASSERT_EQUAL_FATAL(pd_thin_pool_commit(p), 0);
			CU_ASSERT(sound(io));
			*old = *m;
		}
		CU_ASSERT_EQUAL(pd_thin_pool_resize_data(p, NR_DBLOCKS - 1), -EINVAL);
		CU_ASSERT_EQUAL(pd_thin_pool_resize_data(p, NR_DBLOCKS + 20000), 0);
		CU_ASSERT_EQUAL(pd_thin_pool_set_transaction_id(p, 5, 6), -EINVAL);
		CU_ASSERT_EQUAL(pd_thin_pool_set_transaction_id(p, 0, 6), 0);
		CU_ASSERT_EQUAL_FATAL(pd_thin_pool_commit(p), 0);
		CU_ASSERT(sound(io));
		CU_ASSERT_EQUAL(pd_thin_pool_create(p, 77), 0);
		CU_ASSERT_EQUAL_FATAL(pd_thin_pool_abort(p), 0);
		CU_ASSERT(same(p, m));
		pd_thin_pool_close(p);
		pd_io_close(io);
	}
	free(m);
	free(old);
}

static void test_times_say_what_is_shared(void)
{
	struct pd_thin_mapping map;
	struct pd_thin_pool *p;
	struct pd_io *io;
	uint64_t d, e;
	uint32_t count;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 200), 0);
	CU_ASSERT_EQUAL(pd_thin_pool_format(io, 100, 10, NULL), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(pd_thin_pool_format(io, 128, 10, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(pd_thin_pool_open(&p, io, 0, NULL), 0);
	CU_ASSERT(!pd_thin_pool_create(p, 1) && !pd_thin_pool_map(p, 1, 5, &d));
	CU_ASSERT(!pd_thin_pool_lookup(p, 1, 5, &map) && !map.shared && map.dblock == d);
	CU_ASSERT(!pd_thin_pool_snapshot(p, 2, 1));
	CU_ASSERT(!pd_thin_pool_lookup(p, 1, 5, &map) && map.shared);
	CU_ASSERT(!pd_thin_pool_lookup(p, 2, 5, &map) && map.shared && map.dblock == d);
	CU_ASSERT(!pd_thin_pool_map(p, 2, 5, &e) && e != d);
	CU_ASSERT(!pd_thin_pool_lookup(p, 2, 5, &map) && !map.shared && map.dblock == e);
	CU_ASSERT(!pd_thin_pool_data_count(p, d, &count) && count == 1);
	/* a block given back can be taken only after a commit, if it was in the last one */
	CU_ASSERT(!pd_thin_pool_commit(p) && !pd_thin_pool_remove(p, 1, 0, 10, NULL));
	for (unsigned i = 0; i < 8; i++)
		CU_ASSERT(!pd_thin_pool_map(p, 1, 100 + i, &e) && e != d);
	CU_ASSERT_EQUAL(pd_thin_pool_map(p, 1, 200, &e), -ENOSPC);
	CU_ASSERT(!pd_thin_pool_commit(p) && !pd_thin_pool_map(p, 1, 200, &e) && e == d);
	CU_ASSERT_EQUAL(pd_thin_pool_commit(p), 0);
	pd_thin_pool_close(p);
	CU_ASSERT(sound(io));
	pd_io_close(io);
}

static void test_a_power_cut_leaves_a_sound_pool(void)
{
	struct model *m = calloc(1, sizeof(*m));
	struct pd_io *ram, *io, *disk;
	struct pd_thin_pool *p;
	uint64_t seed = 3, before;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&ram, 1500), 0);
	CU_ASSERT_EQUAL_FATAL(pd_thin_pool_format(ram, 128, NR_DBLOCKS, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(pd_io_crash(&io, ram), 0);
	CU_ASSERT_EQUAL_FATAL(pd_thin_pool_open(&p, io, 128, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(change(p, m, &seed, 150), 0);
	CU_ASSERT_EQUAL_FATAL(pd_thin_pool_commit(p), 0);
	before = pd_crash_nr_writes(io);
	CU_ASSERT_EQUAL_FATAL(change(p, m, &seed, 150), 0);
	CU_ASSERT_EQUAL_FATAL(pd_thin_pool_commit(p), 0);
	for (uint64_t w = before; w <= pd_crash_nr_writes(io); w++) {
		CU_ASSERT_EQUAL_FATAL(pd_crash_disk(io, w, w * 7 + 1, &disk), 0);
		CU_ASSERT(sound(disk));
		pd_io_close(disk);
	}
	pd_thin_pool_close(p);
	pd_io_close(io);
	free(m);
}

static int fault_open(void *ctx, struct pd_io **io)
{
	int r = pd_io_open_ram(io, 300);

	(void)ctx;
	if (!r)
		r = pd_thin_pool_format(*io, 128, NR_DBLOCKS, NULL);
	return r;
}

static int fault_op(void *ctx, struct pd_io *io)
{
	struct model *m = ctx;
	struct pd_thin_pool *p = NULL;
	uint64_t seed = 11;
	int r = pd_thin_pool_open(&p, io, 128, NULL);

	memset(m, 0, sizeof(*m));
	if (!r)
		r = change(p, m, &seed, 25);
	if (!r)
		r = pd_thin_pool_commit(p);
	pd_thin_pool_close(p);
	return r;
}

static void test_every_failure_comes_back(void)
{
	struct model *m = malloc(sizeof(*m));

	CU_ASSERT(fault_each_io(fault_open, PD_FAULT_ANY, fault_op, m) > 5);
	free(m);
}

/* ---- Arrays, bitsets, data space map ---- */

static void test_arrays_and_bitsets_against_plain_ones(void)
{
	static uint64_t want[6000];
	struct array a = { .value = { .size = 8 } };
	uint64_t root, nr = 0, seed = 5;
	struct array_cursor c;
	struct bitset s;
	struct pd_io *io;
	struct pd_tm *tm;
	le64 v;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 2000), 0);
	CU_ASSERT_EQUAL_FATAL(tm_create(&tm, io, 256, NULL), 0);
	a.tm = tm;
	CU_ASSERT_EQUAL_FATAL(array_empty(&a, &root), 0);
	CU_ASSERT_EQUAL(array_cursor_begin(&a, root, &c), -ENODATA);
	for (unsigned step = 0; step < 200; step++) {
		uint64_t to = rnd(&seed, ARRAY_SIZE(want)), i;

		v = le64_put(step);
		CU_ASSERT_EQUAL_FATAL(array_resize(&a, &root, nr, to, &v), 0);
		for (i = nr; i < to; i++)
			want[i] = step;
		nr = to;
		for (unsigned k = 0; k < 50 && nr; k++) {
			i = rnd(&seed, nr);
			want[i] = rnd(&seed, 1u << 31);
			v = le64_put(want[i]);
			CU_ASSERT_EQUAL_FATAL(array_set(&a, &root, i, &v), 0);
		}
		i = 0;
		if (nr && !array_cursor_begin(&a, root, &c))
			do {
				memcpy(&v, array_cursor_get(&c), sizeof(v));
				CU_ASSERT(i < nr && le64_get(v) == want[i]);
				i++;
			} while (!array_cursor_next(&c));
		CU_ASSERT_EQUAL(i, nr);
		CU_ASSERT_EQUAL(array_get(&a, root, nr, &v), -ENODATA);
	}
	CU_ASSERT_EQUAL(array_del(&a, root), 0);
	CU_ASSERT_EQUAL(tm_nr_free(tm), 1999);

	memset(want, 0, sizeof(want));
	CU_ASSERT_EQUAL_FATAL(bitset_create(&s, tm, 0, false), 0);
	nr = 0;
	for (unsigned step = 0; step < 300; step++) {
		uint64_t to = rnd(&seed, ARRAY_SIZE(want)), begin, end = 0, seen = 0;
		bool value = step & 1, got;

		CU_ASSERT_EQUAL_FATAL(bitset_resize(&s, to, value), 0);
		for (uint64_t i = nr; i < to; i++)
			want[i] = value;
		nr = to;
		for (unsigned k = 0; k < 30 && nr; k++) {
			uint64_t i = rnd(&seed, nr);

			want[i] = rnd(&seed, 2);
			CU_ASSERT_EQUAL(want[i] ? bitset_set(&s, i) : bitset_clear(&s, i), 0);
		}
		for (unsigned k = 0; k < 30 && nr; k++) {
			uint64_t i = rnd(&seed, nr);

			CU_ASSERT(!bitset_test(&s, i, &got) && got == want[i]);
		}
		while (!bitset_next_run(&s, &begin, &end, &got)) {
			CU_ASSERT_FATAL(end > begin);
			for (uint64_t i = begin; i < end; i++)
				CU_ASSERT(want[i] == got);
			seen = end;
		}
		CU_ASSERT_EQUAL(seen, nr);
		CU_ASSERT_EQUAL(bitset_test(&s, nr, &got), -ENODATA);
	}
	CU_ASSERT_EQUAL(bitset_flush(&s), 0);
	CU_ASSERT_EQUAL(array_del(&s.words, s.root), 0);
	CU_ASSERT_EQUAL(tm_nr_free(tm), 1999);
	CU_ASSERT_EQUAL(bm_nr_held(tm_bm(tm)), 0);
	tm_destroy(tm);
	pd_io_close(io);
}

static void test_data_counts_against_plain_ones(void)
{
	enum { NR = 40000 };
	uint32_t *want = calloc(NR, sizeof(*want)), got;
	uint64_t seed = 9, nr = 0, allocated = 0;
	struct sm_disk sm;
	struct pd_io *io;
	struct pd_tm *tm;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 2000), 0);
	CU_ASSERT_EQUAL_FATAL(tm_create(&tm, io, 256, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(sm_disk_create(&sm, tm, 0), 0);
	CU_ASSERT_EQUAL(sm_disk_new_block(&sm, &nr), -ENOSPC);
	nr = 0;
	for (unsigned step = 0; step < 60000; step++) {
		uint64_t b;

		if (step % 6000 == 0) {
			nr += 4000;
			CU_ASSERT_EQUAL_FATAL(sm_disk_extend(&sm, nr), 0);
		}
		b = rnd(&seed, nr / 4);
		switch (rnd(&seed, 4)) {
		case 0:
			CU_ASSERT_EQUAL(sm_disk_dec(&sm, b), want[b] ? 0 : -EUCLEAN);
			want[b] -= !!want[b];
			break;
		case 1:
			CU_ASSERT_EQUAL_FATAL(sm_disk_new_block(&sm, &b), 0);
			CU_ASSERT(b < nr && !want[b]);
			want[b]++;
			break;
		default:
			CU_ASSERT_EQUAL_FATAL(sm_disk_inc(&sm, b), 0);
			want[b]++;
		}
	}
	for (uint64_t b = 0; b < nr; b++) {
		CU_ASSERT(!sm_disk_count(&sm, b, &got) && got == want[b]);
		allocated += !!want[b];
	}
	CU_ASSERT_EQUAL(sm.nr_allocated, allocated);
	CU_ASSERT_EQUAL(sm_disk_inc(&sm, nr), -EUCLEAN);
	CU_ASSERT_EQUAL(bm_nr_held(tm_bm(tm)), 0);
	tm_destroy(tm);
	pd_io_close(io);
	free(want);
}

UNIT_SUITE(thin_pool,
	UNIT(test_arrays_and_bitsets_against_plain_ones),
	UNIT(test_data_counts_against_plain_ones),
	UNIT(test_times_say_what_is_shared),
	UNIT(test_pools_made_by_the_api_are_sound),
	UNIT(test_a_power_cut_leaves_a_sound_pool),
	UNIT(test_every_failure_comes_back));
