/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Generations: states that were committed, one of which stands for a lost superblock. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include "thin/salvage.h"

#define MAX_CANDIDATES MAX_GENERATIONS

struct survey {
	struct scan s;
	struct mappings m;
	struct damage damage;
	const struct pd_thin_repair_opts *o;
	struct bits index_blocks, details;	/* blocks: index; nodes of details trees */
	struct bits explained;			/* belong to some state that is known */
	uint32_t block_size;			/* of an intact copy of a superblock, or 0 */
	pthread_mutex_t lock;
};

/* One state that was committed, or a pair of roots that agree. */
struct candidate {
	struct thin_superblock sb;
	uint64_t index_block;		/* 0: only roots */
	bool incomplete;		/* a root, or both, are lost */
	bool has_details;		/* so that time and transaction are known */
	bool holes;			/* of its leaves some are lost: mapping_time may be later */
	uint32_t time, mapping_time;
	uint64_t transaction;
	uint64_t nr_devices, nr_mappings;
	uint64_t nr_data_blocks;	/* the highest mapped, and one */
};

struct candidates {
	struct candidate c[MAX_CANDIDATES];
	unsigned nr;
	bool too_many;
	bool not_named;			/* the index block asked for says nothing */
};

/* The newest time of a mapping leaf. Where all values are numbers of blocks the leaf is of the upper tree: 0. */
static uint32_t leaf_time(const struct node_header *n, uint64_t nr_blocks)
{
	uint64_t highest = 0;
	uint32_t t = 0;

	for (uint32_t i = 0; i < le32_get(n->nr_entries); i++) {
		highest = max_t(uint64_t, highest, node_value64(n, i));
		t = max_t(uint32_t, t, mapping_time(node_value64(n, i)));
	}
	return highest < nr_blocks ? 0 : t;
}

/* Keeps of each block what generations are told apart by: a mapping leaf's newest time stands in its
 * slot's refs, which nobody else uses here. */
static int survey_block(void *ctx, unsigned worker, uint64_t block, const struct slot *slot,
			const void *data)
{
	struct survey *v = ctx;
	struct slot *mine = (struct slot *)slot;

	(void)worker;
	if (slot->state != SLOT_OK)
		return 0;
	if (slot->kind == KIND_INDEX)
		bits_test_and_set_atomic(&v->index_blocks, block);
	if (slot->kind == KIND_THIN_SB) {
		const struct thin_superblock *sb = data;

		pthread_mutex_lock(&v->lock);
		if (thin_block_size_ok(le32_get(sb->data_block_size)))
			v->block_size = le32_get(sb->data_block_size);
		pthread_mutex_unlock(&v->lock);
	}
	if (slot->kind == KIND_NODE && slot->flags & SLOT_LEAF) {
		if (slot->value_size == sizeof(struct thin_device_details))
			bits_test_and_set_atomic(&v->details, block);
		if (slot->value_size == sizeof(le64))
			mine->refs = leaf_time(data, v->s.slots.nr_blocks);
	}
	return 0;
}

static int survey_init(struct survey *v, struct pd_io *in, const struct pd_run *run)
{
	struct bits all = { .nr = 0 };
	int r;

	damage_init(&v->damage);
	pthread_mutex_init(&v->lock, NULL);
	r = scan_init(&v->s, in, run, &v->damage, pd_io_nr_blocks(in));
	if (!r)
		r = mappings_init(&v->m, &v->s, NULL, UINT64_MAX >> 24, THIN_MAX_TIME);
	if (!r)
		r = bits_init(&v->index_blocks, v->s.slots.nr_blocks);
	if (!r)
		r = bits_init(&v->details, v->s.slots.nr_blocks);
	if (!r)
		r = bits_init(&v->explained, v->s.slots.nr_blocks);
	if (!r)
		r = bits_init(&all, v->s.slots.nr_blocks);
	for (uint64_t b = 1; !r && b < all.nr; b++)
		bits_set(&all, b);
	if (!r)
		r = slots_read(&v->s.slots, &all, run, "looking for generations", survey_block, v);
	bits_exit(&all);
	return r;
}

static void survey_exit(struct survey *v)
{
	mappings_exit(&v->m);
	scan_exit(&v->s);
	damage_exit(&v->damage);
	bits_exit(&v->index_blocks);
	bits_exit(&v->details);
	bits_exit(&v->explained);
	pthread_mutex_destroy(&v->lock);
}

static bool is_node(const struct survey *v, uint64_t b)
{
	return b && b < v->s.slots.nr_blocks && v->s.slots.slot[b].state == SLOT_OK &&
	       v->s.slots.slot[b].kind == KIND_NODE;
}

