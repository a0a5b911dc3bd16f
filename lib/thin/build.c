/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Thin metadata from records.
 *
 * A device is a row of pieces: leaves it shares and *runs* of entries of its own. No leaf below an
 * inner node may have fewer than MIN_SHARED entries, so the last shared leaf is *held* back until it
 * is known whether the run behind it is long enough to stand alone; if it is not, the leaf's entries
 * go before the run's, or those of the next shared leaf behind them, and this device does not share
 * that leaf.
 */
#include "thin/build.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "base/bits.h"
#include "persistent-data/build.h"
#include "thin/leaf.h"
#include "thin/names.h"

#define LEAF_MAX 252u
#define MIN_SHARED (LEAF_MAX / 3)
#define NR_ENTRIES(nr) ((nr) * sizeof(struct entry))
#define SMALL_BUDGET (32u << 20)	/* bytes of defs too small to be sure of a block */
#define UNKNOWN UINT64_MAX		/* value of an entry that cannot be looked at */

struct entry {
	uint64_t key, value;
};

struct def {
	uint64_t end;			/* one past the last key */
	uint64_t nr_entries;
	uint64_t nr_leaves;		/* that are written */
	uint64_t first_key;		/* index into leaf_keys, or into small if nr_leaves is 0 */
	uint32_t first_leaf;		/* the others follow it */
	uint32_t root;			/* once a whole device shares it, else 0 */
};

struct device {
	uint32_t dev_id, root;
	struct thin_device_details details;
};

struct held {
	bool valid;
	uint64_t key;
	uint64_t block;
	uint32_t nr;
};

struct thin_build {
	struct thin_emitter e;
	struct out *out;
	struct pd_log *log;		/* for refusals; out has its own */
	struct pd_thin_overrides over;
	bool dry, recount;
	struct thin_sb_record sb;
	uint64_t bound;			/* data blocks end here */
	struct counts data;
	bool has_counts;
	uint64_t at_least, needed;

	struct level_build leaf;	/* of the def or of the run under way */
	struct index_build index;
	uint64_t unknown;		/* entries copied without being seen */

	struct names names;		/* of defs, in order */
	struct def *defs;
	uint64_t nr_defs, max_defs;
	uint64_t *leaf_keys;		/* first key of each leaf of a def */
	uint64_t nr_leaf_keys, max_leaf_keys;
	struct entry *small;		/* defs of fewer than MIN_SHARED entries */
	uint64_t nr_small, max_small;
	bool in_def;

	struct device *devices;
	uint64_t nr_devices, max_devices;
	struct bits ids;
	uint64_t next_key;		/* entries of this def or device must not be below it */
	uint64_t mapped;		/* entries of it so far */
	struct def *sole;		/* all there is of the device so far */
	struct def *empty;		/* a def without entries that it refers to */
	struct held held;
	uint64_t run;			/* entries of its own since the last shared leaf */
	bool pieces;			/* the device is more than the sole def */
};

static struct thin_build *of(struct thin_emitter *e)
{
	return container_of(e, struct thin_build, e);
}

/* Room for @more of @size bytes behind the first @nr in *@p. */
static int grow(void *p, uint64_t nr, uint64_t *max, size_t size, uint64_t more)
{
	void **v = p, *bigger;
	uint64_t want = max_t(uint64_t, *max + *max / 2, nr + more + 16);

	if (nr + more <= *max)
		return 0;
	if (want > SIZE_MAX / size)
		return -ENOMEM;
	bigger = realloc(*v, (size_t)want * size);
	if (!bigger)
		return -ENOMEM;
	*v = bigger;
	*max = want;
	return 0;
}

