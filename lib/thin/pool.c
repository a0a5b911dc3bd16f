/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's dm-thin-metadata, for pools that are not active. Format: thin 3 to 7. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "persistent-data/space-map-disk.h"
#include <pdata/thin-pool.h>

#define MAX_MAPPING_DBLOCK (1ull << 40)

struct pd_thin_pool {
	struct pd_tm *tm;
	struct sm_disk data;
	struct thin_superblock sb;	/* host side copy of what the next commit writes */
	uint64_t mapping_root, details_root;
	struct btree mappings;		/* two levels */
	struct btree devices;		/* the upper one: values are trees */
	struct btree one;		/* the lower one: a device's */
	struct btree details;
	/* the device worked on: its record is put into the tree when another comes, or at commit */
	struct thin_device_details dev;
	uint32_t dev_id;
	bool have_dev, dev_changed;
};

/* ---- Values ---- */

static int each_block(struct sm_disk *sm, const void *values, uint32_t nr,
		      int (*fn)(struct sm_disk *sm, uint64_t dblock))
{
	int r = 0;

	for (uint32_t i = 0; i < nr && !r; i++) {
		le64 v;

		memcpy(&v, (const uint8_t *)values + 8 * (size_t)i, sizeof(v));
		r = fn(sm, mapping_block(le64_get(v)));
	}
	return r;
}

static int inc_mappings(void *ctx, const void *values, uint32_t nr)
{
	return each_block(ctx, values, nr, sm_disk_inc);
}

static int dec_mappings(void *ctx, const void *values, uint32_t nr)
{
	return each_block(ctx, values, nr, sm_disk_dec);
}

static bool same_block(void *ctx, const void *a, const void *b)
{
	le64 x, y;

	(void)ctx;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return mapping_block(le64_get(x)) == mapping_block(le64_get(y));
}

static void describe(struct pd_thin_pool *p)
{
	p->mappings = (struct btree){ .tm = p->tm, .levels = 2, .value = {
		.size = 8, .ctx = &p->data, .inc = inc_mappings, .dec = dec_mappings,
		.equal = same_block } };
	btree_upper(&p->mappings, 1, &p->devices, &p->one);
	p->details = (struct btree){ .tm = p->tm, .levels = 1, .value = {
		.size = sizeof(struct thin_device_details) } };
}

/* ---- Opening and closing ---- */

static int use_superblock(struct pd_thin_pool *p, const struct thin_superblock *sb)
{
	struct sm_root data = sm_root_get(sb->data_space_map_root);

	p->sb = *sb;
	p->mapping_root = le64_get(sb->data_mapping_root);
	p->details_root = le64_get(sb->device_details_root);
	p->have_dev = p->dev_changed = false;
	return sm_disk_open(&p->data, p->tm, &data);
}

static int read_superblock(struct pd_io *io, struct thin_superblock *sb, struct pd_log *log)
{
	const char *why = NULL;
	void *buf = pd_io_buffer(1);
	int r;

	if (!buf)
		return -ENOMEM;
	r = pd_io_nr_blocks(io) ? pd_io_read(io, SB_LOCATION, 1, buf) : -EIO;
	if (r) {
		pd_log(log, PD_LOG_ERR, "%s: cannot read the superblock", pd_io_name(io));
	} else {
		memcpy(sb, buf, sizeof(*sb));
		if (block_kind(buf) != KIND_THIN_SB || le64_get(sb->magic) != THIN_MAGIC ||
		    le64_get(sb->blocknr) != SB_LOCATION)
			why = "this is no superblock of a thin pool; thin_check says more";
		else if (le32_get(sb->incompat_flags) || le32_get(sb->compat_ro_flags))
			why = "the pool has features this library does not know";
		else if (le32_get(sb->flags) & THIN_NEEDS_CHECK)
			why = "needs_check is set: run thin_check --clear-needs-check-flag first";
		if (why) {
			pd_log(log, PD_LOG_ERR, "%s: %s", pd_io_name(io), why);
			r = -EUCLEAN;
		}
	}
	free(buf);
	return r;
}

