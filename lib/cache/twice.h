/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "No origin block twice", without keeping the numbers of all: a table of bits, 32 for each mapping, tells which could be
 * there twice, and only those are looked for in a second pass. An origin of no more blocks than the table has bits gives
 * each its own, so that nothing but true doubles is suspected; what lies further out is spread over it by a hash.
 *
 * First pass: twice_note() for each. Then twice_settle(). Second pass: twice_again() for each. Then twice_sort(), and the
 * ->nr entries of ->e are those that do stand more than once.
 *
 * The table is too large for a processor's caches, and to meet it at random would be most of the work. So it is cut
 * into slices that are not; places wait, a queue a slice and a thread, until there are enough to fetch a slice for.
 *
 * Memory: 4 bytes a mapping, or a bit an origin block where that is less; queues of 16 MiB; 8 bytes a suspect, of
 * which a sound cache with a very large origin has 1 in 64 mappings.
 */
#ifndef PD_CACHE_TWICE_H
#define PD_CACHE_TWICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/workers.h"

#define TWICE_LOCKS 64u
#define TWICE_SLICE_BITS 21u	/* log2 of the bits in a slice: 256 KiB */

struct cached {
	uint64_t oblock, cblock;
};

struct twice_queue {
	uint32_t *nr;		/* of each slice */
	uint32_t *entry;
};

struct twice {
	uint64_t *words;	/* a bit for each place; once settled a smaller table, of the suspects */
	uint64_t nr_words;
	unsigned suspect_shift;	/* hash >> suspect_shift: a bit of it, once settled */
	uint64_t nr_slices;
	uint32_t max_queued;	/* a slice and a thread */
	unsigned nr_threads;
	struct twice_queue queue[WORKERS_MAX];
	pthread_mutex_t slice_lock[TWICE_LOCKS];
	pthread_mutex_t lock;	/* of what follows */
	uint64_t *suspects;	/* slices and places; ascending once settled */
	size_t nr_suspects;
	bool too_many;		/* more suspects than a sound cache can bring by chance */
	uint64_t next;		/* slice to settle */
	struct cached *e;
	size_t nr, max;
};

/* For up to @nr mappings, noted by workers 0 to @nr_threads - 1. 0 or -ENOMEM; twice_exit() in any case. */
int twice_init(struct twice *t, uint64_t nr, unsigned nr_threads);
void twice_exit(struct twice *t);

static inline uint64_t twice_place(const struct twice *t, uint64_t oblock)
{
	uint64_t h;

	if (oblock >> TWICE_SLICE_BITS < t->nr_slices)
		return oblock;
	h = oblock * 0x9e3779b97f4a7c15u;
	h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
	return ((h >> 32) * t->nr_slices >> 32 << TWICE_SLICE_BITS) + (h & ((1u << TWICE_SLICE_BITS) - 1));
}

void twice_apply(struct twice *t, struct twice_queue *q, uint64_t slice);

static inline void twice_note(struct twice *t, unsigned worker, uint64_t oblock)
{
	struct twice_queue *q = &t->queue[worker];
	uint64_t place = twice_place(t, oblock), slice = place >> TWICE_SLICE_BITS;
	uint32_t nr = q->nr[slice];

	q->entry[slice * t->max_queued + nr] = place & ((1u << TWICE_SLICE_BITS) - 1);
	q->nr[slice] = ++nr;
	if (nr == t->max_queued)
		twice_apply(t, q, slice);
}

/* 0 or -ENOMEM. Without suspects there is no need for a second pass. */
int twice_settle(struct twice *t);

static inline uint64_t twice_bit(const struct twice *t, uint64_t place)
{
	return place * 0x9e3779b97f4a7c15u >> t->suspect_shift;
}

int twice_found(struct twice *t, uint64_t place, uint64_t oblock, uint64_t cblock);

/* From any thread, if there are suspects. 0 or -ENOMEM. */
static inline int twice_again(struct twice *t, uint64_t oblock, uint64_t cblock)
{
	uint64_t place = twice_place(t, oblock), bit = twice_bit(t, place);

	return t->words[bit / 64] >> bit % 64 & 1 ? twice_found(t, place, oblock, cblock) : 0;
}

/* By origin block, then by cache block. */
void twice_sort(struct twice *t);

#endif
