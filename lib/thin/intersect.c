/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Several states of a pool could be the last one: what all of them have alike is kept. Where a
 * device has the same leaf in each of them, that is all of it; of other leaves it is the mappings that
 * agree, which an overlay over the input then shows as the leaf's only ones.
 */
#include <errno.h>
#include <stdlib.h>
#include "io/engine.h"
#include "thin/salvage.h"

#define MAX_CUT_LEAVES 8192u	/* leaves of which a part is kept; each costs a block of memory */

/* One device of one other generation. */
struct other {
	struct salvage *sv;
	uint64_t root;
	struct bits leaves;		/* of that device there */
	uint64_t leaf;			/* the one in @buf */
	void *buf, *mine;
	unsigned *nr_cut;
	bool one_leaf;			/* @root is a leaf that says nothing of keys beyond its own */
};

static const struct slot *node_at(struct salvage *sv, uint64_t b)
{
	const struct slot *slot;

	if (!b || b >= sv->s.slots.nr_blocks)
		return NULL;
	slot = &sv->s.slots.slot[b];
	return slot->state == SLOT_OK && slot->kind == KIND_NODE ? slot : NULL;
}

/* Marks the leaves below @b; a node that many ways lead to is gone through once. */
static void mark_leaves(struct salvage *sv, uint64_t b, unsigned depth, struct bits *leaves,
			struct bits *seen)
{
	struct child buf[INTERNAL_MAX_ENTRIES];
	const struct slot *slot = node_at(sv, b);
	const struct child *c;

	if (!slot || depth >= MAX_TREE_DEPTH || bits_test_and_set(seen, b))
		return;
	if (slot->flags & SLOT_LEAF) {
		bits_set(leaves, b);
		return;
	}
	c = slots_children(&sv->s.slots, b, buf);
	for (unsigned i = 0; c && i < slot->nr; i++)
		mark_leaves(sv, c[i].block, depth + 1, leaves, seen);
}

