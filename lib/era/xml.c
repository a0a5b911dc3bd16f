/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Eras as XML, out and in. Bits and blocks, which are nearly all of a dump, have formatters of their own. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "era/elements.h"
#include "era/metadata.h"
#include "xml/reader.h"
#include "xml/writer.h"

#define EL(e) (&era_schema.elements[ERA_EL_##e])
#define LINE_MAX_BYTES 80u
#define LINES 256u		/* formatted at a time */

struct xml_emitter {
	struct era_emitter e;
	struct xml_writer *w;
};

static struct xml_writer *writer(struct era_emitter *e)
{
	return container_of(e, struct xml_emitter, e)->w;
}

static int put_superblock(struct era_emitter *e, const struct era_sb_record *sb)
{
	return xml_write_start(writer(e), EL(SUPERBLOCK), sb);
}

static int put_writeset_begin(struct era_emitter *e, const struct era_writeset_record *w)
{
	return xml_write_start(writer(e), EL(WRITESET), w);
}

static int put_bits(struct era_emitter *e, uint32_t begin, const uint64_t *words, uint32_t nr)
{
	struct xml_writer *w = writer(e);

	for (uint32_t done = 0; done < nr; ) {
		uint32_t end = min_t(uint32_t, nr, done + LINES);
		char *p = xml_writer_room(w, LINES * LINE_MAX_BYTES);

		if (!p)
			return w->err;
		for (; done < end; done++) {
			p = XML_PUT(p, "    <bit block=\"");
			p = xml_put_u64(p, (uint64_t)begin + done);
			if (words[done / 64] >> (done % 64) & 1)
				p = XML_PUT(p, "\" value=\"true\"/>\n");
			else
				p = XML_PUT(p, "\" value=\"false\"/>\n");
		}
		xml_writer_took(w, p);
	}
	return w->err;
}

static int put_writeset_end(struct era_emitter *e) { return xml_write_end(writer(e), EL(WRITESET)); }

static int put_array_begin(struct era_emitter *e)
{
	return xml_write_start(writer(e), EL(ERA_ARRAY), NULL);
}

static int put_eras(struct era_emitter *e, uint32_t begin, const uint32_t *eras, uint32_t nr)
{
	struct xml_writer *w = writer(e);

	for (uint32_t done = 0; done < nr; ) {
		uint32_t end = min_t(uint32_t, nr, done + LINES);
		char *p = xml_writer_room(w, LINES * LINE_MAX_BYTES);

		if (!p)
			return w->err;
		for (; done < end; done++) {
			p = XML_PUT(p, "    <era block=\"");
			p = xml_put_u64(p, (uint64_t)begin + done);
			p = XML_PUT(p, "\" era=\"");
			p = xml_put_u64(p, eras[done]);
			p = XML_PUT(p, "\"/>\n");
		}
		xml_writer_took(w, p);
	}
	return w->err;
}

static int put_array_end(struct era_emitter *e) { return xml_write_end(writer(e), EL(ERA_ARRAY)); }
static int put_superblock_end(struct era_emitter *e) { return xml_write_end(writer(e), EL(SUPERBLOCK)); }

int pd_era_dump(struct pd_io *io, const struct pd_era_dump_opts *o, const struct pd_run *run,
		const struct pd_sink *out)
{
	struct xml_writer w;
	struct xml_emitter x = { .w = &w, .e = {
		.superblock = put_superblock, .writeset_begin = put_writeset_begin, .bits = put_bits,
		.writeset_end = put_writeset_end, .array_begin = put_array_begin, .eras = put_eras,
		.array_end = put_array_end, .superblock_end = put_superblock_end } };
	struct era_superblock sb;
	struct era_view v;
	int r, flushed;

	if (o->size != sizeof(*o))
		return -EINVAL;
	r = era_sb_read(io, SB_LOCATION, run->log, &sb);
	if (r)
		return r;
	r = xml_writer_init(&w, out->write, out->ctx);
	if (r)
		return r;
	w.final_newline = o->final_newline;
	r = era_view_init(&v, io, &sb, true, o->repair, run);
	if (!r && o->repair)
		r = era_view_prove(&v);
	if (!r && !o->repair && v.s.incomplete)
		r = era_view_damaged(&v);
	if (!r) {
		r = era_view_emit(&v, &x.e, o->logical);
		flushed = xml_writer_flush(&w);
		r = r ? r : flushed;
		if (o->repair)
			damage_report(&v.damage, run->log, "era", "blocks");
	}
	era_view_exit(&v);
	xml_writer_exit(&w);
	return r;
}

/* ---- Restore ---- */

struct restore {
	struct era_emitter *e;
	struct xml_pos pos;
	struct pd_log *log;
};

static void say_where(void *ctx, enum pd_log_level level, const char *text)
{
	struct restore *s = ctx;

	pd_log(s->log, level, "line %" PRIu64 ", column %" PRIu64 ": %s", s->pos.line, s->pos.column, text);
}

/* Blocks [@begin, @begin + @len) are marked. */
static int marked(struct era_emitter *e, uint32_t begin, uint32_t len)
{
	uint64_t ones[16];
	int r = 0;

	memset(ones, 0xff, sizeof(ones));
	/* The first call past the last bit is refused, so that nothing wraps. */
	for (uint32_t done = 0, n; !r && done < len; done += n) {
		n = min_t(uint32_t, len - done, 64 * ARRAY_SIZE(ones));
		r = e->bits(e, begin + done, ones, n);
	}
	return r;
}

static int start(void *ctx, unsigned row, const void *record)
{
	struct era_emitter *e = ((struct restore *)ctx)->e;
	const struct era_xml_bit *b = record;
	const struct era_xml_marked *m = record;
	const struct era_xml_era *x = record;

	switch ((enum era_element)row) {
	case ERA_EL_SUPERBLOCK:
		return e->superblock(e, record);
	case ERA_EL_WRITESET:
		return e->writeset_begin(e, record);
	case ERA_EL_BIT:
		return e->bits(e, b->block, &(uint64_t){ b->value }, 1);
	case ERA_EL_MARKED:
		return marked(e, m->begin, m->len);
	case ERA_EL_ERA_ARRAY:
		return e->array_begin(e);
	case ERA_EL_ERA:
		return e->eras(e, x->block, &x->era, 1);
	case NR_ERA_ELEMENTS:
		break;
	}
	return -EINVAL;
}

static int end(void *ctx, unsigned row)
{
	struct era_emitter *e = ((struct restore *)ctx)->e;

	return row == ERA_EL_WRITESET ? e->writeset_end(e) : row == ERA_EL_ERA_ARRAY ? e->array_end(e) : 0;
}

static const struct xml_handler handler = { start, end };

int pd_era_restore(const struct pd_source *xml, struct pd_io *out, const struct pd_run *run)
{
	struct restore s = { .log = run->log };
	struct pd_log where = { .msg = say_where, .ctx = &s, .level = PD_LOG_WARN };
	int r = era_build_create(&s.e, out, false, &where);

	if (r)
		return r;
	r = xml_read(xml, &era_schema, &handler, &s, NULL, &s.pos, run->log);
	if (!r)
		r = s.e->superblock_end(s.e);
	era_build_destroy(s.e);
	return r;
}
