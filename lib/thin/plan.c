/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/err.h>
#include "thin/mappings.h"
#include "thin/plan.h"

static int damaged(struct plan *p, uint64_t block, const char *why)
{
	pd_log(p->v->run->log, PD_LOG_ERR, "mapping tree: block %" PRIu64 ": %s", block, why);
	return -EUCLEAN;
}

static bool is_inner(const struct slot *s)
{
	return s->state == SLOT_OK && s->kind == KIND_NODE && !(s->flags & SLOT_LEAF);
}

/* A leaf of mappings, or a block that may turn out to be one. */
static bool may_be_leaf(const struct slot *s)
{
	return s->state == SLOT_UNREAD || (s->state == SLOT_OK && s->kind == KIND_NODE &&
		(s->flags & SLOT_LEAF) && (s->value_size == sizeof(le64) || !s->nr));
}

static const char *why_not_node(const struct slot *s)
{
	switch (s->state) {
	case SLOT_IO: return "cannot be read";
	case SLOT_CSUM: return "bad checksum";
	case SLOT_MISPLACED: return "block says it belongs elsewhere";
	case SLOT_STALE: return "older version of the block";
	case SLOT_OK: return "not the kind of node that belongs here";
	default: return "bad btree node";
	}
}

/* ---- Heights ---- */

static int read_set(struct plan *p, const struct bits *set)
{
	return slots_read(p->slots, set, p->v->run, "reading the mapping tree", NULL, NULL);
}

static struct slot *slot_of(struct plan *p, uint64_t block)
{
	return &p->slots->slot[block];
}

/* The leftmost child, or 0 if @block is not an inner node with children. A repair looks past those
 * that are known to be lost. */
static int leftmost(struct plan *p, uint64_t block, struct child *buf, uint64_t *child)
{
	const struct child *c;
	unsigned i = 0;

	*child = 0;
	if (!is_inner(slot_of(p, block)) || !slot_of(p, block)->nr)
		return 0;
	c = slots_children(p->slots, block, buf);
	if (!c)
		return damaged(p, block, "cannot be read again");
	while (p->v->step_over && i + 1u < slot_of(p, block)->nr &&
	       (c[i].block >= p->nr_blocks || slot_of(p, c[i].block)->state > SLOT_OK))
		i++;
	*child = c[i].block;
	return 0;
}

/* One step down the left edge of each tree that has not reached its leaf; true if any went on. */
static int step_down(struct plan *p, uint32_t *at, unsigned *height, struct bits *set, bool *more)
{
	struct child buf[INTERNAL_MAX_ENTRIES];
	int r;

	*more = false;
	for (unsigned i = 0; i < p->v->nr_devices; i++) {
		uint64_t child;

		if (!at[i])
			continue;
		r = leftmost(p, at[i], buf, &child);
		if (r)
			return r;
		if (!child || child >= p->nr_blocks) {
			at[i] = 0;
			continue;
		}
		if (++height[i] >= MAX_TREE_DEPTH)
			return damaged(p, p->v->devices[i].root, "tree is too deep");
		at[i] = (uint32_t)child;
		bits_set(set, child);
		*more = true;
	}
	return 0;
}

/*
 * How high each device's tree stands. Where the left edge ends in damage a repair has rebuilt
 * what it wants kept, so the height found is what is there.
 */
static int find_heights(struct plan *p, unsigned *height)
{
	unsigned nr = p->v->nr_devices;
	uint32_t *at = calloc(nr + 1, sizeof(*at));
	bool more = true;
	int r = -ENOMEM;

	if (!at)
		return r;
	for (unsigned i = 0; i < nr; i++)
		at[i] = p->v->devices[i].lost ? 0 : (uint32_t)p->v->devices[i].root;
	for (bool first = true; more; first = false) {
		struct bits set;

		r = bits_init(&set, p->nr_blocks);
		if (r)
			break;
		if (first) {
			for (unsigned i = 0; i < nr; i++)
				if (at[i])
					bits_set(&set, at[i]);
		} else {
			r = step_down(p, at, height, &set, &more);
		}
		if (!r && more)
			r = read_set(p, &set);
		bits_exit(&set);
		if (r)
			break;
	}
	free(at);
	return r;
}

