/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Changing caches
 *
 * A struct pd_cache is the metadata of an inactive cache, open for change. What is done becomes real with
 * pd_cache_commit(), all of it or, after a power cut, nothing. Blocks of the last commit are never overwritten. The
 * kernel can go on from what is written here, and the reverse.
 *
 * After a change failed (-EIO, -ENOSPC, -EUCLEAN) nothing is left but pd_cache_abort() or pd_cache_close(); exceptions
 * are named. A handle belongs to one thread.
 *
 * Memory: the memory given, and 5 bytes a metadata block.
 */
#ifndef PDATA_CACHE_METADATA_H
#define PDATA_CACHE_METADATA_H

#include <stdbool.h>
#include <stdint.h>
#include <pdata/io.h>
#include <pdata/log.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pd_cache;

/**
 * pd_cache_create() - make the metadata of an empty cache.
 * @io:              all of it is used, up to the largest metadata there is; what it held is lost.
 * @block_size:      sectors; a multiple of 64 from 64 to 2097152
 * @nr_cache_blocks: of the fast device
 * @version:         1, or 2 with dirty bits of their own
 *
 * Return: 0; -EINVAL for other numbers, -ENOSPC if @io is too small, -EIO. Block 0 is written last.
 */
int pd_cache_create(struct pd_io *io, uint32_t block_size, uint32_t nr_cache_blocks, uint32_t version,
		    struct pd_log *log);

/**
 * pd_cache_open() - open metadata that a check has found sound.
 * @io:            open for writing; stays the caller's, and must outlive the handle.
 * @memory_blocks: blocks of 4 KiB kept in memory; at least 128 are. A transaction may be larger.
 *
 * If the cache was not stopped cleanly, all mapped blocks are dirty, hints and discards are gone; that, too, becomes real
 * with the next commit.
 *
 * Return: 0; -EUCLEAN if the superblock or the metadata space map cannot be used, or needs_check is set
 *         (run cache_check --clear-needs-check-flag first); -ENOMEM, -EIO. The log says why.
 * Cost:   the bitmaps and the overflow tree of the metadata space map are read; after an unclean stop all mappings.
 */
int pd_cache_open(struct pd_cache **cache, struct pd_io *io, uint32_t memory_blocks, struct pd_log *log);

/** pd_cache_close() - takes NULL. What was not committed is lost. */
void pd_cache_close(struct pd_cache *cache);

/** pd_cache_commit() - everything so far becomes real, marked as stopped cleanly, and is on stable storage. 0 or -errno. */
int pd_cache_commit(struct pd_cache *cache);

/** pd_cache_abort() - back to the last commit, or to what pd_cache_open() made of it. 0, or -errno: then only close it. */
int pd_cache_abort(struct pd_cache *cache);

/** struct pd_cache_info - what a cache says of itself now, not yet committed changes included. */
struct pd_cache_info {
	uint32_t version, block_size;		/* block_size: sectors */
	uint32_t nr_cache_blocks;
	char policy[16];			/* "" if there was none yet */
	uint32_t policy_version[3];
	uint32_t hint_size;			/* bytes, 0 or 4: what the policy keeps a block */
	uint64_t discard_block_size, nr_discard_blocks;	/* sectors; blocks of the origin */
	uint64_t nr_metadata_blocks, nr_free_metadata_blocks;
};
void pd_cache_get_info(const struct pd_cache *cache, struct pd_cache_info *info);

/* ---- Mappings; cache and origin blocks are block_size sectors each ---- */

/** struct pd_cache_mapping - what a cache block holds. @dirty: newer than the origin. */
struct pd_cache_mapping {
	uint32_t cblock;
	uint64_t oblock;
	bool dirty;
};
/** pd_cache_lookup() - -ENODATA if @cblock holds nothing, or there is no such block. */
int pd_cache_lookup(struct pd_cache *cache, uint32_t cblock, struct pd_cache_mapping *m);
/** pd_cache_next_mapping() - the first mapping at @cblock or after it; -ENODATA after the last. */
int pd_cache_next_mapping(struct pd_cache *cache, uint32_t cblock, struct pd_cache_mapping *m);

/**
 * pd_cache_insert() - a cache block holds an origin block from now on.
 *
 * That no other cache block holds it is the caller's to know: two make the metadata unsound.
 *
 * Return: 0; -EEXIST if @cblock holds something, -EINVAL past the end or beyond 2^48: nothing changed.
 */
int pd_cache_insert(struct pd_cache *cache, uint32_t cblock, uint64_t oblock, bool dirty);
/** pd_cache_remove() - -ENODATA (nothing changed) if it holds nothing. A dirty block's data is lost by this. */
int pd_cache_remove(struct pd_cache *cache, uint32_t cblock);
/** pd_cache_set_dirty() - -ENODATA (nothing changed) if @cblock holds nothing. */
int pd_cache_set_dirty(struct pd_cache *cache, uint32_t cblock, bool dirty);

/** pd_cache_resize() - another number of cache blocks; -EBUSY (nothing changed) if one to go is in use. */
int pd_cache_resize(struct pd_cache *cache, uint32_t nr_cache_blocks);

/* ---- Hints and discards: they may speed the cache up, nothing depends on them ---- */

/** pd_cache_set_policy() - its name (at most 15 characters), version, and hint size, 0 or 4 bytes; all hints are 0 then.
 * -EINVAL (nothing changed). */
int pd_cache_set_policy(struct pd_cache *cache, const char *name, const uint32_t version[3], uint32_t hint_size);
/** pd_cache_get_hint(), pd_cache_set_hint() - -ENODATA (nothing changed) without hints, or past the end. */
int pd_cache_get_hint(struct pd_cache *cache, uint32_t cblock, uint32_t *hint);
int pd_cache_set_hint(struct pd_cache *cache, uint32_t cblock, uint32_t hint);

/** pd_cache_resize_discards() - @nr blocks of @block_size sectors; of another size than before none is discarded. */
int pd_cache_resize_discards(struct pd_cache *cache, uint64_t block_size, uint64_t nr);
/** pd_cache_is_discarded(), pd_cache_set_discarded() - the origin need not be read there. -ENODATA past the end. */
int pd_cache_is_discarded(struct pd_cache *cache, uint64_t dblock, bool *discarded);
int pd_cache_set_discarded(struct pd_cache *cache, uint64_t dblock, bool discarded);

#ifdef __cplusplus
}
#endif
#endif
