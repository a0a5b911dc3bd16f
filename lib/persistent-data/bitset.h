/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bitsets: arrays of 64-bit words. The word under way is kept until another is wanted, or bitset_flush(). Source: format,
 * persistent-data 5. Errors as in btree.h; -ENODATA past the end.
 */
#ifndef PD_BITSET_H
#define PD_BITSET_H

#include "persistent-data/array.h"

struct bitset {
	struct array words;
	uint64_t root, nr_bits;
	uint64_t word, value;	/* value is what word shall be, if have */
	bool have, dirty;
};

int bitset_create(struct bitset *s, struct pd_tm *tm, uint64_t nr_bits, bool value);
void bitset_open(struct bitset *s, struct pd_tm *tm, uint64_t root, uint64_t nr_bits);
int bitset_resize(struct bitset *s, uint64_t nr_bits, bool value);
int bitset_set(struct bitset *s, uint64_t bit);
int bitset_clear(struct bitset *s, uint64_t bit);
int bitset_test(struct bitset *s, uint64_t bit, bool *value);
/* Before @s->root is put anywhere. */
int bitset_flush(struct bitset *s);

/* Runs of equal bits, in order: bits [*begin, *end) from *end on are all *value. -ENODATA at the end;
 * begin with *end 0. Cost: a lookup a word. */
int bitset_next_run(struct bitset *s, uint64_t *begin, uint64_t *end, bool *value);

/* Bit by bit, of what is flushed; holds read locks, nothing may be changed before bitset_cursor_end(). */
struct bitset_cursor {
	struct array words;
	struct array_cursor c;
	uint64_t at, nr_bits;
};
int bitset_cursor_begin(const struct bitset *s, struct bitset_cursor *c);
int bitset_cursor_skip(struct bitset_cursor *c, uint64_t nr);	/* -ENODATA past the last, and it is ended */
bool bitset_cursor_get(const struct bitset_cursor *c);
void bitset_cursor_end(struct bitset_cursor *c);

#endif
