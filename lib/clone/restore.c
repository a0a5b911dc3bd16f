/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* XML in and out, repair, and clones for tests. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "clone/elements.h"
#include "clone/metadata.h"
#include "meta/array-find.h"
#include "meta/report.h"
#include "xml/reader.h"
#include "xml/writer.h"

#define EL(e) (&clone_schema.elements[CLONE_EL_##e])

/* ---- Dump ---- */

struct xml_emitter {
	struct clone_emitter e;
	struct xml_writer *w;
};

static struct xml_writer *writer(struct clone_emitter *e)
{
	return container_of(e, struct xml_emitter, e)->w;
}

static int put_superblock(struct clone_emitter *e, const struct clone_sb_record *sb)
{
	return xml_write_start(writer(e), EL(SUPERBLOCK), sb);
}

static int put_begin(struct clone_emitter *e)
{
	return xml_write_start(writer(e), EL(HYDRATED), NULL);
}

static int put_range(struct clone_emitter *e, const struct clone_range_record *g)
{
	return xml_write_leaf(writer(e), EL(RANGE), g);
}

static int put_end(struct clone_emitter *e)
{
	return xml_write_end(writer(e), EL(HYDRATED));
}

static int put_superblock_end(struct clone_emitter *e)
{
	return xml_write_end(writer(e), EL(SUPERBLOCK));
}

/* Says what was lost; -EUCLEAN if there is no saying what it is to become. */
static int judge_losses(struct clone_view *v, bool repair)
{
	damage_report(&v->damage, v->run->log, "clone", "regions");
	if (!v->nr_lost)
		return 0;
	if (!repair) {
		pd_log(v->run->log, PD_LOG_ERR, "the metadata is damaged: clone_check gives details, and a dump "
		       "with --repair may save the rest");
		return -EUCLEAN;
	}
	if (v->unreadable == PD_CLONE_REFUSE) {
		pd_log(v->run->log, PD_LOG_ERR, "%" PRIu64 " regions (named above) are hydrated or not, nothing can "
		       "tell. --unreadable unhydrated copies them from the source again, over anything written to "
		       "them since; --unreadable hydrated leaves what the destination holds, copied or not.",
		       v->nr_lost);
		return -EUCLEAN;
	}
	pd_log(v->run->log, PD_LOG_WARN, "%" PRIu64 " regions are taken for %s, as asked", v->nr_lost,
	       v->unreadable == PD_CLONE_HYDRATED ? "hydrated" : "not hydrated");
	return 0;
}

int pd_clone_dump(struct pd_io *io, bool repair, enum pd_clone_unreadable unreadable, bool final_newline,
		  const struct pd_run *run, const struct pd_sink *out)
{
	struct xml_writer w;
	struct xml_emitter x = { .w = &w, .e = {
		.superblock = put_superblock, .hydrated_begin = put_begin, .range = put_range,
		.hydrated_end = put_end, .superblock_end = put_superblock_end } };
	struct clone_superblock sb;
	struct clone_view v;
	int r = clone_sb_read(io, run->log, &sb), flushed;

	if (r)
		return r;
	r = xml_writer_init(&w, out->write, out->ctx);
	if (r)
		return r;
	w.final_newline = final_newline;
	r = clone_view_init(&v, io, &sb, run);
	v.unreadable = repair ? unreadable : PD_CLONE_REFUSE;
	if (!r)
		r = judge_losses(&v, repair);
	if (!r) {
		r = clone_view_emit(&v, &x.e);
		flushed = xml_writer_flush(&w);
		r = r ? r : flushed;
	}
	clone_view_exit(&v);
	xml_writer_exit(&w);
	return r;
}

/* ---- Restore ---- */

struct restore {
	struct clone_emitter *e;
	struct xml_pos pos;
	struct pd_log *log;
	bool seen;
};

