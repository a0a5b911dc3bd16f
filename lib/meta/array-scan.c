/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include "meta/array-scan.h"

#define AHEAD_BLOCKS 64u

static void lost(struct scan *s, struct array_scan *a, enum pd_problem p, uint64_t begin,
		 uint64_t end, uint64_t block)
{
	struct pd_finding f = {
		.problem = p, .place = a->place, .snap = s->snap, .has_key = a->has_key,
		.key = a->key, .block = block, .has_range = true,
		.begin = begin * piece_max(a) * a->scale,
		.end = min_t(uint64_t, end * piece_max(a), a->nr_values) * a->scale,
	};

	if (f.end <= f.begin)
		return;
	damage_add(s->damage, &f);
	a->damaged = true;
	s->incomplete = true;
}

static void noted(struct scan *s, struct array_scan *a, enum pd_problem p, uint64_t got,
		  uint64_t want)
{
	struct pd_finding f = {
		.problem = p, .place = a->place, .snap = s->snap, .has_key = a->has_key,
		.key = a->key, .block = PD_NO_BLOCK, .has_numbers = true, .got = got, .want = want,
	};

	damage_add(s->damage, &f);
}

static uint64_t entry(const struct tree_walk *w, uint64_t i)
{
	le64 v;

	memcpy(&v, w->values + i * sizeof(v), sizeof(v));
	return le64_get(v);
}

int array_scan_index(struct scan *s, struct array_scan *a)
{
	struct tree_walk w = {
		.place = a->place, .value_size = sizeof(le64), .root = a->root,
		.has_key = a->has_key, .key = a->key, .no_refs = a->no_refs,
	};
	uint64_t want = 0, beyond = 0;
	int r;

	if (!a->scale)
		a->scale = 1;
	a->nr_pieces = ceil_div(a->nr_values, piece_max(a));
	/* Each piece is a block: what the owner claims may be far more than there can be. */
	if (a->nr_pieces > s->slots.nr_blocks) {
		noted(s, a, PD_PR_ARRAY_SHORT, s->slots.nr_blocks * piece_max(a), a->nr_values);
		a->nr_pieces = s->slots.nr_blocks;
		a->damaged = s->incomplete = true;
	}
	a->block = calloc(a->nr_pieces + 1, sizeof(*a->block));
	r = a->block ? scan_tree(s, &w) : -ENOMEM;
	if (w.damaged)
		a->damaged = true;
	for (uint64_t i = 0; !r && i < w.nr; i++) {
		uint64_t j = w.keys[i], b = entry(&w, i);

		if (b && b < s->nr_blocks && !a->no_refs && w.counts[i])
			scan_ref(s, b);
		if (j >= a->nr_pieces) {
			beyond = min_t(uint64_t, j, UINT64_MAX - 1) + 1;
			continue;
		}
		if (j > want && !w.damaged)
			lost(s, a, PD_PR_ARRAY_INDEX, want, j, PD_NO_BLOCK);
		want = j + 1;
		if (!b || b >= s->nr_blocks)
			lost(s, a, PD_PR_BLOCK_BEYOND, j, j + 1, b);
		else
			a->block[j] = b;
	}
	if (!r && want < a->nr_pieces && !w.damaged)
		lost(s, a, PD_PR_ARRAY_SHORT, want, a->nr_pieces, PD_NO_BLOCK);
	a->odd = beyond || (a->damaged && !w.damaged);
	if (!r && beyond)
		noted(s, a, PD_PR_ARRAY_LONG, min_t(uint64_t, beyond, UINT64_MAX / piece_max(a)) * piece_max(a),
		      a->nr_values);
	tree_walk_exit(&w);
	return r;
}

void array_scan_exit(struct array_scan *a)
{
	free(a->block);
	a->block = NULL;
	array_scan_forget(a);
}

struct reading {
	struct scan *s;
	struct array_scan *arrays;
	array_piece_fn fn;
	void *ctx;
};

/* Why the block cannot be this piece; looks at everything but what it means. */
static enum pd_problem piece_problem(const struct array_scan *a, uint64_t j, uint64_t block,
				     const void *data)
{
	enum block_kind kind = block_kind(data);
	const struct array_header *h = data;

	if (kind == KIND_NONE)
		return PD_PR_BLOCK_CSUM;
	if (block_nr(data, kind) != block)
		return PD_PR_BLOCK_MISPLACED;
	if (kind != KIND_ARRAY)
		return PD_PR_BLOCK_KIND;
	if (!array_block_check(data, a->value_size))
		return PD_PR_ARRAY_BLOCK;
	if (le32_get(h->nr_entries) < piece_nr(a, j))
		return PD_PR_ARRAY_NOT_FULL;
	if (a->exact && le32_get(h->nr_entries) > piece_nr(a, j))
		return PD_PR_ARRAY_BLOCK;
	return PD_PR_NONE;
}

