/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading trees, and what changing them has in common. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "persistent-data/btree.h"

int node_lower_bound(const struct node_header *n, uint64_t key)
{
	int lo = -1, hi = (int)node_nr(n);

	while (hi - lo > 1) {
		int mid = lo + (hi - lo) / 2;

		if (node_key(n, (uint32_t)mid) <= key)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

void node_set_value64(struct node_header *n, uint32_t i, uint64_t v)
{
	le64 d = le64_put(v);

	memcpy(node_value_ptr(n, i), &d, sizeof(d));
}

void node_insert_at(struct node_header *n, uint32_t i, uint64_t key, const void *value)
{
	uint32_t nr = node_nr(n), vs = le32_get(n->value_size);
	uint8_t *v = node_value_ptr(n, i);

	assert(i <= nr && nr < le32_get(n->max_entries));
	memmove(node_keys(n) + i + 1, node_keys(n) + i, (nr - i) * sizeof(le64));
	memmove(v + vs, v, (size_t)(nr - i) * vs);
	node_keys(n)[i] = le64_put(key);
	memcpy(v, value, vs);
	n->nr_entries = le32_put(nr + 1);
}

void node_delete_at(struct node_header *n, uint32_t i)
{
	uint32_t nr = node_nr(n), vs = le32_get(n->value_size);
	uint8_t *v = node_value_ptr(n, i);

	memmove(node_keys(n) + i, node_keys(n) + i + 1, (nr - i - 1) * sizeof(le64));
	memmove(v, v + vs, (size_t)(nr - i - 1) * vs);
	n->nr_entries = le32_put(nr - 1);
}

void btree_spread(struct pd_block **nodes, unsigned from, unsigned to)
{
	/* three nodes of the smallest entries (9 bytes) hold most */
	static __thread uint8_t keys[3 * PD_BLOCK_SIZE], values[3 * PD_BLOCK_SIZE];
	uint32_t vs = le32_get(btree_node(nodes[0])->value_size), total = 0, done = 0;

	for (unsigned i = 0; i < from; i++) {
		struct node_header *n = btree_node(nodes[i]);
		uint32_t nr = node_nr(n);

		memcpy(keys + (size_t)total * 8, node_keys(n), (size_t)nr * 8);
		memcpy(values + (size_t)total * vs, node_value_ptr(n, 0), (size_t)nr * vs);
		total += nr;
	}
	for (unsigned i = 0; i < to; i++) {
		struct node_header *n = btree_node(nodes[i]);
		uint32_t nr = (total - done) / (to - i);

		memcpy(node_keys(n), keys + (size_t)done * 8, (size_t)nr * 8);
		memcpy(node_value_ptr(n, 0), values + (size_t)done * vs, (size_t)nr * vs);
		n->nr_entries = le32_put(nr);
		done += nr;
	}
	for (unsigned i = to; i < from; i++)
		btree_node(nodes[i])->nr_entries = le32_put(0);
}

static int check(const struct btree *t, unsigned level, const struct pd_block *b)
{
	const struct node_header *n = btree_node(b);
	uint32_t want = node_is_leaf(n) ? btree_leaf_size(t, level) : 8;

	if (le32_get(n->value_size) == want && le32_get(n->max_entries) >= 3)
		return 0;
	pd_log(bm_log(tm_bm(t->tm)), PD_LOG_ERR, "metadata block %" PRIu64 ": values of %" PRIu32
	       " bytes where the tree has %" PRIu32, b->nr, le32_get(n->value_size), want);
	return -EUCLEAN;
}

int btree_read(const struct btree *t, unsigned level, uint64_t nr, struct pd_block **b)
{
	int r = bm_read_lock(tm_bm(t->tm), nr, KIND_NODE, b);

	if (!r) {
		r = check(t, level, *b);
		if (r)
			bm_unlock(*b);
	}
	return r;
}

/* What @b points to is pointed to from one place more. */
static int inc_children(const struct btree *t, unsigned level, const struct pd_block *b)
{
	const struct node_header *n = btree_node(b);
	int r = 0;

	if (node_is_leaf(n) && level + 1 == t->levels)
		return t->value.inc && node_nr(n) ?
			t->value.inc(t->value.ctx, node_value_ptr(n, 0), node_nr(n)) : 0;
	for (uint32_t i = 0; i < node_nr(n) && !r; i++)
		r = tm_inc(t->tm, node_value64(n, i));
	return r;
}

int btree_shadow(const struct btree *t, unsigned level, uint64_t nr, struct pd_block **b)
{
	bool shared;
	int r = tm_shadow(t->tm, nr, KIND_NODE, b, &shared);

	if (r)
		return r;
	r = check(t, level, *b);
	if (!r && shared)
		r = inc_children(t, level, *b);
	if (r)
		bm_unlock(*b);
	return r;
}

int btree_shadow_child(const struct btree *t, unsigned level, struct pd_block *parent, uint32_t i,
		       struct pd_block **b)
{
	struct node_header *n = btree_node(parent);
	int r = btree_shadow(t, level, node_value64(n, i), b);

	if (!r)
		node_set_value64(n, i, (*b)->nr);
	return r;
}

int btree_empty(const struct btree *t, uint64_t *root)
{
	uint32_t vs = btree_leaf_size(t, 0);
	struct pd_block *b;
	struct node_header *n;
	int r = tm_new_block(t->tm, KIND_NODE, &b);

	if (r)
		return r;
	n = btree_node(b);
	n->flags = le32_put(NODE_LEAF);
	n->max_entries = le32_put(node_max_entries(vs));
	n->value_size = le32_put(vs);
	*root = b->nr;
	bm_unlock(b);
	return 0;
}

static int inc_trees(void *ctx, const void *values, uint32_t nr)
{
	const struct btree *below = ctx;
	int r = 0;

	for (uint32_t i = 0; i < nr && !r; i++) {
		le64 root;

		memcpy(&root, (const uint8_t *)values + sizeof(root) * i, sizeof(root));
		r = tm_inc(below->tm, le64_get(root));
	}
	return r;
}

static int dec_trees(void *ctx, const void *values, uint32_t nr)
{
	const struct btree *below = ctx;
	int r = 0;

	for (uint32_t i = 0; i < nr && !r; i++) {
		le64 root;

		memcpy(&root, (const uint8_t *)values + sizeof(root) * i, sizeof(root));
		r = btree_del(below, le64_get(root));
	}
	return r;
}

void btree_upper(const struct btree *t, unsigned levels, struct btree *upper, struct btree *below)
{
	assert(levels && levels < t->levels);
	*below = (struct btree){ .tm = t->tm, .levels = t->levels - levels, .value = t->value };
	*upper = (struct btree){ .tm = t->tm, .levels = levels, .value = {
		.size = sizeof(le64), .ctx = below, .inc = inc_trees, .dec = dec_trees } };
}

static int del(const struct btree *t, unsigned level, unsigned depth, uint64_t root)
{
	const struct node_header *n;
	struct pd_block *b;
	int r;

	if (depth > MAX_TREE_DEPTH)
		return -EUCLEAN;
	if (tm_count(t->tm, root) > 1)
		return tm_dec(t->tm, root);
	r = btree_read(t, level, root, &b);
	if (r)
		return r;
	n = btree_node(b);
	if (!node_is_leaf(n)) {
		for (uint32_t i = 0; i < node_nr(n); i++)
			bm_prefetch(tm_bm(t->tm), node_value64(n, i));
		for (uint32_t i = 0; i < node_nr(n) && !r; i++)
			r = del(t, level, depth + 1, node_value64(n, i));
	} else if (level + 1 < t->levels) {
		for (uint32_t i = 0; i < node_nr(n) && !r; i++)
			r = del(t, level + 1, 1, node_value64(n, i));
	} else if (t->value.dec && node_nr(n)) {
		r = t->value.dec(t->value.ctx, node_value_ptr(n, 0), node_nr(n));
	}
	bm_unlock(b);
	return r ? r : tm_dec(t->tm, root);
}

int btree_del(const struct btree *t, uint64_t root)
{
	return del(t, 0, 1, root);
}

/* ---- Looking up ---- */

int btree_get(const struct btree *t, unsigned level, uint64_t root, uint64_t key, void *value)
{
	for (unsigned depth = 0; depth < MAX_TREE_DEPTH; depth++) {
		const struct node_header *n;
		struct pd_block *b;
		int i, r = btree_read(t, level, root, &b);
		bool leaf;

		if (r)
			return r;
		n = btree_node(b);
		i = node_lower_bound(n, key);
		leaf = node_is_leaf(n);
		if (i < 0 || (leaf && node_key(n, (uint32_t)i) != key))
			r = -ENODATA;
		else if (!leaf)
			root = node_value64(n, (uint32_t)i);
		else if (value)
			memcpy(value, node_value_ptr(n, (uint32_t)i), le32_get(n->value_size));
		bm_unlock(b);
		if (r || leaf)
			return r;
	}
	return -EUCLEAN;
}

/* Root of the tree of the lowest level that @keys name. */
static int descend(const struct btree *t, const uint64_t *keys, uint64_t *root)
{
	int r = 0;

	for (unsigned level = 0; level + 1 < t->levels && !r; level++) {
		le64 v;

		r = btree_get(t, level, *root, keys[level], &v);
		if (!r)
			*root = le64_get(v);
	}
	return r;
}

int btree_lookup(const struct btree *t, uint64_t root, const uint64_t *keys, void *value)
{
	int r = descend(t, keys, &root);

	return r ? r : btree_get(t, t->levels - 1, root, keys[t->levels - 1], value);
}

/* The nearest entry at or below @key (@low) or at or above it. Keys in inner nodes are lower bounds, so
 * a child may turn out to have nothing on that side; then its neighbour has. */
static int nearest(const struct btree *t, unsigned level, unsigned depth, uint64_t root, uint64_t key,
		   bool low, uint64_t *found, void *value)
{
	const struct node_header *n;
	struct pd_block *b;
	int i, r;

	if (depth > MAX_TREE_DEPTH)
		return -EUCLEAN;
	r = btree_read(t, level, root, &b);
	if (r)
		return r;
	n = btree_node(b);
	i = node_lower_bound(n, key);
	r = -ENODATA;
	if (node_is_leaf(n)) {
		if (!low && (i < 0 || node_key(n, (uint32_t)i) != key))
			i++;
		if (i >= 0 && i < (int)node_nr(n)) {
			*found = node_key(n, (uint32_t)i);
			if (value)
				memcpy(value, node_value_ptr(n, (uint32_t)i), le32_get(n->value_size));
			r = 0;
		}
	} else if (low) {
		for (; i >= 0 && r == -ENODATA; i--)
			r = nearest(t, level, depth + 1, node_value64(n, (uint32_t)i), key, low, found,
				    value);
	} else {
		for (i = i < 0 ? 0 : i; i < (int)node_nr(n) && r == -ENODATA; i++)
			r = nearest(t, level, depth + 1, node_value64(n, (uint32_t)i), key, low, found,
				    value);
	}
	bm_unlock(b);
	return r;
}

int btree_lookup_low(const struct btree *t, uint64_t root, const uint64_t *keys, uint64_t *key,
		     void *value)
{
	int r = descend(t, keys, &root);

	return r ? r : nearest(t, t->levels - 1, 1, root, keys[t->levels - 1], true, key, value);
}

int btree_lookup_next(const struct btree *t, uint64_t root, const uint64_t *keys, uint64_t *key,
		      void *value)
{
	int r = descend(t, keys, &root);

	return r ? r : nearest(t, t->levels - 1, 1, root, keys[t->levels - 1], false, key, value);
}

int btree_lowest(const struct btree *t, uint64_t root, uint64_t *key)
{
	return nearest(t, 0, 1, root, 0, false, key, NULL);
}

int btree_highest(const struct btree *t, uint64_t root, uint64_t *key)
{
	return nearest(t, 0, 1, root, UINT64_MAX, true, key, NULL);
}

/* ---- Cursor and walk ---- */

/* From the node on top down to the first leaf that has entries. */
static int settle(struct btree_cursor *c, unsigned level)
{
	for (;;) {
		const struct node_header *n = btree_node(c->node[c->depth - 1]);
		uint32_t at = c->at[c->depth - 1];
		int r;

		if (at >= node_nr(n)) {
			bm_unlock(c->node[--c->depth]);
			if (!c->depth)
				return -ENODATA;
			c->at[c->depth - 1]++;
			continue;
		}
		if (node_is_leaf(n))
			return 0;
		if (c->depth == MAX_TREE_DEPTH) {
			r = -EUCLEAN;
		} else {
			if (at + 1 < node_nr(n))
				bm_prefetch(tm_bm(c->t->tm), node_value64(n, at + 1));
			r = btree_read(c->t, level, node_value64(n, at), &c->node[c->depth]);
		}
		if (r) {
			btree_cursor_end(c);
			return r;
		}
		c->at[c->depth++] = 0;
	}
}

static int cursor_begin(const struct btree *t, unsigned level, uint64_t root, struct btree_cursor *c)
{
	int r;

	*c = (struct btree_cursor){ .t = t };
	r = btree_read(t, level, root, &c->node[0]);
	if (r)
		return r;
	c->depth = 1;
	return settle(c, level);
}

int btree_cursor_begin(const struct btree *t, uint64_t root, struct btree_cursor *c)
{
	return cursor_begin(t, 0, root, c);
}

static int cursor_next(struct btree_cursor *c, unsigned level)
{
	c->at[c->depth - 1]++;
	return settle(c, level);
}

int btree_cursor_next(struct btree_cursor *c)
{
	return c->depth ? cursor_next(c, 0) : -ENODATA;
}

int btree_cursor_skip(struct btree_cursor *c, uint64_t nr)
{
	int r = c->depth ? 0 : -ENODATA;

	while (nr && !r) {
		uint32_t *at = &c->at[c->depth - 1];
		uint64_t left = node_nr(btree_node(c->node[c->depth - 1])) - *at;
		uint64_t step = min_t(uint64_t, nr, left);

		*at += (uint32_t)step;
		nr -= step;
		r = settle(c, 0);
	}
	return r;
}

void btree_cursor_get(const struct btree_cursor *c, uint64_t *key, void *value)
{
	const struct node_header *n = btree_node(c->node[c->depth - 1]);
	uint32_t at = c->at[c->depth - 1];

	*key = node_key(n, at);
	if (value)
		memcpy(value, node_value_ptr(n, at), le32_get(n->value_size));
}

void btree_cursor_end(struct btree_cursor *c)
{
	while (c->depth)
		bm_unlock(c->node[--c->depth]);
}

static int walk(const struct btree *t, unsigned level, uint64_t root, uint64_t *keys, btree_fn fn,
		void *ctx)
{
	struct btree_cursor c;
	int r = cursor_begin(t, level, root, &c);

	while (!r) {
		const struct node_header *n = btree_node(c.node[c.depth - 1]);
		uint32_t at = c.at[c.depth - 1];

		keys[level] = node_key(n, at);
		r = level + 1 < t->levels ? walk(t, level + 1, node_value64(n, at), keys, fn, ctx) :
			fn(ctx, keys, node_value_ptr(n, at));
		if (r)
			btree_cursor_end(&c);
		else
			r = cursor_next(&c, level);
	}
	return r == -ENODATA && !c.depth ? 0 : r;
}

int btree_walk(const struct btree *t, uint64_t root, btree_fn fn, void *ctx)
{
	uint64_t keys[BTREE_MAX_LEVELS];

	return walk(t, 0, root, keys, fn, ctx);
}
