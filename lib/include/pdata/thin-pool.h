/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Changing thin pools
 *
 * A struct pd_thin_pool is the metadata of an inactive thin pool, open for change. What is done becomes real
 * with pd_thin_pool_commit(), all of it or, after a power cut, nothing. Blocks of the last commit are
 * never overwritten. The kernel can go on from what is written here, and the reverse.
 *
 * After a change failed (-EIO, -ENOSPC, -EUCLEAN) nothing is left but pd_thin_pool_abort() or
 * pd_thin_pool_close(); exceptions are named. A handle belongs to one thread.
 *
 * Memory: the cache given, and 5 bytes a metadata block.
 */
#ifndef PDATA_THIN_POOL_H
#define PDATA_THIN_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <pdata/io.h>
#include <pdata/log.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pd_thin_pool;

/**
 * pd_thin_pool_format() - make the metadata of an empty pool.
 * @io:              all of it is used, up to the largest metadata there is; what it held is lost.
 * @data_block_size: sectors; a multiple of 128 from 128 to 2097152
 * @nr_data_blocks:  up to 2^40
 *
 * Return: 0; -EINVAL for other sizes, -ENOSPC if @io is too small, -EIO. Block 0 is written last.
 */
int pd_thin_pool_format(struct pd_io *io, uint32_t data_block_size, uint64_t nr_data_blocks,
			struct pd_log *log);

/**
 * pd_thin_pool_open() - open metadata that a check has found sound.
 * @io:           open for writing; stays the caller's, and must outlive the pool.
 * @cache_blocks: blocks of 4 KiB kept in memory; at least 128 are. A transaction may be larger.
 *
 * Return: 0; -EUCLEAN if the superblock or the metadata space map cannot be used, or needs_check is set
 *         (run thin_check --clear-needs-check-flag first); -ENOMEM, -EIO. The log says why.
 * Cost:   the bitmaps and the overflow tree of the metadata space map are read.
 */
int pd_thin_pool_open(struct pd_thin_pool **pool, struct pd_io *io, uint32_t cache_blocks,
		      struct pd_log *log);

/** pd_thin_pool_close() - takes NULL. What was not committed is lost. */
void pd_thin_pool_close(struct pd_thin_pool *pool);

/** pd_thin_pool_commit() - everything so far becomes real, and is on stable storage. 0 or -errno. */
int pd_thin_pool_commit(struct pd_thin_pool *pool);

/** pd_thin_pool_abort() - back to the last commit. 0, or -errno: then only close it. */
int pd_thin_pool_abort(struct pd_thin_pool *pool);

/** struct pd_thin_pool_info - what a pool holds now, not yet committed changes included. */
struct pd_thin_pool_info {
	uint64_t transaction_id;
	uint64_t nr_data_blocks, nr_free_data_blocks;
	uint64_t nr_metadata_blocks, nr_free_metadata_blocks;
	uint64_t metadata_snap;		/* its block, 0 if none */
	uint32_t data_block_size;	/* sectors */
	uint32_t time;			/* snapshots taken so far */
};
void pd_thin_pool_get_info(const struct pd_thin_pool *pool, struct pd_thin_pool_info *info);

/** pd_thin_pool_set_transaction_id() - from @was to @trans_id; -EINVAL, with nothing changed, if it is not @was. */
int pd_thin_pool_set_transaction_id(struct pd_thin_pool *pool, uint64_t was, uint64_t trans_id);

/* ---- Devices ---- */

/** pd_thin_pool_create() - a device without mappings. @dev_id: below 2^24. -EEXIST (nothing changed). */
int pd_thin_pool_create(struct pd_thin_pool *pool, uint32_t dev_id);

/** pd_thin_pool_snapshot() - @dev_id gets all mappings of @origin, sharing its tree.
 * -EEXIST, -ENODATA (no such origin), -ENOSPC when 2^24 - 1 snapshots were taken: nothing changed. */
int pd_thin_pool_snapshot(struct pd_thin_pool *pool, uint32_t dev_id, uint32_t origin);

