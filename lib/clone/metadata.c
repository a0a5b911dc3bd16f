/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <pdata/err.h>
#include "clone/metadata.h"
#include "persistent-data/metadata.h"

static const char *judge(const struct clone_superblock *sb, const void *block, enum pd_problem *p)
{
	*p = block_kind(block) != KIND_CLONE_SB ? PD_PR_SB_CSUM :
	     le64_get(sb->blocknr) ? PD_PR_SB_LOCATION :
	     le64_get(sb->magic) != CLONE_MAGIC ? PD_PR_SB_MAGIC :
	     le32_get(sb->version) != CLONE_VERSION ? PD_PR_SB_VERSION : PD_PR_NONE;
	return pd_problem_row(*p)->text;
}

int clone_sb_read(struct pd_io *io, struct pd_log *log, struct clone_superblock *sb)
{
	void *buf = pd_io_buffer(1);
	int r = buf ? pd_io_read(io, SB_LOCATION, 1, buf) : -ENOMEM;
	enum pd_problem p;
	const char *why;

	if (r) {
		pd_log(log, PD_LOG_ERR, "%s: reading block 0: %s", pd_io_name(io), pd_strerror(r));
	} else {
		memcpy(sb, buf, sizeof(*sb));
		why = judge(sb, buf, &p);
		if (p) {
			pd_log(log, PD_LOG_ERR, "%s%s [%s]", why,
			       p == PD_PR_SB_CSUM ? superblock_hint(io, SB_LOCATION) : "", pd_problem_row(p)->name);
			r = -EUCLEAN;
		}
	}
	free(buf);
	return r;
}

uint64_t clone_nr_regions(uint64_t region_size, uint64_t target_size, enum pd_problem *why)
{
	enum pd_problem p = PD_PR_NONE;

	if (region_size < CLONE_MIN_REGION_SIZE || region_size > CLONE_MAX_REGION_SIZE ||
	    (region_size & (region_size - 1)))
		p = PD_PR_CLONE_REGION_SIZE;
	else if (!target_size || ceil_div(target_size, region_size) > CLONE_MAX_REGIONS)
		p = PD_PR_CLONE_TARGET_SIZE;
	if (why)
		*why = p;
	return p ? 0 : ceil_div(target_size, region_size);
}

struct array_scan clone_bitset(uint64_t root, uint64_t nr_regions)
{
	return (struct array_scan){
		.place = PD_AT_REGIONS, .value_size = sizeof(le64), .scale = BITSET_WORD_BITS, .root = root,
		.nr_values = ceil_div(nr_regions, BITSET_WORD_BITS),
	};
}

/* ---- The view ---- */

static int count(void *ctx, unsigned worker, struct array_scan *a, uint64_t piece, const void *values,
		 uint32_t nr)
{
	struct clone_view *v = ctx;
	uint64_t n = 0, first = piece * piece_max(a);

	(void)worker;
	for (uint32_t i = 0; i < nr; i++) {
		le64 w;

		memcpy(&w, (const uint8_t *)values + 8 * (size_t)i, sizeof(w));
		n += (uint64_t)__builtin_popcountll(clone_word(le64_get(w), first + i, v->nr_regions));
	}
	__atomic_fetch_add(&v->nr_hydrated, n, __ATOMIC_RELAXED);
	return 0;
}

/* Regions of piece @j. */
static uint64_t regions_of(const struct clone_view *v, uint64_t j)
{
	uint64_t begin = j * piece_max(&v->bitset) * BITSET_WORD_BITS;

	return min_t(uint64_t, v->nr_regions - begin, BITSET_BITS_PER_BLOCK);
}

