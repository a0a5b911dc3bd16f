/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* <pdata/block-manager.h> and <pdata/transaction-manager.h>. */
#include <errno.h>
#include "persistent-data/api.h"

static_assert(PD_BLOCK_THIN_SB == (int)KIND_THIN_SB && PD_BLOCK_CLONE_SB == (int)KIND_CLONE_SB &&
	      PD_BLOCK_NODE == (int)KIND_NODE && PD_BLOCK_INDEX == (int)KIND_INDEX &&
	      PD_BLOCK_INDEX + 1 == (int)NR_BLOCK_KINDS, "kinds are called the same inside");

static bool known(enum pd_block_kind kind)
{
	return (int)kind > (int)KIND_NONE && (int)kind < (int)NR_BLOCK_KINDS;
}

/* ---- Block manager ---- */

int pd_bm_create(struct pd_bm **bm, struct pd_io *io, uint32_t cache_blocks, struct pd_log *log)
{
	return bm_create(bm, io, cache_blocks, log);
}

void pd_bm_destroy(struct pd_bm *bm) { bm_destroy(bm); }
uint64_t pd_bm_nr_blocks(const struct pd_bm *bm) { return bm_nr_blocks(bm); }
uint32_t pd_bm_nr_held(const struct pd_bm *bm) { return bm_nr_held(bm); }

int pd_bm_read_lock(struct pd_bm *bm, uint64_t nr, enum pd_block_kind kind, struct pd_block **b)
{
	return known(kind) ? bm_read_lock(bm, nr, (enum block_kind)kind, b) : -EINVAL;
}

int pd_bm_write_lock(struct pd_bm *bm, uint64_t nr, enum pd_block_kind kind, struct pd_block **b)
{
	return known(kind) ? bm_write_lock(bm, nr, (enum block_kind)kind, b) : -EINVAL;
}

int pd_bm_write_lock_zero(struct pd_bm *bm, uint64_t nr, enum pd_block_kind kind, struct pd_block **b)
{
	return known(kind) ? bm_write_lock_new(bm, nr, (enum block_kind)kind, true, b) : -EINVAL;
}

void pd_bm_unlock(struct pd_block *b) { bm_unlock(b); }
uint64_t pd_block_nr(const struct pd_block *b) { return b->nr; }
void *pd_block_data(const struct pd_block *b) { return b->data; }
void pd_bm_prefetch(struct pd_bm *bm, uint64_t nr) { bm_prefetch(bm, nr); }
int pd_bm_flush(struct pd_bm *bm) { return bm_flush(bm); }
int pd_bm_commit(struct pd_bm *bm, struct pd_block **sb) { return bm_commit(bm, sb); }

/* ---- Transaction manager ---- */

int pd_tm_create(struct pd_tm **tm, struct pd_io *io, uint32_t cache_blocks, struct pd_log *log)
{
	return tm_create(tm, io, cache_blocks, log);
}

int pd_tm_open(struct pd_tm **tm, struct pd_io *io, uint32_t cache_blocks, const struct pd_sm_root *root,
	       struct pd_log *log)
{
	struct sm_root r = api_sm_root_le(root);

	return tm_open(tm, io, cache_blocks, &r, log);
}

void pd_tm_destroy(struct pd_tm *tm) { tm_destroy(tm); }
struct pd_bm *pd_tm_bm(struct pd_tm *tm) { return tm_bm(tm); }

int pd_tm_new_block(struct pd_tm *tm, enum pd_block_kind kind, struct pd_block **b)
{
	return known(kind) ? tm_new_block(tm, (enum block_kind)kind, b) : -EINVAL;
}

int pd_tm_shadow_block(struct pd_tm *tm, uint64_t nr, enum pd_block_kind kind, struct pd_block **b, bool *shared)
{
	return known(kind) ? tm_shadow(tm, nr, (enum block_kind)kind, b, shared) : -EINVAL;
}

int pd_tm_inc(struct pd_tm *tm, uint64_t nr) { return tm_inc(tm, nr); }
int pd_tm_dec(struct pd_tm *tm, uint64_t nr) { return tm_dec(tm, nr); }

int pd_tm_pre_commit(struct pd_tm *tm, struct pd_sm_root *root)
{
	struct sm_root r;
	int err = tm_pre_commit(tm, &r);

	if (!err)
		*root = api_sm_root(&r);
	return err;
}

int pd_tm_commit(struct pd_tm *tm, struct pd_block **sb) { return tm_commit(tm, sb); }
int pd_tm_abort(struct pd_tm *tm) { return tm_abort(tm); }
