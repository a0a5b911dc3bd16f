/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The check of thin metadata: what is looked at, in which order, and what follows from it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <pdata/err.h>
#include <pdata/thin.h>
#include "meta/mend.h"
#include "thin/check.h"
#include "thin/dump.h"
#include "thin/mappings.h"

static void found_at(struct thin_check *c, enum pd_problem p, enum pd_place place, uint64_t block)
{
	struct pd_finding f = {
		.problem = p, .place = place, .snap = c->s.snap, .block = block,
	};

	damage_add(&c->damage, &f);
}

static void found_number(struct thin_check *c, enum pd_problem p, enum pd_place place, uint64_t got,
			 uint64_t want)
{
	struct pd_finding f = {
		.problem = p, .place = place, .snap = c->s.snap, .block = PD_NO_BLOCK,
		.has_numbers = true, .got = got, .want = want,
	};

	damage_add(&c->damage, &f);
}

static void found_device(struct thin_check *c, enum pd_problem p, enum pd_place place, uint64_t dev)
{
	struct pd_finding f = {
		.problem = p, .place = place, .snap = c->s.snap, .block = PD_NO_BLOCK,
		.has_key = true, .key = dev,
	};

	damage_add(&c->damage, &f);
}

/* T2 to T6, G3, G4: a superblock that was recognised. */
static void check_superblock(struct thin_check *c, const struct thin_superblock *sb)
{
	uint32_t size = le32_get(sb->data_block_size), version = le32_get(sb->version);

	if (version != THIN_VERSION)
		found_number(c, PD_PR_SB_VERSION_ODD, PD_AT_SUPERBLOCK, version, THIN_VERSION);
	if (size < THIN_MIN_BLOCK_SIZE || size > THIN_MAX_BLOCK_SIZE || size % THIN_MIN_BLOCK_SIZE)
		found_at(c, PD_PR_SB_BLOCK_SIZE, PD_AT_SUPERBLOCK, PD_NO_BLOCK);
	if (le32_get(sb->metadata_block_size) != PD_BLOCK_SIZE / 512)
		found_at(c, PD_PR_SB_METADATA_BLOCK_SIZE, PD_AT_SUPERBLOCK, PD_NO_BLOCK);
	if (le32_get(sb->incompat_flags))
		found_at(c, PD_PR_SB_INCOMPAT, PD_AT_SUPERBLOCK, PD_NO_BLOCK);
	if (le32_get(sb->compat_ro_flags))
		found_at(c, PD_PR_SB_COMPAT_RO, PD_AT_SUPERBLOCK, PD_NO_BLOCK);
	if (le32_get(sb->compat_flags))
		found_at(c, PD_PR_SB_COMPAT, PD_AT_SUPERBLOCK, PD_NO_BLOCK);
	if (le32_get(sb->flags) & ~THIN_NEEDS_CHECK)
		found_at(c, PD_PR_SB_FLAGS, PD_AT_SUPERBLOCK, PD_NO_BLOCK);
}

/* Upper tree and details of one superblock, and where they disagree. */
struct devices {
	struct tree_walk upper, details;
};

static uint64_t root_of(const struct devices *d, uint64_t i)
{
	le64 v;

	memcpy(&v, d->upper.values + i * sizeof(v), sizeof(v));
	return le64_get(v);
}

static struct thin_device_details details_of(const struct devices *d, uint64_t i)
{
	struct thin_device_details v;

	memcpy(&v, d->details.values + i * sizeof(v), sizeof(v));
	return v;
}

static void check_details(struct thin_check *c, const struct thin_superblock *sb, uint64_t dev,
			  const struct thin_device_details *v)
{
	uint32_t created = le32_get(v->creation_time), snapped = le32_get(v->snapshotted_time);

	if (created > snapped || snapped > le32_get(sb->time))
		found_device(c, PD_PR_DETAILS_TIME, PD_AT_DETAILS, dev);
	if (le64_get(v->transaction_id) > le64_get(sb->trans_id))
		found_device(c, PD_PR_DETAILS_TRANSACTION, PD_AT_DETAILS, dev);
	if (dev > THIN_MAX_DEV_ID)
		found_device(c, PD_PR_DEV_ID, PD_AT_DETAILS, dev);
}

