/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fold goes down in key order over slots alone. What it finds out about a node is kept in the
 * node's slot (`last` of an internal node becomes its number of mappings), so a subtree that many
 * devices share is folded once. What depends on the parent, such as the key range, is looked at from
 * the parent. Findings name the device and its virtual blocks, so they are made in a second
 * walk, which goes only where the first one left a flag.
 */
#include <errno.h>
#include <stdlib.h>
#include "base/workers.h"
#include "thin/leaf.h"
#include "thin/mappings.h"

#define SLOT_DAMAGED	0x08	/* something below it is lost */
#define SLOT_LATE	0x10	/* some mapping below it is from the future */
#define SLOT_WIDE	0x20	/* some mapping below it is out of bounds */
#define SLOT_CAPACITY	0x40	/* max_entries is not what everybody writes */
#define SLOT_ODD	(SLOT_LATE | SLOT_WIDE)
#define AHEAD		8u	/* slots on their way from memory during a fold */
#define OWN_MIN_BLOCKS	4096u
#define OWN_MAX_BYTES	(16u << 20)
#define MAX_TOLD	65536u	/* nodes looked at again to say what is wrong with them */

int mappings_init(struct mappings *m, struct scan *s, struct counts *counts,
		  uint64_t nr_data_blocks, uint32_t time)
{
	*m = (struct mappings){ .s = s, .counts = counts, .nr_data_blocks = nr_data_blocks,
				.time = time };
	return bits_init(&m->counted, s->slots.nr_blocks);
}

void mappings_exit(struct mappings *m)
{
	bits_exit(&m->counted);
}

static bool is_leaf(const struct slot *slot)
{
	return slot->state == SLOT_OK && slot->kind == KIND_NODE && slot->flags & SLOT_LEAF &&
	       slot->value_size == sizeof(le64);
}

static int arrive(void *ctx, unsigned worker, uint64_t block, const struct slot *slot,
		  const void *data)
{
	struct mappings *m = ctx;

	if (slot->state == SLOT_OK && slot->kind == KIND_NODE &&
	    le32_get(((const struct node_header *)data)->max_entries) !=
	    node_max_entries(slot->value_size))
		((struct slot *)slot)->flags |= SLOT_CAPACITY;
	if (is_leaf(slot)) {
		struct leaf_sum sum = leaf_count(m->counts, m->own ? &m->own[worker] : NULL, data,
						 m->nr_data_blocks, m->time);

		((struct slot *)slot)->flags |= (sum.late ? SLOT_LATE : 0) | (sum.wide ? SLOT_WIDE : 0);
		bits_test_and_set_atomic(&m->counted, block);
	}
	return 0;
}

static int read_set(struct mappings *m, const struct bits *set)
{
	uint64_t nr_blocks = m->counts ? bits_count(set) : 0;
	unsigned nr = stream_nr_threads(m->s->run, nr_blocks);
	struct counts_own own[WORKERS_MAX] = { 0 };
	int r = 0;

	/* Many blocks, and threads that need not share what is small enough to have twice. */
	if (nr > 1 && nr <= WORKERS_MAX && nr_blocks >= OWN_MIN_BLOCKS && nr * m->counts->nr / 4 <= OWN_MAX_BYTES)
		m->own = own;
	for (unsigned i = 0; m->own && !r && i < nr; i++)
		r = counts_own_init(m->counts, &own[i]);
	if (!r)
		r = slots_read(&m->s->slots, set, m->s->run, "checking", arrive, m);
	for (unsigned i = 0; m->own && i < nr; i++)
		counts_join(m->counts, &own[i]);
	m->own = NULL;
	return r;
}

static bool wanted(struct mappings *m, uint64_t block)
{
	return block && block < m->s->nr_blocks && m->s->slots.slot[block].state == SLOT_UNREAD;
}

