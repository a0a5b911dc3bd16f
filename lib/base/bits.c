/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bits.h"
#include "base/util.h"
#include <errno.h>
#include <sys/mman.h>

static size_t nr_bytes(uint64_t nr)
{
	return (size_t)(ceil_div(nr, 64) + 1) * sizeof(uint64_t);
}

int bits_init(struct bits *b, uint64_t nr)
{
	void *p;

	b->nr = nr;
	b->words = NULL;
	if (nr > SIZE_MAX / 2)
		return -ENOMEM;
	p = mmap(NULL, nr_bytes(nr), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	b->words = p;
	return 0;
}

void bits_exit(struct bits *b)
{
	if (b->words)
		munmap(b->words, nr_bytes(b->nr));
	b->words = NULL;
}

static uint64_t next(const struct bits *b, uint64_t from, uint64_t invert)
{
	uint64_t w, nr_words = ceil_div(b->nr, 64);

	if (from >= b->nr)
		return b->nr;
	w = (b->words[from / 64] ^ invert) & ~0ull << (from % 64);
	for (from /= 64; !w; w = b->words[from] ^ invert)
		if (++from >= nr_words)
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
