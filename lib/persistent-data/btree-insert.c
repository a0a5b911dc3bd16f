/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Insertion: any full node on the way down is made roomy before it is entered, so room is never
 * wanted upward. Rules: format, persistent-data 2.6. */
#include <errno.h>
#include <string.h>
#include "persistent-data/btree.h"

#define ROOMY 8u	/* free slots that make evening out with a sibling worthwhile */

/* A sibling of the same kind as @like, empty. */
static int new_like(const struct btree *t, const struct pd_block *like, struct pd_block **b)
{
	int r = tm_new_block(t->tm, KIND_NODE, b);

	if (!r) {
		memcpy((*b)->data, like->data, sizeof(struct node_header));
		btree_node(*b)->nr_entries = le32_put(0);
	}
	return r;
}

/* The full root becomes an inner node with two children. */
static int split_root(const struct btree *t, struct pd_block *root)
{
	struct node_header *n = btree_node(root);
	struct pd_block *half[2] = { NULL, NULL };
	int r = new_like(t, root, &half[0]);

	if (!r)
		r = new_like(t, root, &half[1]);
	if (!r) {
		memcpy(half[0]->data, root->data, PD_BLOCK_SIZE);
		btree_spread(half, 2, 2);
		memset(root->data, 0, PD_BLOCK_SIZE);
		n->flags = le32_put(NODE_INTERNAL);
		n->max_entries = le32_put(INTERNAL_MAX_ENTRIES);
		n->value_size = le32_put(8);
		for (uint32_t i = 0; i < 2; i++) {
			le64 v = le64_put(half[i]->nr);

			node_insert_at(n, i, node_key(btree_node(half[i]), 0), &v);
		}
	}
	bm_unlock(half[0]);
	bm_unlock(half[1]);
	return r;
}

/* Is child @i of @parent ours alone, with slots to spare? */
static int has_room(const struct btree *t, unsigned level, struct node_header *parent, uint32_t i,
		    bool *room, bool *shared)
{
	uint64_t nr = node_value64(parent, i);
	struct pd_block *b;
	int r;

	*room = false;
	*shared = tm_count(t->tm, nr) > 1;
	if (*shared)
		return 0;
	r = btree_read(t, level, nr, &b);
	if (!r) {
		*room = node_nr(btree_node(b)) + ROOMY <= le32_get(btree_node(b)->max_entries);
		bm_unlock(b);
	}
	return r;
}

static void put_keys(struct node_header *parent, uint32_t first, struct pd_block **nodes, unsigned nr)
{
	/* the first one's key may be below its first entry: it stays */
	for (unsigned i = 1; i < nr; i++)
		node_keys(parent)[first + i] = node_keys(btree_node(nodes[i]))[0];
}

/* @child, entry @i of @parent, is full. Entries move; all but the parent are unlocked afterwards. */
static int make_room(const struct btree *t, unsigned level, struct pd_block *parent, uint32_t i,
		     struct pd_block *child)
{
	struct node_header *p = btree_node(parent);
	struct pd_block *n[3] = { NULL, NULL, NULL };
	bool left = false, right = false, left_shared = false, right_shared = false;
	uint32_t nr = node_nr(p), first = i;
	unsigned from, to;
	le64 v;
	int r = 0;

	if (i)
		r = has_room(t, level, p, i - 1, &left, &left_shared);
	if (!r && !left && i + 1 < nr)
		r = has_room(t, level, p, i + 1, &right, &right_shared);
	if (r)
		goto out;
	if (left || right) {
		n[left] = child;
		first = left ? i - 1 : i;
		r = btree_shadow_child(t, level, parent, left ? i - 1 : i + 1, &n[!left]);
		from = to = 2;
	} else if (left_shared || right_shared || nr <= 2 || !i || i + 1 == nr) {
		n[0] = child;
		r = new_like(t, child, &n[1]);
		from = 1;
		to = 2;
	} else {
		first = i - 1;
		n[1] = child;
		r = btree_shadow_child(t, level, parent, i - 1, &n[0]);
		if (!r)
			r = new_like(t, child, &n[2]);
		from = 2;
		to = 3;
	}
	if (r)
		goto out;
	btree_spread(n, from, to);
	if (to > from) {
		v = le64_put(n[to - 1]->nr);
		node_insert_at(p, first + to - 1, node_key(btree_node(n[to - 1]), 0), &v);
	}
	put_keys(p, first, n, to);
out:
	for (unsigned k = 0; k < 3; k++)
		if (n[k] != child)
			bm_unlock(n[k]);
	bm_unlock(child);
	return r;
}

