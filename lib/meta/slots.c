/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include "base/reserve.h"
#include "meta/slots.h"

#define MIN_CHILDREN (1ull << 20)
/* 16 bytes a child: with the slot's 32 bytes this stays below 1/64 of the metadata. */
#define CHILDREN_PER_1000_BLOCKS 1500ull

struct reading {
	struct slots *s;
	slot_fn fn;
	void *ctx;
};

#define MANY_BLOCKS 16384u	/* from here on large pages pay */

int slots_init(struct slots *s, struct pd_io *io)
{
	*s = (struct slots){ .io = io };
	s->nr_blocks = min_t(uint64_t, pd_io_nr_blocks(io), MAX_METADATA_BLOCKS);
	s->max_children = MIN_CHILDREN + s->nr_blocks * CHILDREN_PER_1000_BLOCKS / 1000;
	s->slot = reserve(s->nr_blocks + 1, sizeof(*s->slot), s->nr_blocks >= MANY_BLOCKS);
	s->child = reserve(s->max_children, sizeof(*s->child), s->nr_blocks >= MANY_BLOCKS);
	s->buf = pd_io_buffer(1);
	if (s->slot && s->child && s->buf)
		return 0;
	slots_exit(s);
	return -ENOMEM;
}

void slots_exit(struct slots *s)
{
	unreserve(s->slot, s->nr_blocks + 1, sizeof(*s->slot));
	unreserve(s->child, s->max_children, sizeof(*s->child));
	free(s->buf);
	*s = (struct slots){ .io = NULL };
}

static void copy_children(struct child *c, const struct node_header *n, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		c[i] = (struct child){ node_key(n, i), node_value64(n, i) };
}

/* A place for @nr children, or NO_CHILDREN when the arena is full. */
static uint32_t take(struct slots *s, uint32_t nr)
{
	uint64_t at = __atomic_load_n(&s->nr_children, __ATOMIC_RELAXED);

	do {
		if (at + nr > s->max_children)
			return NO_CHILDREN;
	} while (!__atomic_compare_exchange_n(&s->nr_children, &at, at + nr, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return (uint32_t)at;
}

static void fill_node(struct slots *s, struct slot *slot, const struct node_header *n)
{
	enum node_fault fault = node_check(n, 0);
	uint32_t nr = le32_get(n->nr_entries);

	slot->value_size = (uint16_t)min_t(uint32_t, le32_get(n->value_size), UINT16_MAX);
	if (le32_get(n->flags) == NODE_LEAF)
		slot->flags |= SLOT_LEAF;
	slot->children = NO_CHILDREN;
	if (fault) {
		slot->state = (uint8_t)(SLOT_FAULT + fault);
		return;
	}
	slot->nr = (uint16_t)nr;
	if (nr) {
		slot->first = node_key(n, 0);
		slot->last = node_key(n, nr - 1);
	}
	if (slot->flags & SLOT_LEAF)
		return;
	slot->children = take(s, nr);
	if (slot->children != NO_CHILDREN)
		copy_children(s->child + slot->children, n, nr);
}

static int fill(void *ctx, unsigned worker, uint64_t block, const void *data, int err)
{
	struct reading *r = ctx;
	struct slots *s = r->s;
	struct slot *slot = &s->slot[block];

	slot->state = SLOT_OK;
	slot->kind = KIND_NONE;
	if (err) {
		slot->state = SLOT_IO;
	} else {
		slot->kind = (uint8_t)block_kind(data);
		if (slot->kind == KIND_NONE)
			slot->state = SLOT_CSUM;
		else if (block_nr(data, slot->kind) != block)
			slot->state = SLOT_MISPLACED;
		else if (slot->kind == KIND_NODE)
			fill_node(s, slot, data);
		else if (slot->kind == KIND_ARRAY) {
			const struct array_header *a = data;

			slot->nr = (uint16_t)min_t(uint32_t, le32_get(a->nr_entries), UINT16_MAX);
			slot->value_size = (uint16_t)min_t(uint32_t, le32_get(a->value_size),
							   UINT16_MAX);
		}
	}
	return r->fn ? r->fn(r->ctx, worker, block, slot, data) : 0;
}

int slots_read(struct slots *s, const struct bits *set, const struct pd_run *run, const char *what,
	       slot_fn fn, void *ctx)
{
	struct reading r = { s, fn, ctx };
	struct bits todo;
	int err = bits_init(&todo, s->nr_blocks);

	if (err)
		return err;
	for (uint64_t b = bits_next(set, 0); b < set->nr && b < s->nr_blocks;
	     b = bits_next(set, b + 1))
		if (s->slot[b].state == SLOT_UNREAD)
			bits_set(&todo, b);
	err = stream_blocks(s->io, &todo, run, what, fill, &r);
	bits_exit(&todo);
	return err;
}

const struct child *slots_children(struct slots *s, uint64_t block,
				   struct child buf[INTERNAL_MAX_ENTRIES])
{
	const struct slot *slot = &s->slot[block];
	const struct node_header *n = s->buf;

	if (slot->children != NO_CHILDREN)
		return s->child + slot->children;
	/* The bytes are as untrusted as at the first time. */
	if (pd_io_read(s->io, block, 1, s->buf) || block_kind(n) != KIND_NODE ||
	    block_nr(n, KIND_NODE) != block || node_check(n, 0) ||
	    le32_get(n->flags) != NODE_INTERNAL || le32_get(n->nr_entries) != slot->nr ||
	    slot->nr > INTERNAL_MAX_ENTRIES)
		return NULL;
	copy_children(buf, n, slot->nr);
	return buf;
}

int slots_set_children(struct slots *s, uint64_t block, const struct child *c, unsigned nr)
{
	struct slot *slot = &s->slot[block];

	if (s->nr_children + nr > s->max_children) {
		uint64_t max = s->max_children + max_t(uint64_t, nr, s->max_children / 2);
		struct child *more = max < NO_CHILDREN ? reserve(max, sizeof(*more), true) : NULL;

		if (!more)
			return -ENOMEM;
		memcpy(more, s->child, s->nr_children * sizeof(*more));
		unreserve(s->child, s->max_children, sizeof(*s->child));
		s->child = more;
		s->max_children = max;
	}
	*slot = (struct slot){ .kind = KIND_NODE, .state = SLOT_OK, .nr = (uint16_t)nr,
			       .value_size = 8, .refs = slot->refs };
	slot->children = (uint32_t)s->nr_children;
	memcpy(s->child + s->nr_children, c, nr * sizeof(*c));
	s->nr_children += nr;
	if (nr) {
		slot->first = c[0].key;
		slot->last = c[nr - 1].key;
	}
	return 0;
}
