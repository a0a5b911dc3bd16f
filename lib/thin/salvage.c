/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The walk from a superblock, and what it leaves of each device. */
#include <errno.h>
#include <stdlib.h>
#include "thin/salvage.h"

int salvage_init(struct salvage *sv, struct pd_io *io, const struct pd_run *run,
		 const struct thin_superblock *sb)
{
	int r;

	*sv = (struct salvage){ .io = io, .run = run, .sb = *sb };
	damage_init(&sv->damage);
	damage_init(&sv->loss);
	r = scan_init(&sv->s, io, run, &sv->damage, pd_io_nr_blocks(io));
	return r ? r : bits_init(&sv->barred, sv->s.slots.nr_blocks);
}

void salvage_exit(struct salvage *sv)
{
	mappings_exit(&sv->m);
	tree_walk_exit(&sv->upper);
	tree_walk_exit(&sv->details);
	tree_walk_exit(&sv->overflow);
	metadata_sm_exit(&sv->metadata);
	if (sv->data.index.place == PD_AT_DATA_SM)
		data_sm_exit(&sv->data);
	bits_exit(&sv->barred);
	scan_exit(&sv->s);
	damage_exit(&sv->damage);
	damage_exit(&sv->loss);
	free(sv->devices);
	free(sv->lost);
	free(sv->orphans);
}

uint64_t salvage_stored(const struct salvage *sv, uint64_t b)
{
	const struct metadata_sm *sm = &sv->metadata;
	uint64_t lo = 0, hi = sv->overflow.nr;
	unsigned n;
	le32 v;

	if (b >= sm->nr_blocks || !sm->bitmap_ok[b / ENTRIES_PER_BITMAP])
		return 0;
	n = metadata_sm_get(sm, b);
	if (n < 3)
		return n;
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;

		if (sv->overflow.keys[mid] < b)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == sv->overflow.nr || sv->overflow.keys[lo] != b)
		return 3;
	memcpy(&v, sv->overflow.values + lo * sizeof(v), sizeof(v));
	return max_t(uint32_t, le32_get(v), 3);
}

bool salvage_counted_less(const struct salvage *sv, uint64_t b, uint64_t refs)
{
	const struct metadata_sm *sm = &sv->metadata;
	unsigned n;

	if (b >= sm->nr_blocks || !sm->bitmap_ok[b / ENTRIES_PER_BITMAP])
		return false;
	n = metadata_sm_get(sm, b);
	return n < 3 ? n < refs : salvage_stored(sv, b) > 3 && salvage_stored(sv, b) < refs;
}

/* ---- the walk ---- */

static int walk_small_trees(struct salvage *sv, struct tree_walk *upper, struct tree_walk *details,
			    const struct thin_superblock *sb)
{
	int r;

	*upper = (struct tree_walk){ .place = PD_AT_MAPPINGS, .value_size = sizeof(le64),
				     .mark = SLOT_UPPER, .root = le64_get(sb->data_mapping_root) };
	*details = (struct tree_walk){ .place = PD_AT_DETAILS,
				       .value_size = sizeof(struct thin_device_details),
				       .root = le64_get(sb->device_details_root) };
	r = scan_tree(&sv->s, upper);
	return r ? r : scan_tree(&sv->s, details);
}

int salvage_by_id(const void *va, const void *vb)
{
	const struct salvage_device *a = va, *b = vb;

	return a->details.dev_id < b->details.dev_id ? -1 : a->details.dev_id > b->details.dev_id;
}

/* The union of both trees, ascending. */
static int join_devices(struct salvage *sv)
{
	const struct tree_walk *up = &sv->upper, *de = &sv->details;
	uint64_t u = 0, d = 0;

	sv->devices = calloc(up->nr + de->nr + 1, sizeof(*sv->devices));
	if (!sv->devices)
		return -ENOMEM;
	while (u < up->nr || d < de->nr) {
		uint64_t a = u < up->nr ? up->keys[u] : UINT64_MAX;
		uint64_t b = d < de->nr ? de->keys[d] : UINT64_MAX;
		struct salvage_device *dev = &sv->devices[sv->nr_devices];

		dev->details.dev_id = (uint32_t)min_t(uint64_t, a, b);
		if (b <= a && d < de->nr) {
			struct thin_device_details v;

			memcpy(&v, de->values + d * sizeof(v), sizeof(v));
			dev->has_details = true;
			dev->details.mapped_blocks = le64_get(v.mapped_blocks);
			dev->details.transaction = le64_get(v.transaction_id);
			dev->details.creation_time = le32_get(v.creation_time);
			dev->details.snap_time = le32_get(v.snapshotted_time);
		}
		if (a <= b && u < up->nr) {
			dev->has_root = true;
			dev->root = upper_root(up, u);
		}
		u += a <= b && u < up->nr;
		d += b <= a && d < de->nr;
		/* No device has such an id, whatever the trees say. */
		if (min_t(uint64_t, a, b) <= THIN_MAX_DEV_ID)
			sv->nr_devices++;
		else
			memset(dev, 0, sizeof(*dev));
	}
	return 0;
}

