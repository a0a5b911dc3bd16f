/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be saved of a damaged cache, into the builder. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "cache/build.h"
#include "cache/dump.h"
#include "cache/salvage.h"
#include "meta/report.h"

static int create(struct cache_emitter **e, struct cache_view *v, struct pd_io *out, uint32_t version)
{
	struct pd_cache_restore_opts o = { .size = sizeof(o), .version = version };
	int r = cache_build_create(e, out, &o, v->run->log);

	if (!r)
		cache_build_unique(*e);
	return r;
}

static int rebuild(struct cache_view *v, struct pd_io *out, uint32_t version)
{
	struct cache_emitter *e;
	int r = create(&e, v, out, version);

	if (r)
		return r;
	r = cache_view_emit(v, e);
	cache_build_destroy(e);
	return r;
}

/* Arrays are as long for one mapping as for all, so that this needs none. */
static int find_needed(struct cache_view *v, uint32_t version, uint64_t *needed)
{
	struct cache_sb_record sb = cache_view_superblock(v);
	struct cache_emitter *e;
	int r = create(&e, v, NULL, version);

	if (r)
		return r;
	r = e->superblock(e, &sb);
	if (!r)
		r = e->mappings_end(e);
	if (!r)
		r = e->hints_end(e);
	if (!r)
		r = e->superblock_end(e);
	*needed = cache_build_needed(e);
	cache_build_destroy(e);
	return r;
}

static int report_salvage(const struct cache_salvage *f, const struct pd_sink *s)
{
	const char *comma = "";
	int r = report_say(s, "],\n  \"doubtful\": [");

	for (uint64_t b = f->lost ? bits_next(&f->doubtful, 0) : UINT64_MAX, end; !r && b < f->doubtful.nr; comma = ", ") {
		end = bits_next_clear(&f->doubtful, b);
		r = report_say(s, "%s{\"begin\": %" PRIu64 ", \"end\": %" PRIu64 "}", comma, b, end);
		b = bits_next(&f->doubtful, end);
	}
	if (!r)
		r = report_say(s, "]},\n \"generations\": [");
	comma = "";
	for (size_t i = 0; !r && i < f->nr; i++, comma = ", ")
		r = report_say(s, "%s{\"root\": %" PRIu64 ", \"mappings\": %" PRIu64 ", \"lost_blocks\": %" PRIu64 "}", comma,
			       f->g[i].root, f->g[i].nr_mappings, f->g[i].nr_lost);
	return r;
}

static int report(struct cache_view *v, const struct cache_salvage *f, const struct pd_sink *s)
{
	const char *dirty = f->lost ? "all, for the superblock is lost" :
			    !cache_is_clean(&v->sb) ? "all, for the shutdown was not clean" :
			    v->dirty_array.damaged ? "as stored, all where that is lost" : "as stored";
	int r;

	if (!s)
		return 0;
	r = report_say(s, "{\"format\": 1, \"superblock\": {\"source\": \"%s\", \"version\": %" PRIu32 ", \"block_size\": %" PRIu32
		       ", \"nr_cache_blocks\": %" PRIu32 ", \"clean_shutdown\": %s},\n", f->source, f->version,
		       le32_get(v->sb.data_block_size), le32_get(v->sb.cache_blocks),
		       cache_is_clean(&v->sb) ? "true" : "false");
	if (!r)
		r = report_say(s, " \"mappings\": {\"kept\": %" PRIu64 ", \"lost\": [", v->nr_kept);
	if (!r)
		r = report_lost(s, &v->damage, PD_AT_MAPPING_ARRAY, NULL);
	if (!r)
		r = report_salvage(f, s);
	if (!r)
		r = report_say(s, "],\n \"dirty\": {\"taken\": \"%s\", \"lost\": [", dirty);
	if (!r)
		r = report_lost(s, &v->damage, PD_AT_DIRTY, NULL);
	if (!r)
		r = report_say(s, "]},\n \"hints\": {\"lost\": [");
	if (!r)
		r = report_lost(s, &v->damage, PD_AT_HINTS, NULL);
	return r ? r : report_say(s, "]}}\n");
}

/* What can be saved is known: say it, and write it. */
static int save(struct cache_view *v, const struct cache_salvage *f, struct pd_io *out, const struct pd_cache_repair_opts *o,
		struct pd_cache_repair_result *res)
{
	bool lost = v->mappings.damaged || f->nr_doubtful;
	struct pd_log *log = v->run->log;
	int r;

	res->nr_kept = v->nr_kept;
	res->lossy = f->lost || damage_any(&v->damage, PD_SEV_ERROR);
	damage_report(&v->damage, log, "cache", "blocks");
	if (lost)
		pd_log(log, PD_LOG_WARN, "%" PRIu64 " mappings are kept; blocks of lost mappings that were dirty are lost, too",
		       v->nr_kept);
	r = report(v, f, o->report);
	if (r)
		return r;
	if (lost && !v->nr_kept) {
		pd_log(log, PD_LOG_ERR, "no mapping can be saved");
		return -EUCLEAN;
	}
	if (out && res->nr_needed > pd_io_nr_blocks(out)) {
		pd_log(log, PD_LOG_ERR, "out of metadata space: %s has %" PRIu64 " blocks, %" PRIu64 " are needed",
		       pd_io_name(out), pd_io_nr_blocks(out), res->nr_needed);
		return -ENOSPC;
	}
	return out ? rebuild(v, out, f->version) : 0;
}

int pd_cache_repair(struct pd_io *in, struct pd_io *out, const struct pd_cache_repair_opts *o,
		    const struct pd_run *run, struct pd_cache_repair_result *res)
{
	struct cache_salvage found;
	struct cache_superblock sb;
	struct cache_view v;
	int r;

	*res = (struct pd_cache_repair_result){ .nr_kept = 0 };
	if (o->size != sizeof(*o) || !o->block_size != !o->nr_cache_blocks || (o->has_generation && !o->block_size))
		return -EINVAL;
	r = cache_salvage_superblock(&found, in, o, run, &sb);
	if (!r) {
		r = cache_view_init(&v, in, &sb, true, found.doubtful.nr ? &found.doubtful : NULL, run);
		if (!r)
			r = find_needed(&v, found.version, &res->nr_needed);
		if (!r)
			r = save(&v, &found, out, o, res);
		cache_view_exit(&v);
	}
	if (r == -ENOMEM)
		pd_log(run->log, PD_LOG_ERR, "out of memory");
	cache_salvage_exit(&found);
	return r;
}