static int piece(void *ctx, unsigned worker, uint64_t block, const void *data, int err)
{
	struct reading *r = ctx;
	struct slot *slot = &r->s->slots.slot[block];
	struct array_scan *a = &r->arrays[slot->children];
	uint64_t j = slot->first;
	enum pd_problem p = err ? PD_PR_BLOCK_IO : piece_problem(a, j, block, data);

	slot->state = p ? SLOT_CSUM : SLOT_OK;
	slot->kind = KIND_ARRAY;
	slot->nr = p ? 0 : (uint16_t)le32_get(((const struct array_header *)data)->nr_entries);
	slot->value_size = (uint16_t)p;		/* told afterwards, in order */
	return p || !r->fn ? 0 : r->fn(r->ctx, worker, a, j, array_value_ptr(data, 0), piece_nr(a, j));
}

int array_scan_read(struct scan *s, struct array_scan *arrays, unsigned nr, const char *what,
		    array_piece_fn fn, void *ctx)
{
	struct reading reading = { s, arrays, fn, ctx };
	struct bits set;
	int r = bits_init(&set, s->slots.nr_blocks);

	if (r)
		return r;
	for (unsigned i = 0; i < nr; i++)
		for (uint64_t j = 0; j < arrays[i].nr_pieces; j++) {
			uint64_t b = arrays[i].block[j];

			if (!b)
				continue;
			if (bits_test_and_set(&set, b)) {
				lost(s, &arrays[i], PD_PR_BLOCK_CYCLE, j, j + 1, b);
				arrays[i].block[j] = 0;
				continue;
			}
			s->slots.slot[b].children = i;
			s->slots.slot[b].first = j;
		}
	r = stream_blocks(s->io, &set, s->run, what, piece, &reading);
	for (unsigned i = 0; !r && i < nr; i++) {
		struct array_scan *a = &arrays[i];

		for (uint64_t j = 0; j < a->nr_pieces; j++) {
			const struct slot *slot = &s->slots.slot[a->block[j]];

			if (!a->block[j])
				continue;
			if (slot->state != SLOT_OK) {
				lost(s, a, (enum pd_problem)slot->value_size, j, j + 1, a->block[j]);
				a->block[j] = 0;
			} else if (slot->nr > piece_nr(a, j)) {
				noted(s, a, PD_PR_ARRAY_LONG, j * piece_max(a) + slot->nr, a->nr_values);
			}
		}
	}
	for (uint64_t b = bits_next(&set, 0); b < set.nr; b = bits_next(&set, b + 1))
		s->slots.slot[b].children = NO_CHILDREN;
	bits_exit(&set);
	return r;
}

/* Block @b, that of piece @j, with those behind it as long as the pieces follow each other on the device. NULL: it
 * cannot be read. */
static const void *read_ahead(struct scan *s, struct array_scan *a, uint64_t j, void *buf)
{
	uint64_t b = a->block[j];
	uint32_t n = 1;

	if (b - a->ahead_first < a->nr_ahead)
		return a->ahead + (size_t)(b - a->ahead_first) * PD_BLOCK_SIZE;
	while (n < AHEAD_BLOCKS && j + n < a->nr_pieces && a->block[j + n] == b + n)
		n++;
	if (n > 1 && !a->ahead)
		a->ahead = pd_io_buffer(AHEAD_BLOCKS);
	a->nr_ahead = 0;
	if (n == 1 || !a->ahead || pd_io_read(s->io, b, n, a->ahead))
		return pd_io_read(s->io, b, 1, buf) ? NULL : buf;
	a->ahead_first = b;
	a->nr_ahead = n;
	return a->ahead;
}

const void *array_scan_piece(struct scan *s, struct array_scan *a, uint64_t j, void *buf)
{
	uint64_t b = a->block[j];
	const void *data;
	enum pd_problem p;

	if (!b)
		return NULL;
	data = read_ahead(s, a, j, buf);
	p = data ? piece_problem(a, j, b, data) : PD_PR_BLOCK_IO;
	if (!p)
		return array_value_ptr(data, 0);
	lost(s, a, p, j, j + 1, b);
	a->block[j] = 0;
	return NULL;
}

void array_scan_forget(struct array_scan *a)
{
	free(a->ahead);
	a->ahead = NULL;
	a->nr_ahead = 0;
}

void array_scan_lose(struct scan *s, struct array_scan *a, enum pd_problem p, uint64_t j)
{
	lost(s, a, p, j, j + 1, a->block[j]);
	a->block[j] = 0;
}
