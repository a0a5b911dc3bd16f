/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scanner for plain XML: tags of our tables, attributes in double quotes with one blank before
 * each, decimal numbers, no references, blanks and newlines between tags. It never refuses: anything
 * else, and anything wrong, is left for expat, from the beginning of that tag on.
 */
#include <stdio.h>
#include <string.h>
#include "base/le.h"
#include "xml/parse.h"

#define MAX_TAG 4096u

/* Bytes from which on no tag of a spelling and no literal's last word can reach past the end. */
#define SPELLING_ROOM (XML_MAX_ATTRS * (MAX_LITERAL + 24u) + 16u)

static bool set_literal(struct literal *l, const char *text, int len)
{
	if (len < 1 || (unsigned)len > MAX_LITERAL)
		return false;
	l->len = (uint8_t)len;
	for (unsigned i = 0; i < l->len; i++) {
		l->word[i / 8] |= (uint64_t)(uint8_t)text[i] << 8 * (i % 8);
		l->mask[i / 8] |= 0xffull << 8 * (i % 8);
	}
	return true;
}

static void init_spelling(struct spelling *s, const struct xml_element *el)
{
	char text[MAX_LITERAL + 1];
	unsigned nr = 0;

	for (unsigned i = 0; i < el->nr_attrs && !el->container; i++) {
		const struct xml_attr *a = &el->attrs[i];

		if (a->flags & XML_IMPLIED)
			continue;
		if (!(a->flags & XML_REQUIRED) || a->type > XML_BOOL ||
		    !set_literal(&s->before[nr], text,
				 nr ? snprintf(text, sizeof(text), "\" %s=\"", a->name) :
				      snprintf(text, sizeof(text), "<%s %s=\"", el->tag, a->name)))
			return;
		s->max[nr] = a->type == XML_U32 ? UINT32_MAX : a->type == XML_U24 ? 0xffffff : UINT64_MAX;
		s->attr[nr++] = (uint8_t)i;
	}
	s->nr = nr;
}

void xml_scan_init(struct reader *r)
{
	for (unsigned i = 0; i < r->schema->nr && i < MAX_ROWS; i++) {
		const struct xml_element *el = &r->schema->elements[i];

		r->tag_len[i] = (uint8_t)strlen(el->tag);
		for (unsigned k = 0; k < el->nr_attrs; k++)
			r->name_len[i][k] = (uint8_t)strlen(el->attrs[k].name);
		init_spelling(&r->spelling[i], el);
	}
}

