/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mending space maps after a check that found nothing worse than counts that are too high.
 *
 * Everything that changes is written to blocks that are free in the old metadata and in the new, so
 * until the superblock is written the old state stays whole. Only where there are not enough free
 * blocks, those that are being replaced are overwritten.
 */
#ifndef PD_META_MEND_H
#define PD_META_MEND_H

#include "meta/scan.h"

struct mended {
	struct sm_root metadata, data;	/* what the superblock is to say */
	uint64_t nr_counts;		/* counts that were lowered */
	bool changed;			/* else there is nothing to write */
	bool in_place;			/* free blocks did not suffice */
};

/**
 * mend_space_maps() - write the blocks of space maps that agree with what the check found.
 * @s:     a scan whose keep_leaks was set before the maps were checked; complete, and without
 *         findings that are fatal.
 * @data:  NULL for types without a data space map.
 * @hints: also mend free counts, search hints and numbers of allocated blocks that are off.
 * @out:   what remains to be done: writing the superblock with these roots.
 *
 * Flushes before it returns. The counts of @s are used up.
 *
 * Return: 0; -ENOSPC, -EUCLEAN (blocks of a space map that are in use elsewhere), -ENOMEM or what
 *         writing said, after a message. Then nothing that the old superblock leads to has changed, unless
 *         out->in_place.
 */
int mend_space_maps(struct scan *s, struct metadata_sm *metadata, struct data_sm *data, bool hints,
		    struct mended *out);

/* What there is to change in a superblock. */
struct mend_sb {
	enum block_kind kind;
	const void *seen;		/* the superblock as the check saw it */
	size_t seen_len;
	size_t metadata_root_at, data_root_at;	/* of space map roots; the second 0 if there is none */
	uint32_t clear_flags;
};

/**
 * mend_superblock() - the roots of @maps, if they changed, and flags cleared. All other bytes stay.
 *
 * Return: 0; -EUCLEAN if it is no longer what the check saw, -ENOMEM, or what reading and writing said,
 *         after a message.
 */
int mend_superblock(struct pd_io *io, const struct mend_sb *how, const struct mended *maps, struct pd_log *log);

#endif
