/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Repair: what salvage leaves, into new metadata or into text, with a report. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "io/engine.h"
#include "meta/report.h"
#include "thin/build.h"
#include "thin/devices.h"
#include "thin/salvage.h"

struct repair {
	struct salvage sv;
	struct thin_found found;
	struct pd_io *overlay;
	struct thin_view v;
	struct thin_sb_record rec;
	const struct pd_thin_repair_opts *o;
	const struct pd_run *run;
	struct pd_thin_repair_result *res;
};

/* ---- report ---- */

static int report(struct repair *rp)
{
	const char *sb_source = rp->found.source;
	const struct pd_sink *s = rp->o->report;
	const struct pd_thin_overrides *ov = &rp->o->overrides;
	const struct thin_sb_record *rec = &rp->rec;
	int r;

	if (!s)
		return 0;
	r = report_say(s, "{\"format\": 1, \"superblock\": {");
	if (!r)
		r = report_say(s, "\"transaction\": {\"value\": %" PRIu64 ", \"source\": \"%s\"}, ", rec->transaction,
			ov->has_transaction_id ? "option" : sb_source);
	if (!r)
		r = report_say(s, "\"data_block_size\": {\"value\": %" PRIu32 ", \"source\": \"%s\"}, ",
			rec->data_block_size, ov->has_data_block_size ? "option" : sb_source);
	if (!r)
		r = report_say(s, "\"nr_data_blocks\": {\"value\": %" PRIu64 ", \"source\": \"%s\"}, ",
			rec->nr_data_blocks, ov->has_nr_data_blocks ? "option" : sb_source);
	if (!r)
		r = report_say(s, "\"time\": {\"value\": %" PRIu32 ", \"source\": \"%s\"}, \"metadata_snapshot\": \"%s\"},\n"
			" \"devices\": [", rec->time, sb_source,
			le64_get(rp->sv.sb.held_root) ? "not carried over" : "none");
	for (unsigned i = 0; !r && i < rp->sv.nr_devices; i++) {
		const struct salvage_device *d = &rp->sv.devices[i];
		uint64_t key = d->details.dev_id;

		r = report_say(s, "%s\n  {\"id\": %" PRIu32 ", \"kept\": %" PRIu64 ", \"lost\": [", i ? "," : "",
			d->details.dev_id, d->nr_kept);
		if (!r)
			r = report_lost(s, &rp->sv.loss, PD_NR_PLACES, &key);
		if (!r)
			r = report_say(s, "], \"suspect\": %s, \"source\": \"%s\"}", d->suspect ? "true" : "false",
				!d->has_root ? "none" : d->has_details ? "tree" : "tree without details");
	}
	if (!r)
		r = report_say(s, "],\n \"orphans\": [");
	for (size_t i = 0, n = 0; !r && i < rp->sv.nr_orphans; i++) {
		const struct orphan *o = &rp->sv.orphans[i];

		if (o->placed)
			continue;
		r = report_say(s, "%s\n  {\"block\": %" PRIu64 ", \"height\": %u, \"begin\": %" PRIu64
			", \"end\": %" PRIu64 ", \"entries\": %" PRIu64 ", \"candidates\": %u}",
			n++ ? "," : "", o->block, o->height, o->first, o->last + 1, o->nr_entries,
			o->nr_fits);
	}
	if (!r)
		r = report_say(s, "],\n \"generations\": [");
	for (unsigned i = 0; !r && i < rp->found.nr_generations; i++) {
		const struct thin_generation *g = &rp->found.generations[i];

		r = report_say(s, "%s\n  {\"index_block\": %" PRIu64 ", \"complete\": %s, \"time\": %" PRIu32
			", \"transaction\": %" PRIu64 ", \"devices\": %" PRIu64 ", \"mappings\": %" PRIu64
			", \"evidence\": \"%s\"}", i ? "," : "", g->index_block,
			g->complete ? "true" : "false", g->time, g->transaction, g->nr_devices,
			g->nr_mappings, g->chosen ? "taken as the base" : "shares the newest times");
	}
	return r ? r : report_say(s, "]}\n");
}

/* ---- what goes out ---- */

