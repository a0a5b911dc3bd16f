/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Space maps from counts in memory. */
#include <errno.h>
#include "persistent-data/build.h"

#define EVEN_BITS 0x5555555555555555ull

static_assert(COUNTS_GROUP == ENTRIES_PER_BITMAP, "a bitmap's counts lie together");

int sm_build_bitmap(const struct counts *counts, uint64_t begin, uint64_t end, void *bitmap,
		    struct tree_build *t, struct index_entry *ie, uint64_t *nr_allocated)
{
	le64 *words = (le64 *)((struct bitmap_header *)bitmap + 1);
	uint32_t nr = (uint32_t)(end - begin), used = 0, first_free = nr;
	int r = 0;

	assert(begin % ENTRIES_PER_BITMAP == 0 && nr <= ENTRIES_PER_BITMAP);
	for (uint32_t e = 0; e < nr && !r; e += 32) {
		uint64_t entries = counts_entries(counts, begin + e, NULL);
		uint64_t in_use = (entries | entries >> 1) & EVEN_BITS;
		uint64_t three = t ? entries & entries >> 1 & EVEN_BITS : 0;

		words[e / 32] = le64_put(entries);
		used += (uint32_t)__builtin_popcountll(in_use);
		if (in_use != EVEN_BITS && first_free == nr)
			first_free = min_t(uint32_t, nr, e + (uint32_t)__builtin_ctzll(~in_use & EVEN_BITS) / 2);
		for (; three && !r; three &= three - 1) {
			uint64_t b = begin + e + (uint32_t)__builtin_ctzll(three) / 2;
			le32 n = le32_put((uint32_t)counts_get(counts, b));

			r = tree_build_push(t, b, &n);
		}
	}
	ie->nr_free = le32_put(ENTRIES_PER_BITMAP - used);
	ie->none_free_before = le32_put(first_free);
	*nr_allocated += used;
	return r;
}

static int build(struct out *out, const struct counts *counts, uint64_t nr_blocks,
		 struct tree_build *index, struct tree_build *overflow, uint64_t *nr_allocated)
{
	uint64_t nr = ceil_div(nr_blocks, ENTRIES_PER_BITMAP);
	uint8_t bitmap[PD_BLOCK_SIZE];
	int r = 0;

	if (!counts || nr > MAX_METADATA_BLOCKS) {
		out_skip(out, max_t(uint64_t, nr, MAX_METADATA_BLOCKS));
		return tree_build_count(index, nr);
	}
	for (uint64_t i = 0; i < nr && !r; i++) {
		uint64_t begin = i * ENTRIES_PER_BITMAP, block;
		struct index_entry ie = { .nr_free = le32_put(ENTRIES_PER_BITMAP) };
		bool empty = counts_group_empty(counts, begin);
		void *data;

		/* Space maps are mostly empty where somebody claims a size that nothing fills. The overflow tree takes blocks of its own meanwhile: fill a copy. */
		if (!empty) {
			memset(bitmap, 0, sizeof(bitmap));
			r = sm_build_bitmap(counts, begin,
					    min_t(uint64_t, begin + ENTRIES_PER_BITMAP, nr_blocks), bitmap,
					    overflow, &ie, nr_allocated);
		}
		if (!r)
			r = out_block(out, KIND_BITMAP, &data, &block);
		if (r)
			return r;
		if (!empty)
			memcpy(data, bitmap, sizeof(bitmap));
		out_ref(out, block);
		ie.blocknr = le64_put(block);
		r = tree_build_push(index, i, &ie);
	}
	return r;
}

int sm_build_data(struct out *out, const struct counts *counts, uint64_t nr_blocks,
		  struct sm_root *root)
{
	uint64_t nr_allocated = 0, bitmap_root, overflow_root;
	struct tree_build index, overflow;
	int r = tree_build_init(&index, out, sizeof(struct index_entry));
	int r2 = tree_build_init(&overflow, out, sizeof(le32));

	r = r ? r : r2;
	if (!r)
		r = build(out, counts, nr_blocks, &index, &overflow, &nr_allocated);
	if (!r)
		r = tree_build_finish(&index, &bitmap_root);
	if (!r)
		r = tree_build_finish(&overflow, &overflow_root);
	if (!r && counts && counts->lost)
		r = -ENOMEM;
	if (!r) {
		out_ref(out, bitmap_root);
		out_ref(out, overflow_root);
		*root = (struct sm_root){
			.nr_blocks = le64_put(nr_blocks),
			.nr_allocated = le64_put(nr_allocated),
			.bitmap_root = le64_put(bitmap_root),
			.ref_count_root = le64_put(overflow_root),
		};
	}
	tree_build_exit(&overflow);
	tree_build_exit(&index);
	return r;
}
