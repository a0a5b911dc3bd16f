/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Building metadata from nothing, in one pass, in memory that does not grow with it.
 *
 * An *output* hands out blocks from 1 on, counts the places that point to each, and writes them in
 * large pieces, checksummed on a thread of its own. Block 0 is made invalid before anything else is
 * written and becomes the superblock last, so whatever stops the work in between leaves nothing that
 * looks like metadata.
 *
 *	out_create(&o, io, log);
 *	out_begin(o, KIND_THIN_SB);
 *	... tree_build_*(), array_build_*(), sm_build_data() ...; out_ref() for each root
 *	out_metadata_sm(o, &root);
 *	out_commit(o, &superblock, KIND_THIN_SB);
 *
 * Past the end of the output blocks go on being counted, so that at the end one can say how many are
 * needed. An output without an io counts only (a dry run).
 */
#ifndef PD_BUILD_H
#define PD_BUILD_H

#include "base/counts.h"
#include "persistent-data/disk.h"
#include <pdata/log.h>

/* ---- Output ---- */

struct out;

/* @io: stays the caller's; NULL for a dry run. 0 or -ENOMEM. */
int out_create(struct out **out, struct pd_io *io, struct pd_log *log);
/* The same among blocks that stay: no block of @avoid is handed out, and the space map is for
 * @nr_blocks. The caller counts the references to blocks that stay, with out_ref(); there is no
 * out_begin(), block 0 changes with out_commit() alone. @avoid must outlive the output. */
int out_create_beside(struct out **out, struct pd_io *io, uint64_t nr_blocks,
		      const struct bits *avoid, struct pd_log *log);
void out_destroy(struct out *out);	/* takes NULL; block 0 stays what it is */

/**
 * out_begin() - block 0 becomes a superblock that cannot be mistaken for valid or for empty.
 *
 * Right magic, wrong checksum; flushed. 0 or -errno after a message.
 */
int out_begin(struct out *out, enum block_kind sb_kind);

/**
 * out_block() - the next block.
 * @kind:  what it will be; its own number and checksum are filled in behind the caller's back.
 * @data:  PD_BLOCK_SIZE zero bytes to fill, the caller's until the next call on this output.
 * @block: its number. It has count 0 until someone points to it (out_ref()).
 *
 * 0, or why an earlier block could not be written, after a message.
 */
int out_block(struct out *out, enum block_kind kind, void **data, uint64_t *block);

/* One more place points to @block. */
void out_ref(struct out *out, uint64_t block);
uint32_t out_refs(const struct out *out, uint64_t block);

/* A block handed out before (its header as far as filled by the builder). -ENODATA in a dry run or
 * past the end; -EIO. */
int out_read(struct out *out, uint64_t block, void *data);

/* Blocks are beyond what any metadata can have: from here on builders count without content. */
bool out_counts_only(const struct out *out);

/* @nr blocks without content, when out_counts_only() or about to be. */
void out_skip(struct out *out, uint64_t nr);

/**
 * out_needed() - blocks a device must have for what was handed out so far, plus its space map.
 *
 * After the trees; before or after out_metadata_sm().
 */
uint64_t out_needed(struct out *out);

/**
 * out_metadata_sm() - the metadata space map; no block may be handed out after it.
 *
 * Return: 0; -ENOSPC after a message that says how many blocks are needed; other -errno after one.
 */
int out_metadata_sm(struct out *out, struct sm_root *root);

/* What was handed out so far is on stable storage. 0 or -errno after a message. */
int out_flush(struct out *out);

/* Everything else, flush, @sb (PD_BLOCK_SIZE bytes; sealed here), flush. 0 or -errno after a message. */
int out_commit(struct out *out, void *sb, enum block_kind sb_kind);

/* ---- Trees ---- */

/* One level of a tree: two nodes under way, so that the last two can be evened out. */
struct level_build {
	struct out *out;
	uint32_t flags;			/* NODE_LEAF or NODE_INTERNAL */
	uint32_t value_size, max;
	uint32_t nr[2];			/* entries in each; the second is begun when the first is full */
	struct node_header *node[2];
	/* gets each finished node, its number of entries filled in, and where it lives */
	int (*emit)(struct level_build *l, const struct node_header *n, uint64_t block);
	/* gets @nr full nodes that were only counted */
	int (*emit_counted)(struct level_build *l, uint64_t nr);
	void *ctx;			/* for those two */
	bool emitted;			/* since the last flush */
};

