/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/writer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUF_LEN 65536u
#define ROOM 256u		/* more than any piece that is put without asking again */

int xml_writer_init(struct xml_writer *w, xml_sink_fn sink, void *ctx)
{
	*w = (struct xml_writer){ .sink = sink, .ctx = ctx, .len = BUF_LEN, .buf = malloc(BUF_LEN) };
	return w->buf ? 0 : -ENOMEM;
}

void xml_writer_init_buf(struct xml_writer *w, char *buf, size_t len)
{
	*w = (struct xml_writer){ .buf = buf, .len = len };
}

void xml_writer_exit(struct xml_writer *w)
{
	if (w->sink)
		free(w->buf);
	w->buf = NULL;
}

int xml_writer_flush(struct xml_writer *w)
{
	if (!w->sink)
		return w->err;
	if (!w->err && w->used)
		w->err = w->sink(w->ctx, w->buf, w->used);
	w->used = 0;
	return w->err;
}

char *xml_writer_room(struct xml_writer *w, size_t len)
{
	if (w->len - w->used < len)
		xml_writer_flush(w);
	if (w->len - w->used < len && !w->err)
		w->err = -ENOBUFS;
	return w->err ? NULL : w->buf + w->used;
}

static void put(struct xml_writer *w, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		size_t n = len < ROOM ? len : ROOM;
		char *to = xml_writer_room(w, ROOM);

		if (!to)
			return;
		memcpy(to, p, n);
		w->used += n;
		p += n;
		len -= n;
	}
}

static void put_text(struct xml_writer *w, const char *s)
{
	put(w, s, strlen(s));
}

int xml_write_raw(struct xml_writer *w, const void *data, size_t len)
{
	if (len < BUF_LEN / 8 || !w->sink) {
		put(w, data, len);
		return w->err;
	}
	xml_writer_flush(w);
	if (!w->err)
		w->err = w->sink(w->ctx, data, len);
	return w->err;
}

static const char two_digits[200] =
	"00010203040506070809101112131415161718192021222324252627282930313233343536373839"
	"40414243444546474849505152535455565758596061626364656667686970717273747576777879"
	"8081828384858687888990919293949596979899";

static char *put_small(char *p, uint32_t v)	/* below 10000 */
{
	uint32_t high = v / 100, low = v % 100;

	if (v < 10) {
		*p = (char)('0' + v);
		return p + 1;
	}
	if (v < 100) {
		memcpy(p, two_digits + 2 * v, 2);
		return p + 2;
	}
	if (v < 1000) {
		*p++ = (char)('0' + high);
	} else {
		memcpy(p, two_digits + 2 * high, 2);
		p += 2;
	}
	memcpy(p, two_digits + 2 * low, 2);
	return p + 2;
}

static char *put_4(char *p, uint32_t v)
{
	memcpy(p, two_digits + 2 * (v / 100), 2);
	memcpy(p + 2, two_digits + 2 * (v % 100), 2);
	return p + 4;
}

static char *put_8(char *p, uint32_t v)
{
	return put_4(put_4(p, v / 10000), v % 10000);
}

char *xml_put_u64(char *p, uint64_t v)
{
	uint32_t low;

	if (v < 10000)
		return put_small(p, (uint32_t)v);
	if (v < 100000000) {
		low = (uint32_t)v;
		return put_4(put_small(p, low / 10000), low % 10000);
	}
	return put_8(xml_put_u64(p, v / 100000000), (uint32_t)(v % 100000000));
}

static void put_number(struct xml_writer *w, uint64_t v)
{
	char *to = xml_writer_room(w, ROOM);

	if (to)
		xml_writer_took(w, xml_put_u64(to, v));
}

static void put_escaped(struct xml_writer *w, const char *s)
{
	for (;;) {
		size_t n = strcspn(s, "&<>\"");

		put(w, s, n);
		s += n;
		switch (*s++) {
		case '&': put_text(w, "&amp;"); break;
		case '<': put_text(w, "&lt;"); break;
		case '>': put_text(w, "&gt;"); break;
		case '"': put_text(w, "&quot;"); break;
		default: return;
		}
	}
}

static void put_base64(struct xml_writer *w, const struct xml_bytes *b)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < b->len; i += 3) {
		size_t nr = b->len - i < 3 ? b->len - i : 3;
		uint32_t v = (uint32_t)b->data[i] << 16;

		if (nr > 1)
			v |= (uint32_t)b->data[i + 1] << 8;
		if (nr > 2)
			v |= b->data[i + 2];
		put(w, (char[4]){ digits[v >> 18], digits[v >> 12 & 63],
				  nr > 1 ? digits[v >> 6 & 63] : '=',
				  nr > 2 ? digits[v & 63] : '=' }, 4);
	}
}

static uint64_t number(const struct xml_attr *a, const void *member)
{
	return a->type == XML_U64 ? *(const uint64_t *)member : *(const uint32_t *)member;
}

static bool wanted(const struct xml_attr *a, const void *member)
{
	if (a->flags & (XML_READ_ONLY | XML_IMPLIED))
		return false;
	return !(a->flags & XML_IF_SET) || number(a, member);
}

static void put_value(struct xml_writer *w, const struct xml_attr *a, const void *member)
{
	switch ((enum xml_type)a->type) {
	case XML_U32:
	case XML_U24:
	case XML_U64:
		put_number(w, number(a, member));
		break;
	case XML_BOOL:
		put_text(w, *(const bool *)member ? "true" : "false");
		break;
	case XML_STR:
		put_escaped(w, *(const char *const *)member);
		break;
	case XML_BASE64:
		put_base64(w, member);
		break;
	case XML_VOID:
		break;
	}
}

static void put_indent(struct xml_writer *w)
{
	for (unsigned i = 0; i < w->depth; i++)
		put(w, "  ", 2);
}

static void put_tag(struct xml_writer *w, const struct xml_element *e, const void *record)
{
	put_indent(w);
	put(w, "<", 1);
	put_text(w, e->tag);
	for (unsigned i = 0; i < e->nr_attrs; i++) {
		const struct xml_attr *a = &e->attrs[i];
		const void *member = (const char *)record + a->offset;

		if (!wanted(a, member))
			continue;
		put(w, " ", 1);
		put_text(w, a->name);
		put(w, "=\"", 2);
		put_value(w, a, member);
		put(w, "\"", 1);
	}
}

int xml_write_start(struct xml_writer *w, const struct xml_element *e, const void *record)
{
	put_tag(w, e, record);
	put(w, ">\n", 2);
	w->depth++;
	return w->err;
}

int xml_write_leaf(struct xml_writer *w, const struct xml_element *e, const void *record)
{
	put_tag(w, e, record);
	put(w, "/>\n", 3);
	return w->err;
}

int xml_write_end(struct xml_writer *w, const struct xml_element *e)
{
	w->depth--;
	put_indent(w);
	put(w, "</", 2);
	put_text(w, e->tag);
	put(w, ">\n", w->depth || w->final_newline ? 2 : 1);
	return w->err;
}
