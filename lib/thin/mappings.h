/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mapping trees of all devices, folded in memory: each physical node once, whatever shares it.
 */
#ifndef PD_THIN_MAPPINGS_H
#define PD_THIN_MAPPINGS_H

#include "meta/scan.h"

/*
 * Nodes of upper trees get this mark when they are read, before any fold or dump. Their leaves look
 * like leaves of mappings, and a device's root that leads to one must not be believed.
 */
#define SLOT_UPPER	0x80

struct mappings {
	struct scan *s;
	struct counts *counts;		/* data blocks; NULL: not counted */
	struct counts_own *own;		/* while blocks are read: a part of the counts for each thread */
	uint64_t nr_data_blocks;
	uint32_t time;			/* the superblock's */
	struct bits counted;		/* leaves whose data blocks were counted */
	uint64_t nr_told;		/* nodes looked at again for findings */
	bool peeking;			/* references are not counted */
};

int mappings_init(struct mappings *m, struct scan *s, struct counts *counts,
		  uint64_t nr_data_blocks, uint32_t time);
void mappings_exit(struct mappings *m);

/* Reads the blocks of @plan, or, if it is NULL, what the roots lead to, layer by layer. Data
 * blocks are counted as leaves arrive. */
int mappings_read(struct mappings *m, const struct bits *plan, const uint64_t *roots, uint64_t nr);

/* What a device's tree holds. */
struct mappings_sum {
	uint64_t nr_mappings;
	bool damaged;		/* nr_mappings are what is left */
	bool odd;		/* values out of bounds, or from the future */
};

/* Why @root cannot be a device's tree; PD_PR_NONE if it can. */
enum pd_problem mappings_root_problem(struct mappings *m, uint64_t root);

/* Folds the tree below @root and counts the references in it; with @count the root's own too. */
int mappings_fold(struct mappings *m, uint64_t root, bool count, struct mappings_sum *sum);

/* Adds the findings of a device whose fold was damaged or odd. */
int mappings_tell(struct mappings *m, uint64_t dev, uint64_t root);

/* The same for a root of any age, without counting references. */
int mappings_peek(struct mappings *m, uint64_t root, struct mappings_sum *sum);

/*
 * Each place below @root (its own included) whose block is lost, in key order: keys [begin, end) with end
 * 0 for no bound, the block it names, and its height if the readable ones beside it tell, else -1.
 */
typedef int (*mappings_lost_fn)(void *ctx, enum pd_problem p, uint64_t begin, uint64_t end,
				uint64_t block, int height);
int mappings_each_lost(struct mappings *m, uint64_t root, mappings_lost_fn fn, void *ctx);

/* The highest key below a node that was folded. */
uint64_t mappings_highest_key(struct mappings *m, uint64_t block);

/* Does this leaf name data blocks beyond the end? */
bool mappings_leaf_is_wide(const struct slot *slot);

/* As before any fold, so that one may fold again after slots were edited. References are 0. */
void mappings_unfold(struct mappings *m);

/* As before any peek; references stay. */
void mappings_forget(struct mappings *m);

/* Takes back what was counted for leaves that no tree reaches. */
int mappings_settle(struct mappings *m);

#endif
