/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Metadata open for change: a superblock, and the transactions it ends. What the types' handles (struct pd_cache, ...)
 * have in common.
 */
#ifndef PD_METADATA_H
#define PD_METADATA_H

#include "persistent-data/transaction-manager.h"

struct metadata {
	struct pd_tm *tm;
	enum block_kind kind;
	uint32_t sm_root;	/* where its superblocks have the metadata space map's record, bytes */
	uint32_t len;		/* of what they say, bytes */
	void *sb;		/* the caller's copy: what the next commit writes */
};

/*
 * @m: kind, sm_root, len and sb filled in. Reads block 0 into ->sb and opens the metadata space map. @version: the highest
 * known. @check: the command that says more, "cache_check". 0; -EUCLEAN, -EIO after a message; -ENOMEM.
 */
int metadata_open(struct metadata *m, struct pd_io *io, uint32_t cache_blocks, uint32_t version, const char *check,
		  struct pd_log *log);

/*
 * What else is in @block, which should be a superblock and has the wrong checksum for it: the end of a message, ": this is
 * a cache, see cache_check" or the like; "" if nothing is known of it.
 */
const char *superblock_hint(struct pd_io *io, uint64_t block);

/* All of @io is given up, block 0 first; the first commit makes it metadata. */
int metadata_create(struct metadata *m, struct pd_io *io, struct pd_log *log);
void metadata_close(struct metadata *m);

/* ->sb with the space map as it is becomes block 0, last of all. */
int metadata_commit(struct metadata *m);
/* Back to the last commit; ->sb is read again. */
int metadata_abort(struct metadata *m);

#endif
