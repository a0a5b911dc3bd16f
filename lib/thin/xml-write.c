/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records to XML. The elements come from the table; mappings, which are nearly all of a dump, have
 * a formatter of their own (a test holds the two to the same text). */
#include <string.h>
#include "base/util.h"
#include "thin/elements.h"
#include "thin/text.h"
#include "xml/writer.h"

#define EL(e) (&thin_schema.elements[THIN_EL_##e])

static int put_superblock(struct thin_emitter *e, const struct thin_sb_record *sb)
{
	return xml_write_start(thin_text_writer(e), EL(SUPERBLOCK), sb);
}

static int put_superblock_end(struct thin_emitter *e)
{
	return xml_write_end(thin_text_writer(e), EL(SUPERBLOCK));
}

static int put_def(struct thin_emitter *e, const char *name)
{
	return xml_write_start(thin_text_writer(e), EL(DEF), &(struct thin_name_record){ name });
}

static int put_def_end(struct thin_emitter *e)
{
	return xml_write_end(thin_text_writer(e), EL(DEF));
}

static int put_device(struct thin_emitter *e, const struct thin_device_record *d)
{
	return xml_write_start(thin_text_writer(e), EL(DEVICE), d);
}

static int put_device_end(struct thin_emitter *e)
{
	return xml_write_end(thin_text_writer(e), EL(DEVICE));
}

static int put_ref(struct thin_emitter *e, const char *name)
{
	return xml_write_leaf(thin_text_writer(e), EL(REF), &(struct thin_name_record){ name });
}

/* The end of a mapping's line; most neighbours have the same one. */
struct ending {
	uint32_t time;
	size_t len;
	char text[32];
};

static void set_ending(struct ending *end, uint32_t time)
{
	char *p = XML_PUT(end->text, "\" time=\"");

	p = xml_put_u64(p, time);
	p = XML_PUT(p, "\"/>\n");
	end->len = (size_t)(p - end->text);
	end->time = time;
}

static char *put_mapping(char *p, const struct thin_mapping_record *m, const struct ending *end)
{
	if (m->len == 1) {
		p = XML_PUT(p, "    <single_mapping origin_block=\"");
		p = xml_put_u64(p, m->vbegin);
		p = XML_PUT(p, "\" data_block=\"");
		p = xml_put_u64(p, m->dbegin);
	} else {
		p = XML_PUT(p, "    <range_mapping origin_begin=\"");
		p = xml_put_u64(p, m->vbegin);
		p = XML_PUT(p, "\" data_begin=\"");
		p = xml_put_u64(p, m->dbegin);
		p = XML_PUT(p, "\" length=\"");
		p = xml_put_u64(p, m->len);
	}
	memcpy(p, end->text, sizeof(end->text));
	return p + end->len;
}

static int put_mappings(struct thin_emitter *e, const struct thin_mapping_record *m, unsigned nr)
{
	struct xml_writer *w = thin_text_writer(e);
	struct ending end = { 0 };

	if (nr)
		set_ending(&end, m->time);
	for (unsigned done = 0; done < nr;) {
		unsigned n = min_t(unsigned, nr - done, 128);
		char *p = xml_writer_room(w, n * THIN_TEXT_MAPPING_MAX);

		if (!p)
			return w->err;
		for (; n; n--, done++) {
			if (m[done].time != end.time)
				set_ending(&end, m[done].time);
			p = put_mapping(p, &m[done], &end);
		}
		xml_writer_took(w, p);
	}
	return w->err;
}

const struct thin_emitter thin_xml_emitter = {
	.superblock = put_superblock,
	.def = put_def,
	.def_end = put_def_end,
	.device = put_device,
	.device_end = put_device_end,
	.mappings = put_mappings,
	.ref = put_ref,
	.superblock_end = put_superblock_end,
};

void thin_text_init(struct thin_text *t, enum pd_text_format format)
{
	t->e = format == PD_TEXT_XML ? thin_xml_emitter : thin_human_emitter;
}
