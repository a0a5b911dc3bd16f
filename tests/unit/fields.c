/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "meta/fields.h"
#include "unit/unit.h"

static uint8_t block[PD_BLOCK_SIZE];

/* Parts of a number follow it. */
static bool is_part(const struct field *f)
{
	return f->nr_bits && f->nr_bits < 8 * f->len_bytes;
}

static void test_each_table_covers_its_struct_without_gaps(void)
{
	for (unsigned t = 0; t < nr_field_tables; t++) {
		const struct field_table *table = &field_tables[t];
		unsigned at = 0;

		for (unsigned i = 0; i < table->nr; i++) {
			const struct field *f = &table->fields[i];

			if (is_part(f)) {
				CU_ASSERT(f->offset_bytes + f->len_bytes <= at);
				continue;
			}
			if (f->offset_bytes != at) {
				printf("%s: %s begins at %u, not at %u\n", table->name, f->name,
				       f->offset_bytes, at);
				CU_FAIL("a gap in a field table");
			}
			at = f->offset_bytes + f->len_bytes;
		}
		CU_ASSERT_EQUAL(at, table->len_bytes);
	}
}

static void test_names_lead_to_the_bytes_of_the_format(void)
{
	char v[PD_FIELD_VALUE_MAX];

	memset(block, 0, sizeof(block));
	CU_ASSERT_EQUAL(pd_field_set(block, "thin-superblock", "data_mapping_root", "0x1234"), 0);
	CU_ASSERT(block[320] == 0x34 && block[321] == 0x12);
	CU_ASSERT_EQUAL(pd_field_set(block, "thin-superblock",
				     "metadata_space_map_root.bitmap_root", "77"), 0);
	CU_ASSERT_EQUAL(block[192 + 16], 77);
	CU_ASSERT_EQUAL(pd_field_get(block, "thin-superblock", "data_mapping_root", v), 0);
	CU_ASSERT_STRING_EQUAL(v, "4660");
	CU_ASSERT_EQUAL(pd_field_set(block, "thin-superblock", "data_mapping_root", "+6"), 0);
	CU_ASSERT_EQUAL(pd_field_set(block, "thin-superblock", "data_mapping_root", "-4"), 0);
	CU_ASSERT_EQUAL(block[320], 0x36);
	CU_ASSERT_EQUAL(pd_field_set(block, "thin-superblock", "uuid",
				     "000102030405060708090a0b0c0d0e0F"), 0);
	CU_ASSERT_EQUAL(block[31], 15);
	CU_ASSERT_EQUAL(pd_field_set(block, "era-superblock", "current_writeset.root", "5"), 0);
	CU_ASSERT_EQUAL(block[192], 5);
}

static void test_keys_values_and_their_parts(void)
{
	struct node_header *n = (void *)block;
	char v[PD_FIELD_VALUE_MAX];

	memset(block, 0, sizeof(block));
	CU_ASSERT_EQUAL(pd_field_set(block, "node", "max_entries", "252"), 0);
	CU_ASSERT_EQUAL(pd_field_set(block, "node", "value_size", "8"), 0);
	CU_ASSERT_EQUAL(pd_field_set(block, "node", "keys[2]", "9"), 0);
	CU_ASSERT_EQUAL(node_key(n, 2), 9);
	CU_ASSERT_EQUAL(pd_field_set(block, "node", "values[251].block", "1099511627775"), 0);
	CU_ASSERT_EQUAL(pd_field_set(block, "node", "values[251].time", "7"), 0);
	CU_ASSERT_EQUAL(mapping_block(node_value64(n, 251)), (1ull << 40) - 1);
	CU_ASSERT_EQUAL(mapping_time(node_value64(n, 251)), 7);
	CU_ASSERT_EQUAL(pd_field_get(block, "node", "values[251]", v), 0);
	CU_ASSERT_STRING_EQUAL(v, "18446744073692774407");
	CU_ASSERT_EQUAL(pd_field_set(block, "node", "value_size", "24"), 0);
	CU_ASSERT_EQUAL(pd_field_set(block, "node", "max_entries", "126"), 0);
	CU_ASSERT_EQUAL(pd_field_set(block, "node", "values[1].creation_time", "3"), 0);
	CU_ASSERT_EQUAL(block[32 + 8 * 126 + 24 + 16], 3);
}