static bool full(const struct node_header *n, uint64_t key)
{
	int i;

	if (node_nr(n) < le32_get(n->max_entries))
		return false;
	if (!node_is_leaf(n))
		return true;
	i = node_lower_bound(n, key);
	return i < 0 || node_key(n, (uint32_t)i) != key;
}

static int put_in_leaf(const struct btree *t, unsigned level, struct node_header *n, uint64_t key,
		       const void *value, bool give_back, bool *inserted)
{
	const struct btree_value_type *vt = &t->value;
	uint32_t vs = le32_get(n->value_size);
	int i = node_lower_bound(n, key), r = 0;
	bool there = i >= 0 && node_key(n, (uint32_t)i) == key;

	if (!there) {
		node_insert_at(n, (uint32_t)(i + 1), key, value);
	} else {
		void *old = node_value_ptr(n, (uint32_t)i);

		if (give_back && level + 1 == t->levels && vt->dec &&
		    !(vt->equal ? vt->equal(vt->ctx, old, value) : !memcmp(old, value, vs)))
			r = vt->dec(vt->ctx, old, 1);
		memcpy(old, value, vs);
	}
	if (inserted)
		*inserted = !there;
	return r;
}

int btree_put(const struct btree *t, unsigned level, uint64_t *root, uint64_t key, const void *value,
	      bool give_back, bool *inserted)
{
	struct pd_block *b, *child;
	int r = btree_shadow(t, level, *root, &b);

	if (r)
		return r;
	*root = b->nr;
	if (full(btree_node(b), key)) {
		r = split_root(t, b);
		if (r)
			goto out;
	}
	for (unsigned depth = 1; !node_is_leaf(btree_node(b)); ) {
		struct node_header *n = btree_node(b);
		int i = node_lower_bound(n, key);

		if (depth == MAX_TREE_DEPTH) {
			r = -EUCLEAN;
			goto out;
		}
		if (i < 0) {
			i = 0;
			node_keys(n)[0] = le64_put(key);
		}
		r = btree_shadow_child(t, level, b, (uint32_t)i, &child);
		if (r)
			goto out;
		if (full(btree_node(child), key)) {
			r = make_room(t, level, b, (uint32_t)i, child);
			if (r)
				goto out;
			continue;	/* the key may belong to another child now */
		}
		bm_unlock(b);
		b = child;
		depth++;
	}
	r = put_in_leaf(t, level, btree_node(b), key, value, give_back, inserted);
out:
	bm_unlock(b);
	return r;
}

static int insert(const struct btree *t, unsigned level, uint64_t *root, const uint64_t *keys,
		  const void *value, bool *inserted)
{
	struct btree below = { .tm = t->tm, .levels = t->levels - level - 1, .value = t->value };
	uint64_t sub, was;
	le64 v;
	int r;

	if (level + 1 == t->levels)
		return btree_put(t, level, root, keys[level], value, true, inserted);
	r = btree_get(t, level, *root, keys[level], &v);
	if (r == -ENODATA) {
		r = btree_empty(&below, &sub);
		v = le64_put(sub);
	}
	/* the way to it first: if that was shared, the tree below becomes shared by it */
	if (!r)
		r = btree_put(t, level, root, keys[level], &v, false, NULL);
	if (r)
		return r;
	sub = was = le64_get(v);
	r = insert(t, level + 1, &sub, keys, value, inserted);
	if (r || sub == was)
		return r;
	v = le64_put(sub);
	return btree_put(t, level, root, keys[level], &v, false, NULL);
}

int btree_insert(const struct btree *t, uint64_t *root, const uint64_t *keys, const void *value,
		 bool *inserted)
{
	return insert(t, 0, root, keys, value, inserted);
}
