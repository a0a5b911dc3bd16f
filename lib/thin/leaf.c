/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "thin/leaf.h"

#define MAX_LEAF_ENTRIES 252u	/* of 8-byte values; node_check() holds larger claims off */

/* Data blocks in a row, all counted in one word. */
struct piece {
	size_t word;
	uint64_t blocks;
};

/* Asks for the words that @nr data blocks from @block on are counted in. Returns the end of the list. */
static struct piece *list_run(const struct counts *c, const uint64_t *plane, const uint64_t *second,
			      uint64_t block, uint64_t nr, struct piece *list)
{
	while (nr) {
		unsigned at = block % COUNTS_PER_WORD;
		uint64_t here = min_t(uint64_t, nr, COUNTS_PER_WORD - at);
		size_t word = counts_word(c, block);

		if (word != COUNTS_NOWHERE) {
			prefetch_write(&plane[word]);
			if (second)
				prefetch_write(&second[word]);
			*list++ = (struct piece){ word, ~0ull >> (COUNTS_PER_WORD - here) << at };
		}
		block += here;
		nr -= here;
	}
	return list;
}

static uint64_t value_at(const uint8_t *values, uint32_t i)
{
	le64 raw;

	memcpy(&raw, values + sizeof(raw) * i, sizeof(raw));
	return le64_get(raw);
}

struct leaf_sum leaf_count(struct counts *counts, struct counts_own *own, const struct node_header *leaf,
			   uint64_t nr_data_blocks, uint32_t time)
{
	const uint64_t *plane = own ? own->plane[0] : counts ? counts->plane[0] : NULL;
	/* Something has been counted twice: more will be. */
	const uint64_t *second = own || !counts ? NULL : __atomic_load_n(&counts->plane[1], __ATOMIC_RELAXED);
	const uint32_t nr = le32_get(leaf->nr_entries);
	const uint8_t *values = node_value_ptr(leaf, 0);
	struct piece list[MAX_LEAF_ENTRIES], *end = list;
	struct leaf_sum sum = { .late = false };

	for (uint32_t i = 0, next; i < nr; i = next) {
		const uint64_t v = value_at(values, i), block = mapping_block(v);
		uint64_t len;

		/* Data blocks in a row, mapped at one time. */
		next = i + 1;
		while (next < nr && value_at(values, next) - v == mapping_pack(next - i, 0))
			next++;
		len = next - i;
		sum.late |= mapping_time(v) > time;
		if (block >= nr_data_blocks || len > nr_data_blocks - block) {
			sum.wide = true;
			len = block < nr_data_blocks ? nr_data_blocks - block : 0;
		}
		if (counts)
			end = list_run(counts, plane, second, block, len, end);
	}
	/* All words were asked for before the first is added to, so that their way from memory overlaps. */
	for (const struct piece *p = list; p < end; p++)
		if (own)
			counts_inc_own(counts, own, p->word, p->blocks);
		else
			counts_inc(counts, p->word, p->blocks);
	return sum;
}
