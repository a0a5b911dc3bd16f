/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The values of one mapping leaf, and the data blocks they name. */
#ifndef PD_THIN_LEAF_H
#define PD_THIN_LEAF_H

#include "base/counts.h"
#include "persistent-data/disk.h"

struct leaf_sum {
	bool late;	/* some mapping is newer than @time */
	bool wide;	/* some data block is @nr_data_blocks or more; it was not counted */
};

/*
 * leaf_count() - one more for each data block that the leaf maps.
 * @counts: of @nr_data_blocks blocks, or NULL to look only; any number of threads may count at once.
 * @own:    what this thread keeps of the counts, or NULL.
 * @leaf:   a node that node_check() found sound, with values of 8 bytes.
 *
 * Cost: a pass over the values; data blocks in a row are counted up to 64 at a time.
 */
struct leaf_sum leaf_count(struct counts *counts, struct counts_own *own, const struct node_header *leaf,
			   uint64_t nr_data_blocks, uint32_t time);

#endif
