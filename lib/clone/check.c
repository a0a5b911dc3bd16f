/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <pdata/err.h>
#include "clone/metadata.h"
#include "meta/mend.h"

struct check {
	struct pd_io *io;
	const struct pd_run *run;
	struct damage damage;
	struct clone_superblock sb;
	struct scan s;
	struct metadata_sm metadata;
	uint64_t nr_regions, nr_hydrated;
};

static void found(struct check *c, enum pd_problem p)
{
	struct pd_finding f = { .problem = p, .place = PD_AT_SUPERBLOCK, .block = PD_NO_BLOCK };

	damage_add(&c->damage, &f);
}

static int check_superblock(struct check *c)
{
	enum pd_problem why;
	uint8_t *buf = pd_io_buffer(1);
	int r = buf ? pd_io_read(c->io, SB_LOCATION, 1, buf) : -ENOMEM;

	if (r) {
		pd_log(c->run->log, PD_LOG_ERR, "%s: reading block 0: %s", pd_io_name(c->io), pd_strerror(r));
	} else {
		c->nr_regions = clone_nr_regions(le64_get(c->sb.region_size), le64_get(c->sb.target_size), &why);
		if (why)
			found(c, why);
		if (le32_get(c->sb.flags))
			found(c, PD_PR_SB_FLAGS);
		if (!all_zero(c->sb.uuid, sizeof(c->sb.uuid)) ||
		    !all_zero(buf + sizeof(c->sb), PD_BLOCK_SIZE - sizeof(c->sb)))
			found(c, PD_PR_SB_UNUSED);
	}
	free(buf);
	return r;
}

static int count(void *ctx, unsigned worker, struct array_scan *a, uint64_t piece, const void *values,
		 uint32_t nr)
{
	struct check *c = ctx;
	uint64_t n = 0, first = piece * piece_max(a);

	(void)worker;
	for (uint32_t i = 0; i < nr; i++) {
		le64 w;

		memcpy(&w, (const uint8_t *)values + 8 * (size_t)i, sizeof(w));
		n += (uint64_t)__builtin_popcountll(clone_word(le64_get(w), first + i, c->nr_regions));
	}
	__atomic_fetch_add(&c->nr_hydrated, n, __ATOMIC_RELAXED);
	return 0;
}

static int check_all(struct check *c)
{
	struct sm_root root = sm_root_get(c->sb.metadata_space_map_root);
	struct array_scan bitset = clone_bitset(le64_get(c->sb.bitset_root), c->nr_regions);
	int r = 0;

	scan_ref(&c->s, SB_LOCATION);
	if (c->nr_regions) {
		r = array_scan_index(&c->s, &bitset);
		if (!r)
			r = array_scan_read(&c->s, &bitset, 1, "checking", count, c);
		array_scan_exit(&bitset);
	} else {
		c->s.incomplete = true;
	}
	if (!r)
		r = metadata_sm_load(&c->s, &c->metadata, &root);
	return r ? r : metadata_sm_check(&c->s, &c->metadata);
}

static int mend(struct check *c, struct pd_check_result *res)
{
	struct mended maps = { .changed = false };
	int r;

	if (c->damage.failed || damage_any(&c->damage, PD_SEV_FATAL) || c->s.incomplete)
		return 0;
	r = mend_space_maps(&c->s, &c->metadata, NULL, true, &maps);
	if (r || !maps.changed)
		return r;
	r = mend_superblock(c->io, &(struct mend_sb){
		.kind = KIND_CLONE_SB, .seen = &c->sb, .seen_len = sizeof(c->sb),
		.metadata_root_at = offsetof(struct clone_superblock, metadata_space_map_root),
	}, &maps, c->run->log);
	if (r)
		return r;
	if (maps.nr_counts)
		pd_log(c->run->log, PD_LOG_WARN, "%" PRIu64 " counts that were too high have been mended",
		       maps.nr_counts);
	res->mended = maps.nr_counts;
	c->damage.by_severity[PD_SEV_ERROR] -= maps.nr_counts;
	return 0;
}

int pd_clone_check(struct pd_io *io, const struct pd_clone_check_opts *o, const struct pd_run *run,
		   struct pd_check_result *res, struct pd_clone_status *status)
{
	struct check c = { .io = io, .run = run };
	int r;

	if (o->size != sizeof(*o))
		return -EINVAL;
	memset(res, 0, sizeof(*res));
	damage_init(&c.damage);
	r = clone_sb_read(io, run->log, &c.sb);
	if (!r)
		r = scan_init(&c.s, io, run, &c.damage,
			      le64_get(sm_root_get(c.sb.metadata_space_map_root).nr_blocks));
	c.s.keep_leaks = o->auto_repair;
	if (!r)
		r = check_superblock(&c);
	if (!r && !o->super_block_only)
		r = check_all(&c);
	if (!r) {
		damage_report(&c.damage, run->log, "clone", "regions");
		if (o->auto_repair && !o->super_block_only)
			r = mend(&c, res);
		damage_result(&c.damage, res);
		*status = (struct pd_clone_status){ c.nr_regions, c.nr_hydrated };
		if (c.damage.failed)
			r = -ENOMEM;
		if (res->worst == PD_SEV_FATAL)
			pd_log(run->log, PD_LOG_ERR, "clone_repair saves what can be saved.");
	}
	if (r == -ENOMEM)
		pd_log(run->log, PD_LOG_ERR, "out of memory");
	metadata_sm_exit(&c.metadata);
	scan_exit(&c.s);
	damage_exit(&c.damage);
	return r;
}
