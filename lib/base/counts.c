/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/counts.h"
#include <errno.h>
#include <stdlib.h>
#include "base/reserve.h"
#include "base/util.h"

#define PAGE_WORDS 512u
#define LARGE_PLANES 4u		/* met at random, and all of them half a byte a block at the most */

static_assert(COUNTS_GROUP % COUNTS_PER_WORD == 0, "groups begin with a word");

int counts_init(struct counts *c, uint64_t nr, const struct bits *kept)
{
	uint64_t nr_groups = ceil_div(nr, COUNTS_GROUP), nr_kept = kept ? bits_count(kept) : nr_groups;

	*c = (struct counts){ .nr = nr };
	pthread_mutex_init(&c->lock, NULL);
	if (nr_groups >= UINT32_MAX || nr_kept > SIZE_MAX / 2 / COUNTS_GROUP)
		return -ENOMEM;
	if (nr_kept < nr_groups) {
		uint32_t place = 0;

		c->nr_groups = nr_groups + 1;
		c->group = reserve(c->nr_groups, sizeof(*c->group), false);
		if (!c->group)
			return -ENOMEM;
		for (uint64_t g = bits_next(kept, 0); g < nr_groups; g = bits_next(kept, g + 1))
			c->group[g] = ++place;
	}
	c->nr_words = (size_t)((nr_kept + 1) * (COUNTS_GROUP / COUNTS_PER_WORD));
	c->plane[0] = reserve(c->nr_words, sizeof(uint64_t), true);
	return c->plane[0] ? bits_init(&c->carried, ceil_div(c->nr_words, PAGE_WORDS)) : -ENOMEM;
}

void counts_exit(struct counts *c)
{
	unreserve(c->group, c->nr_groups, sizeof(*c->group));
	for (unsigned k = 0; k < COUNTS_NR_PLANES; k++)
		unreserve(c->plane[k], c->nr_words, sizeof(uint64_t));
	unreserve(c->marks, c->nr_words, sizeof(uint64_t));
	bits_exit(&c->carried);
	*c = (struct counts){ .nr = 0 };
}

