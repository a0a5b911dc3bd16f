/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "unit/unit.h"
#include "unit/world.h"
#include "persistent-data/disk.h"

#define ROOTS_AT 512u
#define MAX_VALUE 4072u

struct shape shape_of(uint64_t seed)
{
	static const uint32_t large[] = { 100, 129, 255, 500, 677, 1000, 1346 };
	struct shape s = { .nr_blocks = 12000 };

	rnd(&seed, 1);
	s.levels = 1 + (unsigned)rnd(&seed, 3);
	s.value_size = rnd(&seed, 5) ? 1 + (uint32_t)rnd(&seed, 64) : large[rnd(&seed, ARRAY_SIZE(large))];
	s.array_value_size = rnd(&seed, 5) ? 1 + (uint32_t)rnd(&seed, 64) : 4072 / (1 + (uint32_t)rnd(&seed, 9));
	s.cache = rnd(&seed, 2) ? 128 : 1024;
	s.high_keys = rnd(&seed, 2);
	return s;
}

/* ---- Values ---- */

static void put_value(uint8_t *v, uint32_t size, uint32_t id)
{
	for (uint32_t i = 0; i < size; i++)
		v[i] = (uint8_t)(i < 4 ? id >> 8 * i : id * 31 + i);
}

static uint32_t id_of(const uint8_t *v, uint32_t size)
{
	uint32_t id = 0;
	uint8_t want[MAX_VALUE];

	for (uint32_t i = 0; i < 4 && i < size; i++)
		id |= (uint32_t)v[i] << 8 * i;
	put_value(want, size, id);
	return memcmp(v, want, size) ? UINT32_MAX : id;
}

static uint32_t new_id(struct world *w, uint32_t size)
{
	return 1 + (uint32_t)rnd(&w->seed, size == 1 ? 255 : size < 4 ? 60000 : 1u << 30);
}

struct counted {
	struct world *w;
	uint32_t size;
};

static int each(const struct counted *c, const void *values, uint32_t nr,
		int (*fn)(struct pd_sm *sm, uint64_t begin, uint64_t end))
{
	int r = 0;

	for (uint32_t i = 0; i < nr && !r; i++) {
		uint64_t b = referred_by(id_of((const uint8_t *)values + (size_t)i * c->size, c->size));

		r = fn(c->w->referred, b, b + 1);
	}
	return r;
}

static int inc_tree(void *ctx, const void *values, uint32_t nr)
{
	return each(&(struct counted){ ctx, ((struct world *)ctx)->shape.value_size }, values, nr, pd_sm_inc);
}

static int dec_tree(void *ctx, const void *values, uint32_t nr)
{
	return each(&(struct counted){ ctx, ((struct world *)ctx)->shape.value_size }, values, nr, pd_sm_dec);
}

static int inc_array(void *ctx, const void *values, uint32_t nr)
{
	return each(&(struct counted){ ctx, ((struct world *)ctx)->shape.array_value_size }, values, nr, pd_sm_inc);
}

static int dec_array(void *ctx, const void *values, uint32_t nr)
{
	return each(&(struct counted){ ctx, ((struct world *)ctx)->shape.array_value_size }, values, nr, pd_sm_dec);
}

static struct pd_value_type tree_values(struct world *w)
{
	bool c = refers(w->shape.value_size);

	return (struct pd_value_type){ .size = sizeof(struct pd_value_type), .value_size = w->shape.value_size,
				       .ctx = w, .inc = c ? inc_tree : NULL, .dec = c ? dec_tree : NULL };
}

static struct pd_value_type array_values(struct world *w)
{
	bool c = refers(w->shape.array_value_size);

	return (struct pd_value_type){ .size = sizeof(struct pd_value_type),
				       .value_size = w->shape.array_value_size, .ctx = w,
				       .inc = c ? inc_array : NULL, .dec = c ? dec_array : NULL };
}

