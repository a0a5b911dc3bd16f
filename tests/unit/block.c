/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disk.h and block.c, against the worked bytes of the format. */
#include <string.h>
#include "persistent-data/disk.h"
#include "unit/unit.h"

static union {
	uint8_t bytes[PD_BLOCK_SIZE];
	struct node_header node;
	struct array_header array;
} b;

static void fresh_node(unsigned flags, uint32_t value_size, unsigned nr)
{
	memset(&b, 0, sizeof(b));
	b.node.flags = le32_put(flags);
	b.node.value_size = le32_put(value_size);
	b.node.max_entries = le32_put(node_max_entries(value_size));
	b.node.nr_entries = le32_put(nr);
	for (unsigned i = 0; i < nr; i++)
		node_keys(&b.node)[i] = le64_put(i);
}

static void test_checksums_of_zeros(void)
{
	static const uint32_t want[] = {
		[KIND_THIN_SB] = 0x58cfd397, [KIND_CACHE_SB] = 0x584476b8,
		[KIND_ERA_SB] = 0x5076581c, [KIND_CLONE_SB] = 0x5796ccc5, [KIND_NODE] = 0x58cc7e82,
		[KIND_ARRAY] = 0x7b4e41de, [KIND_BITMAP] = 0x58ce0b1a, [KIND_INDEX] = 0x58cfd54f,
	};

	for (unsigned kind = KIND_NONE + 1; kind < NR_BLOCK_KINDS; kind++) {
		memset(&b, 0, sizeof(b));
		block_seal(&b, kind, 0);
		CU_ASSERT_EQUAL(le32_get(b.node.csum), want[kind]);
		CU_ASSERT_EQUAL(block_kind(&b), kind);
		CU_ASSERT_EQUAL(block_nr(&b, kind), 0);
	}
	memset(&b, 0, sizeof(b));
	CU_ASSERT_EQUAL(block_kind(&b), KIND_NONE);
}

static void test_worked_node(void)
{
	static const uint8_t empty[32] = {
		0x42, 0x46, 0xc5, 0x49, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0xfc, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0 };
	static const uint8_t one[40] = {
		0x28, 0x1d, 0x5b, 0x77, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0,
		1, 0, 0, 0, 0xfc, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5 };
	static const uint8_t value[8] = { 3, 0, 0, 9 };
	le64 v = le64_put(mapping_pack(9, 3));

	fresh_node(NODE_LEAF, 8, 0);
	block_seal(&b, KIND_NODE, 7);
	CU_ASSERT_EQUAL(memcmp(&b, empty, sizeof(empty)), 0);
	fresh_node(NODE_LEAF, 8, 1);
	node_keys(&b.node)[0] = le64_put(5);
	memcpy(node_value_ptr(&b.node, 0), &v, sizeof(v));
	block_seal(&b, KIND_NODE, 7);
	CU_ASSERT_EQUAL(memcmp(&b, one, sizeof(one)), 0);
	CU_ASSERT_EQUAL(memcmp(b.bytes + 2048, value, sizeof(value)), 0);
	CU_ASSERT_EQUAL(mapping_block(node_value64(&b.node, 0)), 9);
	CU_ASSERT_EQUAL(mapping_time(node_value64(&b.node, 0)), 3);
}

static void test_worked_bitmap_and_array(void)
{
	static const uint8_t bitmap[17] = { 0xba, 0x34, 0x6a, 0x28, 0, 0, 0, 0, 3, [16] = 0x36 };
	static const uint8_t array[32] = {
		0xaa, 0x5a, 0x1e, 0xba, 0xfd, 1, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 0x0b, [24] = 1, 0, 0x64 };
	le64 v = le64_put(100 << 16 | CACHE_VALID);

	memset(&b, 0, sizeof(b));
	for (unsigned i = 0; i < 3; i++)
		bitmap_put(&b, i, i + 1);
	block_seal(&b, KIND_BITMAP, 3);
	CU_ASSERT_EQUAL(memcmp(&b, bitmap, sizeof(bitmap)), 0);
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(bitmap_get(&b, i), i < 3 ? i + 1 : 0);
	bitmap_put(&b, ENTRIES_PER_BITMAP - 1, 2);
	CU_ASSERT_EQUAL(bitmap_get(&b, ENTRIES_PER_BITMAP - 1), 2);
	memset(&b, 0, sizeof(b));
	b.array.max_entries = le32_put(array_max_entries(8));
	b.array.nr_entries = le32_put(2);
	b.array.value_size = le32_put(8);
	memcpy(array_value_ptr(&b.array, 0), &v, sizeof(v));
	block_seal(&b, KIND_ARRAY, 11);
	CU_ASSERT_EQUAL(memcmp(&b, array, sizeof(array)), 0);
	CU_ASSERT_EQUAL(block_nr(&b, KIND_ARRAY), 11);
	CU_ASSERT(array_block_check(&b, 8));
	CU_ASSERT(!array_block_check(&b, 4));
	b.array.nr_entries = le32_put(0);
	CU_ASSERT(!array_block_check(&b, 8));
	b.array.nr_entries = le32_put(510);
	CU_ASSERT(!array_block_check(&b, 8));
}