/* Size of the values in the leaves of the tree at @b, by its left edge; 0 if that is lost. */
static uint32_t leaf_value_size(struct survey *v, uint64_t b)
{
	struct child buf[INTERNAL_MAX_ENTRIES];

	for (unsigned depth = 0; depth < MAX_TREE_DEPTH && is_node(v, b); depth++) {
		const struct slot *slot = &v->s.slots.slot[b];
		const struct child *c;

		if (slot->flags & SLOT_LEAF)
			return slot->value_size;
		c = slots_children(&v->s.slots, b, buf);
		if (!c || !slot->nr)
			return 0;
		b = c[0].block;
	}
	return 0;
}

static int load_tree(struct survey *v, struct tree_walk *w, uint64_t root, uint32_t value_size)
{
	*w = (struct tree_walk){ .place = PD_AT_DETAILS, .value_size = value_size, .root = root,
				 .no_refs = true };
	return scan_tree(&v->s, w);
}

/* The newest mapping and the highest data block below @b, which is a sound device tree. */
static void look_below(struct survey *v, uint64_t b, unsigned depth, struct candidate *c)
{
	struct child buf[INTERNAL_MAX_ENTRIES];
	const struct slot *slot;
	const struct child *child;

	if (!is_node(v, b) || depth >= MAX_TREE_DEPTH)
		return;
	slot = &v->s.slots.slot[b];
	if (slot->flags & SLOT_LEAF) {
		const struct node_header *n = v->s.slots.buf;

		c->mapping_time = max_t(uint32_t, c->mapping_time, slot->refs);
		if (v->o->overrides.has_nr_data_blocks || pd_io_read(v->s.io, b, 1, v->s.slots.buf) ||
		    node_check(n, sizeof(le64)))
			return;
		for (uint32_t i = 0; i < le32_get(n->nr_entries); i++)
			c->nr_data_blocks = max_t(uint64_t, c->nr_data_blocks,
						  mapping_block(node_value64(n, i)) + 1);
		return;
	}
	child = slots_children(&v->s.slots, b, buf);
	for (unsigned i = 0; child && i < slot->nr; i++)
		look_below(v, child[i].block, depth + 1, c);
}

/*
 * Do these two trees agree: the same ids, and each device's tree holds what its details say, or has lost
 * nodes for the rest? Then @c gets its numbers.
 */
static int agree(struct survey *v, const struct tree_walk *details, uint64_t upper_root,
		 struct candidate *c, bool *yes)
{
	struct tree_walk upper;
	int r = load_tree(v, &upper, upper_root, sizeof(le64));

	*yes = !r && !upper.damaged && upper.nr == details->nr &&
	       (!upper.nr || !memcmp(upper.keys, details->keys, upper.nr * sizeof(*upper.keys)));
	for (uint64_t i = 0; !r && *yes && i < upper.nr; i++) {
		struct thin_device_details d;
		struct mappings_sum sum = { .damaged = true };
		le64 root;

		memcpy(&d, details->values + i * sizeof(d), sizeof(d));
		memcpy(&root, upper.values + i * sizeof(root), sizeof(root));
		/* The fold counts references, which are times here. */
		r = mappings_peek(&v->m, le64_get(root), &sum);
		if (!sum.damaged ? sum.nr_mappings != le64_get(d.mapped_blocks) :
				   sum.nr_mappings > le64_get(d.mapped_blocks))
			*yes = false;
		c->time = max_t(uint32_t, c->time, max_t(uint32_t, le32_get(d.creation_time),
							 le32_get(d.snapshotted_time)));
		c->transaction = max_t(uint64_t, c->transaction, le64_get(d.transaction_id));
		c->nr_mappings += sum.nr_mappings;
		c->holes |= sum.damaged;
		if (*yes)
			look_below(v, le64_get(root), 0, c);
	}
	c->nr_devices = upper.nr;
	tree_walk_exit(&upper);
	return r;
}

static void explain_below(struct survey *v, uint64_t b, unsigned depth)
{
	struct child buf[INTERNAL_MAX_ENTRIES];
	const struct child *child;

	if (!is_node(v, b) || depth >= MAX_TREE_DEPTH || bits_test_and_set(&v->explained, b) ||
	    v->s.slots.slot[b].flags & SLOT_LEAF)
		return;
	child = slots_children(&v->s.slots, b, buf);
	for (unsigned i = 0; child && i < v->s.slots.slot[b].nr; i++)
		explain_below(v, child[i].block, depth + 1);
}

