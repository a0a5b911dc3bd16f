/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "era/metadata.h"

struct check {
	struct pd_io *io;
	const struct pd_run *run;
	struct damage damage;
	struct scan s;
	struct metadata_sm metadata;
	uint32_t current_era;		/* of what is looked at, live or snapshot */
	struct bits bad_pieces;
};

static void found(struct check *c, enum pd_problem p, enum pd_place place, const uint64_t *era)
{
	struct pd_finding f = {
		.problem = p, .place = place, .snap = c->s.snap, .has_key = era, .key = era ? *era : 0,
		.block = PD_NO_BLOCK,
	};

	damage_add(&c->damage, &f);
}

static void found_in_snap(struct check *c, enum pd_problem p, uint64_t block)
{
	struct pd_finding f = { .problem = p, .place = PD_AT_SUPERBLOCK, .snap = true, .block = block };

	damage_add(&c->damage, &f);
}

static uint32_t era_at(const void *values, uint32_t i)
{
	le32 v;

	memcpy(&v, (const uint8_t *)values + 4 * (size_t)i, sizeof(v));
	return le32_get(v);
}

static int look_at_eras(void *ctx, unsigned worker, struct array_scan *a, uint64_t piece,
			const void *values, uint32_t nr)
{
	struct check *c = ctx;
	uint32_t max = 0;

	(void)worker;
	(void)a;
	for (uint32_t i = 0; i < nr; i++) {
		uint32_t era = era_at(values, i);

		max = era > max ? era : max;
	}
	if (max > c->current_era)
		bits_test_and_set_atomic(&c->bad_pieces, piece);
	return 0;
}

static int check_array(struct check *c, const struct era_superblock *sb)
{
	struct array_scan a = era_array(sb);
	int r = array_scan_index(&c->s, &a);

	if (!r)
		r = bits_init(&c->bad_pieces, a.nr_pieces);
	if (!r)
		r = array_scan_read(&c->s, &a, 1, "checking", look_at_eras, c);
	for (uint64_t j = r ? a.nr_pieces : bits_next(&c->bad_pieces, 0); j < a.nr_pieces;
	     j = bits_next(&c->bad_pieces, j + 1)) {
		const void *values = array_scan_piece(&c->s, &a, j, c->s.slots.buf);

		for (uint32_t i = 0; values && i < piece_nr(&a, j); i++) {
			uint64_t block = j * piece_max(&a) + i;
			struct pd_finding f = {
				.problem = PD_PR_ERA_FUTURE, .place = PD_AT_ERA_ARRAY, .snap = c->s.snap,
				.has_range = true, .begin = block, .end = block + 1, .block = a.block[j],
			};

			if (era_at(values, i) > c->current_era)
				damage_add(&c->damage, &f);
		}
	}
	bits_exit(&c->bad_pieces);
	array_scan_exit(&a);
	return r;
}

static int check_bitset(struct check *c, uint64_t era, uint32_t nr_bits, uint64_t root, bool counts)
{
	struct array_scan a = era_bitset(era, nr_bits, root);
	int r;

	if (!root) {
		found(c, PD_PR_ERA_NO_ROOT, PD_AT_WRITESET, &era);
		return 0;
	}
	a.no_refs = !counts;
	r = array_scan_index(&c->s, &a);
	if (!r)
		r = array_scan_read(&c->s, &a, 1, "checking", NULL, c);
	array_scan_exit(&a);
	return r;
}

static int check_archive(struct check *c, const struct era_superblock *sb)
{
	struct tree_walk t = {
		.place = PD_AT_WRITESETS, .value_size = sizeof(struct era_writeset),
		.root = le64_get(sb->writeset_tree_root),
	};
	int r = scan_tree(&c->s, &t);

	for (uint64_t i = 0; !r && i < t.nr; i++) {
		uint64_t era = t.keys[i];
		struct era_writeset ws;

		memcpy(&ws, t.values + i * sizeof(ws), sizeof(ws));
		if (era > c->current_era)
			found(c, PD_PR_ERA_KEY, PD_AT_WRITESET, &era);
		if (!c->s.snap && era == c->current_era && le64_get(sb->current_writeset.root))
			found(c, PD_PR_ERA_TWICE, PD_AT_WRITESET, &era);
		r = check_bitset(c, era, le32_get(ws.nr_bits), le64_get(ws.root), t.counts[i]);
	}
	tree_walk_exit(&t);
	return r;
}

