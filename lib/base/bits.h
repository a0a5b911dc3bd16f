/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A set of small numbers (metadata blocks), one bit each. Its memory is reserved
 * at once and committed by the system only where bits are touched.
 */
#ifndef PD_BASE_BITS_H
#define PD_BASE_BITS_H

#include <stdbool.h>
#include <stdint.h>

struct bits {
	uint64_t nr;		/* bits */
	uint64_t *words;
};

/* All clear. 0 or -ENOMEM. */
int bits_init(struct bits *b, uint64_t nr);
void bits_exit(struct bits *b);

static inline bool bits_test(const struct bits *b, uint64_t i)
{
	return b->words[i / 64] >> (i % 64) & 1;
}

static inline void bits_set(struct bits *b, uint64_t i)
{
	b->words[i / 64] |= 1ull << (i % 64);
}

static inline void bits_clear(struct bits *b, uint64_t i)
{
	b->words[i / 64] &= ~(1ull << (i % 64));
}

/* While other threads set bits. */
static inline bool bits_test_atomic(const struct bits *b, uint64_t i)
{
	return __atomic_load_n(&b->words[i / 64], __ATOMIC_RELAXED) >> (i % 64) & 1;
}

/* Sets the bit; true if it was set before. */
static inline bool bits_test_and_set(struct bits *b, uint64_t i)
{
	bool was = bits_test(b, i);

	bits_set(b, i);
	return was;
}

/* The same between threads. */
static inline bool bits_test_and_set_atomic(struct bits *b, uint64_t i)
{
	uint64_t m = 1ull << (i % 64);

	return __atomic_fetch_or(&b->words[i / 64], m, __ATOMIC_RELAXED) & m;
}

/* First set (clear) bit at or after @from, or @b->nr. */
uint64_t bits_next(const struct bits *b, uint64_t from);
uint64_t bits_next_clear(const struct bits *b, uint64_t from);
uint64_t bits_count(const struct bits *b);

#endif
