/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trees under transactions against a plain array: histories of random inserts, overwrites, removals,
 * ranges, snapshots of subtrees, commits and aborts; the counts in the space map are what walking gives,
 * and after a power cut at any write the old or the new transaction is there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fault/each.h"
#include "persistent-data/btree.h"
#include "unit/unit.h"

#define NR_TREES 4u
#define NR_KEYS 4096u
#define CACHE 512u

/* Trees of trees: keys are tree and key; a value is 8 bytes. Value 0 in the model is "none". */
struct model {
	uint64_t value[NR_TREES][NR_KEYS];
	bool there[NR_TREES];
};

struct fix {
	struct pd_io *io;
	struct pd_tm *tm;
	struct btree t;
	uint64_t root;
	struct model now, old;
	uint64_t seed;
};

static uint64_t rnd(uint64_t *seed, uint64_t n)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (*seed >> 33) % n;
}

static void describe(struct fix *f)
{
	f->t = (struct btree){ .tm = f->tm, .levels = 2, .value = { .size = 8 } };
}

static int commit(struct fix *f)
{
	struct pd_block *sb;
	struct era_superblock *s;
	struct sm_root root;
	int r = tm_pre_commit(f->tm, &root);

	if (!r)
		r = bm_write_lock_new(tm_bm(f->tm), SB_LOCATION, KIND_ERA_SB, true, &sb);
	if (r)
		return r;
	s = (struct era_superblock *)sb->data;
	s->magic = le64_put(ERA_MAGIC);
	s->writeset_tree_root = le64_put(f->root);
	memcpy(s->metadata_space_map_root, &root, sizeof(root));
	r = tm_commit(f->tm, &sb);
	if (!r)
		f->old = f->now;
	return r;
}

static int start(struct fix *f, struct pd_io *io, uint64_t seed)
{
	int r;

	memset(f, 0, sizeof(*f));
	f->io = io;
	f->seed = seed;
	r = tm_create(&f->tm, io, CACHE, NULL);
	if (r)
		return r;
	describe(f);
	r = btree_empty(&f->t, &f->root);
	return r ? r : commit(f);
}

static int open_it(struct fix *f, struct pd_io *io)
{
	struct era_superblock *s;
	struct sm_root root;
	uint8_t *buf = pd_io_buffer(1);
	int r;

	f->io = io;
	if (!buf)
		return -ENOMEM;
	r = pd_io_read(io, SB_LOCATION, 1, buf);
	if (!r && block_kind(buf) != KIND_ERA_SB)
		r = -EUCLEAN;
	s = (struct era_superblock *)buf;
	root = sm_root_get(s->metadata_space_map_root);
	f->root = le64_get(s->writeset_tree_root);
	free(buf);
	r = r ? r : tm_open(&f->tm, io, CACHE, &root, NULL);
	describe(f);
	return r;
}

