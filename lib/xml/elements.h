/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An XML element is a row: its tag, where it may stand, and the attributes with the members of the
 * record they fill. The reader and the writer walk the same rows.
 *
 * Each metadata type has one table (thin/elements.c and its like), in an enum's order. Two rows may
 * share one record: single_mapping is a range_mapping whose length is implied.
 */
#ifndef PD_XML_ELEMENTS_H
#define PD_XML_ELEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xml_type {
	XML_U32,		/* uint32_t */
	XML_U24,		/* uint32_t below 2^24 */
	XML_U64,		/* uint64_t */
	XML_BOOL,		/* bool: "true" or "false" */
	XML_STR,		/* const char *; lives as long as the call that hands the record over */
	XML_BASE64,		/* struct xml_bytes, the same */
	XML_VOID,		/* no member: any text is read, nothing is kept, "" is written */
};

/* The member a base64 attribute fills. */
struct xml_bytes {
	const uint8_t *data;
	size_t len;
};

enum xml_attr_flags {
	XML_REQUIRED	= 1 << 0,	/* the reader refuses an element without it */
	XML_IF_SET	= 1 << 1,	/* written only when not 0 */
	XML_READ_ONLY	= 1 << 2,	/* accepted by readers, never written */
	XML_IMPLIED	= 1 << 3,	/* not in the text: the member is always @absent */
};

struct xml_attr {
	const char *name;
	uint16_t offset;	/* of the member in the record */
	uint8_t type;		/* enum xml_type */
	uint8_t flags;		/* enum xml_attr_flags */
	uint32_t absent;	/* a number's value when the attribute is not there */
};

#define XML_MAX_ATTRS 8

struct xml_element {
	const char *tag;
	uint32_t inside;	/* bit i: may stand in row i of its table; 0: it is the root */
	bool container;		/* written as start and end tag, even when nothing is inside */
	uint8_t nr_attrs;
	struct xml_attr attrs[XML_MAX_ATTRS];	/* in writing order */
};

struct xml_schema {
	const struct xml_element *elements;
	unsigned nr;
	size_t record_size;	/* bytes that hold any of the records */
};

#define XML_MEMBER(record, member, type) \
	(offsetof(struct record, member) + 0 * sizeof(_Generic(&((struct record *)0)->member, type *: 0)))
#define XML_ATTR_U32(n, record, member, fl) \
	{ .name = n, .type = XML_U32, .flags = fl, .offset = XML_MEMBER(record, member, uint32_t) }
#define XML_ATTR_U24(n, record, member, fl) \
	{ .name = n, .type = XML_U24, .flags = fl, .offset = XML_MEMBER(record, member, uint32_t) }
#define XML_ATTR_U64(n, record, member, fl) \
	{ .name = n, .type = XML_U64, .flags = fl, .offset = XML_MEMBER(record, member, uint64_t) }
#define XML_ATTR_BOOL(n, record, member, fl) \
	{ .name = n, .type = XML_BOOL, .flags = fl, .offset = XML_MEMBER(record, member, bool) }
#define XML_ATTR_STR(n, record, member, fl) \
	{ .name = n, .type = XML_STR, .flags = fl, .offset = XML_MEMBER(record, member, const char *) }
#define XML_ATTR_BASE64(n, record, member, fl) \
	{ .name = n, .type = XML_BASE64, .flags = fl, \
	  .offset = XML_MEMBER(record, member, struct xml_bytes) }
#define XML_ATTR_VOID(n, fl) { .name = n, .type = XML_VOID, .flags = fl }
#define XML_IMPLIED_U64(n, record, member, value) \
	{ .name = n, .type = XML_U64, .flags = XML_IMPLIED, .absent = value, \
	  .offset = XML_MEMBER(record, member, uint64_t) }

/* What readers take at most (cli 1.8). */
#define XML_MAX_NAME_LEN 255u		/* bytes of a def's name */
#define XML_MAX_VALUE_LEN 65536u	/* bytes of an attribute */
#define XML_MAX_DEPTH 8u

#endif