/** pd_thin_pool_delete() - a device and its mappings. -ENODATA (nothing changed).
 * Cost: the nodes that no other device shares. */
int pd_thin_pool_delete(struct pd_thin_pool *pool, uint32_t dev_id);

/** struct pd_thin_device_info - a device's record. Times are snapshot counters. */
struct pd_thin_device_info {
	uint32_t dev_id;
	uint64_t mapped_blocks, transaction_id;
	uint32_t creation_time, snapshotted_time;
};
/** pd_thin_pool_next_device() - the first device with an id of @from or more; -ENODATA after the last. */
int pd_thin_pool_next_device(struct pd_thin_pool *pool, uint32_t from,
			     struct pd_thin_device_info *info);

/* ---- Mappings; virtual and data blocks are data_block_size sectors each ---- */

/** struct pd_thin_mapping - where a virtual block is. @shared: a write must go elsewhere. */
struct pd_thin_mapping {
	uint64_t vblock, dblock;
	uint32_t time;
	bool shared;
};
/** pd_thin_pool_lookup() - -ENODATA if @vblock is not mapped, or there is no such device. */
int pd_thin_pool_lookup(struct pd_thin_pool *pool, uint32_t dev_id, uint64_t vblock,
			struct pd_thin_mapping *m);
/** pd_thin_pool_next_mapping() - the first mapping at @vblock or after it; -ENODATA after the last. */
int pd_thin_pool_next_mapping(struct pd_thin_pool *pool, uint32_t dev_id, uint64_t vblock,
			      struct pd_thin_mapping *m);

/** pd_thin_pool_map() - map @vblock to a free data block, as a write to it would. What it was mapped to
 * before is given back. @dblock: which one. -ENOSPC if the data device is full (nothing changed), or the
 * metadata device (pd_thin_pool_info has free data blocks then, and commit fails: only abort is left). */
int pd_thin_pool_map(struct pd_thin_pool *pool, uint32_t dev_id, uint64_t vblock, uint64_t *dblock);

/**
 * pd_thin_pool_insert() - map virtual blocks [@vbegin, @vbegin + @len) to [@dbegin, @dbegin + @len).
 *
 * Each data block counts one place more; what was mapped before is given back. Data blocks that are
 * mapped elsewhere already are the caller's to answer for: a write in place would be seen there.
 *
 * Return: 0; -ENODATA (no such device) or -EINVAL (out of bounds) with nothing changed; others.
 */
int pd_thin_pool_insert(struct pd_thin_pool *pool, uint32_t dev_id, uint64_t vbegin, uint64_t dbegin,
			uint64_t len);

/** pd_thin_pool_remove() - unmap [@vbegin, @vend). @nr_removed, if not NULL: how many were mapped. */
int pd_thin_pool_remove(struct pd_thin_pool *pool, uint32_t dev_id, uint64_t vbegin, uint64_t vend,
			uint64_t *nr_removed);

/** pd_thin_pool_data_count() - places that map @dblock, metadata snapshot included. */
int pd_thin_pool_data_count(struct pd_thin_pool *pool, uint64_t dblock, uint32_t *count);

/* ---- Metadata snapshot and size ---- */

/** pd_thin_pool_reserve_metadata_snap() - commits, then keeps that state readable beside the live one. It is
 * there after the next commit. -EBUSY if there is one (nothing changed). */
int pd_thin_pool_reserve_metadata_snap(struct pd_thin_pool *pool);
/** pd_thin_pool_release_metadata_snap() - -ENODATA if there is none. */
int pd_thin_pool_release_metadata_snap(struct pd_thin_pool *pool);

/** pd_thin_pool_resize_data() - more data blocks; -EINVAL (nothing changed) for fewer, or above 2^40. */
int pd_thin_pool_resize_data(struct pd_thin_pool *pool, uint64_t nr_data_blocks);
/** pd_thin_pool_grow_metadata() - uses all of a metadata device that has grown. */
int pd_thin_pool_grow_metadata(struct pd_thin_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
