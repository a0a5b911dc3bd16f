/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <pdata/err.h>
#include "cache/superblock.h"
#include "persistent-data/metadata.h"

static enum pd_problem judge(const struct cache_superblock *sb, const void *block)
{
	if (block_kind(block) != KIND_CACHE_SB)
		return PD_PR_SB_CSUM;
	if (le64_get(sb->blocknr) != SB_LOCATION)
		return PD_PR_SB_LOCATION;
	if (le64_get(sb->magic) != CACHE_MAGIC)
		return PD_PR_SB_MAGIC;
	if (le32_get(sb->version) != 1 && le32_get(sb->version) != 2)
		return PD_PR_SB_VERSION;
	return PD_PR_NONE;
}

int cache_sb_read(struct pd_io *io, struct pd_log *log, struct cache_superblock *sb)
{
	void *buf = pd_io_buffer(1);
	enum pd_problem p = PD_PR_NONE;
	int r = buf ? pd_io_read(io, SB_LOCATION, 1, buf) : -ENOMEM;

	if (r) {
		pd_log(log, PD_LOG_ERR, "%s: reading block 0: %s", pd_io_name(io), pd_strerror(r));
	} else {
		memcpy(sb, buf, sizeof(*sb));
		p = judge(sb, buf);
	}
	if (p) {
		pd_log(log, PD_LOG_ERR, "%s%s [%s]", pd_problem_row(p)->text,
		       p == PD_PR_SB_CSUM ? superblock_hint(io, SB_LOCATION) : "", pd_problem_row(p)->name);
		r = -EUCLEAN;
	}
	free(buf);
	return r;
}

struct array_scan cache_mapping_array(const struct cache_superblock *sb)
{
	return (struct array_scan){
		.place = PD_AT_MAPPING_ARRAY, .value_size = sizeof(le64),
		.root = le64_get(sb->mapping_root), .nr_values = le32_get(sb->cache_blocks),
	};
}

struct array_scan cache_dirty_bitset(const struct cache_superblock *sb)
{
	return (struct array_scan){
		.place = PD_AT_DIRTY, .value_size = sizeof(le64), .scale = BITSET_WORD_BITS,
		.root = le64_get(sb->dirty_root),
		.nr_values = ceil_div(le32_get(sb->cache_blocks), BITSET_WORD_BITS),
	};
}

struct array_scan cache_hint_array(const struct cache_superblock *sb)
{
	return (struct array_scan){
		.place = PD_AT_HINTS, .value_size = sizeof(le32), .root = le64_get(sb->hint_root),
		.nr_values = le32_get(sb->cache_blocks),
	};
}

struct array_scan cache_discard_bitset(const struct cache_superblock *sb)
{
	return (struct array_scan){
		.place = PD_AT_DISCARDS, .value_size = sizeof(le64), .scale = BITSET_WORD_BITS,
		.root = le64_get(sb->discard_root),
		.nr_values = ceil_div(le64_get(sb->discard_nr_blocks), BITSET_WORD_BITS),
	};
}

uint64_t cache_origin_blocks(const struct cache_superblock *sb)
{
	uint64_t sectors, size = le32_get(sb->data_block_size);

	if (!cache_is_clean(sb) || !size || !le64_get(sb->discard_block_size) ||
	    __builtin_mul_overflow(le64_get(sb->discard_block_size), le64_get(sb->discard_nr_blocks),
				   &sectors))
		return 0;
	return ceil_div(sectors, size);
}

uint32_t mappings_in_piece(const void *data, uint64_t block, uint32_t *nr_mapped)
{
	const struct array_header *h = data;
	uint32_t nr;

	*nr_mapped = 0;
	if (block_kind(data) != KIND_ARRAY || block_nr(data, KIND_ARRAY) != block ||
	    !array_block_check(data, sizeof(le64)))
		return 0;
	nr = le32_get(h->nr_entries);
	for (uint32_t i = 0; i < nr; i++) {
		le64 v;

		memcpy(&v, array_value_ptr(h, i), sizeof(v));
		if (!mapping_plausible(le64_get(v)))
			return 0;
		*nr_mapped += !!le64_get(v);
	}
	return nr;
}