static int make_view(struct repair *rp)
{
	struct salvage *sv = &rp->sv;
	struct thin_view_device *v = calloc(sv->nr_devices + 1, sizeof(*v));
	unsigned n = 0;

	if (!v)
		return -ENOMEM;
	for (unsigned i = 0; i < sv->nr_devices; i++) {
		struct salvage_device *d = &sv->devices[i];
		enum pd_problem p = d->has_root ? mappings_root_problem(&sv->m, d->root) :
						  PD_PR_BLOCK_BEYOND;

		/* An id with neither mappings nor details to show for it says nothing. */
		if (p && !d->has_details)
			continue;
		v[n] = (struct thin_view_device){ .details = d->details, .root = d->root, .lost = p };
		v[n++].details.mapped_blocks = d->nr_kept;
		rp->res->nr_kept += d->nr_kept;
		if (d->has_details && d->details.mapped_blocks > d->nr_kept)
			rp->res->nr_lost += d->details.mapped_blocks - d->nr_kept;
		if (d->suspect)
			rp->res->nr_suspect++;
	}
	for (size_t i = 0; i < sv->nr_orphans; i++)
		rp->res->nr_ambiguous += !sv->orphans[i].placed;
	rp->res->nr_devices = n;
	rp->res->nr_generations = rp->found.nr_generations;
	rp->res->snapshot_dropped = le64_get(sv->sb.held_root);
	rp->res->lossy = damage_any(&sv->loss, PD_SEV_ERROR) || rp->res->nr_lost ||
			 rp->res->nr_suspect || rp->res->nr_ambiguous || rp->found.intersect;
	rp->v = (struct thin_view){
		.slots = &sv->s.slots, .run = rp->run, .devices = v, .nr_devices = n,
		.step_over = !sv->sound,
	};
	/* What was folded is not what was stored. */
	mappings_unfold(&sv->m);
	return 0;
}

static void fill_record(struct repair *rp)
{
	const struct pd_thin_overrides *o = &rp->o->overrides;
	const struct thin_superblock *sb = &rp->sv.sb;

	rp->rec = (struct thin_sb_record){
		.time = le32_get(sb->time),
		.transaction = o->has_transaction_id ? o->transaction_id : le64_get(sb->trans_id),
		.flags = le32_get(sb->flags),
		.version = THIN_VERSION,
		.data_block_size = o->has_data_block_size ? o->data_block_size :
							    le32_get(sb->data_block_size),
		.nr_data_blocks = o->has_nr_data_blocks ? o->nr_data_blocks :
				  le64_get(sm_root_get(sb->data_space_map_root).nr_blocks),
	};
}

static void tell_losses(struct repair *rp)
{
	struct pd_log *log = rp->run->log;
	struct pd_thin_repair_result *res = rp->res;

	damage_report(&rp->sv.loss, log, "thin device", "virtual blocks");
	for (size_t i = 0; i < rp->sv.nr_orphans; i++) {
		const struct orphan *o = &rp->sv.orphans[i];

		if (!o->placed)
			pd_log(log, PD_LOG_WARN, "metadata block %" PRIu64 ": %" PRIu64 " mappings of virtual "
			       "blocks [%" PRIu64 ", %" PRIu64 ") are live, but whose they are is not clear",
			       o->block, o->nr_entries, o->first, o->last + 1);
	}
	if (res->lossy)
		pd_log(log, PD_LOG_WARN, "%" PRIu64 " mappings of %" PRIu64 " devices are kept, at least %"
		       PRIu64 " are lost%s", res->nr_kept, res->nr_devices, res->nr_lost,
		       le64_get(rp->sv.sb.held_root) ? "; the metadata snapshot is not carried over" : "");
}

static int salvage(struct repair *rp, struct pd_io *in)
{
	int r = pd_io_overlay(&rp->overlay, in);

	if (!r)
		r = salvage_init(&rp->sv, rp->overlay, rp->run, &rp->found.sb);
	return r ? r : salvage_run(&rp->sv);
}

#define MANY_MISFITS 3u		/* a few are writes that were lost */

/* Up to the point where it is known what there is. */
static int prepare(struct repair *rp, struct pd_io *in)
{
	bool newer = false, had;
	int r = thin_find_superblock(in, rp->o, rp->run, &rp->found);

	if (r)
		return r;
	r = salvage(rp, in);
	if (!r && rp->found.by_superblock && rp->sv.nr_misfits >= MANY_MISFITS)
		r = thin_find_newer(in, rp->o, rp->run, &rp->sv, &rp->found, &newer);
	if (!r && newer) {
		salvage_exit(&rp->sv);
		pd_io_close(rp->overlay);
		rp->overlay = NULL;
		r = salvage(rp, in);
	}
	if (!r && rp->found.intersect)
		r = salvage_intersect(&rp->sv, &rp->found);
	if (!r)
		r = make_view(rp);
	if (r)
		return r;
	fill_record(rp);
	tell_losses(rp);
	r = report(rp);
	had = rp->found.by_superblock;
	for (unsigned i = 0; i < rp->found.nr_generations; i++)
		had |= rp->found.generations[i].nr_devices || rp->found.generations[i].nr_mappings;
	/* Devices without any of what they had are no result; that all states are empty is one. */
	if (!r && !rp->res->nr_kept && (rp->res->nr_lost || (!rp->res->nr_devices && had)) && rp->res->lossy) {
		pd_log(rp->run->log, PD_LOG_ERR, "nothing can be saved");
		r = -EUCLEAN;
	}
	return r;
}

