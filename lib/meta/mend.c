/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <pdata/err.h>
#include "io/engine.h"
#include "meta/mend.h"

/* A block to be written. */
struct fresh {
	uint64_t block;
	enum block_kind kind;
	void *data;
};

struct mend {
	struct scan *s;
	struct metadata_sm *metadata;
	struct fresh *fresh;
	size_t nr_fresh, max_fresh;
	uint64_t *freed;	/* blocks of the old maps that have been replaced */
	size_t nr_freed, max_freed, nr_reused;
	uint64_t next;		/* where the search for free blocks goes on */
	bool dirty[MAX_METADATA_BITMAPS];
	bool in_place;
};

static int grow(void **p, size_t *max, size_t nr, size_t size)
{
	size_t more = *max ? 2 * *max : 64;
	void *grown;

	if (nr < *max)
		return 0;
	grown = realloc(*p, more * size);
	if (!grown)
		return -ENOMEM;
	*p = grown;
	*max = more;
	return 0;
}

static void set_refs(struct mend *m, uint64_t block, uint32_t refs)
{
	m->s->slots.slot[block].refs = refs;
	m->dirty[block / ENTRIES_PER_BITMAP] = true;
}

/* A block that nothing uses, neither before nor after; else one that is being replaced. */
static int take_block(struct mend *m, uint64_t *block)
{
	for (; m->next < m->metadata->nr_blocks; m->next++)
		if (!metadata_sm_get(m->metadata, m->next) && !m->s->slots.slot[m->next].refs) {
			*block = m->next++;
			set_refs(m, *block, 1);
			return 0;
		}
	if (m->nr_reused == m->nr_freed)
		return -ENOSPC;
	m->in_place = true;
	*block = m->freed[m->nr_reused++];
	set_refs(m, *block, 1);
	return 0;
}

static int free_block(struct mend *m, uint64_t block)
{
	int r = grow((void **)&m->freed, &m->max_freed, m->nr_freed, sizeof(*m->freed));

	if (r)
		return r;
	if (m->s->slots.slot[block].refs != 1)
		return -EUCLEAN;
	set_refs(m, block, 0);
	m->freed[m->nr_freed++] = block;
	return 0;
}

/* A new block of zeros to fill; written at the end. */
static int new_block(struct mend *m, enum block_kind kind, uint64_t *block, void *data)
{
	void **p = data;
	int r = grow((void **)&m->fresh, &m->max_fresh, m->nr_fresh, sizeof(*m->fresh));

	if (!r)
		r = take_block(m, block);
	if (r)
		return r;
	*p = pd_io_buffer(1);
	if (!*p)
		return -ENOMEM;
	memset(*p, 0, PD_BLOCK_SIZE);
	m->fresh[m->nr_fresh++] = (struct fresh){ *block, kind, *p };
	return 0;
}

/* ---- trees, written anew ---- */

struct entries {
	uint64_t nr;
	uint64_t *keys;
	uint8_t *values;
	uint32_t value_size;
};

/* One level: @e spread evenly over as few nodes as hold it. Leaves their keys and blocks in @e. */
static int write_level(struct mend *m, struct entries *e, uint32_t flags)
{
	uint32_t max = node_max_entries(e->value_size);
	uint64_t nr_nodes = e->nr ? ceil_div(e->nr, max) : 1, at = 0;
	struct entries above = { .nr = nr_nodes, .value_size = sizeof(le64) };
	int r = -ENOMEM;

	above.keys = malloc(nr_nodes * sizeof(*above.keys));
	above.values = malloc(nr_nodes * sizeof(le64));
	if (!above.keys || !above.values)
		goto out;
	for (uint64_t i = 0; i < nr_nodes; i++) {
		uint32_t nr = (uint32_t)(e->nr / nr_nodes + (i < e->nr % nr_nodes));
		struct node_header *n;
		uint64_t block;
		le64 v;

		r = new_block(m, KIND_NODE, &block, &n);
		if (r)
			goto out;
		n->flags = le32_put(flags);
		n->nr_entries = le32_put(nr);
		n->max_entries = le32_put(max);
		n->value_size = le32_put(e->value_size);
		for (uint32_t k = 0; k < nr; k++)
			node_keys(n)[k] = le64_put(e->keys[at + k]);
		memcpy(node_value_ptr(n, 0), e->values + at * e->value_size,
		       (size_t)nr * e->value_size);
		above.keys[i] = nr ? e->keys[at] : 0;
		v = le64_put(block);
		memcpy(above.values + i * sizeof(v), &v, sizeof(v));
		at += nr;
	}
	r = 0;
out:
	free(e->keys);
	free(e->values);
	*e = above;
	return r;
}

