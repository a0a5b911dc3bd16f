/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reference counts of many blocks, against a plain array. */
#include <errno.h>
#include <stdlib.h>
#include "base/counts.h"
#include "base/util.h"
#include "base/workers.h"
#include "unit/unit.h"

#define NR_BLOCKS (3 * COUNTS_GROUP + 1000ull)

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

static uint64_t two_bits(uint64_t n)
{
	return n > 2 ? 3 : (n & 1) << 1 | n >> 1;
}

static void compare(const struct counts *c, const uint32_t *want, const struct bits *kept)
{
	unsigned bad = 0;

	for (uint64_t i = 0; i < NR_BLOCKS; i++)
		bad += counts_get(c, i) != (!kept || bits_test(kept, i / COUNTS_GROUP) ? want[i] : 0);
	CU_ASSERT_EQUAL(bad, 0);
	for (uint64_t i = 0; i + 32 <= NR_BLOCKS; i += 32) {
		uint64_t entries = 0;

		if (kept && !bits_test(kept, i / COUNTS_GROUP))
			continue;
		for (unsigned k = 0; k < 32; k++)
			entries |= two_bits(want[i + k]) << 2 * k;
		bad += counts_entries(c, i, NULL) != entries;
	}
	CU_ASSERT_EQUAL(bad, 0);
}

static void test_counts_go_up_and_down_like_plain_ones(void)
{
	uint32_t *want = calloc(NR_BLOCKS, sizeof(*want));
	uint64_t seed = 1;
	struct counts c;

	CU_ASSERT_EQUAL_FATAL(counts_init(&c, NR_BLOCKS, NULL), 0);
	for (unsigned i = 0; i < 400000; i++) {
		/* some blocks often, so that counts grow beyond 3, 255 and 65535 */
		uint64_t b = next_random(&seed) % (i % 4 ? NR_BLOCKS : 3);

		if (next_random(&seed) % 3) {
			counts_inc_alone(&c, b);
			want[b]++;
		} else {
			counts_dec(&c, b);
			want[b] -= want[b] > 0;
		}
	}
	compare(&c, want, NULL);
	CU_ASSERT(!c.lost);
	counts_exit(&c);
	free(want);
}

static void test_groups_that_are_not_kept_are_not_counted(void)
{
	uint32_t *want = calloc(NR_BLOCKS, sizeof(*want));
	struct bits kept;
	struct counts c;

	CU_ASSERT_EQUAL_FATAL(bits_init(&kept, ceil_div(NR_BLOCKS, COUNTS_GROUP)), 0);
	bits_set(&kept, 1);
	bits_set(&kept, 3);
	CU_ASSERT_EQUAL_FATAL(counts_init(&c, NR_BLOCKS, &kept), 0);
	CU_ASSERT(counts_group_empty(&c, 0) && counts_group_empty(&c, COUNTS_GROUP));
	for (uint64_t b = 0; b < NR_BLOCKS; b += 7)
		for (unsigned n = 0; n <= b % 5; n++) {
			counts_inc_alone(&c, b);
			want[b]++;
		}
	compare(&c, want, &kept);
	CU_ASSERT_EQUAL(counts_word(&c, 5), COUNTS_NOWHERE);
	counts_dec(&c, 5);
	counts_mark(&c, 5);
	CU_ASSERT(!counts_marked(&c, 5));
	CU_ASSERT(counts_group_empty(&c, 5) && !counts_group_empty(&c, COUNTS_GROUP));
	counts_exit(&c);
	bits_exit(&kept);
	free(want);
}

#define NR_THREADS 8u
#define ROUNDS 20000u

static uint64_t blocks_of(uint64_t *seed)
{
	uint64_t high = next_random(seed) << 33;

	return high | next_random(seed) | 1;
}

static void count_some(void *ctx, unsigned worker)
{
	struct counts *c = ctx;
	uint64_t seed = worker;

	for (unsigned i = 0; i < ROUNDS; i++)
		counts_inc(c, i % 2, blocks_of(&seed));
	for (uint64_t i = 0; i < NR_BLOCKS; i += 100)
		counts_mark(c, i);
}

