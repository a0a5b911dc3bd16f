/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Three kinds of space map behind one handle: <pdata/space-map.h>. */
#include <errno.h>
#include <stdlib.h>
#include "persistent-data/api.h"
#include "persistent-data/space-map.h"
#include <pdata/space-map.h>

/* Block numbers are within bounds when these are called. */
struct sm_ops {
	uint64_t (*nr_blocks)(const struct pd_sm *sm);
	uint64_t (*nr_free)(const struct pd_sm *sm);
	int (*count)(struct pd_sm *sm, uint64_t nr, uint32_t *count);
	int (*set_count)(struct pd_sm *sm, uint64_t nr, uint32_t count);
	int (*inc)(struct pd_sm *sm, uint64_t nr);
	int (*dec)(struct pd_sm *sm, uint64_t nr);
	int (*new_block)(struct pd_sm *sm, uint64_t *nr);
	int (*extend)(struct pd_sm *sm, uint64_t nr_blocks);
	int (*pre_commit)(struct pd_sm *sm, struct sm_root *root);	/* NULL: nothing of it is on disk by itself */
};

/* ---- In memory ---- */

static uint64_t core_nr_blocks(const struct pd_sm *sm) { return sm->core.nr_blocks; }
static uint64_t core_nr_free(const struct pd_sm *sm) { return sm->core.nr_blocks - sm->core.nr_allocated; }
static int core_set(struct pd_sm *sm, uint64_t nr, uint32_t n) { return sm_core_set_count(&sm->core, nr, n); }
static int core_new(struct pd_sm *sm, uint64_t *nr) { return sm_core_new_block(&sm->core, nr); }
static int core_extend(struct pd_sm *sm, uint64_t nr) { return sm_core_extend(&sm->core, nr); }

static int core_count(struct pd_sm *sm, uint64_t nr, uint32_t *count)
{
	*count = sm_core_count(&sm->core, nr);
	return 0;
}

static int core_inc(struct pd_sm *sm, uint64_t nr)
{
	uint32_t count = sm_core_count(&sm->core, nr);

	return count == UINT32_MAX ? -EUCLEAN : sm_core_set_count(&sm->core, nr, count + 1);
}

static int core_dec(struct pd_sm *sm, uint64_t nr)
{
	uint32_t count = sm_core_count(&sm->core, nr);

	return count ? sm_core_set_count(&sm->core, nr, count - 1) : -EUCLEAN;
}

static const struct sm_ops core_ops = {
	.nr_blocks = core_nr_blocks, .nr_free = core_nr_free, .count = core_count, .set_count = core_set,
	.inc = core_inc, .dec = core_dec, .new_block = core_new, .extend = core_extend,
};

/* ---- Of data blocks, on disk ---- */

static uint64_t disk_nr_blocks(const struct pd_sm *sm) { return sm->disk.nr_blocks; }
static uint64_t disk_nr_free(const struct pd_sm *sm) { return sm->disk.nr_blocks - sm->disk.nr_allocated; }
static int disk_count(struct pd_sm *sm, uint64_t nr, uint32_t *n) { return sm_disk_count(&sm->disk, nr, n); }
static int disk_set(struct pd_sm *sm, uint64_t nr, uint32_t n) { return sm_disk_set_count(&sm->disk, nr, n); }
static int disk_inc(struct pd_sm *sm, uint64_t nr) { return sm_disk_inc(&sm->disk, nr); }
static int disk_dec(struct pd_sm *sm, uint64_t nr) { return sm_disk_dec(&sm->disk, nr); }
static int disk_new(struct pd_sm *sm, uint64_t *nr) { return sm_disk_new_block(&sm->disk, nr); }
static int disk_extend(struct pd_sm *sm, uint64_t nr) { return sm_disk_extend(&sm->disk, nr); }
static int disk_pre_commit(struct pd_sm *sm, struct sm_root *r) { return sm_disk_pre_commit(&sm->disk, r); }

static const struct sm_ops disk_ops = {
	.nr_blocks = disk_nr_blocks, .nr_free = disk_nr_free, .count = disk_count, .set_count = disk_set,
	.inc = disk_inc, .dec = disk_dec, .new_block = disk_new, .extend = disk_extend,
	.pre_commit = disk_pre_commit,
};

/* ---- Of metadata blocks: the transaction manager's ---- */

static uint64_t metadata_nr_blocks(const struct pd_sm *sm) { return tm_nr_blocks(sm->tm); }
static uint64_t metadata_nr_free(const struct pd_sm *sm) { return tm_nr_unused(sm->tm); }
static int metadata_set(struct pd_sm *sm, uint64_t nr, uint32_t n) { return tm_set_count(sm->tm, nr, n); }
static int metadata_inc(struct pd_sm *sm, uint64_t nr) { return tm_inc(sm->tm, nr); }
static int metadata_dec(struct pd_sm *sm, uint64_t nr) { return tm_dec(sm->tm, nr); }
static int metadata_new(struct pd_sm *sm, uint64_t *nr) { return tm_take(sm->tm, nr); }
static int metadata_extend(struct pd_sm *sm, uint64_t nr) { return tm_grow(sm->tm, nr); }

static int metadata_count(struct pd_sm *sm, uint64_t nr, uint32_t *count)
{
	*count = tm_count(sm->tm, nr);
	return 0;
}