/* The caller's part: a value that will be put in one place more. */
static int count_new(struct world *w, uint32_t size, uint32_t id, uint32_t places)
{
	int r = 0;

	for (uint32_t i = 0; refers(size) && i < places && !r; i++)
		r = pd_sm_inc(w->referred, referred_by(id), referred_by(id) + 1);
	return r;
}

/* ---- Keys: the slot's number in parts, with gaps ---- */

static const uint32_t parts[4][3] = { { 0, 0, 0 }, { NR_SLOTS, 0, 0 }, { 8, NR_SLOTS / 8, 0 }, { 4, 8, NR_SLOTS / 32 } };

static uint64_t stretch(const struct world *w, uint64_t part, uint32_t nr)
{
	return w->shape.high_keys ? UINT64_MAX - 3 * (nr - 1 - part) : 3 * part + 1;
}

static void keys_of(const struct world *w, uint32_t slot, uint64_t *keys)
{
	for (unsigned l = w->shape.levels; l--; ) {
		uint32_t nr = parts[w->shape.levels][l];

		keys[l] = stretch(w, slot % nr, nr);
		slot /= nr;
	}
}

static uint32_t slot_of(const struct world *w, const uint64_t *keys)
{
	uint64_t slot = 0;

	for (unsigned l = 0; l < w->shape.levels; l++) {
		uint32_t nr = parts[w->shape.levels][l];

		slot = slot * nr + (w->shape.high_keys ? nr - 1 - (UINT64_MAX - keys[l]) / 3 : keys[l] / 3);
	}
	return (uint32_t)slot;
}

/* Slots that have the first @nr_keys keys of @slot in common. */
static void span_of(const struct world *w, uint32_t slot, unsigned nr_keys, uint32_t *begin, uint32_t *len)
{
	*len = 1;
	for (unsigned l = nr_keys; l < w->shape.levels; l++)
		*len *= parts[w->shape.levels][l];
	*begin = slot / *len * *len;
}

/* ---- Opening, committing ---- */

static void close_all(struct world *w)
{
	for (unsigned i = 0; i < NR_VERSIONS; i++) {
		pd_btree_close(w->tree[i]);
		w->tree[i] = NULL;
	}
	for (unsigned i = 0; i < NR_ARRAYS; i++) {
		pd_array_close(w->array[i]);
		w->array[i] = NULL;
	}
	pd_bitset_close(w->bits);
	pd_sm_close(w->referred);
	pd_sm_close(w->map);
	w->bits = NULL;
	w->referred = w->map = NULL;
}

void world_close(struct world *w)
{
	close_all(w);
	if (w->tm)
		CU_ASSERT_EQUAL(pd_bm_nr_held(pd_tm_bm(w->tm)), 0);
	pd_tm_destroy(w->tm);
	w->tm = NULL;
}

static int open_all(struct world *w, const struct world_roots *roots)
{
	struct pd_value_type t = tree_values(w), a = array_values(w);
	int r = pd_sm_open_disk(&w->referred, w->tm, &roots->referred);

	if (!r)
		r = pd_sm_open_disk(&w->map, w->tm, &roots->map);
	if (!r)
		r = pd_bitset_open(&w->bits, w->tm, roots->bits, roots->nr_bits);
	for (unsigned i = 0; i < NR_VERSIONS && !r; i++)
		if (roots->tree[i])
			r = pd_btree_open(&w->tree[i], w->tm, w->shape.levels, &t, roots->tree[i]);
	for (unsigned i = 0; i < NR_ARRAYS && !r; i++)
		if (roots->array[i])
			r = pd_array_open(&w->array[i], w->tm, &a, roots->array[i], roots->nr[i]);
	return r;
}

int world_read_roots(struct pd_io *io, struct world_roots *roots)
{
	uint8_t *sb = pd_io_buffer(1);
	int r = sb ? pd_io_read(io, SB_LOCATION, 1, sb) : -ENOMEM;

	if (!r && block_kind(sb) != KIND_ERA_SB)
		r = -EUCLEAN;
	if (!r)
		memcpy(roots, sb + ROOTS_AT, sizeof(*roots));
	free(sb);
	return r;
}

