/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's dm-bitset. */
#include <errno.h>
#include <string.h>
#include "persistent-data/bitset.h"

void bitset_open(struct bitset *s, struct pd_tm *tm, uint64_t root, uint64_t nr_bits)
{
	*s = (struct bitset){ .words = { .tm = tm, .value = { .size = 8 } }, .root = root,
			      .nr_bits = nr_bits };
}

int bitset_create(struct bitset *s, struct pd_tm *tm, uint64_t nr_bits, bool value)
{
	int r;

	bitset_open(s, tm, 0, 0);
	r = array_empty(&s->words, &s->root);
	return r ? r : bitset_resize(s, nr_bits, value);
}

int bitset_flush(struct bitset *s)
{
	le64 v = le64_put(s->value);
	int r = s->have && s->dirty ? array_set(&s->words, &s->root, s->word, &v) : 0;

	if (!r)
		s->dirty = false;
	return r;
}

static int load(struct bitset *s, uint64_t bit)
{
	uint64_t word = bit / BITSET_WORD_BITS;
	le64 v;
	int r;

	if (bit >= s->nr_bits)
		return -ENODATA;
	if (s->have && s->word == word)
		return 0;
	r = bitset_flush(s);
	if (!r)
		r = array_get(&s->words, s->root, word, &v);
	if (r)
		return r;
	s->word = word;
	s->value = le64_get(v);
	s->have = true;
	return 0;
}

static int put(struct bitset *s, uint64_t bit, bool value)
{
	uint64_t mask = 1ull << (bit % BITSET_WORD_BITS);
	int r = load(s, bit);

	if (!r && !!(s->value & mask) != value) {
		s->value ^= mask;
		s->dirty = true;
	}
	return r;
}

int bitset_set(struct bitset *s, uint64_t bit) { return put(s, bit, true); }
int bitset_clear(struct bitset *s, uint64_t bit) { return put(s, bit, false); }

int bitset_test(struct bitset *s, uint64_t bit, bool *value)
{
	int r = load(s, bit);

	if (!r)
		*value = s->value >> (bit % BITSET_WORD_BITS) & 1;
	return r;
}

int bitset_resize(struct bitset *s, uint64_t nr_bits, bool value)
{
	uint64_t old = s->nr_bits, words = ceil_div(nr_bits, BITSET_WORD_BITS);
	le64 v = le64_put(value ? UINT64_MAX : 0);
	int r = bitset_flush(s);

	if (!r)
		r = array_resize(&s->words, &s->root, ceil_div(old, BITSET_WORD_BITS), words, &v);
	if (r)
		return r;
	s->have = false;
	s->nr_bits = nr_bits;
	/* the rest of what was the last word: bits there had no meaning */
	for (uint64_t bit = old; !r && bit < nr_bits && bit % BITSET_WORD_BITS; bit++)
		r = put(s, bit, value);
	return r;
}

int bitset_next_run(struct bitset *s, uint64_t *begin, uint64_t *end, bool *value)
{
	uint64_t at = *end;
	int r = bitset_test(s, at, value);

	*begin = at;
	while (!r && at < s->nr_bits) {
		uint64_t rest, shift = at % BITSET_WORD_BITS;

		r = load(s, at);
		if (r)
			break;
		rest = (*value ? ~s->value : s->value) >> shift;
		if (rest) {
			at += (uint64_t)__builtin_ctzll(rest);
			break;
		}
		at += BITSET_WORD_BITS - shift;
	}
	*end = min_t(uint64_t, at, s->nr_bits);
	return r;
}

/* ---- Cursor ---- */

int bitset_cursor_begin(const struct bitset *s, struct bitset_cursor *c)
{
	c->words = s->words;
	c->at = 0;
	c->nr_bits = s->nr_bits;
	return s->nr_bits ? array_cursor_begin(&c->words, s->root, &c->c) : -ENODATA;
}

int bitset_cursor_skip(struct bitset_cursor *c, uint64_t nr)
{
	uint64_t left = c->nr_bits - c->at;
	int r = nr < left ? 0 : -ENODATA;

	if (!r)
		r = array_cursor_skip(&c->c, (c->at + nr) / BITSET_WORD_BITS - c->at / BITSET_WORD_BITS);
	if (r) {
		array_cursor_end(&c->c);
		c->at = c->nr_bits;
	} else {
		c->at += nr;
	}
	return r;
}

bool bitset_cursor_get(const struct bitset_cursor *c)
{
	le64 word;

	memcpy(&word, array_cursor_get(&c->c), sizeof(word));
	return le64_get(word) >> (c->at % BITSET_WORD_BITS) & 1;
}

void bitset_cursor_end(struct bitset_cursor *c)
{
	array_cursor_end(&c->c);
}
