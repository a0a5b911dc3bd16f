/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Arrays
 *
 * A row of values of one size, packed into blocks that a tree finds. The length is not on the disk: a superblock tells it,
 * or the caller knows. As with trees, changes move the root; errors are those of <pdata/btree.h>.
 * Source: format/persistent-data 4; kernel dm-array.c.
 */
#ifndef PDATA_ARRAY_H
#define PDATA_ARRAY_H

#include <stdint.h>
#include <pdata/btree.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PD_ARRAY_MAX_VALUE_SIZE 4072

struct pd_array;

/**
 * pd_array_create() - an array of @nr values, each block full.
 * @value: as for trees; value_size from 1 to PD_ARRAY_MAX_VALUE_SIZE.
 * @get:   fills in value @i, asked for in order; what it returns other than 0 ends the call. NULL if @nr is 0.
 *
 * Return: 0; -EINVAL, -ENOMEM, -ENOSPC, what @get returned.
 */
int pd_array_create(struct pd_array **a, struct pd_tm *tm, const struct pd_value_type *value, uint64_t nr,
		    int (*get)(void *ctx, uint64_t i, void *value), void *ctx);

/** pd_array_open() - the array at @root, of which the caller says that it has @nr values. -EINVAL, -ENOMEM. */
int pd_array_open(struct pd_array **a, struct pd_tm *tm, const struct pd_value_type *value, uint64_t root,
		  uint64_t nr);

/** pd_array_close() - takes NULL. The array stays. */
void pd_array_close(struct pd_array *a);
uint64_t pd_array_root(const struct pd_array *a);
uint64_t pd_array_nr(const struct pd_array *a);

/** pd_array_delete() - gives back all of it; closes the handle, also after a failure. */
int pd_array_delete(struct pd_array *a);

/** pd_array_resize() - @nr values; those that go are given back, new ones are @value, counted by the caller once for each. */
int pd_array_resize(struct pd_array *a, uint64_t nr, const void *value);

/** pd_array_get(), pd_array_set() - value @i. -ENODATA (nothing changed) past the end. A value that is replaced by a different
 * one is given back. Cost: a lookup; for set, the shadows on the way. */
int pd_array_get(const struct pd_array *a, uint64_t i, void *value);
int pd_array_set(struct pd_array *a, uint64_t i, const void *value);

/** pd_array_walk() - every value, in order. @fn: what it returns other than 0 ends the walk and is returned. */
int pd_array_walk(const struct pd_array *a, int (*fn)(void *ctx, uint64_t i, const void *value), void *ctx);

/* ---- Cursor ---- */

struct pd_array_cursor;

/** pd_array_cursor_open() - at the first value. Nothing may be changed before it is closed. -ENODATA, -ENOMEM. */
int pd_array_cursor_open(struct pd_array_cursor **c, const struct pd_array *a);
void pd_array_cursor_close(struct pd_array_cursor *c);
/** pd_array_cursor_next(), pd_array_cursor_skip() - one on, @nr on. -ENODATA past the last; then it can only be closed. */
int pd_array_cursor_next(struct pd_array_cursor *c);
int pd_array_cursor_skip(struct pd_array_cursor *c, uint64_t nr);
/** pd_array_cursor_get() - the value there, until the cursor moves or is closed; NULL past the last. */
const void *pd_array_cursor_get(const struct pd_array_cursor *c);

#ifdef __cplusplus
}
#endif
#endif
