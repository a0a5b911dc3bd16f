/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The space map of data blocks: counts in bitmaps, counts above 2 in an overflow tree, all kept in the
 * metadata device under its transaction manager. Any size up to 2^40 blocks; in memory only 64 index
 * entries. Source: format, persistent-data 6.
 */
#ifndef PD_SPACE_MAP_DISK_H
#define PD_SPACE_MAP_DISK_H

#include "persistent-data/btree.h"

#define SM_DISK_CACHE 64u

struct sm_disk {
	struct pd_tm *tm;
	struct btree index, overflow;
	uint64_t nr_blocks, nr_allocated, begin;	/* begin: where the next search starts */
	uint64_t index_root, overflow_root;
	struct sm_root last;		/* of the last commit: nothing it uses is handed out */
	struct sm_root next;		/* becomes that when the tm's epoch is not next_epoch any more */
	uint64_t next_epoch;
	bool have_next;
	struct sm_disk_entry {
		uint64_t bitmap;	/* which one */
		struct index_entry ie;
		bool valid, dirty;
	} cache[SM_DISK_CACHE], old;
};

/* All counts 0. 0, -ENOSPC, ... */
int sm_disk_create(struct sm_disk *sm, struct pd_tm *tm, uint64_t nr_blocks);
int sm_disk_open(struct sm_disk *sm, struct pd_tm *tm, const struct sm_root *root);
/* New blocks have count 0, and what others left wrong in the last bitmap is put right. -EINVAL for fewer than
 * there are, or more than 2^40. */
int sm_disk_extend(struct sm_disk *sm, uint64_t nr_blocks);
int sm_disk_count(struct sm_disk *sm, uint64_t nr, uint32_t *count);
/* -EUCLEAN, after a message, for a block out of bounds, below 0 or above the largest count. */
int sm_disk_inc(struct sm_disk *sm, uint64_t nr);
int sm_disk_dec(struct sm_disk *sm, uint64_t nr);
/* From whatever it was to @count. */
int sm_disk_set_count(struct sm_disk *sm, uint64_t nr, uint32_t count);
/* A block that neither this transaction nor the last commit uses; count 1. -ENOSPC. */
int sm_disk_new_block(struct sm_disk *sm, uint64_t *nr);
/* Before tm_pre_commit(): brings the index tree up to date and tells the root. */
int sm_disk_pre_commit(struct sm_disk *sm, struct sm_root *root);

#endif
