/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New space maps beside the old ones, in blocks that neither the trees nor the old maps use; then
 * the superblock. Until that one write the old state is whole, after it the new one is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <pdata/err.h>
#include "persistent-data/build.h"
#include "thin/check.h"

/* Blocks of the old maps, as far as they can be found, so that they are left alone. */
static int old_maps(struct thin_check *c, struct bits *avoid)
{
	struct sm_root metadata = sm_root_get(c->live.metadata_space_map_root);
	struct sm_root data = sm_root_get(c->live.data_space_map_root);
	const struct pd_run quietly = { .nr_threads = c->run->nr_threads };
	struct metadata_sm msm = { .bitmaps = NULL };
	struct data_sm dsm = { .whole = false };
	struct damage ignored;
	struct tree_walk w;
	struct scan s;
	int r;

	damage_init(&ignored);
	r = scan_init(&s, c->io, &quietly, &ignored, c->s.nr_blocks);
	if (!r)
		r = metadata_sm_load(&s, &msm, &metadata);
	if (!r)
		r = data_sm_load(&s, &dsm, &data);
	for (unsigned i = 0; !r && i < 2; i++) {
		w = (struct tree_walk){
			.place = PD_AT_DATA_SM, .value_size = sizeof(le32),
			.root = le64_get(i ? data.ref_count_root : metadata.ref_count_root),
		};
		r = scan_tree(&s, &w);
		tree_walk_exit(&w);
	}
	for (uint64_t b = r ? s.reached.nr : bits_next(&s.reached, 0); b < s.reached.nr;
	     b = bits_next(&s.reached, b + 1))
		bits_set(avoid, b);
	metadata_sm_exit(&msm);
	if (dsm.index.place == PD_AT_DATA_SM)
		data_sm_exit(&dsm);
	scan_exit(&s);
	damage_exit(&ignored);
	return r;
}

/* The end of a phase: once all of it is on the device, if this is where to stop. */
static int stopped(const struct pd_thin_in_place_opts *o, enum pd_thin_phase phase, struct out *out,
		   const struct pd_run *run)
{
	int r;

	if (o->stop_after != phase)
		return 0;
	r = out_flush(out);
	if (r)
		return r;
	pd_log(run->log, PD_LOG_WARN, "stopped after a phase, as asked for");
	return -ECANCELED;
}

static int build(struct thin_check *c, const struct pd_thin_in_place_opts *o, const struct bits *avoid)
{
	struct thin_superblock *sb = pd_io_buffer(1);
	struct sm_root data, metadata;
	struct out *out = NULL;
	int r = sb ? pd_io_read(c->io, SB_LOCATION, 1, sb) : -ENOMEM;

	if (!r)
		r = out_create_beside(&out, c->io, c->s.nr_blocks, avoid, c->run->log);
	for (uint64_t b = r ? c->s.reached.nr : bits_next(&c->s.reached, 1); b < c->s.reached.nr;
	     b = bits_next(&c->s.reached, b + 1))
		for (uint32_t n = c->s.slots.slot[b].refs; n; n--)
			out_ref(out, b);
	if (!r)
		r = sm_build_data(out, &c->data.counts, c->data.nr_blocks, &data);
	if (!r)
		r = stopped(o, PD_THIN_PHASE_DATA_SM, out, c->run);
	if (!r)
		r = out_metadata_sm(out, &metadata);
	if (!r)
		r = stopped(o, PD_THIN_PHASE_METADATA_SM, out, c->run);
	if (!r) {
		memcpy(sb->data_space_map_root, &data, sizeof(data));
		memcpy(sb->metadata_space_map_root, &metadata, sizeof(metadata));
		sb->flags = le32_put(le32_get(sb->flags) & ~THIN_NEEDS_CHECK);
		r = out_commit(out, sb, KIND_THIN_SB);
	}
	out_destroy(out);
	free(sb);
	return r;
}

int pd_thin_repair_in_place(struct pd_io *io, const struct pd_thin_in_place_opts *o,
			    const struct pd_run *run)
{
	struct pd_thin_check_opts check = { .size = sizeof(check) };
	struct pd_check_result res;
	struct thin_check c;
	struct bits avoid = { .nr = 0 };
	int r;

	if (o->size != sizeof(*o))
		return -EINVAL;
	thin_check_init(&c, io, &check, run, &res);
	c.trees_only = true;
	r = thin_check_run(&c);
	if (!r && (damage_any(&c.damage, PD_SEV_FATAL) || c.s.incomplete || c.damage.failed)) {
		damage_report(&c.damage, run->log, "thin device", "virtual blocks");
		pd_log(run->log, PD_LOG_ERR, "trees are damaged, so space maps cannot be made from them; "
		       "nothing was written. thin_repair -i ... -o ... saves what can be saved");
		r = -EUCLEAN;
	}
	if (!r && le32_get(c.live.compat_ro_flags)) {
		pd_log(run->log, PD_LOG_ERR, "unknown feature flags forbid writing to this metadata");
		r = -EROFS;
	}
	if (!r)
		r = bits_init(&avoid, c.s.slots.nr_blocks);
	for (uint64_t i = 0; !r && i < ceil_div(avoid.nr, 64); i++)
		avoid.words[i] = c.s.reached.words[i];
	if (!r)
		r = old_maps(&c, &avoid);
	if (!r && o->on_write)
		o->on_write(o->ctx);
	if (!r)
		r = build(&c, o, &avoid);
	bits_exit(&avoid);
	thin_check_exit(&c);
	return r;
}
