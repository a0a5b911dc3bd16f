/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Trees, arrays and bitsets from entries in order: leaves first, each node as full as can be. */
#include <errno.h>
#include <stdlib.h>
#include "persistent-data/build.h"

/* ---- One level ---- */

static struct node_header *fresh_node(const struct level_build *l, struct node_header *n)
{
	memset(n, 0, PD_BLOCK_SIZE);
	n->flags = le32_put(l->flags);
	n->max_entries = le32_put(l->max);
	n->value_size = le32_put(l->value_size);
	return n;
}

static void reset(struct level_build *l)
{
	for (unsigned i = 0; i < 2; i++)
		fresh_node(l, l->node[i]);
	l->nr[0] = l->nr[1] = 0;
	l->emitted = false;
}

int level_build_init(struct level_build *l, struct out *out, uint32_t flags, uint32_t value_size)
{
	*l = (struct level_build){ .out = out, .flags = flags, .value_size = value_size,
				   .max = node_max_entries(value_size) };
	for (unsigned i = 0; i < 2; i++) {
		l->node[i] = malloc(PD_BLOCK_SIZE);
		if (!l->node[i]) {
			level_build_exit(l);
			return -ENOMEM;
		}
	}
	reset(l);
	return 0;
}

void level_build_exit(struct level_build *l)
{
	free(l->node[0]);
	free(l->node[1]);
	l->node[0] = l->node[1] = NULL;
}

static int emit(struct level_build *l, unsigned i)
{
	struct node_header *n = l->node[i];
	uint32_t nr = l->nr[i];
	uint64_t block;
	void *data;
	int r = out_block(l->out, KIND_NODE, &data, &block);

	if (r)
		return r;
	n->nr_entries = le32_put(nr);
	memcpy(data, n, PD_BLOCK_SIZE);
	if (l->flags == NODE_INTERNAL)
		for (uint32_t e = 0; e < nr; e++)
			out_ref(l->out, node_value64(n, e));
	r = l->emit(l, n, block);
	fresh_node(l, n);
	l->nr[i] = 0;
	l->emitted = true;
	return r;
}

/* The first of two full nodes is done with; what is left becomes the first. */
static int advance(struct level_build *l)
{
	int r = emit(l, 0);
	struct node_header *n = l->node[0];

	l->node[0] = l->node[1];
	l->node[1] = n;
	l->nr[0] = l->nr[1];
	l->nr[1] = 0;
	return r;
}

/* The node the next entry goes into. */
static int with_room(struct level_build *l, unsigned *i)
{
	int r = 0;

	if (l->nr[0] == l->max && l->nr[1] == l->max)
		r = advance(l);
	*i = l->nr[0] == l->max;
	return r;
}

int level_build_push(struct level_build *l, uint64_t key, const void *value)
{
	unsigned i;
	int r = with_room(l, &i);

	if (r)
		return r;
	node_keys(l->node[i])[l->nr[i]] = le64_put(key);
	memcpy(node_value_ptr(l->node[i], l->nr[i]), value, l->value_size);
	l->nr[i]++;
	return 0;
}

int level_build_count(struct level_build *l, uint64_t nr)
{
	uint64_t all = min_t(uint64_t, nr, 1ull << 62) + l->nr[0] + l->nr[1];
	uint64_t full = all > 2 * l->max ? ceil_div(all - 2 * l->max, l->max) : 0;
	int r = 0;

	if (full) {
		out_skip(l->out, full);
		l->emitted = true;
		r = l->emit_counted(l, full);
		all -= full * l->max;
	}
	l->nr[0] = min_t(uint32_t, all, l->max);
	l->nr[1] = (uint32_t)all - l->nr[0];
	return r;
}

int level_build_push_run(struct level_build *l, uint64_t key, uint64_t value, uint64_t step,
			 uint64_t nr)
{
	assert(l->value_size == sizeof(le64));
	while (nr) {
		le64 *keys, *values;
		uint32_t n;
		unsigned i;
		int r;

		if (out_counts_only(l->out))
			return level_build_count(l, nr);
		r = with_room(l, &i);
		if (r)
			return r;
		n = min_t(uint64_t, nr, l->max - l->nr[i]);
		keys = node_keys(l->node[i]) + l->nr[i];
		values = node_value_ptr(l->node[i], l->nr[i]);
		for (uint32_t e = 0; e < n; e++) {
			keys[e] = le64_put(key + e);
			values[e] = le64_put(value + e * step);
		}
		key += n;
		value += n * step;
		nr -= n;
		l->nr[i] += n;
	}
	return 0;
}