static int load_devices(struct thin_check *c, struct devices *d, const struct thin_superblock *sb,
			bool no_refs)
{
	uint64_t u = 0, i = 0;
	int r;

	*d = (struct devices){
		.upper = { .place = PD_AT_MAPPINGS, .value_size = sizeof(le64), .no_refs = no_refs,
			   .mark = SLOT_UPPER,
			   .root = le64_get(sb->data_mapping_root) },
		.details = { .place = PD_AT_DETAILS, .no_refs = no_refs,
			     .value_size = sizeof(struct thin_device_details),
			     .root = le64_get(sb->device_details_root) },
	};
	r = scan_tree(&c->s, &d->upper);
	if (!r)
		r = scan_tree(&c->s, &d->details);
	while (!r && (u < d->upper.nr || i < d->details.nr)) {
		uint64_t in_upper = u < d->upper.nr ? d->upper.keys[u] : UINT64_MAX;
		uint64_t in_details = i < d->details.nr ? d->details.keys[i] : UINT64_MAX;

		if (i < d->details.nr && in_details <= in_upper) {
			struct thin_device_details v = details_of(d, i);

			check_details(c, sb, in_details, &v);
			if (in_details != in_upper && !d->upper.damaged)
				found_device(c, PD_PR_DEV_NO_MAPPINGS, PD_AT_DETAILS, in_details);
		} else if (!d->details.damaged) {
			found_device(c, PD_PR_DEV_NO_DETAILS, PD_AT_MAPPINGS, in_upper);
		}
		u += in_upper <= in_details && u < d->upper.nr;
		i += in_details <= in_upper && i < d->details.nr;
	}
	return r;
}

static void devices_exit(struct devices *d)
{
	tree_walk_exit(&d->upper);
	tree_walk_exit(&d->details);
}

/* Every device's tree folded, and its number of mappings against the details. */
static int fold_devices(struct thin_check *c, struct mappings *m, const struct devices *d)
{
	uint64_t i = 0;
	int r = 0;

	for (uint64_t u = 0; !r && u < d->upper.nr; u++) {
		uint64_t dev = d->upper.keys[u], root = root_of(d, u);
		struct mappings_sum sum;

		r = mappings_fold(m, root, d->upper.counts[u], &sum);
		if (!r && (sum.damaged || sum.odd))
			r = mappings_tell(m, dev, root);
		while (i < d->details.nr && d->details.keys[i] < dev)
			i++;
		if (!r && i < d->details.nr && d->details.keys[i] == dev) {
			struct thin_device_details v = details_of(d, i);
			struct pd_finding f = {
				.problem = sum.damaged ? PD_PR_DEV_DAMAGED : PD_PR_DEV_MAPPED, .place = PD_AT_MAPPINGS,
				.snap = c->s.snap, .has_key = true, .key = dev, .block = PD_NO_BLOCK,
				.has_numbers = true, .got = sum.nr_mappings,
				.want = le64_get(v.mapped_blocks),
			};

			if (sum.damaged || f.got != f.want)
				damage_add(&c->damage, &f);
		}
	}
	return r;
}

