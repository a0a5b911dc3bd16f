/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The check of cache metadata. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <pdata/err.h>
#include "cache/superblock.h"
#include "cache/twice.h"
#include "io/stream.h"
#include "meta/mend.h"

struct check {
	struct pd_io *io;
	const struct pd_cache_check_opts *o;
	const struct pd_run *run;
	struct pd_check_result *res;
	struct pd_cache_status *status;
	struct damage damage;
	struct cache_superblock sb;
	struct scan s;
	struct metadata_sm metadata;
	struct array_scan mappings;
	uint64_t origin_blocks;
	uint32_t known_flags;
	struct bits valid;		/* cache blocks */
	struct bits bad_pieces;		/* of the mapping array, to be told entry by entry */
	uint64_t nr_mapped, nr_dirty, nr_unused_dirty;
	struct twice twice;
};

static void found(struct check *c, enum pd_problem p, enum pd_place place)
{
	struct pd_finding f = { .problem = p, .place = place, .block = PD_NO_BLOCK };

	damage_add(&c->damage, &f);
}

static void found_block(struct check *c, enum pd_problem p, uint64_t cblock)
{
	struct pd_finding f = {
		.problem = p, .place = PD_AT_MAPPING_ARRAY, .has_range = true, .begin = cblock,
		.end = cblock + 1, .block = PD_NO_BLOCK,
	};

	damage_add(&c->damage, &f);
}

static void check_superblock(struct check *c)
{
	const struct cache_superblock *sb = &c->sb;
	uint32_t size = le32_get(sb->data_block_size), hint = le32_get(sb->policy_hint_size);

	if (size < CACHE_MIN_BLOCK_SIZE || size > CACHE_MAX_BLOCK_SIZE || size % CACHE_MIN_BLOCK_SIZE)
		found(c, PD_PR_SB_BLOCK_SIZE, PD_AT_SUPERBLOCK);
	if (le32_get(sb->metadata_block_size) != PD_BLOCK_SIZE / 512)
		found(c, PD_PR_SB_METADATA_BLOCK_SIZE, PD_AT_SUPERBLOCK);
	if (le32_get(sb->incompat_flags))
		found(c, PD_PR_SB_INCOMPAT, PD_AT_SUPERBLOCK);
	if (le32_get(sb->compat_ro_flags))
		found(c, PD_PR_SB_COMPAT_RO, PD_AT_SUPERBLOCK);
	if (le32_get(sb->compat_flags))
		found(c, PD_PR_SB_COMPAT, PD_AT_SUPERBLOCK);
	if (le32_get(sb->flags) & ~(CACHE_CLEAN_SHUTDOWN | CACHE_NEEDS_CHECK))
		found(c, PD_PR_SB_FLAGS, PD_AT_SUPERBLOCK);
	if (!memchr(sb->policy_name, 0, sizeof(sb->policy_name)))
		found(c, PD_PR_CACHE_POLICY_NAME, PD_AT_SUPERBLOCK);
	if (hint && hint != sizeof(le32))
		found(c, PD_PR_CACHE_HINT_SIZE, PD_AT_SUPERBLOCK);
	c->res->needs_check = le32_get(sb->flags) & CACHE_NEEDS_CHECK;
	if (c->res->needs_check)
		found(c, PD_PR_SB_NEEDS_CHECK, PD_AT_SUPERBLOCK);
}

static uint64_t value_at(const void *values, uint32_t i)
{
	le64 v;

	memcpy(&v, (const uint8_t *)values + 8 * (size_t)i, sizeof(v));
	return le64_get(v);
}

/* What is wrong with this entry, looked at alone. */
static enum pd_problem entry_problem(const struct check *c, uint64_t v)
{
	if (mapping_flags(v) & ~c->known_flags)
		return PD_PR_CACHE_FLAGS;
	if (!(mapping_flags(v) & CACHE_VALID))
		return v ? PD_PR_CACHE_UNUSED : PD_PR_NONE;
	if (c->origin_blocks && mapping_oblock(v) >= c->origin_blocks)
		return PD_PR_CACHE_ORIGIN_BEYOND;
	return PD_PR_NONE;
}

