/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Array blocks of mappings whose index is lost. An array block does not say which piece of the array it is; but leaves of
 * the index do, and where but one place is left there is nothing to choose. Nothing stale comes in: only blocks count
 * that the metadata space map says are in use and nothing refers to.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "cache/dump.h"
#include "io/stream.h"

#define AMBIGUOUS UINT64_MAX

struct adoption {
	struct cache_view *v;
	struct scan s;
	struct damage damage;
	struct metadata_sm sm;
	uint64_t *claim;		/* of each piece: the block a leaf names, 0 if none does */
	struct bits claimed;		/* blocks */
	uint64_t *loose;		/* array blocks that no leaf names */
	size_t nr_loose;
	void *buf;
};

static bool is_orphan(const struct adoption *a, uint64_t block)
{
	return block && block < a->sm.nr_blocks && metadata_sm_get(&a->sm, block) && !a->s.slots.slot[block].refs;
}

static bool fits(struct adoption *a, uint64_t j, uint64_t block)
{
	const struct array_scan *m = &a->v->mappings;
	uint8_t *piece = (uint8_t *)a->buf + PD_BLOCK_SIZE;
	uint32_t nr_mapped;

	return j < m->nr_pieces && !m->block[j] && is_orphan(a, block) &&
	       (pd_io_read(a->s.io, block, 1, piece) || block_kind(piece) == KIND_NONE ||
		mappings_in_piece(piece, block, &nr_mapped) == piece_nr(m, j));
}

/* The leaf in buf names its pieces, if all of it fits. */
static void claim(struct adoption *a)
{
	const struct node_header *n = a->buf;
	uint32_t nr = le32_get(n->nr_entries);

	for (uint32_t i = 0; i < nr; i++)
		if (node_key(n, i) != node_key(n, 0) + i || !fits(a, node_key(n, i), node_value64(n, i)))
			return;
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t *c = &a->claim[node_key(n, i)];

		*c = *c ? AMBIGUOUS : node_value64(n, i);
		bits_set(&a->claimed, node_value64(n, i));
	}
}

static void look(struct adoption *a)
{
	uint32_t nr_mapped;

	for (uint64_t b = 1; b < a->sm.nr_blocks; b++) {
		const struct node_header *n = a->buf;

		if (!is_orphan(a, b) || pd_io_read(a->s.io, b, 1, a->buf))
			continue;
		if (block_kind(n) == KIND_NODE && block_nr(n, KIND_NODE) == b && !node_check(n, sizeof(le64)) &&
		    le32_get(n->flags) == NODE_LEAF)
			claim(a);
		else if (mappings_in_piece(a->buf, b, &nr_mapped) && a->nr_loose < a->v->mappings.nr_pieces)
			a->loose[a->nr_loose++] = b;
	}
}

/* The only loose block of @nr entries goes to the only piece of so many that is still lost. */
static void place_loose(struct adoption *a, uint32_t nr)
{
	struct array_scan *m = &a->v->mappings;
	uint64_t place = 0, block = 0;
	unsigned nr_places = 0, nr_blocks = 0;
	uint32_t nr_mapped;

	for (uint64_t j = 0; j < m->nr_pieces && nr_places < 2; j++)
		if (!m->block[j] && piece_nr(m, j) == nr) {
			place = j;
			nr_places++;
		}
	for (size_t i = 0; i < a->nr_loose && nr_blocks < 2; i++)
		if (!bits_test(&a->claimed, a->loose[i]) && !pd_io_read(a->s.io, a->loose[i], 1, a->buf) &&
		    mappings_in_piece(a->buf, a->loose[i], &nr_mapped) == nr) {
			block = a->loose[i];
			nr_blocks++;
		}
	if (nr_places == 1 && nr_blocks == 1)
		m->block[place] = block;
}

