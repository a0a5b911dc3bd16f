/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "persistent-data/space-map-disk.h"

#define MAX_DATA_BLOCKS (1ull << 40)

static void describe(struct sm_disk *sm, struct pd_tm *tm)
{
	*sm = (struct sm_disk){
		.tm = tm,
		.index = { .tm = tm, .levels = 1, .value = { .size = sizeof(struct index_entry) } },
		.overflow = { .tm = tm, .levels = 1, .value = { .size = sizeof(le32) } },
	};
}

int sm_disk_create(struct sm_disk *sm, struct pd_tm *tm, uint64_t nr_blocks)
{
	int r;

	describe(sm, tm);
	r = btree_empty(&sm->index, &sm->index_root);
	if (!r)
		r = btree_empty(&sm->overflow, &sm->overflow_root);
	return r ? r : sm_disk_extend(sm, nr_blocks);
}

int sm_disk_open(struct sm_disk *sm, struct pd_tm *tm, const struct sm_root *root)
{
	describe(sm, tm);
	sm->last = *root;
	sm->nr_blocks = le64_get(root->nr_blocks);
	sm->nr_allocated = le64_get(root->nr_allocated);
	sm->index_root = le64_get(root->bitmap_root);
	sm->overflow_root = le64_get(root->ref_count_root);
	return sm->nr_blocks <= MAX_DATA_BLOCKS ? 0 : -EUCLEAN;
}

static int save(struct sm_disk *sm, struct sm_disk_entry *c)
{
	int r = c->valid && c->dirty ?
		btree_insert(&sm->index, &sm->index_root, &c->bitmap, &c->ie, NULL) : 0;

	if (!r)
		c->dirty = false;
	return r;
}

static int load(struct sm_disk *sm, uint64_t bitmap, struct sm_disk_entry **out)
{
	struct sm_disk_entry *c = &sm->cache[bitmap % SM_DISK_CACHE];
	int r;

	*out = c;
	if (c->valid && c->bitmap == bitmap)
		return 0;
	r = save(sm, c);
	if (r)
		return r;
	c->valid = false;
	r = btree_lookup(&sm->index, sm->index_root, &bitmap, &c->ie);
	if (r) {
		if (r == -ENODATA)
			pd_log(bm_log(tm_bm(sm->tm)), PD_LOG_ERR, "data space map: no index entry for "
			       "bitmap %" PRIu64, bitmap);
		return r == -ENODATA ? -EUCLEAN : r;
	}
	c->bitmap = bitmap;
	c->valid = true;
	return 0;
}

/*
 * The last bitmap before the map grows into the rest of it. Others' tools leave nr_free without the entries past the
 * end; with those in use it would run down to 0 while blocks are free (format, persistent-data 6.4). An entry past
 * the end that is not 0 would be a count from now on.
 */
static int mend_last(struct sm_disk *sm)
{
	uint32_t end = sm->nr_blocks % ENTRIES_PER_BITMAP, nr_free = ENTRIES_PER_BITMAP - end;
	struct sm_disk_entry *c;
	bool shared, stray = false;
	struct pd_block *b;
	int r = load(sm, sm->nr_blocks / ENTRIES_PER_BITMAP, &c);

	if (!r)
		r = bm_read_lock(tm_bm(sm->tm), le64_get(c->ie.blocknr), KIND_BITMAP, &b);
	if (r)
		return r;
	for (uint32_t e = 0; e < end; e++)
		nr_free += !bitmap_get(b->data, e);
	for (uint32_t e = end; e < ENTRIES_PER_BITMAP; e++)
		stray |= bitmap_get(b->data, e) != 0;
	bm_unlock(b);
	if (le32_get(c->ie.nr_free) != nr_free) {
		c->ie.nr_free = le32_put(nr_free);
		c->dirty = true;
	}
	if (!stray)
		return 0;
	r = tm_shadow(sm->tm, le64_get(c->ie.blocknr), KIND_BITMAP, &b, &shared);
	if (r)
		return r;
	for (uint32_t e = end; e < ENTRIES_PER_BITMAP; e++)
		bitmap_put(b->data, e, 0);
	c->ie.blocknr = le64_put(b->nr);
	c->dirty = true;
	bm_unlock(b);
	return 0;
}

