/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What era metadata says, in host numbers: the words between a reader and an emitter. */
#ifndef PD_ERA_RECORDS_H
#define PD_ERA_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

struct era_sb_record {
	uint32_t block_size;		/* sectors */
	uint32_t nr_blocks;
	uint32_t current_era;
};

struct era_writeset_record {
	uint32_t era;
	uint32_t nr_bits;
};

/*
 * Takes one metadata in order: superblock, writesets (ascending era; bits of each), the era
 * array. Each call returns 0 or -errno; the caller then stops.
 */
struct era_emitter {
	int (*superblock)(struct era_emitter *e, const struct era_sb_record *sb);
	int (*writeset_begin)(struct era_emitter *e, const struct era_writeset_record *w);
	/* Bits [@begin, @begin + @nr) of the writeset, ascending calls without gaps when dumped;
	 * bit i is bit i % 64 of words[i / 64], counted from @begin, a multiple of 64. */
	int (*bits)(struct era_emitter *e, uint32_t begin, const uint64_t *words, uint32_t nr);
	int (*writeset_end)(struct era_emitter *e);
	int (*array_begin)(struct era_emitter *e);
	/* Blocks [@begin, @begin + @nr) were last written in @eras. */
	int (*eras)(struct era_emitter *e, uint32_t begin, const uint32_t *eras, uint32_t nr);
	int (*array_end)(struct era_emitter *e);
	int (*superblock_end)(struct era_emitter *e);
};

#endif
