/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where repair begins: the superblock, if what it says can be believed, or a generation that stands for it. */
#include <errno.h>
#include <stdlib.h>
#include "thin/salvage.h"

/* What a place that the superblock names shows of its truth. */
enum testimony { AGREES, SILENT, CONTRADICTS };

/* @block should be of kind @kind: another sound block there contradicts, a lost one says nothing. */
static enum testimony ask_block(struct pd_io *in, uint64_t block, enum block_kind kind, void *buf)
{
	enum block_kind is;

	if (!block || block >= pd_io_nr_blocks(in))
		return CONTRADICTS;
	if (pd_io_read(in, block, 1, buf))
		return SILENT;
	is = block_kind(buf);
	if (is == KIND_NONE || block_nr(buf, is) != block)
		return SILENT;
	return is == kind ? AGREES : CONTRADICTS;
}

/* The same for the root of a tree, by what lies at its left edge. */
static enum testimony ask_tree(struct pd_io *in, uint64_t root, uint32_t value_size, void *buf)
{
	const struct node_header *n = buf;

	for (unsigned depth = 0; depth < MAX_TREE_DEPTH; depth++) {
		enum testimony t = ask_block(in, root, KIND_NODE, buf);

		if (t != AGREES)
			return t;
		if (node_check(n, value_size))
			return CONTRADICTS;
		if (le32_get(n->flags) == NODE_LEAF || !le32_get(n->nr_entries))
			return AGREES;
		root = node_value64(n, 0);
	}
	return CONTRADICTS;
}

/* An upper tree's values are blocks of the metadata, which hardly any mapping is. */
static enum testimony ask_upper(struct pd_io *in, uint64_t root, void *buf)
{
	const struct node_header *n = buf;
	enum testimony t = ask_tree(in, root, sizeof(le64), buf);

	for (uint32_t i = 0; t == AGREES && i < le32_get(n->nr_entries); i++)
		if (node_value64(n, i) >= pd_io_nr_blocks(in))
			t = CONTRADICTS;
	return t;
}

/* Is each of @blocks in use, as far as the bitmaps that @index names can be read? */
static enum testimony ask_counts(struct pd_io *in, uint64_t index, const uint64_t *blocks, unsigned nr, void *buf)
{
	enum testimony t = SILENT;

	for (unsigned i = 0; i < nr; i++) {
		const struct metadata_index *mi = buf;
		uint64_t group = blocks[i] / ENTRIES_PER_BITMAP;

		if (ask_block(in, index, KIND_INDEX, buf) != AGREES || group >= MAX_METADATA_BITMAPS ||
		    ask_block(in, le64_get(mi->index[group].blocknr), KIND_BITMAP, buf) != AGREES)
			continue;
		if (!bitmap_get(buf, blocks[i] % ENTRIES_PER_BITMAP))
			return CONTRADICTS;
		t = AGREES;
	}
	return t;
}

/*
 * All fields lie in the first 364 bytes, so a torn tail or a flipped bit may spoil no more than the
 * checksum. The numbers are believed if something of what they name is there, and little contradicts.
 */
static bool can_be_believed(struct pd_io *in, const struct thin_superblock *sb, void *buf)
{
	struct sm_root data = sm_root_get(sb->data_space_map_root);
	uint64_t index = le64_get(sm_root_get(sb->metadata_space_map_root).bitmap_root);
	uint64_t roots[] = { le64_get(sb->data_mapping_root), le64_get(sb->device_details_root),
			     le64_get(data.bitmap_root), index };
	enum testimony heard[5];
	unsigned nr_agree = 0, nr_contradict = 0;

	if (le64_get(sb->magic) != THIN_MAGIC || le64_get(sb->blocknr) ||
	    (le32_get(sb->version) != THIN_VERSION && le32_get(sb->version) != 1) ||
	    !thin_block_size_ok(le32_get(sb->data_block_size)))
		return false;
	heard[0] = ask_upper(in, roots[0], buf);
	heard[1] = ask_tree(in, roots[1], sizeof(struct thin_device_details), buf);
	heard[2] = ask_tree(in, roots[2], sizeof(struct index_entry), buf);
	heard[3] = ask_block(in, roots[3], KIND_INDEX, buf);
	heard[4] = ask_counts(in, index, roots, 4, buf);
	for (unsigned i = 0; i < 5; i++) {
		nr_agree += heard[i] == AGREES;
		nr_contradict += heard[i] == CONTRADICTS;
	}
	/* One of the places may hold an older block; against three that agree that weighs little. */
	return nr_contradict ? nr_contradict == 1 && nr_agree > 2 : nr_agree;
}

int thin_find_superblock(struct pd_io *in, const struct pd_thin_repair_opts *o,
			 const struct pd_run *run, struct thin_found *found)
{
	uint8_t *buf = pd_io_buffer(2);
	struct thin_superblock *sb = &found->sb;
	bool good = false;

	memset(found, 0, sizeof(*found));
	if (!buf)
		return -ENOMEM;
	if (!o->has_generation && !pd_io_read(in, SB_LOCATION, 1, buf)) {
		memcpy(sb, buf, sizeof(*sb));
		if (block_kind(buf) == KIND_THIN_SB && !le64_get(sb->blocknr) &&
		    le64_get(sb->magic) == THIN_MAGIC) {
			found->source = "superblock";
			good = true;
		} else if (can_be_believed(in, sb, buf + PD_BLOCK_SIZE)) {
			pd_log(run->log, PD_LOG_WARN, "bad checksum in superblock; what it says makes sense "
			       "and is used");
			found->source = "superblock with a bad checksum";
			good = true;
		}
	}
	free(buf);
	found->by_superblock = good;
	if (good)
		return 0;
	memset(sb, 0, sizeof(*sb));
	return thin_find_generation(in, o, run, found);
}