int pd_thin_pool_open(struct pd_thin_pool **out, struct pd_io *io, uint32_t cache_blocks,
		      struct pd_log *log)
{
	struct pd_thin_pool *p = calloc(1, sizeof(*p));
	struct thin_superblock sb;
	struct sm_root root;
	int r = p ? read_superblock(io, &sb, log) : -ENOMEM;

	if (!r) {
		root = sm_root_get(sb.metadata_space_map_root);
		r = tm_open(&p->tm, io, cache_blocks, &root, log);
	}
	if (!r) {
		describe(p);
		r = use_superblock(p, &sb);
	}
	if (r) {
		pd_thin_pool_close(p);
		return r;
	}
	*out = p;
	return 0;
}

void pd_thin_pool_close(struct pd_thin_pool *p)
{
	if (!p)
		return;
	tm_destroy(p->tm);
	free(p);
}

int pd_thin_pool_abort(struct pd_thin_pool *p)
{
	struct thin_superblock sb;
	struct pd_block *b;
	int r = tm_abort(p->tm);

	if (!r)
		r = bm_read_lock(tm_bm(p->tm), SB_LOCATION, KIND_THIN_SB, &b);
	if (r)
		return r;
	memcpy(&sb, b->data, sizeof(sb));
	bm_unlock(b);
	return use_superblock(p, &sb);
}

/* ---- The device worked on ---- */

static int save_dev(struct pd_thin_pool *p)
{
	uint64_t key = p->dev_id;
	int r = 0;

	if (p->have_dev && p->dev_changed)
		r = btree_insert(&p->details, &p->details_root, &key, &p->dev, NULL);
	if (!r)
		p->dev_changed = false;
	return r;
}

static int use_dev(struct pd_thin_pool *p, uint32_t dev_id)
{
	uint64_t key = dev_id;
	int r;

	if (p->have_dev && p->dev_id == dev_id)
		return 0;
	r = save_dev(p);
	if (r)
		return r;
	p->have_dev = false;
	r = btree_lookup(&p->details, p->details_root, &key, &p->dev);
	p->dev_id = dev_id;
	p->have_dev = !r;
	return r;
}

static void add_mapped(struct pd_thin_pool *p, int64_t nr)
{
	p->dev.mapped_blocks = le64_put(le64_get(p->dev.mapped_blocks) + (uint64_t)nr);
	p->dev_changed |= nr != 0;
}

/* ---- Commit ---- */

int pd_thin_pool_commit(struct pd_thin_pool *p)
{
	struct sm_root data, metadata;
	struct pd_block *b;
	int r = save_dev(p);

	if (!r)
		r = sm_disk_pre_commit(&p->data, &data);
	if (!r)
		r = tm_pre_commit(p->tm, &metadata);
	if (!r)
		r = bm_write_lock(tm_bm(p->tm), SB_LOCATION, KIND_THIN_SB, &b);
	if (r)
		return r;
	p->sb.data_mapping_root = le64_put(p->mapping_root);
	p->sb.device_details_root = le64_put(p->details_root);
	/* what the format leaves unused in the root records stays as it is */
	memcpy(p->sb.data_space_map_root, &data, sizeof(data));
	memcpy(p->sb.metadata_space_map_root, &metadata, sizeof(metadata));
	memcpy(b->data, &p->sb, sizeof(p->sb));
	return tm_commit(p->tm, &b);
}