static void test_threads_lose_no_count(void)
{
	uint32_t *want = calloc(NR_BLOCKS, sizeof(*want));
	uint64_t marks, mark_word = 0;
	struct counts c;

	CU_ASSERT_EQUAL_FATAL(counts_init(&c, NR_BLOCKS, NULL), 0);
	for (unsigned t = 0; t < NR_THREADS; t++) {
		uint64_t seed = t;

		for (unsigned i = 0; i < ROUNDS; i++) {
			uint64_t blocks = blocks_of(&seed);

			for (unsigned k = 0; k < 64; k++)
				want[64 * (i % 2) + k] += blocks >> k & 1;
		}
	}
	workers_run(NR_THREADS, count_some, &c);
	compare(&c, want, NULL);
	CU_ASSERT_EQUAL(counts_get(&c, 0), NR_THREADS * ROUNDS / 2);
	for (unsigned k = 0; k < 32; k++)
		mark_word |= (uint64_t)((96 + k) % 100 == 0) << 2 * k;
	(void)counts_entries(&c, 96, &marks);
	CU_ASSERT_EQUAL(marks, mark_word);
	CU_ASSERT(counts_marked(&c, 100) && !counts_marked(&c, 101));
	counts_exit(&c);
	free(want);
}

static void fill_with_ones(struct counts *c, uint64_t bit)
{
	for (unsigned k = 0; k < COUNTS_NR_PLANES && c->plane[k]; k++)
		c->plane[k][0] |= bit;
}

static void test_a_count_too_high_for_a_space_map_is_told(void)
{
	struct counts c;

	CU_ASSERT_EQUAL_FATAL(counts_init(&c, 100, NULL), 0);
	for (unsigned k = 1; k < COUNTS_NR_PLANES; k++) {
		fill_with_ones(&c, counts_bit(9));
		counts_inc_alone(&c, 9);
		CU_ASSERT_EQUAL(counts_get(&c, 9), 1ull << k);
	}
	fill_with_ones(&c, counts_bit(9));
	CU_ASSERT_EQUAL(counts_get(&c, 9), UINT32_MAX);
	CU_ASSERT(!c.lost);
	counts_inc_alone(&c, 9);
	CU_ASSERT(c.lost);
	counts_exit(&c);
}

struct own_counting {
	struct counts c;
	struct counts_own own[NR_THREADS];
};

static void count_own(void *ctx, unsigned worker)
{
	struct own_counting *o = ctx;
	uint64_t seed = worker;

	for (unsigned i = 0; i < ROUNDS; i++)
		counts_inc_own(&o->c, &o->own[worker], i % 2, blocks_of(&seed));
}

static void test_what_threads_keep_of_their_own_is_joined(void)
{
	uint32_t *want = calloc(NR_BLOCKS, sizeof(*want));
	struct own_counting o;

	CU_ASSERT_EQUAL_FATAL(counts_init(&o.c, NR_BLOCKS, NULL), 0);
	for (unsigned t = 0; t < NR_THREADS; t++) {
		uint64_t seed = t;

		CU_ASSERT_EQUAL_FATAL(counts_own_init(&o.c, &o.own[t]), 0);
		for (unsigned i = 0; i < ROUNDS; i++) {
			uint64_t blocks = blocks_of(&seed);

			for (unsigned k = 0; k < 64; k++)
				want[64 * (i % 2) + k] += blocks >> k & 1;
		}
	}
	workers_run(NR_THREADS, count_own, &o);
	for (unsigned t = 0; t < NR_THREADS; t++)
		counts_join(&o.c, &o.own[t]);
	compare(&o.c, want, NULL);
	counts_exit(&o.c);
	free(want);
}

UNIT_SUITE(counts,
	UNIT(test_counts_go_up_and_down_like_plain_ones),
	UNIT(test_groups_that_are_not_kept_are_not_counted),
	UNIT(test_threads_lose_no_count),
	UNIT(test_what_threads_keep_of_their_own_is_joined),
	UNIT(test_a_count_too_high_for_a_space_map_is_told)
);
