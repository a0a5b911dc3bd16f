/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Space maps against the references found: S1 to S10 of the format.
 *
 * A count of 3 or more stands in the overflow tree, which is read first: each of its entries is
 * compared, and a mark is left in place of the count. Then the bitmaps: an entry of 3 wants a mark,
 * any other wants the count. So nothing is kept beyond the counts themselves.
 */
#include <errno.h>
#include <stdlib.h>
#include "meta/scan.h"

#define MAX_KEPT 4096u

/*
 * Counts that differ, from several threads. Of each sort those of the lowest blocks are kept, whatever
 * the order they came in.
 */
struct differ {
	pthread_mutex_t lock;
	struct differing {
		uint64_t block;
		uint64_t got, want;
		enum { ODD, LOST, LEAK } sort;	/* ODD: tree and bitmap disagree */
	} *d;
	size_t nr;
	bool full;			/* the first half of d is sorted */
	uint64_t total[LEAK + 1];
	struct sm_leaks *leaks;		/* all of them, or NULL */
	bool failed;
};

static int by_block(const void *va, const void *vb)
{
	const struct differing *a = va, *b = vb;

	if (a->sort != b->sort)
		return a->sort < b->sort ? -1 : 1;
	return a->block < b->block ? -1 : a->block > b->block;
}

static int leak_by_block(const void *a, const void *b)
{
	uint64_t x = ((const struct sm_leak *)a)->block, y = ((const struct sm_leak *)b)->block;

	return x < y ? -1 : x > y;
}

static int differ_init(struct differ *d, struct sm_leaks *leaks)
{
	*d = (struct differ){ .leaks = leaks };
	pthread_mutex_init(&d->lock, NULL);
	d->d = malloc(MAX_KEPT * sizeof(*d->d));
	return d->d ? 0 : -ENOMEM;
}

static void keep_leak(struct differ *d, uint64_t block, uint32_t got, uint32_t want)
{
	struct sm_leaks *l = d->leaks;

	if (l->nr == l->max) {
		size_t max = l->max ? 2 * l->max : 64;
		struct sm_leak *more = realloc(l->l, max * sizeof(*more));

		if (!more) {
			d->failed = true;
			return;
		}
		l->l = more;
		l->max = max;
	}
	l->l[l->nr++] = (struct sm_leak){ block, got, want };
}

static void differ_add(struct differ *d, uint64_t block, uint64_t got, uint64_t want, bool odd)
{
	struct differing x = { block, got, want, odd ? ODD : got < want ? LOST : LEAK };

	pthread_mutex_lock(&d->lock);
	d->total[x.sort]++;
	if (x.sort == LEAK && d->leaks)
		keep_leak(d, block, (uint32_t)got, (uint32_t)want);
	if (d->nr == MAX_KEPT) {
		qsort(d->d, d->nr, sizeof(*d->d), by_block);
		d->nr = MAX_KEPT / 2;
		d->full = true;
	}
	/* Once full, what comes behind all that are kept is counted alone. */
	if (!d->full || by_block(&x, &d->d[MAX_KEPT / 2 - 1]) < 0)
		d->d[d->nr++] = x;
	pthread_mutex_unlock(&d->lock);
}

static void add(struct scan *s, enum pd_place place, enum pd_problem p, uint64_t begin,
		uint64_t end, uint64_t got, uint64_t want)
{
	struct pd_finding f = {
		.problem = p, .place = place, .snap = s->snap, .has_range = true, .begin = begin,
		.end = end, .block = PD_NO_BLOCK, .has_numbers = true, .got = got, .want = want,
	};

	damage_add(s->damage, &f);
}

static void add_number(struct scan *s, enum pd_place place, enum pd_problem p, uint64_t block,
		       uint64_t got, uint64_t want)
{
	struct pd_finding f = {
		.problem = p, .place = place, .block = block, .has_numbers = true, .got = got,
		.want = want,
	};

	damage_add(s->damage, &f);
}