static int write_first(struct pd_thin_pool *p, uint32_t data_block_size, uint64_t nr_data_blocks)
{
	struct sm_root data, metadata;
	struct pd_block *b;
	int r = sm_disk_create(&p->data, p->tm, nr_data_blocks);

	if (!r)
		r = btree_empty(&p->devices, &p->mapping_root);
	if (!r)
		r = btree_empty(&p->details, &p->details_root);
	if (!r)
		r = sm_disk_pre_commit(&p->data, &data);
	if (!r)
		r = tm_pre_commit(p->tm, &metadata);
	if (!r)
		r = bm_write_lock_new(tm_bm(p->tm), SB_LOCATION, KIND_THIN_SB, true, &b);
	if (r)
		return r;
	p->sb = (struct thin_superblock){
		.magic = le64_put(THIN_MAGIC),
		.version = le32_put(THIN_VERSION),
		.data_mapping_root = le64_put(p->mapping_root),
		.device_details_root = le64_put(p->details_root),
		.data_block_size = le32_put(data_block_size),
		.metadata_block_size = le32_put(PD_BLOCK_SIZE / 512),
		.metadata_nr_blocks = metadata.nr_blocks,
	};
	memcpy(p->sb.data_space_map_root, &data, sizeof(data));
	memcpy(p->sb.metadata_space_map_root, &metadata, sizeof(metadata));
	memcpy(b->data, &p->sb, sizeof(p->sb));
	return tm_commit(p->tm, &b);
}

int pd_thin_pool_format(struct pd_io *io, uint32_t data_block_size, uint64_t nr_data_blocks,
			struct pd_log *log)
{
	struct pd_thin_pool *p;
	uint8_t *zero;
	int r;

	if (data_block_size % THIN_MIN_BLOCK_SIZE || data_block_size < THIN_MIN_BLOCK_SIZE ||
	    data_block_size > THIN_MAX_BLOCK_SIZE || nr_data_blocks > MAX_MAPPING_DBLOCK)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	zero = pd_io_buffer(1);
	r = p && zero ? tm_create(&p->tm, io, 1024, log) : -ENOMEM;
	/* what was there is no metadata from here on; magic without checksum: not empty either */
	if (!r) {
		memset(zero, 0, PD_BLOCK_SIZE);
		((struct thin_superblock *)zero)->magic = le64_put(THIN_MAGIC);
		r = pd_io_write(io, SB_LOCATION, 1, zero);
		if (!r)
			r = pd_io_flush(io);
	}
	if (!r) {
		describe(p);
		r = write_first(p, data_block_size, nr_data_blocks);
	}
	free(zero);
	pd_thin_pool_close(p);
	return r;
}

void pd_thin_pool_get_info(const struct pd_thin_pool *p, struct pd_thin_pool_info *info)
{
	*info = (struct pd_thin_pool_info){
		.transaction_id = le64_get(p->sb.trans_id),
		.nr_data_blocks = p->data.nr_blocks,
		.nr_free_data_blocks = p->data.nr_blocks - p->data.nr_allocated,
		.nr_metadata_blocks = tm_nr_blocks(p->tm),
		.nr_free_metadata_blocks = tm_nr_free(p->tm),
		.metadata_snap = le64_get(p->sb.held_root),
		.data_block_size = le32_get(p->sb.data_block_size),
		.time = le32_get(p->sb.time),
	};
}

int pd_thin_pool_set_transaction_id(struct pd_thin_pool *p, uint64_t was, uint64_t trans_id)
{
	if (le64_get(p->sb.trans_id) != was)
		return -EINVAL;
	p->sb.trans_id = le64_put(trans_id);
	return 0;
}

/* ---- Devices ---- */

/* A new record, for a device whose tree is @root (counted). */
static int add_device(struct pd_thin_pool *p, uint32_t dev_id, uint64_t root, le64 mapped_blocks)
{
	struct thin_device_details d = {
		.mapped_blocks = mapped_blocks,
		.transaction_id = p->sb.trans_id,
		.creation_time = p->sb.time,
		.snapshotted_time = p->sb.time,
	};
	uint64_t key = dev_id;
	le64 v = le64_put(root);
	int r = btree_insert(&p->devices, &p->mapping_root, &key, &v, NULL);

	return r ? r : btree_insert(&p->details, &p->details_root, &key, &d, NULL);
}

static int must_be_new(struct pd_thin_pool *p, uint32_t dev_id)
{
	uint64_t key = dev_id;
	int r;

	if (dev_id > THIN_MAX_DEV_ID)
		return -EINVAL;
	r = btree_lookup(&p->devices, p->mapping_root, &key, NULL);
	return r == -ENODATA ? 0 : r ? r : -EEXIST;
}

