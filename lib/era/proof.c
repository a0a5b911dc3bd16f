/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the counts prove about blocks that are sound, but not the last that was written there.
 *
 * A disk that lost a write leaves an older state of the block, with a right checksum. An older node leads to older
 * blocks, and what the right one led to is in use, but not reached. So: if a block of the array, or of a bitset, has
 * a count and nothing refers to it, and no lost node explains that, changes are missing. Where something is
 * reached without a count, an older block led there; where that does not explain all, nobody knows what is missing.
 *
 * Nothing can be proved of an older array block or block of a bitset in its own place: neither says what it is part
 * of, nor when it was written. Nor of a superblock with everything it leads to.
 */
#include <stdlib.h>
#include "era/metadata.h"

struct proof {
	struct era_view *v;
	struct metadata_sm sm;
	struct damage damage;		/* of the space map and the snapshot: not what is asked for */
	bool known;			/* all that is not of the live metadata is */
	uint64_t nr_eras, nr_words;	/* blocks of the two kinds that nothing reaches */
};

/* The metadata snapshot's part, which is in use as well. */
static int reach_snap(struct proof *p)
{
	struct era_view *v = p->v;
	struct tree_walk t = { .place = PD_AT_WRITESETS, .value_size = sizeof(struct era_writeset) };
	uint64_t block = le64_get(v->sb.metadata_snap);
	struct era_superblock sb;
	struct array_scan a;
	enum pd_problem why;
	int r;

	if (!block)
		return 0;
	r = era_sb_look(v->io, block, &sb, &why);
	if (r || why || block >= v->s.nr_blocks) {
		p->known = false;
		return r;
	}
	scan_ref(&v->s, block);
	a = era_array(&sb);
	r = array_scan_index(&v->s, &a);
	p->known &= !a.damaged;
	array_scan_exit(&a);
	t.root = le64_get(sb.writeset_tree_root);
	if (!r)
		r = scan_tree(&v->s, &t);
	p->known &= !t.damaged;
	for (uint64_t i = 0; !r && i < t.nr; i++) {
		struct era_writeset ws;

		memcpy(&ws, t.values + i * sizeof(ws), sizeof(ws));
		a = era_bitset(t.keys[i], le32_get(ws.nr_bits), le64_get(ws.root));
		a.no_refs = !t.counts[i];
		r = array_scan_index(&v->s, &a);
		p->known &= !a.damaged;
		array_scan_exit(&a);
	}
	tree_walk_exit(&t);
	return r;
}

/* As the bitmaps say; 3 is 3 or more. */
static unsigned count_of(const struct proof *p, uint64_t b)
{
	return b < p->sm.nr_blocks ? metadata_sm_get(&p->sm, b) : 0;
}

/* A space map that is an older state itself proves nothing: is it whole, and agreed with by what it says elsewhere? */
static bool is_believed(struct proof *p)
{
	const struct metadata_sm *sm = &p->sm;

	if (!sm->index_ok || !sm->whole || damage_any(&p->damage, PD_SEV_FATAL) ||
	    count_of(p, SB_LOCATION) != 1 || count_of(p, le64_get(sm->root.bitmap_root)) != 1)
		return false;
	for (unsigned i = 0; i < sm->nr_bitmaps; i++) {
		const struct index_entry *ie = &sm->index.index[i];
		uint64_t begin = (uint64_t)i * ENTRIES_PER_BITMAP;
		struct sm_group g;

		sm_group_look(sm->bitmaps[i], (unsigned)min_t(uint64_t, sm->nr_blocks - begin, ENTRIES_PER_BITMAP), &g);
		if ((le32_get(ie->nr_free) != g.nr_free && le32_get(ie->nr_free) != g.nr_clipped) ||
		    count_of(p, le64_get(ie->blocknr)) != 1)
			return false;
	}
	return true;
}

