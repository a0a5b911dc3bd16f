/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the scanner and the reader around it share. */
#ifndef PD_XML_PARSE_H
#define PD_XML_PARSE_H

#include <pdata/log.h>
#include "xml/elements.h"
#include "xml/reader.h"

#define MAX_ROWS 32u
#define MAX_LITERAL 32u		/* bytes: an attribute's name with all between it and the value before */

/*
 * How the writer spells an element of numbers: literal, value, literal, value ... "/>. Elements with other
 * attributes, with optional ones or with something inside have no spelling.
 */
struct spelling {
	unsigned nr;			/* values; 0: no spelling */
	uint8_t attr[XML_MAX_ATTRS];	/* which attribute each is */
	uint64_t max[XML_MAX_ATTRS];	/* of a number */
	struct literal {
		uint64_t word[MAX_LITERAL / 8], mask[MAX_LITERAL / 8];
		uint8_t len;
	} before[XML_MAX_ATTRS];
};

struct reader {
	const struct xml_schema *schema;
	const struct xml_handler *handler;
	void *ctx;
	struct pd_log *log;
	struct xml_pos *user_pos;
	int err;

	/* what is open */
	unsigned depth;
	uint8_t stack[XML_MAX_DEPTH];
	bool root_done;

	/* the element under way */
	unsigned row;
	void *record;
	uint8_t *bytes;			/* XML_MAX_VALUE_LEN for each attribute's base64 */
	struct xml_pos pos;

	/* scanner */
	bool gave_up;
	unsigned hint;			/* the row seen last */
	uint8_t tag_len[MAX_ROWS];
	uint8_t name_len[MAX_ROWS][XML_MAX_ATTRS];
	struct spelling spelling[MAX_ROWS];

	/* expat */
	void *expat;			/* XML_Parser, once it reads */
	struct xml_pos base;		/* where it began */
	size_t prefix_len;
	uint64_t fed;
	bool suppress, has_dtd;
	unsigned blanks;		/* before the text that is refused */
};

/* Sets the member of a number; for other types: what stands for "not there". */
void xml_set_number(void *record, const struct xml_attr *a, uint64_t n);
/* Sets the member from text ending in a 0 byte. NULL, or why it cannot be. */
const char *xml_set_text(struct reader *r, const struct xml_attr *a, const char *s, size_t len);

static inline bool xml_may_stand(const struct reader *r, unsigned row)
{
	uint32_t inside = r->schema->elements[row].inside;

	return r->depth ? inside >> r->stack[r->depth - 1] & 1 : !inside && !r->root_done;
}
/* r->row begins, its record filled; the element open last ends. 0 or r->err. */
int xml_element_start(struct reader *r);
int xml_element_end(struct reader *r);

void xml_scan_init(struct reader *r);
/* Reads whole tags; returns how many bytes. What is left is the beginning of a tag that is not
 * whole, or (gave_up) something for expat. r->pos is that of the first byte left. */
size_t xml_scan(struct reader *r, char *data, size_t len);

#endif
