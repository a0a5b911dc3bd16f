/* SPDX-License-Identifier: GPL-2.0-or-later */
/* usage: unit [PATTERN], a part of "suite/test"; without one all tests run. */
#include <stdio.h>
#include <string.h>
#include <CUnit/Basic.h>
#include "unit/suites.h"
#include "unit/unit.h"

#define DECLARE(suite) extern const struct unit_test suite##_tests[];
#define ENTRY(suite) { #suite, suite##_tests },
UNIT_SUITES(DECLARE)

static const struct {
	const char *name;
	const struct unit_test *tests;
} suites[] = { UNIT_SUITES(ENTRY) };

static unsigned skipped;

static void add(unsigned i, const char *pattern)
{
	CU_pSuite s = CU_add_suite(suites[i].name, NULL, NULL);

	for (const struct unit_test *t = suites[i].tests; t->name; t++) {
		char name[256];

		snprintf(name, sizeof(name), "%s/%s", suites[i].name, t->name);
		if (pattern && !strstr(name, pattern))
			skipped++;
		else
			CU_add_test(s, t->name, t->fn);
	}
}

int main(int argc, char **argv)
{
	unsigned failed;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	for (unsigned i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		add(i, argc > 1 ? argv[1] : NULL);
	CU_basic_set_mode(CU_BRM_SILENT);
	CU_basic_run_tests();
	for (CU_pFailureRecord f = CU_get_failure_list(); f; f = f->pNext)
		printf("%s:%u: %s: %s\n", f->strFileName, f->uiLineNumber,
		       f->pTest ? f->pTest->pName : "?", f->strCondition);
	failed = CU_get_number_of_tests_failed();
	printf("%u passed, %u failed, %u skipped\n", CU_get_number_of_tests_run() - failed, failed,
	       skipped);
	CU_cleanup_registry();
	return failed != 0;
}
