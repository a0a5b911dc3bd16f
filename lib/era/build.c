/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of an era device into new metadata, in any order that a window (window.h) can put right. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "era/metadata.h"
#include "era/window.h"

struct era_build {
	struct era_emitter e;
	struct out *out;
	struct pd_log *log;
	bool dry, in_order, begun, have_array;
	struct era_sb_record sb;
	struct era_writeset_record now;
	struct array_build words, eras;
	struct window word_window, era_window;
	struct built {			/* writesets so far, in the order they came */
		uint32_t era, nr_bits;
		uint64_t root;
	} *built;
	size_t nr_built, max_built;
	uint64_t array_root;
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
	unsigned nr_pieces = b->in_order ? 1 : WINDOW_PIECES;
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
		r = window_init(&b->word_window, &b->words, BITSET_WORD_BITS, nr_pieces);
	if (!r)
		r = window_init(&b->era_window, &b->eras, 1, nr_pieces);
	return r || b->dry ? r : out_begin(b->out, KIND_ERA_SB);
}

/* ---- Writesets ---- */

static int writeset_begin(struct era_emitter *e, const struct era_writeset_record *w)
{
	struct era_build *b = of(e);

	if (w->era > b->sb.current_era)
		return refuse(b, "writeset of era %" PRIu32 ", but the current era is %" PRIu32, w->era,
			      b->sb.current_era);
	if (b->nr_built == b->max_built) {
		size_t max = b->max_built ? 2 * b->max_built : 64;
		struct built *more = realloc(b->built, max * sizeof(*more));

		if (!more)
			return -ENOMEM;
		b->built = more;
		b->max_built = max;
	}
	b->now = *w;
	return 0;
}

static int misplaced(struct era_build *b, uint64_t block, int r, const char *what, uint64_t nr)
{
	if (r != -ERANGE)
		return r;
	return refuse(b, "block %" PRIu64 " comes more than %" PRIu64 " %s too late: that much order there must be",
		      block, nr * (WINDOW_PIECES - 1), what);
}

/* @mask's bits of word @word of a piece get their @value. True if one has it already. */
static inline bool put_word(struct window_piece *p, uint32_t word, uint64_t mask, uint64_t value)
{
	le64 v;

	if (p->seen[word] & mask)
		return true;
	p->seen[word] |= mask;
	memcpy(&v, p->values + sizeof(v) * word, sizeof(v));
	v = le64_put(le64_get(v) | (value & mask));
	memcpy(p->values + sizeof(v) * word, &v, sizeof(v));
	return false;
}

static int bits(struct era_emitter *e, uint32_t begin, const uint64_t *words, uint32_t nr)
{
	struct era_build *b = of(e);
	bool twice = false;
	uint32_t n;

	if ((uint64_t)begin + nr > b->now.nr_bits)
		return refuse(b, "block %" PRIu64 " is past the %" PRIu32 " bits of era %" PRIu32,
			      max_t(uint64_t, begin, b->now.nr_bits), b->now.nr_bits, b->now.era);
	for (uint32_t done = 0; done < nr && !b->dry && !twice; done += n) {
		uint32_t at = begin + done, shift = at % BITSET_WORD_BITS, word, end;
		struct window_piece *p;
		int r = window_get(&b->word_window, at / BITSET_BITS_PER_BLOCK, &p);

		if (r)
			return misplaced(b, at, r, "bits", BITSET_BITS_PER_BLOCK);
		word = at % BITSET_BITS_PER_BLOCK / BITSET_WORD_BITS;
		if (!shift && done % 64 == 0 && nr - done >= 64) {
			/* whole words up to the end of the piece */
			end = min_t(uint32_t, word + (nr - done) / 64, BITSET_BITS_PER_BLOCK / BITSET_WORD_BITS);
			n = 64 * (end - word);
			for (const uint64_t *w = words + done / 64; word < end; word++, w++)
				twice |= put_word(p, word, UINT64_MAX, *w);
		} else {
			/* as many as lie in one word, here and there */
			n = min_t(uint32_t, nr - done, 64 - max_t(uint32_t, shift, done % 64));
			twice = put_word(p, word, (UINT64_MAX >> (64 - n)) << shift, words[done / 64] >> done % 64 << shift);
		}
		if (twice)
			return n == 1 ? refuse(b, "block %" PRIu32 " stands twice in era %" PRIu32, at, b->now.era) :
			       refuse(b, "one of blocks [%" PRIu32 ", %" PRIu64 ") stands twice in era %" PRIu32,
				      at, (uint64_t)at + n, b->now.era);
	}
	return 0;
}

