/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/counts.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/reserve.h"
#include "base/util.h"
#include "base/workers.h"

#define PAGE_WORDS (4096u / sizeof(uint64_t))
#define POPULATE_WORDS (512u * PAGE_WORDS)	/* a large page */
#define HIGH_MOVE 14u		/* eights that move into the table at once */

struct counts_rest {
	uint64_t key;		/* block + 1; 0: free */
	uint64_t n;
};

int counts_init(struct counts *c, uint64_t nr, const struct bits *kept)
{
	uint64_t nr_groups = ceil_div(nr, COUNTS_GROUP), nr_kept = 0;

	*c = (struct counts){ .nr = nr };
	pthread_mutex_init(&c->lock, NULL);
	if (nr_groups >= UINT32_MAX)
		return -ENOMEM;
	c->nr_groups = nr_groups + 1;
	c->group = reserve(c->nr_groups, sizeof(*c->group), false);
	if (!c->group)
		return -ENOMEM;
	for (uint64_t g = kept ? bits_next(kept, 0) : 0; g < nr_groups;
	     g = kept ? bits_next(kept, g + 1) : g + 1)
		c->group[g] = (uint32_t)++nr_kept;
	if (nr_kept > SIZE_MAX / 2 / COUNTS_GROUP)
		return -ENOMEM;
	c->plane_len = (size_t)(nr_kept + 1) * (COUNTS_GROUP / 2);
	c->low = reserve(c->plane_len, 1, true);	/* met at random */
	c->high = reserve(c->plane_len, 1, false);
	return c->low && c->high ? 0 : -ENOMEM;
}

struct populating {
	struct counts *c;
	size_t next;
};

static void populate(void *ctx, unsigned worker)
{
	struct populating *p = ctx;
	size_t nr_words = p->c->plane_len / sizeof(uint64_t), i;

	(void)worker;
	while ((i = __atomic_fetch_add(&p->next, POPULATE_WORDS, __ATOMIC_RELAXED)) < nr_words) {
		size_t end = min_t(size_t, i + POPULATE_WORDS, nr_words);

		for (; i < end; i += PAGE_WORDS)
			__atomic_store_n(&p->c->low[i], 0, __ATOMIC_RELAXED);
	}
}

void counts_populate(struct counts *c, unsigned nr_threads)
{
	struct populating p = { .c = c };

	if (c->plane_len >= 2 * POPULATE_WORDS * sizeof(uint64_t))
		workers_run(nr_threads, populate, &p);
}

void counts_exit(struct counts *c)
{
	unreserve(c->group, c->nr_groups, sizeof(*c->group));
	unreserve(c->low, c->plane_len, 1);
	unreserve(c->high, c->plane_len, 1);
	free(c->rest);
	*c = (struct counts){ .nr = 0 };
}

/* Where @key is, or the free place for it. */
static struct counts_rest *find(struct counts_rest *t, size_t max, uint64_t key)
{
	size_t i = (size_t)(key * 0x9e3779b97f4a7c15ull >> 20) & (max - 1);

	while (t[i].key && t[i].key != key)
		i = (i + 1) & (max - 1);
	return &t[i];
}

static bool grow(struct counts *c)
{
	size_t max = c->max_rest ? 2 * c->max_rest : 64;
	struct counts_rest *t = calloc(max, sizeof(*t));

	if (!t)
		return false;
	for (size_t i = 0; i < c->max_rest; i++)
		if (c->rest[i].key)
			*find(t, max, c->rest[i].key) = c->rest[i];
	free(c->rest);
	c->rest = t;
	c->max_rest = max;
	return true;
}

static void put_rest(struct counts *c, uint64_t i, uint64_t n)
{
	struct counts_rest *h;

	if (2 * (c->nr_rest + 1) > c->max_rest && !grow(c)) {
		c->lost = true;
		return;
	}
	h = find(c->rest, c->max_rest, i + 1);
	if (!h->key) {
		h->key = i + 1;
		c->nr_rest++;
	}
	h->n += n;
}

static struct counts_rest *rest_of(const struct counts *c, uint64_t i)
{
	struct counts_rest *h = c->max_rest ? find(c->rest, c->max_rest, i + 1) : NULL;

