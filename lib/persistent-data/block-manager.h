/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks in a cache of fixed size, read and written under locks.
 *
 * A block is checked when it comes from the disk (checksum, own number, a superblock's magic, and for nodes
 * and array blocks what node_check() and array_block_check() ask); before it goes there it is checked again, as
 * a guard against our own errors, and sealed. Locks guard against our own errors: several
 * readers or one writer, and the same thread asking for more gets -EDEADLK. A handle belongs to
 * one thread.
 *
 * Nothing is ordered but what bm_commit() orders: everything else, flush, superblock, flush. When
 * the cache is full of changed blocks they are written early; whoever calls must only change
 * blocks that the last commit does not use (transaction-manager.h sees to that).
 */
#ifndef PD_BLOCK_MANAGER_H
#define PD_BLOCK_MANAGER_H

#include "persistent-data/disk.h"
#include <pdata/log.h>

#define BM_MIN_CACHE 128u	/* blocks: two spines of nested trees of any depth, and some air */

struct pd_bm;

struct pd_block {
	uint64_t nr;		/* where it lives */
	uint8_t *data;		/* PD_BLOCK_SIZE bytes; change only under a write lock */
	struct pd_bm *bm;
	uint32_t next;		/* in its hash chain */
	int held;		/* readers, or -1 */
	uint8_t kind;		/* enum block_kind */
	bool dirty, used, valid;
};

/* @cache_blocks: at least BM_MIN_CACHE is taken. @io stays the caller's. 0 or -ENOMEM. */
int bm_create(struct pd_bm **bm, struct pd_io *io, uint32_t cache_blocks, struct pd_log *log);
void bm_destroy(struct pd_bm *bm);		/* takes NULL; changed blocks are lost */
uint64_t bm_nr_blocks(const struct pd_bm *bm);
struct pd_log *bm_log(struct pd_bm *bm);

/**
 * bm_read_lock(), bm_write_lock() - a block of @kind, from the cache or the disk.
 *
 * Return: 0; -EUCLEAN if it is not of that kind, misplaced or unsound, -EIO and the like, each
 *         after a message; -EDEADLK if it is locked the other way; -ENOBUFS if all are locked.
 */
int bm_read_lock(struct pd_bm *bm, uint64_t nr, enum block_kind kind, struct pd_block **b);
int bm_write_lock(struct pd_bm *bm, uint64_t nr, enum block_kind kind, struct pd_block **b);
/* The same without reading: the caller fills all of it, or @zero says it is cleared. */
int bm_write_lock_new(struct pd_bm *bm, uint64_t nr, enum block_kind kind, bool zero,
		      struct pd_block **b);
void bm_unlock(struct pd_block *b);	/* takes NULL */

/* It will be wanted soon. */
void bm_prefetch(struct pd_bm *bm, uint64_t nr);
/* What was changed in @nr, which nobody holds, need not be written. */
void bm_forget(struct pd_bm *bm, uint64_t nr);
/* The same for every block: the cache is empty afterwards. */
void bm_forget_all(struct pd_bm *bm);
/* Locks held by anyone. */
uint32_t bm_nr_held(const struct pd_bm *bm);

/* Writes every changed block that nobody holds, but the superblock, in disk order, and flushes. 0 or -errno. */
int bm_flush(struct pd_bm *bm);
/* All else, flush, @sb, flush. @sb is unlocked and NULL afterwards, whatever happens. -EINVAL after a
 * message if it is not the write-locked block 0, has not its kind's magic number, or another block is
 * locked for writing still. */
int bm_commit(struct pd_bm *bm, struct pd_block **sb);
/* A superblock went out and did not surely arrive: the disk may have the old one or the new one, and nothing
 * that either uses may be overwritten any more. */
bool bm_doubtful(const struct pd_bm *bm);

#endif