/* ---- Layers ---- */

static void count_use(struct plan *p, unsigned height, uint64_t block, bool parent_multi)
{
	if (bits_test_and_set(&p->level[height], block) || parent_multi)
		bits_set(&p->multi, block);
}

/* Does @c fit below its parent at @height, in [its key, @end)? NULL, or why not. */
static const char *misfit(struct plan *p, const struct child *c, const uint64_t *end,
			  unsigned height)
{
	const struct slot *s;

	if (!c->block || c->block >= p->nr_blocks)
		return "outside the metadata";
	s = slot_of(p, c->block);
	if (height ? !is_inner(s) : !may_be_leaf(s))
		return why_not_node(s);
	if (s->flags & SLOT_UPPER)
		return "a node of the list of devices";
	if (s->state != SLOT_UNREAD && s->nr && (s->first < c->key || (end && s->last >= *end)))
		return "keys are outside of what its parent says";
	for (unsigned h = 0; h <= p->max_height; h++)
		if (h != height && bits_test(&p->level[h], c->block))
			return "used at two heights";
	return NULL;
}

/* Where the keys below @block end, as its parents say; kept only when damage is stepped over, since
 * otherwise the dump itself finds leaves that overlap. */
static void set_limit(struct plan *p, uint64_t block, const uint64_t *end)
{
	if (p->limit && end && (!p->limit[block] || *end < p->limit[block]))
		p->limit[block] = *end;
}

/* Marks the children of @block as the layer below, and leaves out what cannot stay. */
static int take_children(struct plan *p, uint64_t block, unsigned height)
{
	struct child buf[INTERNAL_MAX_ENTRIES], kept[INTERNAL_MAX_ENTRIES];
	const struct child *c = slots_children(p->slots, block, buf);
	unsigned nr = slot_of(p, block)->nr, nr_kept = 0;
	bool multi = bits_test(&p->multi, block);
	const uint64_t *limit = p->limit && p->limit[block] ? &p->limit[block] : NULL;

	if (!c)
		return damaged(p, block, "cannot be read again");
	for (unsigned i = 0; i < nr; i++) {
		const uint64_t *end = i + 1 < nr ? &c[i + 1].key : limit;
		const char *why = misfit(p, &c[i], end, height - 1);

		if (why && !p->v->step_over)
			return damaged(p, c[i].block, why);
		if (why)
			continue;
		kept[nr_kept++] = c[i];
		if (height > 1)
			set_limit(p, c[i].block, end);
		count_use(p, height - 1, c[i].block, multi);
		if (height == 1 && c[i].key > p->bound[c[i].block])
			p->bound[c[i].block] = c[i].key;
	}
	return nr_kept < nr ? slots_set_children(p->slots, block, kept, nr_kept) : 0;
}

#define for_each_bit(b, i) \
	for (i = bits_next(b, 0); i < (b)->nr; i = bits_next(b, i + 1))

/* The children of a whole layer, to be read before they are judged. */
static int read_below(struct plan *p, unsigned height)
{
	struct child buf[INTERNAL_MAX_ENTRIES];
	struct bits set;
	uint64_t b;
	int r = bits_init(&set, p->nr_blocks);

	if (r)
		return r;
	for_each_bit(&p->level[height], b) {
		const struct child *c = slots_children(p->slots, b, buf);

		if (!c) {
			r = damaged(p, b, "cannot be read again");
			break;
		}
		for (unsigned i = 0; i < slot_of(p, b)->nr; i++)
			if (c[i].block < p->nr_blocks)
				bits_set(&set, c[i].block);
	}
	if (!r)
		r = read_set(p, &set);
	bits_exit(&set);
	return r;
}

static int read_layers(struct plan *p)
{
	for (unsigned h = p->max_height; h; h--) {
		uint64_t b;
		int r = h > 1 ? read_below(p, h) : 0;

		if (r)
			return r;
		for_each_bit(&p->level[h], b) {
			r = take_children(p, b, h);
			if (r)
				return r;
		}
	}
	return 0;
}

