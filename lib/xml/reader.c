/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The reader behind both ways: what is open, what may stand where, records and their attributes; and
 * expat. The scanner is in scan.c.
 */
#include <errno.h>
#include <expat.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"
#include "xml/feed.h"
#include "xml/parse.h"
#include "xml/reader.h"
#include <pdata/err.h>

#define MAX_TOKEN (4u << 20)	/* bytes expat may hold back: one tag, or one comment */

static int say(struct reader *r, const char *text)
{
	pd_log(r->log, PD_LOG_ERR, "line %" PRIu64 ", column %" PRIu64 ": %s", r->pos.line,
	       r->pos.column, text);
	return -EINVAL;
}

/* ---- Attributes ---- */

void xml_set_number(void *record, const struct xml_attr *a, uint64_t n)
{
	void *member = (char *)record + a->offset;

	switch (a->type) {
	case XML_U32:
	case XML_U24:
		*(uint32_t *)member = (uint32_t)n;
		break;
	case XML_U64:
		*(uint64_t *)member = n;
		break;
	case XML_BOOL:
		*(bool *)member = n;
		break;
	case XML_STR:
		*(const char **)member = NULL;
		break;
	case XML_BASE64:
		*(struct xml_bytes *)member = (struct xml_bytes){ NULL, 0 };
		break;
	}
}

static const char *set_decimal(void *record, const struct xml_attr *a, const char *s)
{
	uint64_t max = a->type == XML_U64 ? UINT64_MAX : a->type == XML_U32 ? UINT32_MAX : 0xffffff;
	uint64_t n = 0;

	if (!*s)
		return "is not a number";
	for (; *s; s++) {
		unsigned digit = (unsigned)(*s - '0');

		if (digit > 9)
			return "is not a number";
		if (n > max / 10 || 10 * n > max - digit)
			return a->type == XML_U24 ? "is beyond 24 bits" : "is too large";
		n = 10 * n + digit;
	}
	xml_set_number(record, a, n);
	return NULL;
}

static int base64_digit(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 :
	       c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' ? 62 : c == '/' ? 63 : -1;
}

static const char *set_base64(void *record, const struct xml_attr *a, const char *s, size_t len,
			      uint8_t *to)
{
	struct xml_bytes *b = (void *)((char *)record + a->offset);
	size_t pad = len && s[len - 1] == '=' ? len > 1 && s[len - 2] == '=' ? 2 : 1 : 0, n = 0;

	if (len % 4)
		return "is not base64";
	for (size_t i = 0; i < len; i += 4) {
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			bool padding = i + k >= len - pad;
			int d = padding ? 0 : base64_digit(s[i + k]);

			if (d < 0)
				return "is not base64";
			v = v << 6 | (uint32_t)d;
		}
		for (int k = 2; k >= 0; k--)
			to[n++] = (uint8_t)(v >> 8 * k);
	}
	*b = (struct xml_bytes){ to, n - pad };
	return NULL;
}

const char *xml_set_text(struct reader *r, const struct xml_attr *a, const char *s, size_t len)
{
	unsigned i;

	if (len > XML_MAX_VALUE_LEN)
		return "is longer than 65536 bytes";
	switch (a->type) {
	case XML_U32:
	case XML_U24:
	case XML_U64:
		return set_decimal(r->record, a, s);
	case XML_BOOL:
		if (strcmp(s, "true") && strcmp(s, "false"))
			return "is neither true nor false";
		*(bool *)((char *)r->record + a->offset) = *s == 't';
		return NULL;
	case XML_STR:
		if (len > XML_MAX_NAME_LEN)
			return "is longer than 255 bytes";
		*(const char **)((char *)r->record + a->offset) = s;
		return NULL;
	case XML_BASE64:
		i = (unsigned)(a - r->schema->elements[r->row].attrs);
		return set_base64(r->record, a, s, len, r->bytes + (size_t)i * XML_MAX_VALUE_LEN);
	}
	return NULL;
}

/* ---- Elements ---- */

int xml_element_start(struct reader *r)
{
	r->stack[r->depth++] = (uint8_t)r->row;
	r->err = r->handler->start(r->ctx, r->row, r->record);
	return r->err;
}

int xml_element_end(struct reader *r)
{
	unsigned row = r->stack[--r->depth];

	r->root_done = !r->depth;
	if (r->schema->elements[row].container)
		r->err = r->handler->end(r->ctx, row);
	return r->err;
}

/* ---- Expat ---- */

static void locate(struct reader *r)
{
	uint64_t line = XML_GetCurrentLineNumber(r->expat);
	uint64_t column = XML_GetCurrentColumnNumber(r->expat);

	/* Expat has seen a line made up by hand_over() before the first. */
	r->pos.line = r->base.line + line - 1;
	r->pos.column = line == 1 ? r->base.column + column - r->prefix_len : column + 1;
	r->pos.column += r->blanks;
	if (r->user_pos)
		*r->user_pos = r->pos;
}