static int change(struct fix *f, unsigned nr)
{
	uint64_t keys[2], got, n, span;
	bool inserted;
	le64 v;
	int r = 0;

	for (unsigned i = 0; i < nr && !r; i++) {
		unsigned tree = (unsigned)rnd(&f->seed, NR_TREES), what = (unsigned)rnd(&f->seed, 100);
		uint64_t *at;

		keys[0] = tree * 7;
		keys[1] = rnd(&f->seed, NR_KEYS);
		at = &f->now.value[tree][keys[1]];
		if (what < 60) {
			got = rnd(&f->seed, 1u << 30) + 1;
			v = le64_put(got);
			r = btree_insert(&f->t, &f->root, keys, &v, &inserted);
			if (r)
				break;
			CU_ASSERT(inserted == !*at);
			*at = got;
			f->now.there[tree] = true;
		} else if (what < 90) {
			r = btree_remove(&f->t, &f->root, keys);
			CU_ASSERT(r == (*at ? 0 : -ENODATA) || (r != -ENODATA && r));
			r = r == -ENODATA ? 0 : r;
			if (!r)
				*at = 0;
		} else if (what < 98) {
			r = btree_lookup(&f->t, f->root, keys, &v);
			if (!r)
				CU_ASSERT(*at == le64_get(v));
			if (r == -ENODATA) {
				CU_ASSERT(!*at);
				r = 0;
			}
		} else if (what < 99) {
			span = rnd(&f->seed, 200);
			if (!f->now.there[tree])
				continue;
			r = btree_remove_range(&f->t, &f->root, keys, keys[1], keys[1] + span, &n);
			for (uint64_t k = keys[1]; !r && k < keys[1] + span && k < NR_KEYS; k++) {
				n -= !!f->now.value[tree][k];
				f->now.value[tree][k] = 0;
			}
			CU_ASSERT(r || !n);
		} else {
			/* another tree becomes a snapshot of this one: its root is shared */
			struct btree top = { .tm = f->tm, .levels = 1, .value = { .size = 8 } };
			unsigned to = (unsigned)rnd(&f->seed, NR_TREES);
			uint64_t key = to * 7;

			if (to == tree || !f->now.there[tree])
				continue;
			r = btree_lookup(&top, f->root, keys, &v);
			if (!r)
				r = tm_inc(f->tm, le64_get(v));
			if (!r && f->now.there[to]) {
				struct btree below = { .tm = f->tm, .levels = 1, .value = { .size = 8 } };
				le64 old;

				r = btree_lookup(&top, f->root, &key, &old);
				/* the way there becomes ours first, so that counts are what they seem */
				if (!r)
					r = btree_put(&f->t, 0, &f->root, key, &old, false, NULL);
				if (!r)
					r = btree_del(&below, le64_get(old));
			}
			if (!r)
				r = btree_put(&f->t, 0, &f->root, key, &v, false, NULL);
			if (!r) {
				memcpy(f->now.value[to], f->now.value[tree], sizeof(f->now.value[to]));
				f->now.there[to] = true;
			}
		}
	}
	return r;
}

/* ---- What is there ---- */

struct look {
	const struct model *m;
	uint64_t seen;
	bool wrong;
	unsigned tree;
	uint64_t next;
};

static int see(void *ctx, const uint64_t *keys, const void *value)
{
	struct look *l = ctx;
	le64 v;

	memcpy(&v, value, sizeof(v));
	l->seen++;
	if (keys[0] % 7 || keys[0] / 7 >= NR_TREES || keys[1] >= NR_KEYS ||
	    l->m->value[keys[0] / 7][keys[1]] != le64_get(v))
		l->wrong = true;
	return 0;
}

static bool same(struct fix *f, const struct model *m)
{
	struct look l = { .m = m };
	uint64_t want = 0;

	for (unsigned t = 0; t < NR_TREES; t++)
		for (unsigned k = 0; k < NR_KEYS; k++)
			want += !!m->value[t][k];
	return !btree_walk(&f->t, f->root, see, &l) && !l.wrong && l.seen == want;
}

static bool fill_ok = true;

/* Counts the places that point to each block from @nr down, and looks at fill. */
static void count(struct fix *f, uint64_t nr, unsigned level, unsigned levels, uint32_t leaf_size,
		  bool is_root, uint32_t *refs)
{
	struct btree t = { .tm = f->tm, .levels = 1, .value = { .size = 8 } };
	struct pd_block *b;
	const struct node_header *n;

	if (refs[nr]++)
		return;
	t.value.size = level + 1 < levels ? 8 : leaf_size;
	CU_ASSERT_EQUAL_FATAL(btree_read(&t, 0, nr, &b), 0);
	n = btree_node(b);
	if (!is_root && node_nr(n) < le32_get(n->max_entries) / 3)
		fill_ok = false;
	for (uint32_t i = 0; i < node_nr(n); i++) {
		if (!node_is_leaf(n))
			count(f, node_value64(n, i), level, levels, leaf_size, false, refs);
		else if (level + 1 < levels)
			count(f, node_value64(n, i), level + 1, levels, leaf_size, true, refs);
	}
	bm_unlock(b);
}

