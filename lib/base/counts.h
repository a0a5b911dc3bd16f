/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reference counts of many blocks, one byte each: exact at any height, shared by threads, and
 * there only for the groups of blocks that somebody asked for.
 *
 * A byte never wraps: when it has passed COUNTS_HIGH, COUNTS_MOVE of it move into a table behind
 * a lock, so up to 55 threads may be on their way to the lock at once.
 */
#ifndef PD_BASE_COUNTS_H
#define PD_BASE_COUNTS_H

#include <endian.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/bits.h"

#define COUNTS_GROUP 16320u	/* blocks a group: those of one space map bitmap */
#define COUNTS_HIGH 199u
#define COUNTS_MOVE 128u
#define COUNTS_MARK 255u	/* never a count: a mark of the owner's, see counts_mark() */

struct counts {
	uint64_t nr;		/* blocks */
	uint32_t *group;	/* 1 + place in bytes, in groups; 0: not kept */
	uint8_t *bytes;
	uint64_t nr_kept;	/* groups */
	size_t bytes_len, group_len;
	pthread_mutex_t lock;	/* the table of what moved */
	struct counts_high *high;
	size_t nr_high, max_high;
	bool lost;		/* no memory: some count is too low */
};

/*
 * counts_init() - counts of blocks 0 to @nr - 1, all 0.
 * @kept: one bit a group: is it to be kept? NULL keeps all. Blocks of others are not counted.
 * Memory: one byte a block kept and touched; 4 bytes a group that is kept. 0 or -ENOMEM.
 */
int counts_init(struct counts *c, uint64_t nr, const struct bits *kept);
void counts_exit(struct counts *c);

/* Address of the byte of block @i (below nr), NULL if it is not kept. */
static inline uint8_t *counts_byte(const struct counts *c, uint64_t i)
{
	uint32_t place = c->group[i / COUNTS_GROUP];

	return place ? c->bytes + (uint64_t)(place - 1) * COUNTS_GROUP + i % COUNTS_GROUP : NULL;
}

/* Behind counts_inc(): the byte stands high. */
void counts_spill(struct counts *c, uint64_t i, uint8_t *byte);

/* One more, from any thread. */
static inline void counts_inc(struct counts *c, uint64_t i, uint8_t *byte)
{
	if (__atomic_fetch_add(byte, 1, __ATOMIC_RELAXED) >= COUNTS_HIGH)
		counts_spill(c, i, byte);
}

/* Behind counts_inc_run(): some byte of the word stands high. */
void counts_spill_word(struct counts *c, uint64_t i, uint8_t *byte, unsigned nr);

/*
 * One more for each of the @nr blocks from @i on, from any thread; @byte is that of @i. All of them
 * lie in one aligned word of eight, so no byte's sum can run over into the next: one addition
 * does for all.
 */
static inline void counts_inc_word(struct counts *c, uint64_t i, uint8_t *byte, unsigned nr)
{
	unsigned at = (uintptr_t)byte % 8;
	uint64_t ones = (0x0101010101010101ull >> 8 * (8 - nr)) << 8 * at, old;
	const uint64_t high = 0x8080808080808080ull;

	old = __atomic_fetch_add((uint64_t *)(void *)(byte - at), htole64(ones), __ATOMIC_RELAXED);
	if (__builtin_expect(old & high, 0))
		counts_spill_word(c, i, byte, nr);
}

/* One thread alone from here on. */
void counts_dec(struct counts *c, uint64_t i);
void counts_add(struct counts *c, uint64_t i, uint32_t n);
static inline void counts_inc_alone(struct counts *c, uint64_t i)
{
	uint8_t *byte = counts_byte(c, i);

	if (byte && *byte < COUNTS_HIGH)
		++*byte;
	else
		counts_add(c, i, 1);
}
uint32_t counts_get(const struct counts *c, uint64_t i);	/* 0 if not kept */

/* The count is not needed any more: put a mark in its place. */
static inline void counts_mark(uint8_t *byte)
{
	*byte = COUNTS_MARK;
}

#endif
