/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>
#include "base/crc32c.h"
#include "unit/unit.h"

static void test_vectors_of_the_format(void)
{
	static const uint8_t zeros[4092];

	CU_ASSERT_EQUAL(crc32c(0xffffffff, "123456789", 9), 0x1cf96d7c);
	CU_ASSERT_EQUAL(crc32c_table(0xffffffff, "123456789", 9), 0x1cf96d7c);
	CU_ASSERT_EQUAL(crc32c(0xffffffff, zeros, sizeof(zeros)), 0x58cda791);
	CU_ASSERT_EQUAL(crc32c_table(0xffffffff, zeros, sizeof(zeros)), 0x58cda791);
	CU_ASSERT_EQUAL(crc32c(0x12345678, zeros, 0), 0x12345678);
}

static void test_the_processor_and_the_tables_agree(void)
{
	uint8_t *buf = malloc(20000);
	uint32_t seed = 1;

	for (unsigned i = 0; i < 20000; i++)
		buf[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
	for (unsigned len = 0; len < 200; len++)
		for (unsigned at = 0; at < 9; at++)
			CU_ASSERT_EQUAL(crc32c(len, buf + at, len), crc32c_table(len, buf + at, len));
	for (unsigned len = 4070; len < 4110; len++)
		CU_ASSERT_EQUAL(crc32c(~0u, buf + len % 5, len), crc32c_table(~0u, buf + len % 5, len));
	for (unsigned len = 8100; len < 19000; len += 997)
		CU_ASSERT_EQUAL(crc32c(~0u, buf + len % 7, len), crc32c_table(~0u, buf + len % 7, len));
	free(buf);
}

static void test_pieces_add_up(void)
{
	uint8_t buf[5000];

	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * i >> 3);
	for (unsigned cut = 0; cut <= sizeof(buf); cut += 113)
		CU_ASSERT_EQUAL(crc32c(crc32c(~0u, buf, cut), buf + cut, sizeof(buf) - cut),
				crc32c(~0u, buf, sizeof(buf)));
}

static void test_the_engine_has_a_name(void)
{
	const char *name = crc32c_engine();

	CU_ASSERT(!strcmp(name, "sse4.2") || !strcmp(name, "arm64") || !strcmp(name, "table"));
}

UNIT_SUITE(crc32c,
	UNIT(test_vectors_of_the_format),
	UNIT(test_the_processor_and_the_tables_agree),
	UNIT(test_pieces_add_up),
	UNIT(test_the_engine_has_a_name)
);