static int check_live(struct check *c, const struct era_superblock *sb)
{
	uint32_t nr_bits = le32_get(sb->current_writeset.nr_bits);
	uint64_t era = c->current_era;
	int r;

	if (!le64_get(sb->current_writeset.root))
		return 0;
	if (nr_bits != le32_get(sb->nr_blocks))
		found(c, PD_PR_ERA_NR_BITS, PD_AT_WRITESET, &era);
	damage_soften(&c->damage, PD_SEV_ERROR, PD_SEV_ERROR);
	r = check_bitset(c, era, nr_bits, le64_get(sb->current_writeset.root), true);
	damage_soften(&c->damage, PD_SEV_FATAL, PD_SEV_ERROR);
	return r;
}

/* The metadata snapshot: only its two trees and its numbers mean anything. */
static int check_snap(struct check *c, const struct era_superblock *live)
{
	uint64_t block = le64_get(live->metadata_snap);
	struct era_superblock sb;
	enum pd_problem p;
	int r;

	if (!block)
		return 0;
	c->s.snap = true;
	damage_soften(&c->damage, PD_SEV_ERROR, PD_SEV_ERROR);
	if (block < c->s.nr_blocks)
		scan_ref(&c->s, block);
	r = era_sb_look(c->io, block, &sb, &p);
	if (!r && block >= c->s.nr_blocks)
		p = PD_PR_BLOCK_BEYOND;
	if (!r && p) {
		found_in_snap(c, p, block);
		c->s.incomplete = true;
	} else if (!r) {
		if (le64_get(sb.metadata_snap))
			found_in_snap(c, PD_PR_ERA_SNAP_NESTED, block);
		if (le32_get(sb.current_era) > c->current_era)
			found_in_snap(c, PD_PR_ERA_SNAP_LATER, block);
		c->current_era = le32_get(sb.current_era);
		r = check_archive(c, &sb);
		if (!r)
			r = check_array(c, &sb);
	}
	damage_soften(&c->damage, PD_SEV_FATAL, PD_SEV_ERROR);
	c->s.snap = false;
	return r;
}

static int check_all(struct check *c, const struct era_superblock *sb)
{
	struct sm_root root = sm_root_get(sb->metadata_space_map_root);
	int r;

	scan_ref(&c->s, SB_LOCATION);
	c->current_era = le32_get(sb->current_era);
	r = check_archive(c, sb);
	if (!r)
		r = check_live(c, sb);
	if (!r)
		r = check_array(c, sb);
	if (!r)
		r = check_snap(c, sb);
	/* no released checker looks at an era's space map */
	damage_soften(&c->damage, PD_SEV_ERROR, PD_SEV_WARN);
	if (!r)
		r = metadata_sm_load(&c->s, &c->metadata, &root);
	return r ? r : metadata_sm_check(&c->s, &c->metadata);
}

int pd_era_check(struct pd_io *io, bool super_block_only, const struct pd_run *run,
		 struct pd_check_result *res)
{
	struct check c = { .io = io, .run = run };
	struct era_superblock sb;
	int r;

	memset(res, 0, sizeof(*res));
	damage_init(&c.damage);
	r = era_sb_read(io, SB_LOCATION, run->log, &sb);
	if (!r)
		r = scan_init(&c.s, io, run, &c.damage,
			      le64_get(sm_root_get(sb.metadata_space_map_root).nr_blocks));
	if (!r && le32_get(sb.metadata_block_size) != PD_BLOCK_SIZE / 512)
		found(&c, PD_PR_SB_METADATA_BLOCK_SIZE, PD_AT_SUPERBLOCK, NULL);
	if (!r && !super_block_only)
		r = check_all(&c, &sb);
	if (!r) {
		damage_report(&c.damage, run->log, "era", "blocks");
		damage_result(&c.damage, res);
		if (c.damage.failed)
			r = -ENOMEM;
		if (res->worst == PD_SEV_FATAL)
			pd_log(run->log, PD_LOG_ERR, "era_repair takes what is lost for written.");
	}
	if (r == -ENOMEM)
		pd_log(run->log, PD_LOG_ERR, "out of memory");
	metadata_sm_exit(&c.metadata);
	scan_exit(&c.s);
	damage_exit(&c.damage);
	return r;
}
