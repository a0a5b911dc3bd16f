/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The on-disk structures that all metadata types share.
 *
 * Metadata is a row of 4096-byte blocks. Block 0 is the superblock; the others are
 * B-tree nodes, array blocks, space map bitmaps, or the one index block of the
 * metadata space map. Each block opens with a checksum whose last XOR tells its
 * kind, and names its own number.
 *
 *	node	header, keys[max_entries], values[max_entries]
 *	array	header, values packed
 *	bitmap	header, 16320 two-bit entries
 *	index	header, 255 index entries
 *
 * Structures are arrays of bytes inside (le.h): any alignment, no padding.
 */
#ifndef PD_DISK_H
#define PD_DISK_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/le.h"
#include "base/util.h"
#include <pdata/io.h>

/* What the checksum of a block is XORed with, by kind. */
enum csum_key {
	CSUM_KEY_THIN	= 160774,
	CSUM_KEY_CACHE	= 9031977,
	CSUM_KEY_ERA	= 146538381,
	CSUM_KEY_CLONE	= 257649492,
	CSUM_KEY_NODE	= 121107,
	CSUM_KEY_ARRAY	= 595846735,
	CSUM_KEY_BITMAP	= 240779,
	CSUM_KEY_INDEX	= 160478,
};

enum block_kind {
	KIND_NONE,		/* no kind: torn, overwritten, never written */
	KIND_THIN_SB, KIND_CACHE_SB, KIND_ERA_SB, KIND_CLONE_SB,
	KIND_NODE, KIND_ARRAY, KIND_BITMAP, KIND_INDEX,
	NR_BLOCK_KINDS
};

#define SB_LOCATION 0ull

/* ---- B-tree nodes ---- */

enum { NODE_INTERNAL = 1, NODE_LEAF = 2 };

/* Opens every btree node; keys[max_entries] follow, then values[max_entries]. */
struct node_header {
	le32 csum;
	le32 flags;		/* NODE_INTERNAL or NODE_LEAF */
	le64 blocknr;		/* where this node believes it lives */
	le32 nr_entries;
	le32 max_entries;	/* a multiple of 3: rebalancing works in thirds */
	le32 value_size;	/* bytes; 8 in internal nodes */
	le32 padding;
};
static_assert(sizeof(struct node_header) == 32, "node header size");
static_assert(offsetof(struct node_header, blocknr) == 8, "node blocknr offset");
static_assert(offsetof(struct node_header, nr_entries) == 16, "nr_entries offset");
static_assert(offsetof(struct node_header, value_size) == 24, "value_size offset");

#define MAX_TREE_DEPTH 16
#define NODE_MAX_VALUE_SIZE 1346u	/* three entries must fit */

/* Entries a node holds for values of @value_size bytes (1 to NODE_MAX_VALUE_SIZE). */
static inline uint32_t node_max_entries(uint32_t value_size)
{
	return 3 * ((PD_BLOCK_SIZE - sizeof(struct node_header)) / (8 + value_size) / 3);
}

#define INTERNAL_MAX_ENTRIES 252u	/* node_max_entries(8) */

static inline le64 *node_keys(const struct node_header *n)
{
	return (le64 *)(n + 1);
}

static inline uint64_t node_key(const struct node_header *n, uint32_t i)
{
	return le64_get(node_keys(n)[i]);
}

/* Address of value @i; only after node_check() said the node is sound. */
static inline void *node_value_ptr(const struct node_header *n, uint32_t i)
{
	return (uint8_t *)(n + 1) + 8 * (size_t)le32_get(n->max_entries) +
		(size_t)i * le32_get(n->value_size);
}

/* Value @i of an internal node, or of a leaf with 8-byte values. */
static inline uint64_t node_value64(const struct node_header *n, uint32_t i)
{
	le64 v;

	memcpy(&v, node_value_ptr(n, i), sizeof(v));
	return le64_get(v);
}

