/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include "meta/scan.h"

int scan_init(struct scan *s, struct pd_io *io, const struct pd_run *run, struct damage *damage,
	      uint64_t nr_blocks)
{
	int r;

	*s = (struct scan){ .io = io, .run = run, .damage = damage };
	r = slots_init(&s->slots, io);
	if (r)
		return r;
	s->nr_blocks = min_t(uint64_t, nr_blocks, s->slots.nr_blocks);
	return bits_init(&s->reached, s->slots.nr_blocks);
}

void scan_exit(struct scan *s)
{
	slots_exit(&s->slots);
	bits_exit(&s->reached);
}

enum pd_problem node_fault_problem(enum node_fault f)
{
	static const enum pd_problem of[] = {
		[NODE_OK] = PD_PR_NONE,
		[NODE_BAD_FLAGS] = PD_PR_NODE_FLAGS,
		[NODE_BAD_VALUE_SIZE] = PD_PR_NODE_VALUE_SIZE,
		[NODE_BAD_MAX_ENTRIES] = PD_PR_NODE_MAX_ENTRIES,
		[NODE_BAD_NR_ENTRIES] = PD_PR_NODE_NR_ENTRIES,
		[NODE_BAD_KEY_ORDER] = PD_PR_NODE_KEY_ORDER,
	};

	return of[f];
}

enum pd_problem slot_problem(const struct slot *slot, enum block_kind kind)
{
	switch (slot->state) {
	case SLOT_OK:
		return slot->kind == kind ? PD_PR_NONE : PD_PR_BLOCK_KIND;
	case SLOT_UNREAD:
	case SLOT_IO:
		return PD_PR_BLOCK_IO;
	case SLOT_CSUM:
		return PD_PR_BLOCK_CSUM;
	case SLOT_MISPLACED:
		return PD_PR_BLOCK_MISPLACED;
	case SLOT_STALE:
		return PD_PR_BLOCK_STALE;
	default:
		return slot->kind == kind ?
			node_fault_problem((enum node_fault)(slot->state - SLOT_FAULT)) :
			PD_PR_BLOCK_KIND;
	}
}

/* ---- small trees ---- */

/* One reference to a node of the layer being read. */
struct node_ref {
	uint64_t block;
	uint64_t lo, hi;	/* its keys lie in [lo, hi); hi 0: no bound */
	bool counts;		/* what it refers to is to be counted */
	bool leaf;
	enum pd_problem problem;
	uint32_t nr, max, value_size;
	uint64_t first, last;
	void *copy;		/* leaf: keys, then values; internal: struct child[nr] */
};

struct layer {
	struct tree_walk *w;
	struct scan *s;
	struct node_ref *ref;
	uint64_t nr, max;
	unsigned depth;
};

static void finding(struct layer *l, const struct node_ref *ref, enum pd_problem p, bool lost)
{
	struct tree_walk *w = l->w;
	struct pd_finding f = {
		.problem = p, .place = w->place, .snap = l->s->snap, .has_key = w->has_key,
		.key = w->key, .block = ref->block, .has_range = lost,
		.begin = lost ? ref->lo : 0, .end = lost ? ref->hi : 0,
	};

	damage_add(l->s->damage, &f);
	if (lost) {
		w->damaged = true;
		l->s->incomplete = true;
	}
}

static bool push(struct layer *l, uint64_t block, uint64_t lo, uint64_t hi, bool counts)
{
	if (l->nr == l->max) {
		uint64_t max = l->max ? 2 * l->max : 16;
		struct node_ref *more = realloc(l->ref, max * sizeof(*more));

		if (!more)
			return false;
		l->ref = more;
		l->max = max;
	}
	l->ref[l->nr++] = (struct node_ref){ .block = block, .lo = lo, .hi = hi, .counts = counts };
	return true;
}

static int copy_leaf(struct node_ref *ref, const struct node_header *n)
{
	ref->copy = malloc((size_t)ref->nr * (8 + ref->value_size) + 1);
	if (!ref->copy)
		return -ENOMEM;
	for (uint32_t i = 0; i < ref->nr; i++)
		((uint64_t *)ref->copy)[i] = node_key(n, i);
	memcpy((uint64_t *)ref->copy + ref->nr, node_value_ptr(n, 0),
	       (size_t)ref->nr * ref->value_size);
	return 0;
}