/* Hands what differs to the findings, in order of blocks. 0 or -ENOMEM. */
static int differ_exit(struct differ *d, struct scan *s, enum pd_place place)
{
	static const enum pd_problem of[] = { PD_PR_SM_OVERFLOW, PD_PR_SM_LOST, PD_PR_SM_LEAK };
	bool failed = d->failed;

	if (d->d) {
		qsort(d->d, d->nr, sizeof(*d->d), by_block);
		for (size_t i = 0; i < d->nr && i < MAX_KEPT / 2; i++) {
			const struct differing *x = &d->d[i];

			d->total[x->sort]--;
			add(s, place, of[x->sort], x->block, x->block + 1, x->got, x->want);
		}
		for (unsigned i = 0; i <= LEAK; i++)
			damage_count(s->damage, of[i], d->total[i]);
	}
	if (d->leaks && d->leaks->nr)
		qsort(d->leaks->l, d->leaks->nr, sizeof(*d->leaks->l), leak_by_block);
	free(d->d);
	pthread_mutex_destroy(&d->lock);
	return failed ? -ENOMEM : 0;
}

static void lost_bitmap(struct scan *s, enum pd_place place, enum pd_problem p, uint64_t group,
			uint64_t nr_blocks, uint64_t block)
{
	struct pd_finding f = {
		.problem = p, .place = place, .has_range = true, .block = block,
		.begin = group * ENTRIES_PER_BITMAP,
		.end = min_t(uint64_t, nr_blocks, (group + 1) * ENTRIES_PER_BITMAP),
	};

	damage_add(s->damage, &f);
}

/* ---- one bitmap against the counts of its blocks ---- */

static uint64_t bitmap_word(const void *bitmap, unsigned w)
{
	le64 v;

	memcpy(&v, (const uint8_t *)bitmap + sizeof(struct bitmap_header) + 8 * w, sizeof(v));
	return le64_get(v);
}

