/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One file of tests for one file of the library: it ends with a table of its tests, and suites.h
 * lists the tables.
 */
#ifndef UNIT_UNIT_H
#define UNIT_UNIT_H

#include <CUnit/CUnit.h>

struct unit_test {
	const char *name;
	void (*fn)(void);
};

#define UNIT(fn) { #fn, fn }
#define UNIT_SUITE(suite, ...) \
	const struct unit_test suite##_tests[] = { __VA_ARGS__, { NULL, NULL } }

#endif