int sm_disk_extend(struct sm_disk *sm, uint64_t nr_blocks)
{
	uint64_t i = ceil_div(sm->nr_blocks, ENTRIES_PER_BITMAP);
	int r = nr_blocks >= sm->nr_blocks && nr_blocks <= MAX_DATA_BLOCKS ? 0 : -EINVAL;

	if (!r && nr_blocks > sm->nr_blocks && sm->nr_blocks % ENTRIES_PER_BITMAP)
		r = mend_last(sm);
	for (; !r && i < ceil_div(nr_blocks, ENTRIES_PER_BITMAP); i++) {
		struct index_entry ie = { .nr_free = le32_put(ENTRIES_PER_BITMAP) };
		struct pd_block *b;

		r = tm_new_block(sm->tm, KIND_BITMAP, &b);
		if (r)
			break;
		ie.blocknr = le64_put(b->nr);
		bm_unlock(b);
		r = btree_insert(&sm->index, &sm->index_root, &i, &ie, NULL);
	}
	if (!r)
		sm->nr_blocks = nr_blocks;
	return r;
}

static int bad(struct sm_disk *sm, uint64_t nr, const char *why)
{
	pd_log(bm_log(tm_bm(sm->tm)), PD_LOG_ERR, "data block %" PRIu64 ": %s", nr, why);
	return -EUCLEAN;
}

static int get(struct sm_disk *sm, uint64_t nr, struct sm_disk_entry **c, uint32_t *count)
{
	struct pd_block *b;
	le32 v;
	int r;

	if (nr >= sm->nr_blocks)
		return bad(sm, nr, "out of bounds");
	r = load(sm, nr / ENTRIES_PER_BITMAP, c);
	if (r)
		return r;
	r = bm_read_lock(tm_bm(sm->tm), le64_get((*c)->ie.blocknr), KIND_BITMAP, &b);
	if (r)
		return r;
	*count = bitmap_get(b->data, nr % ENTRIES_PER_BITMAP);
	bm_unlock(b);
	if (*count < 3)
		return 0;
	r = btree_lookup(&sm->overflow, sm->overflow_root, &nr, &v);
	if (r == -ENODATA)
		return bad(sm, nr, "its count is missing in the overflow tree");
	*count = le32_get(v);
	return r;
}

int sm_disk_count(struct sm_disk *sm, uint64_t nr, uint32_t *count)
{
	struct sm_disk_entry *c;

	return get(sm, nr, &c, count);
}

static int set(struct sm_disk *sm, uint64_t nr, struct sm_disk_entry *c, uint32_t old, uint32_t count)
{
	uint32_t e = nr % ENTRIES_PER_BITMAP, none_free = le32_get(c->ie.none_free_before);
	uint32_t nr_free = le32_get(c->ie.nr_free);
	le32 v = le32_put(count);
	struct pd_block *b;
	bool shared;
	int r = tm_shadow(sm->tm, le64_get(c->ie.blocknr), KIND_BITMAP, &b, &shared);

	if (r)
		return r;
	bitmap_put(b->data, e, count < 3 ? count : 3);
	c->ie.blocknr = le64_put(b->nr);
	c->dirty = true;
	bm_unlock(b);
	if (!old && count) {
		sm->nr_allocated++;
		c->ie.nr_free = le32_put(nr_free - !!nr_free);
		if (e == none_free)
			c->ie.none_free_before = le32_put(e + 1);
	} else if (old && !count) {
		sm->nr_allocated--;
		c->ie.nr_free = le32_put(nr_free + 1);
		if (e < none_free)
			c->ie.none_free_before = le32_put(e);
	}
	if (count > 2)
		return btree_insert(&sm->overflow, &sm->overflow_root, &nr, &v, NULL);
	return old > 2 ? btree_remove(&sm->overflow, &sm->overflow_root, &nr) : 0;
}

int sm_disk_inc(struct sm_disk *sm, uint64_t nr)
{
	struct sm_disk_entry *c;
	uint32_t count;
	int r = get(sm, nr, &c, &count);

	if (!r && count == UINT32_MAX)
		r = bad(sm, nr, "counted too often");
	return r ? r : set(sm, nr, c, count, count + 1);
}

int sm_disk_dec(struct sm_disk *sm, uint64_t nr)
{
	struct sm_disk_entry *c;
	uint32_t count;
	int r = get(sm, nr, &c, &count);

	if (!r && !count)
		r = bad(sm, nr, "given back, but counted as free");
	return r ? r : set(sm, nr, c, count, count - 1);
}

