/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Metadata made wrong on purpose. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <pdata/dev.h>
#include <pdata/err.h>
#include "persistent-data/disk.h"

static int read_superblock(struct pd_io *io, void *sb, enum block_kind *kind, struct pd_log *log)
{
	int r = pd_io_read(io, SB_LOCATION, 1, sb);

	if (r) {
		pd_log(log, PD_LOG_ERR, "%s: reading block 0: %s", pd_io_name(io), pd_strerror(r));
		return r;
	}
	*kind = block_kind(sb);
	if (block_kind_magic(*kind))
		return 0;
	pd_log(log, PD_LOG_ERR, "bad checksum in superblock");
	return -EUCLEAN;
}

static int write_sealed(struct pd_io *io, void *data, enum block_kind kind, uint64_t block,
			struct pd_log *log)
{
	int r;

	block_seal(data, kind, block);
	r = pd_io_write(io, block, 1, data);
	if (r)
		pd_log(log, PD_LOG_ERR, "%s: writing block %" PRIu64 ": %s", pd_io_name(io), block,
		       pd_strerror(r));
	return r;
}

/* Where a superblock of this kind keeps the root record of the metadata space map. */
static size_t sm_root_offset(enum block_kind kind)
{
	switch (kind) {
	case KIND_THIN_SB:	return offsetof(struct thin_superblock, metadata_space_map_root);
	case KIND_CACHE_SB:	return offsetof(struct cache_superblock, metadata_space_map_root);
	case KIND_ERA_SB:	return offsetof(struct era_superblock, metadata_space_map_root);
	default:		return offsetof(struct clone_superblock, metadata_space_map_root);
	}
}

/* One bitmap; *@left of the blocks are still to be found. */
static int change_bitmap(uint8_t *bitmap, uint64_t begin, uint64_t nr_blocks, uint32_t expected,
			 uint32_t actual, uint64_t *left)
{
	int changed = 0;

	for (uint32_t e = 0; e < ENTRIES_PER_BITMAP && begin + e < nr_blocks && *left; e++) {
		if (begin + e == SB_LOCATION || bitmap_get(bitmap, e) != expected)
			continue;
		bitmap_put(bitmap, e, actual);
		changed++;
		--*left;
	}
	return changed;
}

static int change_maps(struct pd_io *io, uint8_t *sb, uint8_t *index_block, uint8_t *bitmap,
		       enum block_kind kind, uint32_t expected, uint32_t actual, uint64_t nr,
		       struct pd_log *log)
{
	struct sm_root root = sm_root_get(sb + sm_root_offset(kind));
	struct metadata_index *index = (struct metadata_index *)index_block;
	uint64_t at = le64_get(root.bitmap_root), nr_blocks = le64_get(root.nr_blocks), left = nr;
	int allocated = !expected && actual ? 1 : expected && !actual ? -1 : 0, r = 0;

	if (nr_blocks > pd_io_nr_blocks(io) || at >= pd_io_nr_blocks(io) ||
	    pd_io_read(io, at, 1, index_block) || block_kind(index_block) != KIND_INDEX) {
		pd_log(log, PD_LOG_ERR, "the metadata space map cannot be read");
		return -EUCLEAN;
	}
	for (uint64_t i = 0; !r && left && i < ceil_div(nr_blocks, ENTRIES_PER_BITMAP); i++) {
		struct index_entry *ie = &index->index[i];
		uint64_t b = le64_get(ie->blocknr);
		int changed;

		if (b >= pd_io_nr_blocks(io) || pd_io_read(io, b, 1, bitmap) ||
		    block_kind(bitmap) != KIND_BITMAP) {
			pd_log(log, PD_LOG_ERR, "bitmap %" PRIu64 " of the metadata space map cannot be read",
			       i);
			return -EUCLEAN;
		}
		changed = change_bitmap(bitmap, i * ENTRIES_PER_BITMAP, nr_blocks, expected, actual, &left);
		if (!changed)
			continue;
		ie->nr_free = le32_put(le32_get(ie->nr_free) - (uint32_t)(allocated * changed));
		if (allocated < 0)
			ie->none_free_before = le32_put(0);
		r = write_sealed(io, bitmap, KIND_BITMAP, b, log);
		root.nr_allocated = le64_put(le64_get(root.nr_allocated) +
					     (uint64_t)((int64_t)allocated * changed));
	}
	if (!r && left) {
		pd_log(log, PD_LOG_ERR, "%" PRIu64 " blocks with count %" PRIu32 " are missing", left, expected);
		r = -ENODATA;
	}
	if (!r)
		r = write_sealed(io, index, KIND_INDEX, at, log);
	memcpy(sb + sm_root_offset(kind), &root, sizeof(root));
	return r ? r : write_sealed(io, sb, kind, SB_LOCATION, log);
}

