/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/bits.h"
#include "persistent-data/btree.h"
#include "persistent-data/space-map.h"
#include "persistent-data/transaction-manager.h"
#include <pdata/err.h>

struct pd_tm {
	struct pd_io *io;
	struct pd_bm *bm;
	struct pd_log *log;
	uint64_t nr_blocks, nr_allocated, begin;	/* begin: where the next search starts */
	uint32_t *counts;
	struct bits busy;	/* in use now or in the last commit */
	struct bits committed;	/* in use in the last commit */
	struct bits overflow;	/* counts whose entry in the overflow tree may be wrong */
	bool dirty[MAX_METADATA_BITMAPS];
	uint64_t bitmap[MAX_METADATA_BITMAPS];	/* 0: none yet */
	struct index_entry index[MAX_METADATA_BITMAPS];
	uint64_t index_block;	/* 0: none yet */
	uint64_t overflow_root;
	bool have_overflow;
	struct sm_root last;	/* of the last commit; nr_blocks 0: none */
	struct sm_root next;	/* of the one under way */
	uint64_t epoch;		/* commits so far */
	bool full;		/* some change found no room, and is half done */
	struct btree overflow_tree;
	struct pd_sm sm;	/* what pd_tm_sm() hands out */
};

struct pd_bm *tm_bm(struct pd_tm *tm) { return tm->bm; }
uint64_t tm_nr_blocks(const struct pd_tm *tm) { return tm->nr_blocks; }

uint64_t tm_nr_unused(const struct pd_tm *tm) { return tm->nr_blocks - tm->nr_allocated; }
struct pd_sm *pd_tm_sm(struct pd_tm *tm) { return &tm->sm; }
uint64_t tm_epoch(const struct pd_tm *tm) { return tm->epoch; }

uint64_t tm_nr_free(const struct pd_tm *tm)
{
	return tm->nr_blocks - bits_count(&tm->busy);
}

uint32_t tm_count(const struct pd_tm *tm, uint64_t nr)
{
	return nr < tm->nr_blocks ? tm->counts[nr] : 0;
}

static uint64_t usable(const struct pd_tm *tm)
{
	return min_t(uint64_t, pd_io_nr_blocks(tm->io), MAX_METADATA_BLOCKS);
}

static void set_count(struct pd_tm *tm, uint64_t nr, uint32_t count)
{
	uint32_t old = tm->counts[nr];

	tm->counts[nr] = count;
	tm->dirty[nr / ENTRIES_PER_BITMAP] = true;
	if (old > 2 || count > 2)
		bits_set(&tm->overflow, nr);
	if (!old && count) {
		tm->nr_allocated++;
		bits_set(&tm->busy, nr);
	} else if (old && !count) {
		tm->nr_allocated--;
		if (!bits_test(&tm->committed, nr)) {
			bits_clear(&tm->busy, nr);
			bm_forget(tm->bm, nr);
		}
	}
}

static int check_used(struct pd_tm *tm, uint64_t nr)
{
	if (nr && nr < tm->nr_blocks && tm->counts[nr])
		return 0;
	pd_log(tm->log, PD_LOG_ERR, "metadata block %" PRIu64 " is pointed to, but %s", nr,
	       nr && nr < tm->nr_blocks ? "counted as free" : "out of bounds");
	return -EUCLEAN;
}

int tm_inc(struct pd_tm *tm, uint64_t nr)
{
	int r = check_used(tm, nr);

	if (!r && tm->counts[nr] == UINT32_MAX) {
		pd_log(tm->log, PD_LOG_ERR, "metadata block %" PRIu64 " is pointed to from too many places", nr);
		r = -EUCLEAN;
	}
	if (!r)
		set_count(tm, nr, tm->counts[nr] + 1);
	return r;
}

int tm_set_count(struct pd_tm *tm, uint64_t nr, uint32_t count)
{
	if (!nr || nr >= tm->nr_blocks)
		return -EINVAL;
	if (tm->counts[nr] != count)
		set_count(tm, nr, count);
	return 0;
}

