/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records in, new thin metadata out: the emitter behind restore and repair.
 *
 * The leaves of a def are built once. A device that has a ref shares them, as far as each keeps at
 * least a third of a leaf's entries, or is the whole device; what is less goes into a copy, together
 * with a neighbouring shared leaf if need be.
 */
#ifndef PD_THIN_BUILD_H
#define PD_THIN_BUILD_H

#include <pdata/io.h>
#include <pdata/thin.h>
#include "thin/records.h"

struct thin_build_opts {
	const struct pd_thin_overrides *overrides;	/* or NULL */
	bool recount;		/* mapped_blocks as counted, not as the records say */
	struct pd_log *refusals;	/* gets why input is refused, if it is to be another log */
};

/**
 * thin_build_create() - an emitter that writes metadata to @io.
 * @io: stays the caller's; NULL for a dry run that only counts blocks.
 * @log: gets the reason before any call returns an error.
 *
 * superblock() looks at what it is given and then makes block 0 of @io invalid; superblock_end() writes
 * the superblock. Input that is not what a pool can be (order, ranges, bounds, ids twice) is -EINVAL,
 * an output too small -ENOSPC at superblock_end(), with the number of blocks needed told.
 *
 * Memory: some MiB, a byte a data block, 8 bytes a shared leaf, 32 a device, 64 a def.
 * Return: 0 or -ENOMEM.
 */
int thin_build_create(struct thin_emitter **e, struct pd_io *io, const struct thin_build_opts *o,
		      struct pd_log *log);
void thin_build_destroy(struct thin_emitter *e);	/* takes NULL */

/**
 * thin_build_needed() - after superblock_end(): blocks the metadata device must have.
 * @at_least: the same if leaves that were copied bring no data block to a count of 3; only a dry run
 *            cannot tell, otherwise it equals the answer. May be NULL.
 */
uint64_t thin_build_needed(struct thin_emitter *e, uint64_t *at_least);

#endif
