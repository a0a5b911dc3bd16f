/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Properties of trees, arrays, bitsets and space maps, by seeds: what they hold is what a plain model holds, every block
 * is counted as often as it is pointed to, nodes are as full as the kernel keeps them; whatever request or allocation
 * fails, the last commit stays; wherever the power is cut, the old or the new transaction is there.
 * PD_TEST_SCALE: so many times the histories; PD_TEST_SEED: the first of them, which a failing test prints.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fault/each.h"
#include "persistent-data/disk.h"
#include "persistent-data/space-map-core.h"
#include "unit/unit.h"
#include "unit/world.h"

static uint64_t env(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

static uint64_t scale(void) { return env("PD_TEST_SCALE", 1); }
static uint64_t first_seed(void) { return env("PD_TEST_SEED", 1); }

static unsigned nr_failures(void) { return CU_get_number_of_failures(); }

static void tell(uint64_t seed, const struct shape *s, unsigned before)
{
	if (nr_failures() > before)
		printf("seed %" PRIu64 ": %u levels, values of %" PRIu32 " bytes, arrays of %" PRIu32 ", cache of %" PRIu32
		       "\n", seed, s->levels, s->value_size, s->array_value_size, s->cache);
}

/* One history; @nr_ops each transaction. */
static uint64_t history(uint64_t seed, struct shape s, unsigned nr_transactions, unsigned nr_ops)
{
	struct world *w = malloc(sizeof(*w));
	unsigned before = nr_failures();
	uint64_t done;
	struct pd_io *io;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, s.nr_blocks), 0);
	CU_ASSERT_EQUAL_FATAL(world_make(w, io, &s, seed), 0);
	for (unsigned t = 0; t < nr_transactions; t++) {
		int r = world_change(w, 1 + (unsigned)rnd(&w->seed, 2 * nr_ops));

		CU_ASSERT_EQUAL(r, 0);
		if (r)
			break;
		CU_ASSERT_EQUAL(pd_bm_nr_held(pd_tm_bm(w->tm)), 0);
		CU_ASSERT_EQUAL(world_same(w, &w->now), 0);
		if (rnd(&w->seed, 5)) {
			CU_ASSERT_EQUAL(world_commit(w), 0);
			CU_ASSERT(world_exact(io, &s));
		} else {
			CU_ASSERT_EQUAL(world_abort(w), 0);
			CU_ASSERT_EQUAL(world_same(w, &w->old), 0);
		}
		if (nr_failures() > before)
			break;
		if (!rnd(&w->seed, 5)) {
			CU_ASSERT_EQUAL_FATAL(world_reopen(w), 0);
			CU_ASSERT_EQUAL(world_same(w, &w->now), 0);
		}
	}
	done = w->nr_ops;
	world_close(w);
	pd_io_close(io);
	free(w);
	tell(seed, &s, before);
	return done;
}

static void test_what_is_held_is_what_was_put_and_counts_are_exact(void)
{
	uint64_t nr_ops = 0, begin = first_seed(), end = begin + 12 * scale();

	for (uint64_t seed = begin; seed < end; seed++)
		nr_ops += history(seed, shape_of(seed), 10, 800);
	if (scale() > 1)
		printf("%" PRIu64 " operations, seeds %" PRIu64 " to %" PRIu64 "\n", nr_ops, begin, end - 1);
}

/* Each value size from 1 to 64, and each that makes another number of entries fit. */
static void test_values_of_any_size(void)
{
	uint64_t nr_ops = 0;

	for (uint32_t size = 1, last = 0; size <= PD_BTREE_MAX_VALUE_SIZE; size++) {
		struct shape s = { .levels = 1 + size % 3, .value_size = size, .array_value_size = 3 * size,
				   .nr_blocks = 12000, .cache = 256, .high_keys = size & 1 };

		if (size > 64 && node_max_entries(size) == last && size < PD_BTREE_MAX_VALUE_SIZE)
			continue;
		last = node_max_entries(size);
		s.array_value_size = s.array_value_size > PD_ARRAY_MAX_VALUE_SIZE ? PD_ARRAY_MAX_VALUE_SIZE :
			s.array_value_size;
		if (scale() > 1 || size % 9 == 1 || size > 1000)
			nr_ops += history(size + first_seed(), s, 3, 1200);
	}
	if (scale() > 1)
		printf("%" PRIu64 " operations\n", nr_ops);
}