int mappings_read(struct mappings *m, const struct bits *plan, const uint64_t *roots, uint64_t nr)
{
	struct bits layer, next;
	struct child buf[INTERNAL_MAX_ENTRIES];
	bool more = false;
	int r;

	if (plan)
		return read_set(m, plan);
	r = bits_init(&layer, m->s->slots.nr_blocks);
	if (r)
		return r;
	for (uint64_t i = 0; i < nr; i++)
		if (wanted(m, roots[i])) {
			bits_set(&layer, roots[i]);
			more = true;
		}
	for (unsigned depth = 0; more && !r && depth <= MAX_TREE_DEPTH; depth++) {
		r = read_set(m, &layer);
		if (!r)
			r = bits_init(&next, m->s->slots.nr_blocks);
		if (r)
			break;
		more = false;
		for (uint64_t b = bits_next(&layer, 0); b < layer.nr; b = bits_next(&layer, b + 1)) {
			const struct slot *slot = &m->s->slots.slot[b];
			const struct child *c;

			if (slot->state != SLOT_OK || slot->kind != KIND_NODE || slot->flags & SLOT_LEAF)
				continue;
			c = slots_children(&m->s->slots, b, buf);
			for (unsigned i = 0; c && i < slot->nr; i++)
				if (wanted(m, c[i].block)) {
					bits_set(&next, c[i].block);
					more = true;
				}
		}
		bits_exit(&layer);
		layer = next;
	}
	bits_exit(&layer);
	return r;
}

/* Blocks that are reached but were counted 0: rare, so they are read as they are met. */
static int read_missing(struct mappings *m, const struct child *c, unsigned nr)
{
	struct bits set = { .nr = 0 };
	int r = 0;

	for (unsigned i = 0; i < nr && !r; i++) {
		if (!wanted(m, c[i].block))
			continue;
		if (!set.words)
			r = bits_init(&set, m->s->slots.nr_blocks);
		if (!r)
			bits_set(&set, c[i].block);
	}
	if (!r && set.words)
		r = read_set(m, &set);
	bits_exit(&set);
	return r;
}

/* The highest key below a folded node. */
static uint64_t highest_key(struct mappings *m, const struct slot *slot)
{
	struct child buf[INTERNAL_MAX_ENTRIES];

	for (unsigned depth = 0; depth < MAX_TREE_DEPTH && !(slot->flags & SLOT_LEAF); depth++) {
		const struct child *c = slots_children(&m->s->slots,
						       (uint64_t)(slot - m->s->slots.slot), buf);
		uint64_t block;

		if (!c || !slot->nr)
			return 0;
		/* Below damage the last child may be the one that does not belong there. */
		if (slot->flags & SLOT_DAMAGED)
			return c[slot->nr - 1].key;
		block = c[slot->nr - 1].block;
		if (!block || block >= m->s->nr_blocks ||
		    m->s->slots.slot[block].state != SLOT_OK)
			return c[slot->nr - 1].key;
		slot = &m->s->slots.slot[block];
	}
	return slot->nr ? slot->last : 0;
}

/* Why @block cannot be the child whose keys lie in [lo, hi); hi 0: no bound. */
static enum pd_problem child_problem(struct mappings *m, uint64_t block, uint64_t lo, uint64_t hi,
				     int height)
{
	const struct slot *slot;
	enum pd_problem p;

	if (!block || block >= m->s->nr_blocks)
		return PD_PR_BLOCK_BEYOND;
	slot = &m->s->slots.slot[block];
	p = slot_problem(slot, KIND_NODE);
	if (p)
		return p;
	if (slot->flags & SLOT_ACTIVE)
		return PD_PR_BLOCK_CYCLE;
	if (slot->flags & SLOT_UPPER)
		return PD_PR_BLOCK_KIND;
	if (slot->flags & SLOT_LEAF && slot->value_size != sizeof(le64))
		return PD_PR_NODE_VALUE_SIZE;
	if (!slot->nr)
		return PD_PR_NODE_EMPTY;
	if (slot->first < lo)
		return PD_PR_NODE_KEY_RANGE;
	if (slot->flags & SLOT_FOLDED) {
		if (hi && highest_key(m, slot) >= hi)
			return PD_PR_NODE_KEY_RANGE;
		if (height >= 0 && slot->height != height)
			return PD_PR_TREE_UNBALANCED;
	}
	return PD_PR_NONE;
}

