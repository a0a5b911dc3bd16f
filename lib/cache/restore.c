/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* XML into the builder. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "cache/build.h"
#include "cache/elements.h"
#include "persistent-data/disk.h"
#include "xml/reader.h"

struct restore {
	struct cache_emitter *e;
	struct xml_pos pos;
	struct pd_log *log;
	unsigned seen;		/* bit i: container i was there */
};

static void say_where(void *ctx, enum pd_log_level level, const char *text)
{
	struct restore *s = ctx;

	pd_log(s->log, level, "line %" PRIu64 ", column %" PRIu64 ": %s", s->pos.line, s->pos.column,
	       text);
}

static int superblock(struct restore *s, const struct cache_xml_sb *x)
{
	struct cache_sb_record sb = {
		.block_size = x->block_size, .nr_cache_blocks = x->nr_cache_blocks,
		.hint_width = x->hint_width,
	};

	if (strlen(x->policy) >= CACHE_POLICY_NAME_SIZE) {
		pd_log(s->log, PD_LOG_ERR, "line %" PRIu64 ": the policy's name has more than 15 characters",
		       s->pos.line);
		return -EINVAL;
	}
	strcpy(sb.policy, x->policy);
	return s->e->superblock(s->e, &sb);
}

static int once(struct restore *s, unsigned row)
{
	/* Mappings come before hints, hints before discards, each once. */
	if (s->seen >> row) {
		pd_log(s->log, PD_LOG_ERR, "line %" PRIu64 ": <%s> stands twice or out of order", s->pos.line,
		       cache_schema.elements[row].tag);
		return -EINVAL;
	}
	s->seen |= 1u << row;
	return 0;
}

static int start(void *ctx, unsigned row, const void *record)
{
	struct restore *s = ctx;
	struct cache_emitter *e = s->e;
	const struct cache_xml_hint *h = record;

	switch ((enum cache_element)row) {
	case CACHE_EL_SUPERBLOCK:
		return superblock(s, record);
	case CACHE_EL_MAPPINGS:
	case CACHE_EL_HINTS:
	case CACHE_EL_DISCARDS:
		return once(s, row);
	case CACHE_EL_MAPPING:
		return e->mappings(e, record, 1);
	case CACHE_EL_HINT:
		return e->hints(e, &(struct cache_hint_record){
			h->cblock, (uint32_t)min_t(size_t, h->data.len, UINT32_MAX), h->data.data }, 1);
	case CACHE_EL_DISCARD:
		return e->discard(e, record);
	case NR_CACHE_ELEMENTS:
		break;
	}
	return -EINVAL;
}

static int end(void *ctx, unsigned row)
{
	struct cache_emitter *e = ((struct restore *)ctx)->e;

	return row == CACHE_EL_MAPPINGS ? e->mappings_end(e) :
	       row == CACHE_EL_HINTS ? e->hints_end(e) : 0;
}

static const struct xml_handler handler = { start, end };

int pd_cache_restore(const struct pd_source *xml, struct pd_io *out,
		     const struct pd_cache_restore_opts *o, const struct pd_run *run)
{
	struct restore s = { .log = run->log };
	struct pd_log where = { .msg = say_where, .ctx = &s, .level = PD_LOG_WARN };
	int r;

	if (o->size != sizeof(*o))
		return -EINVAL;
	r = cache_build_create(&s.e, out, o, &where);
	if (r)
		return r;
	r = xml_read(xml, &cache_schema, &handler, &s, NULL, &s.pos, run->log);
	/* What the text leaves out is empty. */
	if (!r && !(s.seen & 1u << CACHE_EL_MAPPINGS))
		r = s.e->mappings_end(s.e);
	if (!r && !(s.seen & 1u << CACHE_EL_HINTS))
		r = s.e->hints_end(s.e);
	if (!r)
		r = s.e->superblock_end(s.e);
	cache_build_destroy(s.e);
	return r;
}
