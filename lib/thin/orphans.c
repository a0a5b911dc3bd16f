/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Orphans: live nodes that nothing reaches any more, and the places they can go to.
 *
 * An orphan's residual says how many lost nodes point to it. It is placed only where exactly that
 * many places can hold it: by height, by key range, and by what the device still misses.
 */
#include <errno.h>
#include <stdlib.h>
#include "base/reserve.h"
#include "thin/salvage.h"

/* Everything on the device, since orphans can be anywhere. */
static int read_all(struct salvage *sv)
{
	struct bits all;
	int r = bits_init(&all, sv->s.slots.nr_blocks);

	if (r)
		return r;
	for (uint64_t b = 1; b < all.nr; b++)
		bits_set(&all, b);
	r = slots_read(&sv->s.slots, &all, sv->run, "looking for lost nodes", NULL, NULL);
	bits_exit(&all);
	return r;
}

static bool is_tree_node(const struct slot *slot)
{
	return !(slot->flags & SLOT_UPPER) && slot->state == SLOT_OK && slot->kind == KIND_NODE && slot->nr &&
	       (!(slot->flags & SLOT_LEAF) || slot->value_size == sizeof(le64));
}

static bool unreached(const struct salvage *sv, uint64_t b)
{
	const struct slot *slot = &sv->s.slots.slot[b];

	return is_tree_node(slot) && salvage_stored(sv, b) > slot->refs;
}

/* What unreached nodes refer to among themselves: each node's content once. */
static int count_inner_refs(struct salvage *sv, uint32_t *refs)
{
	struct child buf[INTERNAL_MAX_ENTRIES];

	for (uint64_t b = 1; b < sv->s.slots.nr_blocks; b++) {
		const struct slot *slot = &sv->s.slots.slot[b];
		const struct child *c;

		/* A node that was folded has had its children counted. */
		if (!unreached(sv, b) || slot->flags & (SLOT_LEAF | SLOT_FOLDED))
			continue;
		c = slots_children(&sv->s.slots, b, buf);
		for (unsigned i = 0; c && i < slot->nr; i++)
			if (c[i].block < sv->s.slots.nr_blocks)
				refs[c[i].block]++;
	}
	return 0;
}

static int count_leaves(void *ctx, enum pd_problem p, uint64_t begin, uint64_t end, uint64_t block,
			int height)
{
	(void)p;
	(void)begin;
	(void)end;
	(void)block;
	/* A lost node above leaves stands for as many as it can hold. */
	*(uint64_t *)ctx += height <= 0 ? 1 : INTERNAL_MAX_ENTRIES;
	return 0;
}

static int add_orphan(struct salvage *sv, uint64_t b, uint64_t residual)
{
	if (sv->nr_orphans == sv->max_orphans) {
		size_t max = sv->max_orphans ? 2 * sv->max_orphans : 64;
		struct orphan *more = realloc(sv->orphans, max * sizeof(*more));

		if (!more)
			return -ENOMEM;
		sv->orphans = more;
		sv->max_orphans = max;
	}
	sv->orphans[sv->nr_orphans++] = (struct orphan){ .block = b, .residual = residual };
	return 0;
}

static int find_orphans(struct salvage *sv)
{
	uint32_t *refs = reserve(sv->s.slots.nr_blocks, sizeof(*refs), false);
	int r = refs ? count_inner_refs(sv, refs) : -ENOMEM;

	for (uint64_t b = 1; !r && b < sv->s.slots.nr_blocks; b++)
		if (unreached(sv, b)) {
			uint64_t stored = salvage_stored(sv, b);
			uint64_t found = (uint64_t)sv->s.slots.slot[b].refs + refs[b];

			if (stored > found)
				r = add_orphan(sv, b, stored - found);
		}
	unreserve(refs, sv->s.slots.nr_blocks, sizeof(*refs));
	for (size_t i = 0; !r && i < sv->nr_orphans; i++) {
		struct orphan *o = &sv->orphans[i];
		struct mappings_sum sum;

		r = mappings_fold(&sv->m, o->block, false, &sum);
		if (r)
			break;
		o->nr_entries = sum.nr_mappings;
		o->first = sv->s.slots.slot[o->block].first;
		o->height = sv->s.slots.slot[o->block].height;
		o->last = mappings_highest_key(&sv->m, o->block);
		if (sum.damaged)
			r = mappings_each_lost(&sv->m, o->block, count_leaves, &o->nr_lost_leaves);
	}
	return r;
}