/* Inner nodes below which nothing is left (step_over) go too, from the lowest up. */
static int prune(struct plan *p)
{
	struct child buf[INTERNAL_MAX_ENTRIES], kept[INTERNAL_MAX_ENTRIES];

	for (unsigned h = 2; h <= p->max_height; h++) {
		uint64_t b;

		for_each_bit(&p->level[h], b) {
			const struct child *c = slots_children(p->slots, b, buf);
			unsigned nr = slot_of(p, b)->nr, nr_kept = 0;
			int r = 0;

			for (unsigned i = 0; c && i < nr; i++)
				if (slot_of(p, c[i].block)->nr)
					kept[nr_kept++] = c[i];
			if (nr_kept < nr)
				r = slots_set_children(p->slots, b, kept, nr_kept);
			if (r)
				return r;
		}
	}
	return 0;
}

/* Roots stand in the layer of their height; a root that is no node makes its device lost. */
static int place_roots(struct plan *p)
{
	unsigned nr = p->v->nr_devices;
	unsigned *height = calloc(nr + 1, sizeof(*height));
	int r;

	if (!height)
		return -ENOMEM;
	for (unsigned i = 0; i < nr; i++) {
		struct thin_view_device *d = &p->v->devices[i];

		if (d->lost || (d->root && d->root < p->nr_blocks))
			continue;
		r = p->v->step_over ? 0 : damaged(p, d->root, "outside the metadata");
		if (r)
			goto out;
		d->lost = true;
	}
	r = find_heights(p, height);
	for (unsigned i = 0; i < nr && !r; i++)
		p->max_height = max_t(unsigned, p->max_height, height[i]);
	for (unsigned i = 0; i < nr && !r; i++) {
		struct thin_view_device *d = &p->v->devices[i];
		struct child c = { 0, d->root };
		const char *why = d->lost ? NULL : misfit(p, &c, NULL, height[i]);

		if (d->lost)
			continue;
		if (why && !p->v->step_over)
			r = damaged(p, d->root, why);
		else if (why)
			d->lost = true;
		else
			count_use(p, height[i], d->root, false);
	}
out:
	free(height);
	return r;
}

/* ---- Sharing ---- */

/* The outermost leaf of a subtree: the first one, or the last. 0 if there is none. */
static uint32_t edge_leaf(struct plan *p, uint64_t block, bool last)
{
	struct child buf[INTERNAL_MAX_ENTRIES];

	while (!bits_test(&p->level[0], block)) {
		const struct child *c = slots_children(p->slots, block, buf);
		unsigned nr = slot_of(p, block)->nr;

		if (!c || !nr)
			return 0;
		block = c[last ? nr - 1 : 0].block;
	}
	return (uint32_t)block;
}

static void meet(uint32_t *neighbour, uint32_t with)
{
	if (*neighbour == NEIGHBOUR_UNKNOWN)
		*neighbour = with;
	else if (*neighbour != with)
		*neighbour = NEIGHBOUR_VARIES;
}

/* @a comes right before @b in some device. */
static void link_leaves(struct plan *p, uint32_t a, uint32_t b)
{
	if (a)
		meet(&p->next[a], b ? b : NEIGHBOUR_NONE);
	if (b)
		meet(&p->prev[b], a ? a : NEIGHBOUR_NONE);
}

/* Are these neighbours inside of a run? */
static bool in_run(const struct plan *p, uint32_t a, uint32_t b)
{
	return a && bits_test(&p->multi, a) && p->next[a] == b && p->prev[b] == a;
}

static int for_each_inner(struct plan *p, int (*fn)(struct plan *p, uint64_t block,
						    const struct child *c, unsigned nr))
{
	struct child buf[INTERNAL_MAX_ENTRIES];

	for (unsigned h = 1; h <= p->max_height; h++) {
		uint64_t b;

		for_each_bit(&p->level[h], b) {
			const struct child *c = slots_children(p->slots, b, buf);
			int r = c ? fn(p, b, c, slot_of(p, b)->nr) :
				    damaged(p, b, "cannot be read again");

			if (r)
				return r;
		}
	}
	return 0;
}