/* Takes the arrays of @e. */
static int write_tree(struct mend *m, struct entries *e, le64 *root)
{
	int r = write_level(m, e, NODE_LEAF);

	while (!r && e->nr > 1)
		r = write_level(m, e, NODE_INTERNAL);
	if (!r)
		memcpy(root, e->values, sizeof(*root));
	free(e->keys);
	free(e->values);
	return r;
}

/* The entries of a tree that was found sound; its nodes are freed. */
static int replace_tree(struct mend *m, uint64_t root, enum pd_place place, uint32_t value_size,
			struct entries *e)
{
	struct tree_walk w = { .place = place, .value_size = value_size, .root = root,
			       .no_refs = true, .want_nodes = true };
	int r = scan_tree(m->s, &w);

	if (!r && w.damaged)
		r = -EIO;
	for (uint64_t i = 0; !r && i < w.nr_nodes; i++)
		r = free_block(m, w.nodes[i]);
	if (!r) {
		*e = (struct entries){ w.nr, w.keys, w.values, value_size };
		w.keys = NULL;
		w.values = NULL;
	}
	tree_walk_exit(&w);
	return r;
}

/* Entries that leaked come down; below 3 they go. Both ascend. */
static void lower_overflow(struct entries *e, const struct sm_leaks *leaks)
{
	uint64_t to = 0;
	size_t l = 0;

	for (uint64_t i = 0; i < e->nr; i++) {
		le32 v;

		memcpy(&v, e->values + i * sizeof(v), sizeof(v));
		while (l < leaks->nr && leaks->l[l].block < e->keys[i])
			l++;
		if (l < leaks->nr && leaks->l[l].block == e->keys[i])
			v = le32_put(leaks->l[l].want);
		if (le32_get(v) < 3)
			continue;
		e->keys[to] = e->keys[i];
		memcpy(e->values + to++ * sizeof(v), &v, sizeof(v));
	}
	e->nr = to;
}

static int mend_overflow(struct mend *m, enum pd_place place, const struct sm_leaks *leaks,
			 le64 *root)
{
	struct entries e;
	bool any = false;
	int r;

	for (size_t i = 0; i < leaks->nr; i++)
		any |= leaks->l[i].got >= 3;
	if (!any)
		return 0;
	r = replace_tree(m, le64_get(*root), place, sizeof(le32), &e);
	if (r)
		return r;
	lower_overflow(&e, leaks);
	return write_tree(m, &e, root);
}

/* ---- data space map ---- */

static void put_hints(struct index_entry *ie, const struct sm_group *g, bool changed, bool hints)
{
	if (changed || (hints && le32_get(ie->nr_free) != g->nr_free))
		ie->nr_free = le32_put(g->nr_free);
	if (changed || (hints && le32_get(ie->none_free_before) > g->first_free))
		ie->none_free_before = le32_put(g->first_free);
}

/* A new bitmap for group @i of the index, with its leaks taken out. */
static int mend_data_bitmap(struct mend *m, struct data_sm *d, uint64_t i, struct index_entry *ie,
			    const struct sm_leak *l, size_t nr)
{
	uint64_t old = le64_get(ie->blocknr), block, begin = d->index.keys[i] * ENTRIES_PER_BITMAP;
	void *data;
	int r = pd_io_read(m->s->io, old, 1, m->s->slots.buf);

	if (!r && (block_kind(m->s->slots.buf) != KIND_BITMAP))
		r = -EIO;
	if (!r)
		r = free_block(m, old);
	if (!r)
		r = new_block(m, KIND_BITMAP, &block, &data);
	if (r)
		return r;
	memcpy(data, m->s->slots.buf, PD_BLOCK_SIZE);
	for (size_t k = 0; k < nr; k++)
		bitmap_put(data, (uint32_t)(l[k].block - begin), min_t(uint32_t, l[k].want, 3));
	sm_group_look(data, d->groups[i].nr_valid, &d->groups[i]);
	ie->blocknr = le64_put(block);
	return 0;
}