/* ---- Failures ---- */

struct faults {
	struct world *w;
	struct model before, after;
	struct shape s;
	uint64_t seed;
};

static int open_ram(void *ctx, struct pd_io **io)
{
	return pd_io_open_ram(io, ((struct faults *)ctx)->s.nr_blocks);
}

/* The disk has the last commit, or the one under way if that failed at its very end. */
static void look_again(struct faults *f, struct pd_io *io)
{
	struct world *w = f->w;
	bool old, new;

	world_close(w);
	if (world_open(w, io, &f->s)) {
		CU_FAIL("the last commit is gone");
	} else {
		old = world_same(w, &f->before) == 0;
		new = world_same(w, &f->after) == 0;
		CU_ASSERT(old || new);
		CU_ASSERT(world_exact(io, &f->s));
	}
	world_close(w);
}

static int fault_op(void *ctx, struct pd_io *io)
{
	struct faults *f = ctx;
	struct world *w = f->w;
	unsigned failed = nr_failures();
	int r = world_make(w, io, &f->s, f->seed);

	for (unsigned i = 0; i < 3 && !r; i++) {
		r = world_change(w, 60);
		f->before = w->old;
		f->after = w->now;
		if (!r)
			r = world_commit(w);
		/* nothing in the cache: what is read next may fail, too */
		if (!r) {
			f->before = w->old;
			r = world_reopen(w);
		}
		/* a failure leaves abort, which works but where the superblock is in doubt */
		if (r && w->tm && w->committed) {
			int a = world_abort(w);

			CU_ASSERT(a == 0 || (a == -EIO && r == -EIO));
			if (!a) {
				CU_ASSERT_EQUAL(world_same(w, &f->before), 0);
				f->after = f->before;
			}
		}
	}
	/* it fails once: from here on nothing does */
	if (r && w->committed)
		look_again(f, io);
	world_close(w);
	tell(f->seed, &f->s, failed);
	return r;
}

static int alloc_op(void *ctx)
{
	struct pd_io *io;
	int r = open_ram(ctx, &io);

	if (!r) {
		r = fault_op(ctx, io);
		pd_io_close(io);
	}
	return r;
}

static void test_whatever_fails_the_last_commit_stays(void)
{
	struct faults *f = malloc(sizeof(*f));
	uint64_t nr = 0, begin = first_seed(), end = begin + 1 + scale() / 20;

	f->w = malloc(sizeof(*f->w));
	for (uint64_t seed = begin; seed < end; seed++) {
		f->seed = seed;
		f->s = shape_of(seed);
		f->s.nr_blocks = 1500;
		nr += fault_each_io(open_ram, PD_FAULT_ANY, fault_op, f);
		nr += fault_each_alloc(alloc_op, f);
	}
	CU_ASSERT(nr > 50);
	if (scale() > 1)
		printf("%" PRIu64 " failures, seeds %" PRIu64 " to %" PRIu64 "\n", nr, begin, end - 1);
	free(f->w);
	free(f);
}

/* ---- Power cuts ---- */

