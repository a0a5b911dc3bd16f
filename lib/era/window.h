/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values of an array that come in any order, within bounded memory: the pieces under way are held, and handed to a
 * builder, in order, when a later one needs the room. What nobody told of is 0.
 */
#ifndef PD_ERA_WINDOW_H
#define PD_ERA_WINDOW_H

#include "persistent-data/build.h"

#define WINDOW_PIECES 4096u	/* 4 M eras, 133 M bits */

struct window {
	struct array_build *to;
	unsigned nr_pieces;	/* held at most */
	unsigned nr_seen;	/* words that tell which values of a piece, or bits, came already */
	uint64_t first;		/* what lies before this piece is with the builder */
	struct window_piece **piece;	/* [i % nr_pieces]; NULL: nothing in it yet */
	struct window_piece *spare;	/* linked by ->next */
};

struct window_piece {
	struct window_piece *next;
	uint64_t *seen;
	uint8_t values[PD_BLOCK_SIZE - sizeof(struct array_header)];	/* as on disk */
};

/* @per_value: things a value holds that can come on their own: 64 for a word of bits, else 1. 0 or -ENOMEM. */
int window_init(struct window *w, struct array_build *to, unsigned per_value, unsigned nr_pieces);
void window_exit(struct window *w);

/* Piece @j, to be filled: 0; -ERANGE if it is with the builder already; -ENOMEM or what the builder said. */
int window_get(struct window *w, uint64_t j, struct window_piece **piece);

/* All of the array's @nr_values to the builder; ready for the next one. */
int window_finish(struct window *w, uint64_t nr_values);

#endif
