/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What holds for any block: checksum, kind, own number; nodes and array blocks looked at alone. */
#include "persistent-data/disk.h"
#include "base/crc32c.h"

static const struct {
	uint32_t key;
	uint64_t magic;
	const char *name;
} kinds[NR_BLOCK_KINDS] = {
	[KIND_NONE]	= { 0, 0, "unrecognised block" },
	[KIND_THIN_SB]	= { CSUM_KEY_THIN, THIN_MAGIC, "thin superblock" },
	[KIND_CACHE_SB]	= { CSUM_KEY_CACHE, CACHE_MAGIC, "cache superblock" },
	[KIND_ERA_SB]	= { CSUM_KEY_ERA, ERA_MAGIC, "era superblock" },
	[KIND_CLONE_SB]	= { CSUM_KEY_CLONE, CLONE_MAGIC, "clone superblock" },
	[KIND_NODE]	= { CSUM_KEY_NODE, 0, "btree node" },
	[KIND_ARRAY]	= { CSUM_KEY_ARRAY, 0, "array block" },
	[KIND_BITMAP]	= { CSUM_KEY_BITMAP, 0, "space map bitmap" },
	[KIND_INDEX]	= { CSUM_KEY_INDEX, 0, "metadata space map index" },
};

uint32_t block_csum(const void *data)
{
	return crc32c(0xFFFFFFFF, (const uint8_t *)data + sizeof(le32),
		      PD_BLOCK_SIZE - sizeof(le32));
}

enum block_kind block_kind(const void *data)
{
	le32 stored;
	uint32_t key;

	memcpy(&stored, data, sizeof(stored));
	key = le32_get(stored) ^ block_csum(data);
	switch (key) {
	case CSUM_KEY_NODE:	return KIND_NODE;
	case CSUM_KEY_ARRAY:	return KIND_ARRAY;
	case CSUM_KEY_BITMAP:	return KIND_BITMAP;
	case CSUM_KEY_INDEX:	return KIND_INDEX;
	case CSUM_KEY_THIN:	return KIND_THIN_SB;
	case CSUM_KEY_CACHE:	return KIND_CACHE_SB;
	case CSUM_KEY_ERA:	return KIND_ERA_SB;
	case CSUM_KEY_CLONE:	return KIND_CLONE_SB;
	default:		return KIND_NONE;
	}
}

static size_t nr_offset(enum block_kind kind)
{
	return kind == KIND_ARRAY ? offsetof(struct array_header, blocknr) :
				    offsetof(struct node_header, blocknr);
}

uint64_t block_nr(const void *data, enum block_kind kind)
{
	le64 nr;

	memcpy(&nr, (const uint8_t *)data + nr_offset(kind), sizeof(nr));
	return le64_get(nr);
}

void block_seal(void *data, enum block_kind kind, uint64_t nr)
{
	le64 v = le64_put(nr);
	le32 csum;

	memcpy((uint8_t *)data + nr_offset(kind), &v, sizeof(v));
	csum = le32_put(block_csum(data) ^ kinds[kind].key);
	memcpy(data, &csum, sizeof(csum));
}

const char *block_kind_name(enum block_kind kind)
{
	return kinds[kind].name;
}

uint64_t block_kind_magic(enum block_kind kind)
{
	return kinds[kind].magic;
}

enum node_fault node_check(const void *data, uint32_t want)
{
	const struct node_header *n = data;
	uint32_t flags = le32_get(n->flags), nr = le32_get(n->nr_entries);
	uint64_t size = le32_get(n->value_size), max = le32_get(n->max_entries);

	if (flags != NODE_LEAF && flags != NODE_INTERNAL)
		return NODE_BAD_FLAGS;
	if (flags == NODE_INTERNAL ? size != sizeof(le64) : want ? size != want : !size)
		return NODE_BAD_VALUE_SIZE;
	if (max % 3 || max > PD_BLOCK_SIZE || sizeof(*n) + max * (8 + size) > PD_BLOCK_SIZE)
		return NODE_BAD_MAX_ENTRIES;
	if (nr > max || (flags == NODE_INTERNAL && !nr))
		return NODE_BAD_NR_ENTRIES;
	for (uint32_t i = 1; i < nr; i++)
		if (node_key(n, i - 1) >= node_key(n, i))
			return NODE_BAD_KEY_ORDER;
	return NODE_OK;
}

bool array_block_check(const void *data, uint32_t want)
{
	const struct array_header *a = data;
	uint32_t max = array_max_entries(want), nr = le32_get(a->nr_entries);

	return le32_get(a->value_size) == want && le32_get(a->max_entries) == max &&
	       nr && nr <= max;
}