/* The blocks of the devices below this upper tree belong to a state that is known. */
static int explain(struct survey *v, uint64_t root)
{
	struct tree_walk upper;
	int r = load_tree(v, &upper, root, sizeof(le64));

	for (uint64_t i = 0; !r && i < upper.nr; i++)
		explain_below(v, upper_root(&upper, i), 0);
	tree_walk_exit(&upper);
	return r;
}

static void put_roots(struct candidate *c, uint64_t upper, uint64_t details)
{
	c->sb.data_mapping_root = le64_put(upper);
	c->sb.device_details_root = le64_put(details);
}

static void add_candidate(struct candidates *all, const struct candidate *c)
{
	if (all->nr == MAX_CANDIDATES)
		all->too_many = true;
	else
		all->c[all->nr++] = *c;
}

bool generation_counts(struct scan *s, uint64_t index_block, struct metadata_sm *sm)
{
	struct metadata_index *index = &sm->index;

	memset(sm, 0, sizeof(*sm));
	if (pd_io_read(s->io, index_block, 1, s->slots.buf))
		return false;
	memcpy(index, s->slots.buf, sizeof(*index));
	while (sm->nr_bitmaps < MAX_METADATA_BITMAPS &&
	       le64_get(index->index[sm->nr_bitmaps].blocknr))
		sm->nr_bitmaps++;
	sm->nr_blocks = min_t(uint64_t, (uint64_t)sm->nr_bitmaps * ENTRIES_PER_BITMAP,
			      s->slots.nr_blocks);
	sm->bitmaps = calloc(sm->nr_bitmaps + 1, PD_BLOCK_SIZE);
	for (unsigned i = 0; sm->bitmaps && i < sm->nr_bitmaps; i++) {
		uint64_t b = le64_get(index->index[i].blocknr);

		if (b >= s->slots.nr_blocks || s->slots.slot[b].state != SLOT_OK ||
		    s->slots.slot[b].kind != KIND_BITMAP ||
		    pd_io_read(s->io, b, 1, sm->bitmaps[i]))
			return false;
		sm->bitmap_ok[i] = true;
	}
	return sm->bitmaps && sm->nr_bitmaps;
}

/* Nodes in use that no node in use refers to. */
static int find_tops(struct survey *v, const struct metadata_sm *sm, struct bits *tops)
{
	struct child buf[INTERNAL_MAX_ENTRIES];
	int r = bits_init(tops, v->s.slots.nr_blocks);

	if (r)
		return r;
	for (uint64_t b = 1; b < sm->nr_blocks; b++)
		if (metadata_sm_get(sm, b) && is_node(v, b))
			bits_set(tops, b);
	for (uint64_t b = 1; b < sm->nr_blocks; b++) {
		const struct slot *slot = &v->s.slots.slot[b];
		const struct child *c;

		if (!metadata_sm_get(sm, b) || !is_node(v, b) || slot->flags & SLOT_LEAF)
			continue;
		c = slots_children(&v->s.slots, b, buf);
		for (unsigned i = 0; c && i < slot->nr; i++)
			if (c[i].block < tops->nr)
				bits_clear(tops, c[i].block);
	}
	return 0;
}

/* A metadata snapshot's roots are not the live ones, unless both share them. */
static void drop_held_roots(struct survey *v, const struct metadata_sm *sm, struct bits *tops)
{
	for (uint64_t b = 1; b < sm->nr_blocks; b++) {
		const struct slot *slot = &v->s.slots.slot[b];
		struct thin_superblock sb;
		uint64_t roots[2];

		if (slot->state != SLOT_OK || slot->kind != KIND_THIN_SB ||
		    !metadata_sm_get(sm, b) || pd_io_read(v->s.io, b, 1, v->s.slots.buf))
			continue;
		memcpy(&sb, v->s.slots.buf, sizeof(sb));
		roots[0] = le64_get(sb.data_mapping_root);
		roots[1] = le64_get(sb.device_details_root);
		for (unsigned i = 0; i < 2; i++)
			if (roots[i] < sm->nr_blocks && metadata_sm_get(sm, roots[i]) == 1)
				bits_clear(tops, roots[i]);
	}
}

/* Is this overflow tree the metadata's own? Each of its keys has a 3 in the bitmap. */
static bool counts_metadata(struct survey *v, const struct metadata_sm *sm, uint64_t root)
{
	struct tree_walk w;
	bool yes = !load_tree(v, &w, root, sizeof(le32)) && !w.damaged;

	for (uint64_t i = 0; yes && i < w.nr; i++)
		yes = w.keys[i] < sm->nr_blocks && metadata_sm_get(sm, w.keys[i]) == 3;
	tree_walk_exit(&w);
	return yes;
}

