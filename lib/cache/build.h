/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records in, new cache metadata out: the emitter behind restore and repair. */
#ifndef PD_CACHE_BUILD_H
#define PD_CACHE_BUILD_H

#include <pdata/cache.h>
#include "cache/records.h"

/* @io: NULL only counts blocks. superblock() looks at what it is given and then makes block 0 invalid. What
 * cannot be (order, bounds, a block twice) is -EINVAL after a message. 0 or -ENOMEM. */
int cache_build_create(struct cache_emitter **e, struct pd_io *io,
		       const struct pd_cache_restore_opts *o, struct pd_log *log);
void cache_build_destroy(struct cache_emitter *e);	/* takes NULL */
/* Before anything else: no origin block will come twice, so nobody need look. */
void cache_build_unique(struct cache_emitter *e);
uint64_t cache_build_needed(struct cache_emitter *e);

#endif
