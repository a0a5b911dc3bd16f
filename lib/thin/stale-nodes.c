/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stale inner nodes and upper leaves: sound, where live ones belong, and holding what was true once. What gives them away
 * are the counts of what they name: a live node's children are counted. So a node that names a block of count 0 is stale. If
 * a block is named more often than it is counted, one of those that name it is; if their devices do not show which, it and,
 * where a lost node may be the true parent of more, they are left out.
 *
 * A pool in which nothing is lost or left over has wrong counts, not stale nodes.
 */
#include <errno.h>
#include <stdlib.h>
#include "base/reserve.h"
#include "thin/salvage.h"

struct ref_walk {
	struct salvage *sv;
	uint32_t *refs;			/* to each block, each content counted once */
	struct bits seen;
	struct bits stale;		/* name what is free */
	struct bits suspects;		/* name one of @over, and cannot be cleared of it */
	struct bits over;		/* named more often than counted */
	struct bits small;		/* roots of trees that are too small for what their devices have */
	bool any_zero, any_over, lost;
};

static bool usable(struct salvage *sv, uint64_t b)
{
	const struct slot *slot;

	if (!b || b >= sv->s.slots.nr_blocks)
		return false;
	slot = &sv->s.slots.slot[b];
	return slot->state == SLOT_OK && slot->kind == KIND_NODE;
}

/* Counts what the nodes below @b name. */
static void count_below(struct ref_walk *w, uint64_t b, unsigned depth)
{
	struct salvage *sv = w->sv;
	struct child buf[INTERNAL_MAX_ENTRIES];
	const struct child *c;
	unsigned nr;

	if (!usable(sv, b)) {
		w->lost |= b >= sv->s.slots.nr_blocks || sv->s.slots.slot[b].state != SLOT_UNREAD;
		return;
	}
	if (depth >= MAX_TREE_DEPTH || sv->s.slots.slot[b].flags & SLOT_LEAF || bits_test_and_set(&w->seen, b))
		return;
	c = slots_children(&sv->s.slots, b, buf);
	nr = c ? sv->s.slots.slot[b].nr : 0;
	for (unsigned i = 0; i < nr; i++) {
		if (c[i].block >= sv->s.slots.nr_blocks) {
			w->lost = true;
			continue;
		}
		if (salvage_counted_less(sv, c[i].block, 1)) {
			w->any_zero = true;
			bits_set(&w->stale, b);
		}
		w->refs[c[i].block]++;
		count_below(w, c[i].block, depth + 1);
	}
}

static int walk_init(struct ref_walk *w, struct salvage *sv)
{
	uint64_t nr = sv->s.slots.nr_blocks;
	int r;

	*w = (struct ref_walk){ .sv = sv, .refs = reserve(nr, sizeof(*w->refs), false) };
	r = w->refs ? bits_init(&w->seen, nr) : -ENOMEM;
	if (!r)
		r = bits_init(&w->stale, nr);
	if (!r)
		r = bits_init(&w->suspects, nr);
	if (!r)
		r = bits_init(&w->small, nr);
	return r ? r : bits_init(&w->over, nr);
}

static void walk_exit(struct ref_walk *w)
{
	unreserve(w->refs, w->sv->s.slots.nr_blocks, sizeof(*w->refs));
	bits_exit(&w->seen);
	bits_exit(&w->stale);
	bits_exit(&w->suspects);
	bits_exit(&w->over);
	bits_exit(&w->small);
}

static void count_all(struct ref_walk *w, const struct tree_walk *held)
{
	struct salvage *sv = w->sv;

	w->lost = sv->upper.damaged || sv->details.damaged;
	for (unsigned i = 0; i < sv->nr_devices; i++) {
		const struct salvage_device *d = &sv->devices[i];

		if (!d->has_root) {
			w->lost |= d->has_details && d->details.mapped_blocks;
			continue;
		}
		if (d->root < sv->s.slots.nr_blocks)
			w->refs[d->root]++;
		count_below(w, d->root, 0);
	}
	for (uint64_t i = 0; i < held->nr; i++) {
		uint64_t root = upper_root(held, i);

		if (held->counts[i] && root < sv->s.slots.nr_blocks)
			w->refs[root]++;
		count_below(w, root, 0);
	}
	for (uint64_t b = 1; b < sv->metadata.nr_blocks && b < sv->s.slots.nr_blocks; b++)
		if (w->refs[b] && salvage_counted_less(sv, b, w->refs[b])) {
			w->any_over = true;
			bits_set(&w->over, b);
		}
}

/* Is some sound mapping node counted more often than it is named? */
static bool any_left_over(struct ref_walk *w)
{
	const struct salvage *sv = w->sv;

	for (uint64_t b = 1; b < sv->metadata.nr_blocks && b < sv->s.slots.nr_blocks; b++) {
		const struct slot *slot = &sv->s.slots.slot[b];

		if (slot->state == SLOT_OK && slot->kind == KIND_NODE && slot->nr && slot->value_size == sizeof(le64) &&
		    salvage_stored(sv, b) > (uint64_t)w->refs[b] + slot->refs)
			return true;
	}
	return false;
}

/* Does the upper tree name what is free? Then it is an older one, and says nothing. */
static bool upper_is_stale(const struct salvage *sv)
{
	for (unsigned i = 0; i < sv->nr_devices; i++)
		if (sv->devices[i].has_root && salvage_counted_less(sv, sv->devices[i].root, 1))
			return true;
	return false;
}