static void put_space_maps(struct survey *v, struct candidate *c, const struct metadata_sm *sm,
			   const struct bits *tops)
{
	struct sm_root data = { .nr_blocks = le64_put(0) }, metadata = {
		.nr_blocks = le64_put(sm->nr_blocks), .bitmap_root = le64_put(c->index_block),
	};

	for (uint64_t b = bits_next(tops, 0); b < tops->nr; b = bits_next(tops, b + 1)) {
		uint32_t size = leaf_value_size(v, b);

		if (size == sizeof(struct index_entry))
			data.bitmap_root = le64_put(b);
		if (size != sizeof(le32))
			continue;
		if (!le64_get(metadata.ref_count_root) && counts_metadata(v, sm, b))
			metadata.ref_count_root = le64_put(b);
		else
			data.ref_count_root = le64_put(b);
	}
	memcpy(c->sb.metadata_space_map_root, &metadata, sizeof(metadata));
	memcpy(c->sb.data_space_map_root, &data, sizeof(data));
}

/* Is this the upper tree of devices some of which can be found? Few mappings look like that. */
static bool is_upper(struct survey *v, uint64_t b)
{
	struct tree_walk w;
	bool yes = !load_tree(v, &w, b, sizeof(le64)) && !w.damaged, any = false;

	for (uint64_t i = 0; yes && i < w.nr; i++) {
		le64 root;

		memcpy(&root, w.values + i * sizeof(root), sizeof(root));
		yes = le64_get(root) && le64_get(root) < v->s.slots.nr_blocks;
		any |= yes && leaf_value_size(v, le64_get(root)) == sizeof(le64);
	}
	tree_walk_exit(&w);
	return yes && any;
}

/* The times that the details tree at @root tells. */
static int take_details(struct survey *v, uint64_t root, struct candidate *c)
{
	struct tree_walk w;
	int r = load_tree(v, &w, root, sizeof(struct thin_device_details));

	if (!r && !w.damaged) {
		c->has_details = true;
		c->sb.device_details_root = le64_put(root);
		c->nr_devices = w.nr;
	}
	for (uint64_t i = 0; !r && !w.damaged && i < w.nr; i++) {
		struct thin_device_details d;

		memcpy(&d, w.values + i * sizeof(d), sizeof(d));
		c->time = max_t(uint32_t, c->time, max_t(uint32_t, le32_get(d.creation_time),
							 le32_get(d.snapshotted_time)));
		c->transaction = max_t(uint64_t, c->transaction, le64_get(d.transaction_id));
	}
	tree_walk_exit(&w);
	return r;
}

/* A state of which a root, or both, are lost. It may be the last one all the same: what is in use there is known. */
static int take_incomplete(struct survey *v, const struct metadata_sm *sm, const struct bits *tops,
			   struct candidate *c)
{
	uint64_t upper = 0, details = 0;
	unsigned nr_upper = 0, nr_details = 0;

	c->incomplete = c->holes = true;
	for (uint64_t b = bits_next(tops, 0); b < tops->nr; b = bits_next(tops, b + 1)) {
		uint32_t size = leaf_value_size(v, b);

		if (size == sizeof(struct thin_device_details)) {
			details = b;
			nr_details++;
		} else if (size == sizeof(le64)) {
			if (is_upper(v, b)) {
				upper = b;
				nr_upper++;
			} else {
				look_below(v, b, 0, c);
			}
		}
	}
	for (uint64_t b = 1; b < sm->nr_blocks; b++)
		if (metadata_sm_get(sm, b) && is_node(v, b) && v->s.slots.slot[b].flags & SLOT_LEAF &&
		    v->s.slots.slot[b].value_size == sizeof(le64) && !is_upper(v, b))
			c->nr_mappings += v->s.slots.slot[b].nr;
	put_roots(c, nr_upper == 1 ? upper : 0, 0);
	return nr_details == 1 ? take_details(v, details, c) : 0;
}