static void test_a_flipped_bit_anywhere_is_noticed(void)
{
	fresh_node(NODE_LEAF, 8, 100);
	block_seal(&b, KIND_NODE, 1);
	for (unsigned i = 0; i < PD_BLOCK_SIZE; i += 13) {
		b.bytes[i] ^= (uint8_t)(1 << i % 8);
		CU_ASSERT_EQUAL(block_kind(&b), KIND_NONE);
		b.bytes[i] ^= (uint8_t)(1 << i % 8);
	}
	CU_ASSERT_EQUAL(block_kind(&b), KIND_NODE);
}

static void test_capacities(void)
{
	static const uint32_t sizes[] = { 4, 8, 12, 16, 24 }, want[] = { 336, 252, 201, 168, 126 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		CU_ASSERT_EQUAL(node_max_entries(sizes[i]), want[i]);
	CU_ASSERT_EQUAL(node_max_entries(NODE_MAX_VALUE_SIZE), 3);
	CU_ASSERT_EQUAL(array_max_entries(8), 509);
	CU_ASSERT_EQUAL(array_max_entries(4), 1018);
	CU_ASSERT_EQUAL(BITSET_BITS_PER_BLOCK, array_max_entries(8) * BITSET_WORD_BITS);
}

static void test_nodes_that_cannot_be_used_are_told_apart(void)
{
	fresh_node(NODE_LEAF, 8, 252);
	CU_ASSERT_EQUAL(node_check(&b, 8), NODE_OK);
	CU_ASSERT_EQUAL(node_check(&b, 0), NODE_OK);
	CU_ASSERT_EQUAL(node_check(&b, 16), NODE_BAD_VALUE_SIZE);
	for (unsigned flags = 0; flags < 6; flags++) {
		b.node.flags = le32_put(flags);
		if (flags != NODE_LEAF && flags != NODE_INTERNAL)
			CU_ASSERT_EQUAL(node_check(&b, 8), NODE_BAD_FLAGS);
	}
	fresh_node(NODE_INTERNAL, 24, 3);
	CU_ASSERT_EQUAL(node_check(&b, 24), NODE_BAD_VALUE_SIZE);
	fresh_node(NODE_INTERNAL, 8, 0);
	CU_ASSERT_EQUAL(node_check(&b, 24), NODE_BAD_NR_ENTRIES);
	fresh_node(NODE_LEAF, 8, 0);
	CU_ASSERT_EQUAL(node_check(&b, 8), NODE_OK);
	b.node.nr_entries = le32_put(253);
	CU_ASSERT_EQUAL(node_check(&b, 8), NODE_BAD_NR_ENTRIES);
	b.node.nr_entries = le32_put(UINT32_MAX);
	CU_ASSERT_EQUAL(node_check(&b, 8), NODE_BAD_NR_ENTRIES);
	for (unsigned i = 0; i < 3; i++) {
		static const uint32_t max[] = { 251, 255, UINT32_MAX };

		fresh_node(NODE_LEAF, 8, 2);
		b.node.max_entries = le32_put(max[i]);
		CU_ASSERT_EQUAL(node_check(&b, 8), NODE_BAD_MAX_ENTRIES);
	}
	b.node.value_size = le32_put(UINT32_MAX);
	CU_ASSERT_EQUAL(node_check(&b, 0), NODE_BAD_MAX_ENTRIES);
	fresh_node(NODE_LEAF, 8, 5);
	node_keys(&b.node)[4] = le64_put(3);
	CU_ASSERT_EQUAL(node_check(&b, 8), NODE_BAD_KEY_ORDER);
}

UNIT_SUITE(block,
	UNIT(test_checksums_of_zeros),
	UNIT(test_worked_node),
	UNIT(test_worked_bitmap_and_array),
	UNIT(test_a_flipped_bit_anywhere_is_noticed),
	UNIT(test_capacities),
	UNIT(test_nodes_that_cannot_be_used_are_told_apart)
);
