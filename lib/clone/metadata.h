/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The superblock and the bitset of a clone, read. */
#ifndef PD_CLONE_METADATA_H
#define PD_CLONE_METADATA_H

#include "clone/records.h"
#include "meta/array-scan.h"
#include <pdata/clone.h>

/* 0, -EUCLEAN after a message, -ENOMEM, -EIO. */
int clone_sb_read(struct pd_io *io, struct pd_log *log, struct clone_superblock *sb);
/* Regions, or 0 if the sizes are not allowed; then @why, if not NULL, says which. */
uint64_t clone_nr_regions(uint64_t region_size, uint64_t target_size, enum pd_problem *why);
struct array_scan clone_bitset(uint64_t root, uint64_t nr_regions);

/* Word @w of the regions without the bits past their end. */
static inline uint64_t clone_word(uint64_t value, uint64_t w, uint64_t nr_regions)
{
	uint64_t left = nr_regions - w * BITSET_WORD_BITS;

	return left < BITSET_WORD_BITS ? value & ((1ull << left) - 1) : value;
}

/* From a bitset to records, in order. */
struct clone_view {
	struct pd_io *io;
	const struct pd_run *run;
	uint64_t region_size, target_size, nr_regions;
	struct damage damage;
	struct scan s;
	struct array_scan bitset;
	enum pd_clone_unreadable unreadable;
	uint64_t nr_hydrated, nr_lost;	/* lost ones count as hydrated if taken for it */
};

/* Reads all of the bitset at @root once. 0, -ENOMEM, -EIO; damage is in ->damage, ->nr_lost. */
int clone_view_init(struct clone_view *v, struct pd_io *io, const struct clone_superblock *sb,
		    const struct pd_run *run);
void clone_view_exit(struct clone_view *v);
/* Everything into an emitter; twice is fine. */
int clone_view_emit(struct clone_view *v, struct clone_emitter *e);

/* The emitter that makes new metadata (build.c). @out NULL counts only. */
int clone_build_create(struct clone_emitter **e, struct pd_io *out, struct pd_log *log);
void clone_build_destroy(struct clone_emitter *e);	/* takes NULL */
uint64_t clone_build_needed(struct clone_emitter *e);

#endif