int pd_thin_pool_create(struct pd_thin_pool *p, uint32_t dev_id)
{
	uint64_t root;
	int r = must_be_new(p, dev_id);

	if (!r)
		r = btree_empty(&p->one, &root);
	return r ? r : add_device(p, dev_id, root, le64_put(0));
}

int pd_thin_pool_snapshot(struct pd_thin_pool *p, uint32_t dev_id, uint32_t origin)
{
	uint64_t key = origin;
	le64 root;
	int r = must_be_new(p, dev_id);

	if (!r)
		r = btree_lookup(&p->devices, p->mapping_root, &key, &root);
	if (!r)
		r = use_dev(p, origin);
	if (!r && le32_get(p->sb.time) >= THIN_MAX_TIME)
		r = -ENOSPC;
	if (!r)
		r = tm_inc(p->tm, le64_get(root));
	if (r)
		return r;
	p->sb.time = le32_put(le32_get(p->sb.time) + 1);
	p->dev.snapshotted_time = p->sb.time;
	p->dev_changed = true;
	return add_device(p, dev_id, le64_get(root), p->dev.mapped_blocks);
}

int pd_thin_pool_delete(struct pd_thin_pool *p, uint32_t dev_id)
{
	uint64_t key = dev_id;
	int r;

	if (p->have_dev && p->dev_id == dev_id)
		p->have_dev = p->dev_changed = false;
	r = btree_remove(&p->devices, &p->mapping_root, &key);
	return r ? r : btree_remove(&p->details, &p->details_root, &key);
}

int pd_thin_pool_next_device(struct pd_thin_pool *p, uint32_t from, struct pd_thin_device_info *info)
{
	struct thin_device_details d;
	uint64_t key = from, found;
	int r = save_dev(p);

	if (!r)
		r = btree_lookup_next(&p->details, p->details_root, &key, &found, &d);
	if (!r)
		*info = (struct pd_thin_device_info){
			.dev_id = (uint32_t)found,
			.mapped_blocks = le64_get(d.mapped_blocks),
			.transaction_id = le64_get(d.transaction_id),
			.creation_time = le32_get(d.creation_time),
			.snapshotted_time = le32_get(d.snapshotted_time),
		};
	return r;
}

/* ---- Mappings ---- */

static void fill(struct pd_thin_pool *p, uint64_t vblock, le64 value, struct pd_thin_mapping *m)
{
	uint64_t v = le64_get(value);

	*m = (struct pd_thin_mapping){
		.vblock = vblock, .dblock = mapping_block(v), .time = mapping_time(v),
		.shared = le32_get(p->dev.snapshotted_time) > mapping_time(v),
	};
}

int pd_thin_pool_lookup(struct pd_thin_pool *p, uint32_t dev_id, uint64_t vblock,
			struct pd_thin_mapping *m)
{
	uint64_t keys[2] = { dev_id, vblock };
	le64 v;
	int r = use_dev(p, dev_id);

	if (!r)
		r = btree_lookup(&p->mappings, p->mapping_root, keys, &v);
	if (!r)
		fill(p, vblock, v, m);
	return r;
}

int pd_thin_pool_next_mapping(struct pd_thin_pool *p, uint32_t dev_id, uint64_t vblock,
			      struct pd_thin_mapping *m)
{
	uint64_t keys[2] = { dev_id, vblock }, found;
	le64 v;
	int r = use_dev(p, dev_id);

	if (!r)
		r = btree_lookup_next(&p->mappings, p->mapping_root, keys, &found, &v);
	if (!r)
		fill(p, found, v, m);
	return r;
}

/* @dblock was counted for this mapping. */
static int put(struct pd_thin_pool *p, uint32_t dev_id, uint64_t vblock, uint64_t dblock)
{
	uint64_t keys[2] = { dev_id, vblock };
	le64 v = le64_put(mapping_pack(dblock, le32_get(p->sb.time)));
	bool inserted;
	int r = btree_insert(&p->mappings, &p->mapping_root, keys, &v, &inserted);

	if (!r)
		add_mapped(p, inserted);
	return r;
}

