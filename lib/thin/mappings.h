/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mapping trees of all devices, folded in memory: each physical node once, whatever shares it.
 */
#ifndef PD_THIN_MAPPINGS_H
#define PD_THIN_MAPPINGS_H

#include "meta/scan.h"

struct mappings {
	struct scan *s;
	struct counts *counts;		/* data blocks; NULL: not counted */
	uint64_t nr_data_blocks;
	uint32_t time;			/* the superblock's */
	struct bits counted;		/* leaves whose data blocks were counted */
	uint64_t nr_told;		/* nodes looked at again for findings */
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

/* Folds the tree below @root and counts the references in it; with @count the root's own too. */
int mappings_fold(struct mappings *m, uint64_t root, bool count, struct mappings_sum *sum);

/* Adds the findings of a device whose fold was damaged or odd. */
int mappings_tell(struct mappings *m, uint64_t dev, uint64_t root);

/* Takes back what was counted for leaves that no tree reaches. */
int mappings_settle(struct mappings *m);

#endif