/* Blocks an output must have, found by building it without writing. */
static int count_needed(struct repair *rp, uint64_t *nr)
{
	struct thin_build_opts bo = { .recount = true };
	struct thin_emitter *e;
	int r = thin_build_create(&e, NULL, &bo, rp->run->log);

	if (r)
		return r;
	r = thin_view_emit(&rp->v, &rp->rec, e);
	if (!r || r == -ENOSPC)
		*nr = thin_build_needed(e, NULL);
	thin_build_destroy(e);
	return r == -ENOSPC ? 0 : r;
}

static int write_out(struct repair *rp, struct pd_io *out)
{
	struct thin_build_opts bo = { .recount = true };
	uint64_t used = bits_count(&rp->sv.s.reached), needed = 0;
	struct thin_emitter *e;
	int r = 0;

	/* Twice what the old metadata took is enough for anything it can hold; less is looked at. */
	if (!out || pd_io_nr_blocks(out) < 2 * used + 64) {
		r = count_needed(rp, &needed);
		rp->res->nr_needed = needed;
	}
	if (r || !out)
		return r;
	if (needed > pd_io_nr_blocks(out)) {
		pd_log(rp->run->log, PD_LOG_ERR, "out of metadata space: %s has %" PRIu64 " blocks, %" PRIu64
		       " are needed (%" PRIu64 " bytes)", pd_io_name(out), pd_io_nr_blocks(out), needed,
		       needed * PD_BLOCK_SIZE);
		return -ENOSPC;
	}
	r = thin_build_create(&e, out, &bo, rp->run->log);
	if (r)
		return r;
	r = thin_view_emit(&rp->v, &rp->rec, e);
	thin_build_destroy(e);
	return r;
}

static void repair_exit(struct repair *rp)
{
	free(rp->v.devices);
	salvage_exit(&rp->sv);
	pd_io_close(rp->overlay);
}

int pd_thin_repair(struct pd_io *in, struct pd_io *out, const struct pd_thin_repair_opts *o,
		   const struct pd_run *run, struct pd_thin_repair_result *res)
{
	struct repair rp = { .o = o, .run = run, .res = res };
	int r;

	if (o->size != sizeof(*o))
		return -EINVAL;
	*res = (struct pd_thin_repair_result){ .nr_devices = 0 };
	r = prepare(&rp, in);
	if (!r)
		r = write_out(&rp, o->dry_run ? NULL : out);
	if (r == -ENOMEM)
		pd_log(run->log, PD_LOG_ERR, "out of memory");
	repair_exit(&rp);
	return r;
}

int pd_thin_repair_dump(struct pd_io *in, const struct pd_thin_repair_opts *o,
			const struct pd_thin_dump_opts *dump, const struct pd_run *run,
			const struct pd_sink *out, struct pd_thin_repair_result *res)
{
	struct repair rp = { .o = o, .run = run, .res = res };
	unsigned n = 0;
	int r;

	if (o->size != sizeof(*o) || dump->size != sizeof(*dump))
		return -EINVAL;
	*res = (struct pd_thin_repair_result){ .nr_devices = 0 };
	r = prepare(&rp, in);
	for (unsigned i = 0; !r && i < rp.v.nr_devices; i++) {
		bool wanted = !dump->nr_dev_ids;

		for (unsigned k = 0; k < dump->nr_dev_ids; k++)
			wanted |= dump->dev_ids[k] == rp.v.devices[i].details.dev_id;
		if (!wanted)
			continue;
		rp.v.devices[i].lost |= dump->skip_mappings;
		rp.v.devices[n++] = rp.v.devices[i];
	}
	rp.v.nr_devices = n;
	if (!r)
		r = thin_view_text(&rp.v, &rp.rec, dump->format, dump->final_newline, out);
	repair_exit(&rp);
	return r;
}
