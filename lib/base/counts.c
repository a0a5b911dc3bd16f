/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/counts.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "base/util.h"

struct counts_high {
	uint64_t key;		/* block + 1; 0: free */
	uint32_t n;
};

static void *map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int counts_init(struct counts *c, uint64_t nr, const struct bits *kept)
{
	uint64_t nr_groups = ceil_div(nr, COUNTS_GROUP);

	*c = (struct counts){ .nr = nr };
	pthread_mutex_init(&c->lock, NULL);
	if (nr_groups >= UINT32_MAX || nr_groups > SIZE_MAX / 8)
		return -ENOMEM;
	c->group_len = (size_t)(nr_groups + 1) * sizeof(*c->group);
	c->group = map(c->group_len);
	if (!c->group)
		return -ENOMEM;
	for (uint64_t g = kept ? bits_next(kept, 0) : 0; g < nr_groups;
	     g = kept ? bits_next(kept, g + 1) : g + 1)
		c->group[g] = (uint32_t)++c->nr_kept;
	if (c->nr_kept > SIZE_MAX / 2 / COUNTS_GROUP)
		return -ENOMEM;
	c->bytes_len = (size_t)(c->nr_kept + 1) * COUNTS_GROUP;
	c->bytes = map(c->bytes_len);
	if (!c->bytes)
		return -ENOMEM;
	/* Counting jumps about at random: large pages spare it a page walk each time. */
	madvise(c->bytes, c->bytes_len, MADV_HUGEPAGE);
	return 0;
}

void counts_exit(struct counts *c)
{
	if (c->group)
		munmap(c->group, c->group_len);
	if (c->bytes)
		munmap(c->bytes, c->bytes_len);
	free(c->high);
	c->group = NULL;
	c->bytes = NULL;
	c->high = NULL;
}

/* Where @key is, or the free place for it. */
static struct counts_high *find(struct counts_high *t, size_t max, uint64_t key)
{
	size_t i = (size_t)(key * 0x9e3779b97f4a7c15ull >> 20) & (max - 1);

	while (t[i].key && t[i].key != key)
		i = (i + 1) & (max - 1);
	return &t[i];
}

static bool grow(struct counts *c)
{
	size_t max = c->max_high ? 2 * c->max_high : 64;
	struct counts_high *t = calloc(max, sizeof(*t));

	if (!t)
		return false;
	for (size_t i = 0; i < c->max_high; i++)
		if (c->high[i].key)
			*find(t, max, c->high[i].key) = c->high[i];
	free(c->high);
	c->high = t;
	c->max_high = max;
	return true;
}

static void put(struct counts *c, uint64_t i, uint32_t n)
{
	struct counts_high *h;

	if (2 * (c->nr_high + 1) > c->max_high && !grow(c)) {
		c->lost = true;
		return;
	}
	h = find(c->high, c->max_high, i + 1);
	if (!h->key) {
		h->key = i + 1;
		c->nr_high++;
	}
	h->n = h->n > UINT32_MAX - n ? UINT32_MAX : h->n + n;
}

void counts_spill(struct counts *c, uint64_t i, uint8_t *byte)
{
	pthread_mutex_lock(&c->lock);
	if (__atomic_load_n(byte, __ATOMIC_RELAXED) > COUNTS_HIGH) {
		__atomic_fetch_sub(byte, COUNTS_MOVE, __ATOMIC_RELAXED);
		put(c, i, COUNTS_MOVE);
	}
	pthread_mutex_unlock(&c->lock);
}

void counts_spill_word(struct counts *c, uint64_t i, uint8_t *byte, unsigned nr)
{
	for (unsigned k = 0; k < nr; k++)
		if (__atomic_load_n(byte + k, __ATOMIC_RELAXED) > COUNTS_HIGH)
			counts_spill(c, i + k, byte + k);
}

static struct counts_high *high(const struct counts *c, uint64_t i)
{
	struct counts_high *h = c->max_high ? find(c->high, c->max_high, i + 1) : NULL;

	return h && h->key ? h : NULL;
}

void counts_dec(struct counts *c, uint64_t i)
{
	uint8_t *byte = counts_byte(c, i);
	struct counts_high *h;

	if (!byte)
		return;
	if (*byte) {
		--*byte;
		return;
	}
	h = high(c, i);
	if (h && h->n) {
		h->n -= COUNTS_MOVE;
		*byte = COUNTS_MOVE - 1;
	}
}

void counts_add(struct counts *c, uint64_t i, uint32_t n)
{
	uint8_t *byte = counts_byte(c, i);

	if (!byte)
		return;
	if (*byte + (uint64_t)n <= COUNTS_HIGH) {
		*byte = (uint8_t)(*byte + n);
		return;
	}
	put(c, i, n / COUNTS_MOVE * COUNTS_MOVE);
	n %= COUNTS_MOVE;
	if (*byte + n > COUNTS_HIGH) {
		put(c, i, COUNTS_MOVE);
		*byte = (uint8_t)(*byte + n - COUNTS_MOVE);
	} else {
		*byte = (uint8_t)(*byte + n);
	}
}

uint32_t counts_get(const struct counts *c, uint64_t i)
{
	const uint8_t *byte = counts_byte(c, i);
	const struct counts_high *h = high(c, i);

	return byte ? *byte + (h ? h->n : 0) : 0;
}
