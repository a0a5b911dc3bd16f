/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Findings: joined, in order, bounded. */
#include <stdio.h>
#include <string.h>
#include "meta/damage.h"
#include "unit/unit.h"

struct heard {
	char first[4096];	/* what was said, as far as it fits */
	unsigned nr;
};

static void hear(void *ctx, enum pd_log_level level, const char *text)
{
	struct heard *h = ctx;
	size_t at = strlen(h->first);

	(void)level;
	h->nr++;
	snprintf(h->first + at, sizeof(h->first) - at, "%s\n", text);
}

static struct pd_finding lost(uint64_t dev, uint64_t begin, uint64_t end, uint64_t block)
{
	return (struct pd_finding){
		.problem = PD_PR_BLOCK_CSUM, .place = PD_AT_MAPPINGS, .has_key = true, .key = dev,
		.has_range = true, .begin = begin, .end = end, .block = block,
	};
}

static void report(struct damage *d, struct heard *h)
{
	struct pd_log log = { hear, h, PD_LOG_DEBUG };

	memset(h, 0, sizeof(*h));
	damage_report(d, &log, "thin device", "virtual blocks");
}

static void test_neighbours_of_one_block_join(void)
{
	struct damage d;
	struct heard h;

	damage_init(&d);
	damage_add(&d, &(struct pd_finding[]){ lost(1, 0, 10, 5) }[0]);
	damage_add(&d, &(struct pd_finding[]){ lost(1, 10, 20, 5) }[0]);
	damage_add(&d, &(struct pd_finding[]){ lost(1, 20, 30, 6) }[0]);
	damage_add(&d, &(struct pd_finding[]){ lost(1, 31, 40, 6) }[0]);
	report(&d, &h);
	CU_ASSERT_EQUAL(h.nr, 3);
	CU_ASSERT_PTR_NOT_NULL(strstr(h.first, "virtual blocks [0, 20): metadata block 5"));
	CU_ASSERT_PTR_NOT_NULL(strstr(h.first, "virtual blocks [20, 30): metadata block 6"));
	CU_ASSERT_EQUAL(d.by_severity[PD_SEV_FATAL], 4);
	damage_exit(&d);
}

static void test_findings_come_in_order(void)
{
	struct damage d;
	struct heard h;
	struct pd_finding f = lost(9, 5, 6, 1), g = lost(2, 7, 8, 1), snap = lost(1, 1, 2, 1);

	snap.snap = true;
	damage_init(&d);
	damage_add(&d, &snap);
	damage_add(&d, &f);
	damage_add(&d, &g);
	report(&d, &h);
	CU_ASSERT(strstr(h.first, "device 2") < strstr(h.first, "device 9"));
	CU_ASSERT(strstr(h.first, "device 9") < strstr(h.first, "metadata snapshot"));
	damage_exit(&d);
}

static void test_output_is_bounded_but_the_count_is_not(void)
{
	struct damage d;
	struct heard h;

	damage_init(&d);
	for (uint64_t i = 0; i < 5000; i++) {
		struct pd_finding f = lost(i, 0, 1, i);

		damage_add(&d, &f);
	}
	report(&d, &h);
	CU_ASSERT_EQUAL(h.nr, MAX_FINDINGS_OF_A_KIND + 1);
	CU_ASSERT_EQUAL(d.by_severity[PD_SEV_FATAL], 5000);
	CU_ASSERT(damage_any(&d, PD_SEV_FATAL));
	damage_exit(&d);
}

static void test_softened_findings_weigh_less(void)
{
	struct damage d;
	struct pd_finding f = lost(1, 0, 1, 1);
	struct pd_check_result res = { .worst = PD_SEV_INFO };

	damage_init(&d);
	damage_soften(&d, PD_SEV_WARN, PD_SEV_WARN);
	damage_add(&d, &f);
	damage_result(&d, &res);
	CU_ASSERT_EQUAL(res.worst, PD_SEV_WARN);
	damage_exit(&d);
}

static void test_every_problem_has_a_name_of_its_own(void)
{
	for (unsigned p = 1; p < PD_NR_PROBLEMS; p++) {
		const struct pd_problem_row *row = pd_problem_row((enum pd_problem)p);

		CU_ASSERT(*row->name && *row->text);
		for (unsigned q = 1; q < p; q++)
			CU_ASSERT_STRING_NOT_EQUAL(row->name, pd_problem_row((enum pd_problem)q)->name);
	}
	CU_ASSERT_STRING_EQUAL(pd_problem_row((enum pd_problem)PD_NR_PROBLEMS)->name, "");
}

UNIT_SUITE(damage,
	UNIT(test_neighbours_of_one_block_join),
	UNIT(test_findings_come_in_order),
	UNIT(test_output_is_bounded_but_the_count_is_not),
	UNIT(test_softened_findings_weigh_less),
	UNIT(test_every_problem_has_a_name_of_its_own));
