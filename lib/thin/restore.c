/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* XML into the builder. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include "thin/build.h"
#include "thin/elements.h"
#include "xml/reader.h"

struct restore {
	struct thin_emitter *e;
	struct xml_pos pos;
	struct pd_log *log;
};

/* The builder's refusals, with the place in the text. */
static void say_where(void *ctx, enum pd_log_level level, const char *text)
{
	struct restore *s = ctx;

	pd_log(s->log, level, "line %" PRIu64 ", column %" PRIu64 ": %s", s->pos.line, s->pos.column,
	       text);
}

static int start(void *ctx, unsigned row, const void *record)
{
	struct thin_emitter *e = ((struct restore *)ctx)->e;

	switch ((enum thin_element)row) {
	case THIN_EL_SINGLE:
	case THIN_EL_RANGE:
		return e->mappings(e, record, 1);
	case THIN_EL_REF:
		return e->ref(e, ((const struct thin_name_record *)record)->name);
	case THIN_EL_DEVICE:
		return e->device(e, record);
	case THIN_EL_DEF:
		return e->def(e, ((const struct thin_name_record *)record)->name);
	case THIN_EL_SUPERBLOCK:
		return e->superblock(e, record);
	case NR_THIN_ELEMENTS:
		break;
	}
	return -EINVAL;
}

static int end(void *ctx, unsigned row)
{
	struct thin_emitter *e = ((struct restore *)ctx)->e;

	switch ((enum thin_element)row) {
	case THIN_EL_DEVICE:
		return e->device_end(e);
	case THIN_EL_DEF:
		return e->def_end(e);
	default:
		/* the superblock's end waits for the end of the text */
		return 0;
	}
}

static const struct xml_handler handler = { start, end };

int pd_thin_format(struct pd_io *out, uint32_t data_block_size, uint64_t nr_data_blocks,
		   const struct pd_run *run)
{
	struct thin_build_opts opts = { .overrides = NULL };
	struct thin_sb_record sb = {
		.version = 2, .data_block_size = data_block_size, .nr_data_blocks = nr_data_blocks,
	};
	struct thin_emitter *e;
	int r = thin_build_create(&e, out, &opts, run->log);

	if (r)
		return r;
	r = e->superblock(e, &sb);
	if (!r)
		r = e->superblock_end(e);
	thin_build_destroy(e);
	return r;
}

int pd_thin_restore(const struct pd_source *xml, struct pd_io *out,
		    const struct pd_thin_restore_opts *o, const struct pd_run *run)
{
	struct restore s = { .log = run->log };
	struct pd_log where = { .msg = say_where, .ctx = &s, .level = PD_LOG_WARN };
	struct thin_build_opts opts = { .overrides = &o->overrides, .refusals = &where };
	int r = thin_build_create(&s.e, out, &opts, run->log);

	if (r)
		return r;
	r = xml_read(xml, &thin_schema, &handler, &s, NULL, &s.pos, run->log);
	if (!r)
		r = s.e->superblock_end(s.e);
	thin_build_destroy(s.e);
	return r;
}