static int open_disk(struct world *w)
{
	struct world_roots roots;
	int r = world_read_roots(w->io, &roots);

	if (!r)
		r = pd_tm_open(&w->tm, w->io, w->shape.cache, &roots.metadata, NULL);
	return r ? r : open_all(w, &roots);
}

int world_open(struct world *w, struct pd_io *io, const struct shape *s)
{
	memset(w, 0, sizeof(*w));
	w->shape = *s;
	w->io = io;
	w->committed = true;
	return open_disk(w);
}

int world_reopen(struct world *w)
{
	world_close(w);
	return open_disk(w);
}

int world_commit(struct world *w)
{
	struct world_roots roots = { .nr_bits = pd_bitset_nr_bits(w->bits) };
	struct pd_block *sb = NULL;
	int r = pd_bitset_flush(w->bits, &roots.bits);

	if (!r)
		r = pd_sm_pre_commit(w->referred, &roots.referred);
	if (!r)
		r = pd_sm_pre_commit(w->map, &roots.map);
	if (!r)
		r = pd_tm_pre_commit(w->tm, &roots.metadata);
	if (!r)
		r = pd_bm_write_lock_zero(pd_tm_bm(w->tm), SB_LOCATION, PD_BLOCK_ERA_SB, &sb);
	if (r)
		return r;
	for (unsigned i = 0; i < NR_VERSIONS; i++)
		roots.tree[i] = w->tree[i] ? pd_btree_root(w->tree[i]) : 0;
	for (unsigned i = 0; i < NR_ARRAYS; i++) {
		roots.array[i] = w->array[i] ? pd_array_root(w->array[i]) : 0;
		roots.nr[i] = w->array[i] ? pd_array_nr(w->array[i]) : 0;
	}
	((struct era_superblock *)pd_block_data(sb))->magic = le64_put(ERA_MAGIC);
	memcpy((uint8_t *)pd_block_data(sb) + ROOTS_AT, &roots, sizeof(roots));
	r = pd_tm_commit(w->tm, &sb);
	if (!r) {
		w->committed = true;
		w->old = w->now;
	}
	return r;
}

int world_abort(struct world *w)
{
	struct world_roots roots;
	int r = pd_tm_abort(w->tm);

	if (!r)
		r = world_read_roots(w->io, &roots);
	close_all(w);
	w->now = w->old;
	return r ? r : open_all(w, &roots);
}

int world_make(struct world *w, struct pd_io *io, const struct shape *s, uint64_t seed)
{
	struct pd_value_type t, a;
	int r;

	memset(w, 0, sizeof(*w));
	w->shape = *s;
	w->io = io;
	w->seed = seed;
	t = tree_values(w);
	a = array_values(w);
	r = pd_tm_create(&w->tm, io, s->cache, NULL);
	if (!r)
		r = pd_sm_create_disk(&w->referred, w->tm, NR_REFERRED);
	if (!r)
		r = pd_sm_create_disk(&w->map, w->tm, 0);
	if (!r)
		r = pd_bitset_create(&w->bits, w->tm, 0, false);
	if (!r)
		r = pd_btree_create(&w->tree[0], w->tm, s->levels, &t);
	if (!r)
		r = pd_array_create(&w->array[0], w->tm, &a, 0, NULL, NULL);
	w->now.there[0] = w->now.array_there[0] = true;
	return r ? r : world_commit(w);
}

/* ---- Trees ---- */

static int insert(struct world *w, unsigned v, uint32_t slot)
{
	uint32_t size = w->shape.value_size, id = new_id(w, size);
	uint8_t value[MAX_VALUE] = { 0 };
	uint64_t keys[3];
	bool inserted;
	int r = w->now.id[v][slot] == id ? 0 : count_new(w, size, id, 1);

	put_value(value, size, id);
	keys_of(w, slot, keys);
	if (!r)
		r = pd_btree_insert(w->tree[v], keys, value, &inserted);
	if (r)
		return r;
	CU_ASSERT_EQUAL(inserted, !w->now.id[v][slot]);
	w->now.id[v][slot] = id;
	return 0;
}

