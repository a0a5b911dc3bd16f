/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs all suites without CUnit's library; see cross/run. */
#include <setjmp.h>
#include <stdio.h>
#include "unit/suites.h"
#include "unit/unit.h"

#define DECLARE(suite) extern const struct unit_test suite##_tests[];
#define ENTRY(suite) { #suite, suite##_tests },
UNIT_SUITES(DECLARE)

static const struct {
	const char *name;
	const struct unit_test *tests;
} suites[] = { UNIT_SUITES(ENTRY) };

static jmp_buf leave;
static bool bad;
static unsigned nr_failures;
static const char *running;

void cross_assert(bool holds, bool fatal, const char *text, const char *file, unsigned line)
{
	if (holds)
		return;
	printf("%s:%u: %s: %s\n", file, line, running, text);
	bad = true;
	nr_failures++;
	if (fatal)
		longjmp(leave, 1);
}

unsigned CU_get_number_of_failures(void)
{
	return nr_failures;
}

static void run(const struct unit_test *t)
{
	bad = false;
	running = t->name;
	if (!setjmp(leave))
		t->fn();
}

int main(void)
{
	unsigned passed = 0, failed = 0;

	for (unsigned i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		for (const struct unit_test *t = suites[i].tests; t->name; t++) {
			run(t);
			failed += bad;
			passed += !bad;
		}
	printf("%u passed, %u failed, 0 skipped\n", passed, failed);
	return failed != 0;
}
