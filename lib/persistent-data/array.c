/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "persistent-data/array.h"

static struct array_header *header(const struct pd_block *b)
{
	return (struct array_header *)b->data;
}

static int inc_block(void *ctx, const void *values, uint32_t nr)
{
	const struct array *a = ctx;
	int r = 0;

	for (uint32_t i = 0; i < nr && !r; i++) {
		le64 v;

		memcpy(&v, (const uint8_t *)values + 8 * (size_t)i, sizeof(v));
		r = tm_inc(a->tm, le64_get(v));
	}
	return r;
}

static int check(const struct array *a, const struct pd_block *b)
{
	if (array_block_check(b->data, a->value.size))
		return 0;
	pd_log(bm_log(tm_bm(a->tm)), PD_LOG_ERR, "metadata block %" PRIu64 ": values of %" PRIu32
	       " bytes where the array has %" PRIu32, b->nr, le32_get(header(b)->value_size), a->value.size);
	return -EUCLEAN;
}

static int read_block(const struct array *a, uint64_t nr, struct pd_block **b)
{
	int r = bm_read_lock(tm_bm(a->tm), nr, KIND_ARRAY, b);

	if (!r) {
		r = check(a, *b);
		if (r)
			bm_unlock(*b);
	}
	return r;
}

static int dec_block(void *ctx, const void *values, uint32_t nr)
{
	const struct array *a = ctx;
	int r = 0;

	for (uint32_t i = 0; i < nr && !r; i++) {
		struct pd_block *b;
		uint64_t block;
		le64 v;

		memcpy(&v, (const uint8_t *)values + 8 * (size_t)i, sizeof(v));
		block = le64_get(v);
		if (a->value.dec && tm_count(a->tm, block) == 1) {
			r = read_block(a, block, &b);
			if (r)
				break;
			r = a->value.dec(a->value.ctx, array_value_ptr(header(b), 0),
					 le32_get(header(b)->nr_entries));
			bm_unlock(b);
		}
		if (!r)
			r = tm_dec(a->tm, block);
	}
	return r;
}

static struct btree index_of(const struct array *a)
{
	return (struct btree){ .tm = a->tm, .levels = 1,
			       .value = { .size = 8, .ctx = (void *)a, .inc = inc_block, .dec = dec_block } };
}

int array_empty(struct array *a, uint64_t *root)
{
	struct btree t = index_of(a);

	return btree_empty(&t, root);
}

int array_del(struct array *a, uint64_t root)
{
	struct btree t = index_of(a);

	return btree_del(&t, root);
}

/* Array block @j, to be changed; the index is brought up to date. */
static int shadow(struct array *a, uint64_t *root, uint64_t j, struct pd_block **b)
{
	struct btree t = index_of(a);
	bool shared;
	le64 v;
	int r = btree_lookup(&t, *root, &j, &v);

	/* the way there first: if it was shared, the block becomes shared by it */
	if (!r)
		r = btree_put(&t, 0, root, j, &v, false, NULL);
	if (!r)
		r = tm_shadow(a->tm, le64_get(v), KIND_ARRAY, b, &shared);
	if (r)
		return r;
	r = check(a, *b);
	if (!r && shared && a->value.inc)
		r = a->value.inc(a->value.ctx, array_value_ptr(header(*b), 0),
				 le32_get(header(*b)->nr_entries));
	if (!r && (*b)->nr != le64_get(v)) {
		v = le64_put((*b)->nr);
		r = btree_put(&t, 0, root, j, &v, false, NULL);
	}
	if (r)
		bm_unlock(*b);
	return r;
}

static int new_array_block(struct array *a, uint64_t *root, uint64_t j, struct pd_block **b)
{
	struct btree t = index_of(a);
	le64 v;
	int r = tm_new_block(a->tm, KIND_ARRAY, b);

	if (r)
		return r;
	header(*b)->max_entries = le32_put(array_max_entries(a->value.size));
	header(*b)->value_size = le32_put(a->value.size);
	v = le64_put((*b)->nr);
	r = btree_insert(&t, root, &j, &v, NULL);
	if (r)
		bm_unlock(*b);
	return r;
}

static void fill(struct array *a, struct pd_block *b, uint32_t nr, const void *value)
{
	for (uint32_t i = le32_get(header(b)->nr_entries); i < nr; i++)
		memcpy(array_value_ptr(header(b), i), value, a->value.size);
	header(b)->nr_entries = le32_put(nr);
}

static int cut(struct array *a, struct pd_block *b, uint32_t nr)
{
	uint32_t was = le32_get(header(b)->nr_entries);
	int r = 0;

	if (a->value.dec && nr < was)
		r = a->value.dec(a->value.ctx, array_value_ptr(header(b), nr), was - nr);
	header(b)->nr_entries = le32_put(nr);
	return r;
}