/* Moves the last entries of the first node before those of the second. */
static void even_out(struct level_build *l)
{
	uint32_t left = (l->nr[0] + l->nr[1]) / 2, moved = l->nr[0] - left, vs = l->value_size;
	struct node_header *a = l->node[0], *b = l->node[1];

	memmove(node_keys(b) + moved, node_keys(b), l->nr[1] * sizeof(le64));
	memmove(node_value_ptr(b, moved), node_value_ptr(b, 0), (size_t)l->nr[1] * vs);
	memcpy(node_keys(b), node_keys(a) + left, moved * sizeof(le64));
	memcpy(node_value_ptr(b, 0), node_value_ptr(a, left), (size_t)moved * vs);
	memset(node_keys(a) + left, 0, moved * sizeof(le64));
	memset(node_value_ptr(a, left), 0, (size_t)moved * vs);
	l->nr[0] = left;
	l->nr[1] += moved;
}

int level_build_flush(struct level_build *l)
{
	int r = 0;

	if (l->nr[1])
		even_out(l);
	for (unsigned i = 0; i < 2 && !r; i++)
		if (l->nr[i])
			r = emit(l, i);
	l->emitted = false;
	return r;
}

/* ---- Inner nodes ---- */

void index_build_init(struct index_build *x, struct out *out)
{
	*x = (struct index_build){ .out = out };
}

void index_build_exit(struct index_build *x)
{
	for (unsigned i = 0; i < x->nr_levels; i++)
		level_build_exit(&x->level[i]);
	x->nr_levels = 0;
}

static int index_emit(struct level_build *l, const struct node_header *n, uint64_t block);
static int index_emit_counted(struct level_build *l, uint64_t nr);

/* Level @i, made if it is the first time it is needed. */
static int get_level(struct index_build *x, unsigned i, struct level_build **l)
{
	int r;

	*l = &x->level[i];
	if (i < x->nr_levels)
		return 0;
	if (i == MAX_TREE_DEPTH)
		return -EFBIG;
	r = level_build_init(*l, x->out, NODE_INTERNAL, sizeof(le64));
	if (r)
		return r;
	(*l)->emit = index_emit;
	(*l)->emit_counted = index_emit_counted;
	(*l)->ctx = x;
	x->nr_levels++;
	return 0;
}

static int push_child(struct index_build *x, unsigned i, uint64_t key, uint64_t block)
{
	le64 v = le64_put(block);
	struct level_build *l;
	int r = get_level(x, i, &l);

	return r ? r : level_build_push(l, key, &v);
}

static int index_emit(struct level_build *l, const struct node_header *n, uint64_t block)
{
	struct index_build *x = l->ctx;

	return push_child(x, (unsigned)(l - x->level) + 1, node_key(n, 0), block);
}

static int count_children(struct index_build *x, unsigned i, uint64_t nr)
{
	struct level_build *l;
	int r = get_level(x, i, &l);

	return r ? r : level_build_count(l, nr);
}

static int index_emit_counted(struct level_build *l, uint64_t nr)
{
	struct index_build *x = l->ctx;

	return count_children(x, (unsigned)(l - x->level) + 1, nr);
}

int index_build_push(struct index_build *x, uint64_t key, uint64_t block)
{
	return push_child(x, 0, key, block);
}

int index_build_count(struct index_build *x, uint64_t nr)
{
	return count_children(x, 0, nr);
}

int index_build_finish(struct index_build *x, uint64_t *root)
{
	int r = -ENODATA;

	for (unsigned i = 0; i < x->nr_levels; i++) {
		struct level_build *l = &x->level[i];

		if (!l->emitted && level_build_pending(l) == 1) {
			*root = node_value64(l->node[0], 0);
			r = 0;
			break;
		}
		if (!level_build_pending(l))
			break;
		r = level_build_flush(l);
		if (r)
			break;
		r = -ENODATA;
	}
	for (unsigned i = 0; i < x->nr_levels; i++)
		reset(&x->level[i]);
	return r;
}

/* ---- Trees ---- */

static int leaf_emit(struct level_build *l, const struct node_header *n, uint64_t block)
{
	struct tree_build *t = l->ctx;

	return index_build_push(&t->index, node_key(n, 0), block);
}

static int leaf_emit_counted(struct level_build *l, uint64_t nr)
{
	struct tree_build *t = l->ctx;

	return index_build_count(&t->index, nr);
}

int tree_build_init(struct tree_build *t, struct out *out, uint32_t value_size)
{
	int r = level_build_init(&t->leaf, out, NODE_LEAF, value_size);

	t->leaf.emit = leaf_emit;
	t->leaf.emit_counted = leaf_emit_counted;
	t->leaf.ctx = t;
	index_build_init(&t->index, out);
	return r;
}

void tree_build_exit(struct tree_build *t)
{
	level_build_exit(&t->leaf);
	index_build_exit(&t->index);
}

int tree_build_push(struct tree_build *t, uint64_t key, const void *value)
{
	return level_build_push(&t->leaf, key, value);
}

int tree_build_count(struct tree_build *t, uint64_t nr)
{
	return level_build_count(&t->leaf, nr);
}