static void say_where(void *ctx, enum pd_log_level level, const char *text)
{
	struct restore *s = ctx;

	pd_log(s->log, level, "line %" PRIu64 ", column %" PRIu64 ": %s", s->pos.line, s->pos.column, text);
}

static int start(void *ctx, unsigned row, const void *record)
{
	struct restore *s = ctx;

	switch ((enum clone_element)row) {
	case CLONE_EL_SUPERBLOCK:
		return s->e->superblock(s->e, record);
	case CLONE_EL_HYDRATED:
		if (s->seen) {
			pd_log(s->log, PD_LOG_ERR, "line %" PRIu64 ": <hydrated> stands twice", s->pos.line);
			return -EINVAL;
		}
		s->seen = true;
		return 0;
	case CLONE_EL_RANGE:
		return s->e->range(s->e, record);
	case NR_CLONE_ELEMENTS:
		break;
	}
	return -EINVAL;
}

static int end(void *ctx, unsigned row)
{
	(void)ctx;
	(void)row;
	return 0;
}

static const struct xml_handler handler = { start, end };

int pd_clone_restore(const struct pd_source *xml, struct pd_io *out, const struct pd_run *run)
{
	struct restore s = { .log = run->log };
	struct pd_log where = { .msg = say_where, .ctx = &s, .level = PD_LOG_WARN };
	int r = clone_build_create(&s.e, out, &where);

	if (r)
		return r;
	r = xml_read(xml, &clone_schema, &handler, &s, NULL, &s.pos, run->log);
	if (!r)
		r = s.e->superblock_end(s.e);
	clone_build_destroy(s.e);
	return r;
}

/* ---- Repair ---- */

/* Word @w of a bitset, for finding it; *@ctx: regions. */
static bool bitset_word(void *ctx, uint64_t w, uint64_t *v)
{
	*v = clone_word(*v, w, *(const uint64_t *)ctx);
	return true;
}

static int find_superblock(struct pd_io *in, const struct pd_clone_repair_opts *o, const struct pd_run *run,
			   struct clone_superblock *sb, const char **source)
{
	uint64_t nr_regions;
	struct array_find find = { .io = in, .run = run, .what = "bitset", .grows = true, .value = bitset_word,
				   .ctx = &nr_regions };
	enum pd_problem why;
	int r = clone_sb_read(in, o->region_size ? NULL : run->log, sb);

	*source = "superblock";
	if (!r && o->region_size && (le64_get(sb->region_size) != o->region_size ||
				     le64_get(sb->target_size) != o->target_size)) {
		pd_log(run->log, PD_LOG_ERR, "the superblock is intact, and says region size %" PRIu64 ", target size %"
		       PRIu64, le64_get(sb->region_size), le64_get(sb->target_size));
		return -EINVAL;
	}
	if (r == -EUCLEAN && !o->region_size)
		pd_log(run->log, PD_LOG_ERR, "with --region-size and --target-size, as in the clone's table, the bitset "
		       "may be found without it");
	if (r != -EUCLEAN || !o->region_size)
		return r;
	nr_regions = clone_nr_regions(o->region_size, o->target_size, &why);
	if (!nr_regions) {
		pd_log(run->log, PD_LOG_ERR, "%s", pd_problem_row(why)->text);
		return -EINVAL;
	}
	find.like = clone_bitset(0, nr_regions);
	r = array_find(&find);
	if (r)
		return r;
	pd_log(run->log, PD_LOG_WARN, "the superblock is lost: the bitset at metadata block %" PRIu64 " is taken",
	       find.root);
	*source = "option";
	*sb = (struct clone_superblock){
		.region_size = le64_put(o->region_size), .target_size = le64_put(o->target_size),
		.bitset_root = le64_put(find.root),
	};
	return 0;
}