static int remove_some(struct world *w, unsigned v, uint32_t slot, uint32_t len)
{
	uint32_t begin, span, end, had = 0;
	uint64_t keys[3], last[3], nr;
	int r;

	span_of(w, slot, w->shape.levels - 1, &begin, &span);
	end = min_t(uint32_t, slot + len, begin + span);
	keys_of(w, slot, keys);
	keys_of(w, end - 1, last);
	for (uint32_t i = slot; i < end; i++)
		had += !!w->now.id[v][i];
	if (len == 1) {
		r = pd_btree_remove(w->tree[v], keys);
		if (!r || r == -ENODATA)
			CU_ASSERT_EQUAL(r, had ? 0 : -ENODATA);
		r = r == -ENODATA ? 0 : r;
	} else {
		/* the end is one past the last key, which may be the highest there is */
		uint64_t upto = last[w->shape.levels - 1];

		if (upto == UINT64_MAX)
			had -= !!w->now.id[v][--end];
		r = pd_btree_remove_range(w->tree[v], keys, keys[w->shape.levels - 1],
					  upto == UINT64_MAX ? upto : upto + 1, &nr);
		if (!r)
			CU_ASSERT_EQUAL(nr, had);
	}
	for (uint32_t i = slot; i < end && !r; i++)
		w->now.id[v][i] = 0;
	return r;
}

static int look(struct world *w, unsigned v, uint32_t slot)
{
	uint32_t begin, span, i, size = w->shape.value_size;
	const uint32_t *id = w->now.id[v];
	uint64_t keys[3], key, *last = &keys[w->shape.levels - 1];
	uint8_t value[MAX_VALUE] = { 0 };
	int r;

	span_of(w, slot, w->shape.levels - 1, &begin, &span);
	keys_of(w, slot, keys);
	r = pd_btree_lookup(w->tree[v], keys, value);
	if (r && r != -ENODATA)
		return r;
	CU_ASSERT(r ? !id[slot] : id_of(value, size) == id[slot]);
	/* from a key, or from the gap above it */
	*last += *last < UINT64_MAX - 2 ? rnd(&w->seed, 2) : 0;
	r = pd_btree_lookup_low(w->tree[v], keys, &key, value);
	if (r && r != -ENODATA)
		return r;
	for (i = slot + 1; i > begin && !id[i - 1]; )
		i--;
	if (r || i == begin) {
		CU_ASSERT(r == -ENODATA && i == begin);
	} else {
		CU_ASSERT_EQUAL(id_of(value, size), id[i - 1]);
		keys_of(w, i - 1, keys);
		CU_ASSERT_EQUAL(key, *last);
		keys_of(w, slot, keys);
	}
	*last += 1 * (*last < UINT64_MAX - 2);
	r = pd_btree_lookup_next(w->tree[v], keys, &key, value);
	if (r && r != -ENODATA)
		return r;
	for (i = slot + (*last < UINT64_MAX - 2); i < begin + span && !id[i]; )
		i++;
	if (*last >= UINT64_MAX - 2)
		return 0;
	if (r || i == begin + span) {
		CU_ASSERT(r == -ENODATA && i == begin + span);
	} else {
		CU_ASSERT_EQUAL(id_of(value, size), id[i]);
		keys_of(w, i, keys);
		CU_ASSERT_EQUAL(key, *last);
	}
	return 0;
}

