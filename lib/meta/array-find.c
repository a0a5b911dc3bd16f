/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "meta/array-find.h"

#define READ_BLOCKS 64u
#define MAX_COMPARED (1u << 20)		/* pieces: beyond, there is no telling */
#define MAX_PIECE (PD_BLOCK_SIZE / sizeof(uint64_t))

/* An array that may be the one, opened. */
struct candidate {
	struct damage damage;
	struct scan s;
	struct array_scan a;
	void *buf;
	uint64_t nr_read;		/* pieces */
};

/* The first found of its class, and what became of the others. */
struct class {
	struct candidate *first;
	unsigned nr;
	bool differ;
};

static const struct pd_run quiet = { .nr_threads = 1 };

static void candidate_close(struct candidate *c)
{
	if (!c)
		return;
	array_scan_exit(&c->a);
	if (c->s.slots.slot)
		scan_exit(&c->s);
	damage_exit(&c->damage);
	free(c->buf);
	free(c);
}

static int candidate_open(struct array_find *f, uint64_t root, struct candidate **to)
{
	struct candidate *c = calloc(1, sizeof(*c));
	int r;

	*to = c;
	if (!c)
		return -ENOMEM;
	c->a = f->like;
	c->a.root = root;
	c->a.no_refs = true;
	damage_init(&c->damage);
	c->buf = pd_io_buffer(1);
	r = c->buf ? scan_init(&c->s, f->io, &quiet, &c->damage, pd_io_nr_blocks(f->io)) : -ENOMEM;
	return r ? r : array_scan_index(&c->s, &c->a);
}

/* How values look when they are compared. 1: read; 0: lost; -1: not of such an array. */
static int piece_values(struct array_find *f, struct candidate *c, uint64_t j, uint64_t *to)
{
	const uint8_t *values = array_scan_piece(&c->s, &c->a, j, c->buf);

	for (uint32_t i = 0; values && i < piece_nr(&c->a, j); i++) {
		le64 w;

		memcpy(&w, values + sizeof(w) * i, sizeof(w));
		to[i] = le64_get(w);
		if (!f->value(f->ctx, j * piece_max(&c->a) + i, &to[i]))
			return -1;
	}
	return values != NULL;
}

static bool plausible(struct array_find *f, struct candidate *c)
{
	uint64_t values[MAX_PIECE];

	for (uint64_t j = 0; j < c->a.nr_pieces; j++) {
		int seen = piece_values(f, c, j, values);

		if (seen < 0)
			return false;
		c->nr_read += (uint64_t)seen;
	}
	return c->nr_read;
}

/* Do they say the same where both can be read? */
static bool same(struct array_find *f, struct candidate *a, struct candidate *b)
{
	uint64_t x[MAX_PIECE], y[MAX_PIECE];

	for (uint64_t j = 0; j < a->a.nr_pieces; j++)
		if (piece_values(f, a, j, x) == 1 && piece_values(f, b, j, y) == 1 &&
		    memcmp(x, y, piece_nr(&a->a, j) * sizeof(*x)))
			return false;
	return true;
}

/* Of those that agree the one that can be read best is kept. */
static void add(struct array_find *f, struct class *class, struct candidate *c)
{
	struct candidate *other = c;

	class->nr++;
	if (!class->first) {
		class->first = c;
		return;
	}
	if (!class->differ && !same(f, class->first, c))
		class->differ = true;
	if (c->nr_read > class->first->nr_read) {
		other = class->first;
		class->first = c;
	}
	candidate_close(other);
}

static int try_root(struct array_find *f, struct class classes[2], uint64_t root)
{
	struct candidate *c;
	int r = candidate_open(f, root, &c);

	if (!r && !c->a.damaged && plausible(f, c)) {
		bool whole = c->nr_read == c->a.nr_pieces;

		pd_log(f->run->log, PD_LOG_INFO, "%s %s begins at metadata block %" PRIu64,
		       whole ? "an intact" : "a damaged", f->what, root);
		add(f, &classes[!whole], c);
	} else {
		f->nr_broken++;
		candidate_close(c);
	}
	return r;
}

/* Could an index of the right length begin here? */
static bool like_root(const struct array_find *f, const void *data, uint64_t block)
{
	const struct node_header *n = data;
	uint64_t nr_pieces = ceil_div(f->like.nr_values, piece_max(&f->like));

	if (block_kind(data) != KIND_NODE || block_nr(data, KIND_NODE) != block ||
	    node_check(data, sizeof(le64)) || !le32_get(n->nr_entries) || node_key(n, 0))
		return false;
	return le32_get(n->flags) == NODE_LEAF ? le32_get(n->nr_entries) == nr_pieces :
		le32_get(n->nr_entries) < nr_pieces;
}