/* The plane at @where, made if nobody has yet; NULL without memory. */
static uint64_t *plane(struct counts *c, uint64_t **where)
{
	uint64_t *p = __atomic_load_n(where, __ATOMIC_ACQUIRE);

	if (p)
		return p;
	pthread_mutex_lock(&c->lock);
	p = *where;
	if (!p) {
		p = reserve(c->nr_words, sizeof(*p), where < c->plane + LARGE_PLANES);
		__atomic_store_n(where, p, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&c->lock);
	if (!p)
		__atomic_store_n(&c->lost, true, __ATOMIC_RELAXED);
	return p;
}

/* How many planes hold something of @word; planes are made in order. Reading what nobody wrote would cost
 * a fault a page. */
static unsigned nr_planes(const struct counts *c, size_t word)
{
	unsigned nr = 1;

	if (bits_test(&c->carried, word / PAGE_WORDS))
		while (nr < COUNTS_NR_PLANES && c->plane[nr])
			nr++;
	return nr;
}

/* @carry falls into plane @k. */
static void carry_into(struct counts *c, unsigned k, size_t word, uint64_t carry)
{
	if (!bits_test_atomic(&c->carried, word / PAGE_WORDS))
		bits_test_and_set_atomic(&c->carried, word / PAGE_WORDS);
	for (; carry; k++) {
		uint64_t *p = k < COUNTS_NR_PLANES ? plane(c, &c->plane[k]) : NULL;

		if (!p) {
			__atomic_store_n(&c->lost, true, __ATOMIC_RELAXED);
			return;
		}
		carry &= __atomic_fetch_xor(&p[word], carry, __ATOMIC_RELAXED);
	}
}

void counts_carry(struct counts *c, size_t word, uint64_t carry)
{
	carry_into(c, 1, word, carry);
}

void counts_carry_own(struct counts *c, size_t word, uint64_t carry)
{
	carry_into(c, 2, word, carry);
}

int counts_own_init(struct counts *c, struct counts_own *own)
{
	if (!plane(c, &c->plane[1]))	/* the first may carry into plane 2 */
		return -ENOMEM;
	for (unsigned k = 0; k < ARRAY_SIZE(own->plane); k++)
		own->plane[k] = reserve(c->nr_words, sizeof(uint64_t), true);
	if (own->plane[0] && own->plane[1])
		return 0;
	unreserve(own->plane[0], c->nr_words, sizeof(uint64_t));
	unreserve(own->plane[1], c->nr_words, sizeof(uint64_t));
	*own = (struct counts_own){ { NULL } };
	return -ENOMEM;
}

void counts_join(struct counts *c, struct counts_own *own)
{
	for (size_t w = 0; own->plane[0] && w < c->nr_words; w++) {
		uint64_t blocks = own->plane[0][w], carry = own->plane[1][w];

		if (blocks)
			counts_inc(c, w, blocks);
		if (carry)
			counts_carry(c, w, carry);
	}
	for (unsigned k = 0; k < ARRAY_SIZE(own->plane); k++)
		unreserve(own->plane[k], c->nr_words, sizeof(uint64_t));
	*own = (struct counts_own){ { NULL } };
}

void counts_dec(struct counts *c, uint64_t i)
{
	size_t word = counts_word(c, i);
	uint64_t bit = counts_bit(i);
	unsigned k = 0, nr;

	if (word == COUNTS_NOWHERE)
		return;
	nr = nr_planes(c, word);
	while (k < nr && !(c->plane[k][word] & bit))
		k++;
	if (k == nr)
		return;
	c->plane[k][word] ^= bit;
	/* Below the lowest 1 all are 0: they become 1. */
	while (k--)
		c->plane[k][word] ^= bit;
}

uint64_t counts_get(const struct counts *c, uint64_t i)
{
	size_t word = counts_word(c, i);
	uint64_t n = 0;

	if (word == COUNTS_NOWHERE)
		return 0;
	for (unsigned k = nr_planes(c, word); k--;)
		n |= (c->plane[k][word] >> i % COUNTS_PER_WORD & 1) << k;
	return n;
}

void counts_mark(struct counts *c, uint64_t i)
{
	size_t word = counts_word(c, i);
	uint64_t *p = word == COUNTS_NOWHERE ? NULL : plane(c, &c->marks);

	if (p)
		__atomic_fetch_or(&p[word], counts_bit(i), __ATOMIC_RELAXED);
}

bool counts_marked(const struct counts *c, uint64_t i)
{
	size_t word = counts_word(c, i);

	return c->marks && word != COUNTS_NOWHERE && c->marks[word] & counts_bit(i);
}

/* Bit k to bit 2k. */
static uint64_t spread(uint64_t x)
{
	x = (x | x << 16) & 0x0000ffff0000ffffull;
	x = (x | x << 8) & 0x00ff00ff00ff00ffull;
	x = (x | x << 4) & 0x0f0f0f0f0f0f0f0full;
	x = (x | x << 2) & 0x3333333333333333ull;
	return (x | x << 1) & 0x5555555555555555ull;
}

static uint64_t half(const uint64_t *p, size_t word, uint64_t i)
{
	return p[word] >> i % COUNTS_PER_WORD & UINT32_MAX;
}

uint64_t counts_entries(const struct counts *c, uint64_t i, uint64_t *marks)
{
	size_t word = counts_word(c, i);
	uint64_t one = half(c->plane[0], word, i), two = 0, more = 0;

	for (unsigned k = nr_planes(c, word); --k;)
		*(k == 1 ? &two : &more) |= half(c->plane[k], word, i);
	if (marks)
		*marks = c->marks ? spread(half(c->marks, word, i)) : 0;
	if (!(one | two | more))
		return 0;
	/* The lower bit of an entry weighs 2. */
	return spread(two | more) | spread(one | more) << 1;
}

bool counts_group_empty(const struct counts *c, uint64_t i)
{
	size_t word = counts_word(c, i - i % COUNTS_GROUP);

	if (word == COUNTS_NOWHERE)
		return true;
	for (size_t w = word; w < word + COUNTS_GROUP / COUNTS_PER_WORD; w++)
		if (c->plane[0][w] || nr_planes(c, w) > 1)
			return false;
	return true;
}
