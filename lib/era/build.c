/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of an era device into new metadata, streamed: nothing of the device's size is kept. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "era/metadata.h"
#include "persistent-data/build.h"

struct era_build {
	struct era_emitter e;
	struct out *out;
	struct pd_log *log;
	bool dry, begun;
	struct era_sb_record sb;
	struct era_writeset_record now;
	struct array_build words, eras;
	struct tree_build tree;
	uint64_t next_word, word, last_bit;	/* last_bit: one past the last bit told */
	uint64_t next_era, next_key;		/* next array entry; smallest era allowed */
	uint64_t array_root;
	bool have_array;
	uint64_t needed;
};

static struct era_build *of(struct era_emitter *e)
{
	return container_of(e, struct era_build, e);
}

#define refuse(b, ...) (pd_log((b)->log, PD_LOG_ERR, __VA_ARGS__), -EINVAL)

static int superblock(struct era_emitter *e, const struct era_sb_record *sb)
{
	struct era_build *b = of(e);
	int r;

	b->sb = *sb;
	if (!sb->block_size || sb->block_size % 8)
		return refuse(b, "block size %" PRIu32 " is no multiple of 8 sectors", sb->block_size);
	if (sb->nr_blocks >= ERA_MAX_BLOCKS)
		return refuse(b, "nr_blocks %" PRIu32 " is not below 2^31", sb->nr_blocks);
	b->begun = true;
	r = array_build_init(&b->words, b->out, sizeof(le64));
	if (!r)
		r = array_build_init(&b->eras, b->out, sizeof(le32));
	if (!r)
		r = tree_build_init(&b->tree, b->out, sizeof(struct era_writeset));
	return r || b->dry ? r : out_begin(b->out, KIND_ERA_SB);
}

static int writeset_begin(struct era_emitter *e, const struct era_writeset_record *w)
{
	struct era_build *b = of(e);

	if (w->era > b->sb.current_era)
		return refuse(b, "writeset of era %" PRIu32 ", but the current era is %" PRIu32, w->era,
			      b->sb.current_era);
	if (w->era < b->next_key)
		return refuse(b, "writeset of era %" PRIu32 " stands twice or out of order", w->era);
	b->now = *w;
	b->next_key = w->era + 1ull;
	b->next_word = b->word = b->last_bit = 0;
	return 0;
}

static int push_word(struct era_build *b)
{
	le64 v = le64_put(b->word);

	b->next_word++;
	b->word = 0;
	return array_build_push(&b->words, &v);
}

static int bits(struct era_emitter *e, uint32_t begin, const uint64_t *words, uint32_t nr)
{
	struct era_build *b = of(e);
	uint64_t end = (uint64_t)begin + nr;
	int r = 0;

	if (end > b->now.nr_bits)
		return refuse(b, "block %" PRIu64 " is past the %" PRIu32 " bits of era %" PRIu32, end - 1,
			      b->now.nr_bits, b->now.era);
	if (begin < b->last_bit)
		return refuse(b, "block %" PRIu32 " of era %" PRIu32 " stands twice or out of order", begin,
			      b->now.era);
	b->last_bit = end;
	while (b->next_word < begin / BITSET_WORD_BITS && !r)
		r = push_word(b);
	if (begin % BITSET_WORD_BITS == 0 && nr >= BITSET_WORD_BITS) {
		/* whole words, the last perhaps in part */
		for (uint32_t i = 0; !r && i < nr / BITSET_WORD_BITS; i++) {
			b->word = words[i];
			r = push_word(b);
		}
		if (!r && nr % BITSET_WORD_BITS)
			b->word = words[nr / BITSET_WORD_BITS];
		return r;
	}
	for (uint32_t i = 0; !r && i < nr; i++) {
		uint64_t bit = (uint64_t)begin + i;

		while (b->next_word < bit / BITSET_WORD_BITS && !r)
			r = push_word(b);
		b->word |= (words[i / 64] >> (i % 64) & 1) << (bit % BITSET_WORD_BITS);
	}
	return r;
}

static int writeset_end(struct era_emitter *e)
{
	struct era_build *b = of(e);
	struct era_writeset v = { .nr_bits = le32_put(b->now.nr_bits) };
	uint64_t root;
	int r = 0;

	while (b->next_word < ceil_div(b->now.nr_bits, BITSET_WORD_BITS) && !r)
		r = push_word(b);
	if (!r)
		r = array_build_finish(&b->words, &root);
	if (r)
		return r;
	out_ref(b->out, root);
	v.root = le64_put(root);
	return tree_build_push(&b->tree, b->now.era, &v);
}