/* ---- Arrays ---- */

struct array_header {
	le32 csum;
	le32 max_entries;	/* floor(4072 / value_size) */
	le32 nr_entries;
	le32 value_size;	/* bytes */
	le64 blocknr;		/* at 16, not 8 as elsewhere */
};
static_assert(sizeof(struct array_header) == 24, "array header size");
static_assert(offsetof(struct array_header, blocknr) == 16, "array blocknr offset");

static inline uint32_t array_max_entries(uint32_t value_size)
{
	return (PD_BLOCK_SIZE - sizeof(struct array_header)) / value_size;
}

static inline void *array_value_ptr(const struct array_header *a, uint32_t i)
{
	return (uint8_t *)(a + 1) + (size_t)i * le32_get(a->value_size);
}

#define BITSET_WORD_BITS 64u
#define BITSET_BITS_PER_BLOCK 32576u	/* 509 words */

/* ---- Space maps ---- */

struct bitmap_header {
	le32 csum;
	le32 unused;
	le64 blocknr;
};
static_assert(sizeof(struct bitmap_header) == 16, "bitmap header size");

#define ENTRIES_PER_BITMAP 16320u	/* (4096 - 16) * 4 */
#define MAX_METADATA_BITMAPS 255u
#define MAX_METADATA_BLOCKS (255ull * ENTRIES_PER_BITMAP)

struct index_entry {
	le64 blocknr;		/* the bitmap */
	le32 nr_free;		/* zero entries among all 16320 */
	le32 none_free_before;	/* every entry below is in use; a lower bound */
};
static_assert(sizeof(struct index_entry) == 16, "index entry size");

struct metadata_index {
	le32 csum;
	le32 padding;
	le64 blocknr;
	struct index_entry index[MAX_METADATA_BITMAPS];
};
static_assert(sizeof(struct metadata_index) == PD_BLOCK_SIZE, "metadata index size");

/* Root record: 128 bytes inside superblocks, of which these 32 mean something. */
struct sm_root {
	le64 nr_blocks;
	le64 nr_allocated;
	le64 bitmap_root;	/* metadata: the index block; data: root of the index tree */
	le64 ref_count_root;	/* overflow tree: block -> le32 count, 3 and more */
};
static_assert(sizeof(struct sm_root) == 32, "space map root size");
#define SM_ROOT_SIZE 128u

/*
 * Two bits an entry, the lower-numbered bit of the pair weighing 2:
 * count = (p & 1) << 1 | p >> 1, and 3 means "look into the overflow tree".
 */
static inline unsigned bitmap_get(const void *bitmap, uint32_t e)
{
	const uint8_t *bytes = (const uint8_t *)bitmap + sizeof(struct bitmap_header);
	unsigned p = bytes[e / 4] >> 2 * (e % 4) & 3;

	return (p & 1) << 1 | p >> 1;
}

static inline void bitmap_put(void *bitmap, uint32_t e, unsigned count)
{
	uint8_t *byte = (uint8_t *)bitmap + sizeof(struct bitmap_header) + e / 4;
	unsigned p = (count & 1) << 1 | count >> 1, shift = 2 * (e % 4);

	*byte = (uint8_t)((*byte & ~(3u << shift)) | p << shift);
}

/* ---- Superblocks ---- */

#define UUID_SIZE 16u

/* What all four begin with. */
struct sb_header {
	le32 csum;
	le32 flags;
	le64 blocknr;
	uint8_t uuid[UUID_SIZE];
	le64 magic;
	le32 version;
};
static_assert(offsetof(struct sb_header, magic) == 32, "magic offset");

static inline uint64_t sb_magic(const void *data)
{
	return le64_get(((const struct sb_header *)data)->magic);
}