/* The state that one index block names. */
static int try_index(struct survey *v, uint64_t index_block, struct candidates *all)
{
	struct candidate found, c = { .index_block = index_block };
	struct metadata_sm sm;
	struct bits tops = { .nr = 0 };
	bool any = false;
	int r = 0;

	if (generation_counts(&v->s, index_block, &sm))
		r = find_tops(v, &sm, &tops);
	if (tops.words)
		drop_held_roots(v, &sm, &tops);
	for (uint64_t d = bits_next(&tops, 0); !r && !any && d < tops.nr; d = bits_next(&tops, d + 1)) {
		struct tree_walk details;

		if (leaf_value_size(v, d) != sizeof(struct thin_device_details))
			continue;
		r = load_tree(v, &details, d, sizeof(struct thin_device_details));
		for (uint64_t u = bits_next(&tops, 0); !r && !details.damaged && u < tops.nr;
		     u = bits_next(&tops, u + 1)) {
			bool yes = false;

			if (leaf_value_size(v, u) != sizeof(le64))
				continue;
			found = c;
			r = agree(v, &details, u, &found, &yes);
			if (yes) {
				put_roots(&found, u, d);
				any = true;
				break;
			}
		}
		tree_walk_exit(&details);
	}
	if (!r && !any && tops.words) {
		found = c;
		r = take_incomplete(v, &sm, &tops, &found);
		any = found.nr_mappings;
	}
	for (uint64_t b = 1; !r && any && b < sm.nr_blocks; b++)
		if (metadata_sm_get(&sm, b))
			bits_set(&v->explained, b);
	if (!r && any) {
		put_space_maps(v, &found, &sm, &tops);
		add_candidate(all, &found);
	}
	if (tops.words)
		bits_exit(&tops);
	metadata_sm_exit(&sm);
	return r;
}

static bool has_details_root(const struct candidates *all, uint64_t d)
{
	for (unsigned i = 0; i < all->nr; i++)
		if (all->c[i].index_block && !all->c[i].incomplete &&
		    le64_get(all->c[i].sb.device_details_root) == d)
			return true;
	return false;
}

/* Pairs of roots that no index block speaks for: the live one may be lost. Details trees of one leaf; a
 * pool with more devices than that has too many leaves to go through. */
static int try_pairs(struct survey *v, struct candidates *all)
{
	int r = 0;

	for (uint64_t d = bits_next(&v->details, 0); !r && d < v->details.nr;
	     d = bits_next(&v->details, d + 1)) {
		struct tree_walk details;

		if (has_details_root(all, d) || !v->s.slots.slot[d].nr)
			continue;
		r = load_tree(v, &details, d, sizeof(struct thin_device_details));
		for (uint64_t u = 1; !r && u < v->s.slots.nr_blocks; u++) {
			const struct slot *slot = &v->s.slots.slot[u];
			struct candidate c = { .index_block = 0 };
			bool yes = false;

			if (!is_node(v, u) || !(slot->flags & SLOT_LEAF) ||
			    slot->value_size != sizeof(le64) || slot->nr != details.nr ||
			    slot->first != details.keys[0] || slot->last != details.keys[details.nr - 1])
				continue;
			r = agree(v, &details, u, &c, &yes);
			if (!yes)
				continue;
			put_roots(&c, u, d);
			add_candidate(all, &c);
			r = explain(v, u);
		}
		tree_walk_exit(&details);
	}
	return r;
}

/* Details that neither an index block nor an upper tree agrees with: the same. */
static int try_details(struct survey *v, struct candidates *all)
{
	int r = 0;

	for (uint64_t d = bits_next(&v->details, 0); !r && d < v->details.nr;
	     d = bits_next(&v->details, d + 1)) {
		struct candidate c = { .incomplete = true, .nr_mappings = 1 };
		bool known = false;

		for (unsigned i = 0; i < all->nr; i++)
			known |= le64_get(all->c[i].sb.device_details_root) == d;
		if (known || !v->s.slots.slot[d].nr)
			continue;
		r = take_details(v, d, &c);
		if (!r && c.has_details)
			add_candidate(all, &c);
	}
	return r;
}

/* Upper trees that neither an index block nor details speak for: both may be lost, and with them what the last state was. */
static int try_uppers(struct survey *v, struct candidates *all)
{
	int r = 0;

	for (uint64_t u = 1; !r && u < v->s.slots.nr_blocks; u++) {
		const struct slot *slot = &v->s.slots.slot[u];
		struct candidate c = { .incomplete = true };
		struct tree_walk w;
		bool known = false;

		if (!is_node(v, u) || !(slot->flags & SLOT_LEAF) || slot->value_size != sizeof(le64) ||
		    !is_upper(v, u))
			continue;
		for (unsigned i = 0; i < all->nr; i++)
			known |= le64_get(all->c[i].sb.data_mapping_root) == u;
		if (known)
			continue;
		r = load_tree(v, &w, u, sizeof(le64));
		for (uint64_t i = 0; !r && i < w.nr; i++) {
			struct mappings_sum sum = { .damaged = true };
			le64 root;

			memcpy(&root, w.values + i * sizeof(root), sizeof(root));
			r = mappings_peek(&v->m, le64_get(root), &sum);
			c.nr_mappings += sum.nr_mappings;
			c.holes |= sum.damaged;
			look_below(v, le64_get(root), 0, &c);
		}
		c.nr_devices = w.nr;
		tree_walk_exit(&w);
		put_roots(&c, u, 0);
		if (!r)
			add_candidate(all, &c);
		if (!r)
			r = explain(v, u);
	}
	return r;
}