int level_build_init(struct level_build *l, struct out *out, uint32_t flags, uint32_t value_size);
void level_build_exit(struct level_build *l);
/* @key above all before it. */
int level_build_push(struct level_build *l, uint64_t key, const void *value);
/* @nr entries of an 8-byte-value level: keys from @key on, values from @value on in steps of @step. */
int level_build_push_run(struct level_build *l, uint64_t key, uint64_t value, uint64_t step,
			 uint64_t nr);
/* @nr entries without content. */
int level_build_count(struct level_build *l, uint64_t nr);
/* Hands out what is under way, as one node or two of like size; nothing if nothing is. */
int level_build_flush(struct level_build *l);
static inline uint32_t level_build_pending(const struct level_build *l)
{
	return l->nr[0] + l->nr[1];
}

/* The inner nodes above leaves that exist already, which may be shared with other trees. */
struct index_build {
	struct out *out;
	unsigned nr_levels;
	struct level_build level[MAX_TREE_DEPTH];
};

void index_build_init(struct index_build *x, struct out *out);
void index_build_exit(struct index_build *x);
int index_build_push(struct index_build *x, uint64_t key, uint64_t block);
int index_build_count(struct index_build *x, uint64_t nr);
/* 0 and the root: the only child if there was one. -ENODATA if nothing was pushed. The builder can
 * then be used for the next tree. The caller is the one who points to the root (out_ref()). */
int index_build_finish(struct index_build *x, uint64_t *root);

struct tree_build {
	struct level_build leaf;
	struct index_build index;
};

int tree_build_init(struct tree_build *t, struct out *out, uint32_t value_size);
void tree_build_exit(struct tree_build *t);
int tree_build_push(struct tree_build *t, uint64_t key, const void *value);
/* @nr entries without content, when out_counts_only(). */
int tree_build_count(struct tree_build *t, uint64_t nr);
/* An empty tree is an empty leaf. Ready for the next tree afterwards. */
int tree_build_finish(struct tree_build *t, uint64_t *root);
/* An empty leaf for values of @value_size bytes. */
int tree_build_empty(struct out *out, uint32_t value_size, uint64_t *root);

/* ---- Arrays and bitsets ---- */

struct array_build {
	struct tree_build index;
	struct array_header *block;
	uint32_t value_size, max, nr;
	uint64_t nr_blocks;
};

int array_build_init(struct array_build *a, struct out *out, uint32_t value_size);
void array_build_exit(struct array_build *a);
int array_build_push(struct array_build *a, const void *value);
/* @nr values, one after the other. */
int array_build_push_many(struct array_build *a, const void *values, uint32_t nr);
/* @nr values of zero bytes. */
int array_build_pad(struct array_build *a, uint64_t nr);
/* The same, until the next value is that at @index and there is room for it. */
int array_build_seek(struct array_build *a, uint64_t index);

/* Where to put the value at @index, which no call before has passed; those between are of zero bytes. */
static inline int array_build_slot(struct array_build *a, uint64_t index, void **to)
{
	uint64_t at = index - a->nr_blocks * a->max;

	if (at >= a->max) {
		int r = array_build_seek(a, index);

		if (r)
			return r;
		at = a->nr;
	}
	*to = (uint8_t *)(a->block + 1) + at * a->value_size;
	a->nr = (uint32_t)at + 1;
	return 0;
}
int array_build_finish(struct array_build *a, uint64_t *root);

/* A bitset of @nr_bits bits, @words in host order with bit i in word i / 64. */
int bitset_build(struct out *out, const uint64_t *words, uint64_t nr_bits, uint64_t *root);

/* ---- Space maps ---- */

/*
 * A data space map of @nr_blocks with these counts. The roots in it are counted.
 * @counts: NULL if there are more blocks than any metadata can tell of; then they are only counted.
 */
int sm_build_data(struct out *out, const struct counts *counts, uint64_t nr_blocks,
		  struct sm_root *root);

/* One bitmap of @counts, from @begin on: what the index says of it, and each count above 2 to @t.
 * @*nr_allocated grows. Used for both kinds of map. */
int sm_build_bitmap(const struct counts *counts, uint64_t begin, uint64_t end, void *bitmap,
		    struct tree_build *t, struct index_entry *ie, uint64_t *nr_allocated);

#endif