int tm_dec(struct pd_tm *tm, uint64_t nr)
{
	int r = check_used(tm, nr);

	if (!r)
		set_count(tm, nr, tm->counts[nr] - 1);
	return r;
}

int tm_take(struct pd_tm *tm, uint64_t *nr)
{
	uint64_t b = bits_next_clear(&tm->busy, tm->begin);

	if (b >= tm->nr_blocks) {
		b = bits_next_clear(&tm->busy, 1);
		if (b >= tm->nr_blocks) {
			pd_log(tm->log, PD_LOG_ERR, "%s: no free metadata block (%" PRIu64 " in use)",
			       pd_io_name(tm->io), tm->nr_allocated);
			return -ENOSPC;
		}
	}
	set_count(tm, b, 1);
	tm->begin = b + 1;
	*nr = b;
	return 0;
}

static int new_block(struct pd_tm *tm, enum block_kind kind, bool zero, struct pd_block **b)
{
	uint64_t nr;
	int r = tm_take(tm, &nr);

	tm->full |= r == -ENOSPC;
	if (!r) {
		r = bm_write_lock_new(tm->bm, nr, kind, zero, b);
		if (r)
			set_count(tm, nr, 0);
	}
	return r;
}

int tm_new_block(struct pd_tm *tm, enum block_kind kind, struct pd_block **b)
{
	return new_block(tm, kind, true, b);
}

int tm_shadow(struct pd_tm *tm, uint64_t nr, enum block_kind kind, struct pd_block **b, bool *shared)
{
	struct pd_block *old;
	int r = check_used(tm, nr);

	*shared = false;
	if (r)
		return r;
	if (tm->counts[nr] == 1 && !bits_test(&tm->committed, nr))
		return bm_write_lock(tm->bm, nr, kind, b);
	r = bm_read_lock(tm->bm, nr, kind, &old);
	if (r)
		return r;
	r = new_block(tm, kind, false, b);
	if (!r) {
		memcpy((*b)->data, old->data, PD_BLOCK_SIZE);
		*shared = tm->counts[nr] > 1;
	}
	bm_unlock(old);
	if (!r)
		set_count(tm, nr, tm->counts[nr] - 1);
	return r;
}

/* ---- Making, reading, growing ---- */

static void no_counts(struct pd_tm *tm)
{
	free(tm->counts);
	tm->counts = NULL;
	bits_exit(&tm->busy);
	bits_exit(&tm->committed);
	bits_exit(&tm->overflow);
}

/* Room for @nr blocks; what was known of the first ones is kept. */
static int make_room(struct pd_tm *tm, uint64_t nr)
{
	struct bits *b[] = { &tm->busy, &tm->committed, &tm->overflow }, n[3] = { { 0, NULL } };
	uint32_t *counts = calloc(nr ? nr : 1, sizeof(*counts));
	int r = counts ? 0 : -ENOMEM;

	for (unsigned i = 0; !r && i < ARRAY_SIZE(n); i++)
		r = bits_init(&n[i], nr);
	if (r) {
		for (unsigned i = 0; i < ARRAY_SIZE(n); i++)
			bits_exit(&n[i]);
		free(counts);
		return r;
	}
	if (tm->counts)
		memcpy(counts, tm->counts, tm->nr_blocks * sizeof(*counts));
	free(tm->counts);
	tm->counts = counts;
	for (unsigned i = 0; i < ARRAY_SIZE(n); i++) {
		for (uint64_t j = b[i]->words ? bits_next(b[i], 0) : tm->nr_blocks; j < tm->nr_blocks;
		     j = bits_next(b[i], j + 1))
			bits_set(&n[i], j);
		bits_exit(b[i]);
		*b[i] = n[i];
	}
	for (uint64_t m = tm->nr_blocks / ENTRIES_PER_BITMAP; m < ceil_div(nr, ENTRIES_PER_BITMAP); m++)
		tm->dirty[m] = true;
	tm->nr_blocks = nr;
	return 0;
}