#define THIN_MAGIC 27022010ull
#define THIN_VERSION 2u
#define THIN_NEEDS_CHECK 1u
#define THIN_MAX_DEV_ID ((1u << 24) - 1)
#define THIN_MAX_TIME ((1u << 24) - 1)
#define THIN_MIN_BLOCK_SIZE 128u	/* sectors */
#define THIN_MAX_BLOCK_SIZE 2097152u

struct thin_superblock {
	le32 csum;
	le32 flags;		/* THIN_NEEDS_CHECK */
	le64 blocknr;
	uint8_t uuid[UUID_SIZE];
	le64 magic;
	le32 version;
	le32 time;		/* snapshots taken so far */
	le64 trans_id;		/* userspace's own */
	le64 held_root;		/* metadata snapshot, 0 if none */
	uint8_t data_space_map_root[SM_ROOT_SIZE];
	uint8_t metadata_space_map_root[SM_ROOT_SIZE];
	le64 data_mapping_root;
	le64 device_details_root;
	le32 data_block_size;	/* sectors */
	le32 metadata_block_size;	/* sectors */
	le64 metadata_nr_blocks;	/* at format time; the kernel does not keep it up */
	le32 compat_flags;
	le32 compat_ro_flags;
	le32 incompat_flags;
};
static_assert(sizeof(struct thin_superblock) == 364, "thin superblock size");
static_assert(offsetof(struct thin_superblock, data_mapping_root) == 320, "data_mapping_root");

struct thin_device_details {
	le64 mapped_blocks;
	le64 transaction_id;
	le32 creation_time;
	le32 snapshotted_time;
};
static_assert(sizeof(struct thin_device_details) == 24, "device details size");

#define CACHE_MAGIC 1623043ull
#define CACHE_CLEAN_SHUTDOWN 1u
#define CACHE_NEEDS_CHECK 2u
#define CACHE_POLICY_NAME_SIZE 16u
#define CACHE_MIN_BLOCK_SIZE 64u	/* sectors */
#define CACHE_MAX_BLOCK_SIZE 2097152u
#define CACHE_VALID 1u
#define CACHE_DIRTY 2u

struct cache_superblock {
	le32 csum;
	le32 flags;		/* CACHE_CLEAN_SHUTDOWN, CACHE_NEEDS_CHECK */
	le64 blocknr;
	uint8_t uuid[UUID_SIZE];
	le64 magic;
	le32 version;		/* 1 or 2 */
	uint8_t policy_name[CACHE_POLICY_NAME_SIZE];
	le32 policy_hint_size;	/* bytes, 0 or 4 */
	uint8_t metadata_space_map_root[SM_ROOT_SIZE];
	le64 mapping_root;
	le64 hint_root;		/* 0: none */
	le64 discard_root;
	le64 discard_block_size;	/* sectors */
	le64 discard_nr_blocks;
	le32 data_block_size;	/* sectors */
	le32 metadata_block_size;	/* sectors */
	le32 cache_blocks;
	le32 compat_flags;
	le32 compat_ro_flags;
	le32 incompat_flags;
	le32 read_hits;
	le32 read_misses;
	le32 write_hits;
	le32 write_misses;
	le32 policy_version[3];
	le64 dirty_root;	/* version 2 */
};
static_assert(sizeof(struct cache_superblock) == 292, "cache superblock size");
static_assert(offsetof(struct cache_superblock, dirty_root) == 284, "dirty_root offset");

#define ERA_MAGIC 2126579579ull
#define ERA_VERSION 1u

struct era_writeset {
	le32 nr_bits;
	le64 root;
};
static_assert(sizeof(struct era_writeset) == 12, "writeset size");

struct era_superblock {
	le32 csum;
	le32 flags;
	le64 blocknr;
	uint8_t uuid[UUID_SIZE];
	le64 magic;
	le32 version;
	uint8_t metadata_space_map_root[SM_ROOT_SIZE];
	le32 data_block_size;	/* sectors */
	le32 metadata_block_size;	/* sectors */
	le32 nr_blocks;
	le32 current_era;
	struct era_writeset current_writeset;
	le64 writeset_tree_root;
	le64 era_array_root;
	le64 metadata_snap;	/* 0 if none */
};
static_assert(sizeof(struct era_superblock) == 224, "era superblock size");
static_assert(offsetof(struct era_superblock, writeset_tree_root) == 200, "writeset_tree_root");