/* The cursor on a tree of one level: every entry, or from one entry to another far on. */
static int run_over(struct world *w, unsigned v)
{
	const uint32_t *id = w->now.id[v];
	struct pd_btree_cursor *c = NULL;
	uint32_t slot = 0;
	int r = pd_btree_cursor_open(&c, w->tree[v]);

	while (!r) {
		uint64_t step = 1 + (rnd(&w->seed, 4) ? 0 : rnd(&w->seed, 300)), key;
		uint8_t value[MAX_VALUE] = { 0 };

		while (slot < NR_SLOTS && !id[slot])
			slot++;
		CU_ASSERT_FATAL(slot < NR_SLOTS);
		CU_ASSERT_EQUAL(pd_btree_cursor_get(c, &key, value), 0);
		CU_ASSERT_EQUAL(slot_of(w, &key), slot);
		CU_ASSERT_EQUAL(id_of(value, w->shape.value_size), id[slot]);
		r = step == 1 ? pd_btree_cursor_next(c) : pd_btree_cursor_skip(c, step);
		for (slot++; --step; slot++)
			while (slot < NR_SLOTS && !id[slot])
				slot++;
	}
	pd_btree_cursor_close(c);
	if (r != -ENODATA)
		return r;
	while (slot < NR_SLOTS && !id[slot])
		slot++;
	CU_ASSERT(slot >= NR_SLOTS);
	return 0;
}

/* A version becomes one more place for the root of another; or one goes. */
static int share_version(struct world *w, unsigned from, unsigned to)
{
	struct pd_value_type t = tree_values(w);
	int r = 0;

	if (from == to)
		return 0;
	if (w->tree[to]) {
		r = pd_btree_delete(w->tree[to]);
		w->tree[to] = NULL;
		if (r)
			return r;
		w->now.there[to] = false;
		memset(w->now.id[to], 0, sizeof(w->now.id[to]));
		if (rnd(&w->seed, 2))
			return 0;
	}
	r = pd_tm_inc(w->tm, pd_btree_root(w->tree[from]));
	if (!r)
		r = pd_btree_open(&w->tree[to], w->tm, w->shape.levels, &t, pd_btree_root(w->tree[from]));
	if (r)
		return r;
	w->now.there[to] = true;
	memcpy(w->now.id[to], w->now.id[from], sizeof(w->now.id[to]));
	return 0;
}

/* A lower tree gets one more place, in this version or another; or it goes. */
static int share_tree(struct world *w, unsigned from, uint32_t slot, unsigned to, uint32_t other)
{
	unsigned nr_keys = 1 + (unsigned)rnd(&w->seed, max_t(unsigned, w->shape.levels - 1, 1));
	uint32_t begin, begin_to, span;
	uint64_t keys[3], root, there = 0;
	int r;

	if (w->shape.levels == 1)
		return pd_btree_lookup_tree(w->tree[from], keys, 1, &root) == -EINVAL ? 0 : -EPROTO;
	span_of(w, slot, nr_keys, &begin, &span);
	span_of(w, other, nr_keys, &begin_to, &span);
	if (!rnd(&w->seed, 3)) {
		keys_of(w, slot, keys);
		r = pd_btree_remove_tree(w->tree[from], keys, nr_keys);
		if (!r)
			memset(w->now.id[from] + begin, 0, span * sizeof(uint32_t));
		return r == -ENODATA ? 0 : r;
	}
	keys_of(w, slot, keys);
	r = pd_btree_lookup_tree(w->tree[from], keys, nr_keys, &root);
	if (r)
		return r == -ENODATA ? 0 : r;
	keys_of(w, other, keys);
	r = pd_btree_lookup_tree(w->tree[to], keys, nr_keys, &there);
	if ((r && r != -ENODATA) || (!r && there == root))
		return r;
	r = pd_tm_inc(w->tm, root);
	if (!r)
		r = pd_btree_insert_tree(w->tree[to], keys, nr_keys, root);
	if (!r)
		memmove(w->now.id[to] + begin_to, w->now.id[from] + begin, span * sizeof(uint32_t));
	return r;
}

