/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Block manager
 *
 * Metadata blocks in a cache of bounded size, read and changed under locks.
 *
 * A block is checked when it comes from the disk: checksum of its kind, its own number, and what makes a node, an
 * array block or a superblock of any use. Before it goes to the disk it is checked again, then number and
 * checksum are filled in. Locks guard against a program's own errors: many readers or one writer, and who asks
 * for more than that gets -EDEADLK instead of waiting for itself. A handle belongs to one thread.
 *
 * Changed blocks are written in disk order, neighbours in one request: at pd_bm_flush() and pd_bm_commit(), and
 * early when the cache is full of them. So change only blocks that the last commit does not use: the
 * transaction manager (<pdata/transaction-manager.h>) hands out those. The superblock goes out with
 * pd_bm_commit() alone.
 */
#ifndef PDATA_BLOCK_MANAGER_H
#define PDATA_BLOCK_MANAGER_H

#include <stdbool.h>
#include <stdint.h>
#include <pdata/io.h>
#include <pdata/log.h>

#ifdef __cplusplus
extern "C" {
#endif

/** enum pd_block_kind - what a block is; each kind has a checksum of its own. */
enum pd_block_kind {
	PD_BLOCK_THIN_SB = 1,	/* superblocks: block 0, and copies of it in metadata snapshots */
	PD_BLOCK_CACHE_SB,
	PD_BLOCK_ERA_SB,
	PD_BLOCK_CLONE_SB,
	PD_BLOCK_NODE,		/* of a B-tree */
	PD_BLOCK_ARRAY,
	PD_BLOCK_BITMAP,	/* of a space map */
	PD_BLOCK_INDEX,		/* of the metadata space map */
};

struct pd_bm;
struct pd_block;	/* a locked block */

/**
 * pd_bm_create() - a cache in front of @io.
 * @io:           stays the caller's, and must outlive the block manager.
 * @cache_blocks: blocks kept in memory; at least 128 and at most 2^22 are.
 * @log:          hears of every failure; NULL says nothing.
 *
 * Return: 0 or -ENOMEM.
 * Memory: 4 KiB and some 60 bytes a cached block, all taken here.
 */
int pd_bm_create(struct pd_bm **bm, struct pd_io *io, uint32_t cache_blocks, struct pd_log *log);

/** pd_bm_destroy() - takes NULL. No block may be locked; changes that were not flushed are lost. */
void pd_bm_destroy(struct pd_bm *bm);

/** pd_bm_nr_blocks() - blocks on the device. */
uint64_t pd_bm_nr_blocks(const struct pd_bm *bm);

/**
 * pd_bm_read_lock() - look at a block.
 * @nr:   its number.
 * @kind: what it must be.
 * @b:    the block, until pd_bm_unlock(); others may read it meanwhile.
 *
 * Return: 0; -EUCLEAN if it is past the end, no such block or unsound; -EIO and the like; all after a message.
 *         -EDEADLK if it is locked for writing, -ENOBUFS if every block of the cache is locked, -EINVAL if there
 *         is no such kind.
 * Cost:   none if it is in the cache, else a read; perhaps a write of changed blocks that make room.
 * Source: kernel dm-block-manager.c, dm_bm_read_lock().
 */
int pd_bm_read_lock(struct pd_bm *bm, uint64_t nr, enum pd_block_kind kind, struct pd_block **b);

/** pd_bm_write_lock() - the same, to change it. It counts as changed from here on. */
int pd_bm_write_lock(struct pd_bm *bm, uint64_t nr, enum pd_block_kind kind, struct pd_block **b);

/** pd_bm_write_lock_zero() - a block whose old content does not matter: not read, all zero. */
int pd_bm_write_lock_zero(struct pd_bm *bm, uint64_t nr, enum pd_block_kind kind, struct pd_block **b);

/** pd_bm_unlock() - takes NULL. */
void pd_bm_unlock(struct pd_block *b);

/** pd_block_nr() - where a block lives. */
uint64_t pd_block_nr(const struct pd_block *b);

/** pd_block_data() - its PD_BLOCK_SIZE bytes, until it is unlocked. Change them only under a write lock; number and
 * checksum are not the caller's to fill in. <pdata/fields.h> reads and sets them by name. */
void *pd_block_data(const struct pd_block *b);

/** pd_bm_prefetch() - block @nr will be wanted soon: the device is asked for it, nobody waits. */
void pd_bm_prefetch(struct pd_bm *bm, uint64_t nr);

/** pd_bm_nr_held() - locks held now. */
uint32_t pd_bm_nr_held(const struct pd_bm *bm);

/** pd_bm_flush() - every changed block that nobody holds, but block 0, is on stable storage. 0 or -errno after a message;
 * what could not be written stays changed. */
int pd_bm_flush(struct pd_bm *bm);

/**
 * pd_bm_commit() - pd_bm_flush(), then the superblock, then a flush.
 * @sb: block 0, write locked; unlocked and NULL afterwards, whatever happens.
 *
 * Return: 0; -EINVAL (after a message, nothing written) if @sb is no write-locked superblock with the magic number of
 *         its kind, or another block is locked for writing still; -EIO and the like.
 * Source: kernel dm-transaction-manager.c, dm_tm_commit().
 */
int pd_bm_commit(struct pd_bm *bm, struct pd_block **sb);

#ifdef __cplusplus
}
#endif
#endif
