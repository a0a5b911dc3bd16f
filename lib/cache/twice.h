/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "No origin block twice", without keeping the numbers of all: a filter of one bit a hash tells which could be there
 * twice, and only those are looked for in a second pass.
 *
 * First pass: twice_note() for each. twice_settle(). Second pass: twice_again() for each. twice_sort(); then the
 * ->nr entries of ->e are those that do stand more than once.
 * Memory: 2 bytes a cache block, 16 MiB, and 16 bytes for each suspect found again.
 */
#ifndef PD_CACHE_TWICE_H
#define PD_CACHE_TWICE_H

#include <pthread.h>
#include "base/bits.h"

struct cached {
	uint64_t oblock, cblock;
};

struct twice {
	pthread_mutex_t lock;
	struct bits filter;
	uint64_t *suspects;	/* origin blocks; ascending once settled */
	size_t nr_suspects;
	bool too_many;		/* more suspects than a sound cache can bring by chance */
	struct cached *e;
	size_t nr, max;
};

/* For up to @nr mappings. 0 or -ENOMEM; twice_exit() in any case. */
int twice_init(struct twice *t, uint64_t nr);
void twice_exit(struct twice *t);

static inline uint64_t twice_bit(const struct twice *t, uint64_t oblock)
{
	return (oblock * 0x9e3779b97f4a7c15ull >> 8) % t->filter.nr;
}

void twice_suspect(struct twice *t, uint64_t oblock);

/* From any thread. */
static inline void twice_note(struct twice *t, uint64_t oblock)
{
	if (bits_test_and_set_atomic(&t->filter, twice_bit(t, oblock)))
		twice_suspect(t, oblock);
}

/* 0 or -ENOMEM. Without suspects there is no need for a second pass. */
int twice_settle(struct twice *t);

/* From any thread. 0 or -ENOMEM. */
int twice_again(struct twice *t, uint64_t oblock, uint64_t cblock);

/* By origin block, then by cache block. */
void twice_sort(struct twice *t);

#endif