static int array_begin(struct era_emitter *e)
{
	struct era_build *b = of(e);

	if (b->have_array)
		return refuse(b, "<era_array> stands twice");
	b->have_array = true;
	return 0;
}

static int eras(struct era_emitter *e, uint32_t begin, const uint32_t *values, uint32_t nr)
{
	struct era_build *b = of(e);
	int r;

	if ((uint64_t)begin + nr > b->sb.nr_blocks)
		return refuse(b, "block %" PRIu64 " is past the %" PRIu32 " blocks there are",
			      (uint64_t)begin + nr - 1, b->sb.nr_blocks);
	if (begin < b->next_era)
		return refuse(b, "block %" PRIu32 " stands twice or out of order", begin);
	for (uint32_t i = 0; i < nr; i++)
		if (values[i] > b->sb.current_era)
			return refuse(b, "block %" PRIu32 ": era %" PRIu32 ", but the current era is %" PRIu32,
				      begin + i, values[i], b->sb.current_era);
	r = array_build_pad(&b->eras, begin - b->next_era + (b->dry ? nr : 0));
	b->next_era = (uint64_t)begin + nr;
	for (uint32_t i = 0; !r && !b->dry && i < nr; i++) {
		le32 v = le32_put(values[i]);

		r = array_build_push(&b->eras, &v);
	}
	return r;
}

static int array_end(struct era_emitter *e)
{
	struct era_build *b = of(e);
	int r = array_build_pad(&b->eras, b->sb.nr_blocks - b->next_era);

	b->next_era = b->sb.nr_blocks;
	return r ? r : array_build_finish(&b->eras, &b->array_root);
}

static int superblock_end(struct era_emitter *e)
{
	struct era_build *b = of(e);
	struct era_superblock *sb = NULL;
	struct sm_root root;
	uint64_t tree;
	int r = b->have_array ? 0 : array_end(e);

	if (!r)
		r = tree_build_finish(&b->tree, &tree);
	if (r)
		return r;
	out_ref(b->out, tree);
	out_ref(b->out, b->array_root);
	b->needed = out_needed(b->out);
	if (b->dry)
		return 0;
	r = out_metadata_sm(b->out, &root);
	if (!r) {
		sb = calloc(1, PD_BLOCK_SIZE);
		r = sb ? 0 : -ENOMEM;
	}
	if (!r) {
		memcpy(sb->metadata_space_map_root, &root, sizeof(root));
		sb->magic = le64_put(ERA_MAGIC);
		sb->version = le32_put(ERA_VERSION);
		sb->data_block_size = le32_put(b->sb.block_size);
		sb->metadata_block_size = le32_put(PD_BLOCK_SIZE / 512);
		sb->nr_blocks = le32_put(b->sb.nr_blocks);
		sb->current_era = le32_put(b->sb.current_era);
		sb->current_writeset.nr_bits = le32_put(b->sb.nr_blocks);
		sb->writeset_tree_root = le64_put(tree);
		sb->era_array_root = le64_put(b->array_root);
		r = out_commit(b->out, sb, KIND_ERA_SB);
	}
	free(sb);
	return r;
}

int era_build_create(struct era_emitter **e, struct pd_io *io, struct pd_log *log)
{
	struct era_build *b = calloc(1, sizeof(*b));
	int r = b ? out_create(&b->out, io, log) : -ENOMEM;

	*e = NULL;
	if (r) {
		free(b);
		return r;
	}
	b->log = log;
	b->dry = !io;
	b->e = (struct era_emitter){
		.superblock = superblock, .writeset_begin = writeset_begin, .bits = bits,
		.writeset_end = writeset_end, .array_begin = array_begin, .eras = eras,
		.array_end = array_end, .superblock_end = superblock_end,
	};
	*e = &b->e;
	return 0;
}

void era_build_destroy(struct era_emitter *e)
{
	struct era_build *b = e ? of(e) : NULL;

	if (!b)
		return;
	if (b->begun) {
		array_build_exit(&b->words);
		array_build_exit(&b->eras);
		tree_build_exit(&b->tree);
	}
	out_destroy(b->out);
	free(b);
}

uint64_t era_build_needed(struct era_emitter *e)
{
	return of(e)->needed;
}