/* What is lost still, told anew. */
static void tell(struct adoption *a)
{
	struct cache_view *v = a->v;
	struct array_scan *m = &v->mappings;
	uint64_t nr = 0;

	damage_exit(&v->damage);
	damage_init(&v->damage);
	m->damaged = false;
	for (uint64_t j = 0; j < m->nr_pieces; j++) {
		struct pd_finding f = {
			.problem = PD_PR_ARRAY_INDEX, .place = m->place, .block = PD_NO_BLOCK, .has_range = true,
			.begin = j * piece_max(m), .end = j * piece_max(m) + piece_nr(m, j),
		};

		if (m->block[j])
			continue;
		damage_add(&v->damage, &f);
		m->damaged = true;
		nr++;
	}
	pd_log(v->run->log, PD_LOG_INFO, "the index of the mappings is damaged: all but %" PRIu64 " of %" PRIu64
	       " array blocks are found", nr, m->nr_pieces);
}

/* References to everything but what is lost; false if they prove nothing. */
static int count_references(struct adoption *a, bool *whole)
{
	const struct cache_superblock *sb = &a->v->sb;
	struct sm_root root = sm_root_get(sb->metadata_space_map_root);
	struct array_scan arrays[] = {
		cache_mapping_array(sb), cache_dirty_bitset(sb), cache_hint_array(sb), cache_discard_bitset(sb),
	};
	struct tree_walk overflow = {
		.place = PD_AT_METADATA_SM, .value_size = sizeof(le32), .root = le64_get(root.ref_count_root),
	};
	int r = 0;

	*whole = true;
	scan_ref(&a->s, SB_LOCATION);
	for (unsigned i = 0; !r && i < ARRAY_SIZE(arrays); i++) {
		if (!arrays[i].root)
			continue;
		r = array_scan_index(&a->s, &arrays[i]);
		*whole &= !i || !arrays[i].damaged;
		array_scan_exit(&arrays[i]);
	}
	if (!r)
		r = metadata_sm_load(&a->s, &a->sm, &root);
	*whole &= a->sm.whole;
	if (!r && *whole)
		r = scan_tree(&a->s, &overflow);
	*whole &= !overflow.damaged;
	tree_walk_exit(&overflow);
	return r;
}

static int adopt(struct adoption *a)
{
	struct array_scan *m = &a->v->mappings;
	bool whole;
	int r;

	a->claim = calloc(m->nr_pieces + 1, sizeof(*a->claim));
	a->loose = calloc(m->nr_pieces + 1, sizeof(*a->loose));
	a->buf = pd_io_buffer(2);
	r = a->claim && a->loose && a->buf ? bits_init(&a->claimed, a->s.slots.nr_blocks) : -ENOMEM;
	if (!r)
		r = count_references(a, &whole);
	if (r || !whole)
		return r;
	look(a);
	for (uint64_t j = 0; j < m->nr_pieces; j++)
		if (!m->block[j] && a->claim[j] && a->claim[j] != AMBIGUOUS)
			m->block[j] = a->claim[j];
	place_loose(a, piece_max(m));
	if (m->nr_pieces && piece_nr(m, m->nr_pieces - 1) != piece_max(m))
		place_loose(a, piece_nr(m, m->nr_pieces - 1));
	tell(a);
	return 0;
}

int cache_adopt_pieces(struct cache_view *v)
{
	static const struct pd_run quiet = { .nr_threads = 1 };
	struct adoption a = { .v = v };
	int r;

	if (!le64_get(sm_root_get(v->sb.metadata_space_map_root).nr_blocks))
		return 0;
	damage_init(&a.damage);
	r = scan_init(&a.s, v->io, &quiet, &a.damage, pd_io_nr_blocks(v->io));
	if (!r)
		r = adopt(&a);
	metadata_sm_exit(&a.sm);
	if (a.s.slots.slot)
		scan_exit(&a.s);
	damage_exit(&a.damage);
	bits_exit(&a.claimed);
	free(a.claim);
	free(a.loose);
	free(a.buf);
	return r;
}