static unsigned cuts(uint64_t seed, unsigned nr_ops, unsigned nr_disks)
{
	struct world *w = malloc(sizeof(*w)), *g = malloc(sizeof(*g));
	struct model *old = malloc(sizeof(*old)), *new = malloc(sizeof(*new));
	struct shape s = shape_of(seed);
	unsigned olds = 0, news = 0, nr = 0, failed = nr_failures();
	struct pd_io *ram, *io, *disk;
	uint64_t before, after;

	s.nr_blocks = 3000;
	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&ram, s.nr_blocks), 0);
	CU_ASSERT_EQUAL_FATAL(pd_io_crash(&io, ram), 0);
	CU_ASSERT_EQUAL_FATAL(world_make(w, io, &s, seed), 0);
	CU_ASSERT_EQUAL_FATAL(world_change(w, 4 * nr_ops), 0);
	CU_ASSERT_EQUAL_FATAL(world_commit(w), 0);
	before = pd_crash_nr_writes(io);
	CU_ASSERT_EQUAL_FATAL(world_change(w, nr_ops), 0);
	*old = w->old;
	*new = w->now;
	CU_ASSERT_EQUAL_FATAL(world_commit(w), 0);
	after = pd_crash_nr_writes(io);
	/* from the first write on: by then the commit before is flushed */
	for (uint64_t n = before + 1; n <= after; n++)
		for (uint64_t d = 0; d < nr_disks; d++, nr++) {
			CU_ASSERT_EQUAL_FATAL(pd_crash_disk(io, n, d, &disk), 0);
			CU_ASSERT_EQUAL_FATAL(world_open(g, disk, &s), 0);
			if (!world_same(g, old))
				olds++;
			else if (!world_same(g, new))
				news++;
			else
				CU_FAIL("neither the old nor the new transaction");
			world_close(g);
			CU_ASSERT(world_exact(disk, &s));
			pd_io_close(disk);
		}
	CU_ASSERT(olds && news);
	world_close(w);
	pd_io_close(io);
	free(w);
	free(g);
	free(old);
	free(new);
	tell(seed, &s, failed);
	return nr;
}

static void test_a_power_cut_leaves_one_transaction_or_the_other(void)
{
	uint64_t nr = 0, begin = first_seed(), end = begin + 1 + scale() / 10;

	for (uint64_t seed = begin; seed < end; seed++)
		nr += cuts(seed, scale() > 1 ? 300 : 40, 2);
	if (scale() > 1)
		printf("%" PRIu64 " disks, seeds %" PRIu64 " to %" PRIu64 "\n", nr, begin, end - 1);
}

/* ---- The largest device ---- */

static void test_a_metadata_device_grows_up_to_255_bitmaps(void)
{
	static const uint64_t sizes[] = { 16319, 16320, 16321, 2 * 16320, 40000, 255 * 16320 - 1, 255 * 16320,
					  255 * 16320 + 5000 };
	/* 16 GiB of addresses are for 64 bits only */
	unsigned nr_sizes = sizeof(void *) < 8 ? 5 : ARRAY_SIZE(sizes);
	struct world *w = malloc(sizeof(*w));
	struct shape s = shape_of(first_seed());
	struct pd_io *io;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, sizes[nr_sizes - 1]), 0);
	io->nr_blocks = 9000;
	CU_ASSERT_EQUAL_FATAL(world_make(w, io, &s, first_seed()), 0);
	for (unsigned i = 0; i < nr_sizes; i++) {
		uint64_t want = sizes[i] < MAX_METADATA_BLOCKS ? sizes[i] : MAX_METADATA_BLOCKS, nr;

		CU_ASSERT_EQUAL_FATAL(world_change(w, 300), 0);
		io->nr_blocks = sizes[i];
		CU_ASSERT_EQUAL_FATAL(pd_sm_extend(pd_tm_sm(w->tm), UINT64_MAX), 0);
		CU_ASSERT_EQUAL(pd_sm_nr_blocks(pd_tm_sm(w->tm)), want);
		/* the new blocks can be had, up to the last one */
		CU_ASSERT_EQUAL(pd_sm_set_count(pd_tm_sm(w->tm), want - 1, 7), 0);
		CU_ASSERT_EQUAL(pd_sm_set_count(pd_tm_sm(w->tm), want, 1), -EINVAL);
		CU_ASSERT_EQUAL_FATAL(world_change(w, 300), 0);
		CU_ASSERT_EQUAL_FATAL(world_commit(w), 0);
		CU_ASSERT_EQUAL_FATAL(world_reopen(w), 0);
		CU_ASSERT_EQUAL(world_same(w, &w->now), 0);
		/* what has count 7 is nobody's, and goes again */
		nr = pd_sm_nr_free(pd_tm_sm(w->tm));
		CU_ASSERT_EQUAL(pd_sm_set_count(pd_tm_sm(w->tm), want - 1, 0), 0);
		CU_ASSERT_EQUAL(pd_sm_nr_free(pd_tm_sm(w->tm)), nr + 1);
		CU_ASSERT_EQUAL_FATAL(world_commit(w), 0);
		CU_ASSERT(world_exact(io, &s));
	}
	world_close(w);
	pd_io_close(io);
	free(w);
}