static int read_mappings(struct salvage *sv, const struct tree_walk *held)
{
	uint64_t n = 0, *roots = malloc((sv->nr_devices + held->nr + 1) * sizeof(*roots));
	struct bits plan = { .nr = 0 };
	int r = roots ? 0 : -ENOMEM;

	for (unsigned i = 0; !r && i < sv->nr_devices; i++)
		if (sv->devices[i].has_root)
			roots[n++] = sv->devices[i].root;
	for (uint64_t i = 0; !r && i < held->nr; i++)
		roots[n++] = upper_root(held, i);
	if (!r && sv->metadata.whole) {
		r = bits_init(&plan, sv->s.slots.nr_blocks);
		for (uint64_t b = 1; !r && b < sv->metadata.nr_blocks; b++)
			if (metadata_sm_get(&sv->metadata, b) &&
			    sv->s.slots.slot[b].state == SLOT_UNREAD)
				bits_set(&plan, b);
	}
	if (!r)
		r = mappings_read(&sv->m, plan.words ? &plan : NULL, roots, n);
	bits_exit(&plan);
	free(roots);
	return r;
}

/* ---- what is lost ---- */

struct collecting {
	struct salvage *sv;
	unsigned dev;
};

static int add_lost(struct salvage *sv, const struct lost_place *p)
{
	if (sv->nr_lost == sv->max_lost) {
		size_t max = sv->max_lost ? 2 * sv->max_lost : 64;
		struct lost_place *more = realloc(sv->lost, max * sizeof(*more));

		if (!more)
			return -ENOMEM;
		sv->lost = more;
		sv->max_lost = max;
	}
	sv->lost[sv->nr_lost++] = *p;
	return 0;
}

static int collect(void *ctx, enum pd_problem p, uint64_t begin, uint64_t end, uint64_t block,
		   int height)
{
	struct collecting *c = ctx;
	struct lost_place place = { .block = block, .begin = begin, .end = end, .height = height,
				    .dev = c->dev };

	/* Another sound node where this one should be: nothing may be put in its place. */
	c->sv->nr_misfits += salvage_is_misfit(p);
	place.barred = salvage_is_misfit(p) || p == PD_PR_BLOCK_BEYOND ||
		       (block < c->sv->barred.nr && bits_test(&c->sv->barred, block));
	return add_lost(c->sv, &place);
}

/* Leaves that name data blocks that are not there cannot be of this pool as it is. */
static void drop_wide_leaves(struct salvage *sv)
{
	for (uint64_t b = bits_next(&sv->m.counted, 0); b < sv->m.counted.nr;
	     b = bits_next(&sv->m.counted, b + 1))
		if (mappings_leaf_is_wide(&sv->s.slots.slot[b]))
			sv->s.slots.slot[b].state = SLOT_CSUM;
}

static int fold_live(struct salvage *sv, bool first)
{
	int r = 0;

	for (unsigned i = 0; !r && i < sv->nr_devices; i++) {
		struct salvage_device *d = &sv->devices[i];
		struct collecting c = { sv, i };
		struct mappings_sum sum = { .nr_mappings = 0 };

		if (!d->has_root) {
			if (first && (!d->has_details || d->details.mapped_blocks))
				r = add_lost(sv, &(struct lost_place){ .height = -1, .dev = i,
								       .rootless = true, .barred = d->barred });
			sv->sound &= !first;
			continue;
		}
		r = mappings_fold(&sv->m, d->root, true, &sum);
		d->nr_kept = sum.nr_mappings;
		/* Nothing is missing, yet it is not what it was: a stale node may be in it. */
		d->suspect = !first && d->has_details && !sum.damaged &&
			     sum.nr_mappings != d->details.mapped_blocks;
		if (r || !first)
			continue;
		if (sum.damaged)
			r = mappings_each_lost(&sv->m, d->root, collect, &c);
		if (sum.damaged || !d->has_details || d->details.mapped_blocks != sum.nr_mappings)
			sv->sound = false;
		/* A whole tree that is not what the details say has a stale node in it, whose true children are orphans. */
		if (!sum.damaged && d->has_details && d->details.mapped_blocks != sum.nr_mappings)
			r = add_lost(sv, &(struct lost_place){ .block = d->root, .height = -1, .dev = i,
							       .barred = true, .hidden = true });
	}
	return r;
}