static void test_bitmap_entries(void)
{
	char v[PD_FIELD_VALUE_MAX];

	memset(block, 0, sizeof(block));
	CU_ASSERT_EQUAL(pd_field_set(block, "bitmap", "entries[1]", "2"), 0);
	CU_ASSERT_EQUAL(bitmap_get(block, 1), 2);
	CU_ASSERT_EQUAL(pd_field_get(block, "bitmap", "entries[1]", v), 0);
	CU_ASSERT_STRING_EQUAL(v, "2");
	CU_ASSERT_EQUAL(pd_field_set(block, "bitmap", "entries[1]", "4"), -EINVAL);
	CU_ASSERT_EQUAL(pd_field_set(block, "bitmap", "entries[16319]", "3"), 0);
	CU_ASSERT_EQUAL(pd_field_set(block, "bitmap", "entries[16320]", "3"), -ERANGE);
}

static void test_what_is_wrong_is_refused_and_changes_nothing(void)
{
	static const struct { const char *kind, *name, *value; int err; } cases[] = {
		{ "knot", "flags", "1", -EINVAL },
		{ "node", "flugs", "1", -ENOENT },
		{ "node", "flags", "", -EINVAL },
		{ "node", "flags", "1x", -EINVAL },
		{ "node", "flags", "4294967296", -EINVAL },
		{ "node", "flags", "18446744073709551616", -EINVAL },
		{ "node", "flags", "-1", -EINVAL },
		{ "node", "flags", " 1", -EINVAL },
		{ "node", "keys[1", "1", -ENOENT },
		{ "node", "keys[]", "1", -ENOENT },
		{ "node", "keys[-1]", "1", -ENOENT },
		{ "node", "keys[508]", "1", -ERANGE },
		{ "node", "keys[18446744073709551615]", "1", -ERANGE },
		{ "node", "values[0]", "1", -ENOENT },
		{ "thin-superblock", "uuid", "00", -EINVAL },
		{ "thin-superblock", "uuid", "000102030405060708090a0b0c0d0e0g", -EINVAL },
		{ "index", "index[255].nr_free", "1", -ERANGE },
		{ "index", "index[1].nr_fee", "1", -ENOENT },
	};

	memset(block, 0, sizeof(block));
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = pd_field_set(block, cases[i].kind, cases[i].name, cases[i].value);

		if (r != cases[i].err) {
			printf("%s=%s: %d\n", cases[i].name, cases[i].value, r);
			CU_FAIL("another error was expected");
		}
	}
	for (unsigned i = 0; i < sizeof(block); i++)
		if (block[i])
			CU_FAIL_FATAL("a refused value was written");
}

static int count(void *ctx, const char *name, const char *value)
{
	(void)name;
	(void)value;
	++*(unsigned *)ctx;
	return 0;
}

static void test_any_bytes_can_be_shown(void)
{
	uint32_t seed = 1;

	for (unsigned round = 0; round < 300; round++)
		for (enum block_kind kind = KIND_THIN_SB; kind < NR_BLOCK_KINDS; kind++) {
			unsigned nr = 0;

			for (unsigned i = 0; i < sizeof(block); i++)
				block[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
			if (round % 2)
				memset(block + round % 40, 0, 40);
			CU_ASSERT_EQUAL(pd_field_each(block, field_tables[kind - 1].name, count, &nr), 0);
			CU_ASSERT(nr >= 3);
		}
}

static void test_sealing_mends_the_checksum_alone(void)
{
	memset(block, 0, sizeof(block));
	CU_ASSERT_PTR_NULL(pd_block_kind_of(block));
	for (unsigned k = 0; k < NR_BLOCK_KINDS - 1; k++) {
		CU_ASSERT_EQUAL(pd_block_seal(block, field_tables[k].name), 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(pd_block_kind_of(block));
		CU_ASSERT_STRING_EQUAL(pd_block_kind_of(block), field_tables[k].name);
	}
	CU_ASSERT_EQUAL(pd_block_seal(block, "count"), -EINVAL);
	for (unsigned i = 4; i < sizeof(block); i++)
		if (block[i])
			CU_FAIL_FATAL("more than the checksum was written");
}

UNIT_SUITE(fields,
	UNIT(test_each_table_covers_its_struct_without_gaps),
	UNIT(test_names_lead_to_the_bytes_of_the_format),
	UNIT(test_keys_values_and_their_parts),
	UNIT(test_bitmap_entries),
	UNIT(test_what_is_wrong_is_refused_and_changes_nothing),
	UNIT(test_any_bytes_can_be_shown),
	UNIT(test_sealing_mends_the_checksum_alone)
);
