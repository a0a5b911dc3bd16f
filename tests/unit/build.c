/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bulk builders: every number of entries, several sizes of values, read back by hand. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "io/engine.h"
#include "persistent-data/build.h"
#include "unit/unit.h"

#define NR_BLOCKS 2000u

struct fixture {
	struct pd_io *io;
	struct out *out;
	uint8_t *block;
	uint64_t next_key;	/* while a tree is walked */
	uint32_t value_size;
	bool bad;
};

static void fixture_init(struct fixture *f, uint64_t nr_blocks)
{
	memset(f, 0, sizeof(*f));
	CU_ASSERT_FATAL(!pd_io_open_ram(&f->io, nr_blocks));
	CU_ASSERT_FATAL(!out_create(&f->out, f->io, NULL));
	CU_ASSERT_FATAL(!out_begin(f->out, KIND_THIN_SB));
}

static void fixture_exit(struct fixture *f)
{
	out_destroy(f->out);
	pd_io_close(f->io);
}

static void make_value(uint8_t *v, uint32_t size, uint64_t key)
{
	for (uint32_t i = 0; i < size; i++)
		v[i] = (uint8_t)(key * 7 + i + (key >> 8));
}

/* Walks a tree whose keys are 0, 3, 6 ...; returns its height. */
static unsigned walk(struct fixture *f, uint64_t block, bool root, uint64_t want_key)
{
	struct node_header *n = malloc(PD_BLOCK_SIZE);
	uint8_t want[32];
	unsigned height = 0;
	uint32_t nr;

	CU_ASSERT_FATAL(!out_read(f->out, block, n));
	nr = le32_get(n->nr_entries);
	f->bad |= node_check(n, f->value_size) != NODE_OK;
	f->bad |= le32_get(n->max_entries) != node_max_entries(le32_get(n->value_size));
	f->bad |= !root && nr < le32_get(n->max_entries) / 3;
	f->bad |= nr && node_key(n, 0) != want_key;
	f->bad |= out_refs(f->out, block) != 1;
	for (uint32_t i = 0; i < nr && !f->bad; i++) {
		if (le32_get(n->flags) == NODE_INTERNAL) {
			unsigned h = walk(f, node_value64(n, i), false, node_key(n, i)) + 1;

			f->bad |= height && h != height;
			height = h;
			continue;
		}
		make_value(want, f->value_size, node_key(n, i));
		f->bad |= node_key(n, i) != f->next_key;
		f->bad |= memcmp(want, node_value_ptr(n, i), f->value_size) != 0;
		f->next_key += 3;
	}
	free(n);
	return height;
}

static uint64_t build_tree(struct fixture *f, uint64_t nr)
{
	struct tree_build t;
	uint8_t v[32];
	uint64_t root = 0;

	CU_ASSERT_FATAL(!tree_build_init(&t, f->out, f->value_size));
	for (uint64_t i = 0; i < nr; i++) {
		make_value(v, f->value_size, 3 * i);
		if (tree_build_push(&t, 3 * i, v))
			f->bad = true;
	}
	if (tree_build_finish(&t, &root))
		f->bad = true;
	tree_build_exit(&t);
	out_ref(f->out, root);
	return root;
}

static void check_tree(uint32_t value_size, uint64_t nr)
{
	uint64_t leaves = nr ? ceil_div(nr, node_max_entries(value_size)) : 1, all = leaves;
	struct fixture f;
	unsigned height = 0, got;
	uint64_t root;

	for (uint64_t n = leaves; n > 1; height++)
		all += n = ceil_div(n, INTERNAL_MAX_ENTRIES);
	fixture_init(&f, NR_BLOCKS);
	f.value_size = value_size;
	root = build_tree(&f, nr);
	got = walk(&f, root, true, 0);
	/* no more nodes than full ones would be, and the last one handed out is the root */
	if (f.bad || f.next_key != 3 * nr || got != height || root != all) {
		CU_FAIL("tree");
		fprintf(stderr, "value size %u, %llu entries: root %llu\n", value_size,
			(unsigned long long)nr, (unsigned long long)root);
	}
	fixture_exit(&f);
}