int tm_grow(struct pd_tm *tm, uint64_t nr_blocks)
{
	uint64_t nr = min_t(uint64_t, nr_blocks, usable(tm));

	return nr > tm->nr_blocks ? make_room(tm, nr) : 0;
}

static int bad_map(struct pd_tm *tm, const char *why, uint64_t nr)
{
	pd_log(tm->log, PD_LOG_ERR, "%s: metadata space map: %s (%" PRIu64 ")", pd_io_name(tm->io), why,
	       nr);
	return -EUCLEAN;
}

static int read_bitmap(struct pd_tm *tm, unsigned i)
{
	uint64_t begin = (uint64_t)i * ENTRIES_PER_BITMAP;
	uint64_t nr = min_t(uint64_t, tm->nr_blocks - begin, ENTRIES_PER_BITMAP);
	struct pd_block *b;
	int r = bm_read_lock(tm->bm, tm->bitmap[i], KIND_BITMAP, &b);

	if (r)
		return r;
	for (uint32_t e = 0; e < nr; e++) {
		unsigned count = bitmap_get(b->data, e);

		if (!count)
			continue;
		tm->counts[begin + e] = count;
		bits_set(&tm->committed, begin + e);
		bits_set(&tm->busy, begin + e);
		tm->nr_allocated++;
	}
	bm_unlock(b);
	return 0;
}

static int see_overflow(void *ctx, const uint64_t *keys, const void *value)
{
	struct pd_tm *tm = ctx;
	le32 count;

	memcpy(&count, value, sizeof(count));
	if (keys[0] >= tm->nr_blocks || tm->counts[keys[0]] != 3 || le32_get(count) < 3)
		return bad_map(tm, "an overflow entry without its bitmap entry", keys[0]);
	tm->counts[keys[0]] = le32_get(count);
	return 0;
}

static int load(struct pd_tm *tm, const struct sm_root *root)
{
	uint64_t nr = le64_get(root->nr_blocks), nr_bitmaps = ceil_div(nr, ENTRIES_PER_BITMAP);
	const struct metadata_index *mi;
	struct pd_block *b;
	int r;

	if (!nr || nr > usable(tm))
		return bad_map(tm, "it is for more blocks than there are", nr);
	r = make_room(tm, nr);
	if (r)
		return r;
	tm->nr_allocated = 0;
	tm->begin = 1;
	tm->index_block = le64_get(root->bitmap_root);
	tm->overflow_root = le64_get(root->ref_count_root);
	tm->have_overflow = true;
	tm->last = *root;
	memset(tm->bitmap, 0, sizeof(tm->bitmap));
	memset(tm->index, 0, sizeof(tm->index));
	r = bm_read_lock(tm->bm, tm->index_block, KIND_INDEX, &b);
	if (r)
		return r;
	mi = (const struct metadata_index *)b->data;
	for (unsigned i = 0; i < nr_bitmaps; i++) {
		tm->index[i] = mi->index[i];
		tm->bitmap[i] = le64_get(mi->index[i].blocknr);
	}
	bm_unlock(b);
	for (unsigned i = 0; i < nr_bitmaps && !r; i++)
		r = read_bitmap(tm, i);
	if (!r)
		r = btree_walk(&tm->overflow_tree, tm->overflow_root, see_overflow, tm);
	memset(tm->dirty, 0, sizeof(tm->dirty));
	if (!r && !tm->counts[SB_LOCATION])
		r = bad_map(tm, "the superblock is counted as free", SB_LOCATION);
	return r;
}