int pd_dev_set_metadata_counts(struct pd_io *io, uint32_t expected, uint32_t actual, uint64_t nr,
			       struct pd_log *log)
{
	uint8_t *buf = pd_io_buffer(3);
	enum block_kind kind;
	int r;

	if (!buf)
		return -ENOMEM;
	if (expected > 2 || actual > 2) {
		pd_log(log, PD_LOG_ERR, "only counts of 0, 1 and 2 can be made wrong");
		free(buf);
		return -EINVAL;
	}
	r = read_superblock(io, buf, &kind, log);
	if (!r)
		r = change_maps(io, buf, buf + PD_BLOCK_SIZE, buf + 2 * PD_BLOCK_SIZE, kind, expected,
				actual, nr, log);
	if (!r)
		r = pd_io_flush(io);
	free(buf);
	return r;
}

static int begin_patch(struct pd_io *io, enum block_kind want, void **sb, struct pd_log *log)
{
	enum block_kind kind;
	int r;

	*sb = pd_io_buffer(1);
	if (!*sb)
		return -ENOMEM;
	r = read_superblock(io, *sb, &kind, log);
	if (!r && kind != want) {
		pd_log(log, PD_LOG_ERR, "this is a %s", block_kind_name(kind));
		r = -EUCLEAN;
	}
	return r;
}

static int end_patch(struct pd_io *io, enum block_kind kind, void *sb, int r, struct pd_log *log)
{
	if (!r)
		r = write_sealed(io, sb, kind, SB_LOCATION, log);
	if (!r)
		r = pd_io_flush(io);
	free(sb);
	return r;
}

static le32 with_flag(le32 flags, uint32_t flag, bool has, bool on)
{
	return has ? le32_put((le32_get(flags) & ~flag) | (on ? flag : 0)) : flags;
}

int pd_dev_patch_thin_superblock(struct pd_io *io, const struct pd_dev_thin_patch *p,
				 struct pd_log *log)
{
	struct thin_superblock *sb;
	void *buf;
	int r = begin_patch(io, KIND_THIN_SB, &buf, log);

	sb = buf;
	if (!r) {
		if (p->has_mapping_root)
			sb->data_mapping_root = le64_put(p->mapping_root);
		if (p->has_details_root)
			sb->device_details_root = le64_put(p->details_root);
		if (p->has_held_root)
			sb->held_root = le64_put(p->held_root);
		sb->flags = with_flag(sb->flags, THIN_NEEDS_CHECK, p->has_needs_check, p->needs_check);
	}
	return end_patch(io, KIND_THIN_SB, buf, r, log);
}

int pd_dev_patch_cache_superblock(struct pd_io *io, const struct pd_dev_cache_patch *p,
				  struct pd_log *log)
{
	struct cache_superblock *sb;
	void *buf;
	int r = begin_patch(io, KIND_CACHE_SB, &buf, log);

	sb = buf;
	if (!r) {
		if (p->has_version)
			sb->version = le32_put(p->version);
		sb->flags = with_flag(sb->flags, CACHE_NEEDS_CHECK, p->has_needs_check, p->needs_check);
		sb->flags = with_flag(sb->flags, CACHE_CLEAN_SHUTDOWN, p->has_clean_shutdown,
				      p->clean_shutdown);
	}
	return end_patch(io, KIND_CACHE_SB, buf, r, log);
}
