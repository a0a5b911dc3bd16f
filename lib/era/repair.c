/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Repair, the list of changed blocks, and metadata for tests. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "era/metadata.h"
#include "meta/report.h"
#include "xml/writer.h"

static int rebuild(struct era_view *v, struct pd_io *out, uint64_t *needed)
{
	struct era_emitter *e;
	int r = era_build_create(&e, out, true, v->run->log);

	if (r)
		return r;
	r = era_view_emit(v, e, false);
	*needed = era_build_needed(e);
	era_build_destroy(e);
	return r;
}

static int report(struct era_view *v, const struct pd_sink *s)
{
	int r;

	if (!s)
		return 0;
	r = report_say(s, "{\"format\": 1, \"superblock\": {\"block_size\": {\"value\": %" PRIu32
		     ", \"source\": \"superblock\"}, \"nr_blocks\": {\"value\": %" PRIu32
		     ", \"source\": \"superblock\"}, \"current_era\": {\"value\": %" PRIu32
		     ", \"source\": \"superblock\"}, \"metadata_snapshot\": \"%s\"},\n",
		     le32_get(v->sb.data_block_size), le32_get(v->sb.nr_blocks), le32_get(v->sb.current_era),
		     le64_get(v->sb.metadata_snap) ? "not carried over" : "none");
	if (!r)
		r = report_say(s, " \"writesets\": [");
	for (size_t i = 0; !r && i < v->nr_w; i++) {
		uint64_t era = v->w[i].era;

		r = report_say(s, "%s\n  {\"era\": %" PRIu64 ", \"nr_bits\": %" PRIu32 ", \"lost\": [", i ? "," : "",
			     era, v->w[i].nr_bits);
		if (!r)
			r = report_lost(s, &v->damage, PD_AT_WRITESET, &era);
		if (!r)
			r = report_say(s, "]}");
	}
	if (!r)
		r = report_say(s, "],\n \"writeset_tree\": {\"lost\": [");
	if (!r)
		r = report_lost(s, &v->damage, PD_AT_WRITESETS, NULL);
	if (!r)
		r = report_say(s, "]},\n \"era_array\": {\"lost\": [");
	if (!r)
		r = report_lost(s, &v->damage, PD_AT_ERA_ARRAY, NULL);
	return r ? r : report_say(s, "]}}\n");
}

int pd_era_repair(struct pd_io *in, struct pd_io *out, const struct pd_sink *to, const struct pd_run *run,
		  struct pd_era_repair_result *res)
{
	struct era_superblock sb;
	struct era_view v;
	int r = era_sb_read(in, SB_LOCATION, run->log, &sb);

	*res = (struct pd_era_repair_result){ .nr_writesets = 0 };
	if (r)
		return r;
	r = era_view_init(&v, in, &sb, true, true, run);
	if (!r)
		r = era_view_prove(&v);
	/* sizes tell how much is needed; what can be read shows as it is read */
	v.no_values = true;
	if (!r && !out)
		r = era_view_read(&v);
	if (!r)
		r = rebuild(&v, NULL, &res->nr_needed);
	v.no_values = false;
	if (!r && out && res->nr_needed > pd_io_nr_blocks(out)) {
		pd_log(run->log, PD_LOG_ERR, "out of metadata space: %s has %" PRIu64 " blocks, %" PRIu64
		       " are needed", pd_io_name(out), pd_io_nr_blocks(out), res->nr_needed);
		r = -ENOSPC;
	}
	if (!r && out)
		r = rebuild(&v, out, &res->nr_needed);
	if (!r) {
		res->nr_writesets = v.nr_w;
		res->nr_lost = v.nr_lost;
		res->lossy = damage_any(&v.damage, PD_SEV_ERROR) || v.tree_lost;
		damage_report(&v.damage, run->log, "era", "blocks");
		if (v.tree_lost)
			pd_log(run->log, PD_LOG_WARN, "some writesets are lost with their tree: every block counts as "
			       "written in the current era, %" PRIu32, le32_get(sb.current_era));
		else if (v.nr_lost)
			pd_log(run->log, PD_LOG_WARN, "%" PRIu64 " blocks count as written, in the eras named above, "
			       "because nothing tells that they were not", v.nr_lost);
		r = report(&v, to);
	}
	if (r == -ENOMEM)
		pd_log(run->log, PD_LOG_ERR, "out of memory");
	era_view_exit(&v);
	return r;
}