static void test_trees_of_every_size_are_filled_evenly(void)
{
	static const uint32_t sizes[] = { 4, 8, 12, 16, 24 };

	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
		uint32_t max = node_max_entries(sizes[s]);

		for (uint64_t nr = 0; nr <= 4 * max + 1; nr += nr % max > 3 && nr % max < max - 4 ? 7 : 1)
			check_tree(sizes[s], nr);
	}
	for (uint64_t k = 251; k <= 254; k++)
		check_tree(24, k * 126);
	check_tree(24, 126 * 252 + 1);
}

/* A run is what its entries pushed one by one are. */
static void test_runs_are_like_single_entries(void)
{
	uint32_t seed = 1;
	struct fixture a, b;
	struct tree_build ta, tb;
	uint64_t key = 0, ra, rb;
	uint8_t *x = malloc(PD_BLOCK_SIZE), *y = malloc(PD_BLOCK_SIZE);

	fixture_init(&a, NR_BLOCKS);
	fixture_init(&b, NR_BLOCKS);
	CU_ASSERT_FATAL(!tree_build_init(&ta, a.out, 8) && !tree_build_init(&tb, b.out, 8));
	for (unsigned i = 0; i < 300; i++) {
		uint64_t n = 1 + (seed = seed * 1103515245 + 12345) / 65536 % 700;

		CU_ASSERT_FATAL(!level_build_push_run(&ta.leaf, key, i, 1 << 24, n));
		for (uint64_t k = 0; k < n; k++) {
			le64 v = le64_put(i + (k << 24));

			CU_ASSERT_FATAL(!tree_build_push(&tb, key + k, &v));
		}
		key += n + i % 3;
	}
	CU_ASSERT(!tree_build_finish(&ta, &ra) && !tree_build_finish(&tb, &rb));
	CU_ASSERT_EQUAL(ra, rb);
	for (uint64_t k = 1; k <= ra; k++)
		if (out_read(a.out, k, x) || out_read(b.out, k, y) || memcmp(x + 16, y + 16, PD_BLOCK_SIZE - 16))
			CU_FAIL("blocks differ");
	tree_build_exit(&ta);
	tree_build_exit(&tb);
	fixture_exit(&a);
	fixture_exit(&b);
	free(x);
	free(y);
}

static void test_arrays_are_full_but_for_the_last_block(void)
{
	static const uint64_t sizes[] = { 0, 1, 508, 509, 510, 1018, 1019, 20000 };
	struct array_header *a = malloc(PD_BLOCK_SIZE);

	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
		uint64_t nr = sizes[s], blocks = ceil_div(nr, 509), root, seen = 0;
		struct array_build b;
		struct fixture f;

		fixture_init(&f, NR_BLOCKS);
		CU_ASSERT_FATAL(!array_build_init(&b, f.out, 8));
		for (uint64_t i = 0; i < nr; i++) {
			le64 v = le64_put(i * i);

			CU_ASSERT_FATAL(!array_build_push(&b, &v));
		}
		CU_ASSERT(!array_build_finish(&b, &root));
		array_build_exit(&b);
		CU_ASSERT_EQUAL(root, blocks + 1);
		/* array blocks come first here, as their index is one leaf */
		for (uint64_t k = 1; k <= blocks; k++) {
			CU_ASSERT_FATAL(!out_read(f.out, k, a));
			CU_ASSERT(array_block_check(a, 8));
			CU_ASSERT_EQUAL(out_refs(f.out, k), 1);
			for (uint32_t i = 0; i < le32_get(a->nr_entries); i++, seen++) {
				le64 v;

				memcpy(&v, array_value_ptr(a, i), sizeof(v));
				if (le64_get(v) != seen * seen)
					CU_FAIL("value");
			}
			CU_ASSERT_EQUAL(le32_get(a->nr_entries), k < blocks ? 509 : nr - 509 * (k - 1));
		}
		CU_ASSERT_EQUAL(seen, nr);
		fixture_exit(&f);
	}
	free(a);
}

static void test_bits_past_the_end_are_clear(void)
{
	uint64_t words[2] = { ~0ull, ~0ull }, root;
	struct array_header *a = malloc(PD_BLOCK_SIZE);
	struct fixture f;
	le64 w[2];

	fixture_init(&f, NR_BLOCKS);
	CU_ASSERT(!bitset_build(f.out, words, 70, &root));
	CU_ASSERT_FATAL(!out_read(f.out, 1, a));
	memcpy(w, array_value_ptr(a, 0), sizeof(w));
	CU_ASSERT_EQUAL(le32_get(a->nr_entries), 2);
	CU_ASSERT_EQUAL(le64_get(w[0]), ~0ull);
	CU_ASSERT_EQUAL(le64_get(w[1]), 0x3f);
	fixture_exit(&f);
	free(a);
}