/* The held superblock, T14 and T15. False if it cannot be followed. */
static bool load_snapshot(struct thin_check *c, uint64_t block, struct thin_superblock *sb)
{
	static const uint8_t zeros[SM_ROOT_SIZE];
	enum pd_problem p = PD_PR_BLOCK_BEYOND;
	struct slot *slot;
	struct bits set;

	c->s.snap = true;
	if (block < c->s.nr_blocks && !bits_init(&set, c->s.slots.nr_blocks)) {
		slot = &c->s.slots.slot[block];
		scan_ref(&c->s, block);
		bits_set(&set, block);
		p = slots_read(&c->s.slots, &set, NULL, NULL, NULL, NULL) ? PD_PR_BLOCK_IO :
		    slot_problem(slot, KIND_THIN_SB);
		if (!p && pd_io_read(c->s.io, block, 1, c->s.slots.buf))
			p = PD_PR_BLOCK_IO;
		bits_exit(&set);
	}
	if (!p) {
		memcpy(sb, c->s.slots.buf, sizeof(*sb));
		if (le64_get(sb->magic) != THIN_MAGIC)
			p = PD_PR_SB_MAGIC;
	}
	if (p) {
		found_at(c, p, PD_AT_SUPERBLOCK, block);
		c->s.incomplete = true;
	} else {
		if (le64_get(sb->held_root))
			found_at(c, PD_PR_SNAP_HELD_ROOT, PD_AT_SUPERBLOCK, block);
		if (memcmp(sb->data_space_map_root, zeros, sizeof(zeros)) ||
		    memcmp(sb->metadata_space_map_root, zeros, sizeof(zeros)))
			found_at(c, PD_PR_SNAP_SM_ROOTS, PD_AT_SUPERBLOCK, block);
	}
	c->s.snap = false;
	return !p;
}

/* Blocks that count as used and that nobody has read yet. NULL in @*plan when the bitmaps are not all
 * there: then the trees themselves must show the way. */
static int make_plan(struct thin_check *c, struct bits *bits, struct bits **plan)
{
	const struct metadata_sm *sm = &c->metadata;
	int r;

	*plan = NULL;
	if (!sm->whole)
		return 0;
	r = bits_init(bits, c->s.slots.nr_blocks);
	if (r)
		return r;
	for (uint64_t b = 0; b < sm->nr_blocks; b++) {
		const uint8_t *bytes = sm->bitmaps[b / ENTRIES_PER_BITMAP];

		/* Four entries a byte; most of a large device is either all used or all free. */
		if (b % ENTRIES_PER_BITMAP % 4 == 0 &&
		    !bytes[sizeof(struct bitmap_header) + b % ENTRIES_PER_BITMAP / 4]) {
			b += 3;
			continue;
		}
		if (metadata_sm_get(sm, b) && c->s.slots.slot[b].state == SLOT_UNREAD)
			bits_set(bits, b);
	}
	bits_clear(bits, SB_LOCATION);
	*plan = bits;
	return 0;
}

static int read_mappings(struct thin_check *c, struct mappings *m, const struct devices *live,
			 const struct devices *held)
{
	uint64_t nr = live->upper.nr + held->upper.nr, *roots = malloc((nr + 1) * sizeof(*roots));
	struct bits bits = { .nr = 0 }, *plan = NULL;
	int r = roots ? 0 : -ENOMEM;

	for (uint64_t i = 0; !r && i < nr; i++)
		roots[i] = i < live->upper.nr ? root_of(live, i) :
						root_of(held, i - live->upper.nr);
	if (!r && c->metadata.bitmaps)
		r = make_plan(c, &bits, &plan);
	if (!r)
		r = mappings_read(m, plan, roots, nr);
	bits_exit(&bits);
	free(roots);
	return r;
}