static int link_children(struct plan *p, uint64_t block, const struct child *c, unsigned nr)
{
	(void)block;
	for (unsigned i = 1; i < nr; i++)
		link_leaves(p, edge_leaf(p, c[i - 1].block, true), edge_leaf(p, c[i].block, false));
	return 0;
}

/* Devices step over whole subtrees that lie inside a run; children come before their parents here. */
static int mark_whole(struct plan *p, uint64_t block, const struct child *c, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		bool leaf = bits_test(&p->level[0], c[i].block);

		if (leaf ? !bits_test(&p->multi, c[i].block) : !bits_test(&p->whole, c[i].block))
			return 0;
		if (i && !in_run(p, edge_leaf(p, c[i - 1].block, true),
				 edge_leaf(p, c[i].block, false)))
			return 0;
	}
	if (nr)
		bits_set(&p->whole, block);
	return 0;
}

static int find_runs(struct plan *p)
{
	int r = for_each_inner(p, link_children);

	for (unsigned i = 0; i < p->v->nr_devices && !r; i++) {
		const struct thin_view_device *d = &p->v->devices[i];

		if (d->lost)
			continue;
		link_leaves(p, 0, edge_leaf(p, d->root, false));
		link_leaves(p, edge_leaf(p, d->root, true), 0);
	}
	return r ? r : for_each_inner(p, mark_whole);
}

/* ---- The plan ---- */

int plan_init(struct plan *p, struct thin_view *v)
{
	int r;

	*p = (struct plan){ .v = v, .slots = v->slots, .nr_blocks = v->slots->nr_blocks,
			    .sharing = v->nr_devices > 1 && !v->expand };
	for (unsigned h = 0; h < MAX_TREE_DEPTH; h++) {
		r = bits_init(&p->level[h], p->nr_blocks);
		if (r)
			goto bad;
	}
	r = bits_init(&p->multi, p->nr_blocks);
	if (!r)
		r = bits_init(&p->whole, p->nr_blocks);
	if (r)
		goto bad;
	/* calloc of this size leaves the pages to be committed as they are touched */
	p->bound = calloc(p->nr_blocks, sizeof(*p->bound));
	if (p->sharing) {
		p->next = calloc(p->nr_blocks, sizeof(*p->next));
		p->prev = calloc(p->nr_blocks, sizeof(*p->prev));
		p->def_last = calloc(p->nr_blocks, sizeof(*p->def_last));
	}
	if (v->step_over)
		p->limit = calloc(p->nr_blocks, sizeof(*p->limit));
	r = -ENOMEM;
	if (!p->bound || (v->step_over && !p->limit) || (p->sharing && (!p->next || !p->prev || !p->def_last)))
		goto bad;
	r = place_roots(p);
	if (!r)
		r = read_layers(p);
	if (!r && v->step_over)
		r = prune(p);
	if (!r && p->sharing)
		r = find_runs(p);
	if (!r)
		return 0;
bad:
	plan_exit(p);
	return r;
}

void plan_exit(struct plan *p)
{
	for (unsigned h = 0; h < MAX_TREE_DEPTH; h++)
		bits_exit(&p->level[h]);
	bits_exit(&p->multi);
	bits_exit(&p->whole);
	free(p->bound);
	free(p->limit);
	free(p->next);
	free(p->prev);
	free(p->def_last);
}

/* ---- The walk ---- */

int plan_walk_init(struct plan_walk *w, struct plan *p, bool defs)
{
	*w = (struct plan_walk){ .p = p, .defs = defs };
	w->buf = malloc(MAX_TREE_DEPTH * sizeof(*w->buf));
	return w->buf ? 0 : -ENOMEM;
}

void plan_walk_exit(struct plan_walk *w)
{
	free(w->buf);
	w->buf = NULL;
}

static void set_op(struct plan_op *op, enum plan_op_kind kind, uint32_t arg)
{
	op->kind = kind;
	op->arg = arg;
}

