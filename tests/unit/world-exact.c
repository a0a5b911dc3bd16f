/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counts every place that points to a block, from the blocks alone, and holds the space maps against it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "persistent-data/btree.h"
#include "unit/unit.h"
#include "unit/world.h"

struct exact {
	struct pd_tm *tm;
	const struct shape *s;
	uint32_t *refs;		/* of metadata blocks */
	uint32_t referred[NR_REFERRED];
	bool ok;
};

static void bad(struct exact *x, const char *what, uint64_t nr, uint64_t got, uint64_t want)
{
	fprintf(stderr, "%s %" PRIu64 ": %" PRIu64 " instead of %" PRIu64 "\n", what, nr, got, want);
	x->ok = false;
}

static struct pd_block *read_block(struct exact *x, uint64_t nr, enum block_kind kind)
{
	struct pd_block *b = NULL;

	CU_ASSERT_EQUAL_FATAL(bm_read_lock(tm_bm(x->tm), nr, kind, &b), 0);
	return b;
}

static void refer(struct exact *x, const uint8_t *values, uint32_t size, uint32_t nr)
{
	for (uint32_t i = 0; refers(size) && i < nr; i++) {
		le32 id;

		memcpy(&id, values + (size_t)i * size, sizeof(id));
		x->referred[referred_by(le32_get(id))]++;
	}
}

/* How values of the lowest level go on. */
typedef void (*value_fn)(struct exact *x, const uint8_t *values, uint32_t nr);

static void nodes(struct exact *x, uint64_t nr, unsigned levels, uint32_t size, bool is_root, value_fn fn)
{
	const struct node_header *n;
	struct pd_block *b;

	if (x->refs[nr]++)
		return;
	b = read_block(x, nr, KIND_NODE);
	n = (const struct node_header *)b->data;
	if (node_check(n, levels > 1 ? 8 : size))
		bad(x, "node", nr, node_check(n, levels > 1 ? 8 : size), 0);
	if (!is_root && node_nr(n) < le32_get(n->max_entries) / 3)
		bad(x, "entries of node", nr, node_nr(n), le32_get(n->max_entries) / 3);
	if (le32_get(n->max_entries) != node_max_entries(le32_get(n->value_size)))
		bad(x, "max_entries of node", nr, le32_get(n->max_entries), node_max_entries(le32_get(n->value_size)));
	if (node_is_leaf(n) && levels == 1) {
		fn(x, node_value_ptr(n, 0), node_nr(n));
	} else {
		for (uint32_t i = 0; i < node_nr(n); i++)
			nodes(x, node_value64(n, i), node_is_leaf(n) ? levels - 1 : levels, size, node_is_leaf(n), fn);
	}
	bm_unlock(b);
}

static void tree_values(struct exact *x, const uint8_t *values, uint32_t nr)
{
	refer(x, values, x->s->value_size, nr);
}

static void blocks_of(struct exact *x, const uint8_t *values, uint32_t nr, uint32_t size, bool count)
{
	for (uint32_t i = 0; i < nr; i++) {
		const struct array_header *a;
		struct pd_block *b;
		le64 block;

		memcpy(&block, values + 8 * (size_t)i, sizeof(block));
		if (x->refs[le64_get(block)]++)
			continue;
		b = read_block(x, le64_get(block), KIND_ARRAY);
		a = (const struct array_header *)b->data;
		if (!array_block_check(a, size))
			bad(x, "array block", b->nr, 0, 1);
		else if (count)
			refer(x, array_value_ptr(a, 0), size, le32_get(a->nr_entries));
		bm_unlock(b);
	}
}

static void array_blocks(struct exact *x, const uint8_t *values, uint32_t nr)
{
	blocks_of(x, values, nr, x->s->array_value_size, true);
}

static void bitset_blocks(struct exact *x, const uint8_t *values, uint32_t nr)
{
	blocks_of(x, values, nr, 8, false);
}

