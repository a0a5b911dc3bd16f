/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks in a cache of fixed size, read and written under locks.
 *
 * A block is checked when it comes from the disk (checksum, own number, and for nodes what
 * node_check() asks) and sealed when it goes there. Locks guard against our own errors: several
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

struct bm;

struct bm_block {
	uint64_t nr;		/* where it lives */
	uint8_t *data;		/* PD_BLOCK_SIZE bytes; change only under a write lock */
	struct bm *bm;
	uint32_t next;		/* in its hash chain */
	int held;		/* readers, or -1 */
	uint8_t kind;		/* enum block_kind */
	bool dirty, used, valid;
};

/* @cache_blocks: at least BM_MIN_CACHE is taken. @io stays the caller's. 0 or -ENOMEM. */
int bm_create(struct bm **bm, struct pd_io *io, uint32_t cache_blocks, struct pd_log *log);
void bm_destroy(struct bm *bm);		/* takes NULL; changed blocks are lost */
uint64_t bm_nr_blocks(const struct bm *bm);
struct pd_log *bm_log(struct bm *bm);

/**
 * bm_read_lock(), bm_write_lock() - a block of @kind, from the cache or the disk.
 *
 * Return: 0; -EUCLEAN if it is not of that kind, misplaced or unsound, -EIO and the like, each
 *         after a message; -EDEADLK if it is locked the other way; -ENOBUFS if all are locked.
 */
int bm_read_lock(struct bm *bm, uint64_t nr, enum block_kind kind, struct bm_block **b);
int bm_write_lock(struct bm *bm, uint64_t nr, enum block_kind kind, struct bm_block **b);
/* The same without reading: the caller fills all of it, or @zero says it is cleared. */
int bm_write_lock_new(struct bm *bm, uint64_t nr, enum block_kind kind, bool zero,
		      struct bm_block **b);
void bm_unlock(struct bm_block *b);	/* takes NULL */

/* It will be wanted soon. */
void bm_prefetch(struct bm *bm, uint64_t nr);
/* What was changed in @nr, which nobody holds, need not be written. */
void bm_forget(struct bm *bm, uint64_t nr);
/* The same for every block: the cache is empty afterwards. */
void bm_forget_all(struct bm *bm);
/* Locks held by anyone. */
uint32_t bm_nr_held(const struct bm *bm);

/* Writes every changed block that nobody holds, in disk order, and flushes. 0 or -errno. */
int bm_flush(struct bm *bm);
/* All else, flush, @sb, flush. @sb is unlocked and NULL afterwards, whatever happens. */
int bm_commit(struct bm *bm, struct bm_block **sb);

#endif