/* Is @leaf the first one of a run? */
static bool is_head(const struct plan *p, uint32_t leaf)
{
	uint32_t before = p->prev[leaf];

	return bits_test(&p->multi, leaf) &&
	       (before >= NEIGHBOUR_NONE || !in_run(p, before, leaf));
}

static void next_in_defs(struct plan_walk *w, struct plan_op *op)
{
	struct plan *p = w->p;

	if (!p->sharing) {
		set_op(op, OP_END, 0);
	} else if (!w->inside) {
		uint64_t b = bits_next(&p->level[0], (uint64_t)w->head + 1);

		while (b < p->nr_blocks && !is_head(p, (uint32_t)b))
			b = bits_next(&p->level[0], b + 1);
		w->head = w->at = (uint32_t)(b < p->nr_blocks ? b : p->nr_blocks - 1);
		w->inside = b < p->nr_blocks;
		set_op(op, w->inside ? OP_DEF : OP_END, w->head);
	} else if (w->at) {
		uint32_t after = p->next[w->at];

		set_op(op, OP_LEAF, w->at);
		w->at = after < NEIGHBOUR_NONE && in_run(p, w->at, after) ? after : 0;
	} else {
		w->inside = false;
		set_op(op, OP_DEF_END, w->head);
	}
}

static int push(struct plan_walk *w, uint64_t block)
{
	struct plan *p = w->p;
	const struct child *c;

	if (w->depth == MAX_TREE_DEPTH)
		return damaged(p, block, "tree is too deep");
	c = slots_children(p->slots, block, w->buf[w->depth]);
	if (!c)
		return damaged(p, block, "cannot be read again");
	w->stack[w->depth].c = c;
	w->stack[w->depth].i = 0;
	w->stack[w->depth++].nr = slot_of(p, block)->nr;
	return 0;
}

/*
 * Takes the node or leaf at @block: true if it makes an op. Leaves of a run are one ref, made at
 * its first leaf.
 */
static int visit(struct plan_walk *w, uint64_t block, struct plan_op *op, bool *made)
{
	struct plan *p = w->p;
	bool leaf = bits_test(&p->level[0], block);
	uint32_t first, before = w->before;

	*made = false;
	if (!leaf && !bits_test(&p->whole, block))
		return push(w, block);
	first = leaf ? (uint32_t)block : edge_leaf(p, block, false);
	w->before = leaf ? (uint32_t)block : edge_leaf(p, block, true);
	if (!first || !w->before)
		return damaged(p, block, "cannot be read again");
	if (!p->sharing || !bits_test(&p->multi, first)) {
		set_op(op, OP_LEAF, first);
		*made = true;
	} else if (!in_run(p, before, first)) {
		set_op(op, OP_REF, first);
		*made = true;
	}
	return 0;
}

static int next_in_devices(struct plan_walk *w, struct plan_op *op)
{
	const struct thin_view *v = w->p->v;
	bool made = false;
	int r;

	if (!w->inside) {
		if (w->at == v->nr_devices) {
			set_op(op, OP_END, 0);
			return 0;
		}
		w->inside = true;
		w->before = 0;
		w->depth = 0;
		set_op(op, OP_DEVICE, w->at);
		if (!v->devices[w->at].lost) {
			/* the root alone, as if it were somebody's child */
			w->buf[0][0] = (struct child){ 0, v->devices[w->at].root };
			w->stack[0].c = w->buf[0];
			w->stack[0].i = 0;
			w->stack[0].nr = 1;
			w->depth = 1;
		}
		return 0;
	}
	while (w->depth) {
		unsigned top = w->depth - 1;

		if (w->stack[top].i == w->stack[top].nr) {
			w->depth--;
			continue;
		}
		r = visit(w, w->stack[top].c[w->stack[top].i++].block, op, &made);
		if (r || made)
			return r;
	}
	w->inside = false;
	set_op(op, OP_DEVICE_END, w->at++);
	return 0;
}

int plan_walk_next(struct plan_walk *w, struct plan_op *op)
{
	if (!w->defs)
		return next_in_devices(w, op);
	next_in_defs(w, op);
	return 0;
}