/* Does the other generation map @key to the same data block? */
static bool maps_alike(struct other *o, uint64_t key, uint64_t value)
{
	struct salvage *sv = o->sv;
	const struct node_header *n = o->buf;
	uint64_t b = o->root;
	uint32_t lo = 0, hi;

	for (unsigned depth = 0; depth < MAX_TREE_DEPTH; depth++) {
		const struct slot *slot = node_at(sv, b);
		struct child buf[INTERNAL_MAX_ENTRIES];
		const struct child *c;
		unsigned i;

		if (!slot || !slot->nr)
			return false;
		if (slot->flags & SLOT_LEAF)
			break;
		c = slots_children(&sv->s.slots, b, buf);
		if (!c || key < c[0].key)
			return false;
		for (i = 1; i < slot->nr && c[i].key <= key; i++)
			;
		b = c[i - 1].block;
	}
	if (o->leaf != b) {
		if (pd_io_read(sv->io, b, 1, o->buf) || block_kind(n) != KIND_NODE ||
		    node_check(n, sizeof(le64)))
			return false;
		o->leaf = b;
	}
	for (hi = le32_get(n->nr_entries); lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (node_key(n, mid) < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < le32_get(n->nr_entries) && node_key(n, lo) == key &&
	       mapping_block(node_value64(n, lo)) == mapping_block(value);
}

static bool is_beyond(const struct other *o, uint64_t key)
{
	const struct slot *slot = &o->sv->s.slots.slot[o->root];

	return key < slot->first || key > slot->last;
}

/* Leaves of leaf @b only what both map alike. */
static int cut_leaf(struct other *o, uint64_t b, bool *left)
{
	struct slot *slot = &o->sv->s.slots.slot[b];
	struct node_header *n = o->mine;
	uint32_t nr, kept = 0;

	*left = false;
	if (pd_io_read(o->sv->io, b, 1, n) || block_kind(n) != KIND_NODE ||
	    node_check(n, sizeof(le64)))
		return 0;
	nr = le32_get(n->nr_entries);
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t key = node_key(n, i), v = node_value64(n, i);
		le64 raw = le64_put(v);

		if (!(o->one_leaf && is_beyond(o, key)) && !maps_alike(o, key, v))
			continue;
		node_keys(n)[kept] = le64_put(key);
		memcpy(node_value_ptr(n, kept), &raw, sizeof(raw));
		kept++;
	}
	if (!kept || (kept < nr && *o->nr_cut >= MAX_CUT_LEAVES))
		return 0;
	*left = true;
	if (kept == nr)
		return 0;
	++*o->nr_cut;
	n->nr_entries = le32_put(kept);
	slot->nr = (uint16_t)kept;
	slot->first = node_key(n, 0);
	slot->last = node_key(n, kept - 1);
	block_seal(n, KIND_NODE, b);
	return pd_overlay_put(o->sv->io, b, n);
}

static bool is_apart(const struct other *o, const struct slot *leaf)
{
	const struct slot *slot = &o->sv->s.slots.slot[o->root];

	return leaf->last < slot->first || leaf->first > slot->last;
}

/* Leaves only marked leaves below @b, and of others what is alike. *@left: is there any? */
static int prune(struct other *o, uint64_t b, unsigned depth, bool *left)
{
	struct salvage *sv = o->sv;
	struct child buf[INTERNAL_MAX_ENTRIES], kept[INTERNAL_MAX_ENTRIES];
	const struct slot *slot = node_at(sv, b);
	const struct child *c;
	unsigned n = 0, nr;
	int r = 0;

	*left = false;
	if (!slot || depth >= MAX_TREE_DEPTH)
		return 0;
	if (slot->flags & SLOT_LEAF) {
		*left = bits_test(&o->leaves, b) || (o->one_leaf && is_apart(o, slot));
		return *left ? 0 : cut_leaf(o, b, left);
	}
	c = slots_children(&sv->s.slots, b, buf);
	nr = c ? slot->nr : 0;
	if (nr && c != buf) {
		memcpy(buf, c, nr * sizeof(*c));	/* the arena may move */
		c = buf;
	}
	for (unsigned i = 0; !r && i < nr; i++) {
		bool below;

		r = prune(o, c[i].block, depth + 1, &below);
		if (below)
			kept[n++] = c[i];
	}
	*left = n;
	return r || n == nr ? r : slots_set_children(&sv->s.slots, b, kept, n);
}

/* What @other has of device @d: its root, or 0. */
static uint64_t root_in(const struct tree_walk *other, uint32_t dev)
{
	for (uint64_t i = 0; i < other->nr; i++)
		if (other->keys[i] == dev) {
			le64 v;

			memcpy(&v, other->values + i * sizeof(v), sizeof(v));
			return le64_get(v);
		}
	return 0;
}

/* @other: the device's root there; 0 if that is lost, then @sm says what is in use there. */
static int cut_device(struct salvage *sv, struct salvage_device *d, uint64_t other,
		      const struct metadata_sm *sm, unsigned *nr_cut)
{
	struct other o = { .sv = sv, .root = other, .nr_cut = nr_cut };
	struct bits seen = { .nr = 0 };
	bool left;
	int r;

	if (!d->has_root || d->root == other)
		return 0;
	o.buf = pd_io_buffer(1);
	o.mine = pd_io_buffer(1);
	r = o.buf && o.mine ? bits_init(&o.leaves, sv->s.slots.nr_blocks) : -ENOMEM;
	if (!r)
		r = bits_init(&seen, sv->s.slots.nr_blocks);
	for (uint64_t b = 1; !r && !other && b < sm->nr_blocks; b++)
		if (metadata_sm_get(sm, b))
			bits_set(&o.leaves, b);
	if (!r) {
		if (other)
			mark_leaves(sv, other, 0, &o.leaves, &seen);
		r = prune(&o, d->root, 0, &left);
		if (!r && !left) {
			d->has_root = false;
			d->root = 0;
		}
	}
	bits_exit(&o.leaves);
	bits_exit(&seen);
	free(o.buf);
	free(o.mine);
	return r;
}

/* A state whose upper tree is lost: its details may tell which devices there are, its counts which leaves. */
static int cut_by_counts(struct salvage *sv, const struct thin_generation *g, unsigned *nr_cut)
{
	struct tree_walk details = {
		.place = PD_AT_DETAILS, .value_size = sizeof(struct thin_device_details), .no_refs = true,
		.root = g->details_root,
	};
	struct metadata_sm sm;
	unsigned n = 0;
	int r = generation_counts(&sv->s, g->index_block, &sm) ? 0 : -EUCLEAN;

	if (!r && g->details_root)
		r = scan_tree(&sv->s, &details);
	for (unsigned i = 0; !r && i < sv->nr_devices; i++) {
		struct salvage_device d = sv->devices[i];
		bool there = !g->details_root || details.damaged;

		for (uint64_t k = 0; !there && k < details.nr; k++)
			there = details.keys[k] == d.details.dev_id;
		if (!there)
			continue;
		r = cut_device(sv, &d, 0, &sm, nr_cut);
		sv->devices[n++] = d;
	}
	sv->nr_devices = r ? sv->nr_devices : n;
	tree_walk_exit(&details);
	metadata_sm_exit(&sm);
	return r;
}

/* Mappings below each block; UINT64_MAX: it is no device's tree, or not whole. */
static int sum_all(struct salvage *sv, uint64_t **sums)
{
	uint64_t *nr = malloc(sv->s.slots.nr_blocks * sizeof(*nr));
	int r = nr ? 0 : -ENOMEM;

	*sums = nr;
	for (uint64_t b = 0; !r && b < sv->s.slots.nr_blocks; b++) {
		const struct slot *slot = node_at(sv, b);
		struct mappings_sum sum = { .damaged = true };

		if (slot && (!(slot->flags & SLOT_LEAF) || slot->value_size == sizeof(le64)))
			r = mappings_peek(&sv->m, b, &sum);
		nr[b] = sum.damaged ? UINT64_MAX : sum.nr_mappings;
	}
	return r;
}

/*
 * A state of which only the details are left: a device had so many mappings, so its tree may be any that has. What all of
 * them map alike is kept; without one nothing is known of the device.
 */
static int cut_by_details(struct salvage *sv, const struct thin_generation *g, unsigned *nr_cut)
{
	struct tree_walk details = {
		.place = PD_AT_DETAILS, .value_size = sizeof(struct thin_device_details), .no_refs = true,
		.root = g->details_root,
	};
	uint64_t *sums;
	unsigned n = 0;
	int r = sum_all(sv, &sums);

	if (!r)
		r = scan_tree(&sv->s, &details);
	for (unsigned i = 0; !r && i < sv->nr_devices; i++) {
		struct salvage_device d = sv->devices[i];
		struct thin_device_details there;
		uint64_t k = 0, nr_like = 0;

		while (k < details.nr && details.keys[k] != d.details.dev_id)
			k++;
		if (k == details.nr)
			continue;
		memcpy(&there, details.values + k * sizeof(there), sizeof(there));
		for (uint64_t b = 1; !r && b < sv->s.slots.nr_blocks; b++)
			if (sums[b] == le64_get(there.mapped_blocks) && sums[b]) {
				nr_like++;
				r = cut_device(sv, &d, b, NULL, nr_cut);
			}
		if (!nr_like) {
			d.has_root = false;
			d.root = 0;
		}
		sv->devices[n++] = d;
	}
	sv->nr_devices = r ? sv->nr_devices : n;
	tree_walk_exit(&details);
	free(sums);
	return r;
}

/* Are these versions of one device? */
static bool share_a_leaf(struct salvage *sv, uint64_t a, uint64_t b)
{
	struct bits leaves[2] = { { .nr = 0 } }, seen[2] = { { .nr = 0 } };
	uint64_t roots[2] = { a, b };
	bool share = false;
	int r = 0;

	for (unsigned i = 0; i < 2 && !r; i++) {
		r = bits_init(&leaves[i], sv->s.slots.nr_blocks);
		if (!r)
			r = bits_init(&seen[i], sv->s.slots.nr_blocks);
		if (!r)
			mark_leaves(sv, roots[i], 0, &leaves[i], &seen[i]);
	}
	for (uint64_t l = r ? 0 : bits_next(&leaves[0], 0); !r && !share && l < leaves[0].nr;
	     l = bits_next(&leaves[0], l + 1))
		share = bits_test(&leaves[1], l);
	for (unsigned i = 0; i < 2; i++) {
		bits_exit(&leaves[i]);
		bits_exit(&seen[i]);
	}
	return share || r;		/* without memory: rather less than wrong */
}

/* A leaf that nothing names and that maps something as the device does is a version of a part of it, older or newer: what
 * the two do not map alike is in doubt. */
static int cut_by_leaf(struct salvage *sv, struct salvage_device *d, uint64_t leaf, unsigned *nr_cut)
{
	struct other mine = { .sv = sv, .root = d->root }, o = {
		.sv = sv, .root = leaf, .nr_cut = nr_cut, .one_leaf = true,
	};
	struct node_header *n = pd_io_buffer(1);
	bool related = false, left;
	int r = -ENOMEM;

	mine.buf = pd_io_buffer(1);
	o.buf = pd_io_buffer(1);
	o.mine = pd_io_buffer(1);
	if (n && mine.buf && o.buf && o.mine)
		r = bits_init(&o.leaves, sv->s.slots.nr_blocks);
	if (r)
		goto out;
	if (!pd_io_read(sv->io, leaf, 1, n) && block_kind(n) == KIND_NODE && !node_check(n, sizeof(le64)))
		for (uint32_t i = 0; !related && i < le32_get(n->nr_entries); i++)
			related = maps_alike(&mine, node_key(n, i), node_value64(n, i));
	if (related) {
		bits_set(&o.leaves, leaf);
		r = prune(&o, d->root, 0, &left);
		if (!r && !left) {
			d->has_root = false;
			d->root = 0;
		}
	}
out:
	bits_exit(&o.leaves);
	free(n);
	free(mine.buf);
	free(o.buf);
	free(o.mine);
	return r;
}

static int read_all(struct salvage *sv)
{
	struct bits all;
	int r = bits_init(&all, sv->s.slots.nr_blocks);

	if (r)
		return r;
	for (uint64_t b = 1; b < all.nr; b++)
		bits_set(&all, b);
	r = slots_read(&sv->s.slots, &all, sv->run, NULL, NULL, NULL);
	bits_exit(&all);
	return r;
}

int salvage_intersect(struct salvage *sv, const struct thin_found *found)
{
	unsigned nr_cut = 0;
	int r = read_all(sv);

	mappings_unfold(&sv->m);
	for (unsigned g = 0; !r && g < found->nr_generations; g++) {
		struct tree_walk other = {
			.place = PD_AT_MAPPINGS, .value_size = sizeof(le64), .no_refs = true,
			.root = found->generations[g].mapping_root,
		};
		unsigned n = 0;

		if (found->generations[g].chosen)
			continue;
		if (!other.root) {
			r = found->generations[g].index_block ?
				cut_by_counts(sv, &found->generations[g], &nr_cut) :
				cut_by_details(sv, &found->generations[g], &nr_cut);
			continue;
		}
		r = scan_tree(&sv->s, &other);
		for (unsigned i = 0; !r && i < sv->nr_devices; i++) {
			struct salvage_device d = sv->devices[i];
			uint64_t root = root_in(&other, d.details.dev_id);

			if (!root)
				continue;	/* it may have been deleted */
			r = cut_device(sv, &d, root, NULL, &nr_cut);
			sv->devices[n++] = d;
		}
		sv->nr_devices = r ? sv->nr_devices : n;
		tree_walk_exit(&other);
	}
	for (unsigned t = 0; !r && t < found->nr_trees; t++)
		for (unsigned i = 0; !r && i < sv->nr_devices; i++)
			if (sv->devices[i].has_root && share_a_leaf(sv, sv->devices[i].root, found->trees[t]))
				r = cut_device(sv, &sv->devices[i], found->trees[t], NULL, &nr_cut);
	for (unsigned l = 0; !r && l < found->nr_leaves; l++)
		for (unsigned i = 0; !r && i < sv->nr_devices; i++)
			if (sv->devices[i].has_root)
				r = cut_by_leaf(sv, &sv->devices[i], found->leaves[l], &nr_cut);
	sv->sound = false;
	mappings_unfold(&sv->m);	/* what was summed on the way was not cut yet */
	for (unsigned i = 0; !r && i < sv->nr_devices; i++) {
		struct mappings_sum sum = { .nr_mappings = 0 };

		if (sv->devices[i].has_root)
			r = mappings_peek(&sv->m, sv->devices[i].root, &sum);
		sv->devices[i].nr_kept = sum.nr_mappings;
	}
	return r;
}