int sm_disk_set_count(struct sm_disk *sm, uint64_t nr, uint32_t count)
{
	struct sm_disk_entry *c;
	uint32_t old;
	int r = get(sm, nr, &c, &old);

	return r || old == count ? r : set(sm, nr, c, old, count);
}

/* The bitmap as of the last commit; 0 if there was none, or it is @now still. */
static int old_bitmap(struct sm_disk *sm, uint64_t bitmap, uint64_t now, uint64_t *nr)
{
	int r = 0;

	*nr = 0;
	if (sm->have_next && tm_epoch(sm->tm) != sm->next_epoch) {
		sm->last = sm->next;
		sm->old.valid = sm->have_next = false;
	}
	if (bitmap * ENTRIES_PER_BITMAP >= le64_get(sm->last.nr_blocks))
		return 0;
	if (!sm->old.valid || sm->old.bitmap != bitmap) {
		sm->old.bitmap = bitmap;
		r = btree_lookup(&sm->index, le64_get(sm->last.bitmap_root), &bitmap, &sm->old.ie);
		sm->old.valid = !r;
	}
	if (!r && le64_get(sm->old.ie.blocknr) != now)
		*nr = le64_get(sm->old.ie.blocknr);
	return r;
}

/* The first entry from @e on that is free in @c's bitmap, and was in the last commit. */
static int search(struct sm_disk *sm, struct sm_disk_entry *c, uint32_t e, uint32_t end, uint32_t *found)
{
	struct pd_block *b, *old = NULL;
	uint64_t old_nr;
	int r = old_bitmap(sm, c->bitmap, le64_get(c->ie.blocknr), &old_nr);

	if (!r)
		r = bm_read_lock(tm_bm(sm->tm), le64_get(c->ie.blocknr), KIND_BITMAP, &b);
	if (r)
		return r;
	if (old_nr)
		r = bm_read_lock(tm_bm(sm->tm), old_nr, KIND_BITMAP, &old);
	for (; !r && e < end; e++)
		if (!bitmap_get(b->data, e) && (!old || !bitmap_get(old->data, e)))
			break;
	*found = e;
	bm_unlock(old);
	bm_unlock(b);
	return r;
}

int sm_disk_new_block(struct sm_disk *sm, uint64_t *nr)
{
	uint64_t nr_bitmaps = ceil_div(sm->nr_blocks, ENTRIES_PER_BITMAP);
	uint64_t first = sm->begin / ENTRIES_PER_BITMAP;

	/* from where the last one was, round to there */
	for (uint64_t k = 0; k <= nr_bitmaps && nr_bitmaps; k++) {
		uint64_t i = (first + k) % nr_bitmaps, at = i * ENTRIES_PER_BITMAP;
		uint32_t end = (uint32_t)min_t(uint64_t, ENTRIES_PER_BITMAP, sm->nr_blocks - at), e;
		struct sm_disk_entry *c;
		int r = load(sm, i, &c);

		if (r)
			return r;
		if (!le32_get(c->ie.nr_free))
			continue;
		e = le32_get(c->ie.none_free_before);
		if (!k)
			e = max_t(uint32_t, e, sm->begin % ENTRIES_PER_BITMAP);
		r = search(sm, c, e, end, &e);
		if (r)
			return r;
		if (e >= end)
			continue;
		*nr = at + e;
		sm->begin = (*nr + 1) % sm->nr_blocks;
		return set(sm, *nr, c, 0, 1);
	}
	pd_log(bm_log(tm_bm(sm->tm)), PD_LOG_ERR, "no free data block (%" PRIu64 " of %" PRIu64 " in use)",
	       sm->nr_allocated, sm->nr_blocks);
	return -ENOSPC;
}

int sm_disk_pre_commit(struct sm_disk *sm, struct sm_root *root)
{
	int r = 0;

	for (unsigned i = 0; i < SM_DISK_CACHE && !r; i++)
		r = save(sm, &sm->cache[i]);
	*root = (struct sm_root){
		.nr_blocks = le64_put(sm->nr_blocks),
		.nr_allocated = le64_put(sm->nr_allocated),
		.bitmap_root = le64_put(sm->index_root),
		.ref_count_root = le64_put(sm->overflow_root),
	};
	sm->next = *root;
	sm->next_epoch = tm_epoch(sm->tm);
	sm->have_next = true;
	return r;
}
