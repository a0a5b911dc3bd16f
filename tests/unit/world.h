/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A little world under transactions, made through the public headers, and a plain model of it in memory: versions of a
 * tree of trees that share what they have in common, versions of an array, a bitset, a space map of its own, and one
 * that counts what the values of trees and arrays refer to. Property tests drive it by seeds.
 */
#ifndef UNIT_WORLD_H
#define UNIT_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include "io/engine.h"
#include "unit/random.h"
#include <pdata/array.h>
#include <pdata/bitset.h>
#include <pdata/btree.h>

#define NR_VERSIONS 3u
#define NR_SLOTS 4096u		/* values a tree can have: keys are made from the slot's number */
#define NR_ARRAYS 2u
#define MAX_ARRAY 2500u
#define MAX_BITS 70000u
#define NR_REFERRED 300u	/* blocks that values refer to */
#define MAX_MAP 50000u		/* blocks of the other space map: over several bitmaps */

/* What does not change in a world. */
struct shape {
	unsigned levels;		/* 1 to 3 */
	uint32_t value_size, array_value_size;	/* those of 4 bytes and more refer to a block */
	uint32_t nr_blocks;		/* of the device */
	uint32_t cache;
	bool high_keys;			/* up to 2^64 - 1 */
};

/* Ids of values; 0 is none. */
struct model {
	bool there[NR_VERSIONS], array_there[NR_ARRAYS];
	uint32_t id[NR_VERSIONS][NR_SLOTS];
	uint32_t nr[NR_ARRAYS], array[NR_ARRAYS][MAX_ARRAY];
	uint32_t nr_bits;
	uint8_t bit[MAX_BITS];
	uint32_t nr_map;
	uint32_t count[MAX_MAP];
};

struct world {
	struct shape shape;
	struct pd_io *io;
	struct pd_tm *tm;
	struct pd_btree *tree[NR_VERSIONS];
	struct pd_array *array[NR_ARRAYS];
	struct pd_bitset *bits;
	struct pd_sm *referred, *map;
	uint64_t seed;
	uint64_t nr_ops;
	bool committed;			/* at least once */
	struct model now, old;		/* old: of the last commit */
};

/* A shape by a seed: any value size, small ones often. */
struct shape shape_of(uint64_t seed);

/* Makes one on @io and commits it; @w need not be cleared. -errno; world_close() in any case. */
int world_make(struct world *w, struct pd_io *io, const struct shape *s, uint64_t seed);
/* Opens what is on @io, with the models empty. */
int world_open(struct world *w, struct pd_io *io, const struct shape *s);
void world_close(struct world *w);
/* After a commit: closes and opens it, nothing is in the cache then. */
int world_reopen(struct world *w);
/* @nr random operations; those that look check what they see. */
int world_change(struct world *w, unsigned nr);
int world_commit(struct world *w);
int world_abort(struct world *w);
/* Is all of @m there, and nothing else? 0; 1 if not; -errno. */
int world_same(struct world *w, const struct model *m);
/* The committed state on @io, read anew: is every block counted as often as it is pointed to, and every node as full
 * as it should be? Says what is not. */
bool world_exact(struct pd_io *io, const struct shape *s);

/* Between world.c and world-exact.c: where the superblock (an era's) has what this is about, after its fields. */
struct world_roots {
	uint64_t tree[NR_VERSIONS], array[NR_ARRAYS], bits;	/* 0: none */
	uint64_t nr[NR_ARRAYS], nr_bits;
	struct pd_sm_root metadata, referred, map;
};
int world_read_roots(struct pd_io *io, struct world_roots *roots);
static inline bool refers(uint32_t value_size) { return value_size >= 4; }
static inline uint64_t referred_by(uint32_t id) { return id % NR_REFERRED; }

#endif