/* The committed space map against what walking gives; reads the disk with a handle of its own. */
static bool counts_right(struct pd_io *io)
{
	struct fix f = { .io = NULL };
	struct pd_block *b;
	struct sm_root root;
	uint32_t *refs;
	bool ok = true;
	uint64_t used = 0;

	if (open_it(&f, io))
		return false;
	refs = calloc(tm_nr_blocks(f.tm), sizeof(*refs));
	refs[SB_LOCATION] = 1;
	CU_ASSERT_EQUAL_FATAL(bm_read_lock(tm_bm(f.tm), SB_LOCATION, KIND_ERA_SB, &b), 0);
	root = sm_root_get(((struct era_superblock *)b->data)->metadata_space_map_root);
	bm_unlock(b);
	count(&f, f.root, 0, 2, 8, true, refs);
	count(&f, le64_get(root.ref_count_root), 0, 1, 4, true, refs);
	refs[le64_get(root.bitmap_root)]++;
	CU_ASSERT_EQUAL_FATAL(bm_read_lock(tm_bm(f.tm), le64_get(root.bitmap_root), KIND_INDEX, &b), 0);
	for (uint64_t i = 0; i < ceil_div(tm_nr_blocks(f.tm), ENTRIES_PER_BITMAP); i++)
		refs[le64_get(((struct metadata_index *)b->data)->index[i].blocknr)]++;
	bm_unlock(b);
	for (uint64_t i = 0; i < tm_nr_blocks(f.tm); i++) {
		used += !!refs[i];
		if (refs[i] != tm_count(f.tm, i)) {
			ok = false;
			fprintf(stderr, "block %" PRIu64 ": %u places, counted %u\n", i, refs[i],
				tm_count(f.tm, i));
		}
	}
	ok &= used == le64_get(root.nr_allocated);
	CU_ASSERT_EQUAL(bm_nr_held(tm_bm(f.tm)), 0);
	free(refs);
	tm_destroy(f.tm);
	return ok;
}

/* ---- Tests ---- */

static unsigned scale(void)
{
	const char *s = getenv("PD_TEST_SCALE");	/* 1000: millions of operations */

	return s && atoi(s) > 0 ? (unsigned)atoi(s) : 1;
}

static void test_trees_hold_what_was_put_and_counts_are_exact(void)
{
	struct fix *f = malloc(sizeof(*f));
	struct pd_io *io;

	for (uint64_t seed = 1; seed <= 4 * scale(); seed++) {
		CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 4000), 0);
		CU_ASSERT_EQUAL_FATAL(start(f, io, seed), 0);
		for (unsigned step = 0; step < 12; step++) {
			CU_ASSERT_EQUAL_FATAL(change(f, 1500), 0);
			CU_ASSERT(same(f, &f->now));
			CU_ASSERT_EQUAL(bm_nr_held(tm_bm(f->tm)), 0);
			if (step % 5 == 3) {
				struct pd_io *again = io;

				CU_ASSERT_EQUAL_FATAL(tm_abort(f->tm), 0);
				tm_destroy(f->tm);
				f->now = f->old;
				CU_ASSERT_EQUAL_FATAL(open_it(f, again), 0);
				CU_ASSERT(same(f, &f->now));
			} else {
				CU_ASSERT_EQUAL_FATAL(commit(f), 0);
				CU_ASSERT(counts_right(io));
			}
		}
		if (!fill_ok)
			printf("seed %" PRIu64 ": a node below a third\n", seed);
		CU_ASSERT(fill_ok);
		tm_destroy(f->tm);
		pd_io_close(io);
	}
	free(f);
}

