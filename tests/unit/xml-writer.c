/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "thin/elements.h"
#include "thin/text.h"
#include "unit/unit.h"

#define EL(e) (&thin_schema.elements[THIN_EL_##e])

/* A writer over memory. */
struct fixture {
	struct xml_writer w;
	char buf[8192];
};

static void fixture_init(struct fixture *f)
{
	memset(f->buf, 0, sizeof(f->buf));
	xml_writer_init_buf(&f->w, f->buf, sizeof(f->buf));
}

static void test_numbers_are_written_as_printf_does(void)
{
	uint64_t v = 1;

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t tries[] = { i, v, v - 1, UINT64_MAX - i, UINT64_MAX / (i + 1) };

		for (unsigned k = 0; k < sizeof(tries) / sizeof(tries[0]); k++) {
			char want[24], got[24];

			snprintf(want, sizeof(want), "%" PRIu64, tries[k]);
			*xml_put_u64(got, tries[k]) = 0;
			if (strcmp(want, got)) {
				CU_FAIL(want);
				return;
			}
		}
		v = v > UINT64_MAX / 10 ? 1 : v * 10;
	}
	CU_PASS("all numbers");
}

static void test_attributes_come_in_the_order_of_the_row(void)
{
	struct thin_sb_record sb = { .time = 1, .transaction = 3, .version = 2,
				     .data_block_size = 128, .nr_data_blocks = 2000 };
	struct fixture f;

	fixture_init(&f);
	CU_ASSERT_EQUAL(xml_write_start(&f.w, EL(SUPERBLOCK), &sb), 0);
	CU_ASSERT_STRING_EQUAL(f.buf, "<superblock uuid=\"\" time=\"1\" transaction=\"3\" "
			       "version=\"2\" data_block_size=\"128\" nr_data_blocks=\"2000\">\n");
}

static void test_flags_are_written_only_when_set_and_read_only_attributes_never(void)
{
	struct thin_sb_record sb = { .flags = 1, .metadata_snap = 7 };
	struct fixture f;

	fixture_init(&f);
	xml_write_start(&f.w, EL(SUPERBLOCK), &sb);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.buf, " flags=\"1\" version="));
	CU_ASSERT_PTR_NULL(strstr(f.buf, "metadata_snap"));
}

static void test_empty_containers_take_two_lines_and_the_root_ends_without_newline(void)
{
	struct thin_sb_record sb = { 0 };
	struct thin_name_record name = { "9" };
	struct fixture f;
	char *second;

	fixture_init(&f);
	xml_write_start(&f.w, EL(SUPERBLOCK), &sb);
	xml_write_start(&f.w, EL(DEF), &name);
	xml_write_end(&f.w, EL(DEF));
	xml_write_end(&f.w, EL(SUPERBLOCK));
	second = strchr(f.buf, '\n') + 1;
	CU_ASSERT_STRING_EQUAL(second, "  <def name=\"9\">\n  </def>\n</superblock>");
}

static void test_strings_are_escaped(void)
{
	struct thin_name_record name = { "a&b<c>d\"e" };
	struct fixture f;

	fixture_init(&f);
	xml_write_leaf(&f.w, EL(REF), &name);
	CU_ASSERT_STRING_EQUAL(f.buf, "<ref name=\"a&amp;b&lt;c&gt;d&quot;e\"/>\n");
}

static void test_base64_is_padded(void)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
	};
	struct row {
		struct xml_bytes data;
	};
	static const struct xml_element e = { .tag = "h", .nr_attrs = 1, .attrs = {
		XML_ATTR_BASE64("d", row, data, XML_REQUIRED) } };

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct row r = { { (const uint8_t *)cases[i].in, strlen(cases[i].in) } };
		char want[32];
		struct fixture f;

		fixture_init(&f);
		xml_write_leaf(&f.w, &e, &r);
		snprintf(want, sizeof(want), "<h d=\"%s\"/>\n", cases[i].out);
		CU_ASSERT_STRING_EQUAL(f.buf, want);
	}
}

static void test_fast_mappings_are_the_table_s_text(void)
{
	struct thin_mapping_record m[500];
	struct xml_writer table;
	struct thin_text fast;
	size_t len = sizeof(m) / sizeof(m[0]) * (THIN_TEXT_MAPPING_MAX + 1);
	char *a = calloc(1, len + 4096), *b = calloc(1, len + 4096);

	thin_text_init(&fast, PD_TEXT_XML);
	xml_writer_init_buf(&fast.w, a, len + 4096);
	xml_writer_init_buf(&table, b, len + 4096);
	table.depth = 2;
	for (unsigned i = 0; i < 500; i++) {
		m[i] = (struct thin_mapping_record){
			.vbegin = UINT64_MAX >> i % 64, .dbegin = ((1ull << 40) - 1) >> i % 41,
			.len = i % 3 ? 1 : 1 + (UINT64_MAX >> i % 64), .time = i / 100 ? 0xffffff >> i % 24 : 0,
		};
		xml_write_leaf(&table, m[i].len == 1 ? EL(SINGLE) : EL(RANGE), &m[i]);
	}
	CU_ASSERT_EQUAL(fast.e.mappings(&fast.e, m, 500), 0);
	CU_ASSERT_EQUAL(table.err, 0);
	CU_ASSERT_EQUAL_FATAL(fast.w.used, table.used);
	CU_ASSERT_EQUAL(memcmp(a, b, table.used), 0);
	free(a);
	free(b);
}

static void test_memory_that_is_full_is_an_error_and_nothing_is_overwritten(void)
{
	struct thin_name_record name = { "x" };
	struct xml_writer w;
	char buf[1024 + 8];
	int r = 0;

	memset(buf, 'z', sizeof(buf));
	xml_writer_init_buf(&w, buf, 1024);
	for (unsigned i = 0; i < 1000 && !r; i++)
		r = xml_write_leaf(&w, EL(REF), &name);
	CU_ASSERT_EQUAL(r, -ENOBUFS);
	CU_ASSERT_EQUAL(memcmp(buf + 1024, "zzzzzzzz", 8), 0);
}

static int count_and_fail(void *ctx, const void *data, size_t len)
{
	(void)data;
	(void)len;
	return ++*(unsigned *)ctx > 1 ? -ENOSPC : 0;
}

static void test_a_sink_that_fails_is_not_called_again(void)
{
	struct thin_name_record name = { "x" };
	struct xml_writer w;
	unsigned calls = 0;

	CU_ASSERT_EQUAL(xml_writer_init(&w, count_and_fail, &calls), 0);
	for (unsigned i = 0; i < 100000; i++)
		xml_write_leaf(&w, EL(REF), &name);
	CU_ASSERT_EQUAL(xml_writer_flush(&w), -ENOSPC);
	CU_ASSERT_EQUAL(calls, 2);
	xml_writer_exit(&w);
}

UNIT_SUITE(xml_writer,
	UNIT(test_numbers_are_written_as_printf_does),
	UNIT(test_attributes_come_in_the_order_of_the_row),
	UNIT(test_flags_are_written_only_when_set_and_read_only_attributes_never),
	UNIT(test_empty_containers_take_two_lines_and_the_root_ends_without_newline),
	UNIT(test_strings_are_escaped),
	UNIT(test_base64_is_padded),
	UNIT(test_fast_mappings_are_the_table_s_text),
	UNIT(test_memory_that_is_full_is_an_error_and_nothing_is_overwritten),
	UNIT(test_a_sink_that_fails_is_not_called_again)
);
