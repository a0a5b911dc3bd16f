/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stale leaves: sound, in the place of live ones, and holding what was true once (a write that was lost). What gives them
 * away are the counts of data blocks. A leaf that maps a free data block is stale. Of those that map a block more often than
 * it is counted one is; unless its device is as its details say, all of them go, for nothing tells which of a stale leaf's
 * other mappings are still true.
 *
 * A pool in which nothing else is amiss has wrong counts, not stale leaves, unless blocks are left over that a live leaf
 * would name. A bitmap that does not hold as many free blocks as its index says may be an older one, and proves nothing.
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
	struct salvage *sv;
	struct bits leaves;	/* of all devices */
	struct bits exact;	/* leaves of devices that are as their details say */
	struct bits over;	/* data blocks that are mapped more often than counted */
	struct bits nought;	/* data blocks that are mapped, and counted 0 */
	bool any_over, any_nought, leaks;
	struct node_header *n;	/* one leaf */
};

static void compare_one(struct comparison *c, uint64_t b, uint64_t is)
{
	uint64_t found = counts_get(&c->sv->data.counts, b);

	c->leaks |= found < is;
	if (found <= is)
		return;
	bits_set(is ? &c->over : &c->nought, b);
	c->any_over |= is;
	c->any_nought |= !is;
}

static void compare(struct comparison *c, uint64_t begin, const void *bitmap)
{
	const struct data_sm *sm = &c->sv->data;
	uint64_t nr = min_t(uint64_t, ENTRIES_PER_BITMAP, sm->nr_blocks - begin);
	const uint8_t *bytes = (const uint8_t *)bitmap + sizeof(struct bitmap_header);

	for (uint32_t e = 0; e < nr; e += 32) {
		uint64_t stored;

		memcpy(&stored, bytes + e / 4, sizeof(stored));
		if (nr - e >= 32 && counts_entries(&sm->counts, begin + e, NULL) == le64toh(stored))
			continue;
		for (uint32_t k = e; k < min_t(uint64_t, e + 32, nr); k++) {
			unsigned is = bitmap_get(bitmap, k);

			if (is < 3)
				compare_one(c, begin + k, is);
			else
				c->leaks |= counts_get(&sm->counts, begin + k) < is;
		}
	}
}

/* Counts of 3 and more stand in a tree. */
static int compare_overflow(void *ctx, const struct node_header *n, uint64_t block)
{
	struct comparison *c = ctx;

	(void)block;
	for (uint32_t i = 0; i < le32_get(n->nr_entries); i++) {
		uint64_t b = node_key(n, i);
		le32 v;

		memcpy(&v, node_value_ptr(n, i), sizeof(v));
		if (le32_get(v) >= 3 && b < c->sv->data.nr_blocks &&
		    counts_word(&c->sv->data.counts, b) != COUNTS_NOWHERE)
			compare_one(c, b, le32_get(v));
	}
	return 0;
}

static bool is_trusted(struct salvage *sv, const struct index_entry *ie, const void *bitmap)
{
	uint64_t b = le64_get(ie->blocknr);
	struct sm_group g;

	sm_group_look(bitmap, ENTRIES_PER_BITMAP, &g);
	return g.nr_free == le32_get(ie->nr_free) && !salvage_counted_less(sv, b, 1);
}

static int find_over(struct comparison *c)
{
	struct salvage *sv = c->sv;
	struct data_sm *sm = &sv->data;
	struct pd_run one = *sv->run;
	struct scan s = sv->s;		/* for a walk on one thread */
	struct tree_walk overflow = {
		.place = PD_AT_DATA_SM, .value_size = sizeof(le32), .leaf = compare_overflow, .ctx = c, .no_refs = true,
		.root = le64_get(sm->root.ref_count_root),
	};
	int r;

	c->any_over = c->any_nought = c->leaks = false;
	/* Set only below bitmaps that are there: the rest may be a size that is only claimed. */
	for (uint64_t g = bits_next(&sm->kept, 0); g < sm->kept.nr; g = bits_next(&sm->kept, g + 1))
		for (uint64_t b = g * ENTRIES_PER_BITMAP; b < (g + 1) * ENTRIES_PER_BITMAP && b < c->over.nr; b++)
			bits_clear(&c->over, b);
	for (uint64_t i = 0; i < sm->index.nr; i++) {
		struct index_entry ie;
		void *buf = sv->s.slots.buf;
		uint64_t group = sm->index.keys[i];

		memcpy(&ie, sm->index.values + i * sizeof(ie), sizeof(ie));
		if (group >= sm->kept.nr || !bits_test(&sm->kept, group))
			continue;
		if (!pd_io_read(sv->io, le64_get(ie.blocknr), 1, buf) && block_kind(buf) == KIND_BITMAP &&
		    is_trusted(sv, &ie, buf))
			compare(c, group * ENTRIES_PER_BITMAP, buf);
	}
	one.nr_threads = 1;
	s.run = &one;
	r = overflow.root ? scan_tree(&s, &overflow) : 0;
	tree_walk_exit(&overflow);
	return r;
}

static bool load_leaf(struct comparison *c, uint64_t b)
{
	return !pd_io_read(c->sv->io, b, 1, c->n) && block_kind(c->n) == KIND_NODE && !node_check(c->n, sizeof(le64));
}

