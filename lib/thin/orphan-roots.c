/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices whose root nobody names, and trees that nobody names: which goes to which.
 *
 * A tree goes to as many devices as it misses parents, for snapshots share roots. Where what it holds leaves a choice, older
 * upper trees that name it for some id decide, if they name it for just so many. What is settled leaves fewer choices for
 * the rest. Without any ids, those older upper trees and older details together tell whose a tree is.
 */
#include <errno.h>
#include <stdlib.h>
#include "thin/salvage.h"

/* Some upper leaf, of any age, names an orphan for a device. */
struct naming {
	uint64_t dev;
	size_t orphan;
};

struct namings {
	struct salvage *sv;
	struct naming *n;
	size_t nr, max;
	/* What device details of any age say was mapped. */
	struct said {
		uint64_t dev, mapped;
	} *said;
	size_t nr_said, max_said;
};

static int find_orphan(const void *key, const void *o)
{
	uint64_t a = *(const uint64_t *)key, b = ((const struct orphan *)o)->block;

	return a < b ? -1 : a > b;
}

static int add_naming(struct namings *t, uint64_t dev, size_t orphan)
{
	for (size_t i = 0; i < t->nr; i++)
		if (t->n[i].dev == dev && t->n[i].orphan == orphan)
			return 0;
	if (t->nr == t->max) {
		size_t max = t->max ? 2 * t->max : 64;
		struct naming *more = realloc(t->n, max * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->n = more;
		t->max = max;
	}
	t->n[t->nr++] = (struct naming){ dev, orphan };
	return 0;
}

static int add_said(struct namings *t, uint64_t dev, uint64_t mapped)
{
	if (t->nr_said == t->max_said) {
		size_t max = t->max_said ? 2 * t->max_said : 64;
		struct said *more = realloc(t->said, max * sizeof(*more));

		if (!more)
			return -ENOMEM;
		t->said = more;
		t->max_said = max;
	}
	t->said[t->nr_said++] = (struct said){ dev, mapped };
	return 0;
}

/* Mappings look like an upper leaf's entries only where they name data block 0. */
static bool looks_upper(const struct salvage *sv, const struct node_header *n)
{
	for (uint32_t i = 0; i < le32_get(n->nr_entries); i++)
		if (node_key(n, i) > THIN_MAX_DEV_ID || node_value64(n, i) >= sv->s.slots.nr_blocks)
			return false;
	return true;
}

static int take_namings(void *ctx, unsigned worker, uint64_t block, const void *data, int err)
{
	struct namings *t = ctx;
	const struct node_header *n = data;
	int r = 0;

	(void)worker;
	if (err || block_kind(n) != KIND_NODE || block_nr(n, KIND_NODE) != block || le32_get(n->flags) != NODE_LEAF)
		return 0;
	if (!node_check(n, sizeof(struct thin_device_details)))
		for (uint32_t i = 0; !r && i < le32_get(n->nr_entries); i++) {
			struct thin_device_details d;

			memcpy(&d, node_value_ptr(n, i), sizeof(d));
			r = add_said(t, node_key(n, i), le64_get(d.mapped_blocks));
		}
	if (node_check(n, sizeof(le64)) || !looks_upper(t->sv, n))
		return r;
	for (uint32_t i = 0; !r && i < le32_get(n->nr_entries); i++) {
		uint64_t root = node_value64(n, i);
		const struct orphan *o = t->sv->nr_orphans ? bsearch(&root, t->sv->orphans, t->sv->nr_orphans, sizeof(*o),
								     find_orphan) : NULL;

		if (o)
			r = add_naming(t, node_key(n, i), (size_t)(o - t->sv->orphans));
	}
	return r;
}

static int namings_init(struct namings *t, struct salvage *sv)
{
	struct pd_run one = { .nr_threads = 1 };
	struct bits leaves;
	int r = bits_init(&leaves, sv->s.slots.nr_blocks);

	*t = (struct namings){ .sv = sv };
	for (uint64_t b = 1; !r && b < leaves.nr; b++) {
		const struct slot *slot = &sv->s.slots.slot[b];

		if (slot->state == SLOT_OK && slot->kind == KIND_NODE && slot->flags & SLOT_LEAF && slot->nr &&
		    slot->last <= THIN_MAX_DEV_ID && (slot->value_size == sizeof(le64) ||
		    slot->value_size == sizeof(struct thin_device_details)))
			bits_set(&leaves, b);
	}
	if (!r)
		r = stream_blocks(sv->io, &leaves, &one, NULL, take_namings, t);
	bits_exit(&leaves);
	return r;
}

static void namings_exit(struct namings *t)
{
	free(t->n);
	free(t->said);
}

/* Could this device still get that tree? */
static bool may_get(const struct salvage *sv, const struct lost_place *p, const struct orphan *o)
{
	return p->rootless && !o->placed && (p->barred || !sv->devices[p->dev].has_root) &&
	       salvage_orphan_fits(sv, o, p);
}

static void give(struct salvage *sv, struct lost_place *p, struct orphan *o)
{
	sv->devices[p->dev].root = o->block;
	sv->devices[p->dev].has_root = true;
	o->nr_given++;
}

/* A tree that fits as many places as it misses parents, none of which another one fits. */
static bool place_by_fit(struct salvage *sv, size_t k)
{
	struct orphan *o = &sv->orphans[k];
	uint64_t nr = o->nr_elsewhere;

	for (size_t i = 0; i < sv->nr_lost; i++)
		nr += may_get(sv, &sv->lost[i], o);
	if (nr != o->residual || o->nr_elsewhere)
		return false;
	for (size_t i = 0; i < sv->nr_lost; i++) {
		if (!may_get(sv, &sv->lost[i], o))
			continue;
		if (sv->lost[i].barred)
			return false;
		for (size_t j = 0; j < sv->nr_orphans; j++)
			if (j != k && may_get(sv, &sv->lost[i], &sv->orphans[j]))
				return false;
	}
	for (size_t i = 0; i < sv->nr_lost; i++)
		if (may_get(sv, &sv->lost[i], o))
			give(sv, &sv->lost[i], o);
	o->placed = o->nr_given;
	return o->placed;
}

static struct lost_place *place_of(struct salvage *sv, uint64_t dev)
{
	for (size_t i = 0; i < sv->nr_lost; i++)
		if (sv->lost[i].rootless && !sv->lost[i].barred &&
		    sv->devices[sv->lost[i].dev].details.dev_id == dev)
			return &sv->lost[i];
	return NULL;
}

/* Is another tree named for @dev, that could be its? */
static bool named_otherwise(const struct namings *t, size_t orphan, uint64_t dev, const struct lost_place *p)
{
	for (size_t i = 0; i < t->nr; i++)
		if (t->n[i].dev == dev && t->n[i].orphan != orphan &&
		    (!p || may_get(t->sv, p, &t->sv->orphans[t->n[i].orphan])))
			return true;
	return false;
}

static bool place_by_name(struct namings *t, size_t k)
{
	struct salvage *sv = t->sv;
	struct orphan *o = &sv->orphans[k];
	uint64_t nr = 0;

	for (size_t i = 0; i < t->nr; i++) {
		struct lost_place *p = t->n[i].orphan == k ? place_of(sv, t->n[i].dev) : NULL;

		if (!p || !may_get(sv, p, o))
			continue;
		if (named_otherwise(t, k, t->n[i].dev, p))
			return false;
		nr++;
	}
	if (!nr || nr != o->residual)
		return false;
	for (size_t i = 0; i < t->nr; i++) {
		struct lost_place *p = t->n[i].orphan == k ? place_of(sv, t->n[i].dev) : NULL;

		if (p && may_get(sv, p, o))
			give(sv, p, o);
	}
	o->placed = o->nr_given;
	return o->placed;
}

/* Did details, of any age, say for @dev what this tree holds? Then the name is not of another time's tree in that block. */
static bool said_so(const struct namings *t, uint64_t dev, const struct orphan *o)
{
	for (size_t i = 0; i < t->nr_said; i++)
		if (t->said[i].dev == dev && o->nr_entries <= t->said[i].mapped &&
		    t->said[i].mapped <= o->nr_entries + INTERNAL_MAX_ENTRIES * o->nr_lost_leaves)
			return true;
	return false;
}

/* Neither ids nor details are left: devices are what older upper trees name live trees for. */
static int make_up_devices(struct namings *t)
{
	struct salvage *sv = t->sv;
	struct salvage_device *more = calloc(t->nr + 1, sizeof(*more));
	unsigned n = 0;

	if (!more)
		return -ENOMEM;
	for (size_t k = 0; k < sv->nr_orphans; k++) {
		struct orphan *o = &sv->orphans[k];
		uint64_t nr = 0;
		bool clear = true;

		for (size_t i = 0; i < t->nr; i++)
			if (t->n[i].orphan == k) {
				nr++;
				clear &= !named_otherwise(t, k, t->n[i].dev, NULL) && said_so(t, t->n[i].dev, o);
			}
		if (!nr || nr != o->residual || !clear)
			continue;
		for (size_t i = 0; i < t->nr; i++)
			if (t->n[i].orphan == k)
				more[n++] = (struct salvage_device){
					.details.dev_id = (uint32_t)t->n[i].dev, .root = o->block, .has_root = true,
				};
		o->placed = true;
	}
	free(sv->devices);
	sv->devices = more;
	sv->nr_devices = n;
	qsort(more, n, sizeof(*more), salvage_by_id);
	return 0;
}

int salvage_place_roots(struct salvage *sv)
{
	struct namings t;
	bool again = true;
	int r = namings_init(&t, sv);

	if (!r && !sv->nr_devices && sv->upper.damaged && sv->details.damaged && !sv->doubt)
		r = make_up_devices(&t);
	while (!r && again && !sv->doubt) {
		again = false;
		for (size_t k = 0; k < sv->nr_orphans; k++)
			again |= !sv->orphans[k].placed && (place_by_fit(sv, k) || place_by_name(&t, k));
	}
	namings_exit(&t);
	return r;
}
