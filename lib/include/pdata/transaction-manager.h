/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Transaction manager
 *
 * No block that the last commit uses is ever changed: to change one, it is shadowed, that is, copied to a free block. The
 * superblock, written last, makes the copies the new state. After a power cut at any moment the device holds
 * the old state or the new one, nothing in between.
 *
 *	pd_tm_open(&tm, io, 1024, &root, log);		root: the metadata space map's, from the superblock
 *	pd_btree_open(&tree, tm, ...);			and arrays, bitsets, space maps
 *	... change them ...
 *	pd_tm_pre_commit(tm, &root);
 *	pd_bm_write_lock(pd_tm_bm(tm), 0, PD_BLOCK_THIN_SB, &sb);
 *	... put root (pd_sm_root_pack()) and the roots of the trees into pd_block_data(sb) ...
 *	pd_tm_commit(tm, &sb);
 *
 * The transaction manager keeps the metadata space map, the counts of all metadata blocks, in memory; the map's blocks on
 * the disk, which count themselves, are brought up to date by pd_tm_pre_commit(). Free blocks are looked for from
 * where the last one was found, so that older states stay readable as long as possible.
 *
 * After a failed change nothing is left but pd_tm_abort() or pd_tm_destroy(). A handle belongs to one thread.
 * Source of the rules: kernel dm-transaction-manager.c, dm-space-map-metadata.c.
 */
#ifndef PDATA_TRANSACTION_MANAGER_H
#define PDATA_TRANSACTION_MANAGER_H

#include <pdata/block-manager.h>
#include <pdata/space-map.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pd_tm;

/**
 * pd_tm_create() - metadata from nothing: nothing on the device is kept.
 * @io:           stays the caller's, and must outlive the transaction manager. All of it is used, up to 4161600
 *                blocks, the most that a metadata space map (of 255 bitmaps) can count.
 * @cache_blocks: as for pd_bm_create(). A transaction may be larger; then its blocks are written early.
 *
 * The device is metadata after the first commit. Until then it holds what it held, if that was metadata perhaps
 * overwritten in part: make block 0 invalid first.
 *
 * Return: 0, -ENOMEM, -ENOSPC for a device without blocks.
 * Memory: the cache, and 5 bytes a metadata block.
 */
int pd_tm_create(struct pd_tm **tm, struct pd_io *io, uint32_t cache_blocks, struct pd_log *log);

/**
 * pd_tm_open() - metadata that a check has found sound.
 * @root: of its metadata space map, as the superblock has it (pd_sm_root_unpack()).
 *
 * Return: 0; -EUCLEAN if the space map cannot be used or counts more blocks than the device has, -EIO, both
 *         after a message; -ENOMEM.
 * Cost:   reads the map's index, bitmaps and overflow tree.
 */
int pd_tm_open(struct pd_tm **tm, struct pd_io *io, uint32_t cache_blocks, const struct pd_sm_root *root,
	       struct pd_log *log);

/** pd_tm_destroy() - takes NULL. Trees, arrays, bitsets and space maps on it must be closed before; what was not
 * committed is lost. */
void pd_tm_destroy(struct pd_tm *tm);

/** pd_tm_bm() - its block manager; goes away with it. */
struct pd_bm *pd_tm_bm(struct pd_tm *tm);

/** pd_tm_sm() - the metadata space map: every function of <pdata/space-map.h> but open, close and pre_commit. Goes away
 * with the transaction manager. A block there counts the places that point to it. */
struct pd_sm *pd_tm_sm(struct pd_tm *tm);

/**
 * pd_tm_new_block() - a block that neither this transaction nor the last commit uses.
 * @b: write locked, all zero; its count is 1.
 *
 * Return: 0; -ENOSPC after a message; as pd_bm_write_lock().
 */
int pd_tm_new_block(struct pd_tm *tm, enum pd_block_kind kind, struct pd_block **b);

/**
 * pd_tm_shadow_block() - block @nr, so that it may be changed.
 * @b:      write locked; pd_block_nr() may be another than @nr, and whoever pointed to @nr must point there.
 * @shared: others go on using the original: what the copy points to must be counted once more each.
 *
 * The block itself if it was made in this transaction and one place points to it; else a copy, and the original counts
 * one place less.
 *
 * Return: 0; -EUCLEAN if @nr is not in use; -ENOSPC; as pd_bm_write_lock().
 * Source: kernel dm-transaction-manager.c, dm_tm_shadow_block(), __shadow_block().
 */
int pd_tm_shadow_block(struct pd_tm *tm, uint64_t nr, enum pd_block_kind kind, struct pd_block **b, bool *shared);

/** pd_tm_inc(), pd_tm_dec() - one place more, one less points to @nr. At 0 it is free: at once if it was made in this
 * transaction, else after the commit. -EUCLEAN after a message if it is not in use. */
int pd_tm_inc(struct pd_tm *tm, uint64_t nr);
int pd_tm_dec(struct pd_tm *tm, uint64_t nr);

/** pd_tm_pre_commit() - brings the metadata space map up to date. @root: what the superblock must say of it. Data space maps
 * come before (pd_sm_pre_commit()); nothing may be changed between this and pd_tm_commit(). 0 or -errno; -ENOSPC also if an
 * earlier change has found the metadata device full. */
int pd_tm_pre_commit(struct pd_tm *tm, struct pd_sm_root *root);

/**
 * pd_tm_commit() - ends the transaction and begins the next.
 * @sb: as for pd_bm_commit().
 *
 * Return: 0; as pd_bm_commit(). When a failure came so late that nobody can tell whether the superblock has arrived,
 *         pd_tm_abort() fails as well: close, check, open again.
 */
int pd_tm_commit(struct pd_tm *tm, struct pd_block **sb);

/** pd_tm_abort() - back to the last commit. Close trees, arrays, bitsets and data space maps, and open them with the roots
 * that the superblock has. 0 or -errno: then only destroy it. */
int pd_tm_abort(struct pd_tm *tm);

#ifdef __cplusplus
}
#endif
#endif