int clone_view_init(struct clone_view *v, struct pd_io *io, const struct clone_superblock *sb,
		    const struct pd_run *run)
{
	enum pd_problem why;
	int r;

	*v = (struct clone_view){
		.io = io, .run = run, .region_size = le64_get(sb->region_size),
		.target_size = le64_get(sb->target_size),
	};
	damage_init(&v->damage);
	v->nr_regions = clone_nr_regions(v->region_size, v->target_size, &why);
	if (!v->nr_regions) {
		pd_log(run->log, PD_LOG_ERR, "%s [%s]", pd_problem_row(why)->text, pd_problem_row(why)->name);
		return -EUCLEAN;
	}
	r = scan_init(&v->s, io, run, &v->damage, pd_io_nr_blocks(io));
	if (r)
		return r;
	v->bitset = clone_bitset(le64_get(sb->bitset_root), v->nr_regions);
	r = array_scan_index(&v->s, &v->bitset);
	if (!r)
		r = array_scan_read(&v->s, &v->bitset, 1, "reading", count, v);
	for (uint64_t j = 0; !r && j < ceil_div(v->bitset.nr_values, piece_max(&v->bitset)); j++)
		if (j >= v->bitset.nr_pieces || !v->bitset.block[j])
			v->nr_lost += regions_of(v, j);
	return r;
}

void clone_view_exit(struct clone_view *v)
{
	array_scan_exit(&v->bitset);
	scan_exit(&v->s);
	damage_exit(&v->damage);
}

struct runs {
	struct clone_emitter *e;
	struct clone_range_record now;	/* begin == end: none */
};

static int run_of(struct runs *x, uint64_t begin, uint64_t end)
{
	int r = 0;

	if (x->now.end != begin || x->now.begin == x->now.end) {
		if (x->now.begin != x->now.end)
			r = x->e->range(x->e, &x->now);
		x->now.begin = begin;
	}
	x->now.end = end;
	return r;
}

static int word_of(struct runs *x, uint64_t first, uint64_t w)
{
	int r = 0;

	while (w && !r) {
		unsigned at = (unsigned)__builtin_ctzll(w);
		uint64_t rest = ~(w >> at);
		unsigned len = rest ? (unsigned)__builtin_ctzll(rest) : 64;

		r = run_of(x, first + at, first + at + len);
		w &= at + len == 64 ? 0 : ~0ull << (at + len);
	}
	return r;
}

static int emit_regions(struct clone_view *v, struct clone_emitter *e)
{
	struct array_scan *a = &v->bitset;
	struct runs x = { .e = e };
	void *buf = pd_io_buffer(1);
	int r = buf ? 0 : -ENOMEM;

	for (uint64_t j = 0; !r && j < ceil_div(a->nr_values, piece_max(a)); j++) {
		uint64_t first = j * piece_max(a);
		uint64_t block = j < a->nr_pieces ? a->block[j] : 0;
		const void *values = block ? array_scan_piece(&v->s, a, j, buf) : NULL;

		if (!values && block) {		/* it could be read when bits were counted */
			pd_log(v->run->log, PD_LOG_ERR, "%s: reading block %" PRIu64 " again: it is not what it was",
			       pd_io_name(v->io), block);
			r = -EIO;
		} else if (!values && v->unreadable == PD_CLONE_REFUSE) {
			r = -EUCLEAN;
		} else if (!values && v->unreadable == PD_CLONE_HYDRATED) {
			r = run_of(&x, first * BITSET_WORD_BITS, first * BITSET_WORD_BITS + regions_of(v, j));
		}
		for (uint32_t i = 0; values && !r && i < piece_nr(a, j); i++) {
			le64 w;

			memcpy(&w, (const uint8_t *)values + 8 * (size_t)i, sizeof(w));
			r = word_of(&x, (first + i) * BITSET_WORD_BITS,
				    clone_word(le64_get(w), first + i, v->nr_regions));
		}
	}
	if (!r && x.now.begin != x.now.end)
		r = e->range(e, &x.now);
	free(buf);
	return r;
}

int clone_view_emit(struct clone_view *v, struct clone_emitter *e)
{
	struct clone_sb_record sb = {
		.region_size = v->region_size, .target_size = v->target_size, .nr_regions = v->nr_regions,
		.nr_hydrated = v->nr_hydrated + (v->unreadable == PD_CLONE_HYDRATED ? v->nr_lost : 0),
	};
	int r = e->superblock(e, &sb);

	if (!r)
		r = e->hydrated_begin(e);
	if (!r)
		r = emit_regions(v, e);
	if (!r)
		r = e->hydrated_end(e);
	return r ? r : e->superblock_end(e);
}
