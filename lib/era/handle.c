/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's dm-era metadata, for devices that are not active. Format: era 1 to 5. */
#include <errno.h>
#include <stdlib.h>
#include "era/metadata.h"
#include "persistent-data/bitset.h"
#include "persistent-data/metadata.h"
#include <pdata/era-metadata.h>

struct pd_era {
	struct metadata m;
	struct era_superblock sb;
	struct array array, words;	/* era array; any bitset's words, for giving one back */
	struct btree writesets;
	uint64_t array_root, tree_root;
	struct bitset live;
	bool is_live;
};

/* ---- Values: writesets ---- */

static uint64_t root_of(const void *values, uint32_t i)
{
	struct era_writeset w;

	memcpy(&w, (const uint8_t *)values + sizeof(w) * (size_t)i, sizeof(w));
	return le64_get(w.root);
}

static int inc_writesets(void *ctx, const void *values, uint32_t nr)
{
	struct pd_era *e = ctx;
	int r = 0;

	for (uint32_t i = 0; !r && i < nr; i++)
		r = tm_inc(e->m.tm, root_of(values, i));
	return r;
}

static int dec_writesets(void *ctx, const void *values, uint32_t nr)
{
	struct pd_era *e = ctx;
	int r = 0;

	for (uint32_t i = 0; !r && i < nr; i++)
		r = array_del(&e->words, root_of(values, i));
	return r;
}

/* ---- Opening and closing ---- */

static struct pd_era *new_era(void)
{
	struct pd_era *e = calloc(1, sizeof(*e));

	if (e)
		e->m = (struct metadata){
			.kind = KIND_ERA_SB, .len = sizeof(e->sb), .sb = &e->sb,
			.sm_root = offsetof(struct era_superblock, metadata_space_map_root),
		};
	return e;
}

static void describe(struct pd_era *e)
{
	e->array = (struct array){ .tm = e->m.tm, .value = { .size = sizeof(le32) } };
	e->words = (struct array){ .tm = e->m.tm, .value = { .size = sizeof(le64) } };
	e->writesets = (struct btree){ .tm = e->m.tm, .levels = 1, .value = {
		.size = sizeof(struct era_writeset), .ctx = e, .inc = inc_writesets, .dec = dec_writesets } };
}

static void use_superblock(struct pd_era *e)
{
	const struct era_writeset *w = &e->sb.current_writeset;

	e->array_root = le64_get(e->sb.era_array_root);
	e->tree_root = le64_get(e->sb.writeset_tree_root);
	e->is_live = le64_get(w->root);
	bitset_open(&e->live, e->m.tm, le64_get(w->root), le32_get(w->nr_bits));
}

int pd_era_create(struct pd_io *io, uint32_t block_size, uint32_t nr_blocks, struct pd_log *log)
{
	struct pd_era *e;
	int r;

	if (!block_size || block_size % 8 || nr_blocks >= ERA_MAX_BLOCKS)
		return -EINVAL;
	e = new_era();
	r = e ? metadata_create(&e->m, io, log) : -ENOMEM;
	if (!r) {
		describe(e);
		e->sb.version = le32_put(ERA_VERSION);
		e->sb.data_block_size = le32_put(block_size);
		e->sb.metadata_block_size = le32_put(PD_BLOCK_SIZE / 512);
		r = btree_empty(&e->writesets, &e->tree_root);
	}
	if (!r)
		r = array_empty(&e->array, &e->array_root);
	if (!r)
		r = pd_era_resize(e, nr_blocks);
	if (!r)
		r = pd_era_commit(e);
	pd_era_close(e);
	return r;
}

int pd_era_open(struct pd_era **era, struct pd_io *io, uint32_t memory_blocks, struct pd_log *log)
{
	struct pd_era *e = new_era();
	int r = e ? metadata_open(&e->m, io, memory_blocks, ERA_VERSION, "era_check", log) : -ENOMEM;

	if (r) {
		pd_era_close(e);
		return r;
	}
	describe(e);
	use_superblock(e);
	*era = e;
	return 0;
}

void pd_era_close(struct pd_era *e)
{
	if (!e)
		return;
	metadata_close(&e->m);
	free(e);
}

int pd_era_commit(struct pd_era *e)
{
	int r = e->is_live ? bitset_flush(&e->live) : 0;

	if (r)
		return r;
	e->sb.current_writeset.nr_bits = le32_put((uint32_t)(e->is_live ? e->live.nr_bits : 0));
	e->sb.current_writeset.root = le64_put(e->is_live ? e->live.root : 0);
	e->sb.writeset_tree_root = le64_put(e->tree_root);
	e->sb.era_array_root = le64_put(e->array_root);
	return metadata_commit(&e->m);
}

int pd_era_abort(struct pd_era *e)
{
	int r = metadata_abort(&e->m);

	if (!r)
		use_superblock(e);
	return r;
}

void pd_era_get_info(const struct pd_era *e, struct pd_era_info *info)
{
	*info = (struct pd_era_info){
		.block_size = le32_get(e->sb.data_block_size),
		.nr_blocks = le32_get(e->sb.nr_blocks),
		.current_era = le32_get(e->sb.current_era),
		.live = e->is_live,
		.metadata_snap = le64_get(e->sb.metadata_snap),
		.nr_metadata_blocks = tm_nr_blocks(e->m.tm),
		.nr_free_metadata_blocks = tm_nr_free(e->m.tm),
	};
}

/* ---- Eras ---- */