static int fold_held(struct salvage *sv, const struct tree_walk *held)
{
	int r = 0;

	for (uint64_t i = 0; !r && i < held->nr; i++) {
		struct collecting c = { sv, UINT32_MAX };
		struct mappings_sum sum;

		r = mappings_fold(&sv->m, upper_root(held, i), held->counts[i], &sum);
		if (!r && sum.damaged)
			r = mappings_each_lost(&sv->m, upper_root(held, i), collect, &c);
	}
	return r;
}

static int load_held(struct salvage *sv, struct tree_walk *upper)
{
	struct tree_walk details;
	uint64_t block = le64_get(sv->sb.held_root);
	struct thin_superblock sb;
	void *buf = sv->s.slots.buf;
	int r;

	if (!block)
		return 0;
	if (block >= sv->s.nr_blocks || pd_io_read(sv->io, block, 1, buf) ||
	    block_kind(buf) != KIND_THIN_SB || block_nr(buf, KIND_THIN_SB) != block) {
		sv->doubt = true;
		return 0;
	}
	memcpy(&sb, buf, sizeof(sb));
	sv->s.slots.slot[block].state = SLOT_OK;
	sv->s.slots.slot[block].kind = KIND_THIN_SB;
	scan_ref(&sv->s, block);
	r = walk_small_trees(sv, upper, &details, &sb);
	/* An upper tree that both share is one parent, and what it named is known by the counts. */
	if (upper->damaged && le64_get(sb.data_mapping_root) != le64_get(sv->sb.data_mapping_root))
		sv->doubt = true;
	tree_walk_exit(&details);
	return r;
}

/*
 * A bitmap that is sound may be an older one. The live one counts what the superblock names, and has as many free blocks
 * as the index says.
 */
static void doubt_bitmaps(struct salvage *sv)
{
	struct metadata_sm *sm = &sv->metadata;
	struct sm_root data = sm_root_get(sv->sb.data_space_map_root);
	uint64_t named[] = {
		SB_LOCATION, le64_get(sv->sb.data_mapping_root), le64_get(sv->sb.device_details_root),
		le64_get(sv->sb.held_root), le64_get(sm->root.bitmap_root), le64_get(sm->root.ref_count_root),
		le64_get(data.bitmap_root), le64_get(data.ref_count_root),
	};

	for (unsigned i = 0; i < sm->nr_bitmaps; i++) {
		struct sm_group g;
		uint64_t begin = (uint64_t)i * ENTRIES_PER_BITMAP;

		if (!sm->bitmap_ok[i])
			continue;
		sm_group_look(sm->bitmaps[i], (unsigned)min_t(uint64_t, ENTRIES_PER_BITMAP, sm->nr_blocks - begin), &g);
		if (g.nr_free != le32_get(sm->index.index[i].nr_free))
			sm->bitmap_ok[i] = false;
		for (unsigned k = 0; k < sizeof(named) / sizeof(named[0]); k++)
			if (named[k] / ENTRIES_PER_BITMAP == i && named[k] < sm->nr_blocks &&
			    !metadata_sm_get(sm, named[k]))
				sm->bitmap_ok[i] = false;
		sm->whole &= sm->bitmap_ok[i];
	}
}

/* The rest of what a check looks at, for its references alone. */
static int load_space_maps(struct salvage *sv)
{
	struct sm_root metadata = sm_root_get(sv->sb.metadata_space_map_root);
	struct sm_root data = sm_root_get(sv->sb.data_space_map_root);
	int r = metadata_sm_load(&sv->s, &sv->metadata, &metadata);

	if (!r)
		doubt_bitmaps(sv);
	if (!r)
		r = data_sm_load(&sv->s, &sv->data, &data);
	if (r)
		return r;
	sv->overflow = (struct tree_walk){
		.place = PD_AT_METADATA_SM, .value_size = sizeof(le32),
		.root = le64_get(metadata.ref_count_root),
	};
	return scan_tree(&sv->s, &sv->overflow);
}

/* The overflow tree of the data space map, so that its nodes are not taken for orphans. */
static int walk_data_overflow(struct salvage *sv)
{
	struct tree_walk w = {
		.place = PD_AT_DATA_SM, .value_size = sizeof(le32),
		.root = le64_get(sm_root_get(sv->sb.data_space_map_root).ref_count_root),
	};
	int r = scan_tree(&sv->s, &w);

	tree_walk_exit(&w);
	return r;
}

