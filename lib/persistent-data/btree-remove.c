/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Removal: each inner node on the way down first sees to it that the child to be entered can lose an
 * entry. Rules: format, persistent-data 2.6. */
#include <errno.h>
#include <string.h>
#include "persistent-data/btree.h"

/* The only child's content takes its parent's place. */
static int pull_up(const struct btree *t, unsigned level, struct pd_block *b)
{
	struct pd_block *child;
	uint64_t nr;
	int r = btree_shadow_child(t, level, b, 0, &child);

	if (r)
		return r;
	nr = child->nr;
	memcpy(b->data, child->data, PD_BLOCK_SIZE);
	bm_unlock(child);
	return tm_dec(t->tm, nr);
}

/* Children @first to @first + @nr - 1 of @b have few enough entries to lose one node, or are
 * evened out. Three that are few become two, which may become one. */
static int balance(const struct btree *t, unsigned level, struct pd_block *b, uint32_t first,
		   unsigned nr)
{
	struct node_header *p = btree_node(b);
	struct pd_block *n[3] = { NULL, NULL, NULL };
	uint32_t total = 0, m = 0;
	uint64_t gone = 0;
	bool merge = false;
	int r = 0;

	for (unsigned i = 0; i < nr && !r; i++) {
		r = btree_shadow_child(t, level, b, first + i, &n[i]);
		if (!r)
			total += node_nr(btree_node(n[i]));
	}
	if (r)
		goto out;
	for (unsigned i = 1; i < nr; i++)
		if (node_is_leaf(btree_node(n[i])) != node_is_leaf(btree_node(n[0])) ||
		    le32_get(btree_node(n[i])->max_entries) != le32_get(btree_node(n[0])->max_entries)) {
			r = -EUCLEAN;
			goto out;
		}
	m = le32_get(btree_node(n[0])->max_entries) / 3;
	merge = nr == 2 ? total < 2 * (m + 1) : total < 4 * m + 1;
	btree_spread(n, nr, merge ? nr - 1 : nr);
	if (merge)
		gone = n[nr - 1]->nr;
	for (unsigned i = 1; i < nr - merge; i++)
		node_keys(p)[first + i] = node_keys(btree_node(n[i]))[0];
	if (merge)
		node_delete_at(p, first + nr - 1);
out:
	for (unsigned i = 0; i < nr; i++)
		bm_unlock(n[i]);
	if (!r && merge) {
		r = tm_dec(t->tm, gone);
		if (!r && nr == 3 && total < 2 * (m + 1))
			r = balance(t, level, b, first, 2);
	}
	return r;
}

/* One entry of one tree, which is there. */
static int remove_one(const struct btree *t, unsigned level, uint64_t *root, uint64_t key)
{
	struct pd_block *b, *child;
	int i, r = btree_shadow(t, level, *root, &b);

	if (r)
		return r;
	*root = b->nr;
	for (unsigned steps = 0; !node_is_leaf(btree_node(b)); steps++) {
		struct node_header *n = btree_node(b);

		r = steps > 4 * MAX_TREE_DEPTH ? -EUCLEAN : 0;
		if (r)
			goto out;
		if (node_nr(n) == 1) {
			r = pull_up(t, level, b);
			if (r)
				goto out;
			continue;
		}
		i = node_lower_bound(n, key);
		if (i < 0) {
			r = -ENODATA;
			goto out;
		}
		if (i == 0)
			r = balance(t, level, b, 0, 2);
		else if (i + 1 == (int)node_nr(n))
			r = balance(t, level, b, (uint32_t)i - 1, 2);
		else
			r = balance(t, level, b, (uint32_t)i - 1, 3);
		if (r)
			goto out;
		i = node_lower_bound(n, key);
		r = i < 0 ? -ENODATA : btree_shadow_child(t, level, b, (uint32_t)i, &child);
		if (r)
			goto out;
		bm_unlock(b);
		b = child;
	}
	i = node_lower_bound(btree_node(b), key);
	if (i < 0 || node_key(btree_node(b), (uint32_t)i) != key) {
		r = -ENODATA;
		goto out;
	}
	if (level + 1 == t->levels && t->value.dec)
		r = t->value.dec(t->value.ctx, node_value_ptr(btree_node(b), (uint32_t)i), 1);
	node_delete_at(btree_node(b), (uint32_t)i);
out:
	bm_unlock(b);
	return r;
}

/* Calls remove_one() on the tree of the lowest level, with the way to it made ours before. */
static int remove_below(const struct btree *t, unsigned level, uint64_t *root, const uint64_t *keys,
			uint64_t key)
{
	uint64_t sub, was;
	le64 v;
	int r;

	if (level + 1 == t->levels)
		return remove_one(t, level, root, key);
	r = btree_get(t, level, *root, keys[level], &v);
	if (!r)
		r = btree_put(t, level, root, keys[level], &v, false, NULL);
	if (r)
		return r;
	sub = was = le64_get(v);
	r = remove_below(t, level + 1, &sub, keys, key);
	if (r || sub == was)
		return r;
	v = le64_put(sub);
	return btree_put(t, level, root, keys[level], &v, false, NULL);
}

int btree_remove(const struct btree *t, uint64_t *root, const uint64_t *keys)
{
	int r = btree_lookup(t, *root, keys, NULL);

	return r ? r : remove_below(t, 0, root, keys, keys[t->levels - 1]);
}

int btree_remove_range(const struct btree *t, uint64_t *root, const uint64_t *keys, uint64_t begin,
		       uint64_t end, uint64_t *nr)
{
	uint64_t at[BTREE_MAX_LEVELS], found;
	int r = 0;

	*nr = 0;
	for (unsigned i = 0; i + 1 < t->levels; i++)
		at[i] = keys[i];
	while (begin < end) {
		at[t->levels - 1] = begin;
		r = btree_lookup_next(t, *root, at, &found, NULL);
		if (r || found >= end)
			break;
		r = remove_below(t, 0, root, at, found);
		if (r)
			break;
		++*nr;
		begin = found + 1;
		if (!begin)
			break;
	}
	return r == -ENODATA ? 0 : r;
}
