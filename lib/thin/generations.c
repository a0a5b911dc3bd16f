/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where repair begins: the superblock, or what stands for it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "thin/salvage.h"

static bool block_size_ok(uint32_t size)
{
	return size >= THIN_MIN_BLOCK_SIZE && size <= THIN_MAX_BLOCK_SIZE &&
	       size % THIN_MIN_BLOCK_SIZE == 0;
}

static bool is_node_of(struct pd_io *in, uint64_t block, uint32_t value_size, void *buf)
{
	const struct node_header *n = buf;

	return block && block < pd_io_nr_blocks(in) && !pd_io_read(in, block, 1, buf) &&
	       block_kind(n) == KIND_NODE && block_nr(n, KIND_NODE) == block &&
	       !node_check(n, value_size);
}

/*
 * All fields lie in the first 364 bytes, so a torn tail or a flipped bit may spoil no more than the
 * checksum. The numbers are believed if they lead to roots of the right kinds.
 */
static bool can_be_believed(struct pd_io *in, const struct thin_superblock *sb, void *buf)
{
	uint64_t index = le64_get(sm_root_get(sb->metadata_space_map_root).bitmap_root);

	return le64_get(sb->magic) == THIN_MAGIC && !le64_get(sb->blocknr) &&
	       (le32_get(sb->version) == THIN_VERSION || le32_get(sb->version) == 1) &&
	       block_size_ok(le32_get(sb->data_block_size)) &&
	       is_node_of(in, le64_get(sb->data_mapping_root), sizeof(le64), buf) &&
	       is_node_of(in, le64_get(sb->device_details_root), sizeof(struct thin_device_details), buf) &&
	       index && index < pd_io_nr_blocks(in) && !pd_io_read(in, index, 1, buf) &&
	       block_kind(buf) == KIND_INDEX && block_nr(buf, KIND_INDEX) == index;
}

int thin_find_superblock(struct pd_io *in, const struct pd_thin_repair_opts *o,
			 const struct pd_run *run, struct thin_superblock *sb, const char **source)
{
	uint8_t *buf = pd_io_buffer(2);
	int r = -EUCLEAN;

	if (!buf)
		return -ENOMEM;
	if (!pd_io_read(in, SB_LOCATION, 1, buf)) {
		memcpy(sb, buf, sizeof(*sb));
		if (!o->has_generation && block_kind(buf) == KIND_THIN_SB &&
		    !le64_get(sb->blocknr) && le64_get(sb->magic) == THIN_MAGIC) {
			*source = "superblock";
			r = 0;
		} else if (!o->has_generation && can_be_believed(in, sb, buf + PD_BLOCK_SIZE)) {
			pd_log(run->log, PD_LOG_WARN, "bad checksum in superblock; what it says makes sense "
			       "and is used");
			*source = "superblock with a bad checksum";
			r = 0;
		}
	}
	free(buf);
	if (r)
		pd_log(run->log, PD_LOG_ERR, "bad checksum in superblock: no compatible roots found");
	return r;
}
