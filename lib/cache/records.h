/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What cache metadata says, in host numbers: the words between a reader and an emitter. */
#ifndef PD_CACHE_RECORDS_H
#define PD_CACHE_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

struct cache_sb_record {
	uint32_t block_size;		/* sectors */
	uint32_t nr_cache_blocks;
	char policy[17];		/* as stored, ended by a zero; may be empty */
	uint32_t hint_width;		/* bytes, 0 or 4 when written; as stored when read */
};

struct cache_mapping_record {
	uint32_t cblock;
	uint64_t oblock;
	bool dirty;
};

struct cache_hint_record {
	uint32_t cblock;
	uint32_t len_bytes;		/* of data */
	const uint8_t *data;
};

/* Discard blocks [begin, end). */
struct cache_discard_record {
	uint64_t begin, end;
};

/*
 * Takes one metadata in order: superblock, mappings (ascending cblock), hints (ascending
 * cblock), discards. Each call returns 0 or -errno; the caller then stops.
 */
struct cache_emitter {
	int (*superblock)(struct cache_emitter *e, const struct cache_sb_record *sb);
	int (*mappings_begin)(struct cache_emitter *e);
	int (*mappings)(struct cache_emitter *e, const struct cache_mapping_record *m, unsigned nr);
	int (*mappings_end)(struct cache_emitter *e);
	int (*hints_begin)(struct cache_emitter *e);
	int (*hints)(struct cache_emitter *e, const struct cache_hint_record *h, unsigned nr);
	int (*hints_end)(struct cache_emitter *e);
	int (*discards_begin)(struct cache_emitter *e);
	int (*discard)(struct cache_emitter *e, const struct cache_discard_record *d);
	int (*discards_end)(struct cache_emitter *e);
	int (*superblock_end)(struct cache_emitter *e);
};

#endif
