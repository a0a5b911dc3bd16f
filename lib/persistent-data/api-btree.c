/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* <pdata/btree.h>: a handle is a tree and its root. */
#include <errno.h>
#include <stdlib.h>
#include "persistent-data/api.h"

static_assert(PD_BTREE_MAX_LEVELS == BTREE_MAX_LEVELS && PD_BTREE_MAX_VALUE_SIZE == NODE_MAX_VALUE_SIZE,
	      "limits are the same inside");

struct pd_btree {
	struct btree t;
	uint64_t root;
};

/* The first layout; later ones are longer, and what a caller does not know is zero. */
#define VALUE_TYPE_SIZE_1_0 sizeof(struct pd_value_type)

int api_value_type(struct btree_value_type *out, const struct pd_value_type *in, uint32_t max)
{
	if (in->size < VALUE_TYPE_SIZE_1_0 || !in->value_size || in->value_size > max)
		return -EINVAL;
	*out = (struct btree_value_type){
		.size = in->value_size, .ctx = in->ctx, .inc = in->inc, .dec = in->dec, .equal = in->equal,
	};
	return 0;
}

int pd_btree_open(struct pd_btree **out, struct pd_tm *tm, unsigned levels, const struct pd_value_type *value,
		  uint64_t root)
{
	struct pd_btree *t = calloc(1, sizeof(*t));
	int r = t ? 0 : -ENOMEM;

	if (!r)
		r = levels && levels <= BTREE_MAX_LEVELS ?
			api_value_type(&t->t.value, value, NODE_MAX_VALUE_SIZE) : -EINVAL;
	if (r) {
		free(t);
		return r;
	}
	t->t.tm = tm;
	t->t.levels = levels;
	t->root = root;
	*out = t;
	return 0;
}

int pd_btree_create(struct pd_btree **out, struct pd_tm *tm, unsigned levels, const struct pd_value_type *value)
{
	struct pd_btree *t;
	int r = pd_btree_open(&t, tm, levels, value, 0);

	if (r)
		return r;
	r = btree_empty(&t->t, &t->root);
	if (r)
		free(t);
	else
		*out = t;
	return r;
}

void pd_btree_close(struct pd_btree *t) { free(t); }
uint64_t pd_btree_root(const struct pd_btree *t) { return t->root; }

int pd_btree_delete(struct pd_btree *t)
{
	int r = btree_del(&t->t, t->root);

	free(t);
	return r;
}

/* ---- Looking ---- */

int pd_btree_lookup(const struct pd_btree *t, const uint64_t *keys, void *value)
{
	return btree_lookup(&t->t, t->root, keys, value);
}

int pd_btree_lookup_low(const struct pd_btree *t, const uint64_t *keys, uint64_t *key, void *value)
{
	return btree_lookup_low(&t->t, t->root, keys, key, value);
}

int pd_btree_lookup_next(const struct pd_btree *t, const uint64_t *keys, uint64_t *key, void *value)
{
	return btree_lookup_next(&t->t, t->root, keys, key, value);
}

int pd_btree_lowest(const struct pd_btree *t, uint64_t *key) { return btree_lowest(&t->t, t->root, key); }
int pd_btree_highest(const struct pd_btree *t, uint64_t *key) { return btree_highest(&t->t, t->root, key); }

int pd_btree_walk(const struct pd_btree *t, int (*fn)(void *ctx, const uint64_t *keys, const void *value),
		  void *ctx)
{
	return btree_walk(&t->t, t->root, fn, ctx);
}

/* ---- Changing ---- */

int pd_btree_insert(struct pd_btree *t, const uint64_t *keys, const void *value, bool *inserted)
{
	return btree_insert(&t->t, &t->root, keys, value, inserted);
}

int pd_btree_remove(struct pd_btree *t, const uint64_t *keys) { return btree_remove(&t->t, &t->root, keys); }

int pd_btree_remove_range(struct pd_btree *t, const uint64_t *keys, uint64_t begin, uint64_t end, uint64_t *nr)
{
	return btree_remove_range(&t->t, &t->root, keys, begin, end, nr);
}

/* ---- Trees in trees ---- */

static bool is_upper(const struct pd_btree *t, unsigned nr_keys)
{
	return nr_keys && nr_keys < t->t.levels;
}

int pd_btree_lookup_tree(const struct pd_btree *t, const uint64_t *keys, unsigned nr_keys, uint64_t *root)
{
	struct btree upper, below;
	le64 v;
	int r;

	if (!is_upper(t, nr_keys))
		return -EINVAL;
	btree_upper(&t->t, nr_keys, &upper, &below);
	r = btree_lookup(&upper, t->root, keys, &v);
	if (!r)
		*root = le64_get(v);
	return r;
}

int pd_btree_insert_tree(struct pd_btree *t, const uint64_t *keys, unsigned nr_keys, uint64_t root)
{
	struct btree upper, below;
	le64 v = le64_put(root);

	if (!is_upper(t, nr_keys))
		return -EINVAL;
	btree_upper(&t->t, nr_keys, &upper, &below);
	return btree_insert(&upper, &t->root, keys, &v, NULL);
}

int pd_btree_remove_tree(struct pd_btree *t, const uint64_t *keys, unsigned nr_keys)
{
	struct btree upper, below;

	if (!is_upper(t, nr_keys))
		return -EINVAL;
	btree_upper(&t->t, nr_keys, &upper, &below);
	return btree_remove(&upper, &t->root, keys);
}

/* ---- Cursor ---- */

struct pd_btree_cursor {
	struct btree_cursor c;
};

int pd_btree_cursor_open(struct pd_btree_cursor **out, const struct pd_btree *t)
{
	struct pd_btree_cursor *c = malloc(sizeof(*c));
	int r = c ? btree_cursor_begin(&t->t, t->root, &c->c) : -ENOMEM;

	if (r)
		free(c);
	else
		*out = c;
	return r;
}

void pd_btree_cursor_close(struct pd_btree_cursor *c)
{
	if (c)
		btree_cursor_end(&c->c);
	free(c);
}

int pd_btree_cursor_next(struct pd_btree_cursor *c) { return btree_cursor_next(&c->c); }
int pd_btree_cursor_skip(struct pd_btree_cursor *c, uint64_t nr) { return btree_cursor_skip(&c->c, nr); }

int pd_btree_cursor_get(const struct pd_btree_cursor *c, uint64_t *key, void *value)
{
	if (!c->c.depth)
		return -ENODATA;
	btree_cursor_get(&c->c, key, value);
	return 0;
}