static int mend_data(struct mend *m, struct data_sm *d, bool hints, struct sm_root *root)
{
	struct entries e = { d->index.nr, NULL, NULL, sizeof(struct index_entry) }, old;
	const struct sm_leaks *leaks = &d->leaks;
	uint64_t nr_allocated = 0;
	bool changed = false;
	size_t l = 0;
	int r;

	e.keys = malloc((e.nr + 1) * sizeof(*e.keys));
	e.values = malloc((e.nr + 1) * e.value_size);
	if (!e.keys || !e.values) {
		r = -ENOMEM;
		goto bad;
	}
	memcpy(e.keys, d->index.keys, e.nr * sizeof(*e.keys));
	memcpy(e.values, d->index.values, e.nr * e.value_size);
	for (uint64_t i = 0; i < e.nr; i++) {
		struct index_entry *ie = (struct index_entry *)e.values + i, before = *ie;
		uint64_t end = (e.keys[i] + 1) * ENTRIES_PER_BITMAP;
		size_t first = l;

		while (l < leaks->nr && leaks->l[l].block < end)
			l++;
		if (l > first) {
			r = mend_data_bitmap(m, d, i, ie, leaks->l + first, l - first);
			if (r)
				goto bad;
		}
		put_hints(ie, &d->groups[i], l > first, hints);
		changed |= memcmp(ie, &before, sizeof(before)) != 0;
		nr_allocated += (uint64_t)(d->groups[i].nr_valid - d->groups[i].nr_clipped);
	}
	if (leaks->nr || hints)
		root->nr_allocated = le64_put(nr_allocated);
	r = mend_overflow(m, PD_AT_DATA_SM, leaks, &root->ref_count_root);
	if (r || !changed)
		goto bad;
	r = replace_tree(m, le64_get(root->bitmap_root), PD_AT_DATA_SM, e.value_size, &old);
	if (r)
		goto bad;
	free(old.keys);
	free(old.values);
	return write_tree(m, &e, &root->bitmap_root);
bad:
	free(e.keys);
	free(e.values);
	return r;
}

/* ---- metadata space map ---- */

/* New places for every bitmap that changes; giving one a new place changes bitmaps, too. */
static int move_bitmaps(struct mend *m, struct metadata_index *index, void **bitmaps)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned i = 0; i < m->metadata->nr_bitmaps; i++) {
			uint64_t block;
			int r;

			if (!m->dirty[i] || bitmaps[i])
				continue;
			r = free_block(m, le64_get(index->index[i].blocknr));
			if (!r)
				r = new_block(m, KIND_BITMAP, &block, &bitmaps[i]);
			if (r)
				return r;
			index->index[i].blocknr = le64_put(block);
			more = true;
		}
	}
	return 0;
}

static int mend_metadata(struct mend *m, bool hints, struct sm_root *root)
{
	struct metadata_sm *sm = m->metadata;
	void *bitmaps[MAX_METADATA_BITMAPS] = { NULL };
	struct metadata_index index = sm->index, *place;
	uint64_t block, nr_allocated = 0;
	int r;

	for (size_t i = 0; i < sm->leaks.nr; i++)
		m->dirty[sm->leaks.l[i].block / ENTRIES_PER_BITMAP] = true;
	r = mend_overflow(m, PD_AT_METADATA_SM, &sm->leaks, &root->ref_count_root);
	if (!r)
		r = free_block(m, le64_get(root->bitmap_root));
	if (!r)
		r = new_block(m, KIND_INDEX, &block, &place);
	if (!r)
		r = move_bitmaps(m, &index, bitmaps);
	if (r)
		return r;
	for (unsigned i = 0; i < sm->nr_bitmaps; i++) {
		uint64_t begin = (uint64_t)i * ENTRIES_PER_BITMAP;
		unsigned nr = (unsigned)min_t(uint64_t, sm->nr_blocks - begin, ENTRIES_PER_BITMAP);
		struct sm_group g;

		if (bitmaps[i]) {
			memcpy(bitmaps[i], sm->bitmaps[i], PD_BLOCK_SIZE);
			for (unsigned e = 0; e < nr; e++)
				bitmap_put(bitmaps[i], e,
					   min_t(uint32_t, m->s->slots.slot[begin + e].refs, 3));
		}
		sm_group_look(bitmaps[i] ? bitmaps[i] : sm->bitmaps[i], nr, &g);
		put_hints(&index.index[i], &g, bitmaps[i], hints);
		nr_allocated += nr - g.nr_clipped;
	}
	memcpy(place, &index, sizeof(index));
	root->bitmap_root = le64_put(block);
	root->nr_allocated = le64_put(nr_allocated);
	return 0;
}

