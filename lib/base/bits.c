/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bits.h"
#include "base/reserve.h"
#include "base/util.h"
#include <errno.h>

static uint64_t nr_words(uint64_t nr)
{
	return ceil_div(nr, 64) + 1;
}

int bits_init(struct bits *b, uint64_t nr)
{
	b->nr = nr;
	b->words = reserve(nr_words(nr), sizeof(*b->words), false);
	return b->words ? 0 : -ENOMEM;
}

void bits_exit(struct bits *b)
{
	unreserve(b->words, nr_words(b->nr), sizeof(*b->words));
	b->words = NULL;
}

static uint64_t next(const struct bits *b, uint64_t from, uint64_t invert)
{
	uint64_t w, words = ceil_div(b->nr, 64);

	if (from >= b->nr)
		return b->nr;
	w = (b->words[from / 64] ^ invert) & ~0ull << (from % 64);
	for (from /= 64; !w; w = b->words[from] ^ invert)
		if (++from >= words)
			return b->nr;
	from = from * 64 + (uint64_t)__builtin_ctzll(w);
	return from < b->nr ? from : b->nr;
}

uint64_t bits_next(const struct bits *b, uint64_t from)
{
	return next(b, from, 0);
}

uint64_t bits_next_clear(const struct bits *b, uint64_t from)
{
	return next(b, from, ~0ull);
}

uint64_t bits_count(const struct bits *b)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < ceil_div(b->nr, 64); i++)
		n += (uint64_t)__builtin_popcountll(b->words[i]);
	return n;
}
