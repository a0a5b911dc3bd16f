/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* <pdata/array.h> and <pdata/bitset.h>: a handle is an array, its root and its length. */
#include <errno.h>
#include <stdlib.h>
#include "persistent-data/api.h"
#include "persistent-data/bitset.h"
#include <pdata/array.h>
#include <pdata/bitset.h>

struct pd_array {
	struct array a;
	uint64_t root, nr;
};

int pd_array_open(struct pd_array **out, struct pd_tm *tm, const struct pd_value_type *value, uint64_t root,
		  uint64_t nr)
{
	struct pd_array *a = calloc(1, sizeof(*a));
	int r = a ? api_value_type(&a->a.value, value, PD_ARRAY_MAX_VALUE_SIZE) : -ENOMEM;

	if (r) {
		free(a);
		return r;
	}
	a->a.tm = tm;
	a->root = root;
	a->nr = nr;
	*out = a;
	return 0;
}

int pd_array_create(struct pd_array **out, struct pd_tm *tm, const struct pd_value_type *value, uint64_t nr,
		    int (*get)(void *ctx, uint64_t i, void *value), void *ctx)
{
	struct pd_array *a;
	int r = pd_array_open(&a, tm, value, 0, nr);

	if (r)
		return r;
	r = array_create(&a->a, nr, get, ctx, &a->root);
	if (r)
		free(a);
	else
		*out = a;
	return r;
}

void pd_array_close(struct pd_array *a) { free(a); }
uint64_t pd_array_root(const struct pd_array *a) { return a->root; }
uint64_t pd_array_nr(const struct pd_array *a) { return a->nr; }

int pd_array_delete(struct pd_array *a)
{
	int r = array_del(&a->a, a->root);

	free(a);
	return r;
}

int pd_array_resize(struct pd_array *a, uint64_t nr, const void *value)
{
	int r = array_resize(&a->a, &a->root, a->nr, nr, value);

	if (!r)
		a->nr = nr;
	return r;
}

int pd_array_get(const struct pd_array *a, uint64_t i, void *value)
{
	return i < a->nr ? array_get(&a->a, a->root, i, value) : -ENODATA;
}

int pd_array_set(struct pd_array *a, uint64_t i, const void *value)
{
	return i < a->nr ? array_set(&a->a, &a->root, i, value) : -ENODATA;
}

int pd_array_walk(const struct pd_array *a, int (*fn)(void *ctx, uint64_t i, const void *value), void *ctx)
{
	return array_walk(&a->a, a->root, fn, ctx);
}

/* ---- Cursor ---- */

struct pd_array_cursor {
	struct array_cursor c;
};

int pd_array_cursor_open(struct pd_array_cursor **out, const struct pd_array *a)
{
	struct pd_array_cursor *c = malloc(sizeof(*c));
	int r = c ? array_cursor_begin(&a->a, a->root, &c->c) : -ENOMEM;

	if (r)
		free(c);
	else
		*out = c;
	return r;
}

void pd_array_cursor_close(struct pd_array_cursor *c)
{
	if (c)
		array_cursor_end(&c->c);
	free(c);
}

int pd_array_cursor_next(struct pd_array_cursor *c) { return array_cursor_next(&c->c); }
int pd_array_cursor_skip(struct pd_array_cursor *c, uint64_t nr) { return array_cursor_skip(&c->c, nr); }

const void *pd_array_cursor_get(const struct pd_array_cursor *c)
{
	return c->c.b ? array_cursor_get(&c->c) : NULL;
}

/* ---- Bitsets ---- */

struct pd_bitset {
	struct bitset s;
};

int pd_bitset_open(struct pd_bitset **out, struct pd_tm *tm, uint64_t root, uint64_t nr_bits)
{
	struct pd_bitset *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	bitset_open(&s->s, tm, root, nr_bits);
	*out = s;
	return 0;
}

int pd_bitset_create(struct pd_bitset **out, struct pd_tm *tm, uint64_t nr_bits, bool value)
{
	struct pd_bitset *s = malloc(sizeof(*s));
	int r = s ? bitset_create(&s->s, tm, nr_bits, value) : -ENOMEM;

	if (r)
		free(s);
	else
		*out = s;
	return r;
}

void pd_bitset_close(struct pd_bitset *s) { free(s); }

int pd_bitset_delete(struct pd_bitset *s)
{
	int r = array_del(&s->s.words, s->s.root);

	free(s);
	return r;
}

uint64_t pd_bitset_nr_bits(const struct pd_bitset *s) { return s->s.nr_bits; }

int pd_bitset_flush(struct pd_bitset *s, uint64_t *root)
{
	int r = bitset_flush(&s->s);

	if (!r)
		*root = s->s.root;
	return r;
}

int pd_bitset_resize(struct pd_bitset *s, uint64_t nr, bool value) { return bitset_resize(&s->s, nr, value); }
int pd_bitset_set(struct pd_bitset *s, uint64_t bit) { return bitset_set(&s->s, bit); }
int pd_bitset_clear(struct pd_bitset *s, uint64_t bit) { return bitset_clear(&s->s, bit); }
int pd_bitset_test(struct pd_bitset *s, uint64_t bit, bool *value) { return bitset_test(&s->s, bit, value); }

int pd_bitset_next_run(struct pd_bitset *s, uint64_t *begin, uint64_t *end, bool *value)
{
	return bitset_next_run(&s->s, begin, end, value);
}

struct pd_bitset_cursor {
	struct bitset_cursor c;
};

int pd_bitset_cursor_open(struct pd_bitset_cursor **out, const struct pd_bitset *s)
{
	struct pd_bitset_cursor *c = malloc(sizeof(*c));
	int r = c ? bitset_cursor_begin(&s->s, &c->c) : -ENOMEM;

	if (r)
		free(c);
	else
		*out = c;
	return r;
}

void pd_bitset_cursor_close(struct pd_bitset_cursor *c)
{
	if (c)
		bitset_cursor_end(&c->c);
	free(c);
}

int pd_bitset_cursor_next(struct pd_bitset_cursor *c) { return bitset_cursor_skip(&c->c, 1); }
int pd_bitset_cursor_skip(struct pd_bitset_cursor *c, uint64_t nr) { return bitset_cursor_skip(&c->c, nr); }
bool pd_bitset_cursor_get(const struct pd_bitset_cursor *c) { return c->c.at < c->c.nr_bits && bitset_cursor_get(&c->c); }
