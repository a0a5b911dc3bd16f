/* SPDX-License-Identifier: GPL-2.0-or-later */
/* "No origin block twice": every double is found and nothing else, near and far, on one thread and on several. */
#include <stdlib.h>
#include "cache/twice.h"
#include "unit/unit.h"

#define NR 300000u
#define STEP 100003u		/* no divisor of anything here */

struct notes {
	struct twice t;
	uint64_t *oblock;	/* of NR cache blocks */
	unsigned nr_threads;
};

static void note(void *ctx, unsigned worker)
{
	struct notes *n = ctx;

	for (uint64_t i = worker; i < NR; i += n->nr_threads)
		twice_note(&n->t, worker, n->oblock[i]);
}

/* Cache blocks that stand for an origin block together with another; @most suspects are asked for. */
static void look(struct notes *n, unsigned nr_threads, size_t nr_doubles, size_t most)
{
	n->nr_threads = nr_threads;
	CU_ASSERT_FATAL(!twice_init(&n->t, NR, nr_threads));
	workers_run(nr_threads, note, n);
	CU_ASSERT_FATAL(!twice_settle(&n->t));
	CU_ASSERT(!n->t.too_many);
	CU_ASSERT(n->t.nr_suspects <= most);
	for (uint64_t i = 0; n->t.nr_suspects && i < NR; i++)
		CU_ASSERT_FATAL(!twice_again(&n->t, n->oblock[i], i));
	twice_sort(&n->t);
	CU_ASSERT_EQUAL(n->t.nr, nr_doubles);
	for (size_t i = 0; i < n->t.nr; i++)
		CU_ASSERT_EQUAL(n->oblock[n->t.e[i].cblock], n->t.e[i].oblock);
	twice_exit(&n->t);
}

/* Origin blocks @far * k + something, each once; then @nr_doubles cache blocks repeat one of a third. */
static void fill(struct notes *n, uint64_t far, unsigned nr_doubles)
{
	for (uint64_t i = 0; i < NR; i++)
		n->oblock[i] = i * STEP % NR + i % 7 * far;
	for (unsigned i = 0; i < nr_doubles; i++)
		n->oblock[3 * i + 1] = n->oblock[3 * i];
}

static void each_size(uint64_t far, size_t suspects)
{
	struct notes n = { .oblock = malloc(NR * sizeof(*n.oblock)) };

	CU_ASSERT_PTR_NOT_NULL_FATAL(n.oblock);
	for (unsigned nr_threads = 1; nr_threads <= 3; nr_threads += 2) {
		fill(&n, far, 0);
		look(&n, nr_threads, 0, suspects);
		fill(&n, far, 5000);
		look(&n, nr_threads, 10000, suspects + 5000);
	}
	free(n.oblock);
}

static void test_near_blocks_are_suspected_only_if_they_are_twice(void)
{
	each_size(0, 0);
	each_size(NR, 0);
}

static void test_far_blocks_are_told_apart(void)
{
	each_size(1ull << 29, NR / 10);
	each_size(1ull << 45, NR / 10);
	each_size(0x123456789abull, NR / 10);
}

static void test_one_block_for_all(void)
{
	struct notes n = { .oblock = calloc(NR, sizeof(*n.oblock)) };

	CU_ASSERT_PTR_NOT_NULL_FATAL(n.oblock);
	look(&n, 2, NR, NR);
	free(n.oblock);
}

UNIT_SUITE(twice,
	UNIT(test_near_blocks_are_suspected_only_if_they_are_twice),
	UNIT(test_far_blocks_are_told_apart),
	UNIT(test_one_block_for_all));
