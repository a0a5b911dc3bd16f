/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slots: what is remembered of blocks of every kind, sound and unsound. */
#include <stdlib.h>
#include <string.h>
#include "meta/slots.h"
#include "unit/unit.h"

#define NR_BLOCKS 64u

static struct pd_io *io;
static struct slots slots;

static void setup(void)
{
	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, NR_BLOCKS), 0);
	CU_ASSERT_EQUAL_FATAL(slots_init(&slots, io), 0);
}

static void teardown(void)
{
	slots_exit(&slots);
	pd_io_close(io);
}

/* Writes a node with keys 10, 20, ... as it would stand at @says, at @at. */
static void node(uint64_t at, uint64_t says, unsigned flags, unsigned nr, uint32_t value_size)
{
	struct node_header *n = pd_io_buffer(1);

	memset(n, 0, PD_BLOCK_SIZE);
	n->flags = le32_put(flags);
	n->nr_entries = le32_put(nr);
	n->max_entries = le32_put(node_max_entries(value_size));
	n->value_size = le32_put(value_size);
	for (unsigned i = 0; i < nr && i < node_max_entries(value_size); i++) {
		le64 v = le64_put(i + 1);

		node_keys(n)[i] = le64_put(10 * (i + 1));
		if (value_size == 8)
			memcpy(node_value_ptr(n, i), &v, sizeof(v));
	}
	block_seal(n, KIND_NODE, says);
	CU_ASSERT_EQUAL_FATAL(pd_io_write(io, at, 1, n), 0);
	free(n);
}

static int count(void *ctx, unsigned worker, uint64_t block, const struct slot *slot, const void *data)
{
	(void)worker;
	(void)block;
	CU_ASSERT_PTR_NOT_NULL(data);
	CU_ASSERT_NOT_EQUAL(slot->state, SLOT_UNREAD);
	++*(unsigned *)ctx;
	return 0;
}

static unsigned read_all(void)
{
	struct pd_run run = { .nr_threads = 1 };
	struct bits set;
	unsigned nr = 0;

	CU_ASSERT_EQUAL_FATAL(bits_init(&set, NR_BLOCKS), 0);
	for (unsigned b = 1; b < 10; b++)
		bits_set(&set, b);
	CU_ASSERT_EQUAL(slots_read(&slots, &set, &run, NULL, count, &nr), 0);
	bits_exit(&set);
	return nr;
}

static void test_each_state_is_told_apart(void)
{
	setup();
	node(1, 1, NODE_LEAF, 3, 8);
	node(2, 3, NODE_LEAF, 3, 8);			/* misplaced */
	node(4, 4, NODE_LEAF | NODE_INTERNAL, 3, 8);
	node(5, 5, NODE_LEAF, 300, 8);			/* more than fit */
	node(6, 6, NODE_INTERNAL, 0, 8);
	node(7, 7, NODE_LEAF, 2, 24);
	CU_ASSERT_EQUAL(read_all(), 9);
	CU_ASSERT_EQUAL(slots.slot[1].state, SLOT_OK);
	CU_ASSERT_EQUAL(slots.slot[1].first, 10);
	CU_ASSERT_EQUAL(slots.slot[1].last, 30);
	CU_ASSERT_EQUAL(slots.slot[2].state, SLOT_MISPLACED);
	CU_ASSERT_EQUAL(slots.slot[3].state, SLOT_CSUM);	/* zeros */
	CU_ASSERT_EQUAL(slots.slot[4].state, SLOT_FAULT + NODE_BAD_FLAGS);
	CU_ASSERT_EQUAL(slots.slot[5].state, SLOT_FAULT + NODE_BAD_NR_ENTRIES);
	CU_ASSERT_EQUAL(slots.slot[6].state, SLOT_FAULT + NODE_BAD_NR_ENTRIES);
	CU_ASSERT_EQUAL(slots.slot[7].value_size, 24);
	CU_ASSERT_EQUAL(slots.slot[10].state, SLOT_UNREAD);
	teardown();
}

static void test_a_block_is_read_once(void)
{
	setup();
	node(1, 1, NODE_LEAF, 3, 8);
	CU_ASSERT_EQUAL(read_all(), 9);
	CU_ASSERT_EQUAL(read_all(), 0);
	teardown();
}

static void test_children_are_kept_or_read_again(void)
{
	struct child buf[INTERNAL_MAX_ENTRIES];
	const struct child *c;

	setup();
	node(1, 1, NODE_INTERNAL, 5, 8);
	read_all();
	c = slots_children(&slots, 1, buf);
	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_PTR_NOT_EQUAL(c, buf);
	CU_ASSERT_EQUAL(c[4].key, 50);
	CU_ASSERT_EQUAL(c[4].block, 5);
	slots.slot[1].children = NO_CHILDREN;		/* as if the arena had been full */
	c = slots_children(&slots, 1, buf);
	CU_ASSERT_PTR_EQUAL_FATAL(c, buf);
	CU_ASSERT_EQUAL(c[4].block, 5);
	node(1, 1, NODE_INTERNAL, 4, 8);		/* it changed behind our back */
	CU_ASSERT_PTR_NULL(slots_children(&slots, 1, buf));
	teardown();
}

static void test_children_can_be_set(void)
{
	struct child c[2] = { { 3, 30 }, { 4, 40 } }, buf[INTERNAL_MAX_ENTRIES];

	setup();
	CU_ASSERT_EQUAL(slots_set_children(&slots, 9, c, 2), 0);
	CU_ASSERT_EQUAL(slots.slot[9].first, 3);
	CU_ASSERT_EQUAL(slots.slot[9].last, 4);
	CU_ASSERT_EQUAL(slots_children(&slots, 9, buf)[1].block, 40);
	teardown();
}

UNIT_SUITE(slots,
	UNIT(test_each_state_is_told_apart),
	UNIT(test_a_block_is_read_once),
	UNIT(test_children_are_kept_or_read_again),
	UNIT(test_children_can_be_set));
