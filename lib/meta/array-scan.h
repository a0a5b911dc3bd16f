/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arrays and bitsets for checks, dumps and repairs: the index tree, which is small, tells which
 * block holds which piece; then all pieces are read in one stream, or in order.
 */
#ifndef PD_META_ARRAY_SCAN_H
#define PD_META_ARRAY_SCAN_H

#include "meta/scan.h"

struct array_scan {
	/* filled by the caller */
	enum pd_place place;
	bool has_key;		/* for findings: key is what this array is called by (era) */
	uint64_t key;
	uint32_t value_size;	/* bytes */
	uint64_t root;
	uint64_t nr_values;	/* as the owner says */
	uint64_t scale;		/* keys a value stands for in findings: 64 for bitsets, else 1 */
	bool no_refs;
	bool exact;		/* a piece with more values than its place has is not the right one */
	/* filled by array_scan_index() */
	uint64_t nr_pieces;	/* as nr_values asks for */
	uint64_t *block;	/* of each piece; 0: lost */
	bool damaged;		/* some piece is lost */
	bool odd;		/* nodes of the index are sound, but not those of an array of this length */
	/* array_scan_piece()'s own: blocks read along */
	uint8_t *ahead;
	uint64_t ahead_first;
	uint32_t nr_ahead;
};

/* Entries a whole piece holds, and those of piece @j. */
static inline uint32_t piece_max(const struct array_scan *a)
{
	return array_max_entries(a->value_size);
}

static inline uint32_t piece_nr(const struct array_scan *a, uint64_t j)
{
	return (uint32_t)min_t(uint64_t, a->nr_values - j * piece_max(a), piece_max(a));
}

/* Values that pieces known of hold, at most: what memory may be taken for, whatever the owner says. */
static inline uint64_t array_scan_present(const struct scan *s, const struct array_scan *a)
{
	return min_t(uint64_t, a->nr_values, s->slots.nr_blocks * piece_max(a));
}

/* Reads the index and counts the references. Lost pieces are findings. 0 or -ENOMEM. */
int array_scan_index(struct scan *s, struct array_scan *a);
void array_scan_exit(struct array_scan *a);

/*
 * array_scan_read() - every piece of @nr arrays once, in disk order, on worker threads.
 * @fn: gets the array, the piece and its @nr_values values in disk order, at any alignment. Values
 *      past the end of the array are not handed over.
 *
 * Pieces that turn out to be lost are findings, their place in ->block becomes 0.
 */
typedef int (*array_piece_fn)(void *ctx, unsigned worker, struct array_scan *a, uint64_t piece,
			      const void *values, uint32_t nr_values);
int array_scan_read(struct scan *s, struct array_scan *arrays, unsigned nr, const char *what,
		    array_piece_fn fn, void *ctx);

/* Gives back the memory for reading ahead; more can be read all the same. */
void array_scan_forget(struct array_scan *a);

/* Piece @piece cannot be used, for a reason of the caller's. */
void array_scan_lose(struct scan *s, struct array_scan *a, enum pd_problem p, uint64_t piece);

/* One piece: its values, in @buf or elsewhere, until the next call for this array; NULL if it is lost (a
 * finding). For those who go in order. */
const void *array_scan_piece(struct scan *s, struct array_scan *a, uint64_t piece, void *buf);

#endif