static const struct sm_ops metadata_ops = {
	.nr_blocks = metadata_nr_blocks, .nr_free = metadata_nr_free, .count = metadata_count,
	.set_count = metadata_set, .inc = metadata_inc, .dec = metadata_dec, .new_block = metadata_new,
	.extend = metadata_extend,
};

void sm_of_metadata(struct pd_sm *sm, struct pd_tm *tm)
{
	*sm = (struct pd_sm){ .ops = &metadata_ops, .tm = tm };
}

/* ---- Roots ---- */

struct pd_sm_root api_sm_root(const struct sm_root *root)
{
	return (struct pd_sm_root){
		.nr_blocks = le64_get(root->nr_blocks), .nr_allocated = le64_get(root->nr_allocated),
		.bitmap_root = le64_get(root->bitmap_root), .ref_count_root = le64_get(root->ref_count_root),
	};
}

struct sm_root api_sm_root_le(const struct pd_sm_root *root)
{
	return (struct sm_root){
		.nr_blocks = le64_put(root->nr_blocks), .nr_allocated = le64_put(root->nr_allocated),
		.bitmap_root = le64_put(root->bitmap_root), .ref_count_root = le64_put(root->ref_count_root),
	};
}

static_assert(sizeof(struct sm_root) == PD_SM_ROOT_PACKED, "packed root");

void pd_sm_root_pack(void *bytes, const struct pd_sm_root *root)
{
	struct sm_root r = api_sm_root_le(root);

	memcpy(bytes, &r, sizeof(r));
}

void pd_sm_root_unpack(struct pd_sm_root *root, const void *bytes)
{
	struct sm_root r = sm_root_get(bytes);

	*root = api_sm_root(&r);
}

/* ---- The handle ---- */

static int make(struct pd_sm **out, const struct sm_ops *ops)
{
	struct pd_sm *sm = calloc(1, sizeof(*sm));

	if (!sm)
		return -ENOMEM;
	sm->ops = ops;
	*out = sm;
	return 0;
}

/* A handle, or what went wrong with it. */
static int finish(struct pd_sm **out, struct pd_sm *sm, int r)
{
	if (r)
		pd_sm_close(sm);
	else
		*out = sm;
	return r;
}

int pd_sm_create_core(struct pd_sm **out, uint64_t nr_blocks)
{
	struct pd_sm *sm;
	int r = make(&sm, &core_ops);

	return r ? r : finish(out, sm, sm_core_init(&sm->core, nr_blocks));
}

int pd_sm_create_disk(struct pd_sm **out, struct pd_tm *tm, uint64_t nr_blocks)
{
	struct pd_sm *sm;
	int r = make(&sm, &disk_ops);

	return r ? r : finish(out, sm, sm_disk_create(&sm->disk, tm, nr_blocks));
}

int pd_sm_open_disk(struct pd_sm **out, struct pd_tm *tm, const struct pd_sm_root *root)
{
	struct sm_root le = api_sm_root_le(root);
	struct pd_sm *sm;
	int r = make(&sm, &disk_ops);

	return r ? r : finish(out, sm, sm_disk_open(&sm->disk, tm, &le));
}

void pd_sm_close(struct pd_sm *sm)
{
	if (!sm)
		return;
	assert(sm->ops != &metadata_ops);	/* the transaction manager's goes with it */
	if (sm->ops == &core_ops)
		sm_core_exit(&sm->core);
	free(sm);
}

uint64_t pd_sm_nr_blocks(const struct pd_sm *sm) { return sm->ops->nr_blocks(sm); }
uint64_t pd_sm_nr_free(const struct pd_sm *sm) { return sm->ops->nr_free(sm); }

int pd_sm_count(struct pd_sm *sm, uint64_t nr, uint32_t *count)
{
	return nr < pd_sm_nr_blocks(sm) ? sm->ops->count(sm, nr, count) : -EINVAL;
}

int pd_sm_set_count(struct pd_sm *sm, uint64_t nr, uint32_t count)
{
	return nr < pd_sm_nr_blocks(sm) ? sm->ops->set_count(sm, nr, count) : -EINVAL;
}

static int each(struct pd_sm *sm, uint64_t begin, uint64_t end, int (*fn)(struct pd_sm *sm, uint64_t nr))
{
	int r = begin <= end && end <= pd_sm_nr_blocks(sm) ? 0 : -EINVAL;

	for (uint64_t nr = begin; nr < end && !r; nr++)
		r = fn(sm, nr);
	return r;
}

int pd_sm_inc(struct pd_sm *sm, uint64_t begin, uint64_t end) { return each(sm, begin, end, sm->ops->inc); }
int pd_sm_dec(struct pd_sm *sm, uint64_t begin, uint64_t end) { return each(sm, begin, end, sm->ops->dec); }
int pd_sm_new_block(struct pd_sm *sm, uint64_t *nr) { return sm->ops->new_block(sm, nr); }

int pd_sm_extend(struct pd_sm *sm, uint64_t nr_blocks)
{
	return nr_blocks < pd_sm_nr_blocks(sm) ? -EINVAL : sm->ops->extend(sm, nr_blocks);
}

int pd_sm_pre_commit(struct pd_sm *sm, struct pd_sm_root *root)
{
	struct sm_root r;
	int err = sm->ops->pre_commit ? sm->ops->pre_commit(sm, &r) : -EINVAL;

	if (!err)
		*root = api_sm_root(&r);
	return err;
}
