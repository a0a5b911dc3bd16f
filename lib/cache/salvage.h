/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cache without its superblock: which mapping array is the one?
 *
 * Nothing in an array tells when it was written, and a kernel leaves the arrays of earlier transactions where they are
 * until their blocks are used again. But it never overwrites what its last transaction uses. So an array that leads to
 * a block which is sound and cannot be its own is over; every other one may be the last, also if some of its blocks
 * cannot be read: then what it said there is not known. What all of them map alike was mapped by the last, too.
 */
#ifndef PD_CACHE_SALVAGE_H
#define PD_CACHE_SALVAGE_H

#include <pdata/cache.h>
#include "base/bits.h"
#include "cache/superblock.h"

/* A mapping array that may be the last. */
struct cache_generation {
	uint64_t root;
	uint64_t nr_mappings, nr_read, nr_lost;	/* the last two: array blocks */
};

struct cache_salvage {
	bool lost;			/* there was no superblock; else nothing here is filled in */
	const char *source;		/* of the superblock: "superblock", "block 0", "option" */
	uint32_t version;		/* of the metadata, to be written again */
	struct cache_generation *g;	/* ascending; only the one taken if something named it */
	size_t nr;
	struct bits doubtful;		/* cache blocks that they map differently, or may */
	uint64_t nr_doubtful;
};

/*
 * The superblock of @in, or one made of what is found and the sizes in @o: without the clean flag then, so that all is
 * dirty. 0, -EUCLEAN or -EINVAL after a message, -ENOMEM, -EIO.
 * Cost: without a superblock all of @in is read once, and index nodes and differing array blocks again.
 * Memory: 36 bytes a metadata block, 16 a generation, a bit a cache block.
 */
int cache_salvage_superblock(struct cache_salvage *s, struct pd_io *in, const struct pd_cache_repair_opts *o,
			     const struct pd_run *run, struct cache_superblock *sb);
void cache_salvage_exit(struct cache_salvage *s);

#endif