static int make(struct pd_tm **out, struct pd_io *io, uint32_t cache_blocks, struct pd_log *log)
{
	struct pd_tm *tm = calloc(1, sizeof(*tm));
	int r;

	if (!tm)
		return -ENOMEM;
	tm->io = io;
	tm->log = log;
	tm->begin = 1;
	sm_of_metadata(&tm->sm, tm);
	tm->overflow_tree = (struct btree){ .tm = tm, .levels = 1, .value = { .size = 4 } };
	r = bm_create(&tm->bm, io, cache_blocks, log);
	if (r) {
		tm_destroy(tm);
		return r;
	}
	*out = tm;
	return 0;
}

int tm_create(struct pd_tm **out, struct pd_io *io, uint32_t cache_blocks, struct pd_log *log)
{
	struct pd_tm *tm;
	int r = make(&tm, io, cache_blocks, log);

	if (r)
		return r;
	r = usable(tm) ? make_room(tm, usable(tm)) : -ENOSPC;
	if (r) {
		tm_destroy(tm);
		return r;
	}
	set_count(tm, SB_LOCATION, 1);
	*out = tm;
	return 0;
}

int tm_open(struct pd_tm **out, struct pd_io *io, uint32_t cache_blocks, const struct sm_root *root,
	    struct pd_log *log)
{
	struct pd_tm *tm;
	int r = make(&tm, io, cache_blocks, log);

	if (r)
		return r;
	r = load(tm, root);
	if (r) {
		tm_destroy(tm);
		return r;
	}
	*out = tm;
	return 0;
}

void tm_destroy(struct pd_tm *tm)
{
	if (!tm)
		return;
	no_counts(tm);
	bm_destroy(tm->bm);
	free(tm);
}

/* Which commit the disk has must be known to go on from it. */
static int check_certain(struct pd_tm *tm)
{
	if (!bm_doubtful(tm->bm))
		return 0;
	pd_log(tm->log, PD_LOG_ERR, "%s: the superblock was written, but may not have arrived: close the metadata, "
	       "check it and open it again", pd_io_name(tm->io));
	return -EIO;
}

int tm_abort(struct pd_tm *tm)
{
	struct sm_root last = tm->last;
	bool none = !le64_get(last.nr_blocks);
	int r = check_certain(tm);

	if (r)
		return r;
	bm_forget_all(tm->bm);
	no_counts(tm);
	tm->nr_blocks = tm->nr_allocated = 0;
	tm->begin = 1;
	memset(tm->bitmap, 0, sizeof(tm->bitmap));
	tm->index_block = 0;
	tm->have_overflow = tm->full = false;
	if (!none)
		return load(tm, &last);
	r = make_room(tm, usable(tm));
	if (!r)
		set_count(tm, SB_LOCATION, 1);
	return r;
}

/* ---- Commit ---- */

/* Each entry of the overflow tree that may be wrong. Nodes of that tree have one parent, so this
 * makes no further ones. */
static int put_overflow(struct pd_tm *tm)
{
	int r = 0;

	if (!tm->have_overflow) {
		r = btree_empty(&tm->overflow_tree, &tm->overflow_root);
		if (r)
			return r;
		tm->have_overflow = true;
	}
	for (uint64_t nr = bits_next(&tm->overflow, 0); nr < tm->nr_blocks && !r;
	     nr = bits_next(&tm->overflow, nr + 1)) {
		le32 count = le32_put(tm->counts[nr]);

		if (tm->counts[nr] > 2)
			r = btree_insert(&tm->overflow_tree, &tm->overflow_root, &nr, &count, NULL);
		else
			r = btree_remove(&tm->overflow_tree, &tm->overflow_root, &nr);
		if (r == -ENODATA)
			r = 0;
		if (!r)
			bits_clear(&tm->overflow, nr);
	}
	return r;
}