static int report(struct clone_view *v, const struct pd_clone_repair_opts *o, const char *source)
{
	static const char *const as[] = { "refused", "hydrated", "unhydrated" };
	const struct pd_sink *s = o->report;
	int r;

	if (!s)
		return 0;
	r = report_say(s, "{\"format\": 1, \"superblock\": {\"region_size\": {\"value\": %" PRIu64 ", \"source\": \"%s\"}, "
		     "\"target_size\": {\"value\": %" PRIu64 ", \"source\": \"%s\"}},\n", v->region_size, source,
		     v->target_size, source);
	if (!r)
		r = report_say(s, " \"regions\": %" PRIu64 ", \"hydrated\": %" PRIu64 ", \"lost_regions\": %" PRIu64
			     ", \"lost_as\": \"%s\",\n \"lost\": [", v->nr_regions, v->nr_hydrated, v->nr_lost,
			     as[v->unreadable]);
	if (!r)
		r = report_lost(s, &v->damage, PD_AT_REGIONS, NULL);
	return r ? r : report_say(s, "]}\n");
}

static int rebuild(struct clone_view *v, struct pd_io *out, uint64_t *needed)
{
	struct clone_emitter *e;
	int r = clone_build_create(&e, out, v->run->log);

	if (r)
		return r;
	r = clone_view_emit(v, e);
	*needed = clone_build_needed(e);
	clone_build_destroy(e);
	return r;
}

int pd_clone_repair(struct pd_io *in, struct pd_io *out, const struct pd_clone_repair_opts *o,
		    const struct pd_run *run, struct pd_clone_repair_result *res)
{
	struct clone_superblock sb;
	struct clone_view v;
	const char *source;
	int r, told;

	*res = (struct pd_clone_repair_result){ .nr_regions = 0 };
	if (o->size != sizeof(*o) || !o->region_size != !o->target_size)
		return -EINVAL;
	r = find_superblock(in, o, run, &sb, &source);
	if (r)
		return r;
	r = clone_view_init(&v, in, &sb, run);
	v.unreadable = o->unreadable;
	if (!r) {
		r = judge_losses(&v, true);
		told = report(&v, o, source);
		r = r ? r : told;
	}
	if (!r)
		r = rebuild(&v, NULL, &res->nr_needed);
	res->nr_regions = v.nr_regions;
	res->nr_lost = v.nr_lost;
	res->nr_hydrated = v.nr_hydrated + (o->unreadable == PD_CLONE_HYDRATED ? v.nr_lost : 0);
	res->lossy = v.nr_lost;
	if (!r && out && res->nr_needed > pd_io_nr_blocks(out)) {
		pd_log(run->log, PD_LOG_ERR, "out of metadata space: %s has %" PRIu64 " blocks, %" PRIu64
		       " are needed", pd_io_name(out), pd_io_nr_blocks(out), res->nr_needed);
		r = -ENOSPC;
	}
	if (!r && out)
		r = rebuild(&v, out, &res->nr_needed);
	if (r == -ENOMEM)
		pd_log(run->log, PD_LOG_ERR, "out of memory");
	clone_view_exit(&v);
	return r;
}

int pd_clone_format(struct pd_io *io, uint64_t region_size, uint64_t target_size, unsigned percent,
		    uint64_t seed, const struct pd_run *run)
{
	struct clone_sb_record sb = { region_size, target_size, CLONE_NOT_GIVEN, CLONE_NOT_GIVEN };
	uint64_t nr = clone_nr_regions(region_size, target_size, NULL);
	struct clone_emitter *e;
	int r = percent > 100 ? -EINVAL : clone_build_create(&e, io, run->log);

	if (r)
		return r;
	r = e->superblock(e, &sb);
	for (uint64_t at = 0; !r && percent && at < nr; ) {
		/* runs of 64 regions on average, then a gap that keeps the share */
		uint64_t len, gap;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		len = 1 + (seed >> 33) % 127;
		gap = len * (100 - percent) / percent;
		r = e->range(e, &(struct clone_range_record){ at, min_t(uint64_t, nr, at + len) });
		at += len + gap;
	}
	if (!r)
		r = e->superblock_end(e);
	clone_build_destroy(e);
	return r;
}
