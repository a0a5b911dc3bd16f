/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Changing eras
 *
 * A struct pd_era is the metadata of an inactive era device, open for change. What is done becomes real with
 * pd_era_commit(), all of it or, after a power cut, nothing. The kernel can go on from what is written here, and the
 * reverse.
 *
 * After a change failed (-EIO, -ENOSPC, -EUCLEAN) nothing is left but pd_era_abort() or pd_era_close(); exceptions are
 * named. A handle belongs to one thread. Memory: the memory given, and 5 bytes a metadata block.
 */
#ifndef PDATA_ERA_METADATA_H
#define PDATA_ERA_METADATA_H

#include <stdbool.h>
#include <stdint.h>
#include <pdata/io.h>
#include <pdata/log.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pd_era;

/**
 * pd_era_create() - make the metadata of a device no block of which was written yet. Its era is 0.
 * @io:         all of it is used, up to the largest metadata there is; what it held is lost.
 * @block_size: sectors, a multiple of 8
 * @nr_blocks:  of the device, below 2^31
 *
 * Return: 0; -EINVAL for other numbers, -ENOSPC if @io is too small, -EIO. Block 0 is written last.
 */
int pd_era_create(struct pd_io *io, uint32_t block_size, uint32_t nr_blocks, struct pd_log *log);

/**
 * pd_era_open() - open metadata that a check has found sound.
 * @io:            open for writing; stays the caller's, and must outlive the handle.
 * @memory_blocks: blocks of 4 KiB kept in memory; at least 128 are.
 *
 * Return: 0; -EUCLEAN if the superblock or the metadata space map cannot be used, -ENOMEM, -EIO. The log says why.
 */
int pd_era_open(struct pd_era **era, struct pd_io *io, uint32_t memory_blocks, struct pd_log *log);

/** pd_era_close() - takes NULL. What was not committed is lost. */
void pd_era_close(struct pd_era *era);

/** pd_era_commit() - everything so far becomes real and is on stable storage. 0 or -errno. */
int pd_era_commit(struct pd_era *era);

/** pd_era_abort() - back to the last commit. 0, or -errno: then only close it. */
int pd_era_abort(struct pd_era *era);

/** struct pd_era_info - what there is now, not yet committed changes included. */
struct pd_era_info {
	uint32_t block_size, nr_blocks;		/* block_size: sectors */
	uint32_t current_era;
	bool live;				/* writes of this era are being recorded */
	uint64_t metadata_snap;			/* its block, 0 if none */
	uint64_t nr_metadata_blocks, nr_free_metadata_blocks;
};
void pd_era_get_info(const struct pd_era *era, struct pd_era_info *info);

/* ---- Eras ---- */

/** pd_era_begin() - the next era: what was live is archived, nothing is written in the new one. */
int pd_era_begin(struct pd_era *era);

/** pd_era_end() - archives the live writeset, as a clean stop does. -ENODATA (nothing changed) if there is none. */
int pd_era_end(struct pd_era *era);

/** pd_era_mark() - @block is written in this era: to be committed before it is. -ENODATA (nothing changed) without a live
 * writeset, -EINVAL past its end. */
int pd_era_mark(struct pd_era *era, uint32_t block);

/** pd_era_digest() - folds the oldest archived writeset into the era array and removes it. -ENODATA if there is none.
 * Cost: the array's blocks that it touches. */
int pd_era_digest(struct pd_era *era);

/** pd_era_next_writeset() - the first archived one of @from or later: its era and size in blocks. -ENODATA after the last. */
int pd_era_next_writeset(struct pd_era *era, uint32_t from, uint32_t *number, uint32_t *nr_bits);

/** pd_era_last_written() - the last era in which @block was written, from writesets, live and archived, and array; 0 if in
 * none. -EINVAL past the end. Cost: a lookup a writeset. */
int pd_era_last_written(struct pd_era *era, uint32_t block, uint32_t *last);

/** pd_era_resize() - another number of blocks; new ones were never written. -EBUSY (nothing changed) with a live writeset,
 * -EINVAL (the same) for 2^31 or more. */
int pd_era_resize(struct pd_era *era, uint32_t nr_blocks);

/* ---- Metadata snapshot ---- */

/** pd_era_take_metadata_snap() - begins an era, commits, then keeps that state readable beside the live one. It is there
 * after the next commit. -EBUSY if there is one (nothing changed). */
int pd_era_take_metadata_snap(struct pd_era *era);
/** pd_era_drop_metadata_snap() - -ENODATA if there is none. */
int pd_era_drop_metadata_snap(struct pd_era *era);

#ifdef __cplusplus
}
#endif
#endif