static int look_everywhere(struct array_find *f, struct class classes[2])
{
	uint64_t nr = min_t(uint64_t, pd_io_nr_blocks(f->io), MAX_METADATA_BLOCKS);
	uint8_t *buf = pd_io_buffer(READ_BLOCKS);
	int r = buf ? 0 : -ENOMEM;

	for (uint64_t b = 1; !r && b < nr; b += READ_BLOCKS) {
		uint32_t n = (uint32_t)min_t(uint64_t, READ_BLOCKS, nr - b);
		bool all = !pd_io_read(f->io, b, n, buf);

		for (uint32_t i = 0; i < n && !r; i++) {
			uint8_t *data = buf + (size_t)i * PD_BLOCK_SIZE;

			if (!all && pd_io_read(f->io, b + i, 1, data))
				continue;
			if (like_root(f, data, b + i))
				r = try_root(f, classes, b + i);
		}
	}
	free(buf);
	return r;
}

/* Does the array have a piece that holds all bits of this block, which is none of its own? @*nr: comparisons so far. */
static bool has_bits_of(struct array_find *f, struct candidate *c, const void *block, uint64_t *nr)
{
	uint32_t nr_values = le32_get(((const struct array_header *)block)->nr_entries);
	uint64_t values[MAX_PIECE];

	for (uint64_t j = 0; j < c->a.nr_pieces && *nr < MAX_COMPARED; j++) {
		bool within = piece_nr(&c->a, j) == nr_values;

		if (!within)
			continue;
		++*nr;
		within = piece_values(f, c, j, values) == 1;
		for (uint32_t i = 0; within && i < nr_values; i++) {
			uint64_t v;
			le64 w;

			memcpy(&w, array_value_ptr(block, i), sizeof(w));
			v = le64_get(w);
			within = f->value(f->ctx, j * piece_max(&c->a) + i, &v) && !(v & ~values[i]);
		}
		if (within)
			return true;
	}
	return false;
}

/* Blocks of arrays that are no part of this one: -EUCLEAN after a message if one could be part of a later one. */
static int look_at_pieces(struct array_find *f, struct candidate *c)
{
	uint64_t nr = min_t(uint64_t, pd_io_nr_blocks(f->io), MAX_METADATA_BLOCKS), compared = 0;
	void *block = pd_io_buffer(1);
	struct bits own;
	int r = block ? bits_init(&own, nr) : -ENOMEM;

	if (r) {
		free(block);
		return r;
	}
	for (uint64_t j = 0; j < c->a.nr_pieces; j++)
		bits_set(&own, c->a.block[j]);
	for (uint64_t b = 1; !r && b < nr; b++) {
		if (bits_test(&own, b) || pd_io_read(f->io, b, 1, block) || block_kind(block) != KIND_ARRAY ||
		    block_nr(block, KIND_ARRAY) != b || !array_block_check(block, f->like.value_size))
			continue;
		if (has_bits_of(f, c, block, &compared))
			continue;
		pd_log(f->run->log, PD_LOG_ERR, "the superblock is lost, and metadata block %" PRIu64 " may be part of a "
		       "later %s than the one at metadata block %" PRIu64, b, f->what, c->a.root);
		r = -EUCLEAN;
	}
	bits_exit(&own);
	free(block);
	return r;
}

int array_find(struct array_find *f)
{
	struct class classes[2] = { { .first = NULL } };	/* whole, damaged */
	const struct class *of = &classes[0];
	int r = look_everywhere(f, classes);

	if (!r && f->grows && of->nr && !of->differ && (classes[1].nr || f->nr_broken)) {
		pd_log(f->run->log, PD_LOG_ERR, "the superblock is lost, and beside an intact %s there is a damaged one, "
		       "which may be later", f->what);
		r = -EUCLEAN;
	} else if (!r && f->grows && of->nr && !of->differ) {
		r = look_at_pieces(f, of->first);
	}
	if (!r && of->nr && !of->differ) {
		f->root = of->first->a.root;
	} else if (!r) {
		pd_log(f->run->log, PD_LOG_ERR, of->nr ? "the superblock is lost, and %u copies of the %s that fit "
		       "these sizes differ: nothing tells which is the last" :
		       "the superblock is lost, and no (%u) intact %s fits these sizes", of->nr, f->what);
		r = -EUCLEAN;
	}
	candidate_close(classes[0].first);
	candidate_close(classes[1].first);
	return r;
}