/* Most children: a leaf that was folded before and lies in [lo, hi). Then child_problem() finds none. */
static bool is_plain_leaf(const struct slot *slot, uint64_t lo, uint64_t hi)
{
	return is_leaf(slot) && (slot->flags & (SLOT_FOLDED | SLOT_ACTIVE)) == SLOT_FOLDED && slot->nr &&
	       slot->first >= lo && (!hi || slot->last < hi);
}

static void noted(struct mappings *m, uint64_t block, enum pd_problem p)
{
	struct pd_finding f = {
		.problem = p, .place = PD_AT_MAPPINGS, .snap = m->s->snap, .block = block,
	};

	damage_add(m->s->damage, &f);
}

/* Folds @block, which is a sound node met for the first time. */
static int fold(struct mappings *m, uint64_t block, unsigned depth)
{
	struct slot *slot = &m->s->slots.slot[block];
	struct child buf[INTERNAL_MAX_ENTRIES];
	const struct child *c;
	uint64_t sum = 0;
	int height = -1, r = 0;

	if (slot->flags & SLOT_LEAF) {
		slot->flags |= SLOT_FOLDED;
		slot->height = 0;
		return 0;
	}
	c = slots_children(&m->s->slots, block, buf);
	if (!c || depth + 1 >= MAX_TREE_DEPTH) {
		slot->flags |= SLOT_FOLDED | SLOT_DAMAGED;
		slot->last = 0;
		slot->height = MAX_TREE_DEPTH;
		return 0;
	}
	slot->flags |= SLOT_ACTIVE;
	for (unsigned i = 0; !r && i < slot->nr; i++) {
		uint64_t hi = i + 1 < slot->nr ? c[i + 1].key : 0;
		enum pd_problem p = PD_PR_NONE;
		struct slot *below;

		if (!c[i].block || c[i].block >= m->s->nr_blocks) {
			slot->flags |= SLOT_DAMAGED;
			continue;
		}
		below = &m->s->slots.slot[c[i].block];
		if (i + AHEAD < slot->nr && c[i + AHEAD].block < m->s->nr_blocks)
			__builtin_prefetch(&m->s->slots.slot[c[i + AHEAD].block], 1);
		if (below->state == SLOT_UNREAD)
			r = read_missing(m, c + i, slot->nr - i);
		if (!m->peeking)
			scan_ref(m->s, c[i].block);
		if (!r && !(below->flags & SLOT_FOLDED)) {
			p = child_problem(m, c[i].block, c[i].key, 0, -1);
			if (!p)
				r = fold(m, c[i].block, depth + 1);
		}
		if (!p && !r && (height > 0 || !is_plain_leaf(below, c[i].key, hi)))
			p = child_problem(m, c[i].block, c[i].key, hi, height);
		if (r)
			break;
		if (p) {
			slot->flags |= SLOT_DAMAGED;
			continue;
		}
		height = below->height;
		sum += below->flags & SLOT_LEAF ? below->nr : below->last;
		slot->flags |= below->flags & (SLOT_DAMAGED | SLOT_ODD);
		if (below->refs > 1)
			continue;
		/* Mapping leaves hold 252, so do internal nodes; what holds less need not be as full. */
		if (below->flags & SLOT_CAPACITY)
			noted(m, c[i].block, PD_PR_NODE_CAPACITY);
		else if (below->nr < INTERNAL_MAX_ENTRIES / 3)
			noted(m, c[i].block, below->flags & SLOT_LEAF ||
				  below->nr + 1 == INTERNAL_MAX_ENTRIES / 3 ?
				  PD_PR_NODE_UNDERFULL_LEAF : PD_PR_NODE_UNDERFULL);
	}
	slot->flags = (uint8_t)((slot->flags & ~SLOT_ACTIVE) | SLOT_FOLDED);
	slot->height = (uint8_t)min_t(int, height + 1, MAX_TREE_DEPTH);
	slot->last = sum;
	return r;
}