	return h && h->key && h->n ? h : NULL;
}

static uint64_t *high_word(const struct counts *c, uint64_t i)
{
	return c->high + (counts_word(c, i) - c->low);
}

static unsigned nibble(uint64_t word, uint64_t i)
{
	return word >> 4 * (i % COUNTS_PER_WORD) & 15;
}

void counts_spill(struct counts *c, uint64_t i, unsigned nr)
{
	uint64_t *word = counts_word(c, i);

	pthread_mutex_lock(&c->lock);
	for (; nr; nr--, i++) {
		uint64_t one = 1ull << 4 * (i % COUNTS_PER_WORD), *high = high_word(c, i);

		if (nibble(__atomic_load_n(word, __ATOMIC_RELAXED), i) < 8)
			continue;
		__atomic_fetch_sub(word, 8 * one, __ATOMIC_RELAXED);
		c->any_high = true;
		*high += one;
		if (nibble(*high, i) > HIGH_MOVE) {
			*high -= HIGH_MOVE * one;
			put_rest(c, i, 8 * HIGH_MOVE);
		}
	}
	pthread_mutex_unlock(&c->lock);
}

void counts_dec(struct counts *c, uint64_t i)
{
	uint64_t *word = counts_word(c, i), one = 1ull << 4 * (i % COUNTS_PER_WORD), *high;
	struct counts_rest *rest;

	if (!word)
		return;
	high = high_word(c, i);
	if (nibble(*word, i)) {
		*word -= one;
	} else if (nibble(*high, i)) {
		*high -= one;
		*word += 7 * one;
	} else if ((rest = rest_of(c, i))) {
		rest->n -= 8 * HIGH_MOVE;
		*high += (HIGH_MOVE - 1) * one;
		*word += 7 * one;
	}
}

uint64_t counts_get(const struct counts *c, uint64_t i)
{
	const uint64_t *word = counts_word(c, i);
	const struct counts_rest *rest;

	if (!word)
		return 0;
	rest = rest_of(c, i);
	return nibble(*word, i) + (c->any_high ? 8 * nibble(*high_word(c, i), i) : 0) +
	       (rest ? rest->n : 0);
}

/* 16 nibbles that hold two bits each, to 32 bits. */
static uint64_t squeeze(uint64_t x)
{
	x = (x | x >> 2) & 0x0f0f0f0f0f0f0f0full;
	x = (x | x >> 4) & 0x00ff00ff00ff00ffull;
	x = (x | x >> 8) & 0x0000ffff0000ffffull;
	return (x | x >> 16) & 0xffffffffull;
}

bool counts_entries(const struct counts *c, uint64_t i, uint64_t *entries)
{
	const uint64_t *low = counts_word(c, i);
	uint64_t both = 0;

	/* Even reading memory that was never touched costs a fault a page. */
	if (c->any_high) {
		const uint64_t *high = high_word(c, i);

		if (high[0] | high[1])
			return false;
	}
	*entries = 0;
	if (!(low[0] | low[1]))
		return true;
	for (unsigned k = 0; k < 2; k++) {
		const uint64_t fours = 0x4444444444444444ull;
		uint64_t x = low[k];
		uint64_t large = (x | x >> 1) & fours;			/* 4 and more */
		uint64_t three = x << 2 & x << 1 & fours;		/* 3, 7, 11, 15 */
		uint64_t mark = x & x >> 1 & three;			/* 15 */

		if ((large | three) != mark)
			return false;
		both |= squeeze(x & 0x3333333333333333ull) << 32 * k;
	}
	/* The lower bit of an entry weighs 2. */
	*entries = (both & 0x5555555555555555ull) << 1 | (both >> 1 & 0x5555555555555555ull);
	return true;
}

bool counts_group_empty(const struct counts *c, uint64_t i)
{
	const uint64_t *word = counts_word(c, i - i % COUNTS_GROUP);
	size_t len = COUNTS_GROUP / COUNTS_PER_WORD * sizeof(*word);

	return !word || (!c->any_high && !word[0] && !memcmp(word, word + 1, len - sizeof(*word)));
}