int array_resize(struct array *a, uint64_t *root, uint64_t old, uint64_t nr, const void *value)
{
	uint32_t max = array_max_entries(a->value.size);
	uint64_t have = ceil_div(old, max), want = ceil_div(nr, max);
	struct btree t = index_of(a);
	struct pd_block *b;
	int r = 0;

	for (; !r && have > want; have--) {
		uint64_t j = have - 1;

		r = btree_remove(&t, root, &j);
	}
	/* the last one that stays: shorter or fuller */
	if (!r && have && nr != old && (nr < old ? nr % max : old % max)) {
		uint64_t end = min_t(uint64_t, nr - (have - 1) * max, max);

		r = shadow(a, root, have - 1, &b);
		if (r)
			return r;
		if (end < le32_get(header(b)->nr_entries))
			r = cut(a, b, (uint32_t)end);
		else
			fill(a, b, (uint32_t)end, value);
		bm_unlock(b);
	}
	for (; !r && have < want; have++) {
		r = new_array_block(a, root, have, &b);
		if (r)
			break;
		fill(a, b, (uint32_t)min_t(uint64_t, nr - have * max, max), value);
		bm_unlock(b);
	}
	return r;
}

int array_create(struct array *a, uint64_t nr, int (*get)(void *ctx, uint64_t i, void *value),
		 void *ctx, uint64_t *root)
{
	uint32_t max = array_max_entries(a->value.size);
	int r = array_empty(a, root);

	for (uint64_t j = 0; j < ceil_div(nr, max) && !r; j++) {
		uint32_t end = (uint32_t)min_t(uint64_t, nr - j * max, max);
		struct pd_block *b;

		r = new_array_block(a, root, j, &b);
		if (r)
			break;
		for (uint32_t i = 0; i < end && !r; i++)
			r = get(ctx, j * max + i, array_value_ptr(header(b), i));
		header(b)->nr_entries = le32_put(end);
		bm_unlock(b);
	}
	return r;
}

int array_get(const struct array *a, uint64_t root, uint64_t i, void *value)
{
	uint32_t max = array_max_entries(a->value.size), e = (uint32_t)(i % max);
	struct btree t = index_of(a);
	struct pd_block *b;
	uint64_t j = i / max;
	le64 v;
	int r = btree_lookup(&t, root, &j, &v);

	if (!r)
		r = read_block(a, le64_get(v), &b);
	if (r)
		return r;
	if (e < le32_get(header(b)->nr_entries))
		memcpy(value, array_value_ptr(header(b), e), a->value.size);
	else
		r = -ENODATA;
	bm_unlock(b);
	return r;
}

int array_set(struct array *a, uint64_t *root, uint64_t i, const void *value)
{
	uint32_t max = array_max_entries(a->value.size), e = (uint32_t)(i % max);
	struct pd_block *b;
	int r = shadow(a, root, i / max, &b);

	if (r)
		return r;
	if (e < le32_get(header(b)->nr_entries)) {
		const struct btree_value_type *vt = &a->value;
		void *old = array_value_ptr(header(b), e);

		if (vt->dec && !(vt->equal ? vt->equal(vt->ctx, old, value) :
				 !memcmp(old, value, vt->size)))
			r = vt->dec(vt->ctx, old, 1);
		memcpy(old, value, a->value.size);
	} else {
		r = -ENODATA;
	}
	bm_unlock(b);
	return r;
}

/* ---- Cursor ---- */

static int enter(struct array_cursor *c)
{
	uint64_t key;
	le64 v;
	int r;

	btree_cursor_get(&c->c, &key, &v);
	c->at = 0;
	r = read_block(c->a, le64_get(v), &c->b);
	if (r) {
		c->b = NULL;
		btree_cursor_end(&c->c);
	}
	return r;
}

int array_cursor_begin(const struct array *a, uint64_t root, struct array_cursor *c)
{
	int r;

	c->a = a;
	c->b = NULL;
	c->index = index_of(a);
	r = btree_cursor_begin(&c->index, root, &c->c);
	return r ? r : enter(c);
}

int array_cursor_skip(struct array_cursor *c, uint64_t nr)
{
	int r = c->b ? 0 : -ENODATA;

	while (!r && nr) {
		uint64_t left = le32_get(header(c->b)->nr_entries) - c->at;

		if (nr < left) {
			c->at += (uint32_t)nr;
			break;
		}
		nr -= left;
		bm_unlock(c->b);
		c->b = NULL;
		r = btree_cursor_next(&c->c);
		if (!r)
			r = enter(c);
	}
	return r;
}

int array_cursor_next(struct array_cursor *c)
{
	return array_cursor_skip(c, 1);
}

const void *array_cursor_get(const struct array_cursor *c)
{
	return array_value_ptr(header(c->b), c->at);
}

void array_cursor_end(struct array_cursor *c)
{
	bm_unlock(c->b);
	c->b = NULL;
	btree_cursor_end(&c->c);
}

int array_walk(const struct array *a, uint64_t root, int (*fn)(void *ctx, uint64_t i, const void *value),
	       void *ctx)
{
	struct array_cursor c;
	int r = array_cursor_begin(a, root, &c);

	for (uint64_t i = 0; !r; i++) {
		r = fn(ctx, i, array_cursor_get(&c));
		if (r) {
			array_cursor_end(&c);
			return r;
		}
		r = array_cursor_next(&c);
	}
	return r == -ENODATA ? 0 : r;
}