static int copy_children(struct node_ref *ref, const struct node_header *n)
{
	struct child *c = malloc(ref->nr * sizeof(*c));

	if (!c)
		return -ENOMEM;
	for (uint32_t i = 0; i < ref->nr; i++)
		c[i] = (struct child){ node_key(n, i), node_value64(n, i) };
	ref->copy = c;
	return 0;
}

/* On a worker thread: looks at one node of the layer, for its one reference. */
static int look(void *ctx, unsigned worker, uint64_t block, const void *data, int err)
{
	struct layer *l = ctx;
	struct slot *slot = &l->s->slots.slot[block];
	struct node_ref *ref = &l->ref[slot->children];
	const struct node_header *n = data;
	enum block_kind kind;

	(void)worker;
	if (err) {
		slot->state = SLOT_IO;
		ref->problem = PD_PR_BLOCK_IO;
		return 0;
	}
	kind = block_kind(data);
	slot->kind = (uint8_t)kind;
	slot->state = kind == KIND_NONE ? SLOT_CSUM :
		      block_nr(data, kind) != block ? SLOT_MISPLACED : SLOT_OK;
	ref->problem = slot_problem(slot, KIND_NODE);
	if (ref->problem)
		return 0;
	ref->problem = node_fault_problem(node_check(n, l->w->value_size));
	if (ref->problem)
		return 0;
	ref->leaf = le32_get(n->flags) == NODE_LEAF;
	ref->nr = le32_get(n->nr_entries);
	ref->max = le32_get(n->max_entries);
	ref->value_size = le32_get(n->value_size);
	slot->flags = (uint8_t)(l->w->mark | (ref->leaf ? SLOT_LEAF : 0));
	slot->value_size = (uint16_t)ref->value_size;
	slot->nr = (uint16_t)ref->nr;
	if (ref->nr) {
		slot->first = ref->first = node_key(n, 0);
		slot->last = ref->last = node_key(n, ref->nr - 1);
		if (ref->first < ref->lo || (ref->hi && ref->last >= ref->hi)) {
			ref->problem = PD_PR_NODE_KEY_RANGE;
			return 0;
		}
	} else if (l->depth) {
		ref->problem = PD_PR_NODE_EMPTY;
		return 0;
	}
	if (!ref->leaf)
		return copy_children(ref, n);
	return l->w->leaf ? l->w->leaf(l->w->ctx, n, block) : copy_leaf(ref, n);
}

static void check_fill(struct layer *l, const struct node_ref *ref)
{
	uint32_t third = ref->max / 3;

	if (ref->max != node_max_entries(ref->value_size))
		finding(l, ref, PD_PR_NODE_CAPACITY, false);
	if (l->depth && ref->nr < third)
		finding(l, ref, ref->nr + 1 == third ? PD_PR_NODE_UNDERFULL_LEAF :
			PD_PR_NODE_UNDERFULL, false);
}

/* Judges each reference in key order, and makes the next layer. */
static int descend(struct layer *l, struct layer *below, uint64_t *nr_leaf_entries)
{
	int want_leaf = -1;

	for (uint64_t i = 0; i < l->nr; i++) {
		struct node_ref *ref = &l->ref[i];
		const struct child *c = ref->copy;

		if (!ref->problem && want_leaf < 0)
			want_leaf = ref->leaf;
		if (!ref->problem && ref->leaf != want_leaf)
			ref->problem = PD_PR_TREE_UNBALANCED;
		if (!ref->problem && !ref->leaf && l->depth + 1 >= MAX_TREE_DEPTH)
			ref->problem = PD_PR_TREE_DEPTH;
		if (ref->problem) {
			finding(l, ref, ref->problem, true);
			free(ref->copy);
			ref->copy = NULL;
			continue;
		}
		check_fill(l, ref);
		if (ref->leaf) {
			*nr_leaf_entries += ref->nr;
			continue;
		}
		for (uint32_t k = 0; k < ref->nr; k++)
			if (!push(below, c[k].block, c[k].key,
				  k + 1 < ref->nr ? c[k + 1].key : ref->hi, ref->counts))
				return -ENOMEM;
		free(ref->copy);
		ref->copy = NULL;
	}
	return 0;
}

