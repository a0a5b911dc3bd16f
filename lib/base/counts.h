/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reference counts of many blocks: exact at any height, shared by threads, half a byte each
 * for most, and there only for the groups of blocks that somebody asked for.
 *
 * A count is its low nibble, eights in a high nibble that is touched only where it is needed, and
 * the rest in a table. When a low nibble has reached 8, eight of it move up behind a lock; as no
 * more than COUNTS_MAX_THREADS can be on their way to the lock, it never wraps. Memory that
 * is not touched is cheap, memory that is touched for the first time is not: hence nibbles.
 */
#ifndef PD_BASE_COUNTS_H
#define PD_BASE_COUNTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/bits.h"

#define COUNTS_GROUP 16320u	/* blocks a group: those of one space map bitmap */
#define COUNTS_PER_WORD 16u
#define COUNTS_MAX_THREADS 8u
#define COUNTS_MARK 15u		/* no low nibble stays so high: a mark of the owner's */

struct counts {
	uint64_t nr;		/* blocks */
	uint32_t *group;	/* 1 + place in groups; 0: not kept */
	uint64_t *low;
	uint64_t *high;
	size_t plane_len;		/* bytes */
	uint64_t nr_groups;
	pthread_mutex_t lock;	/* high and the table */
	bool any_high;		/* something stands in high */
	struct counts_rest *rest;
	size_t nr_rest, max_rest;
	bool lost;		/* no memory for the table: some count is too low */
};

/*
 * counts_init() - counts of blocks 0 to @nr - 1, all 0.
 * @kept: one bit a group: is it to be kept? NULL keeps all. Blocks of others are not counted.
 * Memory: half a byte a block kept and touched, a byte where counts of 8 and more are; 4 bytes a
 *         group that is kept. 0 or -ENOMEM.
 */
int counts_init(struct counts *c, uint64_t nr, const struct bits *kept);
void counts_exit(struct counts *c);

/*
 * counts_populate() - have the memory of all counts made now, by @nr_threads threads.
 * Threads that count at random meet in the same new pages, and each clears one for nothing.
 */
void counts_populate(struct counts *c, unsigned nr_threads);

/* The word that block @i (below nr) is counted in, NULL if it is not kept. Blocks that differ in the
 * last four bits alone share it. */
static inline uint64_t *counts_word(const struct counts *c, uint64_t i)
{
	uint32_t place = c->group[i / COUNTS_GROUP];

	return place ? c->low + ((uint64_t)(place - 1) * COUNTS_GROUP + i % COUNTS_GROUP) /
		       COUNTS_PER_WORD : NULL;
}

/* Behind counts_inc_run(): some nibble stands high. */
void counts_spill(struct counts *c, uint64_t i, unsigned nr);

/* One more for each of @nr blocks from @i on, all in @word; from any of COUNTS_MAX_THREADS threads. */
static inline void counts_inc_run(struct counts *c, uint64_t i, uint64_t *word, unsigned nr)
{
	uint64_t ones = (0x1111111111111111ull >> 4 * (COUNTS_PER_WORD - nr)) <<
			4 * (i % COUNTS_PER_WORD);
	uint64_t old = __atomic_fetch_add(word, ones, __ATOMIC_RELAXED);

	/* 7 and more before this one */
	if (__builtin_expect(((old & 0x7777777777777777ull) + ones) & 0x8888888888888888ull, 0) ||
	    __builtin_expect(old & 0x8888888888888888ull, 0))
		counts_spill(c, i, nr);
}

/* One thread alone from here on. */
void counts_dec(struct counts *c, uint64_t i);
static inline void counts_inc_alone(struct counts *c, uint64_t i)
{
	uint64_t *word = counts_word(c, i);

	if (!word)
		return;
	*word += 1ull << 4 * (i % COUNTS_PER_WORD);
	if (*word >> 4 * (i % COUNTS_PER_WORD) & 8)
		counts_spill(c, i, 1);
}

/* 0 if not kept. */
uint64_t counts_get(const struct counts *c, uint64_t i);

/* The count is not needed any more: put a mark in its place. */
static inline void counts_mark(struct counts *c, uint64_t i)
{
	uint64_t *word = counts_word(c, i);

	__atomic_fetch_or(word, (uint64_t)COUNTS_MARK << 4 * (i % COUNTS_PER_WORD), __ATOMIC_RELAXED);
}

static inline bool counts_marked(const struct counts *c, uint64_t i)
{
	return (*counts_word(c, i) >> 4 * (i % COUNTS_PER_WORD) & 15) == COUNTS_MARK;
}

/*
 * counts_entries() - the space map's two-bit entries of the 32 blocks from @i on, a multiple of 32 in
 * a group that is kept, entry k in bits 2k and 2k + 1. False if a count is above 2 and not a
 * mark (which gives 3).
 */
bool counts_entries(const struct counts *c, uint64_t i, uint64_t *entries);

/* Are all counts of the group of block @i surely 0? Reads its half bytes, in one sweep. */
bool counts_group_empty(const struct counts *c, uint64_t i);

#endif