static bool knows_times(const struct candidate *c)
{
	return !c->incomplete || c->has_details;
}

static bool has_time(const struct candidate *c, uint32_t time)
{
	return !knows_times(c) || c->time == time;
}

/* Of some nothing but the details is left. */
static bool has_mappings(const struct candidate *c)
{
	return c->index_block || le64_get(c->sb.data_mapping_root);
}

static bool has_mapping_time(const struct candidate *c, uint32_t time)
{
	return !has_mappings(c) || c->mapping_time == time || (c->holes && knows_times(c));
}

/* Leaves the newest, by snapshots, mappings and transactions, in this order; empty ones go if others do
 * not. */
static void keep_newest(struct candidates *all)
{
	struct candidate top = { .time = 0 };
	bool mapped = false;
	unsigned n = 0;

	for (unsigned i = 0; i < all->nr; i++)
		mapped |= all->c[i].nr_mappings;
	for (unsigned pass = 0; pass < 3; pass++)
		for (unsigned i = 0; i < all->nr; i++) {
			const struct candidate *c = &all->c[i];

			if (pass == 0)
				top.time = max_t(uint32_t, top.time, c->time);
			else if (pass == 1 && has_time(c, top.time) && has_mappings(c))
				top.mapping_time = max_t(uint32_t, top.mapping_time, c->mapping_time);
			else if (pass == 2 && has_time(c, top.time) && has_mapping_time(c, top.mapping_time))
				top.transaction = max_t(uint64_t, top.transaction, c->transaction);
		}
	for (unsigned i = 0; i < all->nr; i++) {
		const struct candidate *c = &all->c[i];

		if (has_time(c, top.time) && has_mapping_time(c, top.mapping_time) &&
		    (!knows_times(c) || c->transaction == top.transaction) && (!mapped || c->nr_mappings))
			all->c[n++] = *c;
	}
	all->nr = n;
}

static int fill_numbers(struct survey *v, struct candidate *c, struct pd_log *log)
{
	const struct pd_thin_overrides *o = &v->o->overrides;
	struct sm_root data = sm_root_get(c->sb.data_space_map_root);
	uint32_t size = o->has_data_block_size ? o->data_block_size : v->block_size;

	if (!size) {
		pd_log(log, PD_LOG_ERR, "bad checksum in superblock, and the data block size stands nowhere else: "
		       "give it with --data-block-size");
		return -EINVAL;
	}
	data.nr_blocks = le64_put(o->has_nr_data_blocks ? o->nr_data_blocks : c->nr_data_blocks);
	memcpy(c->sb.data_space_map_root, &data, sizeof(data));
	c->sb.magic = le64_put(THIN_MAGIC);
	c->sb.version = le32_put(THIN_VERSION);
	c->sb.data_block_size = le32_put(size);
	c->sb.trans_id = le64_put(o->has_transaction_id ? o->transaction_id : c->transaction + 1);
	c->sb.time = le32_put(max_t(uint32_t, c->time, c->mapping_time));
	return 0;
}

/* Clears the bits of what the upper tree's leaf @b names. */
static void clear_named(struct survey *v, uint64_t b, struct bits *set)
{
	const struct node_header *n = v->s.slots.buf;

	if (pd_io_read(v->s.io, b, 1, v->s.slots.buf) || block_kind(n) != KIND_NODE || node_check(n, sizeof(le64)))
		return;
	for (uint32_t i = 0; i < le32_get(n->nr_entries); i++)
		if (node_value64(n, i) < set->nr)
			bits_clear(set, node_value64(n, i));
}