static void refuse(struct reader *r, const char *fmt, ...) PD_PRINTF(2, 3);
static void refuse(struct reader *r, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (r->err)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	locate(r);
	r->err = say(r, text);
	XML_StopParser(r->expat, XML_FALSE);
}

/* With a DTD that we do not read, expat leaves out entities of its in silence. */
static bool has_unknown_entity(struct reader *r)
{
	static const char *const known[] = { "&#", "&amp;", "&lt;", "&gt;", "&quot;", "&apos;" };
	int offset, size, len = XML_GetCurrentByteCount(r->expat);
	const char *text = XML_GetInputContext(r->expat, &offset, &size);

	for (int i = 0; text && i < len && offset + i < size; i++) {
		bool found = text[offset + i] != '&';

		for (unsigned k = 0; k < ARRAY_SIZE(known) && !found; k++)
			found = offset + i + (int)strlen(known[k]) <= size &&
				!memcmp(text + offset + i, known[k], strlen(known[k]));
		if (!found)
			return true;
	}
	return !text;
}

static void set_attributes(struct reader *r, const struct xml_element *el, const char **atts)
{
	unsigned seen = 0;

	for (; *atts; atts += 2) {
		const char *why;
		unsigned i;

		for (i = 0; i < el->nr_attrs; i++)
			if (!(el->attrs[i].flags & XML_IMPLIED) && !strcmp(el->attrs[i].name, atts[0]))
				break;
		if (i == el->nr_attrs) {
			refuse(r, "<%s> has no attribute '%.64s'", el->tag, atts[0]);
			return;
		}
		seen |= 1u << i;
		why = xml_set_text(r, &el->attrs[i], atts[1], strlen(atts[1]));
		if (why) {
			refuse(r, "%s=\"%.64s\" %s", el->attrs[i].name, atts[1], why);
			return;
		}
	}
	for (unsigned i = 0; i < el->nr_attrs; i++) {
		const struct xml_attr *a = &el->attrs[i];

		if (seen >> i & 1)
			continue;
		if (a->flags & XML_REQUIRED) {
			refuse(r, "<%s> lacks its attribute '%s'", el->tag, a->name);
			return;
		}
		xml_set_number(r->record, a, a->absent);
	}
}

static void on_start(void *ctx, const char *name, const char **atts)
{
	struct reader *r = ctx;
	unsigned row;

	if (r->err || r->suppress)
		return;
	locate(r);
	if (r->depth == XML_MAX_DEPTH) {
		refuse(r, "elements are more than %u deep", XML_MAX_DEPTH);
		return;
	}
	for (row = 0; row < r->schema->nr; row++)
		if (!strcmp(r->schema->elements[row].tag, name))
			break;
	if (row == r->schema->nr) {
		refuse(r, "there is no element '%.64s' here", name);
		return;
	}
	if (!xml_may_stand(r, row)) {
		refuse(r, "<%s> cannot stand here", r->schema->elements[row].tag);
		return;
	}
	if (r->has_dtd && has_unknown_entity(r)) {
		refuse(r, "entities other than XML's five are not known");
		return;
	}
	r->row = row;
	set_attributes(r, &r->schema->elements[row], atts);
	if (!r->err && xml_element_start(r))
		XML_StopParser(r->expat, XML_FALSE);
}

static void on_end(void *ctx, const char *name)
{
	struct reader *r = ctx;

	(void)name;
	if (r->err || r->suppress)
		return;
	locate(r);
	if (xml_element_end(r))
		XML_StopParser(r->expat, XML_FALSE);
}

static void on_text(void *ctx, const char *s, int len)
{
	struct reader *r = ctx;

	for (int i = 0; i < len; i++)
		if (!memchr(" \t\r\n", s[i], 4)) {
			/* where the blanks before it began is nothing the scanner could tell */
			r->blanks = (unsigned)i;
			refuse(r, "there is text between the elements");
			return;
		}
}

static void on_entity(void *ctx, const char *name, int is_parameter, const char *value, int len,
		      const char *base, const char *system_id, const char *public_id,
		      const char *notation)
{
	(void)name, (void)is_parameter, (void)value, (void)len, (void)base, (void)system_id;
	(void)public_id, (void)notation;
	refuse(ctx, "entities other than XML's five are not known");
}

static void on_skipped(void *ctx, const char *name, int is_parameter)
{
	(void)name, (void)is_parameter;
	refuse(ctx, "entities other than XML's five are not known");
}

static int on_not_standalone(void *ctx)
{
	struct reader *r = ctx;

	r->has_dtd = true;
	return XML_STATUS_OK;
}