int pd_era_end(struct pd_era *e)
{
	uint64_t key = le32_get(e->sb.current_era);
	struct era_writeset w;
	int r;

	if (!e->is_live)
		return -ENODATA;
	r = bitset_flush(&e->live);
	if (r)
		return r;
	w = (struct era_writeset){ le32_put((uint32_t)e->live.nr_bits), le64_put(e->live.root) };
	e->is_live = false;
	return btree_insert(&e->writesets, &e->tree_root, &key, &w, NULL);
}

int pd_era_begin(struct pd_era *e)
{
	int r = pd_era_end(e);

	if (r && r != -ENODATA)
		return r;
	r = bitset_create(&e->live, e->m.tm, le32_get(e->sb.nr_blocks), false);
	if (r)
		return r;
	e->is_live = true;
	e->sb.current_era = le32_put(le32_get(e->sb.current_era) + 1);
	return 0;
}

int pd_era_mark(struct pd_era *e, uint32_t block)
{
	if (!e->is_live)
		return -ENODATA;
	return block < e->live.nr_bits ? bitset_set(&e->live, block) : -EINVAL;
}

int pd_era_next_writeset(struct pd_era *e, uint32_t from, uint32_t *number, uint32_t *nr_bits)
{
	uint64_t key = from, found;
	struct era_writeset w;
	int r = btree_lookup_next(&e->writesets, e->tree_root, &key, &found, &w);

	if (r)
		return r;
	*number = (uint32_t)found;
	*nr_bits = le32_get(w.nr_bits);
	return 0;
}

static int open_writeset(struct pd_era *e, uint32_t number, struct bitset *s)
{
	uint64_t key = number;
	struct era_writeset w;
	int r = btree_lookup(&e->writesets, e->tree_root, &key, &w);

	if (!r)
		bitset_open(s, e->m.tm, le64_get(w.root), le32_get(w.nr_bits));
	return r;
}

int pd_era_digest(struct pd_era *e)
{
	uint64_t begin, end = 0, nr = le32_get(e->sb.nr_blocks), key;
	uint32_t number, nr_bits;
	struct bitset s;
	bool written;
	le32 v;
	int r = pd_era_next_writeset(e, 0, &number, &nr_bits);

	if (!r)
		r = open_writeset(e, number, &s);
	if (r)
		return r;
	v = le32_put(number);
	while (!r && end < min_t(uint64_t, nr_bits, nr)) {
		r = bitset_next_run(&s, &begin, &end, &written);
		for (uint64_t b = begin; !r && written && b < min_t(uint64_t, end, nr); b++)
			r = array_set(&e->array, &e->array_root, b, &v);
	}
	key = number;
	return r ? r : btree_remove(&e->writesets, &e->tree_root, &key);
}

int pd_era_last_written(struct pd_era *e, uint32_t block, uint32_t *last)
{
	uint32_t number, nr_bits;
	struct bitset s;
	bool written;
	le32 v;
	int r = block < le32_get(e->sb.nr_blocks) ? array_get(&e->array, e->array_root, block, &v) : -EINVAL;

	if (r)
		return r;
	*last = le32_get(v);
	for (uint64_t from = 0; from <= UINT32_MAX; from = number + 1ull) {
		r = pd_era_next_writeset(e, (uint32_t)from, &number, &nr_bits);
		if (r == -ENODATA)
			break;
		if (!r && block < nr_bits)
			r = open_writeset(e, number, &s);
		if (!r && block < nr_bits)
			r = bitset_test(&s, block, &written);
		if (r)
			return r;
		if (block < nr_bits && written)
			*last = max_t(uint32_t, *last, number);
	}
	if (!e->is_live || block >= e->live.nr_bits)
		return 0;
	r = bitset_test(&e->live, block, &written);
	if (!r && written)
		*last = le32_get(e->sb.current_era);
	return r;
}

int pd_era_resize(struct pd_era *e, uint32_t nr)
{
	static const le32 never;
	int r;

	if (e->is_live)
		return -EBUSY;
	if (nr >= ERA_MAX_BLOCKS)
		return -EINVAL;
	r = array_resize(&e->array, &e->array_root, le32_get(e->sb.nr_blocks), nr, &never);
	if (!r)
		e->sb.nr_blocks = le32_put(nr);
	return r;
}

/* ---- Metadata snapshot ---- */

int pd_era_take_metadata_snap(struct pd_era *e)
{
	struct pd_block *b;
	int r = le64_get(e->sb.metadata_snap) ? -EBUSY : pd_era_begin(e);

	if (!r)
		r = pd_era_commit(e);
	if (!r)
		r = tm_inc(e->m.tm, e->tree_root);
	if (!r)
		r = tm_inc(e->m.tm, e->array_root);
	if (!r)
		r = tm_new_block(e->m.tm, KIND_ERA_SB, &b);
	if (r)
		return r;
	memcpy(b->data, &e->sb, sizeof(e->sb));
	e->sb.metadata_snap = le64_put(b->nr);
	bm_unlock(b);
	return 0;
}

int pd_era_drop_metadata_snap(struct pd_era *e)
{
	uint64_t held = le64_get(e->sb.metadata_snap);
	struct era_superblock copy;
	struct pd_block *b;
	int r;

	if (!held)
		return -ENODATA;
	r = bm_read_lock(tm_bm(e->m.tm), held, KIND_ERA_SB, &b);
	if (r)
		return r;
	memcpy(&copy, b->data, sizeof(copy));
	bm_unlock(b);
	e->sb.metadata_snap = le64_put(0);
	r = btree_del(&e->writesets, le64_get(copy.writeset_tree_root));
	if (!r)
		r = array_del(&e->array, le64_get(copy.era_array_root));
	return r ? r : tm_dec(e->m.tm, held);
}
