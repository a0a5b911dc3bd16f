/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: B-trees
 *
 * From 64-bit keys to values of one size, and trees of trees to any depth up to 16: the values of an upper level are the
 * roots of trees of the next, and as many keys name a value.
 *
 * A handle is a tree as it is now: every change shadows the nodes on its way and moves the root, which is to be put
 * into a superblock (or wherever it is kept) before the commit. Fill and order are those of the kernel, which can go
 * on from what is written here. Trees share: pd_tm_inc() of a root makes it one that two places may open and
 * change apart from each other.
 *
 * Errors of all: -EUCLEAN for unsound nodes, -EIO (both after a message), -ENOSPC, -ENOBUFS; after a failed change
 * nothing is left but pd_tm_abort(), where not said otherwise. A handle belongs to the thread of its
 * transaction manager.
 * Source: format/persistent-data 2 and 3; kernel dm-btree.c, dm-btree-remove.c, dm-btree-spine.c.
 */
#ifndef PDATA_BTREE_H
#define PDATA_BTREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pdata/le.h>
#include <pdata/transaction-manager.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PD_BTREE_MAX_LEVELS 16		/* trees of trees */
#define PD_BTREE_MAX_VALUE_SIZE 1346	/* bytes: three entries must fit into a node */

/**
 * struct pd_value_type - what values are; also for arrays.
 * @size:       sizeof(struct pd_value_type)
 * @value_size: bytes; in trees 1 to PD_BTREE_MAX_VALUE_SIZE, in arrays 1 to 4072
 * @ctx:        handed to the functions
 * @inc:        another place now holds these @nr values (a shared leaf was copied); NULL if values refer to nothing
 *              that is counted
 * @dec:        one place less holds them
 * @equal:      do two values refer to the same? Then overwriting one by the other gives nothing back. NULL
 *              compares bytes.
 *
 * What @inc and @dec return other than 0 ends the call with that.
 */
struct pd_value_type {
	size_t size;
	uint32_t value_size;
	void *ctx;
	int (*inc)(void *ctx, const void *values, uint32_t nr);
	int (*dec)(void *ctx, const void *values, uint32_t nr);
	bool (*equal)(void *ctx, const void *a, const void *b);
};

struct pd_btree;

/**
 * pd_btree_create() - an empty tree: one leaf.
 * @tm:     must outlive the handle.
 * @levels: 1 to PD_BTREE_MAX_LEVELS.
 * @value:  copied; of the lowest level.
 *
 * Return: 0; -EINVAL for numbers out of range, -ENOMEM, -ENOSPC.
 */
int pd_btree_create(struct pd_btree **t, struct pd_tm *tm, unsigned levels, const struct pd_value_type *value);

/** pd_btree_open() - the tree whose root is block @root. -EINVAL, -ENOMEM. Cost: nothing is read yet. */
int pd_btree_open(struct pd_btree **t, struct pd_tm *tm, unsigned levels, const struct pd_value_type *value,
		  uint64_t root);

/** pd_btree_close() - takes NULL. The tree stays. */
void pd_btree_close(struct pd_btree *t);

/** pd_btree_root() - the block that is the root now. */
uint64_t pd_btree_root(const struct pd_btree *t);

/** pd_btree_delete() - gives back the whole tree: its nodes and its values, but what other trees share. Closes the
 * handle, also after a failure. Cost: reads the nodes that nobody shares. */
int pd_btree_delete(struct pd_btree *t);

/* ---- Looking; @keys: one a level ---- */

/** pd_btree_lookup() - @value: its bytes; may be NULL. -ENODATA if there is none. Cost: a node a level of height. */
int pd_btree_lookup(const struct pd_btree *t, const uint64_t *keys, void *value);

/** pd_btree_lookup_low(), pd_btree_lookup_next() - under the same upper keys, the entry with the greatest last key at or
 * below the one given, the smallest at or above it. @key: which. -ENODATA if there is none, or no such tree. */
int pd_btree_lookup_low(const struct pd_btree *t, const uint64_t *keys, uint64_t *key, void *value);
int pd_btree_lookup_next(const struct pd_btree *t, const uint64_t *keys, uint64_t *key, void *value);

/** pd_btree_lowest(), pd_btree_highest() - first and last key of the uppermost level. -ENODATA if it is empty. */
int pd_btree_lowest(const struct pd_btree *t, uint64_t *key);
int pd_btree_highest(const struct pd_btree *t, uint64_t *key);

/** pd_btree_walk() - every value, in key order. @fn: gets all keys; what it returns other than 0 ends the walk and is
 * returned. It must not change the tree. */
int pd_btree_walk(const struct pd_btree *t, int (*fn)(void *ctx, const uint64_t *keys, const void *value),
		  void *ctx);

/* ---- Changing ---- */

/** pd_btree_insert() - inserts or overwrites; trees of missing upper keys are made. @value: is the caller's to have
 * counted; one that it replaces is given back if it differs. @inserted: there was none; may be NULL. */
int pd_btree_insert(struct pd_btree *t, const uint64_t *keys, const void *value, bool *inserted);

/** pd_btree_remove() - and gives the value back. -ENODATA (nothing changed). An emptied lower tree stays. */
int pd_btree_remove(struct pd_btree *t, const uint64_t *keys);

/** pd_btree_remove_range() - all entries with a last key in [@begin, @end) under the other @keys, of which the last is
 * not looked at. @nr: how many there were. Cost: some visits to a leaf an entry. */
int pd_btree_remove_range(struct pd_btree *t, const uint64_t *keys, uint64_t begin, uint64_t end, uint64_t *nr);

/* ---- Trees in trees; @nr_keys: below the number of levels ---- */

/** pd_btree_lookup_tree() - root of the tree under the first @nr_keys of @keys. -ENODATA. */
int pd_btree_lookup_tree(const struct pd_btree *t, const uint64_t *keys, unsigned nr_keys, uint64_t *root);

/** pd_btree_insert_tree() - puts one there: a new one, or one that is elsewhere as well and was counted for this place
 * (pd_tm_inc()): a snapshot. One that was there is given back. */
int pd_btree_insert_tree(struct pd_btree *t, const uint64_t *keys, unsigned nr_keys, uint64_t root);

/** pd_btree_remove_tree() - removes it and gives it back. -ENODATA (nothing changed). */
int pd_btree_remove_tree(struct pd_btree *t, const uint64_t *keys, unsigned nr_keys);

/* ---- Cursor: the uppermost level, entry by entry ---- */

struct pd_btree_cursor;

/** pd_btree_cursor_open() - at the first entry. Nothing may be changed before it is closed: it holds read locks.
 * -ENODATA if there is none, -ENOMEM. */
int pd_btree_cursor_open(struct pd_btree_cursor **c, const struct pd_btree *t);
/** pd_btree_cursor_close() - takes NULL. */
void pd_btree_cursor_close(struct pd_btree_cursor *c);
/** pd_btree_cursor_next(), pd_btree_cursor_skip() - one on, @nr on. -ENODATA past the last; then it can only be closed. */
int pd_btree_cursor_next(struct pd_btree_cursor *c);
int pd_btree_cursor_skip(struct pd_btree_cursor *c, uint64_t nr);
/** pd_btree_cursor_get() - @value: its bytes, of an upper level the 8 of a root; may be NULL. -ENODATA past the last. */
int pd_btree_cursor_get(const struct pd_btree_cursor *c, uint64_t *key, void *value);

#ifdef __cplusplus
}
#endif
#endif
