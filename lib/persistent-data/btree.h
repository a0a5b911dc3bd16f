/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * B-trees, nested to any depth: a tree of two levels is a tree whose values are roots of trees.
 *
 * Every change shadows the nodes on its way (transaction-manager.h) and moves the root. Fill and
 * order follow the kernel, which can go on from what is written here (format: persistent-data 2.3
 * to 2.6). Values are bytes as the disk holds them.
 *
 * Errors of all: -EUCLEAN for unsound nodes, -EIO, -ENOSPC, -ENOBUFS; after a failed *change* the
 * transaction can only be aborted.
 */
#ifndef PD_BTREE_H
#define PD_BTREE_H

#include "persistent-data/transaction-manager.h"

#define BTREE_MAX_LEVELS 16u

/* Values that refer to something with a count: another place now holds them (a shared leaf was
 * copied), or one place less. NULL where values refer to nothing. */
struct btree_value_type {
	uint32_t size;		/* bytes, 1 to NODE_MAX_VALUE_SIZE */
	void *ctx;
	int (*inc)(void *ctx, const void *values, uint32_t nr);
	int (*dec)(void *ctx, const void *values, uint32_t nr);
	bool (*equal)(void *ctx, const void *a, const void *b);	/* NULL: memcmp() */
};

struct btree {
	struct pd_tm *tm;
	unsigned levels;	/* 1 to BTREE_MAX_LEVELS; keys[levels] name a value */
	struct btree_value_type value;	/* of the lowest level */
};

int btree_empty(const struct btree *t, uint64_t *root);

/* The uppermost @levels of @t, below all of them, as a tree of their own: its values are the roots of the trees below,
 * and count as such. @below: describes those; must outlive @upper. */
void btree_upper(const struct btree *t, unsigned levels, struct btree *upper, struct btree *below);

/* Gives back a whole tree: what no other tree shares is freed, values included. */
int btree_del(const struct btree *t, uint64_t root);

/* @value: @t->value.size bytes, or NULL. 0 or -ENODATA. Cost: a node a level of height. */
int btree_lookup(const struct btree *t, uint64_t root, const uint64_t *keys, void *value);

/* The entry with the greatest lowest-level key <= keys[levels - 1] (low), or the smallest >= it (next),
 * under the same upper keys. @key gets it. */
int btree_lookup_low(const struct btree *t, uint64_t root, const uint64_t *keys, uint64_t *key,
		     void *value);
int btree_lookup_next(const struct btree *t, uint64_t root, const uint64_t *keys, uint64_t *key,
		      void *value);
/* First and last key of the uppermost level. -ENODATA if the tree is empty. */
int btree_lowest(const struct btree *t, uint64_t root, uint64_t *key);
int btree_highest(const struct btree *t, uint64_t root, uint64_t *key);

/* Every value, in key order. @fn's keys are those of all levels; what it returns other than 0 ends the
 * walk and is returned. */
typedef int (*btree_fn)(void *ctx, const uint64_t *keys, const void *value);
int btree_walk(const struct btree *t, uint64_t root, btree_fn fn, void *ctx);

/* Inserts or overwrites; missing upper keys get new trees. The new value is one the caller has
 * counted; an overwritten one that differs is given back. @inserted, if not NULL: it was not there. */
int btree_insert(const struct btree *t, uint64_t *root, const uint64_t *keys, const void *value,
		 bool *inserted);

/* Gives the value back. -ENODATA, with nothing changed, if there is none. */
int btree_remove(const struct btree *t, uint64_t *root, const uint64_t *keys);

/* All entries of the lowest level under keys[0 .. levels - 2] with keys in [begin, end). @nr gets how many. */
int btree_remove_range(const struct btree *t, uint64_t *root, const uint64_t *keys, uint64_t begin,
		       uint64_t end, uint64_t *nr);

/* One level of a tree, entry by entry. Holds read locks: nothing may be changed before
 * btree_cursor_end(). */
struct btree_cursor {
	const struct btree *t;
	unsigned depth;
	struct pd_block *node[MAX_TREE_DEPTH];
	uint32_t at[MAX_TREE_DEPTH];
};
/* At the first entry. -ENODATA if there is none; then it need not be ended. */
int btree_cursor_begin(const struct btree *t, uint64_t root, struct btree_cursor *c);
int btree_cursor_next(struct btree_cursor *c);	/* -ENODATA after the last */
int btree_cursor_skip(struct btree_cursor *c, uint64_t nr);
void btree_cursor_get(const struct btree_cursor *c, uint64_t *key, void *value);
void btree_cursor_end(struct btree_cursor *c);

/* ---- Between btree.c, btree-insert.c and btree-remove.c ---- */

/* Size of the values in leaves of level @level. */
static inline uint32_t btree_leaf_size(const struct btree *t, unsigned level)
{
	return level + 1 < t->levels ? 8 : t->value.size;
}

static inline struct node_header *btree_node(const struct pd_block *b)
{
	return (struct node_header *)b->data;
}

static inline bool node_is_leaf(const struct node_header *n)
{
	return le32_get(n->flags) == NODE_LEAF;
}

static inline uint32_t node_nr(const struct node_header *n)
{
	return le32_get(n->nr_entries);
}

/* Last entry with a key <= @key; -1 if none. */
int node_lower_bound(const struct node_header *n, uint64_t key);
void node_set_value64(struct node_header *n, uint32_t i, uint64_t v);

/* A node of a tree of level @level, checked against what that level's nodes are. */
int btree_read(const struct btree *t, unsigned level, uint64_t nr, struct pd_block **b);
/* The same, shadowed; what it points to is counted if it was shared. */
int btree_shadow(const struct btree *t, unsigned level, uint64_t nr, struct pd_block **b);
/* Child @i of the write-locked @parent, shadowed, the pointer brought up to date. */
int btree_shadow_child(const struct btree *t, unsigned level, struct pd_block *parent, uint32_t i,
		       struct pd_block **b);
/* Deals the entries of @nodes (@from of them filled) out over the first @to, evenly. */
void btree_spread(struct pd_block **nodes, unsigned from, unsigned to);
void node_insert_at(struct node_header *n, uint32_t i, uint64_t key, const void *value);
void node_delete_at(struct node_header *n, uint32_t i);
/* Puts @value at @key of one tree without giving anything back. */
int btree_put(const struct btree *t, unsigned level, uint64_t *root, uint64_t key, const void *value,
	      bool give_back, bool *inserted);
int btree_get(const struct btree *t, unsigned level, uint64_t root, uint64_t key, void *value);

#endif