/* Cache blocks [@first, @first + 64) or less, from bit 0 of @bits: pieces share words, and threads pieces. */
static void add_valid(struct check *c, uint64_t first, uint64_t bits)
{
	unsigned shift = first % 64;

	if (bits << shift)
		__atomic_fetch_or(&c->valid.words[first / 64], bits << shift, __ATOMIC_RELAXED);
	if (shift && bits >> (64 - shift))
		__atomic_fetch_or(&c->valid.words[first / 64 + 1], bits >> (64 - shift), __ATOMIC_RELAXED);
}

static int look_at_mappings(void *ctx, unsigned worker, struct array_scan *a, uint64_t piece,
			    const void *values, uint32_t nr)
{
	struct check *c = ctx;
	uint64_t mapped = 0, dirty = 0, first = piece * piece_max(a), odd = 0;
	uint64_t unknown = 0xffff & ~c->known_flags, limit = c->origin_blocks ? c->origin_blocks : UINT64_MAX;

	for (uint32_t i = 0; i < nr; i += 64) {
		uint64_t bits = 0;

		for (uint32_t k = i; k < min_t(uint32_t, nr, i + 64); k++) {
			uint64_t v = value_at(values, k), oblock = mapping_oblock(v);

			odd |= v & unknown;
			if (!(v & CACHE_VALID)) {
				odd |= v;
				continue;
			}
			odd |= oblock >= limit;
			bits |= 1ull << (k - i);
			dirty += v / CACHE_DIRTY & 1;
			twice_note(&c->twice, worker, oblock);
		}
		mapped += (uint64_t)__builtin_popcountll(bits);
		add_valid(c, first + i, bits);
	}
	if (odd)
		bits_test_and_set_atomic(&c->bad_pieces, piece);
	__atomic_fetch_add(&c->nr_mapped, mapped, __ATOMIC_RELAXED);
	__atomic_fetch_add(&c->nr_dirty, dirty, __ATOMIC_RELAXED);
	return 0;
}

static int tell_bad_pieces(struct check *c)
{
	struct array_scan *a = &c->mappings;

	for (uint64_t j = bits_next(&c->bad_pieces, 0); j < c->bad_pieces.nr;
	     j = bits_next(&c->bad_pieces, j + 1)) {
		if (pd_io_read(c->io, a->block[j], 1, c->s.slots.buf))
			return -EIO;
		for (uint32_t i = 0; i < piece_nr(a, j); i++) {
			enum pd_problem p =
				entry_problem(c, value_at(array_value_ptr(c->s.slots.buf, 0), i));

			if (p)
				found_block(c, p, j * piece_max(a) + i);
		}
	}
	return 0;
}

static int look_for_suspects(void *ctx, unsigned worker, struct array_scan *a, uint64_t piece,
			     const void *values, uint32_t nr)
{
	struct check *c = ctx;
	int r = 0;

	(void)worker;
	for (uint32_t i = 0; i < nr && !r; i++) {
		uint64_t v = value_at(values, i);

		if (mapping_flags(v) & CACHE_VALID)
			r = twice_again(&c->twice, mapping_oblock(v), piece * piece_max(a) + i);
	}
	return r;
}

/* The second pass: are there suspects that really stand twice? */
static int find_twice(struct check *c)
{
	struct twice *t = &c->twice;
	int r = twice_settle(t);

	if (!r && t->nr_suspects)
		r = array_scan_read(&c->s, &c->mappings, 1, "checking", look_for_suspects, c);
	if (r)
		return r;
	twice_sort(t);
	for (size_t i = 1; i < t->nr; i++)
		if (t->e[i].oblock == t->e[i - 1].oblock)
			found_block(c, PD_PR_CACHE_ORIGIN_TWICE, t->e[i].cblock);
	if (t->too_many)
		found(c, PD_PR_CACHE_ORIGIN_TWICE, PD_AT_MAPPING_ARRAY);
	return 0;
}

static int check_mappings(struct check *c)
{
	uint64_t nr = le32_get(c->sb.cache_blocks);
	int r;

	c->mappings = cache_mapping_array(&c->sb);
	c->origin_blocks = cache_origin_blocks(&c->sb);
	c->known_flags = CACHE_VALID | (le32_get(c->sb.version) == 1 ? CACHE_DIRTY : 0);
	r = array_scan_index(&c->s, &c->mappings);
	if (!r)
		r = bits_init(&c->valid, nr);
	if (!r)
		r = twice_init(&c->twice, array_scan_present(&c->s, &c->mappings),
			       stream_nr_threads(c->run, c->s.slots.nr_blocks));
	if (!r)
		r = bits_init(&c->bad_pieces, c->mappings.nr_pieces);
	if (!r)
		r = array_scan_read(&c->s, &c->mappings, 1, "checking", look_at_mappings, c);
	if (!r)
		r = tell_bad_pieces(c);
	return r ? r : find_twice(c);
}

