/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Metadata to be mutated, and what a seed makes of it. */
#ifndef FUZZ_MUTATIONS_H
#define FUZZ_MUTATIONS_H

#include "fuzz/types.h"

/* An image, whole and as it is; blocks in use by their kinds. */
struct fuzz_image {
	const struct fuzz_type *type;
	const char *name;
	struct pd_io *io;
	uint64_t nr_blocks;
	uint64_t *blocks[NR_BLOCK_KINDS];	/* of those the counts name; all if they cannot be read */
	uint64_t nr[NR_BLOCK_KINDS];
};

/* @name: a file, or what generate.c knows. */
bool fuzz_image_load(struct fuzz_image *im, const char *name);
void fuzz_image_free(struct fuzz_image *im);

/* SplitMix64: the same numbers for a seed everywhere. */
void fuzz_seed(uint64_t seed);
uint64_t fuzz_rnd(uint64_t below);

/*
 * What the seed makes of @im: a handle that cannot be written to. Other images of the type in @all lend
 * older or younger versions of blocks.
 */
struct pd_io *fuzz_mutate(const struct fuzz_image *im, const struct fuzz_image *all, unsigned nr_all);

/* A copy in memory, to be written to. */
struct pd_io *fuzz_copy(struct pd_io *io);

#endif