static int change_tree(struct world *w)
{
	unsigned v = (unsigned)rnd(&w->seed, NR_VERSIONS), what = (unsigned)rnd(&w->seed, 1000);
	/* often close to each other: full nodes next to empty ones */
	uint32_t slot = (uint32_t)(rnd(&w->seed, 2) ? rnd(&w->seed, NR_SLOTS) : rnd(&w->seed, 600));

	while (!w->tree[v])
		v = (v + 1) % NR_VERSIONS;
	if (what < 550)
		return insert(w, v, slot);
	if (what < 780)
		return remove_some(w, v, slot, 1);
	if (what < 790)
		return remove_some(w, v, slot, 2 + (uint32_t)rnd(&w->seed, rnd(&w->seed, 4) ? 40 : 900));
	if (what < 990)
		return look(w, v, slot);
	if (what < 993)
		return w->shape.levels == 1 ? run_over(w, v) : 0;
	if (what < 996)
		return share_version(w, v, (unsigned)rnd(&w->seed, NR_VERSIONS));
	for (unsigned to = (unsigned)rnd(&w->seed, NR_VERSIONS); ; to = (to + 1) % NR_VERSIONS)
		if (w->tree[to])
			return share_tree(w, v, slot, to, (uint32_t)rnd(&w->seed, NR_SLOTS));
}

/* ---- Arrays ---- */

static int resize_array(struct world *w, unsigned v)
{
	uint32_t size = w->shape.array_value_size, id = new_id(w, size), nr = (uint32_t)rnd(&w->seed, MAX_ARRAY);
	uint32_t was = w->now.nr[v];
	uint8_t value[MAX_VALUE] = { 0 };
	int r = nr > was ? count_new(w, size, id, nr - was) : 0;

	put_value(value, size, id);
	if (!r)
		r = pd_array_resize(w->array[v], nr, value);
	if (r)
		return r;
	for (uint32_t i = was; i < nr; i++)
		w->now.array[v][i] = id;
	w->now.nr[v] = nr;
	return 0;
}

static int change_array(struct world *w)
{
	unsigned v = (unsigned)rnd(&w->seed, NR_ARRAYS), to = 1 - v, what = (unsigned)rnd(&w->seed, 1000);
	uint32_t size = w->shape.array_value_size, id = new_id(w, size), i = (uint32_t)rnd(&w->seed, MAX_ARRAY);
	struct pd_value_type t = array_values(w);
	uint8_t value[MAX_VALUE] = { 0 };
	int r;

	if (!w->array[v]) {
		v = 1 - v;
		to = 1 - to;
	}
	if (what < 400) {
		r = pd_array_get(w->array[v], i, value);
		if (!r || r == -ENODATA)
			CU_ASSERT(r ? i >= w->now.nr[v] : id_of(value, size) == w->now.array[v][i]);
		return r == -ENODATA ? 0 : r;
	}
	if (what < 985) {
		put_value(value, size, id);
		r = i < w->now.nr[v] && w->now.array[v][i] != id ? count_new(w, size, id, 1) : 0;
		if (!r)
			r = pd_array_set(w->array[v], i, value);
		if (!r || r == -ENODATA)
			CU_ASSERT_EQUAL(r, i < w->now.nr[v] ? 0 : -ENODATA);
		if (!r)
			w->now.array[v][i] = id;
		return r == -ENODATA ? 0 : r;
	}
	if (what < 995)
		return resize_array(w, v);
	if (w->array[to]) {
		r = pd_array_delete(w->array[to]);
		w->array[to] = NULL;
		w->now.array_there[to] = false;
		w->now.nr[to] = 0;
		return r;
	}
	r = pd_tm_inc(w->tm, pd_array_root(w->array[v]));
	if (!r)
		r = pd_array_open(&w->array[to], w->tm, &t, pd_array_root(w->array[v]), w->now.nr[v]);
	if (r)
		return r;
	w->now.array_there[to] = true;
	w->now.nr[to] = w->now.nr[v];
	memcpy(w->now.array[to], w->now.array[v], sizeof(w->now.array[to]));
	return 0;
}

/* ---- Bitset and space map ---- */