static void count_unreached(struct proof *p)
{
	struct era_view *v = p->v;
	const struct array_header *h = v->buf;

	for (uint64_t b = SB_LOCATION + 1; b < p->sm.nr_blocks; b++) {
		if (!count_of(p, b) || bits_test(&v->s.reached, b) || pd_io_read(v->io, b, 1, v->buf) ||
		    block_kind(v->buf) != KIND_ARRAY || block_nr(v->buf, KIND_ARRAY) != b)
			continue;
		p->nr_eras += le32_get(h->value_size) == sizeof(le32);
		p->nr_words += le32_get(h->value_size) == sizeof(le64);
	}
}

static uint64_t nr_lost(const struct array_scan *a)
{
	uint64_t n = 0;

	for (uint64_t j = 0; j < a->nr_pieces; j++)
		n += !a->block[j];
	return n;
}

static bool has_no_count(const struct proof *p, uint64_t b)
{
	unsigned count = count_of(p, b);

	return count < 3 && p->v->s.slots.slot[b].refs > count;
}

/*
 * All pieces, if one of them or the root stands in the place of another, or with @all: an older index may have the right
 * blocks in the wrong places.
 */
static void lose(struct proof *p, struct array_scan *a, bool all)
{
	bool older = !all && a->root < p->v->s.nr_blocks && has_no_count(p, a->root);

	for (uint64_t j = 0; j < a->nr_pieces && !all && !older; j++)
		older = a->block[j] && has_no_count(p, a->block[j]);
	for (uint64_t j = 0; j < a->nr_pieces && (all || older); j++)
		if (a->block[j])
			array_scan_lose(&p->v->s, a, older ? PD_PR_SM_LOST : a->odd ? PD_PR_ARRAY_INDEX : PD_PR_SM_LEAK, j);
}

static uint64_t nr_lost_words(const struct era_view *v)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v->nr_w; i++)
		for (unsigned k = 0; k < v->w[i].nr; k++)
			n += nr_lost(&v->w[i].a[k]);
	return n;
}

/* Lengths prove it alone: an index of another array. */
static void judge_lengths(struct proof *p, struct array_scan *a)
{
	a->exact = true;
	if (a->odd)
		lose(p, a, true);
}

static void judge(struct proof *p)
{
	struct era_view *v = p->v;
	struct pd_finding tree = { .problem = PD_PR_SM_LEAK, .place = PD_AT_WRITESETS, .has_range = true,
				   .block = PD_NO_BLOCK };

	bool missing;

	count_unreached(p);
	if (p->nr_eras > nr_lost(&v->array))
		lose(p, &v->array, true);
	/* a block named twice may be in its right place in either */
	missing = p->nr_words > nr_lost_words(v);
	for (size_t i = 0; missing && i < v->nr_w; i++)
		for (unsigned k = 0; k < v->w[i].nr; k++)
			lose(p, &v->w[i].a[k], false);
	if (p->nr_words > nr_lost_words(v) && !v->tree_lost) {
		damage_add(&v->damage, &tree);
		v->tree_lost = true;
	}
}

int era_view_prove(struct era_view *v)
{
	struct proof p = { .v = v, .known = true };
	struct sm_root root = sm_root_get(v->sb.metadata_space_map_root);
	bool incomplete = v->s.incomplete;
	int r;

	judge_lengths(&p, &v->array);
	for (size_t i = 0; i < v->nr_w; i++)
		for (unsigned k = 0; k < v->w[i].nr; k++)
			judge_lengths(&p, &v->w[i].a[k]);
	damage_init(&p.damage);
	v->s.damage = &p.damage;
	scan_ref(&v->s, SB_LOCATION);
	r = metadata_sm_load(&v->s, &p.sm, &root);
	v->s.incomplete = true;		/* read, do not compare: not everything is reached yet */
	if (!r)
		r = metadata_sm_check(&v->s, &p.sm);
	if (!r)
		r = reach_snap(&p);
	v->s.damage = &v->damage;
	v->s.incomplete = incomplete;
	if (!r && p.known && is_believed(&p))
		judge(&p);
	metadata_sm_exit(&p.sm);
	damage_exit(&p.damage);
	return r;
}
