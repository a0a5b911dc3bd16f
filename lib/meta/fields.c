/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "meta/fields.h"

#define HEADER(type) PD_FIELD(type, csum), PD_FIELD(type, flags), PD_FIELD(type, blocknr), \
	PD_FIELD(type, uuid), PD_FIELD(type, magic), PD_FIELD(type, version)
#define ROOT_PART(type, root, part) \
	{ #root "." #part, offsetof(type, root) + offsetof(struct sm_root, part), 8, 0, 64 }
#define SPACE_MAP_ROOT(type, root) \
	ROOT_PART(type, root, nr_blocks), ROOT_PART(type, root, nr_allocated), \
	ROOT_PART(type, root, bitmap_root), ROOT_PART(type, root, ref_count_root), \
	{ #root ".unused", offsetof(type, root) + sizeof(struct sm_root), \
	  SM_ROOT_SIZE - sizeof(struct sm_root), 0, 0 }

#define T struct thin_superblock
static const struct field thin_fields[] = {
	HEADER(T), PD_FIELD(T, time), PD_FIELD(T, trans_id), PD_FIELD(T, held_root),
	SPACE_MAP_ROOT(T, data_space_map_root), SPACE_MAP_ROOT(T, metadata_space_map_root),
	PD_FIELD(T, data_mapping_root), PD_FIELD(T, device_details_root),
	PD_FIELD(T, data_block_size), PD_FIELD(T, metadata_block_size),
	PD_FIELD(T, metadata_nr_blocks), PD_FIELD(T, compat_flags), PD_FIELD(T, compat_ro_flags),
	PD_FIELD(T, incompat_flags),
};
#undef T

#define T struct cache_superblock
static const struct field cache_fields[] = {
	HEADER(T), PD_FIELD(T, policy_name), PD_FIELD(T, policy_hint_size),
	SPACE_MAP_ROOT(T, metadata_space_map_root),
	PD_FIELD(T, mapping_root), PD_FIELD(T, hint_root), PD_FIELD(T, discard_root),
	PD_FIELD(T, discard_block_size), PD_FIELD(T, discard_nr_blocks),
	PD_FIELD(T, data_block_size), PD_FIELD(T, metadata_block_size), PD_FIELD(T, cache_blocks),
	PD_FIELD(T, compat_flags), PD_FIELD(T, compat_ro_flags), PD_FIELD(T, incompat_flags),
	PD_FIELD(T, read_hits), PD_FIELD(T, read_misses), PD_FIELD(T, write_hits),
	PD_FIELD(T, write_misses), PD_FIELD(T, policy_version[0]), PD_FIELD(T, policy_version[1]),
	PD_FIELD(T, policy_version[2]), PD_FIELD(T, dirty_root),
};
#undef T

#define T struct era_superblock
static const struct field era_fields[] = {
	HEADER(T), SPACE_MAP_ROOT(T, metadata_space_map_root),
	PD_FIELD(T, data_block_size), PD_FIELD(T, metadata_block_size), PD_FIELD(T, nr_blocks),
	PD_FIELD(T, current_era), PD_FIELD(T, current_writeset.nr_bits),
	PD_FIELD(T, current_writeset.root), PD_FIELD(T, writeset_tree_root),
	PD_FIELD(T, era_array_root), PD_FIELD(T, metadata_snap),
};
#undef T

#define T struct clone_superblock
static const struct field clone_fields[] = {
	HEADER(T), SPACE_MAP_ROOT(T, metadata_space_map_root),
	PD_FIELD(T, region_size), PD_FIELD(T, target_size), PD_FIELD(T, bitset_root),
};
#undef T

#define T struct node_header
static const struct field node_fields[] = {
	PD_FIELD(T, csum), PD_FIELD(T, flags), PD_FIELD(T, blocknr), PD_FIELD(T, nr_entries),
	PD_FIELD(T, max_entries), PD_FIELD(T, value_size), PD_FIELD(T, padding),
};
#undef T

#define T struct array_header
static const struct field array_fields[] = {
	PD_FIELD(T, csum), PD_FIELD(T, max_entries), PD_FIELD(T, nr_entries),
	PD_FIELD(T, value_size), PD_FIELD(T, blocknr),
};
#undef T

static const struct field bitmap_fields[] = {
	PD_FIELD(struct bitmap_header, csum), PD_FIELD(struct bitmap_header, unused),
	PD_FIELD(struct bitmap_header, blocknr),
};

static const struct field index_fields[] = {
	PD_FIELD(struct metadata_index, csum), PD_FIELD(struct metadata_index, padding),
	PD_FIELD(struct metadata_index, blocknr),
};

/* ---- Values: their size tells what they are. An empty name is the value itself. ---- */

static const struct field value4_fields[] = { { "", 0, 4, 0, 32 } };
static const struct field value8_fields[] = {
	{ "", 0, 8, 0, 64 },
	{ "block", 0, 8, 24, 40 }, { "time", 0, 8, 0, 24 },	/* thin */
	{ "oblock", 0, 8, 16, 48 }, { "flags", 0, 8, 0, 16 },	/* cache */
};
static const struct field writeset_fields[] = {
	PD_FIELD(struct era_writeset, nr_bits), PD_FIELD(struct era_writeset, root),
};
static const struct field index_entry_fields[] = {
	PD_FIELD(struct index_entry, blocknr), PD_FIELD(struct index_entry, nr_free),
	PD_FIELD(struct index_entry, none_free_before),
};
static const struct field details_fields[] = {
	PD_FIELD(struct thin_device_details, mapped_blocks),
	PD_FIELD(struct thin_device_details, transaction_id),
	PD_FIELD(struct thin_device_details, creation_time),
	PD_FIELD(struct thin_device_details, snapshotted_time),
};

#define TABLE(name, len, fields) { name, len, fields, ARRAY_SIZE(fields) }

enum { NR_KINDS = NR_BLOCK_KINDS - 1 };		/* in the order of enum block_kind */
const struct field_table field_tables[] = {
	TABLE("thin-superblock", sizeof(struct thin_superblock), thin_fields),
	TABLE("cache-superblock", sizeof(struct cache_superblock), cache_fields),
	TABLE("era-superblock", sizeof(struct era_superblock), era_fields),
	TABLE("clone-superblock", sizeof(struct clone_superblock), clone_fields),
	TABLE("node", sizeof(struct node_header), node_fields),
	TABLE("array", sizeof(struct array_header), array_fields),
	TABLE("bitmap", sizeof(struct bitmap_header), bitmap_fields),
	TABLE("index", offsetof(struct metadata_index, index), index_fields),
	TABLE("count", 4, value4_fields),
	TABLE("value", 8, value8_fields),
	TABLE("writeset", sizeof(struct era_writeset), writeset_fields),
	TABLE("index entry", sizeof(struct index_entry), index_entry_fields),
	TABLE("device details", sizeof(struct thin_device_details), details_fields),
};
const unsigned nr_field_tables = ARRAY_SIZE(field_tables);

static enum block_kind kind_called(const char *name)
{
	for (unsigned i = 0; i < NR_KINDS; i++)
		if (!strcmp(field_tables[i].name, name))
			return (enum block_kind)(i + 1);
	return KIND_NONE;
}

/* ---- Rows of things behind the header ---- */

struct row {
	const char *name;
	uint64_t begin_bytes;	/* of the first */
	uint64_t item_bytes;	/* 0: two bits each, a bitmap's */
	uint64_t nr_used;
};

/* The rows of a block, which may say anything of itself; how many. */
static unsigned rows_of(const void *block, enum block_kind kind, struct row row[2])
{
	const struct node_header *n = block;
	const struct array_header *a = block;

	switch (kind) {
	case KIND_NODE:
		row[0] = (struct row){ "keys", sizeof(*n), sizeof(le64), le32_get(n->nr_entries) };
		row[1] = (struct row){ "values", sizeof(*n) + 8ull * le32_get(n->max_entries),
				       le32_get(n->value_size), le32_get(n->nr_entries) };
		return le32_get(n->value_size) ? 2 : 1;
	case KIND_ARRAY:
		row[0] = (struct row){ "values", sizeof(*a), le32_get(a->value_size),
				       le32_get(a->nr_entries) };
		return le32_get(a->value_size) ? 1 : 0;
	case KIND_BITMAP:
		row[0] = (struct row){ "entries", sizeof(struct bitmap_header), 0, ENTRIES_PER_BITMAP };
		return 1;
	case KIND_INDEX:
		row[0] = (struct row){ "index", offsetof(struct metadata_index, index),
				       sizeof(struct index_entry), MAX_METADATA_BITMAPS };
		return 1;
	default:
		return 0;
	}
}

/* Where item @i lies, and the table of its fields; plain bytes have none of their own. */
static bool item_of(const struct row *row, uint64_t i, struct field *at,
		    const struct field_table **table)
{
	uint64_t begin, len = row->item_bytes ? row->item_bytes : 1;

	*table = NULL;
	if (i > PD_BLOCK_SIZE * 4ull)
		return false;
	begin = row->begin_bytes + (row->item_bytes ? i * len : i / 4);
	if (len > PD_BLOCK_SIZE || begin > PD_BLOCK_SIZE - len)
		return false;
	*at = (struct field){ "", (uint16_t)begin, (uint16_t)len, 0, 0 };
	for (unsigned t = NR_KINDS; t < nr_field_tables; t++)
		if (field_tables[t].len_bytes == row->item_bytes)
			*table = &field_tables[t];
	return true;
}

/* A bitmap's pair of bits holds its count with the bits the other way round. */
static bool is_pair(const struct row *row)
{
	return row && !row->item_bytes;
}

/* ---- One field ---- */

/* Where a name leads. */
struct place {
	struct field f;
	bool pair;
	uint32_t entry;
};

static uint64_t number_get(const void *block, const struct place *p)
{
	uint64_t n = 0;

	if (p->pair)
		return bitmap_get(block, p->entry);
	for (unsigned i = p->f.len_bytes; i-- > 0; )
		n = n << 8 | ((const uint8_t *)block)[p->f.offset_bytes + i];
	n >>= p->f.shift;
	return p->f.nr_bits < 64 ? n & ((1ull << p->f.nr_bits) - 1) : n;
}

static void number_put(void *block, const struct place *p, uint64_t v)
{
	uint64_t mask = p->f.nr_bits < 64 ? (1ull << p->f.nr_bits) - 1 : UINT64_MAX;
	struct place whole = *p;
	uint64_t n;

	if (p->pair) {
		bitmap_put(block, p->entry, (unsigned)v);
		return;
	}
	whole.f.shift = 0;
	whole.f.nr_bits = (uint8_t)(8 * p->f.len_bytes);
	n = (number_get(block, &whole) & ~(mask << p->f.shift)) | v << p->f.shift;
	for (unsigned i = 0; i < p->f.len_bytes; i++)
		((uint8_t *)block)[p->f.offset_bytes + i] = (uint8_t)(n >> 8 * i);
}

static void text_of(const void *block, const struct place *p, char *value)
{
	const uint8_t *bytes = (const uint8_t *)block + p->f.offset_bytes;

	if (p->f.nr_bits) {
		snprintf(value, PD_FIELD_VALUE_MAX, "%" PRIu64, number_get(block, p));
		return;
	}
	for (unsigned i = 0; i < p->f.len_bytes; i++)
		snprintf(value + 2 * i, 3, "%02x", bytes[i]);
}

/* "keys[3]" and "values[3].time": which row, which item, what is left of the name. */
static int find_item(const void *block, enum block_kind kind, const char *name, struct place *p)
{
	const struct field_table *table;
	struct row rows[2], *row = NULL;
	unsigned nr = rows_of(block, kind, rows);
	const char *open = strchr(name, '['), *part = "";
	struct field at;
	uint64_t i;
	char *end;

	for (unsigned r = 0; open && r < nr; r++)
		if (strlen(rows[r].name) == (size_t)(open - name) &&
		    !strncmp(rows[r].name, name, (size_t)(open - name)))
			row = &rows[r];
	if (!row || open[1] < '0' || open[1] > '9')
		return -ENOENT;
	i = strtoull(open + 1, &end, 10);
	if (*end != ']' || (end[1] && end[1] != '.'))
		return -ENOENT;
	if (end[1])
		part = end + 2;
	if (!item_of(row, i, &at, &table) || (is_pair(row) && i >= ENTRIES_PER_BITMAP))
		return -ERANGE;
	if (is_pair(row)) {
		at.nr_bits = 2;
		*p = (struct place){ at, true, (uint32_t)i };
		return *part ? -ENOENT : 0;
	}
	for (unsigned f = 0; table && f < table->nr; f++) {
		if (strcmp(table->fields[f].name, part))
			continue;
		p->f = table->fields[f];
		p->f.offset_bytes = (uint16_t)(p->f.offset_bytes + at.offset_bytes);
		p->pair = false;
		return 0;
	}
	*p = (struct place){ .f = at };
	return *part ? -ENOENT : 0;
}

static int find(const void *block, const char *kind_name, const char *name, struct place *p)
{
	enum block_kind kind = kind_called(kind_name);
	const struct field_table *t;

	if (kind == KIND_NONE)
		return -EINVAL;
	t = &field_tables[kind - 1];
	for (unsigned i = 0; i < t->nr; i++)
		if (!strcmp(t->fields[i].name, name)) {
			*p = (struct place){ .f = t->fields[i] };
			return 0;
		}
	return find_item(block, kind, name, p);
}

int pd_field_get(const void *block, const char *kind, const char *name, char *value)
{
	struct place p;
	int r = find(block, kind, name, &p);

	if (!r)
		text_of(block, &p, value);
	return r;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *d = c ? strchr(digits, c | 32) : NULL;

	return d ? (int)(d - digits) : -1;
}

static int set_bytes(uint8_t *bytes, unsigned len, const char *value)
{
	if (strlen(value) != 2 * (size_t)len)
		return -EINVAL;
	for (unsigned i = 0; i < 2 * len; i++)
		if (hex_digit(value[i]) < 0)
			return -EINVAL;
	for (unsigned i = 0; i < len; i++)
		bytes[i] = (uint8_t)(hex_digit(value[2 * i]) << 4 | hex_digit(value[2 * i + 1]));
	return 0;
}

int pd_field_set(void *block, const char *kind, const char *name, const char *value)
{
	bool plus = *value == '+', minus = *value == '-';
	const char *digits = value + (plus || minus);
	struct place p;
	int r = find(block, kind, name, &p);
	uint64_t v, max;
	char *end;

	if (r)
		return r;
	if (!p.f.nr_bits)
		return set_bytes((uint8_t *)block + p.f.offset_bytes, p.f.len_bytes, value);
	errno = 0;
	v = strtoull(digits, &end, digits[0] == '0' && (digits[1] | 32) == 'x' ? 16 : 10);
	if (*digits < '0' || *digits > '9' || *end || errno)
		return -EINVAL;
	max = p.f.nr_bits < 64 ? (1ull << p.f.nr_bits) - 1 : UINT64_MAX;
	if (plus)
		v = number_get(block, &p) + v;
	else if (minus)
		v = number_get(block, &p) - v;
	if (v > max)
		return -EINVAL;
	number_put(block, &p, v);
	return 0;
}

/* ---- All fields ---- */

struct walk {
	int (*fn)(void *ctx, const char *name, const char *value);
	void *ctx;
	const void *block;
};

static int tell(struct walk *w, const char *name, const struct place *p)
{
	char value[PD_FIELD_VALUE_MAX];

	text_of(w->block, p, value);
	return w->fn(w->ctx, name, value);
}

static int tell_item(struct walk *w, const struct row *row, uint64_t i, const struct field *at,
		     const struct field_table *table)
{
	char name[64];
	int r = 0;

	snprintf(name, sizeof(name), "%s[%" PRIu64 "]", row->name, i);
	if (is_pair(row)) {
		struct place p = { *at, true, (uint32_t)i };

		p.f.nr_bits = 2;
		/* Of 16320 entries most are 0. */
		return number_get(w->block, &p) ? tell(w, name, &p) : 0;
	}
	if (!table)
		return tell(w, name, &(struct place){ .f = *at });
	for (unsigned f = 0; !r && f < table->nr; f++) {
		struct place p = { .f = table->fields[f] };

		if (p.f.nr_bits < 8 * p.f.len_bytes)
			continue;	/* a part of the one before */
		p.f.offset_bytes = (uint16_t)(p.f.offset_bytes + at->offset_bytes);
		snprintf(name, sizeof(name), "%s[%" PRIu64 "]%s%s", row->name, i,
			 *p.f.name ? "." : "", p.f.name);
		r = tell(w, name, &p);
	}
	return r;
}

int pd_field_each(const void *block, const char *kind_name,
		  int (*fn)(void *ctx, const char *name, const char *value), void *ctx)
{
	enum block_kind kind = kind_called(kind_name);
	struct walk w = { fn, ctx, block };
	const struct field_table *table;
	struct row rows[2];
	struct field at;
	int r = 0;

	if (kind == KIND_NONE)
		return -EINVAL;
	table = &field_tables[kind - 1];
	for (unsigned i = 0; !r && i < table->nr; i++)
		r = tell(&w, table->fields[i].name, &(struct place){ .f = table->fields[i] });
	for (unsigned k = 0, nr = rows_of(block, kind, rows); !r && k < nr; k++)
		for (uint64_t i = 0; !r && i < rows[k].nr_used; i++) {
			if (!item_of(&rows[k], i, &at, &table))
				break;
			/* The index has room for 255; those past the last bitmap are zeros. */
			if (kind == KIND_INDEX && !le64_get(((const struct metadata_index *)block)->index[i].blocknr))
				break;
			r = tell_item(&w, &rows[k], i, &at, table);
		}
	return r;
}

const char *pd_block_kind_of(const void *block)
{
	enum block_kind kind = block_kind(block);

	return kind == KIND_NONE ? NULL : field_tables[kind - 1].name;
}

int pd_block_seal(void *block, const char *kind_name)
{
	enum block_kind kind = kind_called(kind_name);

	if (kind == KIND_NONE)
		return -EINVAL;
	block_seal(block, kind, block_nr(block, kind));
	return 0;
}