#define CLONE_MAGIC 2331148132ull
#define CLONE_VERSION 1u
#define CLONE_MIN_REGION_SIZE 8u	/* sectors */
#define CLONE_MAX_REGION_SIZE 2097152u
#define CLONE_MAX_REGIONS (1ull << 31)

struct clone_superblock {
	le32 csum;
	le32 flags;
	le64 blocknr;
	uint8_t uuid[UUID_SIZE];
	le64 magic;
	le32 version;
	uint8_t metadata_space_map_root[SM_ROOT_SIZE];
	le64 region_size;	/* sectors */
	le64 target_size;	/* sectors */
	le64 bitset_root;
};
static_assert(sizeof(struct clone_superblock) == 196, "clone superblock size");

/* Thin mapping values: data block in the high 40 bits, time in the low 24. */
static inline uint64_t mapping_block(uint64_t v) { return v >> 24; }
static inline uint32_t mapping_time(uint64_t v) { return v & 0xffffff; }
static inline uint64_t mapping_pack(uint64_t block, uint32_t time) { return block << 24 | time; }

/* ---- What holds for any block (block.c) ---- */

/**
 * block_csum() - the register over bytes 4 to 4095, before the XOR with a kind's key.
 * @data: PD_BLOCK_SIZE bytes.
 *
 * Source: kernel dm-block-manager.c, dm_bm_checksum(); format/README 2.
 */
uint32_t block_csum(const void *data);

/**
 * block_kind() - which kind of block carries this checksum?
 * @data: PD_BLOCK_SIZE bytes.
 *
 * Looks at the checksum alone: the block may still be misplaced (block_nr()).
 * Cost: one crc32c of a block.
 */
enum block_kind block_kind(const void *data);

/* The number a block of this kind says it lives at. */
uint64_t block_nr(const void *data, enum block_kind kind);

/* Writes @nr and then the checksum into a block of @kind, for writing it out at @nr. */
void block_seal(void *data, enum block_kind kind, uint64_t nr);

/* "thin superblock", "btree node", ... */
const char *block_kind_name(enum block_kind kind);

/* The magic number of a superblock kind; 0 for others. */
uint64_t block_kind_magic(enum block_kind kind);

/*
 * How a block of a known kind can be unsound when looked at alone, with its checksum and own
 * number already found right. NODE_OK is 0.
 */
enum node_fault {
	NODE_OK,
	NODE_BAD_FLAGS,		/* not one of internal and leaf */
	NODE_BAD_VALUE_SIZE,	/* internal: not 8; leaf: not @want */
	NODE_BAD_MAX_ENTRIES,	/* not a multiple of 3, or more than fit */
	NODE_BAD_NR_ENTRIES,	/* more than max_entries; internal: 0 */
	NODE_BAD_KEY_ORDER,	/* keys not strictly increasing */
};

/**
 * node_check() - is this node usable (N2 to N4, N6, N10 of the format)?
 * @data: PD_BLOCK_SIZE bytes.
 * @want: size of a leaf's values, bytes; 0 takes any that fits.
 *
 * Cost: one pass over the keys; no checksum.
 */
enum node_fault node_check(const void *data, uint32_t want);

/* Array block: value_size is @want, max_entries right, nr_entries from 1 to max (A2). */
bool array_block_check(const void *data, uint32_t want);

/* Blocks reachable from a superblock's 128-byte root record. */
static inline struct sm_root sm_root_get(const uint8_t *record)
{
	struct sm_root r;

	memcpy(&r, record, sizeof(r));
	return r;
}

#endif
