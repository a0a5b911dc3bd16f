/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Problems
 *
 * Everything that can be wrong with metadata, a row each: code, stable name (scripts and tests
 * may rely on it), severity, what may be done about it, sentence. Messages, exit statuses, what
 * --auto-repair may touch and pdata_problems(7) come from these rows.
 *
 * Severities: FATAL: unreadable, or using it may lose data. ERROR: inconsistent, nothing at risk.
 * WARN: other writers do it, or nothing depends on it.
 *
 * Actions: REPORT: nothing can be done in place. PATCH: --auto-repair mends it. REBUILD_SM: new
 * space maps mend it (thin_repair --in-place). DROP_KEYS: repair leaves the keys out and says so.
 */
#ifndef PDATA_PROBLEMS_H
#define PDATA_PROBLEMS_H

#ifdef __cplusplus
extern "C" {
#endif

#define PD_PROBLEMS(X)										\
	/* superblocks */									\
	X(SB_CSUM, "superblock-checksum", FATAL, REPORT, "bad checksum in superblock")		\
	X(SB_LOCATION, "superblock-location", FATAL, REPORT, "the superblock names another block as its own") \
	X(SB_MAGIC, "superblock-magic", FATAL, REPORT, "the superblock's magic number is wrong")	\
	X(SB_VERSION, "superblock-version", FATAL, REPORT, "this metadata version is not known")	\
	X(SB_VERSION_ODD, "superblock-version-odd", WARN, REPORT, "the metadata version is unusual")	\
	X(SB_BLOCK_SIZE, "superblock-block-size", FATAL, REPORT, "the data block size is not allowed")	\
	X(SB_METADATA_BLOCK_SIZE, "superblock-metadata-block-size", WARN, REPORT, "the metadata block size is not 8 sectors") \
	X(SB_INCOMPAT, "superblock-incompat", FATAL, REPORT, "unknown incompatible feature flags are set") \
	X(SB_COMPAT_RO, "superblock-compat-ro", WARN, REPORT, "unknown read-only feature flags are set: this may not be written to") \
	X(SB_COMPAT, "superblock-compat", WARN, REPORT, "unknown feature flags are set")		\
	X(SB_FLAGS, "superblock-flags", WARN, REPORT, "unknown flags are set in the superblock")	\
	X(SB_NEEDS_CHECK, "needs-check", INFO, PATCH, "the needs_check flag is set")			\
	/* any block */										\
	X(BLOCK_BEYOND, "block-beyond", FATAL, DROP_KEYS, "the block is beyond the end of the metadata") \
	X(BLOCK_IO, "block-io", FATAL, DROP_KEYS, "the block cannot be read")				\
	X(BLOCK_CSUM, "block-checksum", FATAL, DROP_KEYS, "bad checksum")				\
	X(BLOCK_MISPLACED, "block-misplaced", FATAL, DROP_KEYS, "the block names another place as its own") \
	X(BLOCK_KIND, "block-kind", FATAL, DROP_KEYS, "the block is of another kind")			\
	X(BLOCK_STALE, "block-stale", FATAL, DROP_KEYS, "the block is an older version, or may be one")	\
	X(BLOCK_CYCLE, "block-cycle", FATAL, DROP_KEYS, "the block is below itself, or twice in one tree") \
	/* btree nodes */									\
	X(NODE_FLAGS, "node-flags", FATAL, DROP_KEYS, "the node is neither leaf nor internal")		\
	X(NODE_VALUE_SIZE, "node-value-size", FATAL, DROP_KEYS, "the node's values have the wrong size") \
	X(NODE_MAX_ENTRIES, "node-max-entries", FATAL, DROP_KEYS, "the node claims an impossible capacity") \
	X(NODE_NR_ENTRIES, "node-nr-entries", FATAL, DROP_KEYS, "the node claims an impossible number of entries") \
	X(NODE_KEY_ORDER, "node-key-order", FATAL, DROP_KEYS, "the node's keys are out of order")	\
	X(NODE_KEY_RANGE, "node-key-range", FATAL, DROP_KEYS, "the node's keys do not fit its place")	\
	X(NODE_EMPTY, "node-empty", FATAL, DROP_KEYS, "a node below the root is empty")			\
	X(NODE_CAPACITY, "node-capacity", WARN, REPORT, "the node's capacity is unusual")		\
	X(NODE_UNDERFULL, "node-underfull", ERROR, REPORT, "the node holds too few entries")		\
	X(NODE_UNDERFULL_LEAF, "node-underfull-leaf", WARN, REPORT, "the node holds few entries")	\
	X(TREE_UNBALANCED, "tree-unbalanced", FATAL, DROP_KEYS, "the tree's leaves are not at one depth") \
	X(TREE_DEPTH, "tree-depth", FATAL, DROP_KEYS, "the tree is deeper than any can be")		\
	/* arrays */										\
	X(ARRAY_BLOCK, "array-block", FATAL, DROP_KEYS, "the array block's header is wrong")		\
	X(ARRAY_INDEX, "array-index", FATAL, DROP_KEYS, "array blocks are missing from the index")	\
	X(ARRAY_NOT_FULL, "array-not-full", FATAL, DROP_KEYS, "an array block holds too few values")	\
	X(ARRAY_SHORT, "array-short", FATAL, DROP_KEYS, "the array is too short")			\
	X(ARRAY_LONG, "array-long", WARN, REPORT, "the array is longer than needed")			\
	/* space maps */									\
	X(SM_ROOT, "space-map-root", FATAL, REBUILD_SM, "the space map's size is impossible")		\
	X(SM_INDEX, "space-map-index", FATAL, REBUILD_SM, "bitmaps are missing from the space map's index") \
	X(SM_BITMAP, "space-map-bitmap", FATAL, REBUILD_SM, "a bitmap is used twice")			\
	X(SM_OVERFLOW, "space-map-overflow", FATAL, REBUILD_SM, "the overflow tree disagrees with the bitmap") \
	X(SM_LOST, "lost-count", FATAL, REBUILD_SM, "counts are lower than the references there are")	\
	X(SM_LEAK, "leak", ERROR, PATCH, "counts are higher than the references there are")		\
	X(SM_NR_ALLOCATED, "nr-allocated", WARN, PATCH, "the number of allocated blocks is wrong")	\
	X(SM_NR_FREE, "nr-free", WARN, PATCH, "the free count of a bitmap is wrong")			\
	X(SM_NONE_FREE_BEFORE, "none-free-before", WARN, PATCH, "the search hint of a bitmap hides free blocks") \
	/* thin */										\
	X(DEV_NO_DETAILS, "device-without-details", FATAL, DROP_KEYS, "the device has mappings but no details") \
	X(DEV_NO_MAPPINGS, "device-without-mappings", FATAL, DROP_KEYS, "the device has details but no mapping tree") \
	X(DEV_ID, "device-id", WARN, REPORT, "the device id does not fit 24 bits")			\
	X(DEV_MAPPED, "mapped-blocks", FATAL, DROP_KEYS, "the number of mappings is not what the details say") \
	X(DEV_DAMAGED, "device-damaged", FATAL, DROP_KEYS, "mappings of the device are lost: these are left")	\
	X(DETAILS_TIME, "details-time", WARN, REPORT, "creation, snapshot and superblock times are out of order") \
	X(DETAILS_TRANSACTION, "details-transaction", WARN, REPORT, "the device is newer than the superblock's transaction") \
	X(MAPPING_DATA_BLOCK, "mapping-data-block", FATAL, DROP_KEYS, "out of bounds: mapped beyond the end of the data device") \
	X(MAPPING_TIME, "mapping-time", WARN, REPORT, "mapped at a time that has not come: after a snapshot a write may reach shared data") \
	X(SNAP_HELD_ROOT, "snapshot-held-root", WARN, REPORT, "the metadata snapshot names a snapshot of its own") \
	X(SNAP_SM_ROOTS, "snapshot-space-maps", WARN, REPORT, "the metadata snapshot carries space maps") \
	/* cache */										\
	X(CACHE_POLICY_NAME, "cache-policy-name", ERROR, REPORT, "the policy's name has no end")	\
	X(CACHE_HINT_SIZE, "cache-hint-size", WARN, REPORT, "the policy's hint size is neither 0 nor 4")	\
	X(CACHE_FLAGS, "cache-mapping-flags", FATAL, DROP_KEYS, "unknown flags in a mapping")		\
	X(CACHE_ORIGIN_TWICE, "cache-origin-twice", FATAL, DROP_KEYS, "the origin block is cached twice")	\
	X(CACHE_ORIGIN_BEYOND, "cache-origin-beyond", FATAL, DROP_KEYS, "the origin block is beyond the end of the origin") \
	X(CACHE_UNUSED, "cache-unused", ERROR, REPORT, "an unused entry is not zero")			\
	X(CACHE_UNUSED_DIRTY, "cache-unused-dirty", WARN, REPORT, "an unused cache block is marked dirty")	\
	X(CACHE_NO_DIRTY, "cache-no-dirty", FATAL, REPORT, "a version 2 cache has no dirty bitset")	\
	X(CACHE_NO_DISCARDS, "cache-no-discards", WARN, REPORT, "there is no discard bitset")		\
	/* era */										\
	X(ERA_NR_BLOCKS, "era-nr-blocks", FATAL, REPORT, "the number of blocks is not below 2^31")	\
	X(ERA_FUTURE, "era-future", FATAL, DROP_KEYS, "written in an era that has not come")		\
	X(ERA_NO_ROOT, "writeset-without-root", FATAL, DROP_KEYS, "the writeset has no bitset")		\
	X(ERA_KEY, "writeset-future", WARN, REPORT, "a writeset of an era that has not come")		\
	X(ERA_NR_BITS, "writeset-size", WARN, REPORT, "the live writeset is not as long as the device")	\
	X(ERA_TWICE, "writeset-twice", WARN, REPORT, "the era has a live and an archived writeset")	\
	X(ERA_SNAP_LATER, "snapshot-later", WARN, REPORT, "the metadata snapshot is of a later era than the live metadata") \
	/* clone */										\
	X(CLONE_REGION_SIZE, "region-size", FATAL, REPORT, "the region size is no power of two within 8..2097152 sectors") \
	X(CLONE_TARGET_SIZE, "target-size", FATAL, REPORT, "the target size is 0 or makes more than 2^31 regions") \
	X(SB_UNUSED, "superblock-unused", WARN, REPORT, "bytes of the superblock that should be zero are not") \
	X(ERA_SNAP_NESTED, "snapshot-nested", ERROR, REPORT, "the era's metadata snapshot names a snapshot of its own") \
	/* new rows are added in front of this line */

enum pd_problem {
	PD_PR_NONE,
#define PD_PROBLEM_ENUM(code, name, severity, action, text) PD_PR_##code,
	PD_PROBLEMS(PD_PROBLEM_ENUM)
#undef PD_PROBLEM_ENUM
	PD_NR_PROBLEMS
};

enum pd_severity { PD_SEV_INFO, PD_SEV_WARN, PD_SEV_ERROR, PD_SEV_FATAL };
enum pd_action { PD_ACT_REPORT, PD_ACT_PATCH, PD_ACT_REBUILD_SM, PD_ACT_DROP_KEYS };

/** struct pd_problem_row - what the table says of one problem. */
struct pd_problem_row {
	const char *name;
	enum pd_severity severity;
	enum pd_action action;
	const char *text;
};

/** pd_problem_row() - the row of @p; that of PD_PR_NONE has empty texts. Never NULL. */
const struct pd_problem_row *pd_problem_row(enum pd_problem p);

#ifdef __cplusplus
}
#endif
#endif