/* ---- Invalidate ---- */

struct list {
	const struct pd_sink *out;
	uint64_t begin, end;	/* run under way */
	char buf[8192];
	size_t used;
};

static int list_flush(struct list *l)
{
	int r = l->used ? l->out->write(l->out->ctx, l->buf, l->used) : 0;

	l->used = 0;
	return r;
}

static int list_run(struct list *l)
{
	char *p = l->buf + l->used;

	if (l->begin == l->end)
		return 0;
	if (l->end - l->begin == 1) {
		p = XML_PUT(p, "  <block block=\"");
		p = xml_put_u64(p, l->begin);
	} else {
		p = XML_PUT(p, "  <range begin=\"");
		p = xml_put_u64(p, l->begin);
		p = XML_PUT(p, "\" end=\"");
		p = xml_put_u64(p, l->end);
	}
	p = XML_PUT(p, "\"/>\n");
	l->used = (size_t)(p - l->buf);
	return l->used > sizeof(l->buf) - 256 ? list_flush(l) : 0;
}

static int list_all(struct list *l, const struct bits *set, bool newline)
{
	uint64_t b = bits_next(set, 0);
	int r;

	l->used = (size_t)sprintf(l->buf, "<blocks>\n");
	for (r = 0; !r && b < set->nr; ) {
		l->begin = b;
		l->end = bits_next_clear(set, b);
		r = list_run(l);
		b = l->end < set->nr ? bits_next(set, l->end) : set->nr;
	}
	l->used += (size_t)sprintf(l->buf + l->used, "</blocks>%s", newline ? "\n" : "");
	return r ? r : list_flush(l);
}

/* Marks every block written in era @since or later. -EUCLEAN if a part that tells cannot be read. */
static int mark(struct era_view *v, uint32_t since, struct bits *set)
{
	uint64_t *words = malloc(ERA_WINDOW / 8);
	uint32_t *eras = malloc(ERA_WINDOW * sizeof(*eras)), nr;
	bool array = !v->nr_w || since < v->w[0].era;
	int r = words && eras ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < v->nr_w; i++) {
		struct era_writeset_view *w = &v->w[i];
		uint64_t end = min_t(uint64_t, w->nr_bits, set->nr);

		for (uint64_t j = 0; w->era >= since && !r && j < ceil_div(end, ERA_WINDOW); j++) {
			r = era_view_bits(v, w, j, words, &nr);
			for (uint32_t k = 0; !r && k < ceil_div(nr, 64); k++) {
				uint64_t at = j * ERA_WINDOW / 64 + k;

				if (at * 64 < set->nr)
					set->words[at] |= era_word(words[k], at, set->nr);
			}
		}
		for (unsigned k = 0; k < w->nr; k++)
			array_scan_forget(&w->a[k]);
	}
	for (uint64_t j = 0; !r && array && j < ceil_div(set->nr, ERA_WINDOW); j++) {
		r = era_view_eras(v, j, eras, &nr);
		for (uint32_t k = 0; !r && k < nr; k++)
			if (eras[k] >= since)
				bits_set(set, j * ERA_WINDOW + k);
	}
	free(words);
	free(eras);
	return r;
}

static int find_snap(struct pd_io *io, const struct pd_era_invalidate_opts *o, struct pd_log *log,
		     struct era_superblock *sb)
{
	uint64_t block = le64_get(sb->metadata_snap);

	if (!block) {
		pd_log(log, PD_LOG_ERR, "there is no metadata snapshot");
		return -ENODATA;
	}
	if (o->has_snap_block && block != o->snap_block) {
		pd_log(log, PD_LOG_ERR, "the metadata snapshot is in block %" PRIu64 ", not %" PRIu64, block,
		       o->snap_block);
		return -EINVAL;
	}
	return era_sb_read(io, block, log, sb);
}

