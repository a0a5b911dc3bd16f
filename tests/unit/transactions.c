/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Trees under transactions, small and by hand; by seeds: properties.c. */
#include <errno.h>
#include <stdlib.h>
#include "persistent-data/btree.h"
#include "unit/unit.h"
#include "unit/world.h"

#define CACHE 512u

static void test_a_full_device_says_so_and_the_last_commit_stays(void)
{
	struct world *w = malloc(sizeof(*w));
	struct shape s = { .levels = 2, .value_size = 8, .array_value_size = 8, .nr_blocks = 60, .cache = CACHE };
	struct pd_io *io;
	int r = 0;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, s.nr_blocks), 0);
	CU_ASSERT_EQUAL_FATAL(world_make(w, io, &s, 7), 0);
	for (unsigned i = 0; i < 1000 && !r; i++) {
		r = world_change(w, 200);
		if (!r)
			r = world_commit(w);
	}
	CU_ASSERT_EQUAL(r, -ENOSPC);
	CU_ASSERT_EQUAL(world_abort(w), 0);
	CU_ASSERT_EQUAL(world_same(w, &w->old), 0);
	CU_ASSERT_EQUAL(world_reopen(w), 0);
	CU_ASSERT_EQUAL(world_same(w, &w->old), 0);
	CU_ASSERT(world_exact(io, &s));
	world_close(w);
	pd_io_close(io);
	free(w);
}

static void test_cursor_and_neighbours(void)
{
	struct btree t = { .levels = 1, .value = { .size = 8 } };
	struct btree_cursor c;
	struct pd_io *io;
	uint64_t root, key, want = 10;
	le64 v;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 200), 0);
	CU_ASSERT_EQUAL_FATAL(tm_create(&t.tm, io, CACHE, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(btree_empty(&t, &root), 0);
	CU_ASSERT_EQUAL(btree_cursor_begin(&t, root, &c), -ENODATA);
	CU_ASSERT_EQUAL(btree_lowest(&t, root, &key), -ENODATA);
	for (uint64_t k = 10; k < 20010; k += 10) {
		v = le64_put(k * 2);
		CU_ASSERT_EQUAL_FATAL(btree_insert(&t, &root, &k, &v, NULL), 0);
	}
	CU_ASSERT_EQUAL_FATAL(btree_cursor_begin(&t, root, &c), 0);
	do {
		btree_cursor_get(&c, &key, &v);
		CU_ASSERT(key == want && le64_get(v) == want * 2);
		want += 10;
	} while (!btree_cursor_next(&c));
	CU_ASSERT_EQUAL(want, 20010);
	CU_ASSERT_EQUAL_FATAL(btree_cursor_begin(&t, root, &c), 0);
	CU_ASSERT_EQUAL(btree_cursor_skip(&c, 1500), 0);
	btree_cursor_get(&c, &key, NULL);
	CU_ASSERT_EQUAL(key, 15010);
	btree_cursor_end(&c);
	want = 15005;
	CU_ASSERT(!btree_lookup_low(&t, root, &want, &key, NULL) && key == 15000);
	CU_ASSERT(!btree_lookup_next(&t, root, &want, &key, NULL) && key == 15010);
	want = 5;
	CU_ASSERT(btree_lookup_low(&t, root, &want, &key, NULL) == -ENODATA);
	CU_ASSERT(!btree_lookup_next(&t, root, &want, &key, NULL) && key == 10);
	CU_ASSERT(!btree_lowest(&t, root, &key) && key == 10);
	CU_ASSERT(!btree_highest(&t, root, &key) && key == 20000);
	CU_ASSERT_EQUAL(btree_del(&t, root), 0);
	CU_ASSERT_EQUAL(tm_nr_free(t.tm), 199);
	CU_ASSERT_EQUAL(bm_nr_held(tm_bm(t.tm)), 0);
	tm_destroy(t.tm);
	pd_io_close(io);
}

UNIT_SUITE(transactions,
	UNIT(test_a_full_device_says_so_and_the_last_commit_stays),
	UNIT(test_cursor_and_neighbours));