static int parse(struct reader *r, const char *data, size_t len, bool last)
{
	enum XML_Status s = XML_Parse(r->expat, data, (int)len, last);
	long long seen = XML_GetCurrentByteIndex(r->expat);

	r->fed += len;
	if (r->err)
		return r->err;
	if (s != XML_STATUS_OK) {
		if (XML_GetErrorCode(r->expat) == XML_ERROR_NO_MEMORY)
			return r->err = -ENOMEM;
		locate(r);
		return r->err = say(r, XML_ErrorString(XML_GetErrorCode(r->expat)));
	}
	if (!last && seen >= 0 && r->fed - (uint64_t)seen > MAX_TOKEN)
		refuse(r, "something here is longer than %u bytes", MAX_TOKEN);
	return r->err;
}

/* From here on expat reads. What the scanner has opened is opened again, in silence. */
static int hand_over(struct reader *r)
{
	char prefix[2 * XML_MAX_DEPTH * 32];
	size_t len = 0;
	XML_Parser p = XML_ParserCreate(NULL);

	if (!p)
		return r->err = -ENOMEM;
	r->expat = p;
	r->base = r->pos;
	XML_SetUserData(p, r);
	XML_SetElementHandler(p, on_start, on_end);
	XML_SetCharacterDataHandler(p, on_text);
	XML_SetEntityDeclHandler(p, on_entity);
	XML_SetSkippedEntityHandler(p, on_skipped);
	XML_SetNotStandaloneHandler(p, on_not_standalone);
	for (unsigned i = 0; i < r->depth; i++)
		len += (size_t)snprintf(prefix + len, sizeof(prefix) - len, "<%.30s>",
					r->schema->elements[r->stack[i]].tag);
	if (r->root_done)
		len = (size_t)snprintf(prefix, sizeof(prefix), "<a></a>");
	r->prefix_len = len;
	if (!len)
		return 0;
	r->suppress = true;
	if (XML_Parse(p, prefix, (int)len, 0) != XML_STATUS_OK)
		r->err = -ENOMEM;
	r->suppress = false;
	r->fed = len;
	return r->err;
}

static int source_failed(struct reader *r, int err)
{
	if (err == -EINVAL)
		pd_log(r->log, PD_LOG_ERR, "the compressed data is damaged or cut short");
	else if (err != -ENOMEM)
		pd_log(r->log, PD_LOG_ERR, "reading the text: %s", pd_strerror(err));
	return err;
}

static int read_all(struct reader *r, struct feed *f, bool expat_only)
{
	char kept[FEED_ROOM], *data;	/* kept: the last piece's end, a tag that is not whole */
	size_t rest = 0, len;
	int err;

	if (expat_only && hand_over(r))
		return r->err;
	for (;;) {
		err = feed_next(f, &data, &len);
		if (err)
			return source_failed(r, err);
		if (!len)
			break;
		data -= rest;
		memcpy(data, kept, rest);
		len += rest;
		rest = 0;
		if (!r->expat) {
			size_t took = xml_scan(r, data, len);

			if (r->err)
				return r->err;
			data += took;
			len -= took;
			if (!r->gave_up && len <= FEED_ROOM) {
				memcpy(kept, data, len);
				rest = len;
				continue;
			}
			if (hand_over(r))
				return r->err;
		}
		if (parse(r, data, len, false))
			return r->err;
	}
	if (!r->expat) {
		if (r->root_done && !rest)
			return 0;
		if (hand_over(r))
			return r->err;
		if (rest && parse(r, kept, rest, false))
			return r->err;
	}
	return parse(r, NULL, 0, true);
}

int xml_read(const struct pd_source *src, const struct xml_schema *schema, const struct xml_handler *h,
	     void *ctx, const struct xml_reader_opts *o, struct xml_pos *pos, struct pd_log *log)
{
	static const struct xml_reader_opts plain;
	struct reader *r = calloc(1, sizeof(*r));
	struct feed *f = NULL;
	int err = -ENOMEM;

	o = o ? o : &plain;
	if (!r)
		return -ENOMEM;
	r->schema = schema;
	r->handler = h;
	r->ctx = ctx;
	r->log = log;
	r->user_pos = pos;
	r->pos = (struct xml_pos){ 1, 1 };
	r->record = calloc(1, schema->record_size);
	r->bytes = malloc((size_t)XML_MAX_ATTRS * XML_MAX_VALUE_LEN);
	if (r->record && r->bytes)
		err = feed_create(&f, src, o->chunk);
	if (!err) {
		xml_scan_init(r);
		err = read_all(r, f, o->expat_only);
	}
	if (r->expat)
		XML_ParserFree(r->expat);
	feed_destroy(f);
	free(r->bytes);
	free(r->record);
	free(r);
	return err;
}