/* memcmp() for the few bytes of a name, without the call. */
static inline bool same_text(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

static bool is_row(const struct reader *r, unsigned row, const char *p, const char *end)
{
	size_t len = r->tag_len[row];

	return (size_t)(end - p) >= len && same_text(p, r->schema->elements[row].tag, len) &&
	       (p[len] == ' ' || p[len] == '/' || p[len] == '>');
}

static bool find_row(const struct reader *r, const char *p, const char *end, unsigned *row)
{
	if (is_row(r, r->hint, p, end)) {
		*row = r->hint;
		return true;
	}
	for (*row = 0; *row < r->schema->nr; ++*row)
		if (is_row(r, *row, p, end))
			return true;
	return false;
}

/* Up to 19 digits, which cannot overflow. The byte behind them, or NULL. */
static const char *scan_number(const char *p, uint64_t *n)
{
	const char *begin = p;
	uint64_t v = 0;
	unsigned d;

	while ((d = (unsigned)(*p - '0')) <= 9) {
		v = 10 * v + d;
		p++;
	}
	*n = v;
	return p > begin && p - begin <= 19 ? p : NULL;
}

/* Characters that stand for themselves in an attribute. */
static const char *scan_text(const char *p, const char *end)
{
	for (; p < end && *p != '"'; p++)
		if (*p < 0x20 || *p >= 0x7f || *p == '&' || *p == '<')
			return NULL;
	return p < end ? p : NULL;
}

/* The value at @p, up to its closing quote, which is where this returns; NULL: expat shall look. A quote
 * that is overwritten to end a string is kept in @quote. */
static char *scan_value(struct reader *r, const struct xml_attr *a, char *p, char *end, char **quote)
{
	const char *stop;
	uint64_t n;

	if (a->type == XML_U32 || a->type == XML_U24 || a->type == XML_U64) {
		stop = scan_number(p, &n);
		if (!stop || *stop != '"' || (a->type == XML_U32 && n > UINT32_MAX) ||
		    (a->type == XML_U24 && n > 0xffffff))
			return NULL;
		xml_set_number(r->record, a, n);
		return (char *)stop;
	}
	if (a->type == XML_BOOL) {
		bool yes = *p == 't';

		if (end - p < 6 || (yes ? memcmp(p, "true\"", 5) : memcmp(p, "false\"", 6)))
			return NULL;
		*(bool *)((char *)r->record + a->offset) = yes;
		return p + (yes ? 4 : 5);
	}
	stop = scan_text(p, end);
	if (!stop)
		return NULL;
	*quote = (char *)stop;
	**quote = 0;
	return xml_set_text(r, a, p, (size_t)(stop - p)) ? NULL : *quote;
}

/* Attributes up to '/' or @end, which is at '>'. Where they end, or NULL. */
static char *scan_attributes(struct reader *r, char *p, char *end, char *quotes[XML_MAX_ATTRS],
			     unsigned *nr_quotes)
{
	const struct xml_element *el = &r->schema->elements[r->row];
	const uint8_t *name_len = r->name_len[r->row];
	unsigned seen = 0, i = 0;

	while (*p == ' ') {
		char *quote = NULL;
		unsigned tries = el->nr_attrs;

		p++;
		/* they come in the table's order, mostly */
		for (; tries; tries--, i = i + 1 < el->nr_attrs ? i + 1 : 0)
			if (i < el->nr_attrs && (size_t)(end - p) > name_len[i] + 2u &&
			    p[name_len[i]] == '=' && same_text(p, el->attrs[i].name, name_len[i]) &&
			    p[name_len[i] + 1] == '"' && !(el->attrs[i].flags & XML_IMPLIED))
				break;
		if (!tries || seen >> i & 1)
			return NULL;
		seen |= 1u << i;
		p = scan_value(r, &el->attrs[i], p + name_len[i] + 2, end, &quote);
		if (quote)
			quotes[(*nr_quotes)++] = quote;
		if (!p)
			return NULL;
		p++;
		i = i + 1 < el->nr_attrs ? i + 1 : 0;
	}
	for (i = 0; i < el->nr_attrs; i++) {
		const struct xml_attr *a = &el->attrs[i];

		if (seen >> i & 1)
			continue;
		if (a->flags & XML_REQUIRED)
			return NULL;
		xml_set_number(r->record, a, a->absent);
	}
	return p;
}

/* One tag from '<' at @p to '>' at @end. False: expat shall look. */
static bool scan_tag(struct reader *r, char *p, char *end)
{
	char *quotes[XML_MAX_ATTRS], *q;
	unsigned nr_quotes = 0, row;
	bool ok, alone;

	if (p[1] == '/') {
		row = r->depth ? r->stack[r->depth - 1] : 0;
		if (!r->depth || (size_t)(end - p) != r->tag_len[row] + 2u ||
		    memcmp(p + 2, r->schema->elements[row].tag, r->tag_len[row]))
			return false;
		xml_element_end(r);
		return true;
	}
	if (!find_row(r, p + 1, end, &row) || r->depth == XML_MAX_DEPTH || !xml_may_stand(r, row))
		return false;
	r->row = r->hint = row;
	q = scan_attributes(r, p + 1 + r->tag_len[row], end, quotes, &nr_quotes);
	alone = q && *q == '/' && q + 1 == end;
	ok = alone || (q == end && r->schema->elements[row].container);
	if (ok && !xml_element_start(r) && alone)
		xml_element_end(r);
	/* expat would want to see them */
	while (nr_quotes)
		*quotes[--nr_quotes] = '"';
	return ok;
}

/* ---- As the writer spells it ---- */

static inline uint64_t load8(const char *p)
{
	le64 v;

	memcpy(&v, p, sizeof(v));
	return le64_get(v);
}

static inline bool is_literal(const struct literal *l, const char *p)
{
	for (unsigned k = 0; 8 * k < l->len; k++)
		if ((load8(p + 8 * k) ^ l->word[k]) & l->mask[k])
			return false;
	return true;
}

/* As scan_number(), where 8 bytes may be read: up to 7 digits are one multiplication or two. */
static inline const char *scan_short_number(const char *p, uint64_t *n)
{
	uint64_t v = load8(p) ^ 0x3030303030303030ull;	/* digits become 0 to 9 */
	uint64_t other = ((v & 0x7f7f7f7f7f7f7f7full) + 0x7676767676767676ull) | v;
	unsigned len;

	other &= 0x8080808080808080ull;		/* bytes that are no digits */
	if (!other)
		return scan_number(p, n);
	len = (unsigned)__builtin_ctzll(other) / 8;
	if (!len)
		return NULL;
	/* the first digit is the lowest byte: zeros in front of it, then pairs, then pairs of pairs */
	v <<= 64 - 8 * len;
	v = v * 10 + (v >> 8);
	*n = ((v & 0x000000ff000000ffull) * 0x000f424000000064ull +
	      (v >> 16 & 0x000000ff000000ffull) * 0x0000271000000001ull) >> 32;
	return p + len;
}

/* One element at @p, spelt like that and SPELLING_ROOM bytes from the end at least: its record, and the byte
 * behind it; or NULL. */
static inline const char *scan_spelling(struct reader *r, unsigned row, const char *p)
{
	const struct xml_element *el = &r->schema->elements[row];
	const struct spelling *s = &r->spelling[row];

	for (unsigned i = 0; i < s->nr; i++) {
		const struct xml_attr *a = &el->attrs[s->attr[i]];
		void *member = (char *)r->record + a->offset;
		uint64_t n;

		if (!is_literal(&s->before[i], p))
			return NULL;
		p += s->before[i].len;
		if (a->type == XML_BOOL) {
			bool yes = *p == 't';

			if ((load8(p) & 0xffffffff) != (yes ? 0x65757274 : 0x736c6166) || (!yes && p[4] != 'e'))
				return NULL;	/* "true", "fals" */
			*(bool *)member = yes;
			p += yes ? 4 : 5;
			continue;
		}
		p = scan_short_number(p, &n);
		if (!p || n > s->max[i])
			return NULL;
		if (a->type == XML_U64)
			*(uint64_t *)member = n;
		else
			*(uint32_t *)member = (uint32_t)n;
	}
	if ((load8(p) & 0xffffff) != 0x3e2f22)	/* "/> */
		return NULL;
	for (unsigned i = 0; s->nr < el->nr_attrs && i < el->nr_attrs; i++)
		if (el->attrs[i].flags & XML_IMPLIED)
			xml_set_number(r->record, &el->attrs[i], el->attrs[i].absent);
	return p + 3;
}

/* The same for any element that may stand here: what was seen last is what comes next, mostly. */
static inline const char *scan_spelt(struct reader *r, const char *p)
{
	const char *end = NULL;

	r->row = r->hint;
	if (r->spelling[r->row].nr && xml_may_stand(r, r->row))
		end = scan_spelling(r, r->row, p);
	for (unsigned row = 0; !end && row < r->schema->nr; row++) {
		if (row == r->hint || !r->spelling[row].nr || !xml_may_stand(r, row))
			continue;
		r->row = row;
		end = scan_spelling(r, row, p);
	}
	if (end)
		r->hint = r->row;
	return end;
}

size_t xml_scan(struct reader *r, char *data, size_t len)
{
	char *p = data, *stop = data + len, *line = data;
	uint64_t nr = r->pos.line, before = r->pos.column - 1;	/* of its line, bytes before data */

	if (r->schema->nr > MAX_ROWS) {
		r->gave_up = true;
		return 0;
	}
	for (;;) {
		const char *spelt = NULL;
		char *end;

		/* What stands before the first tag matters to expat (is there a declaration?). */
		while (p < stop && (*p == ' ' || *p == '\n') && (r->depth || r->root_done))
			if (*p++ == '\n') {
				nr++;
				line = p;
				before = 0;
			}
		r->pos = (struct xml_pos){ nr, before + (uint64_t)(p - line) + 1 };
		if (p == stop)
			break;
		if (*p != '<' || r->root_done) {
			r->gave_up = true;
			break;
		}
		/* number by number: copied whole, it would wait for both to be stored */
		if (r->user_pos) {
			r->user_pos->line = nr;
			r->user_pos->column = before + (uint64_t)(p - line) + 1;
		}
		if (r->depth && r->depth < XML_MAX_DEPTH && (size_t)(stop - p) > SPELLING_ROOM)
			spelt = scan_spelt(r, p);
		if (spelt) {
			r->err = r->handler->start(r->ctx, r->row, r->record);
			if (r->err)
				break;
			p = (char *)spelt;
			continue;
		}
		end = memchr(p, '>', (size_t)(stop - p) < MAX_TAG ? (size_t)(stop - p) : MAX_TAG);
		if (!end) {
			r->gave_up = (size_t)(stop - p) >= MAX_TAG;
			break;
		}
		if (!scan_tag(r, p, end)) {
			r->gave_up = true;
			break;
		}
		if (r->err)
			break;
		p = end + 1;
	}
	return (size_t)(p - data);
}