/* Everything below an accepted superblock. */
static int check_trees(struct thin_check *c)
{
	const struct pd_thin_check_opts *o = c->o;
	struct devices live = { .upper = { .nr = 0 } }, held = { .upper = { .nr = 0 } };
	struct sm_root data_root = sm_root_get(c->live.data_space_map_root);
	struct thin_superblock snap;
	struct mappings m = { .s = NULL };
	uint64_t held_root = le64_get(c->live.held_root);
	bool space_maps = !o->metadata_snap && !o->skip_mappings, has_snap = false;
	int r = 0;

	if (!o->metadata_snap) {
		scan_ref(&c->s, SB_LOCATION);
		r = load_devices(c, &live, &c->live, false);
	}
	if (!r && held_root && !o->skip_mappings)
		has_snap = load_snapshot(c, held_root, &snap);
	if (!r && has_snap) {
		c->s.snap = true;
		r = load_devices(c, &held, &snap, false);
		c->s.snap = false;
	}
	if (r || o->skip_mappings)
		goto out;
	if (space_maps && c->trees_only) {
		c->data.index.place = PD_AT_DATA_SM;
		c->data.nr_blocks = le64_get(data_root.nr_blocks);
		r = counts_init(&c->data.counts, c->data.nr_blocks, NULL);
	} else if (space_maps) {
		struct sm_root root = sm_root_get(c->live.metadata_space_map_root);

		r = metadata_sm_load(&c->s, &c->metadata, &root);
		if (!r)
			r = data_sm_load(&c->s, &c->data, &data_root);
	}
	if (!r)
		r = mappings_init(&m, &c->s, space_maps ? &c->data.counts : NULL,
				  le64_get(data_root.nr_blocks), le32_get(c->live.time));
	if (!r)
		r = read_mappings(c, &m, &live, &held);
	if (!r)
		r = fold_devices(c, &m, &live);
	if (!r && has_snap) {
		c->s.snap = true;
		r = fold_devices(c, &m, &held);
		c->s.snap = false;
	}
	if (!r && space_maps && !c->trees_only) {
		if (!c->s.incomplete)
			r = mappings_settle(&m);
		if (!r)
			r = data_sm_check(&c->s, &c->data, !c->s.incomplete);
		if (!r)
			r = metadata_sm_check(&c->s, &c->metadata);
	}
out:
	mappings_exit(&m);
	devices_exit(&live);
	devices_exit(&held);
	return r;
}

static void say_more(struct thin_check *c)
{
	struct pd_log *log = c->run->log;
	uint64_t leaks = c->damage.count[PD_PR_SM_LEAK];

	if (damage_any(&c->damage, PD_SEV_FATAL))
		pd_log(log, PD_LOG_ERR, "thin_repair, or thin_dump --repair, saves what can be saved.%s",
		       c->damage.count[PD_PR_SM_LOST] ? " thin_repair --in-place mends lost counts." : "");
	else if (leaks && !c->res->mended && !c->o->auto_repair)
		pd_log(log, PD_LOG_ERR, "%" PRIu64 " counts are too high; nothing is lost. "
		       "thin_check --auto-repair mends them.", leaks);
	if (c->s.incomplete)
		pd_log(log, PD_LOG_ERR, "The space maps were not compared, as trees are damaged.");
}

int thin_check_run(struct thin_check *c)
{
	const struct pd_thin_check_opts *o = c->o;
	struct thin_superblock sb;
	struct sm_root root;
	int r;

	r = thin_sb_read(c->io, false, NULL, c->run->log, &c->live);
	if (r)
		return r;
	if (o->metadata_snap) {
		r = thin_sb_read(c->io, true, NULL, c->run->log, &sb);
		if (r)
			return r;
	}
	root = sm_root_get(c->live.metadata_space_map_root);
	if (o->on_superblock)
		o->on_superblock(o->ctx, le64_get(o->metadata_snap ? sb.trans_id : c->live.trans_id),
				 le64_get(root.nr_blocks) - le64_get(root.nr_allocated));
	if (o->has_mapping_root)
		c->live.data_mapping_root = le64_put(o->mapping_root);
	if (o->has_details_root)
		c->live.device_details_root = le64_put(o->details_root);
	c->res->needs_check = le32_get(c->live.flags) & THIN_NEEDS_CHECK;
	r = scan_init(&c->s, c->io, c->run, &c->damage, le64_get(root.nr_blocks));
	if (r)
		return r;
	c->s.keep_leaks = o->auto_repair || o->clear_needs_check;
	check_superblock(c, &c->live);
	if (c->res->needs_check)
		found_at(c, PD_PR_SB_NEEDS_CHECK, PD_AT_SUPERBLOCK, PD_NO_BLOCK);
	return o->super_block_only ? 0 : check_trees(c);
}