int tree_build_empty(struct out *out, uint32_t value_size, uint64_t *root)
{
	struct level_build l;
	struct node_header *n;
	void *data;
	int r = out_block(out, KIND_NODE, &data, root);

	if (r)
		return r;
	l = (struct level_build){ .flags = NODE_LEAF, .value_size = value_size,
				  .max = node_max_entries(value_size) };
	n = fresh_node(&l, data);
	n->nr_entries = le32_put(0);
	return 0;
}

int tree_build_finish(struct tree_build *t, uint64_t *root)
{
	int r = level_build_flush(&t->leaf);

	if (r)
		return r;
	r = index_build_finish(&t->index, root);
	return r == -ENODATA ? tree_build_empty(t->leaf.out, t->leaf.value_size, root) : r;
}

/* ---- Arrays and bitsets ---- */

static void fresh_array_block(struct array_build *a)
{
	memset(a->block, 0, PD_BLOCK_SIZE);
	a->block->max_entries = le32_put(a->max);
	a->block->value_size = le32_put(a->value_size);
	a->nr = 0;
}

int array_build_init(struct array_build *a, struct out *out, uint32_t value_size)
{
	int r = tree_build_init(&a->index, out, sizeof(le64));

	a->value_size = value_size;
	a->max = array_max_entries(value_size);
	a->nr_blocks = 0;
	a->block = malloc(PD_BLOCK_SIZE);
	if (!r && !a->block)
		r = -ENOMEM;
	if (r)
		array_build_exit(a);
	else
		fresh_array_block(a);
	return r;
}

void array_build_exit(struct array_build *a)
{
	tree_build_exit(&a->index);
	free(a->block);
	a->block = NULL;
}

static int emit_array_block(struct array_build *a)
{
	struct out *out = a->index.leaf.out;
	uint64_t block;
	void *data;
	le64 v;
	int r = out_block(out, KIND_ARRAY, &data, &block);

	if (r)
		return r;
	a->block->nr_entries = le32_put(a->nr);
	memcpy(data, a->block, PD_BLOCK_SIZE);
	out_ref(out, block);
	fresh_array_block(a);
	v = le64_put(block);
	return tree_build_push(&a->index, a->nr_blocks++, &v);
}

int array_build_push(struct array_build *a, const void *value)
{
	return array_build_push_many(a, value, 1);
}

int array_build_push_many(struct array_build *a, const void *values, uint32_t nr)
{
	uint32_t vs = a->value_size, n;

	for (uint32_t done = 0; done < nr; done += n) {
		int r = a->nr == a->max ? emit_array_block(a) : 0;

		if (r)
			return r;
		n = min_t(uint32_t, nr - done, a->max - a->nr);
		memcpy((uint8_t *)(a->block + 1) + (size_t)a->nr * vs, (const uint8_t *)values + (size_t)done * vs,
		       (size_t)n * vs);
		a->nr += n;
	}
	return 0;
}

int array_build_pad(struct array_build *a, uint64_t nr)
{
	int r = 0;

	while (!r && nr) {
		uint32_t n;

		if (a->nr == a->max)
			r = emit_array_block(a);
		if (out_counts_only(a->index.leaf.out) && nr >= a->max && !r) {
			out_skip(a->index.leaf.out, nr / a->max);
			a->nr_blocks += nr / a->max;
			r = tree_build_count(&a->index, nr / a->max);
			nr %= a->max;
			continue;
		}
		n = (uint32_t)min_t(uint64_t, nr, a->max - a->nr);
		a->nr += n;
		nr -= n;
	}
	return r;
}

int array_build_seek(struct array_build *a, uint64_t index)
{
	uint64_t now = a->nr_blocks * a->max + a->nr;
	int r = index > now ? array_build_pad(a, index - now) : 0;

	return !r && a->nr == a->max ? emit_array_block(a) : r;
}

int array_build_finish(struct array_build *a, uint64_t *root)
{
	int r = a->nr ? emit_array_block(a) : 0;

	a->nr_blocks = 0;
	return r ? r : tree_build_finish(&a->index, root);
}

int bitset_build(struct out *out, const uint64_t *words, uint64_t nr_bits, uint64_t *root)
{
	uint64_t nr = ceil_div(nr_bits, BITSET_WORD_BITS);
	struct array_build a;
	int r = array_build_init(&a, out, sizeof(le64));

	if (r)
		return r;
	for (uint64_t i = 0; i < nr && !r; i++) {
		uint64_t w = words[i];
		le64 v;

		if (i == nr - 1 && nr_bits % BITSET_WORD_BITS)
			w &= (1ull << nr_bits % BITSET_WORD_BITS) - 1;
		v = le64_put(w);
		r = array_build_push(&a, &v);
	}
	if (!r)
		r = array_build_finish(&a, root);
	array_build_exit(&a);
	return r;
}