/* Bits set among the even ones; without the processor's own instruction a call would be dearer. */
static unsigned nr_free_of(uint64_t even)
{
	even = (even & 0x3333333333333333ull) + (even >> 2 & 0x3333333333333333ull);
	even = (even + (even >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return (unsigned)(even * 0x0101010101010101ull >> 56);
}

void sm_group_look(const void *bitmap, unsigned nr_valid, struct sm_group *g)
{
	g->nr_valid = (uint16_t)nr_valid;
	g->first_free = (uint16_t)nr_valid;
	g->nr_free = g->nr_clipped = 0;
	for (unsigned w = 0; w < ENTRIES_PER_BITMAP / 32; w++) {
		uint64_t v = bitmap_word(bitmap, w);
		uint64_t zero = ~(v | v >> 1) & 0x5555555555555555ull;
		unsigned base = w * 32, nr = nr_free_of(zero);

		g->nr_free = (uint16_t)(g->nr_free + nr);
		if (base >= nr_valid)
			continue;
		if (nr_valid - base < 32) {
			zero &= (1ull << 2 * (nr_valid - base)) - 1;
			nr = nr_free_of(zero);
		}
		g->nr_clipped = (uint16_t)(g->nr_clipped + nr);
		if (zero && g->first_free == nr_valid)
			g->first_free = (uint16_t)(base + (unsigned)__builtin_ctzll(zero) / 2);
	}
}

static bool entry_differs(const struct counts *c, uint64_t block, unsigned got)
{
	return got == 3 ? !counts_marked(c, block) :
			  counts_marked(c, block) || counts_get(c, block) != got;
}

/* Does anything differ? */
static bool group_differs(const void *bitmap, const struct counts *c, uint64_t begin,
			  unsigned nr_valid)
{
	for (unsigned e = 0; e < nr_valid; e += 32) {
		unsigned nr = min_t(unsigned, nr_valid - e, 32);
		uint64_t marks, entries = counts_entries(c, begin + e, &marks);

		/* Marked are those whose count the overflow tree has, and no others may be 3. */
		if (nr == 32 && entries == bitmap_word(bitmap, e / 32) &&
		    (entries & entries >> 1 & 0x5555555555555555ull) == marks)
			continue;
		for (unsigned k = e; k < e + nr; k++)
			if (entry_differs(c, begin + k, bitmap_get(bitmap, k)))
				return true;
	}
	return false;
}

static void check_index_entry(struct scan *s, enum pd_place place, const struct index_entry *ie,
			      const struct sm_group *g)
{
	uint32_t nr_free = le32_get(ie->nr_free), before = le32_get(ie->none_free_before);
	uint64_t block = le64_get(ie->blocknr);

	if (nr_free != g->nr_free)
		add_number(s, place, PD_PR_SM_NR_FREE, block, nr_free, g->nr_free);
	if (before > g->first_free)
		add_number(s, place, PD_PR_SM_NONE_FREE_BEFORE, block, before, g->first_free);
}

/* ---- metadata space map ---- */

struct loading {
	struct scan *s;
	struct metadata_sm *sm;
};

static int load_bitmap(void *ctx, unsigned worker, uint64_t block, const struct slot *slot,
		       const void *data)
{
	struct loading *l = ctx;
	uint64_t i = slot->first;

	(void)worker;
	(void)block;
	if (slot->state == SLOT_OK && slot->kind == KIND_BITMAP) {
		memcpy(l->sm->bitmaps[i], data, PD_BLOCK_SIZE);
		l->sm->bitmap_ok[i] = true;
	}
	return 0;
}

static int load_index(struct scan *s, struct metadata_sm *sm)
{
	uint64_t block = le64_get(sm->root.bitmap_root);
	enum pd_problem p = PD_PR_BLOCK_BEYOND;
	struct bits set;
	int r = bits_init(&set, s->slots.nr_blocks);

	if (r)
		return r;
	if (block && block < s->nr_blocks) {
		scan_ref(s, block);
		bits_set(&set, block);
		r = slots_read(&s->slots, &set, NULL, NULL, NULL, NULL);
		p = slot_problem(&s->slots.slot[block], KIND_INDEX);
		if (!r && !p && pd_io_read(s->io, block, 1, s->slots.buf))
			p = PD_PR_BLOCK_IO;
		if (!p)
			memcpy(&sm->index, s->slots.buf, sizeof(sm->index));
	}
	sm->index_ok = !p;
	if (p)
		lost_bitmap(s, PD_AT_METADATA_SM, p, 0, sm->nr_blocks, block);
	bits_exit(&set);
	return r;
}

int metadata_sm_load(struct scan *s, struct metadata_sm *sm, const struct sm_root *root)
{
	uint64_t nr = le64_get(root->nr_blocks);
	struct loading l = { s, sm };
	bool here[MAX_METADATA_BITMAPS] = { false };
	struct bits set;
	int r;

	memset(sm, 0, sizeof(*sm));
	sm->root = *root;
	if (!nr || nr > pd_io_nr_blocks(s->io))
		add_number(s, PD_AT_METADATA_SM, PD_PR_SM_ROOT, PD_NO_BLOCK, nr,
			   pd_io_nr_blocks(s->io));
	sm->nr_blocks = min_t(uint64_t, nr, s->slots.nr_blocks);
	sm->nr_bitmaps = (unsigned)ceil_div(sm->nr_blocks, ENTRIES_PER_BITMAP);
	sm->bitmaps = calloc(sm->nr_bitmaps + 1, PD_BLOCK_SIZE);
	if (!sm->bitmaps)
		return -ENOMEM;
	r = load_index(s, sm);
	if (r || !sm->index_ok)
		return r;

	r = bits_init(&set, s->slots.nr_blocks);
	if (r)
		return r;
	sm->whole = true;
	for (unsigned i = 0; i < sm->nr_bitmaps; i++) {
		uint64_t b = le64_get(sm->index.index[i].blocknr);

		if (b && b < s->nr_blocks) {
			scan_ref(s, b);
			if (!bits_test_and_set(&set, b) &&
			    s->slots.slot[b].state == SLOT_UNREAD) {
				s->slots.slot[b].first = i;
				here[i] = true;
				continue;
			}
		}
		sm->whole = false;
		lost_bitmap(s, PD_AT_METADATA_SM, b && b < s->nr_blocks ? PD_PR_SM_BITMAP :
			    PD_PR_BLOCK_BEYOND, i, sm->nr_blocks, b);
	}
	r = slots_read(&s->slots, &set, s->run, NULL, load_bitmap, &l);
	for (unsigned i = 0; !r && i < sm->nr_bitmaps; i++) {
		uint64_t b = le64_get(sm->index.index[i].blocknr);

		if (!here[i] || sm->bitmap_ok[i])
			continue;
		lost_bitmap(s, PD_AT_METADATA_SM, slot_problem(&s->slots.slot[b], KIND_BITMAP), i,
			    sm->nr_blocks, b);
		sm->whole = false;
	}
	bits_exit(&set);
	return r;
}

void metadata_sm_exit(struct metadata_sm *sm)
{
	free(sm->bitmaps);
	sm->bitmaps = NULL;
	bits_exit(&sm->overflow);
	free(sm->leaks.l);
	sm->leaks.l = NULL;
}

struct overflow {
	struct scan *s;
	struct differ differ;
	uint64_t nr_blocks;
	struct counts *counts;		/* data */
	struct metadata_sm *sm;		/* metadata */
};

static uint32_t overflow_count(const struct node_header *n, uint32_t i)
{
	le32 v;

	memcpy(&v, node_value_ptr(n, i), sizeof(v));
	return le32_get(v);
}

static int metadata_overflow_leaf(void *ctx, const struct node_header *n, uint64_t block)
{
	struct overflow *o = ctx;

	(void)block;
	for (uint32_t i = 0; i < le32_get(n->nr_entries); i++) {
		uint64_t b = node_key(n, i);
		uint32_t got = overflow_count(n, i);
		const struct slot *slot;

		if (b >= o->nr_blocks || got < 3) {
			differ_add(&o->differ, b, got, 3, true);
			continue;
		}
		slot = &o->s->slots.slot[b];
		bits_test_and_set_atomic(&o->sm->overflow, b);
		if (o->sm->bitmap_ok[b / ENTRIES_PER_BITMAP] && metadata_sm_get(o->sm, b) != 3)
			differ_add(&o->differ, b, got, metadata_sm_get(o->sm, b), true);
		else if (!o->s->incomplete && got != slot->refs)
			differ_add(&o->differ, b, got, slot->refs, false);
	}
	return 0;
}

int metadata_sm_check(struct scan *s, struct metadata_sm *sm)
{
	struct overflow o = { .s = s, .nr_blocks = sm->nr_blocks, .sm = sm };
	struct tree_walk w = {
		.place = PD_AT_METADATA_SM, .value_size = 4,
		.root = le64_get(sm->root.ref_count_root),
		.leaf = metadata_overflow_leaf, .ctx = &o,
	};
	uint64_t nr_allocated = 0;
	int r = differ_init(&o.differ, s->keep_leaks ? &sm->leaks : NULL), failed;

	if (!r)
		r = bits_init(&sm->overflow, sm->nr_blocks);
	if (!r)
		r = scan_tree(s, &w);
	for (unsigned i = 0; !r && i < sm->nr_bitmaps; i++) {
		uint64_t begin = (uint64_t)i * ENTRIES_PER_BITMAP;
		unsigned nr = (unsigned)min_t(uint64_t, sm->nr_blocks - begin, ENTRIES_PER_BITMAP);
		struct sm_group g;

		if (!sm->bitmap_ok[i])
			continue;
		sm_group_look(sm->bitmaps[i], nr, &g);
		nr_allocated += nr - g.nr_clipped;
		check_index_entry(s, PD_AT_METADATA_SM, &sm->index.index[i], &g);
		if (s->incomplete)
			continue;
		for (unsigned e = 0; e < nr; e++) {
			unsigned got = bitmap_get(sm->bitmaps[i], e);
			const struct slot *slot;

			if (!got && !bits_test(&s->reached, begin + e))
				continue;
			slot = &s->slots.slot[begin + e];
			if (got == 3) {
				if (!bits_test(&sm->overflow, begin + e))
					differ_add(&o.differ, begin + e, got, slot->refs, true);
			} else if (got != slot->refs && !bits_test(&sm->overflow, begin + e)) {
				differ_add(&o.differ, begin + e, got, slot->refs, false);
			}
		}
	}
	if (!r && sm->whole && nr_allocated != le64_get(sm->root.nr_allocated))
		add_number(s, PD_AT_METADATA_SM, PD_PR_SM_NR_ALLOCATED, PD_NO_BLOCK,
			   le64_get(sm->root.nr_allocated), nr_allocated);
	failed = differ_exit(&o.differ, s, PD_AT_METADATA_SM);
	return r ? r : failed;
}

/* ---- data space map ---- */

static const struct index_entry *data_entry(const struct data_sm *sm, uint64_t i)
{
	return (const struct index_entry *)sm->index.values + i;
}

/* The index must have keys 0 to k - 1; each gap is a finding. */
static void check_index_keys(struct scan *s, struct data_sm *sm)
{
	uint64_t want = 0, nr_groups = ceil_div(sm->nr_blocks, ENTRIES_PER_BITMAP);

	for (uint64_t i = 0; i <= sm->index.nr; i++) {
		uint64_t key = i < sm->index.nr ? sm->index.keys[i] : nr_groups;

		if (key > want && want < nr_groups && !sm->index.damaged) {
			struct pd_finding f = {
				.problem = PD_PR_SM_INDEX, .place = PD_AT_DATA_SM, .has_range = true,
				.begin = want * ENTRIES_PER_BITMAP, .block = PD_NO_BLOCK,
				.end = min_t(uint64_t, min_t(uint64_t, key, nr_groups) *
					      ENTRIES_PER_BITMAP, sm->nr_blocks),
			};

			damage_add(s->damage, &f);
			sm->whole = false;
		}
		if (i < sm->index.nr && key >= nr_groups) {
			add_number(s, PD_AT_DATA_SM, PD_PR_SM_INDEX, PD_NO_BLOCK, key, nr_groups);
			sm->whole = false;
			return;
		}
		want = key + 1;
	}
}

int data_sm_load(struct scan *s, struct data_sm *sm, const struct sm_root *root)
{
	const uint64_t limit = 1ull << 40;	/* what a mapping can name */
	int r;

	memset(sm, 0, sizeof(*sm));
	sm->root = *root;
	sm->nr_blocks = le64_get(root->nr_blocks);
	if (sm->nr_blocks > limit) {
		add_number(s, PD_AT_DATA_SM, PD_PR_SM_ROOT, PD_NO_BLOCK, sm->nr_blocks, limit);
		sm->nr_blocks = limit;
	}
	sm->index = (struct tree_walk){
		.place = PD_AT_DATA_SM, .value_size = sizeof(struct index_entry),
		.root = le64_get(root->bitmap_root),
	};
	r = bits_init(&sm->blocks, s->slots.nr_blocks);
	if (!r)
		r = bits_init(&sm->kept, ceil_div(sm->nr_blocks, ENTRIES_PER_BITMAP));
	if (!r)
		r = scan_tree(s, &sm->index);
	if (r)
		return r;
	sm->whole = !sm->index.damaged;
	check_index_keys(s, sm);
	for (uint64_t i = 0; i < sm->index.nr; i++) {
		uint64_t b = le64_get(data_entry(sm, i)->blocknr);
		uint64_t group = sm->index.keys[i];
		enum pd_problem p = PD_PR_BLOCK_BEYOND;

		if (group >= sm->kept.nr)
			break;
		if (b && b < s->nr_blocks) {
			scan_ref(s, b);
			p = bits_test(&sm->blocks, b) || s->slots.slot[b].state != SLOT_UNREAD ?
				PD_PR_SM_BITMAP : PD_PR_NONE;
		}
		if (p) {
			lost_bitmap(s, PD_AT_DATA_SM, p, group, sm->nr_blocks, b);
			sm->whole = false;
			continue;
		}
		bits_set(&sm->blocks, b);
	}
	r = slots_read(&s->slots, &sm->blocks, s->run, "reading", NULL, NULL);
	for (uint64_t i = 0; !r && i < sm->index.nr; i++) {
		uint64_t b = le64_get(data_entry(sm, i)->blocknr);
		enum pd_problem p;

		if (sm->index.keys[i] >= sm->kept.nr || !b || b >= s->nr_blocks ||
		    !bits_test(&sm->blocks, b))
			continue;
		p = slot_problem(&s->slots.slot[b], KIND_BITMAP);
		if (p) {
			lost_bitmap(s, PD_AT_DATA_SM, p, sm->index.keys[i], sm->nr_blocks, b);
			sm->whole = false;
			bits_clear(&sm->blocks, b);
			continue;
		}
		bits_set(&sm->kept, sm->index.keys[i]);
		s->slots.slot[b].first = i;	/* other walks leave that of a bitmap alone */
	}
	if (!r)
		r = counts_init(&sm->counts, sm->nr_blocks, &sm->kept);
	return r;
}

void data_sm_exit(struct data_sm *sm)
{
	tree_walk_exit(&sm->index);
	bits_exit(&sm->blocks);
	bits_exit(&sm->kept);
	counts_exit(&sm->counts);
	free(sm->groups);
	free(sm->leaks.l);
}

static int data_overflow_leaf(void *ctx, const struct node_header *n, uint64_t block)
{
	struct overflow *o = ctx;

	(void)block;
	for (uint32_t i = 0; i < le32_get(n->nr_entries); i++) {
		uint64_t b = node_key(n, i);
		uint64_t got = overflow_count(n, i), want;

		if (b >= o->nr_blocks || got < 3) {
			differ_add(&o->differ, b, got, 3, true);
			continue;
		}
		if (!o->counts || counts_word(o->counts, b) == COUNTS_NOWHERE)
			continue;
		want = counts_get(o->counts, b);
		if (got != want)
			differ_add(&o->differ, b, got, want, false);
		counts_mark(o->counts, b);
	}
	return 0;
}

struct comparing {
	struct scan *s;
	struct data_sm *sm;
	bool compare;
};

static int compare_bitmap(void *ctx, unsigned worker, uint64_t block, const void *data, int err)
{
	struct comparing *c = ctx;
	uint64_t i = c->s->slots.slot[block].first;
	struct sm_group *g = &c->sm->groups[i];
	uint64_t begin = c->sm->index.keys[i] * ENTRIES_PER_BITMAP;
	unsigned nr = (unsigned)min_t(uint64_t, c->sm->nr_blocks - begin, ENTRIES_PER_BITMAP);

	(void)worker;
	if (err)
		return -EIO;	/* it could be read a moment ago, and its checksum was right */
	sm_group_look(data, nr, g);
	g->differs = c->compare &&
		     group_differs(data, &c->sm->counts, begin, nr);
	return 0;
}

/* A bitmap that differs somewhere, looked at again, entry by entry. */
static void tell_group(struct scan *s, struct data_sm *sm, struct differ *d, uint64_t i,
		       bool overflow_whole)
{
	uint64_t block = le64_get(data_entry(sm, i)->blocknr);
	uint64_t begin = sm->index.keys[i] * ENTRIES_PER_BITMAP;
	unsigned nr = (unsigned)min_t(uint64_t, sm->nr_blocks - begin, ENTRIES_PER_BITMAP);

	if (pd_io_read(s->io, block, 1, s->slots.buf))
		return;
	for (unsigned e = 0; e < nr; e++) {
		unsigned got = bitmap_get(s->slots.buf, e);
		bool marked = counts_marked(&sm->counts, begin + e);

		if (!entry_differs(&sm->counts, begin + e, got) || (got == 3 && !overflow_whole))
			continue;
		differ_add(d, begin + e, got, marked ? 3 : counts_get(&sm->counts, begin + e),
			   got == 3 || marked);
	}
}

int data_sm_check(struct scan *s, struct data_sm *sm, bool compare)
{
	struct overflow o = { .s = s, .nr_blocks = sm->nr_blocks,
			      .counts = compare ? &sm->counts : NULL };
	struct comparing c = { .s = s, .sm = sm, .compare = compare };
	struct tree_walk w = {
		.place = PD_AT_DATA_SM, .value_size = 4, .root = le64_get(sm->root.ref_count_root),
		.leaf = data_overflow_leaf, .ctx = &o,
	};
	uint64_t nr_allocated = 0;
	int r = differ_init(&o.differ, s->keep_leaks ? &sm->leaks : NULL), failed;

	sm->groups = calloc(sm->index.nr + 1, sizeof(*sm->groups));
	if (!r)
		r = sm->groups ? scan_tree(s, &w) : -ENOMEM;
	/* Trees that were walked since may have led to a bitmap: say once more which is which. */
	for (uint64_t i = sm->index.nr; i--;) {
		uint64_t b = le64_get(data_entry(sm, i)->blocknr);

		if (sm->index.keys[i] < sm->kept.nr && b < s->nr_blocks && bits_test(&sm->blocks, b))
			s->slots.slot[b].first = i;
	}
	if (!r)
		r = stream_blocks(s->io, &sm->blocks, s->run, "comparing", compare_bitmap, &c);
	if (!r && sm->counts.lost)
		r = -ENOMEM;
	for (uint64_t i = 0; !r && i < sm->index.nr; i++) {
		struct sm_group *g = &sm->groups[i];

		if (!g->nr_valid)
			continue;
		nr_allocated += (uint64_t)(g->nr_valid - g->nr_clipped);
		check_index_entry(s, PD_AT_DATA_SM, data_entry(sm, i), g);
		if (g->differs)
			tell_group(s, sm, &o.differ, i, !w.damaged);
	}
	if (!r && sm->whole && nr_allocated != le64_get(sm->root.nr_allocated))
		add_number(s, PD_AT_DATA_SM, PD_PR_SM_NR_ALLOCATED, PD_NO_BLOCK,
			   le64_get(sm->root.nr_allocated), nr_allocated);
	failed = differ_exit(&o.differ, s, PD_AT_DATA_SM);
	return r ? r : failed;
}
