/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which leaves make up each device, in key order, and which of them are shared.
 *
 * Inner nodes are read in layers, from the roots down, each once; the way down the left edge has
 * told how high each tree is, so leaves are left for the dump itself.
 */
#ifndef PD_THIN_PLAN_H
#define PD_THIN_PLAN_H

#include "base/bits.h"
#include "thin/dump.h"

/* What one leaf is to its neighbours: block numbers, or one of these. Block 0 is never a leaf. */
#define NEIGHBOUR_UNKNOWN 0u
#define NEIGHBOUR_NONE (UINT32_MAX - 1)	/* first or last of its device */
#define NEIGHBOUR_VARIES UINT32_MAX

struct plan {
	struct thin_view *v;
	struct slots *slots;
	uint64_t nr_blocks;
	bool sharing;			/* defs are wanted */
	unsigned max_height;
	struct bits level[MAX_TREE_DEPTH];	/* nodes by height; 0: leaves */
	struct bits multi;		/* blocks used more than once */
	struct bits whole;		/* inner nodes whose leaves are one piece of a run */
	uint64_t *bound;		/* leaf: no key below it */
	uint64_t *limit;		/* step_over: inner node: keys below it end here; 0: nowhere */
	uint32_t *next, *prev;		/* leaf: its neighbours, if sharing */
	uint64_t *def_last;		/* first leaf of a run: the run's last key, once dumped */
};

/* Reads the inner nodes and finds out what is shared. 0, -EUCLEAN with a message, -ENOMEM. */
int plan_init(struct plan *p, struct thin_view *v);
void plan_exit(struct plan *p);

enum plan_op_kind {
	OP_END,
	OP_DEF, OP_DEF_END,		/* arg: first leaf of the run */
	OP_DEVICE, OP_DEVICE_END,	/* arg: index into the view's devices */
	OP_REF,				/* arg: first leaf of the run */
	OP_LEAF,			/* arg: block */
};

struct plan_op {
	uint32_t arg;
	uint8_t kind;
};

/* A way through the dump: first all defs, then (another walk) all devices. One thread at a time. */
struct plan_walk {
	struct plan *p;
	bool defs;
	bool inside;
	uint32_t at;			/* def: current leaf; device: its index */
	uint32_t head;			/* def: first leaf */
	uint32_t before;		/* device: the leaf before this place, or 0 */
	unsigned depth;
	struct {
		const struct child *c;
		unsigned i, nr, height;
	} stack[MAX_TREE_DEPTH];
	struct child (*buf)[INTERNAL_MAX_ENTRIES];	/* one a level */
};

int plan_walk_init(struct plan_walk *w, struct plan *p, bool defs);
void plan_walk_exit(struct plan_walk *w);

/* The next piece of the dump; OP_END for ever at the end. 0, or -EIO with a message. */
int plan_walk_next(struct plan_walk *w, struct plan_op *op);

#endif