/* A root: no range, no minimal fill, and an empty leaf is an empty tree. */
enum pd_problem mappings_root_problem(struct mappings *m, uint64_t root)
{
	enum pd_problem p = child_problem(m, root, 0, 0, -1);

	return p == PD_PR_NODE_EMPTY && m->s->slots.slot[root].flags & SLOT_LEAF ? PD_PR_NONE : p;
}

int mappings_fold(struct mappings *m, uint64_t root, bool count, struct mappings_sum *sum)
{
	struct slot *slot;
	int r = 0;

	*sum = (struct mappings_sum){ .damaged = true };
	if (root && root < m->s->nr_blocks) {
		r = read_missing(m, &(struct child){ 0, root }, 1);
		if (count)
			scan_ref(m->s, root);
	}
	if (r || mappings_root_problem(m, root)) {
		m->s->incomplete = true;
		return r;
	}
	slot = &m->s->slots.slot[root];
	if (!(slot->flags & SLOT_FOLDED))
		r = fold(m, root, 0);
	sum->damaged = slot->flags & SLOT_DAMAGED;
	sum->odd = slot->flags & SLOT_ODD;
	sum->nr_mappings = slot->flags & SLOT_LEAF ? slot->nr : slot->last;
	if (sum->damaged)
		m->s->incomplete = true;
	return r;
}

int mappings_peek(struct mappings *m, uint64_t root, struct mappings_sum *sum)
{
	int r;

	m->peeking = true;
	r = mappings_fold(m, root, false, sum);
	m->peeking = false;
	return r;
}

struct telling {
	struct mappings *m;
	uint64_t dev;
	mappings_lost_fn lost;		/* or NULL: findings are made */
	void *ctx;
};

/* What many devices share is told again for each, but not without end. */
static bool told_enough(struct telling *t)
{
	return t->m->nr_told++ >= MAX_TOLD;
}

static int tell(struct telling *t, enum pd_problem p, uint64_t begin, uint64_t end, uint64_t block,
		int height)
{
	struct pd_finding f = {
		.problem = p, .place = PD_AT_MAPPINGS, .snap = t->m->s->snap, .has_key = true,
		.key = t->dev, .has_range = true, .begin = begin, .end = end, .block = block,
	};

	if (t->lost)
		return t->lost(t->ctx, p, begin, end, block, height);
	damage_add(t->m->s->damage, &f);
	return 0;
}

static int tell_leaf(struct telling *t, uint64_t block)
{
	struct mappings *m = t->m;
	const struct node_header *n = m->s->slots.buf;

	if (t->lost)
		return 0;
	if (pd_io_read(m->s->io, block, 1, m->s->slots.buf))
		return -EIO;
	if (block_kind(n) != KIND_NODE || node_check(n, sizeof(le64)))
		return 0;
	for (unsigned pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < le32_get(n->nr_entries); i++) {
			uint64_t v = node_value64(n, i);
			bool bad = pass ? mapping_time(v) > m->time :
					  mapping_block(v) >= m->nr_data_blocks;

			if (bad)
				(void)tell(t, pass ? PD_PR_MAPPING_TIME : PD_PR_MAPPING_DATA_BLOCK,
				     node_key(n, i), node_key(n, i) + 1, block, 0);
		}
	return 0;
}