static int change_bits(struct world *w)
{
	uint64_t bit = rnd(&w->seed, MAX_BITS), begin, end;
	unsigned what = (unsigned)rnd(&w->seed, 1000);
	bool value = rnd(&w->seed, 2);
	int r;

	if (what < 990) {
		bit = rnd(&w->seed, w->now.nr_bits + 50ull);
		r = what < 300 ? pd_bitset_test(w->bits, bit, &value) : value ? pd_bitset_set(w->bits, bit) :
			pd_bitset_clear(w->bits, bit);
		if (r && r != -ENODATA)
			return r;
		CU_ASSERT_EQUAL(r, bit < w->now.nr_bits ? 0 : -ENODATA);
		if (!r && what < 300) {
			CU_ASSERT_EQUAL(value, w->now.bit[bit]);
		} else if (!r) {
			w->now.bit[bit] = value;
		}
		return 0;
	}
	if (what < 993) {
		r = pd_bitset_resize(w->bits, bit, value);
		for (uint64_t i = w->now.nr_bits; i < bit && !r; i++)
			w->now.bit[i] = value;
		if (!r)
			w->now.nr_bits = (uint32_t)bit;
		return r;
	}
	end = rnd(&w->seed, w->now.nr_bits + 1ull);
	bit = end;
	r = pd_bitset_next_run(w->bits, &begin, &end, &value);
	if (r)
		return r == -ENODATA && bit == w->now.nr_bits ? 0 : r == -ENODATA ? -EPROTO : r;
	CU_ASSERT(begin == bit && end > begin);
	for (; begin < end; begin++)
		CU_ASSERT_EQUAL(w->now.bit[begin], value);
	CU_ASSERT(end == w->now.nr_bits || w->now.bit[end] != value);
	return 0;
}

static uint32_t any_count(struct world *w)
{
	static const uint32_t some[] = { 0, 0, 1, 1, 2, 3, 4, 255, 1u << 31, UINT32_MAX - 1, UINT32_MAX };

	return some[rnd(&w->seed, ARRAY_SIZE(some))];
}

static int change_map(struct world *w)
{
	uint64_t nr = rnd(&w->seed, w->now.nr_map + 1ull), found;
	unsigned what = (unsigned)rnd(&w->seed, 1000);
	uint32_t *count = &w->now.count[nr], got;
	int r;

	if (what < 10) {
		nr = rnd(&w->seed, 30) ? w->now.nr_map + rnd(&w->seed, 40) : rnd(&w->seed, MAX_MAP);
		nr = nr < MAX_MAP ? nr : MAX_MAP;
		r = pd_sm_extend(w->map, nr);
		if (!r || r == -EINVAL)
			CU_ASSERT_EQUAL(r, nr < w->now.nr_map ? -EINVAL : 0);
		for (uint64_t i = w->now.nr_map; i < nr && !r; i++)
			w->now.count[i] = 0;
		if (!r)
			w->now.nr_map = (uint32_t)nr;
		return r == -EINVAL ? 0 : r;
	}
	if (what < 500) {
		r = pd_sm_new_block(w->map, &found);
		if (!r) {
			CU_ASSERT(!w->now.count[found] && (found >= w->old.nr_map || !w->old.count[found]));
			w->now.count[found] = 1;
		} else if (r == -ENOSPC) {
			/* if there is one, metadata is what is full: then nothing can be committed any more */
			for (uint32_t i = 0; i < w->now.nr_map; i++)
				if (!w->now.count[i] && (i >= w->old.nr_map || !w->old.count[i]))
					return world_commit(w);
			r = 0;
		}
		return r;
	}
	if (nr == w->now.nr_map)
		return pd_sm_inc(w->map, nr, nr + 1) == -EINVAL ? 0 : -EPROTO;
	if (what < 600) {
		r = pd_sm_count(w->map, nr, &got);
		if (!r)
			CU_ASSERT_EQUAL(got, *count);
		return r;
	}
	if (what < 700) {
		got = any_count(w);
		r = pd_sm_set_count(w->map, nr, got);
		*count = r ? *count : got;
		return r;
	}
	if (what < 800) {
		if (*count == UINT32_MAX)
			return pd_sm_inc(w->map, nr, nr + 1) == -EUCLEAN ? 0 : -EPROTO;
		r = pd_sm_inc(w->map, nr, nr + 1);
		*count += !r;
		return r;
	}
	if (!*count)
		return 0;
	r = pd_sm_dec(w->map, nr, nr + 1);
	*count -= !r;
	return r;
}