/* Devices' trees that no node that is left names, with mappings as new as there are. */
static int find_trees(struct survey *v, uint32_t mapping_time, struct thin_found *found)
{
	struct child buf[INTERNAL_MAX_ENTRIES];
	struct bits set;
	int r = bits_init(&set, v->s.slots.nr_blocks);

	for (uint64_t b = 1; !r && b < set.nr; b++)
		if (is_node(v, b) && leaf_value_size(v, b) == sizeof(le64))
			bits_set(&set, b);
	for (uint64_t b = 1; !r && b < set.nr; b++) {
		const struct slot *slot = &v->s.slots.slot[b];
		const struct child *c;

		if (!is_node(v, b) || leaf_value_size(v, b) != sizeof(le64))
			continue;
		if (slot->flags & SLOT_LEAF) {
			if (!slot->refs && slot->nr && is_upper(v, b)) {
				clear_named(v, b, &set);
				bits_clear(&set, b);
			}
			continue;
		}
		c = slots_children(&v->s.slots, b, buf);
		for (unsigned i = 0; c && i < slot->nr; i++)
			if (c[i].block < set.nr)
				bits_clear(&set, c[i].block);
	}
	for (uint64_t b = r ? set.nr : bits_next(&set, 0); b < set.nr && found->nr_trees < MAX_GENERATIONS;
	     b = bits_next(&set, b + 1)) {
		struct candidate c = { .index_block = 0 };

		look_below(v, b, 0, &c);
		if (c.mapping_time == mapping_time)
			found->trees[found->nr_trees++] = b;
	}
	bits_exit(&set);
	return r;
}

/* Leaves of no state that is known, with mappings as new as there are. */
static void find_leaves(struct survey *v, uint32_t mapping_time, struct thin_found *found)
{
	for (uint64_t b = 1; b < v->s.slots.nr_blocks && found->nr_leaves < MAX_LOOSE_LEAVES; b++) {
		const struct slot *slot = &v->s.slots.slot[b];

		if (is_node(v, b) && slot->flags & SLOT_LEAF && slot->nr && slot->value_size == sizeof(le64) &&
		    !bits_test(&v->explained, b) && slot->refs == mapping_time && !is_upper(v, b))
			found->leaves[found->nr_leaves++] = b;
	}
}

/* To begin with: complete ones, those with counts, those with more. */
static bool is_better(const struct candidate *a, const struct candidate *b)
{
	if (a->incomplete != b->incomplete)
		return !a->incomplete;
	if (!a->index_block != !b->index_block)
		return a->index_block;
	return a->nr_mappings > b->nr_mappings;
}

static int choose(struct survey *v, struct candidates *all, const struct pd_run *run,
		  struct thin_found *found)
{
	unsigned best = 0;
	int r;

	for (unsigned i = 0; i < all->nr; i++) {
		const struct candidate *c = &all->c[i];

		pd_log(run->log, PD_LOG_INFO, "%s generation: index block %" PRIu64 ", upper mapping tree %" PRIu64
		       ", details %" PRIu64 ", time %" PRIu32 ", mapping time %" PRIu32 ", transaction %" PRIu64
		       ", %" PRIu64 " devices, %" PRIu64 " mappings", c->incomplete ? "incomplete" : "complete",
		       c->index_block, le64_get(c->sb.data_mapping_root), le64_get(c->sb.device_details_root), c->time,
		       c->mapping_time, c->transaction, c->nr_devices, c->nr_mappings);
	}
	if (v->o->has_generation && !all->not_named) {
		for (best = 0; best < all->nr; best++)
			if (all->c[best].index_block == v->o->generation)
				break;
		if (best == all->nr) {
			pd_log(run->log, PD_LOG_ERR, "block %" PRIu64 " is not the index block of any generation "
			       "that can be read", v->o->generation);
			return -EINVAL;
		}
		found->source = "generation asked for";
		pd_log(run->log, PD_LOG_WARN, "generation %" PRIu64 " is taken, as asked for",
		       v->o->generation);
	} else {
		keep_newest(all);
		for (unsigned i = 1; i < all->nr; i++)
			if (is_better(&all->c[i], &all->c[best]))
				best = i;
		found->source = "generation";
		if (all->nr > 1 || all->too_many)
			pd_log(run->log, PD_LOG_WARN, "%u states of the pool could be the last one: only what "
			       "all of them map alike is kept; --generation takes one whole", all->nr);
	}
	if (!all->nr || (all->c[best].incomplete && !all->c[best].index_block)) {
		pd_log(run->log, PD_LOG_ERR, "bad checksum in superblock: no compatible roots found");
		return -EUCLEAN;
	}
	r = fill_numbers(v, &all->c[best], run->log);
	if (r)
		return r;
	found->sb = all->c[best].sb;
	for (unsigned i = 0; i < all->nr; i++) {
		const struct candidate *c = &all->c[i];
		struct thin_generation *g = &found->generations[found->nr_generations++];

		*g = (struct thin_generation){
			.index_block = c->index_block, .time = c->time, .transaction = c->transaction,
			.nr_devices = c->nr_devices, .nr_mappings = c->nr_mappings,
			.mapping_root = le64_get(c->sb.data_mapping_root),
			.details_root = le64_get(c->sb.device_details_root), .chosen = i == best,
			.complete = c->index_block && !c->incomplete && !c->holes,
		};
	}
	if (!v->o->has_generation || all->not_named)
		r = find_trees(v, all->c[best].mapping_time, found);
	if (r)
		return r;
	if (!v->o->has_generation || all->not_named)
		find_leaves(v, all->c[best].mapping_time, found);
	found->intersect = (!v->o->has_generation || all->not_named) &&
			   (all->nr > 1 || found->nr_trees || found->nr_leaves);
	return all->too_many ? -EUCLEAN : 0;
}

