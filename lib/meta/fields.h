/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every on-disk struct as a table of its fields; what one does with them is in <pdata/fields.h>. */
#ifndef PD_META_FIELDS_H
#define PD_META_FIELDS_H

#include <pdata/fields.h>
#include "persistent-data/disk.h"

/* A number of @nr_bits from bit @shift on in @len_bytes bytes, or with nr_bits 0 plain bytes. */
struct field {
	const char *name;
	uint16_t offset_bytes, len_bytes;
	uint8_t shift, nr_bits;
};

/* The type says whether it is a number: le16, le32, le64; anything else is bytes. */
#define PD_FIELD_NAMED(text, type, member) \
	{ text, offsetof(type, member), sizeof(((type *)0)->member), 0, \
	  _Generic(&((type *)0)->member, le16 *: 16, le32 *: 32, le64 *: 64, default: 0) }
#define PD_FIELD(type, member) PD_FIELD_NAMED(#member, type, member)

/* A struct: what it is called, how long it is, and its fields in order. */
struct field_table {
	const char *name;
	uint32_t len_bytes;
	const struct field *fields;
	unsigned nr;
};

/* All of them, for tests: fields follow one another without gaps (views of a part of a number,
 * which have a shift or fewer bits than bytes hold, come after that number). */
extern const struct field_table field_tables[];
extern const unsigned nr_field_tables;

#endif