static int note_node(struct tree_walk *w, uint64_t block)
{
	if (w->nr_nodes == w->max_nodes) {
		size_t max = w->max_nodes ? 2 * w->max_nodes : 64;
		uint64_t *more = realloc(w->nodes, max * sizeof(*more));

		if (!more)
			return -ENOMEM;
		w->nodes = more;
		w->max_nodes = max;
	}
	w->nodes[w->nr_nodes++] = block;
	return 0;
}

static int read_layer(struct layer *l)
{
	struct scan *s = l->s;
	struct bits set;
	int r = bits_init(&set, s->slots.nr_blocks);

	for (uint64_t i = 0; !r && l->w->want_nodes && i < l->nr; i++)
		r = note_node(l->w, l->ref[i].block);
	if (r) {
		bits_exit(&set);
		return r;
	}
	for (uint64_t i = 0; i < l->nr; i++) {
		struct node_ref *ref = &l->ref[i];

		if (!ref->block || ref->block >= s->nr_blocks) {
			ref->problem = PD_PR_BLOCK_BEYOND;
			continue;
		}
		if (!l->w->no_refs && ref->counts)
			ref->counts = scan_ref(s, ref->block);
		/* Ranges within a tree do not overlap, so no node is in it twice. */
		if (bits_test_and_set(&set, ref->block)) {
			ref->problem = PD_PR_BLOCK_CYCLE;
			continue;
		}
		s->slots.slot[ref->block].children = (uint32_t)i;
	}
	r = stream_blocks(s->io, &set, s->run, "reading", look, l);
	for (uint64_t b = bits_next(&set, 0); b < set.nr; b = bits_next(&set, b + 1))
		s->slots.slot[b].children = NO_CHILDREN;
	bits_exit(&set);
	return r;
}

static int gather(struct tree_walk *w, struct layer *l, uint64_t nr)
{
	uint64_t at = 0;

	w->keys = malloc(nr * 8 + 1);
	w->values = malloc(nr * w->value_size + 1);
	w->counts = malloc(nr + 1);
	if (!w->keys || !w->values || !w->counts)
		return -ENOMEM;
	for (uint64_t i = 0; i < l->nr; i++) {
		const struct node_ref *ref = &l->ref[i];

		if (!ref->copy)
			continue;
		memcpy(w->keys + at, ref->copy, ref->nr * 8);
		memcpy(w->values + at * w->value_size, (uint64_t *)ref->copy + ref->nr,
		       (size_t)ref->nr * w->value_size);
		memset(w->counts + at, ref->counts, ref->nr);
		at += ref->nr;
	}
	w->nr = at;
	return 0;
}

static void layer_exit(struct layer *l)
{
	for (uint64_t i = 0; i < l->nr; i++)
		free(l->ref[i].copy);
	free(l->ref);
}

int scan_tree(struct scan *s, struct tree_walk *w)
{
	struct layer l = { .w = w, .s = s };
	uint64_t nr_entries = 0;
	int r = 0;

	if (!push(&l, w->root, 0, 0, true))
		return -ENOMEM;
	for (;;) {
		struct layer below = { .w = w, .s = s, .depth = l.depth + 1 };

		r = read_layer(&l);
		if (!r)
			r = descend(&l, &below, &nr_entries);
		if (r || !below.nr) {
			layer_exit(&below);
			break;
		}
		layer_exit(&l);
		l = below;
	}
	if (!r && !w->leaf)
		r = gather(w, &l, nr_entries);
	layer_exit(&l);
	return r;
}

void tree_walk_exit(struct tree_walk *w)
{
	free(w->keys);
	free(w->values);
	free(w->counts);
	free(w->nodes);
	w->nodes = NULL;
	w->keys = NULL;
	w->values = NULL;
	w->counts = NULL;
	w->nr = 0;
}