/* What is told to be needed is enough, one block less is not, and block 0 says so. */
static int build_whole(struct pd_io *io, uint64_t nr, uint64_t *needed)
{
	struct thin_superblock *sb = calloc(1, PD_BLOCK_SIZE);
	struct fixture f = { .value_size = 24 };
	struct sm_root root;
	uint64_t tree;
	int r = out_create(&f.out, io, NULL);

	CU_ASSERT_FATAL(sb && !r);
	r = out_begin(f.out, KIND_THIN_SB);
	tree = build_tree(&f, nr);
	for (unsigned i = 0; i < 3; i++)
		out_ref(f.out, tree);
	*needed = out_needed(f.out);
	if (!r)
		r = out_metadata_sm(f.out, &root);
	sb->magic = le64_put(THIN_MAGIC);
	if (!r)
		r = out_commit(f.out, sb, KIND_THIN_SB);
	out_destroy(f.out);
	free(sb);
	return r;
}

static enum block_kind block0(struct pd_io *io)
{
	void *b = pd_io_buffer(1);
	enum block_kind kind;

	CU_ASSERT_FATAL(!pd_io_read(io, 0, 1, b));
	kind = block_kind(b);
	CU_ASSERT_EQUAL(le64_get(((struct thin_superblock *)b)->magic), THIN_MAGIC);
	free(b);
	return kind;
}

static void test_what_is_needed_is_enough_and_no_more(void)
{
	static const uint64_t sizes[] = { 1000, 5000, 33000, 126000 };

	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
		uint64_t needed, again;
		struct pd_io *io;

		CU_ASSERT_FATAL(!pd_io_open_ram(&io, 10));
		CU_ASSERT_EQUAL(build_whole(io, sizes[s], &needed), needed > 10 ? -ENOSPC : 0);
		pd_io_close(io);
		CU_ASSERT_FATAL(!pd_io_open_ram(&io, needed));
		CU_ASSERT_EQUAL(build_whole(io, sizes[s], &again), 0);
		CU_ASSERT_EQUAL(again, needed);
		CU_ASSERT_EQUAL(block0(io), KIND_THIN_SB);
		pd_io_close(io);
		if (needed == 10)
			continue;
		CU_ASSERT_FATAL(!pd_io_open_ram(&io, needed - 1));
		CU_ASSERT_EQUAL(build_whole(io, sizes[s], &again), -ENOSPC);
		CU_ASSERT_EQUAL(block0(io), KIND_NONE);
		pd_io_close(io);
	}
}

static void test_no_failed_write_leaves_a_superblock(void)
{
	bool fired = true;

	for (unsigned nth = 1; fired; nth++) {
		struct pd_io *ram, *io;
		uint64_t needed;
		void *b = pd_io_buffer(1);
		int r;

		CU_ASSERT_FATAL(!pd_io_open_ram(&ram, 1500));
		CU_ASSERT_FATAL(!pd_io_fault(&io, ram));
		pd_fault_arm(io, PD_FAULT_ANY, nth);
		r = build_whole(io, 150000, &needed);
		fired = pd_fault_fired(io);
		CU_ASSERT_EQUAL(r, fired ? -EIO : 0);
		pd_fault_arm(io, PD_FAULT_ANY, 0);
		CU_ASSERT_FATAL(!pd_io_read(io, 0, 1, b));
		/* nor does the last flush of all, behind the superblock */
		CU_ASSERT_EQUAL(block_kind(b) == KIND_NONE, fired);
		CU_ASSERT_FATAL(nth < 100);
		free(b);
		pd_io_close(io);
	}
}

UNIT_SUITE(build,
	UNIT(test_trees_of_every_size_are_filled_evenly),
	UNIT(test_runs_are_like_single_entries),
	UNIT(test_arrays_are_full_but_for_the_last_block),
	UNIT(test_bits_past_the_end_are_clear),
	UNIT(test_what_is_needed_is_enough_and_no_more),
	UNIT(test_no_failed_write_leaves_a_superblock));