/* What the list needs must be readable; lost pieces of writesets before @since do not matter. */
static bool whole(const struct era_view *v, uint32_t since)
{
	if (v->tree_lost)
		return false;
	for (size_t i = 0; i < v->nr_w; i++)
		for (unsigned k = 0; k < v->w[i].nr; k++)
			if (v->w[i].era >= since && v->w[i].a[k].damaged)
				return false;
	return !v->array.damaged || (v->nr_w && since >= v->w[0].era);
}

int pd_era_invalidate(struct pd_io *io, const struct pd_era_invalidate_opts *o, const struct pd_run *run,
		      const struct pd_sink *out)
{
	struct list *l = calloc(1, sizeof(*l));
	struct bits set = { .nr = 0 };
	struct era_superblock sb;
	struct era_view v;
	int r;

	if (!l || o->size != sizeof(*o)) {
		free(l);
		return l ? -EINVAL : -ENOMEM;
	}
	l->out = out;
	r = era_sb_read(io, SB_LOCATION, run->log, &sb);
	if (!r && o->metadata_snap)
		r = find_snap(io, o, run->log, &sb);
	if (r) {
		free(l);
		return r;
	}
	r = era_view_init(&v, io, &sb, !o->metadata_snap, false, run);
	if (!r && !o->metadata_snap)
		r = era_view_prove(&v);
	if (!r)
		r = bits_init(&set, le32_get(sb.nr_blocks));
	if (!r && !whole(&v, o->since))
		r = era_view_damaged(&v);
	else if (!r) {
		r = mark(&v, o->since, &set);
		if (r == -EUCLEAN)
			r = era_view_damaged(&v);
	}
	if (!r)
		r = list_all(l, &set, o->final_newline);
	if (r == -ENOMEM)
		pd_log(run->log, PD_LOG_ERR, "out of memory");
	bits_exit(&set);
	era_view_exit(&v);
	free(l);
	return r;
}

int pd_era_format(struct pd_io *io, uint32_t block_size, uint32_t nr_blocks, uint32_t current_era,
		  uint32_t nr_writesets, const struct pd_run *run)
{
	struct era_sb_record sb = { block_size, nr_blocks, current_era };
	uint64_t seed = 1, words[16];
	struct era_emitter *e;
	uint32_t eras[1024];
	int r = era_build_create(&e, io, true, run->log);

	if (r)
		return r;
	r = nr_writesets > current_era ? -EINVAL : e->superblock(e, &sb);
	if (nr_writesets > current_era)
		pd_log(run->log, PD_LOG_ERR, "there can be no more writesets than eras");
	for (uint32_t i = 0; !r && i < nr_writesets; i++) {
		r = e->writeset_begin(e, &(struct era_writeset_record){ current_era - nr_writesets + 1 + i,
								       nr_blocks });
		for (uint64_t b = 0; !r && b < nr_blocks; b += 1024) {
			for (unsigned k = 0; k < 16; k++) {
				seed = seed * 6364136223846793005ull + 1442695040888963407ull;
				words[k] = seed & seed >> 7 & (b + k * 64 + 64 <= nr_blocks ? UINT64_MAX : 0);
			}
			r = e->bits(e, (uint32_t)b, words, (uint32_t)min_t(uint64_t, 1024, nr_blocks - b));
		}
		if (!r)
			r = e->writeset_end(e);
	}
	if (!r)
		r = e->array_begin(e);
	for (uint64_t b = 0; !r && b < nr_blocks; b += 1024) {
		for (unsigned k = 0; k < 1024; k++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			eras[k] = (uint32_t)((seed >> 33) % (current_era - nr_writesets + 1ull));
		}
		r = e->eras(e, (uint32_t)b, eras, (uint32_t)min_t(uint64_t, 1024, nr_blocks - b));
	}
	if (!r)
		r = e->array_end(e);
	if (!r)
		r = e->superblock_end(e);
	era_build_destroy(e);
	return r;
}