static int tell_node(struct telling *t, uint64_t block, uint64_t end, unsigned depth)
{
	struct mappings *m = t->m;
	struct slot *slot = &m->s->slots.slot[block];
	struct child buf[INTERNAL_MAX_ENTRIES];
	const struct child *c;
	int height = -1, r = 0;

	if (told_enough(t)) {
		if (slot->flags & SLOT_WIDE)
			damage_count(m->s->damage, PD_PR_MAPPING_DATA_BLOCK, 1);
		return 0;
	}
	if (slot->flags & SLOT_LEAF)
		return slot->flags & SLOT_ODD ? tell_leaf(t, block) : 0;
	c = slots_children(&m->s->slots, block, buf);
	if (!c || depth + 1 >= MAX_TREE_DEPTH) {
		return tell(t, c ? PD_PR_TREE_DEPTH : PD_PR_BLOCK_IO, slot->first, end, block, -1);
	}
	slot->flags |= SLOT_ACTIVE;
	for (unsigned i = 0; !r && i < slot->nr; i++) {
		uint64_t hi = i + 1 < slot->nr ? c[i + 1].key : end;
		enum pd_problem p = child_problem(m, c[i].block, c[i].key,
						  i + 1 < slot->nr ? hi : 0, height);

		if (p) {
			r = tell(t, p, c[i].key, hi, c[i].block, slot->height - 1);
			continue;
		}
		height = m->s->slots.slot[c[i].block].height;
		if (m->s->slots.slot[c[i].block].flags & (SLOT_DAMAGED | SLOT_ODD))
			r = tell_node(t, c[i].block, hi, depth + 1);
	}
	slot->flags = (uint8_t)(slot->flags & ~SLOT_ACTIVE);
	return r;
}

static int tell_root(struct telling *t, uint64_t root)
{
	enum pd_problem p = mappings_root_problem(t->m, root);

	return p ? tell(t, p, 0, 0, root, -1) : tell_node(t, root, 0, 0);
}

int mappings_tell(struct mappings *m, uint64_t dev, uint64_t root)
{
	struct telling t = { .m = m, .dev = dev };

	return tell_root(&t, root);
}

int mappings_each_lost(struct mappings *m, uint64_t root, mappings_lost_fn fn, void *ctx)
{
	struct telling t = { .m = m, .lost = fn, .ctx = ctx };

	return tell_root(&t, root);
}

uint64_t mappings_highest_key(struct mappings *m, uint64_t block)
{
	return highest_key(m, &m->s->slots.slot[block]);
}

bool mappings_leaf_is_wide(const struct slot *slot)
{
	return is_leaf(slot) && slot->flags & SLOT_WIDE;
}

void mappings_unfold(struct mappings *m)
{
	for (uint64_t b = 0; b < m->s->slots.nr_blocks; b++)
		if (m->s->slots.slot[b].state != SLOT_UNREAD)
			m->s->slots.slot[b].refs = 0;
	mappings_forget(m);
}

void mappings_forget(struct mappings *m)
{
	struct child buf[INTERNAL_MAX_ENTRIES];

	for (uint64_t b = 0; b < m->s->slots.nr_blocks; b++) {
		struct slot *slot = &m->s->slots.slot[b];
		const struct child *c;

		if (slot->state == SLOT_UNREAD || !(slot->flags & SLOT_FOLDED))
			continue;
		slot->flags &= SLOT_LEAF | SLOT_LATE | SLOT_WIDE | SLOT_UPPER;
		slot->height = 0;
		c = slot->flags & SLOT_LEAF ? NULL : slots_children(&m->s->slots, b, buf);
		if (c && slot->nr)
			slot->last = c[slot->nr - 1].key;
	}
}

static int take_back(void *ctx, unsigned worker, uint64_t block, const void *data, int err)
{
	struct mappings *m = ctx;
	const struct node_header *n = data;

	(void)worker;
	(void)block;
	if (err || block_kind(n) != KIND_NODE || node_check(n, sizeof(le64)))
		return 0;
	for (uint32_t i = 0; i < le32_get(n->nr_entries); i++) {
		uint64_t b = mapping_block(node_value64(n, i));

		if (b < m->nr_data_blocks)
			counts_dec(m->counts, b);
	}
	return 0;
}

int mappings_settle(struct mappings *m)
{
	struct pd_run one = { .nr_threads = 1 };
	struct bits set;
	int r;

	if (!m->counts)
		return 0;
	r = bits_init(&set, m->counted.nr);
	if (r)
		return r;
	for (uint64_t i = 0; i < ceil_div(set.nr, 64); i++)
		set.words[i] = m->counted.words[i] & ~m->s->reached.words[i];
	r = stream_blocks(m->s->io, &set, &one, NULL, take_back, m);
	bits_exit(&set);
	return r;
}