/* Drops the leaves, but those of @spared, that map a block of @blocks. */
static bool drop_leaves(struct comparison *c, const struct bits *blocks, const struct bits *spared)
{
	bool any = false;

	for (uint64_t b = bits_next(&c->leaves, 0); b < c->leaves.nr; b = bits_next(&c->leaves, b + 1)) {
		bool bad = false;

		if ((spared && bits_test(spared, b)) || !load_leaf(c, b))
			continue;
		for (uint32_t i = 0; !bad && i < le32_get(c->n->nr_entries); i++) {
			uint64_t d = mapping_block(node_value64(c->n, i));

			bad = d < blocks->nr && bits_test(blocks, d);
		}
		if (!bad)
			continue;
		for (uint32_t i = 0; i < le32_get(c->n->nr_entries); i++)
			if (mapping_block(node_value64(c->n, i)) < blocks->nr)
				counts_dec(&c->sv->data.counts, mapping_block(node_value64(c->n, i)));
		c->sv->s.slots.slot[b].state = SLOT_STALE;
		bits_clear(&c->leaves, b);
		any = true;
	}
	return any;
}

/* Leaf @b without the mappings of blocks that are mapped too often. */
static int cut(struct comparison *c, uint64_t b)
{
	struct node_header *n = c->n;
	struct slot *slot = &c->sv->s.slots.slot[b];
	uint32_t nr, kept = 0;

	if (!load_leaf(c, b))
		return 0;
	nr = le32_get(n->nr_entries);
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t key = node_key(n, i);
		le64 raw = le64_put(node_value64(n, i));

		if (mapping_block(le64_get(raw)) < c->over.nr && bits_test(&c->over, mapping_block(le64_get(raw))))
			continue;
		node_keys(n)[kept] = le64_put(key);
		memcpy(node_value_ptr(n, kept++), &raw, sizeof(raw));
	}
	if (kept == nr)
		return 0;
	if (!kept) {
		slot->state = SLOT_STALE;
		return 0;
	}
	n->nr_entries = le32_put(kept);
	slot->nr = (uint16_t)kept;
	slot->first = node_key(n, 0);
	slot->last = node_key(n, kept - 1);
	block_seal(n, KIND_NODE, b);
	return pd_overlay_put(c->sv->io, b, n);
}

/* Marks the leaves of devices that are as they should be; true if all devices are. */
static int mark_exact(struct comparison *c, bool *all)
{
	struct salvage *sv = c->sv;
	struct bits seen;
	int r = bits_init(&seen, sv->s.slots.nr_blocks);

	*all = !sv->upper.damaged && !sv->details.damaged;
	for (unsigned i = 0; !r && i < sv->nr_devices; i++) {
		const struct salvage_device *d = &sv->devices[i];

		if (salvage_is_exact(sv, d))
			collect_leaves(sv, d->root, 0, &c->exact, &seen);
		else
			*all = false;
	}
	mappings_forget(&sv->m);
	bits_exit(&seen);
	return r;
}

static int drop_all_stale(struct comparison *c, bool *dropped)
{
	bool sound;
	int r = mark_exact(c, &sound);

	/* In a pool where nothing else is amiss, and no count is left over, the counts are wrong. */
	if (r || (sound && !c->leaks))
		return r;
	if (c->any_nought && drop_leaves(c, &c->nought, NULL)) {
		*dropped = true;
		r = find_over(c);
	}
	if (!r && c->any_over && drop_leaves(c, &c->over, &c->exact)) {
		*dropped = true;
		r = find_over(c);
	}
	*dropped |= !r && c->any_over;
	for (uint64_t b = c->any_over ? bits_next(&c->leaves, 0) : c->leaves.nr; !r && b < c->leaves.nr;
	     b = bits_next(&c->leaves, b + 1))
		r = cut(c, b);
	return r;
}

int salvage_drop_stale(struct salvage *sv, bool *dropped)
{
	struct comparison c = { .sv = sv, .n = pd_io_buffer(1) };
	struct bits *sets[] = { &c.leaves, &c.exact };
	struct bits seen = { .nr = 0 };
	int r = c.n ? 0 : -ENOMEM;

	if (!sv->data.kept.nr)
		goto out;
	for (unsigned i = 0; !r && i < 2; i++)
		r = bits_init(sets[i], sv->s.slots.nr_blocks);
	if (!r)
		r = bits_init(&seen, sv->s.slots.nr_blocks);
	if (!r)
		r = bits_init(&c.over, sv->data.nr_blocks);
	if (!r)
		r = bits_init(&c.nought, sv->data.nr_blocks);
	if (!r) {
		counts_exit(&sv->data.counts);
		r = counts_init(&sv->data.counts, sv->data.nr_blocks, &sv->data.kept);
	}
	for (unsigned i = 0; !r && i < sv->nr_devices; i++)
		if (sv->devices[i].has_root)
			collect_leaves(sv, sv->devices[i].root, 0, &c.leaves, &seen);
	if (!r)
		r = stream_blocks(sv->io, &c.leaves, sv->run, NULL, count, &sv->data.counts);
	if (!r)
		r = find_over(&c);
	if (!r && (c.any_over || c.any_nought))
		r = drop_all_stale(&c, dropped);
out:
	bits_exit(&c.leaves);
	bits_exit(&c.exact);
	bits_exit(&c.over);
	bits_exit(&c.nought);
	bits_exit(&seen);
	free(c.n);
	return r;
}