static int look_at_dirty(void *ctx, unsigned worker, struct array_scan *a, uint64_t piece,
			 const void *values, uint32_t nr)
{
	struct check *c = ctx;
	uint64_t dirty = 0, unused = 0, first = piece * piece_max(a);

	(void)worker;
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t v = value_at(values, i), word = first + i, valid = c->valid.words[word];
		uint64_t left = c->valid.nr - word * BITSET_WORD_BITS;

		if (left < BITSET_WORD_BITS)
			v &= (1ull << left) - 1;
		dirty += (uint64_t)__builtin_popcountll(v & valid);
		unused += (uint64_t)__builtin_popcountll(v & ~valid);
	}
	__atomic_fetch_add(&c->nr_dirty, dirty, __ATOMIC_RELAXED);
	__atomic_fetch_add(&c->nr_unused_dirty, unused, __ATOMIC_RELAXED);
	return 0;
}

/* One array of which only the shape matters, or of which @fn looks at the values. */
static int check_array(struct check *c, struct array_scan a, array_piece_fn fn)
{
	int r = array_scan_index(&c->s, &a);

	if (!r)
		r = array_scan_read(&c->s, &a, 1, "checking", fn, c);
	array_scan_exit(&a);
	return r;
}

static int check_dirty(struct check *c)
{
	int r;

	if (le32_get(c->sb.version) < 2)
		return 0;
	if (!le64_get(c->sb.dirty_root)) {
		found(c, PD_PR_CACHE_NO_DIRTY, PD_AT_DIRTY);
		c->s.incomplete = true;
		return 0;
	}
	r = check_array(c, cache_dirty_bitset(&c->sb), look_at_dirty);
	if (!r && c->nr_unused_dirty && cache_is_clean(&c->sb) && !c->mappings.damaged) {
		struct pd_finding f = {
			.problem = PD_PR_CACHE_UNUSED_DIRTY, .place = PD_AT_DIRTY, .block = PD_NO_BLOCK,
			.has_numbers = true, .got = c->nr_unused_dirty,
		};

		damage_add(&c->damage, &f);
	}
	return r;
}

static int check_arrays(struct check *c)
{
	const struct pd_cache_check_opts *o = c->o;
	int r = 0;

	if (!o->skip_mappings)
		r = check_mappings(c);
	if (!r && !o->skip_mappings)
		r = check_dirty(c);
	/* Nothing is lost with hints and discards; after an unclean stop they are not looked at. */
	if (!r && le64_get(c->sb.hint_root) && !o->skip_hints) {
		enum pd_severity s = cache_is_clean(&c->sb) ? PD_SEV_ERROR : PD_SEV_WARN;

		damage_soften(&c->damage, s, s);
		r = check_array(c, cache_hint_array(&c->sb), NULL);
	}
	damage_soften(&c->damage, PD_SEV_ERROR, PD_SEV_ERROR);
	if (!r && !o->skip_discards) {
		if (le64_get(c->sb.discard_root))
			r = check_array(c, cache_discard_bitset(&c->sb), NULL);
		else
			found(c, PD_PR_CACHE_NO_DISCARDS, PD_AT_DISCARDS);
	}
	damage_soften(&c->damage, PD_SEV_FATAL, PD_SEV_ERROR);
	return r;
}

static bool is_full(const struct pd_cache_check_opts *o)
{
	return !o->super_block_only && !o->skip_mappings && !o->skip_hints && !o->skip_discards;
}

static int check_all(struct check *c)
{
	struct sm_root root = sm_root_get(c->sb.metadata_space_map_root);
	int r;

	check_superblock(c);
	if (c->o->super_block_only)
		return 0;
	scan_ref(&c->s, SB_LOCATION);
	r = check_arrays(c);
	if (r || !is_full(c->o))
		return r;
	r = metadata_sm_load(&c->s, &c->metadata, &root);
	return r ? r : metadata_sm_check(&c->s, &c->metadata);
}