static int newest(void *ctx, unsigned worker, uint64_t block, const void *data, int err)
{
	struct salvage *sv = ctx;
	const struct node_header *n = data;

	(void)worker;
	(void)block;
	if (err || block_kind(n) != KIND_NODE || node_check(n, sizeof(le64)))
		return 0;
	for (uint32_t i = 0; i < le32_get(n->nr_entries); i++)
		sv->newest_time = max_t(uint32_t, sv->newest_time, mapping_time(node_value64(n, i)));
	return 0;
}

/* Devices whose details are lost get what can be said of all of them. */
static int make_up_details(struct salvage *sv)
{
	struct pd_run one = { .nr_threads = 1 };
	uint64_t transaction = le64_get(sv->sb.trans_id);
	uint32_t time;
	bool any = false;
	int r;

	for (unsigned i = 0; i < sv->nr_devices; i++)
		any |= !sv->devices[i].has_details;
	if (!any)
		return 0;
	r = stream_blocks(sv->io, &sv->m.counted, &one, NULL, newest, sv);
	time = max_t(uint32_t, le32_get(sv->sb.time),
		     min_t(uint32_t, sv->newest_time + 1, THIN_MAX_TIME));
	for (unsigned i = 0; i < sv->nr_devices; i++) {
		struct salvage_device *d = &sv->devices[i];

		if (d->has_details)
			continue;
		d->details.transaction = transaction ? transaction - 1 : 0;
		d->details.creation_time = d->details.snap_time = time;
	}
	sv->sb.time = le32_put(time);
	return r;
}

static void note_loss(struct salvage *sv, enum pd_problem p, enum pd_place place,
		      const struct salvage_device *d, uint64_t got, uint64_t want)
{
	struct pd_finding f = {
		.problem = p, .place = place, .has_key = true, .key = d->details.dev_id,
		.block = PD_NO_BLOCK, .has_numbers = got != want, .got = got, .want = want,
	};

	damage_add(&sv->loss, &f);
}

/* Folds once more what the edits made of it, and says what is lost. */
static int settle(struct salvage *sv)
{
	int r;

	mappings_unfold(&sv->m);
	sv->s.damage = &sv->loss;
	r = fold_live(sv, false);
	for (unsigned i = 0; !r && i < sv->nr_devices; i++) {
		struct salvage_device *d = &sv->devices[i];

		if (d->has_root)
			r = mappings_tell(&sv->m, d->details.dev_id, d->root);
		if (!d->has_details)
			note_loss(sv, PD_PR_DEV_NO_DETAILS, PD_AT_DETAILS, d, 0, 0);
		if (!d->has_root && d->has_details && d->details.mapped_blocks)
			note_loss(sv, PD_PR_DEV_NO_MAPPINGS, PD_AT_MAPPINGS, d, 0,
				  d->details.mapped_blocks);
		else if (d->has_details && d->nr_kept != d->details.mapped_blocks)
			note_loss(sv, PD_PR_DEV_MAPPED, PD_AT_MAPPINGS, d, d->nr_kept,
				  d->details.mapped_blocks);
	}
	return r;
}

int salvage_run(struct salvage *sv)
{
	struct tree_walk held = { .nr = 0 };
	bool stale = false;
	int r;

	scan_ref(&sv->s, SB_LOCATION);
	sv->s.slots.slot[SB_LOCATION].state = SLOT_OK;
	r = walk_small_trees(sv, &sv->upper, &sv->details, &sv->sb);
	if (!r)
		r = load_held(sv, &held);
	if (!r)
		r = load_space_maps(sv);
	if (!r)
		r = join_devices(sv);
	if (!r)
		r = mappings_init(&sv->m, &sv->s, NULL,
				  le64_get(sm_root_get(sv->sb.data_space_map_root).nr_blocks),
				  le32_get(sv->sb.time));
	if (!r)
		r = read_mappings(sv, &held);
	sv->sound = !sv->upper.damaged && !sv->details.damaged;
	if (!r)
		drop_wide_leaves(sv);
	if (!r)
		r = salvage_drop_stale_nodes(sv, &held);
	if (!r)
		r = salvage_drop_stale(sv, &stale);
	if (!r)
		r = fold_live(sv, true);
	if (!r && !sv->sound) {
		r = fold_held(sv, &held);
		if (!r)
			r = walk_data_overflow(sv);
		if (!r)
			r = salvage_orphans(sv);
		if (!r)
			r = make_up_details(sv);
		/* What was placed has to agree, too. */
		if (!r)
			r = salvage_drop_stale(sv, &stale);
	}
	if (!r && (stale || !sv->sound)) {
		sv->sound = false;
		r = settle(sv);
	}
	tree_walk_exit(&held);
	return r;
}