/* ---- mending ---- */

static int rewrite_superblock(struct thin_check *c, const struct mended *maps, bool clear)
{
	return mend_superblock(c->io, &(struct mend_sb){
		.kind = KIND_THIN_SB, .seen = &c->live, .seen_len = sizeof(c->live),
		.metadata_root_at = offsetof(struct thin_superblock, metadata_space_map_root),
		.data_root_at = offsetof(struct thin_superblock, data_space_map_root),
		.clear_flags = clear ? THIN_NEEDS_CHECK : 0,
	}, maps, c->run->log);
}

/* What a mending run may do; nothing if it was not asked for or something is fatal. */
static int mend(struct thin_check *c)
{
	const struct pd_thin_check_opts *o = c->o;
	struct pd_log *log = c->run->log;
	uint64_t leaks = c->damage.count[PD_PR_SM_LEAK];
	uint64_t others = c->damage.by_severity[PD_SEV_ERROR] - leaks;
	bool whole = !o->super_block_only && !o->skip_mappings;
	bool clear = c->res->needs_check && (!others || o->ignore_non_fatal);
	struct mended maps = { .changed = false };
	bool mend_maps = whole && (o->auto_repair ||
				   (leaks && !others && !o->ignore_non_fatal));
	int r = 0;

	if ((!o->clear_needs_check && !o->auto_repair) || damage_any(&c->damage, PD_SEV_FATAL) ||
	    c->damage.failed || (!mend_maps && !clear))
		return 0;
	if (le32_get(c->live.compat_ro_flags)) {
		pd_log(log, PD_LOG_ERR, "unknown feature flags forbid writing to this metadata");
		return -EROFS;
	}
	if (o->on_write)
		o->on_write(o->ctx);
	if (mend_maps)
		r = mend_space_maps(&c->s, &c->metadata, &c->data, o->auto_repair, &maps);
	if (!r && (maps.changed || clear))
		r = rewrite_superblock(c, &maps, clear);
	if (r)
		return r;
	if (maps.nr_counts)
		pd_log(log, PD_LOG_WARN, "%" PRIu64 " counts that were too high have been mended",
		       maps.nr_counts);
	else if (maps.changed)
		pd_log(log, PD_LOG_WARN, "free counts and hints of the space maps have been mended");
	if (clear)
		pd_log(log, PD_LOG_WARN, "the needs_check flag has been cleared");
	c->res->cleared = clear;
	c->res->mended = maps.nr_counts;
	c->damage.by_severity[PD_SEV_ERROR] -= maps.nr_counts;
	return 0;
}

void thin_check_init(struct thin_check *c, struct pd_io *io, const struct pd_thin_check_opts *o,
		     const struct pd_run *run, struct pd_check_result *res)
{
	memset(c, 0, sizeof(*c));
	memset(res, 0, sizeof(*res));
	c->io = io;
	c->o = o;
	c->run = run;
	c->res = res;
	damage_init(&c->damage);
}

void thin_check_exit(struct thin_check *c)
{
	metadata_sm_exit(&c->metadata);
	if (c->data.index.place == PD_AT_DATA_SM)
		data_sm_exit(&c->data);
	scan_exit(&c->s);
	damage_exit(&c->damage);
}

int pd_thin_check(struct pd_io *io, const struct pd_thin_check_opts *o, const struct pd_run *run,
		  struct pd_check_result *res)
{
	static const struct pd_run quietly;
	struct thin_check c;
	int r;

	thin_check_init(&c, io, o, run ? run : &quietly, res);
	r = thin_check_run(&c);
	if (!r) {
		damage_report(&c.damage, c.run->log, "thin device", "virtual blocks");
		r = mend(&c);
		damage_result(&c.damage, res);
		say_more(&c);
		if (c.damage.failed)
			r = -ENOMEM;
	}
	if (r == -ENOMEM)
		pd_log(c.run->log, PD_LOG_ERR, "out of memory");
	thin_check_exit(&c);
	return r;
}