/* Is there an index entry that --auto-repair would set right? */
static bool hints_off(const struct metadata_sm *sm, const struct sm_root *root)
{
	uint64_t nr_allocated = 0;

	for (unsigned i = 0; i < sm->nr_bitmaps; i++) {
		uint64_t begin = (uint64_t)i * ENTRIES_PER_BITMAP;
		unsigned nr = (unsigned)min_t(uint64_t, sm->nr_blocks - begin, ENTRIES_PER_BITMAP);
		struct index_entry ie = sm->index.index[i];
		struct sm_group g;

		sm_group_look(sm->bitmaps[i], nr, &g);
		put_hints(&ie, &g, false, true);
		if (memcmp(&ie, &sm->index.index[i], sizeof(ie)))
			return true;
		nr_allocated += nr - g.nr_clipped;
	}
	return nr_allocated != le64_get(root->nr_allocated);
}

static int write_out(struct mend *m)
{
	int r = 0;

	for (size_t i = 0; !r && i < m->nr_fresh; i++) {
		block_seal(m->fresh[i].data, m->fresh[i].kind, m->fresh[i].block);
		r = io_write_told(m->s->io, m->fresh[i].block, 1, m->fresh[i].data, m->s->run->log);
	}
	return r ? r : io_flush_told(m->s->io, m->s->run->log);
}

static void say_why(struct mend *m, int r)
{
	struct pd_log *log = m->s->run->log;

	if (r == -ENOSPC)
		pd_log(log, PD_LOG_ERR, "there is no free metadata block to mend the space maps with");
	else if (r == -EUCLEAN)
		pd_log(log, PD_LOG_ERR, "blocks of a space map are in use elsewhere: "
		       "it cannot be mended in place");
	else if (r)
		pd_log(log, PD_LOG_ERR, "mending the space maps: %s", pd_strerror(r));
}

int mend_space_maps(struct scan *s, struct metadata_sm *metadata, struct data_sm *data, bool hints,
		    struct mended *out)
{
	struct mend m = { .s = s, .metadata = metadata, .next = 1 };
	struct sm_root old_data;
	int r = 0;

	*out = (struct mended){ .metadata = metadata->root };
	out->nr_counts = metadata->leaks.nr;
	if (data) {
		out->data = old_data = data->root;
		out->nr_counts += data->leaks.nr;
		r = mend_data(&m, data, hints, &out->data);
		out->changed = memcmp(&out->data, &old_data, sizeof(old_data)) != 0;
	}
	if (!r && (m.nr_fresh || metadata->leaks.nr || (hints && hints_off(metadata, &out->metadata)))) {
		r = mend_metadata(&m, hints, &out->metadata);
		out->changed = true;
	}
	out->in_place = m.in_place;
	say_why(&m, r);
	if (!r && m.nr_fresh)
		r = write_out(&m);
	for (size_t i = 0; i < m.nr_fresh; i++)
		free(m.fresh[i].data);
	free(m.fresh);
	free(m.freed);
	return r;
}

static_assert(offsetof(struct thin_superblock, flags) == offsetof(struct cache_superblock, flags) &&
	      offsetof(struct thin_superblock, flags) == offsetof(struct clone_superblock, flags), "flags");

int mend_superblock(struct pd_io *io, const struct mend_sb *how, const struct mended *maps, struct pd_log *log)
{
	uint8_t *sb = pd_io_buffer(1);
	struct thin_superblock *flags = (void *)sb;	/* which are in the same place in all of them */
	int r = sb ? pd_io_read(io, SB_LOCATION, 1, sb) : -ENOMEM;

	if (!r && (block_kind(sb) != how->kind || memcmp(sb, how->seen, how->seen_len)))
		r = -EUCLEAN;
	if (r) {
		pd_log(log, PD_LOG_ERR, "%s: reading block %llu again: %s", pd_io_name(io), SB_LOCATION,
		       r == -EUCLEAN ? "it has changed meanwhile" : pd_strerror(r));
	} else {
		if (maps->changed)
			memcpy(sb + how->metadata_root_at, &maps->metadata, sizeof(maps->metadata));
		if (maps->changed && how->data_root_at)
			memcpy(sb + how->data_root_at, &maps->data, sizeof(maps->data));
		flags->flags = le32_put(le32_get(flags->flags) & ~how->clear_flags);
		block_seal(sb, how->kind, SB_LOCATION);
		r = io_write_told(io, SB_LOCATION, 1, sb, log);
		if (!r)
			r = io_flush_told(io, log);
	}
	free(sb);
	return r;
}