int world_change(struct world *w, unsigned nr)
{
	int r = 0;

	for (unsigned i = 0; i < nr && !r; i++, w->nr_ops++) {
		unsigned what = (unsigned)rnd(&w->seed, 10);

		r = what < 6 ? change_tree(w) : what < 8 ? change_array(w) : what < 9 ? change_bits(w) : change_map(w);
		if (r == -EPROTO)
			CU_FAIL("what must be refused was not");
	}
	return r;
}

/* ---- What is there ---- */

struct compare {
	const struct world *w;
	const uint32_t *want;
	uint32_t size;
	uint64_t seen;
	bool wrong;
};

static int see_entry(void *ctx, const uint64_t *keys, const void *value)
{
	struct compare *c = ctx;
	uint32_t slot = slot_of(c->w, keys);

	c->seen++;
	c->wrong |= slot >= NR_SLOTS || c->want[slot] != id_of(value, c->size);
	return 0;
}

static int see_element(void *ctx, uint64_t i, const void *value)
{
	struct compare *c = ctx;

	c->wrong |= i != c->seen++ || i >= MAX_ARRAY || c->want[i] != id_of(value, c->size);
	return 0;
}

static int same_bits(struct world *w, const struct model *m)
{
	struct pd_bitset_cursor *c = NULL;
	bool wrong = pd_bitset_nr_bits(w->bits) != m->nr_bits, flushed;
	uint64_t root, at = 0;
	int r = pd_bitset_flush(w->bits, &root);

	flushed = !r;
	if (!r)
		r = pd_bitset_cursor_open(&c, w->bits);
	while (!r) {
		uint64_t step = at % 97 ? 1 : 1 + at % 200;

		wrong |= at >= m->nr_bits || pd_bitset_cursor_get(c) != m->bit[at];
		r = step == 1 ? pd_bitset_cursor_next(c) : pd_bitset_cursor_skip(c, step);
		at += step;
	}
	pd_bitset_cursor_close(c);
	if (r != -ENODATA || !flushed)
		return r;
	return wrong || at < m->nr_bits;
}

int world_same(struct world *w, const struct model *m)
{
	bool wrong = false;
	int r = 0;

	for (unsigned v = 0; v < NR_VERSIONS && !r; v++) {
		struct compare c = { .w = w, .want = m->id[v], .size = w->shape.value_size };
		uint64_t want = 0;

		wrong |= !w->tree[v] != !m->there[v];
		if (!w->tree[v])
			continue;
		r = pd_btree_walk(w->tree[v], see_entry, &c);
		for (uint32_t i = 0; i < NR_SLOTS; i++)
			want += !!m->id[v][i];
		wrong |= c.wrong || c.seen != want;
	}
	for (unsigned v = 0; v < NR_ARRAYS && !r; v++) {
		struct compare c = { .w = w, .want = m->array[v], .size = w->shape.array_value_size };

		wrong |= !w->array[v] != !m->array_there[v];
		if (!w->array[v])
			continue;
		r = pd_array_walk(w->array[v], see_element, &c);
		wrong |= c.wrong || c.seen != m->nr[v] || pd_array_nr(w->array[v]) != m->nr[v];
	}
	if (!r)
		r = same_bits(w, m);
	wrong |= pd_sm_nr_blocks(w->map) != m->nr_map;
	for (uint64_t i = 0; i < m->nr_map && i < pd_sm_nr_blocks(w->map) && !r; i++) {
		uint32_t count;

		r = pd_sm_count(w->map, i, &count);
		wrong |= count != m->count[i];
	}
	return r ? r : wrong;
}