static int writeset_end(struct era_emitter *e)
{
	struct era_build *b = of(e);
	struct built *w = &b->built[b->nr_built];
	int r = window_finish(&b->word_window, ceil_div(b->now.nr_bits, BITSET_WORD_BITS));

	*w = (struct built){ .era = b->now.era, .nr_bits = b->now.nr_bits };
	if (!r)
		r = array_build_finish(&b->words, &w->root);
	if (r)
		return r;
	out_ref(b->out, w->root);
	b->nr_built++;
	return 0;
}

static int by_era(const void *va, const void *vb)
{
	const struct built *a = va, *b = vb;

	return a->era < b->era ? -1 : a->era > b->era;
}

static int build_tree(struct era_build *b, uint64_t *root)
{
	struct tree_build t;
	int r = tree_build_init(&t, b->out, sizeof(struct era_writeset));

	if (b->nr_built)
		qsort(b->built, b->nr_built, sizeof(*b->built), by_era);
	for (size_t i = 0; !r && i < b->nr_built; i++) {
		const struct built *w = &b->built[i];
		struct era_writeset v = { le32_put(w->nr_bits), le64_put(w->root) };

		r = i && w->era == w[-1].era ? refuse(b, "there are two writesets of era %" PRIu32, w->era) :
		    tree_build_push(&t, w->era, &v);
	}
	if (!r)
		r = tree_build_finish(&t, root);
	tree_build_exit(&t);
	return r;
}

/* ---- The era array ---- */

static int array_begin(struct era_emitter *e)
{
	struct era_build *b = of(e);

	if (b->have_array)
		return refuse(b, "<era_array> stands twice");
	b->have_array = true;
	return 0;
}

/* Marks values [@k, @k + @nr) of a piece; true if one is marked already. */
static inline bool mark_seen(struct window_piece *p, uint32_t k, uint32_t nr)
{
	bool twice = false;

	for (uint32_t end = k + nr, n; k < end && !twice; k += n) {
		uint64_t mask;

		n = min_t(uint32_t, end - k, 64 - k % 64);
		mask = (UINT64_MAX >> (64 - n)) << k % 64;
		twice = p->seen[k / 64] & mask;
		p->seen[k / 64] |= mask;
	}
	return twice;
}

static int eras(struct era_emitter *e, uint32_t begin, const uint32_t *values, uint32_t nr)
{
	struct era_build *b = of(e);
	const uint32_t max = array_max_entries(sizeof(le32));
	uint32_t n;

	if ((uint64_t)begin + nr > b->sb.nr_blocks)
		return refuse(b, "block %" PRIu64 " is past the %" PRIu32 " blocks there are",
			      max_t(uint64_t, begin, b->sb.nr_blocks), b->sb.nr_blocks);
	for (uint32_t done = 0; done < nr && !b->dry; done += n) {
		uint32_t at = begin + done, k = at % max, newest = 0;
		struct window_piece *p;
		int r = window_get(&b->era_window, at / max, &p);

		if (r)
			return misplaced(b, at, r, "blocks", max);
		n = min_t(uint32_t, nr - done, max - k);
		for (uint32_t i = 0; i < n; i++) {
			le32 v = le32_put(values[done + i]);

			newest = max_t(uint32_t, newest, values[done + i]);
			memcpy(p->values + sizeof(v) * (k + i), &v, sizeof(v));
		}
		if (newest > b->sb.current_era)
			return refuse(b, "block %" PRIu32 ": era %" PRIu32 ", but the current era is %" PRIu32, at,
				      newest, b->sb.current_era);
		if (mark_seen(p, k, n))
			return refuse(b, "block %" PRIu32 " stands twice", at);
	}
	return 0;
}

static int array_end(struct era_emitter *e)
{
	struct era_build *b = of(e);
	int r = window_finish(&b->era_window, b->sb.nr_blocks);

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
		r = build_tree(b, &tree);
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

int era_build_create(struct era_emitter **e, struct pd_io *io, bool in_order, struct pd_log *log)
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
	b->in_order = in_order;
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
		window_exit(&b->word_window);
		window_exit(&b->era_window);
	}
	out_destroy(b->out);
	free(b->built);
	free(b);
}

uint64_t era_build_needed(struct era_emitter *e)
{
	return of(e)->needed;
}