/* ---- Space maps ---- */

/* Others stop counting nr_free at the map's end: after growing, those blocks must be found all the same. */
static void test_a_clipped_nr_free_is_mended_when_the_map_grows(void)
{
	struct pd_sm_root root;
	struct pd_sm *sm;
	struct pd_block *b;
	struct index_entry *ie;
	struct pd_io *io;
	struct pd_tm *tm;
	uint64_t nr;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 100), 0);
	CU_ASSERT_EQUAL_FATAL(pd_tm_create(&tm, io, 128, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(pd_sm_create_disk(&sm, tm, 1000), 0);
	CU_ASSERT_EQUAL_FATAL(pd_sm_pre_commit(sm, &root), 0);
	pd_sm_close(sm);
	CU_ASSERT_EQUAL_FATAL(pd_bm_write_lock(pd_tm_bm(tm), root.bitmap_root, PD_BLOCK_NODE, &b), 0);
	ie = node_value_ptr(pd_block_data(b), 0);
	ie->nr_free = le32_put(1000);
	nr = le64_get(ie->blocknr);
	pd_bm_unlock(b);
	/* and one that nobody meant, past the end */
	CU_ASSERT_EQUAL_FATAL(pd_bm_write_lock(pd_tm_bm(tm), nr, PD_BLOCK_BITMAP, &b), 0);
	bitmap_put(pd_block_data(b), 1500, 3);
	pd_bm_unlock(b);
	CU_ASSERT_EQUAL_FATAL(pd_sm_open_disk(&sm, tm, &root), 0);
	for (unsigned i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(pd_sm_new_block(sm, &nr), 0);
	CU_ASSERT_EQUAL(pd_sm_new_block(sm, &nr), -ENOSPC);
	CU_ASSERT_EQUAL_FATAL(pd_sm_extend(sm, 3000), 0);
	for (unsigned i = 1000; i < 3000; i++)
		CU_ASSERT(!pd_sm_new_block(sm, &nr) && nr == i);
	CU_ASSERT_EQUAL(pd_sm_new_block(sm, &nr), -ENOSPC);
	CU_ASSERT_EQUAL(pd_sm_nr_free(sm), 0);
	pd_sm_close(sm);
	pd_tm_destroy(tm);
	pd_io_close(io);
}

static void test_a_map_in_memory_counts_like_a_plain_array(void)
{
	static uint32_t want[20000];
	uint64_t seed = first_seed(), nr = 9000, free_blocks = nr, found;
	struct pd_sm *sm;
	uint32_t got;

	memset(want, 0, sizeof(want));
	CU_ASSERT_EQUAL_FATAL(pd_sm_create_core(&sm, nr), 0);
	for (uint64_t i = 0; i < 60000 * scale(); i++) {
		uint64_t b = rnd(&seed, nr);
		uint32_t count = (uint32_t)rnd(&seed, 5) * (uint32_t)(rnd(&seed, 3) ? 1 : 1u << 30);

		switch (rnd(&seed, 6)) {
		case 0:
			free_blocks += !!want[b];
			free_blocks -= !!count;
			CU_ASSERT_EQUAL(pd_sm_set_count(sm, b, count), 0);
			want[b] = count;
			break;
		case 1:
			CU_ASSERT_EQUAL(pd_sm_inc(sm, b, b + 1), want[b] == UINT32_MAX ? -EUCLEAN : 0);
			free_blocks -= !want[b];
			want[b] += want[b] != UINT32_MAX;
			break;
		case 2:
			CU_ASSERT_EQUAL(pd_sm_dec(sm, b, b + 1), want[b] ? 0 : -EUCLEAN);
			free_blocks += want[b] == 1;
			want[b] -= !!want[b];
			break;
		case 3:
			if (!free_blocks) {
				CU_ASSERT_EQUAL(pd_sm_new_block(sm, &found), -ENOSPC);
				break;
			}
			CU_ASSERT_EQUAL_FATAL(pd_sm_new_block(sm, &found), 0);
			CU_ASSERT_EQUAL(want[found], 0);
			want[found] = 1;
			free_blocks--;
			break;
		case 4:
			if (nr < 20000 && !rnd(&seed, 200)) {
				CU_ASSERT_EQUAL(pd_sm_extend(sm, nr - 1), -EINVAL);
				CU_ASSERT_EQUAL_FATAL(pd_sm_extend(sm, nr + 100), 0);
				nr += 100;
				free_blocks += 100;
			}
			break;
		default:
			CU_ASSERT(!pd_sm_count(sm, b, &got) && got == want[b]);
		}
		CU_ASSERT_EQUAL(pd_sm_nr_free(sm), free_blocks);
	}
	CU_ASSERT_EQUAL(pd_sm_count(sm, nr, &got), -EINVAL);
	CU_ASSERT_EQUAL(pd_sm_pre_commit(sm, &(struct pd_sm_root){ .nr_blocks = 0 }), -EINVAL);
	pd_sm_close(sm);
}

/* ---- What the edge refuses ---- */

static void test_wrong_use_is_refused(void)
{
	struct pd_value_type v = { .size = sizeof(v), .value_size = 8 };
	struct pd_block *b = NULL, *c = NULL;
	struct pd_sm_root root;
	struct pd_btree *t;
	struct pd_array *a;
	struct pd_io *io;
	struct pd_tm *tm;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 100), 0);
	CU_ASSERT_EQUAL_FATAL(pd_tm_create(&tm, io, 0, NULL), 0);
	CU_ASSERT_EQUAL(pd_btree_create(&t, tm, 0, &v), -EINVAL);
	CU_ASSERT_EQUAL(pd_btree_create(&t, tm, PD_BTREE_MAX_LEVELS + 1, &v), -EINVAL);
	v.size = 4;
	CU_ASSERT_EQUAL(pd_btree_create(&t, tm, 1, &v), -EINVAL);
	v.size = sizeof(v);
	v.value_size = 0;
	CU_ASSERT_EQUAL(pd_btree_create(&t, tm, 1, &v), -EINVAL);
	CU_ASSERT_EQUAL(pd_array_open(&a, tm, &v, 1, 1), -EINVAL);
	v.value_size = PD_BTREE_MAX_VALUE_SIZE + 1;
	CU_ASSERT_EQUAL(pd_btree_create(&t, tm, 1, &v), -EINVAL);
	v.value_size = PD_ARRAY_MAX_VALUE_SIZE + 1;
	CU_ASSERT_EQUAL(pd_array_open(&a, tm, &v, 1, 1), -EINVAL);
	CU_ASSERT_EQUAL(pd_bm_read_lock(pd_tm_bm(tm), 1, (enum pd_block_kind)0, &b), -EINVAL);
	CU_ASSERT_EQUAL(pd_bm_read_lock(pd_tm_bm(tm), 1, (enum pd_block_kind)99, &b), -EINVAL);
	/* a lock of one's own is met */
	CU_ASSERT_EQUAL_FATAL(pd_tm_new_block(tm, PD_BLOCK_BITMAP, &b), 0);
	CU_ASSERT_EQUAL(pd_bm_read_lock(pd_tm_bm(tm), pd_block_nr(b), PD_BLOCK_BITMAP, &c), -EDEADLK);
	CU_ASSERT_EQUAL(pd_bm_write_lock(pd_tm_bm(tm), pd_block_nr(b), PD_BLOCK_BITMAP, &c), -EDEADLK);
	/* and no commit goes past it */
	CU_ASSERT_EQUAL_FATAL(pd_tm_pre_commit(tm, &root), 0);
	CU_ASSERT_EQUAL_FATAL(pd_bm_write_lock_zero(pd_tm_bm(tm), 0, PD_BLOCK_ERA_SB, &c), 0);
	((struct era_superblock *)pd_block_data(c))->magic = le64_put(ERA_MAGIC);
	CU_ASSERT_EQUAL(pd_tm_commit(tm, &c), -EINVAL);
	CU_ASSERT_PTR_NULL(c);
	pd_bm_unlock(b);
	CU_ASSERT_EQUAL_FATAL(pd_tm_abort(tm), 0);
	/* a superblock that is none */
	CU_ASSERT_EQUAL_FATAL(pd_tm_pre_commit(tm, &root), 0);
	CU_ASSERT_EQUAL_FATAL(pd_bm_write_lock_zero(pd_tm_bm(tm), 0, PD_BLOCK_ERA_SB, &c), 0);
	CU_ASSERT_EQUAL(pd_tm_commit(tm, &c), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(pd_tm_abort(tm), 0);
	/* a node that is none does not get to the disk */
	CU_ASSERT_EQUAL_FATAL(pd_tm_new_block(tm, PD_BLOCK_NODE, &b), 0);
	pd_bm_unlock(b);
	CU_ASSERT_EQUAL(pd_bm_flush(pd_tm_bm(tm)), -EUCLEAN);
	CU_ASSERT_EQUAL(pd_bm_nr_held(pd_tm_bm(tm)), 0);
	pd_tm_destroy(tm);
	pd_io_close(io);
}

/* When the last flush fails, the new superblock may be there or not: neither state may be built upon. */
static void test_a_superblock_in_doubt_ends_the_handle(void)
{
	struct shape s = shape_of(3);
	struct world *w = malloc(sizeof(*w));
	struct pd_io *ram, *io;

	for (unsigned nth = 1; nth <= 2; nth++) {
		CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&ram, s.nr_blocks), 0);
		CU_ASSERT_EQUAL_FATAL(pd_io_fault(&io, ram), 0);
		CU_ASSERT_EQUAL_FATAL(world_make(w, io, &s, 3), 0);
		CU_ASSERT_EQUAL_FATAL(world_change(w, 100), 0);
		pd_fault_arm(io, PD_FAULT_FLUSH, nth);
		CU_ASSERT_EQUAL(world_commit(w), -EIO);
		if (nth == 1) {
			CU_ASSERT_EQUAL(world_abort(w), 0);
			CU_ASSERT_EQUAL(world_same(w, &w->old), 0);
			CU_ASSERT_EQUAL(world_commit(w), 0);
		} else {
			CU_ASSERT_EQUAL(world_abort(w), -EIO);
		}
		world_close(w);
		CU_ASSERT(world_exact(io, &s));
		pd_io_close(io);
	}
	free(w);
}

UNIT_SUITE(properties,
	UNIT(test_what_is_held_is_what_was_put_and_counts_are_exact),
	UNIT(test_values_of_any_size),
	UNIT(test_whatever_fails_the_last_commit_stays),
	UNIT(test_a_power_cut_leaves_one_transaction_or_the_other),
	UNIT(test_a_metadata_device_grows_up_to_255_bitmaps),
	UNIT(test_a_clipped_nr_free_is_mended_when_the_map_grows),
	UNIT(test_a_map_in_memory_counts_like_a_plain_array),
	UNIT(test_wrong_use_is_refused),
	UNIT(test_a_superblock_in_doubt_ends_the_handle));
