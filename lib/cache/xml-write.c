/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of a cache to XML. Mappings and hints, which are nearly all of a dump, have formatters of
 * their own. */
#include <string.h>
#include "base/util.h"
#include "cache/dump.h"
#include "cache/elements.h"
#include "xml/writer.h"

#define EL(e) (&cache_schema.elements[CACHE_EL_##e])
#define MAPPING_MAX 128u

static struct xml_writer *writer(struct cache_emitter *e)
{
	return container_of(e, struct cache_xml_emitter, e)->w;
}

static int put_superblock(struct cache_emitter *e, const struct cache_sb_record *sb)
{
	struct cache_xml_sb x = {
		.block_size = sb->block_size, .nr_cache_blocks = sb->nr_cache_blocks,
		.policy = sb->policy, .hint_width = sb->hint_width,
	};

	return xml_write_start(writer(e), EL(SUPERBLOCK), &x);
}

static int put_mappings_begin(struct cache_emitter *e)
{
	return xml_write_start(writer(e), EL(MAPPINGS), NULL);
}

static int put_mappings(struct cache_emitter *e, const struct cache_mapping_record *m, unsigned nr)
{
	struct xml_writer *w = writer(e);

	for (unsigned done = 0; done < nr;) {
		unsigned n = min_t(unsigned, nr - done, 128);
		char *p = xml_writer_room(w, n * MAPPING_MAX);

		if (!p)
			return w->err;
		for (; n; n--, done++) {
			p = XML_PUT(p, "    <mapping cache_block=\"");
			p = xml_put_u64(p, m[done].cblock);
			p = XML_PUT(p, "\" origin_block=\"");
			p = xml_put_u64(p, m[done].oblock);
			if (m[done].dirty)
				p = XML_PUT(p, "\" dirty=\"true\"/>\n");
			else
				p = XML_PUT(p, "\" dirty=\"false\"/>\n");
		}
		xml_writer_took(w, p);
	}
	return w->err;
}

static int put_mappings_end(struct cache_emitter *e)
{
	return xml_write_end(writer(e), EL(MAPPINGS));
}

static int put_hints_begin(struct cache_emitter *e)
{
	return xml_write_start(writer(e), EL(HINTS), NULL);
}

/* Four bytes are eight characters of base64. */
static char *put_base64(char *p, const uint8_t *b)
{
	static const char c[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	p[0] = c[b[0] >> 2];
	p[1] = c[(b[0] & 3) << 4 | b[1] >> 4];
	p[2] = c[(b[1] & 15) << 2 | b[2] >> 6];
	p[3] = c[b[2] & 63];
	p[4] = c[b[3] >> 2];
	p[5] = c[(b[3] & 3) << 4];
	p[6] = p[7] = '=';
	return p + 8;
}

static int put_hints(struct cache_emitter *e, const struct cache_hint_record *h, unsigned nr)
{
	struct xml_writer *w = writer(e);

	for (unsigned i = 0; i < nr; i++) {
		char *p = xml_writer_room(w, MAPPING_MAX);

		if (!p)
			return w->err;
		p = XML_PUT(p, "    <hint cache_block=\"");
		p = xml_put_u64(p, h[i].cblock);
		p = XML_PUT(p, "\" data=\"");
		p = put_base64(p, h[i].data);
		p = XML_PUT(p, "\"/>\n");
		xml_writer_took(w, p);
	}
	return w->err;
}

static int put_hints_end(struct cache_emitter *e)
{
	return xml_write_end(writer(e), EL(HINTS));
}

static int put_superblock_end(struct cache_emitter *e)
{
	return xml_write_end(writer(e), EL(SUPERBLOCK));
}

void cache_xml_emitter_init(struct cache_xml_emitter *x, struct xml_writer *w)
{
	x->w = w;
	x->e = (struct cache_emitter){
		.superblock = put_superblock,
		.mappings_begin = put_mappings_begin,
		.mappings = put_mappings,
		.mappings_end = put_mappings_end,
		.hints_begin = put_hints_begin,
		.hints = put_hints,
		.hints_end = put_hints_end,
		.superblock_end = put_superblock_end,
	};
}