/* What an index entry promises of its bitmap. */
static void bitmap(struct exact *x, const struct index_entry *ie, uint64_t nr_entries)
{
	struct pd_block *b = read_block(x, le64_get(ie->blocknr), KIND_BITMAP);
	uint32_t nr_free = 0, first = ENTRIES_PER_BITMAP;

	x->refs[b->nr]++;
	for (uint32_t e = 0; e < ENTRIES_PER_BITMAP; e++)
		if (!bitmap_get(b->data, e)) {
			nr_free++;
			first = first < e ? first : e;
		} else if (e >= nr_entries) {
			bad(x, "entry past the end of bitmap", b->nr, e, nr_entries);
		}
	if (le32_get(ie->nr_free) != nr_free)
		bad(x, "nr_free of bitmap", b->nr, le32_get(ie->nr_free), nr_free);
	if (le32_get(ie->none_free_before) > first)
		bad(x, "none_free_before of bitmap", b->nr, le32_get(ie->none_free_before), first);
	bm_unlock(b);
}

static void no_values(struct exact *x, const uint8_t *values, uint32_t nr)
{
	(void)x;
	(void)values;
	(void)nr;
}

static void disk_map(struct exact *x, const struct pd_sm_root *root)
{
	struct btree t = { .tm = x->tm, .levels = 1, .value = { .size = sizeof(struct index_entry) } };

	nodes(x, root->bitmap_root, 1, sizeof(struct index_entry), true, no_values);
	nodes(x, root->ref_count_root, 1, sizeof(le32), true, no_values);
	for (uint64_t i = 0; i < ceil_div(root->nr_blocks, ENTRIES_PER_BITMAP); i++) {
		struct index_entry ie;

		CU_ASSERT_EQUAL_FATAL(btree_lookup(&t, root->bitmap_root, &i, &ie), 0);
		bitmap(x, &ie, root->nr_blocks - i * ENTRIES_PER_BITMAP);
	}
}

static void metadata_map(struct exact *x, const struct pd_sm_root *root)
{
	struct pd_block *b = read_block(x, root->bitmap_root, KIND_INDEX);
	const struct metadata_index *mi = (const struct metadata_index *)b->data;

	x->refs[b->nr]++;
	nodes(x, root->ref_count_root, 1, sizeof(le32), true, no_values);
	for (uint64_t i = 0; i < ceil_div(root->nr_blocks, ENTRIES_PER_BITMAP); i++)
		bitmap(x, &mi->index[i], root->nr_blocks - i * ENTRIES_PER_BITMAP);
	bm_unlock(b);
}

static void compare(struct exact *x, const struct world_roots *roots)
{
	struct pd_sm *data;
	uint64_t used = 0;

	for (uint64_t i = 0; i < tm_nr_blocks(x->tm); i++) {
		used += !!x->refs[i];
		if (x->refs[i] != tm_count(x->tm, i))
			bad(x, "count of metadata block", i, tm_count(x->tm, i), x->refs[i]);
	}
	if (used != roots->metadata.nr_allocated)
		bad(x, "nr_allocated of", 0, roots->metadata.nr_allocated, used);
	CU_ASSERT_EQUAL_FATAL(pd_sm_open_disk(&data, x->tm, &roots->referred), 0);
	for (uint64_t i = 0; i < NR_REFERRED; i++) {
		uint32_t count = 0;

		CU_ASSERT_EQUAL_FATAL(pd_sm_count(data, i, &count), 0);
		if (x->referred[i] != count)
			bad(x, "count of block", i, count, x->referred[i]);
	}
	pd_sm_close(data);
}

bool world_exact(struct pd_io *io, const struct shape *s)
{
	struct world_roots roots;
	struct exact x = { .s = s, .ok = true };

	CU_ASSERT_EQUAL_FATAL(world_read_roots(io, &roots), 0);
	CU_ASSERT_EQUAL_FATAL(pd_tm_open(&x.tm, io, 1024, &roots.metadata, NULL), 0);
	x.refs = calloc(tm_nr_blocks(x.tm), sizeof(*x.refs));
	x.refs[SB_LOCATION] = 1;
	for (unsigned v = 0; v < NR_VERSIONS; v++)
		if (roots.tree[v])
			nodes(&x, roots.tree[v], s->levels, s->value_size, true, tree_values);
	for (unsigned v = 0; v < NR_ARRAYS; v++)
		if (roots.array[v])
			nodes(&x, roots.array[v], 1, 8, true, array_blocks);
	nodes(&x, roots.bits, 1, 8, true, bitset_blocks);
	disk_map(&x, &roots.referred);
	disk_map(&x, &roots.map);
	metadata_map(&x, &roots.metadata);
	compare(&x, &roots);
	free(x.refs);
	tm_destroy(x.tm);
	return x.ok;
}