static int try_all(struct survey *v, struct candidates *all)
{
	int r = 0;

	for (uint64_t b = bits_next(&v->index_blocks, 0); !r && b < v->index_blocks.nr;
	     b = bits_next(&v->index_blocks, b + 1))
		r = try_index(v, b, all);
	if (!r)
		r = try_pairs(v, all);
	if (!r)
		r = try_details(v, all);
	return r ? r : try_uppers(v, all);
}

static int count_misfit(void *ctx, enum pd_problem p, uint64_t begin, uint64_t end, uint64_t block, int height)
{
	(void)begin;
	(void)end;
	(void)block;
	(void)height;
	*(uint64_t *)ctx += salvage_is_misfit(p);
	return 0;
}

/* Places in the trees of @c where a sound block stands that does not belong there. */
static int count_misfits(struct survey *v, const struct candidate *c, uint64_t *nr)
{
	struct tree_walk upper;
	int r = load_tree(v, &upper, le64_get(c->sb.data_mapping_root), sizeof(le64));

	*nr = 0;
	for (uint64_t i = 0; !r && i < upper.nr; i++) {
		struct mappings_sum sum;

		r = mappings_peek(&v->m, upper_root(&upper, i), &sum);
		if (!r && sum.damaged)
			r = mappings_each_lost(&v->m, upper_root(&upper, i), count_misfit, nr);
	}
	tree_walk_exit(&upper);
	return r;
}

/*
 * Is the superblock an older one? Then much of what it leads to has been written over by a later state. That one is as new
 * by its times, and little of it has been written over.
 */
static int look_for_newer(struct survey *v, const struct candidates *all, const struct salvage *old, bool *found)
{
	int r = 0;

	*found = false;
	for (unsigned i = 0; !r && !*found && i < all->nr; i++) {
		const struct candidate *c = &all->c[i];
		uint64_t nr;

		if (c->incomplete || max_t(uint32_t, c->time, c->mapping_time) < le32_get(old->sb.time) ||
		    le64_get(c->sb.data_mapping_root) == le64_get(old->sb.data_mapping_root))
			continue;
		r = count_misfits(v, c, &nr);
		*found = !r && 4 * nr <= old->nr_misfits;
	}
	return r;
}

int thin_find_newer(struct pd_io *in, const struct pd_thin_repair_opts *o, const struct pd_run *run,
		    const struct salvage *old, struct thin_found *found, bool *newer)
{
	struct candidates *all = calloc(1, sizeof(*all));
	struct survey v = { .o = o };
	int r = survey_init(&v, in, run);

	*newer = false;
	v.block_size = le32_get(old->sb.data_block_size);
	if (!all)
		r = -ENOMEM;
	if (!r)
		r = try_all(&v, all);
	if (!r)
		r = look_for_newer(&v, all, old, newer);
	if (!r && *newer) {
		memset(found, 0, sizeof(*found));
		pd_log(run->log, PD_LOG_WARN, "the superblock is an older one: %" PRIu64 " blocks that it leads to have been "
		       "written over", old->nr_misfits);
		r = choose(&v, all, run, found);
		found->source = "generation, the superblock being an older one";
	}
	survey_exit(&v);
	free(all);
	return r;
}

int thin_find_generation(struct pd_io *in, const struct pd_thin_repair_opts *o, const struct pd_run *run,
			 struct thin_found *found)
{
	struct candidates *all = calloc(1, sizeof(*all));
	struct survey v = { .o = o };
	int r = survey_init(&v, in, run);

	if (!all)
		r = -ENOMEM;
	if (!r && !o->has_generation) {
		r = try_all(&v, all);
	} else if (!r && o->generation < v.index_blocks.nr && bits_test(&v.index_blocks, o->generation)) {
		r = try_index(&v, o->generation, all);
		all->not_named = !all->nr;
		if (!r && all->not_named) {
			pd_log(run->log, PD_LOG_WARN, "the bitmaps of generation %" PRIu64 " cannot be read: it is "
			       "taken for one of those that could be the last", o->generation);
			r = try_all(&v, all);
		}
	}
	if (!r)
		r = choose(&v, all, run, found);
	survey_exit(&v);
	free(all);
	return r;
}
