/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reference counts of many blocks: exact at any height, shared by threads without locks, and there
 * only for the groups of blocks that somebody asked for.
 *
 * The numbers stand upright: plane k holds bit k of every block's count, 64 blocks a word. One more
 * for a set of blocks in one word is an exclusive or with plane 0; bits that fall from 1 to 0 carry
 * into plane 1, and so on. Each exclusive or hands its own carry on, so the sum is right whatever
 * order threads come in. Most blocks are counted once, so most of the work is in one bit a block,
 * which stays in the processor's cache where a byte a block would not.
 */
#ifndef PD_BASE_COUNTS_H
#define PD_BASE_COUNTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/bits.h"

#define COUNTS_GROUP 16320u	/* blocks a group: those of one space map bitmap */
#define COUNTS_PER_WORD 64u
#define COUNTS_NR_PLANES 32u	/* a space map's counts have 32 bits */
#define COUNTS_NOWHERE SIZE_MAX

struct counts {
	uint64_t nr;		/* blocks */
	uint32_t *group;	/* 1 + place of each group, 0: not kept; NULL: all are, in their order */
	uint64_t nr_groups;
	size_t nr_words;	/* a plane */
	uint64_t *plane[COUNTS_NR_PLANES];	/* made when something carries into them */
	struct bits carried;	/* one bit a page of a plane: is there anything in planes 1 and up? */
	uint64_t *marks;	/* one bit a block, the owner's; made at the first */
	pthread_mutex_t lock;	/* making planes */
	bool lost;		/* no memory for a plane, or 2^32 and more: some count is too low */
};

/*
 * counts_init() - counts of blocks 0 to @nr - 1, all 0.
 * @kept: one bit a group: is it to be kept? NULL keeps all. Blocks of others are not counted.
 * Memory: a bit a block kept for each binary digit that some count nearby has, where it is touched;
 *         4 bytes a group unless all are kept. 0 or -ENOMEM.
 */
int counts_init(struct counts *c, uint64_t nr, const struct bits *kept);
void counts_exit(struct counts *c);

/* The word of every plane that block @i (below nr) is counted in, COUNTS_NOWHERE if it is not kept.
 * Blocks that differ in the last six bits alone share it. */
static inline size_t counts_word(const struct counts *c, uint64_t i)
{
	uint32_t place;

	if (!c->group)
		return (size_t)(i / COUNTS_PER_WORD);
	place = c->group[i / COUNTS_GROUP];
	return place ? (size_t)(((uint64_t)(place - 1) * COUNTS_GROUP + i % COUNTS_GROUP) / COUNTS_PER_WORD) :
		       COUNTS_NOWHERE;
}

static inline uint64_t counts_bit(uint64_t i)
{
	return 1ull << i % COUNTS_PER_WORD;
}

/* Behind counts_inc(): what carries into plane 1. */
void counts_carry(struct counts *c, size_t word, uint64_t carry);

/* One more for each block whose bit is set in @blocks, all in @word; from any thread. */
static inline void counts_inc(struct counts *c, size_t word, uint64_t blocks)
{
	uint64_t carry = __atomic_fetch_xor(&c->plane[0][word], blocks, __ATOMIC_RELAXED) & blocks;

	if (carry)
		counts_carry(c, word, carry);
}

/* The same for one block, kept or not, while one thread alone is here. */
static inline void counts_inc_alone(struct counts *c, uint64_t i)
{
	size_t word = counts_word(c, i);

	if (word == COUNTS_NOWHERE)
		return;
	c->plane[0][word] ^= counts_bit(i);
	if (!(c->plane[0][word] & counts_bit(i)))
		counts_carry(c, word, counts_bit(i));
}

/*
 * A thread's own two lowest digits, so that it need not take turns with others for each block. What
 * carries out of them goes to the shared planes at once, the rest with counts_join().
 */
struct counts_own {
	uint64_t *plane[2];
};

/* 0 or -ENOMEM; @own takes a quarter byte a block kept, where it is touched. */
int counts_own_init(struct counts *c, struct counts_own *own);
/* What @own holds is added to @c, and its memory given back. One thread alone. */
void counts_join(struct counts *c, struct counts_own *own);

/* Behind counts_inc_own(): what carries into plane 2. */
void counts_carry_own(struct counts *c, size_t word, uint64_t carry);

/* As counts_inc(), by the thread that @own belongs to. */
static inline void counts_inc_own(struct counts *c, struct counts_own *own, size_t word, uint64_t blocks)
{
	uint64_t carry = own->plane[0][word] & blocks, next;

	own->plane[0][word] ^= blocks;
	if (!carry)
		return;
	next = own->plane[1][word] & carry;
	own->plane[1][word] ^= carry;
	if (next)
		counts_carry_own(c, word, next);
}

/* One less; one thread alone. A count of 0 stays 0. */
void counts_dec(struct counts *c, uint64_t i);

/* 0 if not kept. */
uint64_t counts_get(const struct counts *c, uint64_t i);

/* A mark of the owner's on a block that is kept; from any thread. */
void counts_mark(struct counts *c, uint64_t i);
bool counts_marked(const struct counts *c, uint64_t i);

/*
 * counts_entries() - the space map's two-bit entries of the 32 blocks from @i on, a multiple of 32 in
 * a group that is kept, entry k in bits 2k and 2k + 1; 3 stands for 3 and more.
 * @marks: NULL, or what of them is marked, bit 2k for block k.
 */
uint64_t counts_entries(const struct counts *c, uint64_t i, uint64_t *marks);

/* Are all counts of the group of block @i surely 0? */
bool counts_group_empty(const struct counts *c, uint64_t i);

#endif
