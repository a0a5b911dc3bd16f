/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "No origin block twice", without keeping the numbers of all: a Bloom filter tells which could be there twice, and only
 * those are looked for in a second pass.
 *
 * First pass: twice_note() for each, twice_flush(). Then twice_settle(). Second pass: twice_again() for each. Then
 * twice_sort(), and the ->nr entries of ->e are those that do stand more than once.
 *
 * Memory: 2 to 4 bytes a cache block; suspects are some 3 in 1,000 of a sound cache.
 */
#ifndef PD_CACHE_TWICE_H
#define PD_CACHE_TWICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cached {
	uint64_t oblock, cblock;
};

struct twice {
	pthread_mutex_t lock;
	uint64_t *words;	/* the filter: each block has three bits in one of them */
	unsigned shift;		/* of a hash, to the number of a word */
	uint64_t *suspects;	/* origin blocks; ascending once settled */
	size_t nr_suspects;
	bool too_many;		/* more suspects than a sound cache can bring by chance */
	struct cached *e;
	size_t nr, max;
};

/* For up to @nr mappings. 0 or -ENOMEM; twice_exit() in any case. */
int twice_init(struct twice *t, uint64_t nr);
void twice_exit(struct twice *t);

/* Origin blocks on their way into the filter, a queue a thread: memory is asked for all before the first is needed. */
struct twice_queue {
	unsigned nr;
	uint64_t oblock[256];
};

void twice_flush(struct twice *t, struct twice_queue *q);

static inline void twice_note(struct twice *t, struct twice_queue *q, uint64_t oblock)
{
	q->oblock[q->nr++] = oblock;
	if (q->nr == sizeof(q->oblock) / sizeof(*q->oblock))
		twice_flush(t, q);
}

/* 0 or -ENOMEM. Without suspects there is no need for a second pass. */
int twice_settle(struct twice *t);

static inline uint64_t twice_hash(uint64_t oblock)
{
	uint64_t h = oblock * 0x9e3779b97f4a7c15u;

	return (h ^ h >> 32) * 0xd6e8feb86659fd93u;
}

static inline uint64_t twice_mask(uint64_t hash)
{
	return 1ull << (hash & 63) | 1ull << (hash >> 6 & 63) | 1ull << (hash >> 12 & 63);
}

int twice_found(struct twice *t, uint64_t oblock, uint64_t cblock);

/* From any thread, if there are suspects. 0 or -ENOMEM. */
static inline int twice_again(struct twice *t, uint64_t oblock, uint64_t cblock)
{
	uint64_t hash = twice_hash(oblock), mask = twice_mask(hash);

	return (t->words[hash >> t->shift] & mask) == mask ? twice_found(t, oblock, cblock) : 0;
}

/* By origin block, then by cache block. */
void twice_sort(struct twice *t);

#endif