static void test_a_power_cut_leaves_the_old_or_the_new_transaction(void)
{
	struct fix *f = malloc(sizeof(*f)), *g = malloc(sizeof(*g));
	struct pd_io *ram, *io, *disk;
	uint64_t before, after;
	unsigned olds = 0, news = 0;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&ram, 3000), 0);
	CU_ASSERT_EQUAL_FATAL(pd_io_crash(&io, ram), 0);
	CU_ASSERT_EQUAL_FATAL(start(f, io, 99), 0);
	CU_ASSERT_EQUAL_FATAL(change(f, 3000), 0);
	CU_ASSERT_EQUAL_FATAL(commit(f), 0);
	before = pd_crash_nr_writes(io);
	CU_ASSERT_EQUAL_FATAL(change(f, 400), 0);
	memcpy(g, f, sizeof(*g));	/* g->old, g->now: what may be found */
	CU_ASSERT_EQUAL_FATAL(commit(f), 0);
	after = pd_crash_nr_writes(io);
	CU_ASSERT(after > before);
	/* the cut comes after the first write: by then the commit before is flushed */
	for (uint64_t w = before + 1; w <= after; w++) {
		for (uint64_t seed = 0; seed < 3; seed++) {
			struct fix h;

			memset(&h, 0, sizeof(h));
			CU_ASSERT_EQUAL_FATAL(pd_crash_disk(io, w, seed, &disk), 0);
			CU_ASSERT_EQUAL_FATAL(open_it(&h, disk), 0);
			if (same(&h, &g->old))
				olds++;
			else if (same(&h, &g->now))
				news++;
			else
				CU_FAIL("neither the old nor the new transaction");
			tm_destroy(h.tm);
			CU_ASSERT(counts_right(disk));
			pd_io_close(disk);
		}
	}
	CU_ASSERT(olds && news);
	tm_destroy(f->tm);
	pd_io_close(io);
	free(f);
	free(g);
}

static int fault_open(void *ctx, struct pd_io **io)
{
	(void)ctx;
	return pd_io_open_ram(io, 400);
}

static int fault_op(void *ctx, struct pd_io *io)
{
	struct fix *f = ctx;
	int r = start(f, io, 5);

	for (unsigned i = 0; i < 2 && !r; i++) {
		r = change(f, 60);
		if (!r)
			r = commit(f);
		if (!r) {
			tm_destroy(f->tm);
			f->tm = NULL;
			r = open_it(f, io);
		}
	}
	if (f->tm)
		CU_ASSERT_EQUAL(bm_nr_held(tm_bm(f->tm)), 0);
	tm_destroy(f->tm);
	f->tm = NULL;
	return r;
}

static int alloc_op(void *ctx)
{
	struct pd_io *io;
	int r = fault_open(ctx, &io);

	if (!r) {
		r = fault_op(ctx, io);
		pd_io_close(io);
	}
	return r;
}

static void test_every_failure_comes_back_and_nothing_stays_locked(void)
{
	struct fix *f = malloc(sizeof(*f));

	memset(f, 0, sizeof(*f));
	CU_ASSERT(fault_each_io(fault_open, PD_FAULT_ANY, fault_op, f) > 10);
	CU_ASSERT(fault_each_alloc(alloc_op, f) > 3);
	free(f);
}

static void test_a_full_device_says_so_and_the_last_commit_stays(void)
{
	struct fix *f = malloc(sizeof(*f));
	struct pd_io *io;
	int r = 0;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, 60), 0);
	CU_ASSERT_EQUAL_FATAL(start(f, io, 7), 0);
	for (unsigned i = 0; i < 1000 && !r; i++) {
		r = change(f, 100);
		if (!r)
			r = commit(f);
	}
	CU_ASSERT_EQUAL(r, -ENOSPC);
	CU_ASSERT_EQUAL(tm_abort(f->tm), 0);
	tm_destroy(f->tm);
	CU_ASSERT_EQUAL_FATAL(open_it(f, io), 0);
	CU_ASSERT(same(f, &f->old));
	CU_ASSERT(counts_right(io));
	tm_destroy(f->tm);
	pd_io_close(io);
	free(f);
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
	UNIT(test_trees_hold_what_was_put_and_counts_are_exact),
	UNIT(test_a_power_cut_leaves_the_old_or_the_new_transaction),
	UNIT(test_every_failure_comes_back_and_nothing_stays_locked),
	UNIT(test_a_full_device_says_so_and_the_last_commit_stays),
	UNIT(test_cursor_and_neighbours));
