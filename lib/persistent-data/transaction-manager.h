/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transactions: blocks of the last commit are never changed, but copied (shadowed) to free ones;
 * the superblock, written last, makes the copies the new state. After a power cut the device
 * holds the old or the new one.
 *
 * The transaction manager keeps the metadata space map: the count of every metadata block in
 * memory (4 bytes a block, 16 MiB for the largest device), so taking and giving back blocks needs
 * no I/O and no recursion; tm_pre_commit() writes the bitmaps that changed. A block is taken only
 * if neither this transaction nor the last commit uses it, searching on from where the last
 * one was found, so older generations stay whole as long as possible.
 *
 *	tm_create() or tm_open()
 *	... change trees ...
 *	tm_pre_commit(tm, &root);	put root and your own roots into the superblock
 *	tm_commit(tm, &sb);
 */
#ifndef PD_TRANSACTION_MANAGER_H
#define PD_TRANSACTION_MANAGER_H

#include "persistent-data/block-manager.h"

struct pd_tm;

/* For a device of which nothing is kept; the first commit makes it metadata. 0 or -ENOMEM. */
int tm_create(struct pd_tm **tm, struct pd_io *io, uint32_t cache_blocks, struct pd_log *log);

/* Reads the metadata space map @root tells of. 0, -ENOMEM, -EUCLEAN or -EIO after a message.
 * Cost: its bitmaps and its overflow tree. */
int tm_open(struct pd_tm **tm, struct pd_io *io, uint32_t cache_blocks, const struct sm_root *root,
	    struct pd_log *log);
void tm_destroy(struct pd_tm *tm);		/* takes NULL; what was not committed is lost */

struct pd_bm *tm_bm(struct pd_tm *tm);
uint64_t tm_nr_blocks(const struct pd_tm *tm);	/* of the metadata space map */
uint64_t tm_nr_free(const struct pd_tm *tm);	/* blocks that could be taken now */
uint64_t tm_nr_unused(const struct pd_tm *tm);	/* blocks with count 0 */
/* The same as a space map of its own; <pdata/space-map.h>. */
struct pd_sm *pd_tm_sm(struct pd_tm *tm);
uint32_t tm_count(const struct pd_tm *tm, uint64_t nr);

/* A block that is free now and was in the last commit; count 1. -ENOSPC if there is none. */
int tm_take(struct pd_tm *tm, uint64_t *nr);
/* A fresh block of @kind, cleared, write locked, count 1. -ENOSPC if there is none. */
int tm_new_block(struct pd_tm *tm, enum block_kind kind, struct pd_block **b);

/**
 * tm_shadow() - block @nr, so that it may be changed.
 * @shared: others keep the original: the caller must count what the copy points to once more.
 *
 * The same block if it was made in this transaction and has one parent; else a copy, and the
 * original has one count less. Write locked; its number may be another than @nr.
 */
int tm_shadow(struct pd_tm *tm, uint64_t nr, enum block_kind kind, struct pd_block **b, bool *shared);

/* One more, one less place points to @nr. At 0 the block is free after the next commit, or at
 * once if it was made in this transaction. -EUCLEAN for a block out of bounds or not in use. */
int tm_inc(struct pd_tm *tm, uint64_t nr);
int tm_dec(struct pd_tm *tm, uint64_t nr);
/* From whatever it was to @count. -EINVAL for block 0 and out of bounds. */
int tm_set_count(struct pd_tm *tm, uint64_t nr, uint32_t count);

/* The map grows to @nr_blocks, or to what the device has and the largest map there is. Never shrinks. 0 or -ENOMEM. */
int tm_grow(struct pd_tm *tm, uint64_t nr_blocks);

/* Brings the metadata space map up to date and tells its root. Nothing may be changed between
 * this and tm_commit(). After -ENOSPC or another failure only tm_abort() is left; -ENOSPC also if an earlier change
 * ended so. */
int tm_pre_commit(struct pd_tm *tm, struct sm_root *root);
/* bm_commit(), then a new transaction begins. @sb: the superblock, write locked. */
int tm_commit(struct pd_tm *tm, struct pd_block **sb);
/* Commits since tm_create() or tm_open(). */
uint64_t tm_epoch(const struct pd_tm *tm);
/* Back to the last commit. Whoever holds roots must take them from the superblock again. -EIO if the superblock
 * was being written when the commit failed: then nobody knows which commit is the last. */
int tm_abort(struct pd_tm *tm);

#endif