static int put_bitmap(struct pd_tm *tm, unsigned i)
{
	uint64_t begin = (uint64_t)i * ENTRIES_PER_BITMAP;
	uint32_t nr = (uint32_t)min_t(uint64_t, tm->nr_blocks - begin, ENTRIES_PER_BITMAP);
	uint32_t used = 0, first_free = nr;
	struct pd_block *b;
	int r = bm_write_lock_new(tm->bm, tm->bitmap[i], KIND_BITMAP, true, &b);

	if (r)
		return r;
	for (uint32_t e = 0; e < nr; e++) {
		uint32_t count = tm->counts[begin + e];

		if (count) {
			bitmap_put(b->data, e, count < 3 ? count : 3);
			used++;
		} else if (first_free == nr) {
			first_free = e;
		}
	}
	bm_unlock(b);
	tm->index[i] = (struct index_entry){
		.blocknr = le64_put(tm->bitmap[i]),
		.nr_free = le32_put(ENTRIES_PER_BITMAP - used),
		.none_free_before = le32_put(first_free),
	};
	return 0;
}

static int move(struct pd_tm *tm, uint64_t *nr)
{
	uint64_t old = *nr;
	int r = tm_take(tm, nr);

	if (!r && old)
		r = tm_dec(tm, old);
	return r;
}

int tm_pre_commit(struct pd_tm *tm, struct sm_root *root)
{
	unsigned nr_bitmaps = (unsigned)ceil_div(tm->nr_blocks, ENTRIES_PER_BITMAP);
	bool moved[MAX_METADATA_BITMAPS] = { false }, again = true;
	struct pd_block *b;
	int r = check_certain(tm);

	if (!r && tm->full) {
		pd_log(tm->log, PD_LOG_ERR, "%s: no commit: a change found no free metadata block and is half done; abort, "
		       "and give it a larger device", pd_io_name(tm->io));
		r = -ENOSPC;
	}
	if (!r)
		r = put_overflow(tm);
	if (!r)
		r = move(tm, &tm->index_block);
	/* taking a block for one bitmap may change another, until all that change have moved */
	while (!r && again) {
		again = false;
		for (unsigned i = 0; i < nr_bitmaps && !r; i++) {
			if (!tm->dirty[i] || moved[i])
				continue;
			r = move(tm, &tm->bitmap[i]);
			moved[i] = again = true;
		}
	}
	for (unsigned i = 0; i < nr_bitmaps && !r; i++)
		if (moved[i])
			r = put_bitmap(tm, i);
	if (!r)
		r = bm_write_lock_new(tm->bm, tm->index_block, KIND_INDEX, true, &b);
	if (r)
		return r;
	memcpy(((struct metadata_index *)b->data)->index, tm->index, nr_bitmaps * sizeof(*tm->index));
	bm_unlock(b);
	*root = (struct sm_root){
		.nr_blocks = le64_put(tm->nr_blocks),
		.nr_allocated = le64_put(tm->nr_allocated),
		.bitmap_root = le64_put(tm->index_block),
		.ref_count_root = le64_put(tm->overflow_root),
	};
	tm->next = *root;
	return 0;
}

int tm_commit(struct pd_tm *tm, struct pd_block **sb)
{
	int r = bm_commit(tm->bm, sb);

	if (r)
		return r;
	tm->last = tm->next;
	tm->epoch++;
	for (unsigned i = 0; i < ceil_div(tm->nr_blocks, ENTRIES_PER_BITMAP); i++) {
		uint64_t begin = (uint64_t)i * ENTRIES_PER_BITMAP;
		uint64_t end = min_t(uint64_t, tm->nr_blocks, begin + ENTRIES_PER_BITMAP);

		if (!tm->dirty[i])
			continue;
		for (uint64_t w = begin / 64; w * 64 < end; w++) {	/* 16320 is 255 words */
			uint64_t word = 0;

			for (uint64_t nr = w * 64; nr < end && nr < w * 64 + 64; nr++)
				word |= (uint64_t)!!tm->counts[nr] << (nr % 64);
			tm->committed.words[w] = tm->busy.words[w] = word;
		}
		tm->dirty[i] = false;
	}
	return 0;
}
