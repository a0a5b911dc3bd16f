/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The superblock of a cache, and where its arrays are. */
#ifndef PD_CACHE_SUPERBLOCK_H
#define PD_CACHE_SUPERBLOCK_H

#include <pdata/cache.h>
#include "meta/array-scan.h"

/* Reads and recognises block 0: checksum, own number, magic, version. Messages are the fixed texts. 0,
 * -EUCLEAN, -EIO, -ENOMEM. */
int cache_sb_read(struct pd_io *io, struct pd_log *log, struct cache_superblock *sb);

struct array_scan cache_mapping_array(const struct cache_superblock *sb);
struct array_scan cache_dirty_bitset(const struct cache_superblock *sb);
struct array_scan cache_hint_array(const struct cache_superblock *sb);
struct array_scan cache_discard_bitset(const struct cache_superblock *sb);

/* Blocks of the origin, at most; 0 if it is not known. */
uint64_t cache_origin_blocks(const struct cache_superblock *sb);

static inline bool cache_is_clean(const struct cache_superblock *sb)
{
	return le32_get(sb->flags) & CACHE_CLEAN_SHUTDOWN;
}

static inline uint64_t mapping_oblock(uint64_t v) { return v >> 16; }
static inline uint32_t mapping_flags(uint64_t v) { return v & 0xffff; }

/* Could this be a mapping, of either version, and nothing else? */
static inline bool mapping_plausible(uint64_t v)
{
	return !v || (v & CACHE_VALID && !(mapping_flags(v) & ~(CACHE_VALID | CACHE_DIRTY)));
}

/* Entries of an array block at @block, if all of them are plausible mappings; else 0. */
uint32_t mappings_in_piece(const void *data, uint64_t block, uint32_t *nr_mapped);

#endif