int pd_thin_pool_map(struct pd_thin_pool *p, uint32_t dev_id, uint64_t vblock, uint64_t *dblock)
{
	int r = use_dev(p, dev_id);

	if (!r)
		r = sm_disk_new_block(&p->data, dblock);
	return r ? r : put(p, dev_id, vblock, *dblock);
}

int pd_thin_pool_insert(struct pd_thin_pool *p, uint32_t dev_id, uint64_t vbegin, uint64_t dbegin,
			uint64_t len)
{
	int r = use_dev(p, dev_id);

	if (!r && (len > p->data.nr_blocks || dbegin > p->data.nr_blocks - len || vbegin + len < vbegin))
		r = -EINVAL;
	for (uint64_t i = 0; i < len && !r; i++) {
		uint64_t keys[2] = { dev_id, vbegin + i };
		le64 old;
		bool again;

		r = btree_lookup(&p->mappings, p->mapping_root, keys, &old);
		again = !r && mapping_block(le64_get(old)) == dbegin + i;
		if (r == -ENODATA)
			r = 0;
		/* mapped there already: the place is counted */
		if (!r && !again)
			r = sm_disk_inc(&p->data, dbegin + i);
		if (!r)
			r = put(p, dev_id, vbegin + i, dbegin + i);
	}
	return r;
}

int pd_thin_pool_remove(struct pd_thin_pool *p, uint32_t dev_id, uint64_t vbegin, uint64_t vend,
			uint64_t *nr_removed)
{
	uint64_t key = dev_id, nr = 0;
	int r = use_dev(p, dev_id);

	if (!r)
		r = btree_remove_range(&p->mappings, &p->mapping_root, &key, vbegin, vend, &nr);
	if (!r)
		add_mapped(p, -(int64_t)nr);
	if (nr_removed)
		*nr_removed = nr;
	return r;
}

int pd_thin_pool_data_count(struct pd_thin_pool *p, uint64_t dblock, uint32_t *count)
{
	return dblock < p->data.nr_blocks ? sm_disk_count(&p->data, dblock, count) : -EINVAL;
}

/* ---- Metadata snapshot and size ---- */

int pd_thin_pool_reserve_metadata_snap(struct pd_thin_pool *p)
{
	struct thin_superblock *copy;
	struct pd_block *b;
	int r = le64_get(p->sb.held_root) ? -EBUSY : pd_thin_pool_commit(p);

	if (!r)
		r = tm_inc(p->tm, p->mapping_root);
	if (!r)
		r = tm_inc(p->tm, p->details_root);
	if (!r)
		r = tm_new_block(p->tm, KIND_THIN_SB, &b);
	if (r)
		return r;
	copy = (struct thin_superblock *)b->data;
	*copy = p->sb;
	memset(copy->data_space_map_root, 0, SM_ROOT_SIZE);
	memset(copy->metadata_space_map_root, 0, SM_ROOT_SIZE);
	p->sb.held_root = le64_put(b->nr);
	bm_unlock(b);
	return 0;
}

int pd_thin_pool_release_metadata_snap(struct pd_thin_pool *p)
{
	uint64_t held = le64_get(p->sb.held_root);
	struct thin_superblock copy;
	struct pd_block *b;
	int r;

	if (!held)
		return -ENODATA;
	r = bm_read_lock(tm_bm(p->tm), held, KIND_THIN_SB, &b);
	if (r)
		return r;
	memcpy(&copy, b->data, sizeof(copy));
	bm_unlock(b);
	p->sb.held_root = le64_put(0);
	r = btree_del(&p->mappings, le64_get(copy.data_mapping_root));
	if (!r)
		r = btree_del(&p->details, le64_get(copy.device_details_root));
	return r ? r : tm_dec(p->tm, held);
}

int pd_thin_pool_resize_data(struct pd_thin_pool *p, uint64_t nr_data_blocks)
{
	return sm_disk_extend(&p->data, nr_data_blocks);
}

int pd_thin_pool_grow_metadata(struct pd_thin_pool *p)
{
	return tm_grow(p->tm, UINT64_MAX);
}
