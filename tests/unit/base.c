/* SPDX-License-Identifier: GPL-2.0-or-later */
/* le, bits, workers, log and err. */
#include <errno.h>
#include <string.h>
#include <pdata/err.h>
#include <pdata/log.h>
#include "base/bits.h"
#include "base/le.h"
#include "base/util.h"
#include "base/workers.h"
#include "unit/unit.h"

static void test_numbers_lie_on_disk_lowest_byte_first(void)
{
	static const uint8_t want[] = { 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01 };
	le64 a = le64_put(0x0123456789abcdefull);
	le32 b = le32_put(0x89abcdefu);
	le16 c = le16_put(0xcdef);

	CU_ASSERT_EQUAL(memcmp(&a, want, 8), 0);
	CU_ASSERT_EQUAL(memcmp(&b, want, 4), 0);
	CU_ASSERT_EQUAL(memcmp(&c, want, 2), 0);
	CU_ASSERT_EQUAL(le64_get(a), 0x0123456789abcdefull);
	CU_ASSERT_EQUAL(le32_get(b), 0x89abcdefu);
	CU_ASSERT_EQUAL(le16_get(c), 0xcdef);
}

static void test_ceil_div_does_not_overflow(void)
{
	CU_ASSERT_EQUAL(ceil_div(0, 7), 0);
	CU_ASSERT_EQUAL(ceil_div(7, 7), 1);
	CU_ASSERT_EQUAL(ceil_div(8, 7), 2);
	CU_ASSERT_EQUAL(ceil_div(UINT64_MAX, 2), 1ull << 63);
}

static void test_bits_are_found_where_they_were_set(void)
{
	static const uint64_t at[] = { 0, 1, 63, 64, 127, 1000, 99998 };
	uint64_t b = 0;
	struct bits s;

	CU_ASSERT_EQUAL_FATAL(bits_init(&s, 99999), 0);
	CU_ASSERT_EQUAL(bits_next(&s, 0), 99999);
	CU_ASSERT_EQUAL(bits_next_clear(&s, 99998), 99998);
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
		CU_ASSERT(!bits_test_and_set(&s, at[i]));
	CU_ASSERT(bits_test_and_set_atomic(&s, 1000));
	CU_ASSERT_EQUAL(bits_count(&s), ARRAY_SIZE(at));
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++, b++)
		CU_ASSERT_EQUAL(b = bits_next(&s, b), at[i]);
	CU_ASSERT_EQUAL(bits_next(&s, b), 99999);
	CU_ASSERT_EQUAL(bits_next(&s, 1ull << 40), 99999);
	CU_ASSERT_EQUAL(bits_next_clear(&s, 63), 65);
	CU_ASSERT_EQUAL(bits_next_clear(&s, 99998), 99999);
	bits_clear(&s, 63);
	CU_ASSERT(!bits_test(&s, 63));
	bits_exit(&s);
	bits_exit(&s);
}

static void test_a_set_may_be_empty_or_huge(void)
{
	struct bits s;

	CU_ASSERT_EQUAL_FATAL(bits_init(&s, 0), 0);
	CU_ASSERT_EQUAL(bits_next(&s, 0), 0);
	CU_ASSERT_EQUAL(bits_count(&s), 0);
	bits_exit(&s);
	CU_ASSERT_EQUAL(bits_init(&s, UINT64_MAX), -ENOMEM);
	bits_exit(&s);
	if (sizeof(void *) == 8) {
		CU_ASSERT_EQUAL_FATAL(bits_init(&s, 1ull << 40), 0);
		bits_set(&s, (1ull << 40) - 1);
		CU_ASSERT(bits_test(&s, (1ull << 40) - 1));
		bits_exit(&s);
	}
}

static void count(void *ctx, unsigned worker)
{
	unsigned *seen = ctx;

	__atomic_fetch_add(&seen[worker], 1, __ATOMIC_RELAXED);
}

static void test_each_worker_runs_once(void)
{
	unsigned seen[16] = { 0 };

	for (unsigned nr = 1; nr <= 16; nr++) {
		unsigned sum = 0;

		memset(seen, 0, sizeof(seen));
		workers_run(nr, count, seen);
		for (unsigned i = 0; i < 16; i++) {
			CU_ASSERT(seen[i] <= 1);
			sum += seen[i];
		}
		CU_ASSERT(seen[0] == 1 && sum <= nr);
	}
	CU_ASSERT(workers_default() >= 1 && workers_default() <= 16);
}

static void keep(void *ctx, enum pd_log_level level, const char *text)
{
	(void)level;
	strcat(strcat(ctx, text), "|");
}

static void test_the_log_keeps_to_its_level(void)
{
	char text[2048] = "", longer[1500];
	struct pd_log log = { keep, text, PD_LOG_WARN };

	pd_log(NULL, PD_LOG_ERR, "nobody hears %d", 1);
	pd_log(&log, PD_LOG_ERR, "a %d", 1);
	pd_log(&log, PD_LOG_INFO, "b");
	pd_log(&log, PD_LOG_WARN, "c");
	CU_ASSERT_STRING_EQUAL(text, "a 1|c|");
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = 0;
	text[0] = 0;
	pd_log(&log, PD_LOG_ERR, "%s", longer);
	CU_ASSERT(strlen(text) > 500 && strlen(text) < sizeof(longer));
}

static void test_every_error_has_a_sentence(void)
{
	CU_ASSERT_STRING_EQUAL(pd_strerror(-EUCLEAN), pd_strerror(EUCLEAN));
	CU_ASSERT_STRING_NOT_EQUAL(pd_strerror(-EUCLEAN), strerror(EUCLEAN));
	CU_ASSERT_STRING_EQUAL(pd_strerror(-EACCES), "Permission denied");
	CU_ASSERT_STRING_EQUAL(pd_strerror(-ENOTBLK), "Not a block device or regular file");
	CU_ASSERT_PTR_NOT_NULL(pd_strerror(-123456));
}

UNIT_SUITE(base,
	UNIT(test_numbers_lie_on_disk_lowest_byte_first),
	UNIT(test_ceil_div_does_not_overflow),
	UNIT(test_bits_are_found_where_they_were_set),
	UNIT(test_a_set_may_be_empty_or_huge),
	UNIT(test_each_worker_runs_once),
	UNIT(test_the_log_keeps_to_its_level),
	UNIT(test_every_error_has_a_sentence)
);
