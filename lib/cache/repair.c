/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be saved of a damaged cache, into the builder. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "cache/build.h"
#include "cache/dump.h"
#include "meta/array-find.h"
#include "meta/report.h"

/* ---- A lost superblock ---- */

/* A mapping as it is compared: without its dirty flag, which changes without anything moving. */
static bool mapping_value(void *ctx, uint64_t i, uint64_t *v)
{
	(void)ctx;
	(void)i;
	if (!*v)
		return true;
	if (!(*v & CACHE_VALID) || mapping_flags(*v) & ~(CACHE_VALID | CACHE_DIRTY))
		return false;
	*v &= ~(uint64_t)CACHE_DIRTY;
	return true;
}

/*
 * Made again from its mapping array. It tells neither whether the cache was stopped cleanly nor its policy: all blocks
 * count as dirty, and there are no hints.
 */
static int find_mappings(struct pd_io *in, const struct pd_cache_repair_opts *o, const struct pd_run *run,
			 struct cache_superblock *sb)
{
	struct array_find find = { .io = in, .run = run, .what = "mapping array", .partial = true,
				   .value = mapping_value };
	int r;

	*sb = (struct cache_superblock){
		.data_block_size = le32_put(o->block_size), .cache_blocks = le32_put(o->nr_cache_blocks),
	};
	find.like = cache_mapping_array(sb);
	r = array_find(&find);
	if (r)
		return r;
	/* Without a dirty bitset, which version 1 has not; the builder writes what is asked of it. */
	sb->version = le32_put(1);
	sb->mapping_root = le64_put(find.root);
	pd_log(run->log, PD_LOG_WARN, "the superblock is lost: the mapping array at metadata block %" PRIu64
	       " is taken; all mapped blocks count as dirty, policy and hints are gone", find.root);
	return 0;
}

static int find_superblock(struct pd_io *in, const struct pd_cache_repair_opts *o, const struct pd_run *run,
			   struct cache_superblock *sb, bool *lost)
{
	int r = cache_sb_read(in, o->block_size ? NULL : run->log, sb);

	*lost = r == -EUCLEAN;
	if (!r && o->block_size && (le32_get(sb->data_block_size) != o->block_size ||
				    le32_get(sb->cache_blocks) != o->nr_cache_blocks)) {
		pd_log(run->log, PD_LOG_ERR, "the superblock is intact, and says block size %" PRIu32 ", %" PRIu32
		       " cache blocks", le32_get(sb->data_block_size), le32_get(sb->cache_blocks));
		return -EINVAL;
	}
	if (r == -EUCLEAN && !o->block_size)
		pd_log(run->log, PD_LOG_ERR, "with --block-size and --nr-cache-blocks, as in the cache's table, the "
		       "mappings may be found without it");
	return r == -EUCLEAN && o->block_size ? find_mappings(in, o, run, sb) : r;
}

/* ---- Repair ---- */

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

static int report(struct cache_view *v, bool lost, const struct pd_sink *s)
{
	const char *dirty = lost ? "all, for the superblock is lost" :
			    !cache_is_clean(&v->sb) ? "all, for the shutdown was not clean" :
			    v->dirty_array.damaged ? "as stored, all where that is lost" : "as stored";
	int r;

	if (!s)
		return 0;
	r = report_say(s, "{\"format\": 1, \"superblock\": {\"source\": \"%s\", \"version\": %" PRIu32 ", \"block_size\": %" PRIu32
		       ", \"nr_cache_blocks\": %" PRIu32 ", \"clean_shutdown\": %s},\n", lost ? "option" : "superblock", le32_get(v->sb.version),
		       le32_get(v->sb.data_block_size), le32_get(v->sb.cache_blocks),
		       cache_is_clean(&v->sb) ? "true" : "false");
	if (!r)
		r = report_say(s, " \"mappings\": {\"kept\": %" PRIu64 ", \"lost\": [", v->nr_kept);
	if (!r)
		r = report_lost(s, &v->damage, PD_AT_MAPPING_ARRAY, NULL);
	if (!r)
		r = report_say(s, "]},\n \"dirty\": {\"taken\": \"%s\", \"lost\": [", dirty);
	if (!r)
		r = report_lost(s, &v->damage, PD_AT_DIRTY, NULL);
	if (!r)
		r = report_say(s, "]},\n \"hints\": {\"lost\": [");
	if (!r)
		r = report_lost(s, &v->damage, PD_AT_HINTS, NULL);
	return r ? r : report_say(s, "]}}\n");
}

int pd_cache_repair(struct pd_io *in, struct pd_io *out, const struct pd_cache_repair_opts *o,
		    const struct pd_run *run, struct pd_cache_repair_result *res)
{
	struct cache_superblock sb;
	struct cache_view v;
	uint32_t version;
	bool lost;
	int r;

	*res = (struct pd_cache_repair_result){ .nr_kept = 0 };
	if (o->size != sizeof(*o) || !o->block_size != !o->nr_cache_blocks)
		return -EINVAL;
	r = find_superblock(in, o, run, &sb, &lost);
	if (r)
		return r;
	version = lost ? 2 : le32_get(sb.version);
	r = cache_view_init(&v, in, &sb, true, run);
	if (!r)
		r = find_needed(&v, version, &res->nr_needed);
	if (!r) {
		res->nr_kept = v.nr_kept;
		res->lossy = lost || damage_any(&v.damage, PD_SEV_ERROR);
		damage_report(&v.damage, run->log, "cache", "blocks");
		if (v.mappings.damaged)
			pd_log(run->log, PD_LOG_WARN, "%" PRIu64 " mappings are kept; blocks of lost mappings that "
			       "were dirty are lost, too", v.nr_kept);
		r = report(&v, lost, o->report);
	}
	if (!r && v.mappings.damaged && !v.nr_kept) {
		pd_log(run->log, PD_LOG_ERR, "no mapping can be saved");
		r = -EUCLEAN;
	}
	if (!r && out && res->nr_needed > pd_io_nr_blocks(out)) {
		pd_log(run->log, PD_LOG_ERR, "out of metadata space: %s has %" PRIu64 " blocks, %" PRIu64
		       " are needed", pd_io_name(out), pd_io_nr_blocks(out), res->nr_needed);
		r = -ENOSPC;
	}
	if (!r && out)
		r = rebuild(&v, out, version);
	if (r == -ENOMEM)
		pd_log(run->log, PD_LOG_ERR, "out of memory");
	cache_view_exit(&v);
	return r;
}