static void forget_upper(struct salvage *sv)
{
	unsigned n = 0;

	sv->upper.damaged = true;
	for (unsigned i = 0; i < sv->nr_devices; i++) {
		struct salvage_device *d = &sv->devices[i];

		d->has_root = false;
		d->root = 0;
		if (d->has_details)
			sv->devices[n++] = *d;
	}
	sv->nr_devices = n;
}

bool salvage_is_exact(struct salvage *sv, const struct salvage_device *d)
{
	struct mappings_sum sum = { .damaged = true };

	return d->has_details && d->has_root && !mappings_peek(&sv->m, d->root, &sum) && !sum.damaged &&
	       sum.nr_mappings == d->details.mapped_blocks;
}

/* Those below @b that name one of @over go to suspects, unless @clear. */
static void suspect_below(struct ref_walk *w, uint64_t b, unsigned depth, bool clear)
{
	struct salvage *sv = w->sv;
	struct child buf[INTERNAL_MAX_ENTRIES];
	const struct child *c;
	unsigned nr;

	if (!usable(sv, b) || depth >= MAX_TREE_DEPTH || sv->s.slots.slot[b].flags & SLOT_LEAF ||
	    bits_test_and_set(&w->seen, b))
		return;
	c = slots_children(&sv->s.slots, b, buf);
	nr = c ? sv->s.slots.slot[b].nr : 0;
	for (unsigned i = 0; i < nr; i++) {
		if (c[i].block >= w->over.nr)
			continue;
		if (!clear && bits_test(&w->over, c[i].block))
			bits_set(&w->suspects, b);
		suspect_below(w, c[i].block, depth + 1, clear);
	}
}

/* One of those that name a block too often is stale: a sole suspect is it, of several all are left out. */
static bool drop_suspects(struct ref_walk *w, const struct tree_walk *held)
{
	struct salvage *sv = w->sv;
	uint64_t nr = 0;

	for (uint64_t i = bits_next(&w->seen, 0); i < w->seen.nr; i = bits_next(&w->seen, i + 1))
		bits_clear(&w->seen, i);
	for (unsigned i = 0; i < sv->nr_devices; i++)
		if (salvage_is_exact(sv, &sv->devices[i]))
			suspect_below(w, sv->devices[i].root, 0, true);
	for (unsigned i = 0; i < sv->nr_devices; i++) {
		struct salvage_device *d = &sv->devices[i];

		if (!d->has_root || salvage_is_exact(sv, d))
			continue;
		suspect_below(w, d->root, 0, false);
		if (d->root < w->over.nr && bits_test(&w->over, d->root)) {
			d->has_root = false;
			d->barred = true;
			nr += 2;
		}
	}
	for (uint64_t i = 0; i < held->nr; i++)
		suspect_below(w, upper_root(held, i), 0, false);
	mappings_forget(&sv->m);
	nr += bits_count(&w->suspects);
	for (uint64_t b = bits_next(&w->suspects, 0); b < w->suspects.nr; b = bits_next(&w->suspects, b + 1)) {
		sv->s.slots.slot[b].state = SLOT_STALE;
		if (nr > 1)
			bits_set(&sv->barred, b);
	}
	return nr;
}

/*
 * A device has more mappings than its whole tree could hold, were every leaf full: where there is no node between root and
 * leaves, it is the root that is an older one. Marks them in @roots.
 */
static void find_small_roots(struct salvage *sv, struct bits *roots)
{
	for (unsigned i = 0; i < sv->nr_devices; i++) {
		const struct salvage_device *d = &sv->devices[i];
		struct mappings_sum sum = { .damaged = true };
		uint64_t nr_leaves = 1;

		if (!d->has_root || !d->has_details || !usable(sv, d->root) || mappings_peek(&sv->m, d->root, &sum) ||
		    sum.damaged)
			continue;
		if (!(sv->s.slots.slot[d->root].flags & SLOT_LEAF))
			nr_leaves = sv->s.slots.slot[d->root].height == 1 ? sv->s.slots.slot[d->root].nr : UINT32_MAX;
		if (d->details.mapped_blocks > nr_leaves * INTERNAL_MAX_ENTRIES)
			bits_set(roots, d->root);
	}
	mappings_forget(&sv->m);
}

static void drop_blocks(struct salvage *sv, const struct bits *set)
{
	for (uint64_t b = bits_next(set, 0); b < set->nr; b = bits_next(set, b + 1))
		sv->s.slots.slot[b].state = SLOT_STALE;
}

int salvage_drop_stale_nodes(struct salvage *sv, const struct tree_walk *held)
{
	bool again = true;
	int r = 0;

	for (unsigned round = 0; !r && again && sv->metadata.index_ok && round < MAX_TREE_DEPTH; round++) {
		struct ref_walk w;
		bool stale_upper = upper_is_stale(sv);

		again = false;
		r = walk_init(&w, sv);
		if (!r)
			count_all(&w, held);
		if (!r)
			find_small_roots(sv, &w.small);
		if (!r && bits_next(&w.small, 0) < w.small.nr && any_left_over(&w)) {
			again = true;
			sv->sound = false;
			drop_blocks(sv, &w.small);
		} else if (!r && (w.any_zero || w.any_over || stale_upper) && (w.lost || any_left_over(&w))) {
			again = true;
			if (stale_upper)
				forget_upper(sv);
			else if (w.any_zero)
				drop_blocks(sv, &w.stale);
			else
				again = drop_suspects(&w, held);
			sv->sound &= !again;
		}
		walk_exit(&w);
	}
	return r;
}
