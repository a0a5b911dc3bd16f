/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stale nodes: sound, in the place of live ones, and holding what was true once (a write that was lost). What gives them away
 * are the counts of data blocks: what a stale mapping names has one reference more than is recorded. Which of the references
 * to such a block is the stale one nothing tells, so all of them go.
 *
 * A pool in which nothing else is amiss has wrong counts, not stale nodes, unless blocks are left over that a live node
 * would name. Counts of 3 and more are not compared: the exact number stands in a tree that need not fit in memory.
 */
#include <errno.h>
#include <stdlib.h>
#include "io/engine.h"
#include "io/stream.h"
#include "thin/leaf.h"
#include "thin/salvage.h"

static void collect_leaves(struct salvage *sv, uint64_t b, unsigned depth, struct bits *leaves, struct bits *seen)
{
	struct child buf[INTERNAL_MAX_ENTRIES];
	const struct slot *slot;
	const struct child *c;

	if (!b || b >= sv->s.slots.nr_blocks || depth >= MAX_TREE_DEPTH || bits_test_and_set(seen, b))
		return;
	slot = &sv->s.slots.slot[b];
	if (slot->state != SLOT_OK || slot->kind != KIND_NODE)
		return;
	if (slot->flags & SLOT_LEAF) {
		if (slot->value_size == sizeof(le64))
			bits_set(leaves, b);
		return;
	}
	c = slots_children(&sv->s.slots, b, buf);
	for (unsigned i = 0; c && i < slot->nr; i++)
		collect_leaves(sv, c[i].block, depth + 1, leaves, seen);
}

static int count(void *ctx, unsigned worker, uint64_t block, const void *data, int err)
{
	struct counts *counts = ctx;
	const struct node_header *n = data;

	(void)worker;
	(void)block;
	if (err || block_kind(n) != KIND_NODE || node_check(n, sizeof(le64)))
		return 0;
	(void)leaf_count(counts, NULL, n, counts->nr, THIN_MAX_TIME);
	return 0;
}

struct comparison {
	struct bits over;	/* data blocks that more mappings name than are recorded */
	bool any, leaks;	/* there are such; there are those that fewer name */
};

static void compare(const struct data_sm *sm, uint64_t begin, const void *bitmap, struct comparison *c)
{
	uint64_t nr = min_t(uint64_t, ENTRIES_PER_BITMAP, sm->nr_blocks - begin);
	const uint8_t *bytes = (const uint8_t *)bitmap + sizeof(struct bitmap_header);

	for (uint32_t e = 0; e < nr; e += 32) {
		uint64_t stored;

		memcpy(&stored, bytes + e / 4, sizeof(stored));
		if (nr - e >= 32 && counts_entries(&sm->counts, begin + e, NULL) == le64toh(stored))
			continue;
		for (uint32_t k = e; k < min_t(uint64_t, e + 32, nr); k++) {
			uint64_t is = bitmap_get(bitmap, k), found = counts_get(&sm->counts, begin + k);

			c->leaks |= found < is;
			if (is < 3 && found > is) {
				bits_set(&c->over, begin + k);
				c->any = true;
			}
		}
	}
}

static void find_over(struct salvage *sv, struct comparison *c)
{
	struct data_sm *sm = &sv->data;

	for (uint64_t i = 0; i < sm->index.nr; i++) {
		struct index_entry ie;
		void *buf = sv->s.slots.buf;
		uint64_t group = sm->index.keys[i];

		memcpy(&ie, sm->index.values + i * sizeof(ie), sizeof(ie));
		if (group >= sm->kept.nr || !bits_test(&sm->kept, group))
			continue;
		if (!pd_io_read(sv->io, le64_get(ie.blocknr), 1, buf) && block_kind(buf) == KIND_BITMAP)
			compare(sm, group * ENTRIES_PER_BITMAP, buf, c);
	}
}

/* Leaf @b without the mappings of such blocks. */
static int cut(struct salvage *sv, uint64_t b, struct node_header *n, const struct bits *over)
{
	struct slot *slot = &sv->s.slots.slot[b];
	uint32_t nr, kept = 0;

	if (pd_io_read(sv->io, b, 1, n) || block_kind(n) != KIND_NODE || node_check(n, sizeof(le64)))
		return 0;
	nr = le32_get(n->nr_entries);
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t key = node_key(n, i);
		le64 raw = le64_put(node_value64(n, i));

		if (mapping_block(le64_get(raw)) < over->nr && bits_test(over, mapping_block(le64_get(raw))))
			continue;
		node_keys(n)[kept] = le64_put(key);
		memcpy(node_value_ptr(n, kept++), &raw, sizeof(raw));
	}
	if (kept == nr)
		return 0;
	if (!kept) {
		slot->state = SLOT_CSUM;
		return 0;
	}
	n->nr_entries = le32_put(kept);
	slot->nr = (uint16_t)kept;
	slot->first = node_key(n, 0);
	slot->last = node_key(n, kept - 1);
	block_seal(n, KIND_NODE, b);
	return pd_overlay_put(sv->io, b, n);
}

int salvage_drop_stale(struct salvage *sv, bool *dropped)
{
	struct bits leaves = { .nr = 0 }, seen = { .nr = 0 };
	struct comparison c = { .any = false };
	struct node_header *n = pd_io_buffer(1);
	int r = n ? bits_init(&leaves, sv->s.slots.nr_blocks) : -ENOMEM;

	*dropped = false;
	if (!r)
		r = bits_init(&seen, sv->s.slots.nr_blocks);
	if (!r)
		r = bits_init(&c.over, sv->data.nr_blocks);
	for (unsigned i = 0; !r && i < sv->nr_devices; i++)
		if (sv->devices[i].has_root)
			collect_leaves(sv, sv->devices[i].root, 0, &leaves, &seen);
	if (!r)
		r = stream_blocks(sv->io, &leaves, sv->run, NULL, count, &sv->data.counts);
	if (!r)
		find_over(sv, &c);
	/* In a pool where nothing else is amiss, and no count is left over, the counts are wrong. */
	*dropped = c.any && (!sv->sound || c.leaks);
	for (uint64_t b = *dropped ? bits_next(&leaves, 0) : leaves.nr; !r && b < leaves.nr;
	     b = bits_next(&leaves, b + 1))
		r = cut(sv, b, n, &c.over);
	bits_exit(&leaves);
	bits_exit(&seen);
	bits_exit(&c.over);
	free(n);
	return r;
}