#define GROW(b, array, more) \
	grow(&(b)->array, (b)->nr_##array, &(b)->max_##array, sizeof(*(b)->array), more)

static int refuse(struct thin_build *b, const char *what, uint64_t n)
{
	pd_log(b->log, PD_LOG_ERR, what, n);
	return -EINVAL;
}

/* ---- Superblock ---- */

static int build_superblock(struct thin_emitter *e, const struct thin_sb_record *sb)
{
	struct thin_build *b = of(e);
	int r;

	b->sb = *sb;
	if (b->over.has_transaction_id)
		b->sb.transaction = b->over.transaction_id;
	if (b->over.has_data_block_size)
		b->sb.data_block_size = b->over.data_block_size;
	if (b->over.has_nr_data_blocks)
		b->sb.nr_data_blocks = b->over.nr_data_blocks;
	if (b->sb.time > THIN_MAX_TIME)
		return refuse(b, "time %" PRIu64 " is beyond 24 bits", b->sb.time);
	if (b->sb.data_block_size < THIN_MIN_BLOCK_SIZE ||
	    b->sb.data_block_size > THIN_MAX_BLOCK_SIZE ||
	    b->sb.data_block_size % THIN_MIN_BLOCK_SIZE)
		return refuse(b, "data block size %" PRIu64
			      " is not a multiple of 128 sectors within 128..2097152",
			      b->sb.data_block_size);
	b->bound = min_t(uint64_t, b->sb.nr_data_blocks, 1ull << 40);
	if (ceil_div(b->sb.nr_data_blocks, ENTRIES_PER_BITMAP) <= MAX_METADATA_BLOCKS) {
		b->has_counts = true;
		r = counts_init(&b->data, b->sb.nr_data_blocks, NULL);
		if (r)
			return r;
	}
	return b->dry ? 0 : out_begin(b->out, KIND_THIN_SB);
}

/* ---- Leaves ---- */

static int leaf_done(struct level_build *l, const struct node_header *n, uint64_t block)
{
	struct thin_build *b = l->ctx;
	struct def *d;
	int r;

	/* What is UNKNOWN lies beyond the end and is not counted. */
	if (b->has_counts)
		(void)leaf_count(&b->data, NULL, n, b->bound, THIN_MAX_TIME);
	if (!b->in_def)
		return index_build_push(&b->index, node_key(n, 0), block);
	r = GROW(b, leaf_keys, 1);
	if (r)
		return r;
	b->leaf_keys[b->nr_leaf_keys++] = node_key(n, 0);
	d = &b->defs[b->nr_defs];
	if (!d->nr_leaves++)
		d->first_leaf = (uint32_t)min_t(uint64_t, block, UINT32_MAX);
	return 0;
}

static int leaves_counted(struct level_build *l, uint64_t nr)
{
	struct thin_build *b = l->ctx;

	if (!b->in_def)
		return index_build_count(&b->index, nr);
	b->defs[b->nr_defs].nr_leaves += nr;
	return 0;
}

/* Entries of leaf @i of a def: all are full but the last two, which are evened out. */
static uint32_t leaf_entries(const struct def *d, uint64_t i)
{
	uint64_t last = d->nr_leaves - 1, rest;

	if (!last)
		return (uint32_t)d->nr_entries;
	rest = d->nr_entries - (last - 1) * LEAF_MAX;
	return i + 1 < last ? LEAF_MAX : (uint32_t)(i < last ? rest / 2 : rest - rest / 2);
}

/* Adds what a leaf written before holds to the leaf under way. */
static int append_leaf(struct thin_build *b, uint64_t block, uint32_t nr)
{
	uint8_t *node = malloc(PD_BLOCK_SIZE);
	le64 unknown = le64_put(UNKNOWN);
	int r = node ? out_read(b->out, block, node) : -ENOMEM;

	if (r == -ENODATA) {
		r = 0;
		b->unknown += nr;
		for (uint32_t i = 0; i < nr && !r; i++)
			r = level_build_push(&b->leaf, 0, &unknown);
	} else if (!r) {
		const struct node_header *n = (const struct node_header *)node;

		for (uint32_t i = 0; i < nr && !r; i++)
			r = level_build_push(&b->leaf, node_key(n, i), node_value_ptr(n, i));
	}
	free(node);
	return r;
}

static int append_entries(struct thin_build *b, const struct entry *en, uint64_t nr)
{
	int r = 0;

	for (uint64_t i = 0; i < nr && !r; i++)
		r = level_build_push_run(&b->leaf, en[i].key, en[i].value, 0, 1);
	return r;
}

/* The entries of the run under way, at most MIN_SHARED - 1, are taken back. */
static uint32_t take_back(struct thin_build *b, struct entry en[MIN_SHARED])
{
	struct node_header *n = b->leaf.node[0];
	uint32_t nr = b->leaf.nr[0];

	for (uint32_t i = 0; i < nr && i < MIN_SHARED; i++)
		en[i] = (struct entry){ node_key(n, i), node_value64(n, i) };
	memset(node_keys(n), 0, nr * sizeof(le64));
	memset(node_value_ptr(n, 0), 0, nr * sizeof(le64));
	b->leaf.nr[0] = 0;
	return nr;
}

/* ---- Defs ---- */

static int build_def(struct thin_emitter *e, const char *name)
{
	struct thin_build *b = of(e);
	uint64_t nr;
	int r = GROW(b, defs, 1);

	if (!r)
		r = names_add(&b->names, name, &nr);
	if (r == -EEXIST) {
		pd_log(b->log, PD_LOG_ERR, "a second def has the name '%s'", name);
		return -EINVAL;
	}
	if (r)
		return r;
	assert(nr == b->nr_defs);
	b->defs[nr] = (struct def){ .first_key = b->nr_leaf_keys };
	b->in_def = true;
	b->next_key = 0;
	b->mapped = 0;
	return 0;
}

static int build_def_end(struct thin_emitter *e)
{
	struct thin_build *b = of(e);
	struct def *d = &b->defs[b->nr_defs];
	int r = 0;

	d->end = b->next_key;
	d->nr_entries = b->mapped;
	if (b->mapped < MIN_SHARED && NR_ENTRIES(b->nr_small) < SMALL_BUDGET &&
	    !out_counts_only(b->out)) {
		/* Whether it becomes a block is seen when it is used. */
		r = GROW(b, small, MIN_SHARED);
		if (!r) {
			d->first_key = b->nr_small;
			b->nr_small += take_back(b, b->small + b->nr_small);
		}
	} else {
		r = level_build_flush(&b->leaf);
	}
	b->in_def = false;
	b->nr_defs++;
	return r;
}

static uint64_t first_key(const struct thin_build *b, const struct def *d)
{
	return d->nr_leaves ? b->leaf_keys[d->first_key] : b->small[d->first_key].key;
}

/* ---- Devices ---- */

static int build_device(struct thin_emitter *e, const struct thin_device_record *d)
{
	struct thin_build *b = of(e);
	int r;

	if (d->dev_id > THIN_MAX_DEV_ID)
		return refuse(b, "device id %" PRIu64 " is beyond 24 bits", d->dev_id);
	if (!b->ids.nr) {
		r = bits_init(&b->ids, THIN_MAX_DEV_ID + 1);
		if (r)
			return r;
	}
	if (bits_test_and_set(&b->ids, d->dev_id))
		return refuse(b, "a second device has id %" PRIu64, d->dev_id);
	r = GROW(b, devices, 1);
	if (r)
		return r;
	b->devices[b->nr_devices] = (struct device){
		.dev_id = d->dev_id,
		.details = {
			.mapped_blocks = le64_put(d->mapped_blocks),
			.transaction_id = le64_put(d->transaction),
			.creation_time = le32_put(d->creation_time),
			.snapshotted_time = le32_put(d->snap_time),
		},
	};
	b->next_key = 0;
	b->mapped = 0;
	b->sole = b->empty = NULL;
	b->held.valid = false;
	b->run = 0;
	b->pieces = false;
	return 0;
}

static int push_held(struct thin_build *b)
{
	int r = b->held.valid ? index_build_push(&b->index, b->held.key, b->held.block) : 0;

	b->held.valid = false;
	return r;
}

/* @nr entries of the device's own are about to follow. */
static int before_run(struct thin_build *b, uint64_t nr)
{
	int r = b->run + nr >= MIN_SHARED ? push_held(b) : 0;

	b->run += nr;
	b->pieces = true;
	return r;
}

/* The held leaf's entries go before the run's. */
static int take_held(struct thin_build *b)
{
	struct entry en[MIN_SHARED];
	uint32_t nr = take_back(b, en);
	int r = append_leaf(b, b->held.block, b->held.nr);

	b->held.valid = false;
	return r ? r : append_entries(b, en, nr);
}

static int push_leaves(struct thin_build *b, const struct def *d, uint64_t begin, uint64_t end)
{
	int r = 0;

	if (out_counts_only(b->out))
		return index_build_count(&b->index, end - begin);
	for (uint64_t i = begin; i < end && !r; i++)
		r = index_build_push(&b->index, b->leaf_keys[d->first_key + i], d->first_leaf + i);
	return r;
}

/* All leaves of @d from @begin on; the last of them is held back. */
static int share_leaves(struct thin_build *b, const struct def *d, uint64_t begin)
{
	uint64_t last = d->nr_leaves - 1;
	int r;

	b->pieces = true;
	if (out_counts_only(b->out))
		return push_leaves(b, d, begin, d->nr_leaves);
	r = push_leaves(b, d, begin, last);
	b->held = (struct held){ true, b->leaf_keys[d->first_key + last], d->first_leaf + last,
				 leaf_entries(d, last) };
	return r;
}

/* A short run is followed by @d: who gives entries? Sets @*begin, the first leaf of @d that is shared. */
static int fill_up(struct thin_build *b, const struct def *d, uint64_t *begin)
{
	uint64_t next = leaf_entries(d, 0) + b->run, prev = b->held.nr + b->run;
	int r;

	if (b->held.valid && (prev <= LEAF_MAX || next > LEAF_MAX))
		return take_held(b);
	r = push_held(b);
	if (r)
		return r;
	b->run = next;
	*begin = 1;
	return append_leaf(b, d->first_leaf, leaf_entries(d, 0));
}

static int use_def(struct thin_build *b, const struct def *d)
{
	uint64_t begin = 0;
	int r = 0;

	if (d->nr_entries < MIN_SHARED) {
		r = before_run(b, d->nr_entries);
		if (r)
			return r;
		return d->nr_leaves ? append_leaf(b, d->first_leaf, (uint32_t)d->nr_entries) :
		       append_entries(b, b->small + d->first_key, d->nr_entries);
	}
	if (!b->run)
		r = push_held(b);
	else if (b->run < MIN_SHARED && !out_counts_only(b->out))
		r = fill_up(b, d, &begin);
	if (r || begin == d->nr_leaves)
		return r;
	r = level_build_flush(&b->leaf);
	b->run = 0;
	return r ? r : share_leaves(b, d, begin);
}

/* Something follows what could have been the whole device. */
static int no_longer_sole(struct thin_build *b)
{
	struct def *d = b->sole;

	b->sole = NULL;
	return d ? use_def(b, d) : 0;
}

static int build_ref(struct thin_emitter *e, const char *name)
{
	struct thin_build *b = of(e);
	struct def *d;
	uint64_t nr;
	int r;

	if (names_find(&b->names, name, &nr) || nr >= b->nr_defs) {
		pd_log(b->log, PD_LOG_ERR, "no def before this has the name '%s'", name);
		return -EINVAL;
	}
	d = &b->defs[nr];
	if (!d->nr_entries) {
		b->empty = d;
		return 0;
	}
	if (!out_counts_only(b->out) && first_key(b, d) < b->next_key)
		return refuse(b, "origin block %" PRIu64 " does not ascend", first_key(b, d));
	b->next_key = d->end;
	b->mapped += d->nr_entries;
	if (!b->pieces && !b->sole) {
		b->sole = d;
		return 0;
	}
	r = no_longer_sole(b);
	return r ? r : use_def(b, d);
}

static int build_mappings(struct thin_emitter *e, const struct thin_mapping_record *m, unsigned nr)
{
	struct thin_build *b = of(e);
	int r = !b->in_def && b->sole ? no_longer_sole(b) : 0;

	for (; nr && !r; nr--, m++) {
		if (m->vbegin < b->next_key)
			return refuse(b, "origin block %" PRIu64 " does not ascend", m->vbegin);
		if (!m->len || m->len > UINT64_MAX - m->vbegin)
			return refuse(b, "a range cannot have %" PRIu64 " blocks", m->len);
		if (m->dbegin >= b->bound || m->len > b->bound - m->dbegin) {
			pd_log(b->log, PD_LOG_ERR, "data block %" PRIu64
			       " is out of bounds: the pool has %" PRIu64 " data blocks",
			       m->dbegin >= b->bound ? m->dbegin : b->bound, b->sb.nr_data_blocks);
			return -EINVAL;
		}
		if (m->time > THIN_MAX_TIME)
			return refuse(b, "time %" PRIu64 " is beyond 24 bits", m->time);
		b->next_key = m->vbegin + m->len;
		b->mapped += m->len;
		if (!b->in_def)
			r = before_run(b, m->len);
		if (!r)
			r = level_build_push_run(&b->leaf, m->vbegin, mapping_pack(m->dbegin, m->time),
						 mapping_pack(1, 0), m->len);
	}
	return r;
}

/* The def as a tree of its own, which devices share from the root on. */
static int def_root(struct thin_build *b, struct def *d, uint64_t *root)
{
	int r = 0;

	if (d->root) {
		*root = d->root;
		return 0;
	}
	if (!d->nr_entries) {
		r = tree_build_empty(b->out, sizeof(le64), root);
	} else {
		if (d->nr_leaves)
			r = push_leaves(b, d, 0, d->nr_leaves);
		else
			r = append_entries(b, b->small + d->first_key, d->nr_entries);
		if (!r)
			r = level_build_flush(&b->leaf);
		if (!r)
			r = index_build_finish(&b->index, root);
	}
	d->root = (uint32_t)min_t(uint64_t, *root, UINT32_MAX);
	return r;
}

static int build_device_end(struct thin_emitter *e)
{
	struct thin_build *b = of(e);
	struct device *d = &b->devices[b->nr_devices];
	uint64_t root = 0;
	int r = 0;

	if (b->sole || (b->empty && !b->pieces)) {
		r = def_root(b, b->sole ? b->sole : b->empty, &root);
	} else if (!b->pieces) {
		r = tree_build_empty(b->out, sizeof(le64), &root);
	} else {
		r = b->held.valid && b->run ? take_held(b) : push_held(b);
		if (!r)
			r = level_build_flush(&b->leaf);
		if (!r)
			r = index_build_finish(&b->index, &root);
	}
	if (r)
		return r;
	out_ref(b->out, root);
	d->root = (uint32_t)min_t(uint64_t, root, UINT32_MAX);
	if (b->recount)
		d->details.mapped_blocks = le64_put(b->mapped);
	b->nr_devices++;
	return 0;
}

/* ---- The end ---- */

static int by_id(const void *a, const void *b)
{
	const struct device *x = a, *y = b;

	return x->dev_id < y->dev_id ? -1 : x->dev_id > y->dev_id;
}

/* Leaves of defs that nobody shares in the end: their data blocks were counted. */
static int forget_unused(struct thin_build *b)
{
	uint8_t *node = malloc(PD_BLOCK_SIZE);
	int r = node ? 0 : -ENOMEM;

	for (uint64_t i = 0; i < b->nr_defs && !r; i++) {
		const struct def *d = &b->defs[i];

		for (uint64_t l = 0; l < d->nr_leaves && !out_counts_only(b->out) && !r; l++) {
			const struct node_header *n = (const struct node_header *)node;
			uint32_t nr = leaf_entries(d, l);

			if (out_refs(b->out, d->first_leaf + l))
				continue;
			r = out_read(b->out, d->first_leaf + l, node);
			for (uint32_t k = 0; k < nr && !r && b->has_counts; k++)
				counts_dec(&b->data, mapping_block(node_value64(n, k)));
			/* a dry run, or the output is too small anyway: a few too many are counted */
			r = r == -ENODATA ? 0 : r;
		}
	}
	free(node);
	return r;
}

static int build_device_trees(struct thin_build *b, struct thin_superblock *sb)
{
	struct tree_build details, mapping;
	uint64_t root;
	int r = tree_build_init(&details, b->out, sizeof(struct thin_device_details));
	int r2 = tree_build_init(&mapping, b->out, sizeof(le64));

	r = r ? r : r2;
	if (b->nr_devices)
		qsort(b->devices, b->nr_devices, sizeof(*b->devices), by_id);
	for (uint64_t i = 0; i < b->nr_devices && !r; i++) {
		const struct device *d = &b->devices[i];
		le64 v = le64_put(d->root);

		r = tree_build_push(&details, d->dev_id, &d->details);
		if (!r)
			r = tree_build_push(&mapping, d->dev_id, &v);
	}
	if (!r)
		r = tree_build_finish(&details, &root);
	if (!r) {
		sb->device_details_root = le64_put(root);
		out_ref(b->out, root);
		r = tree_build_finish(&mapping, &root);
	}
	if (!r) {
		sb->data_mapping_root = le64_put(root);
		out_ref(b->out, root);
	}
	tree_build_exit(&mapping);
	tree_build_exit(&details);
	return r;
}

/* Blocks that copies nobody could look at may add to the overflow tree, at most. */
static uint64_t unknown_blocks(const struct thin_build *b)
{
	uint64_t leaves = b->unknown ? ceil_div(b->unknown, node_max_entries(sizeof(le32))) + 1 : 0;

	return leaves ? leaves + ceil_div(leaves, INTERNAL_MAX_ENTRIES) + 1 : 0;
}

static int build_superblock_end(struct thin_emitter *e)
{
	struct thin_build *b = of(e);
	struct thin_superblock *sb = calloc(1, PD_BLOCK_SIZE);
	struct sm_root root;
	int r = sb ? forget_unused(b) : -ENOMEM;

	if (!r)
		r = build_device_trees(b, sb);
	if (!r)
		r = sm_build_data(b->out, b->has_counts ? &b->data : NULL, b->sb.nr_data_blocks, &root);
	if (r)
		goto out;
	memcpy(sb->data_space_map_root, &root, sizeof(root));
	b->at_least = out_needed(b->out);
	if (b->unknown)
		out_skip(b->out, unknown_blocks(b));
	b->needed = out_needed(b->out);
	if (b->dry)
		goto out;
	r = out_metadata_sm(b->out, &root);
	if (r)
		goto out;
	memcpy(sb->metadata_space_map_root, &root, sizeof(root));
	sb->magic = le64_put(THIN_MAGIC);
	sb->version = le32_put(THIN_VERSION);
	sb->time = le32_put(b->sb.time);
	sb->trans_id = le64_put(b->sb.transaction);
	sb->data_block_size = le32_put(b->sb.data_block_size);
	sb->metadata_block_size = le32_put(PD_BLOCK_SIZE / 512);
	sb->metadata_nr_blocks = root.nr_blocks;
	r = out_commit(b->out, sb, KIND_THIN_SB);
out:
	free(sb);
	return r;
}

static const struct thin_emitter ops = {
	.superblock = build_superblock,
	.def = build_def,
	.def_end = build_def_end,
	.device = build_device,
	.device_end = build_device_end,
	.mappings = build_mappings,
	.ref = build_ref,
	.superblock_end = build_superblock_end,
};

int thin_build_create(struct thin_emitter **e, struct pd_io *io, const struct thin_build_opts *o,
		      struct pd_log *log)
{
	struct thin_build *b = calloc(1, sizeof(*b));
	int r;

	*e = NULL;
	if (!b)
		return -ENOMEM;
	b->e = ops;
	b->log = o->refusals ? o->refusals : log;
	b->dry = !io;
	b->recount = o->recount;
	if (o->overrides)
		b->over = *o->overrides;
	r = out_create(&b->out, io, log);
	if (!r)
		r = level_build_init(&b->leaf, b->out, NODE_LEAF, sizeof(le64));
	if (r) {
		thin_build_destroy(&b->e);
		return r;
	}
	b->leaf.emit = leaf_done;
	b->leaf.emit_counted = leaves_counted;
	b->leaf.ctx = b;
	index_build_init(&b->index, b->out);
	*e = &b->e;
	return 0;
}

void thin_build_destroy(struct thin_emitter *e)
{
	struct thin_build *b = e ? of(e) : NULL;

	if (!b)
		return;
	if (b->has_counts)
		counts_exit(&b->data);
	if (b->ids.nr)
		bits_exit(&b->ids);
	level_build_exit(&b->leaf);
	index_build_exit(&b->index);
	names_exit(&b->names);
	free(b->defs);
	free(b->leaf_keys);
	free(b->small);
	free(b->devices);
	out_destroy(b->out);
	free(b);
}

uint64_t thin_build_needed(struct thin_emitter *e, uint64_t *at_least)
{
	struct thin_build *b = of(e);

	if (at_least)
		*at_least = b->at_least;
	return b->needed;
}
