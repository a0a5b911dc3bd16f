/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As much of CUnit as the unit tests use, for machines one can build for but has no CUnit of. */
#ifndef CROSS_CUNIT_H
#define CROSS_CUNIT_H

#include <stdbool.h>
#include <string.h>

/* Counts and tells; leaves the test when @fatal. */
unsigned CU_get_number_of_failures(void);
void cross_assert(bool holds, bool fatal, const char *text, const char *file, unsigned line);

#define CU_CHECK(holds, fatal, text) cross_assert((holds), (fatal), (text), __FILE__, __LINE__)
#define CU_ASSERT(e) CU_CHECK((e), false, #e)
#define CU_ASSERT_FATAL(e) CU_CHECK((e), true, #e)
#define CU_ASSERT_FALSE(e) CU_CHECK(!(e), false, "not " #e)
#define CU_ASSERT_EQUAL(a, b) CU_CHECK((a) == (b), false, #a " == " #b)
#define CU_ASSERT_EQUAL_FATAL(a, b) CU_CHECK((a) == (b), true, #a " == " #b)
#define CU_ASSERT_NOT_EQUAL(a, b) CU_CHECK((a) != (b), false, #a " != " #b)
#define CU_ASSERT_PTR_EQUAL_FATAL(a, b) \
	CU_CHECK((const void *)(a) == (const void *)(b), true, #a " == " #b)
#define CU_ASSERT_PTR_NOT_EQUAL(a, b) \
	CU_CHECK((const void *)(a) != (const void *)(b), false, #a " != " #b)
#define CU_ASSERT_PTR_NULL(a) CU_CHECK(!(a), false, #a " is NULL")
#define CU_ASSERT_PTR_NOT_NULL(a) CU_CHECK((a) != NULL, false, #a " is not NULL")
#define CU_ASSERT_PTR_NOT_NULL_FATAL(a) CU_CHECK((a) != NULL, true, #a " is not NULL")
#define CU_ASSERT_STRING_EQUAL(a, b) CU_CHECK(!strcmp((a), (b)), false, #a " is " #b)
#define CU_ASSERT_STRING_NOT_EQUAL(a, b) CU_CHECK(strcmp((a), (b)) != 0, false, #a " is not " #b)
#define CU_PASS(text) CU_CHECK(true, false, text)
#define CU_FAIL(text) CU_CHECK(false, false, text)
#define CU_FAIL_FATAL(text) CU_CHECK(false, true, text)

#endif
