/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arrays of fixed-size values, changed under transactions. The length is the caller's
 * to keep (superblocks hold it). Source: format, persistent-data 4. Errors as in btree.h; a changed
 * root comes back through @root.
 */
#ifndef PD_ARRAY_H
#define PD_ARRAY_H

#include "persistent-data/btree.h"

struct array {
	struct pd_tm *tm;
	struct btree_value_type value;	/* size up to 4072 bytes */
};

int array_empty(struct array *a, uint64_t *root);
int array_del(struct array *a, uint64_t root);
/* From @old to @nr values; new ones are @value, which the caller counted once a new element. */
int array_resize(struct array *a, uint64_t *root, uint64_t old, uint64_t nr, const void *value);
/* @values[i] for i in [0, @nr): an array made at once, each block full. */
int array_create(struct array *a, uint64_t nr, int (*get)(void *ctx, uint64_t i, void *value),
		 void *ctx, uint64_t *root);
/* -ENODATA past the end. */
int array_get(const struct array *a, uint64_t root, uint64_t i, void *value);
/* The old value is given back if it differs. */
int array_set(struct array *a, uint64_t *root, uint64_t i, const void *value);
int array_walk(const struct array *a, uint64_t root, int (*fn)(void *ctx, uint64_t i, const void *value),
	       void *ctx);

/* Value by value; holds read locks, nothing may be changed before array_cursor_end(). */
struct array_cursor {
	const struct array *a;
	struct btree index;
	struct btree_cursor c;
	struct pd_block *b;
	uint32_t at;
};
int array_cursor_begin(const struct array *a, uint64_t root, struct array_cursor *c);
int array_cursor_next(struct array_cursor *c);	/* -ENODATA after the last */
int array_cursor_skip(struct array_cursor *c, uint64_t nr);
const void *array_cursor_get(const struct array_cursor *c);
void array_cursor_end(struct array_cursor *c);

#endif