static int rewrite_superblock(struct check *c, const struct mended *maps, bool clear)
{
	return mend_superblock(c->io, &(struct mend_sb){
		.kind = KIND_CACHE_SB, .seen = &c->sb, .seen_len = sizeof(c->sb),
		.metadata_root_at = offsetof(struct cache_superblock, metadata_space_map_root),
		.clear_flags = clear ? CACHE_NEEDS_CHECK : 0,
	}, maps, c->run->log);
}

/* Only a full check may clear the flag. */
static int mend(struct check *c)
{
	const struct pd_cache_check_opts *o = c->o;
	uint64_t leaks = c->damage.count[PD_PR_SM_LEAK];
	uint64_t others = c->damage.by_severity[PD_SEV_ERROR] - leaks;
	bool clear = c->res->needs_check && (!others || o->ignore_non_fatal);
	struct mended maps = { .changed = false };
	bool mend_maps = o->auto_repair || leaks;
	int r = 0;

	if ((!o->clear_needs_check && !o->auto_repair) || !is_full(o) || c->damage.failed ||
	    damage_any(&c->damage, PD_SEV_FATAL) || (!mend_maps && !clear))
		return 0;
	if (le32_get(c->sb.compat_ro_flags)) {
		pd_log(c->run->log, PD_LOG_ERR, "unknown feature flags forbid writing to this metadata");
		return -EROFS;
	}
	if (mend_maps && !c->s.incomplete)
		r = mend_space_maps(&c->s, &c->metadata, NULL, o->auto_repair, &maps);
	if (!r && (maps.changed || clear))
		r = rewrite_superblock(c, &maps, clear);
	if (r)
		return r;
	if (maps.nr_counts)
		pd_log(c->run->log, PD_LOG_WARN, "%" PRIu64 " counts that were too high have been mended",
		       maps.nr_counts);
	if (clear)
		pd_log(c->run->log, PD_LOG_WARN, "the needs_check flag has been cleared");
	c->res->cleared = clear;
	c->res->mended = maps.nr_counts;
	c->damage.by_severity[PD_SEV_ERROR] -= maps.nr_counts;
	return 0;
}

static void fill_status(const struct check *c)
{
	struct sm_root root = sm_root_get(c->sb.metadata_space_map_root);

	if (!c->status)
		return;
	*c->status = (struct pd_cache_status){
		.clean_shutdown = cache_is_clean(&c->sb),
		.nr_mapped = c->nr_mapped,
		.nr_dirty = cache_is_clean(&c->sb) ? c->nr_dirty : c->nr_mapped,
		.nr_free = le32_get(c->sb.cache_blocks) - c->nr_mapped,
		.nr_metadata_free = le64_get(root.nr_blocks) - le64_get(root.nr_allocated),
	};
}

int pd_cache_check(struct pd_io *io, const struct pd_cache_check_opts *o, const struct pd_run *run,
		   struct pd_check_result *res, struct pd_cache_status *status)
{
	struct check c = { .io = io, .o = o, .run = run, .res = res, .status = status };
	int r;

	if (o->size != sizeof(*o))
		return -EINVAL;
	memset(res, 0, sizeof(*res));
	damage_init(&c.damage);
	r = cache_sb_read(io, run->log, &c.sb);
	if (!r)
		r = scan_init(&c.s, io, run, &c.damage,
			      le64_get(sm_root_get(c.sb.metadata_space_map_root).nr_blocks));
	c.s.keep_leaks = o->auto_repair || o->clear_needs_check;
	if (!r)
		r = check_all(&c);
	if (!r) {
		damage_report(&c.damage, run->log, "cache", "blocks");
		r = mend(&c);
		damage_result(&c.damage, res);
		fill_status(&c);
		if (c.damage.failed)
			r = -ENOMEM;
		if (res->worst == PD_SEV_FATAL)
			pd_log(run->log, PD_LOG_ERR, "cache_repair saves what can be saved.");
	}
	if (r == -ENOMEM)
		pd_log(run->log, PD_LOG_ERR, "out of memory");
	array_scan_exit(&c.mappings);
	metadata_sm_exit(&c.metadata);
	scan_exit(&c.s);
	damage_exit(&c.damage);
	bits_exit(&c.valid);
	bits_exit(&c.bad_pieces);
	twice_exit(&c.twice);
	return r;
}
