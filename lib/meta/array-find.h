/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Without a superblock: which array of a known length is the one? */
#ifndef PD_META_ARRAY_FIND_H
#define PD_META_ARRAY_FIND_H

#include "meta/array-scan.h"

/*
 * Old versions of an array stay on a device until their blocks are used again, so there may be several. What they
 * say is compared; if it differs, nothing tells which is the last.
 */
struct array_find {
	/* filled by the caller */
	struct pd_io *io;
	const struct pd_run *run;
	const char *what;		/* "bitset", "mapping array": for messages */
	struct array_scan like;		/* of 8-byte values; its root is not used */
	bool grows;			/* bits are only ever set: what has bits that the one found lacks, or may
					 * have, because it is damaged, could be later, so there is no telling */
	/* Value @i as it is to be compared, into @v; false if such an array cannot hold it. */
	bool (*value)(void *ctx, uint64_t i, uint64_t *v);
	void *ctx;
	/* filled by array_find() */
	uint64_t root;
	unsigned nr_broken;		/* others that begin like one */
};

/* 0: ->root is the one. -EUCLEAN after a message: there is none, or they differ. -ENOMEM.
 * Cost: reads the device once, and each candidate once or twice; memory is that of a scan. */
int array_find(struct array_find *f);

#endif