/* Could @o be the whole tree of a device? */
static bool fits_device(const struct orphan *o, const struct salvage_device *d)
{
	return !d->has_details ||
	       (o->nr_entries <= d->details.mapped_blocks &&
		d->details.mapped_blocks <= o->nr_entries + INTERNAL_MAX_ENTRIES * o->nr_lost_leaves);
}

bool salvage_orphan_fits(const struct salvage *sv, const struct orphan *o, const struct lost_place *p)
{
	const struct salvage_device *d = p->dev == UINT32_MAX ? NULL : &sv->devices[p->dev];

	if (p->rootless)
		return fits_device(o, d);
	if (p->hidden)
		return o->nr_entries <= d->details.mapped_blocks;
	if (p->height == 0)
		return false;
	if (p->height > 0 && o->height + 1 != (unsigned)p->height)
		return false;
	if (o->first < p->begin || (p->end && o->last >= p->end))
		return false;
	return !d || !d->has_details || d->nr_kept + o->nr_entries <= d->details.mapped_blocks;
}

/* One lost node may be the place of many devices: it is one parent. */
static bool same_node(const struct lost_place *a, const struct lost_place *b)
{
	return !a->rootless && !b->rootless && a->block && a->block == b->block;
}

static bool is_first_of_node(const struct salvage *sv, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (same_node(&sv->lost[k], &sv->lost[i]))
			return false;
	return true;
}

static int by_key(const void *va, const void *vb)
{
	const struct orphan *const *a = va, *const *b = vb;

	return (*a)->first < (*b)->first ? -1 : (*a)->first > (*b)->first;
}

/* Fills the lost node of @sv->lost[at] with the orphans that fit it alone. */
static int fill_node(struct salvage *sv, size_t at)
{
	struct lost_place *p = &sv->lost[at];
	struct orphan **fit = malloc((sv->nr_orphans + 1) * sizeof(*fit));
	struct child c[INTERNAL_MAX_ENTRIES];
	unsigned nr = 0, height = 0;
	size_t n = 0;
	int r = 0;

	if (!fit)
		return -ENOMEM;
	for (size_t i = 0; i < sv->nr_orphans; i++) {
		struct orphan *o = &sv->orphans[i];

		if (o->nr_fits == o->residual && salvage_orphan_fits(sv, o, p)) {
			fit[n++] = o;
			height = max_t(unsigned, height, o->height);
		}
	}
	qsort(fit, n, sizeof(*fit), by_key);
	for (size_t i = 0; i < n && nr < INTERNAL_MAX_ENTRIES; i++) {
		bool overlaps = (i && fit[i - 1]->last >= fit[i]->first) ||
				(i + 1 < n && fit[i]->last >= fit[i + 1]->first);

		if (overlaps || fit[i]->height != height)
			continue;
		c[nr++] = (struct child){ fit[i]->first, fit[i]->block };
		fit[i]->placed = true;
	}
	free(fit);
	if (!nr)
		return 0;
	/* The first child also answers for the keys below it. */
	c[0].key = min_t(uint64_t, c[0].key, max_t(uint64_t, p->begin, 0));
	r = slots_set_children(&sv->s.slots, p->block, c, nr);
	return r;
}

int salvage_orphans(struct salvage *sv)
{
	int r = read_all(sv);

	if (!r)
		r = find_orphans(sv);
	if (r)
		return r;
	for (size_t k = 0; k < sv->nr_orphans; k++) {
		struct orphan *o = &sv->orphans[k];

		for (size_t i = 0; i < sv->nr_lost; i++)
			if (is_first_of_node(sv, i) && salvage_orphan_fits(sv, o, &sv->lost[i])) {
				o->nr_fits++;
				o->nr_elsewhere += !sv->lost[i].rootless;
			}
		if (sv->doubt)
			o->nr_fits += 1u << 20;
	}
	for (size_t i = 0; !r && i < sv->nr_lost; i++)
		if (!sv->lost[i].rootless && !sv->lost[i].barred && sv->lost[i].height &&
		    is_first_of_node(sv, i))
			r = fill_node(sv, i);
	return r ? r : salvage_place_roots(sv);
}
