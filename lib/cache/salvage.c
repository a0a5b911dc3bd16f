/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "base/reserve.h"
#include "cache/salvage.h"
#include "io/engine.h"
#include "io/stream.h"

#define PIECE_VALUES 509u
#define MAX_GENERATIONS 65536u
#define MAX_TOLD 20u
#define TO_THE_END UINT32_MAX

/* What a block is good for. */
enum { LOST, OTHER, NODE, INDEX, PIECE };	/* PIECE + n: n entries, each of which could be a mapping */

enum verdict { UNJUDGED, BUSY, MAY_BE, OVER };

struct note {
	uint16_t is;
	uint16_t nr_mapped;		/* of a piece */
	/* of a node, once judged: pieces [begin, end) are below it */
	uint8_t verdict;
	bool merged;
	uint32_t begin, end;
	uint32_t nr_read, nr_lost;
	uint32_t compared;		/* of a piece: with number compared - 1 */
	uint64_t nr_mappings;
};
static_assert(sizeof(struct note) <= 40, "notes are less than 1/64 of the metadata");

struct search {
	struct pd_io *io;
	const struct pd_run *run;
	struct cache_salvage *s;
	struct array_scan like;
	uint64_t nr_blocks, nr_pieces, nr_cache_blocks;
	struct note *note;
	uint64_t *base;			/* block of each piece of the array the others are compared with; 0: lost */
	struct cache_generation *weak;	/* nothing of them can be read: are they mapping arrays at all? */
	size_t nr_weak;
	uint8_t *buf[MAX_TREE_DEPTH + 2];
};

/* ---- What is there ---- */

static int look(void *ctx, unsigned worker, uint64_t block, const void *data, int err)
{
	struct search *s = ctx;
	struct note *n = &s->note[block];
	enum block_kind kind = err ? KIND_NONE : block_kind(data);
	uint32_t nr, nr_mapped;

	(void)worker;
	if (kind == KIND_NONE || block_nr(data, kind) != block) {
		n->is = LOST;
	} else if (kind == KIND_ARRAY) {
		nr = mappings_in_piece(data, block, &nr_mapped);
		n->is = (uint16_t)(nr ? PIECE + nr : OTHER);
		n->nr_mapped = (uint16_t)nr_mapped;
	} else {
		n->is = kind == KIND_NODE && !node_check(data, sizeof(le64)) ? NODE : kind == KIND_INDEX ? INDEX : OTHER;
	}
	return 0;
}

static int look_everywhere(struct search *s)
{
	struct bits all;
	int r = bits_init(&all, s->nr_blocks);

	for (uint64_t b = 1; !r && b < s->nr_blocks; b++)
		bits_set(&all, b);
	if (!r)
		r = stream_blocks(s->io, &all, s->run, "looking for the mappings", look, s);
	bits_exit(&all);
	return r;
}

/* ---- Which arrays may be the last ---- */

static enum verdict judge(struct search *s, uint64_t block, unsigned depth);

/* Entry @key of a leaf. */
static bool piece_may_be(struct search *s, struct note *n, uint64_t key, uint64_t block)
{
	const struct note *p = &s->note[block];

	if (key >= s->nr_pieces || !block || block >= s->nr_blocks)
		return false;
	if (p->is == LOST) {
		n->nr_lost++;
		return true;
	}
	n->nr_read++;
	n->nr_mappings += p->nr_mapped;
	return p->is == PIECE + piece_nr(&s->like, key);
}

/* Entry of an inner node, for pieces [@begin, @end). */
static bool child_may_be(struct search *s, struct note *n, uint64_t begin, uint64_t end, uint64_t block, unsigned depth)
{
	struct note *c = &s->note[block];

	if (!block || block >= s->nr_blocks)
		return false;
	n->end = (uint32_t)end;
	if (c->is == LOST) {
		n->nr_lost += (uint32_t)((end == TO_THE_END ? s->nr_pieces : end) - begin);
		return true;
	}
	if (c->is != NODE || judge(s, block, depth + 1) != MAY_BE || c->begin != begin)
		return false;
	n->nr_lost += c->nr_lost;
	n->nr_read += c->nr_read;
	n->nr_mappings += c->nr_mappings;
	if (end == TO_THE_END)
		n->end = c->end;
	return c->end == n->end || c->end == TO_THE_END;
}

static enum verdict judge(struct search *s, uint64_t block, unsigned depth)
{
	struct note *n = &s->note[block];
	struct node_header *h = (struct node_header *)s->buf[depth];
	uint32_t nr;
	bool leaf;

	if (n->verdict == BUSY || depth >= MAX_TREE_DEPTH)
		return OVER;
	if (n->verdict != UNJUDGED)
		return n->verdict;
	n->verdict = OVER;
	if (pd_io_read(s->io, block, 1, h) || block_kind(h) != KIND_NODE || node_check(h, sizeof(le64)))
		return OVER;
	nr = le32_get(h->nr_entries);
	leaf = le32_get(h->flags) == NODE_LEAF;
	if (!nr || node_key(h, nr - 1) >= s->nr_pieces)
		return OVER;
	n->verdict = BUSY;
	n->begin = (uint32_t)node_key(h, 0);
	n->end = n->begin + nr;
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t key = node_key(h, i), value = node_value64(h, i);
		bool may = leaf ? key == n->begin + i && piece_may_be(s, n, key, value) :
			child_may_be(s, n, key, i + 1 < nr ? node_key(h, i + 1) : TO_THE_END, value, depth);

		if (!may)
			return n->verdict = OVER;
	}
	return n->verdict = MAY_BE;
}

static int add(struct cache_generation **g, size_t *nr, uint64_t root, const struct note *n)
{
	if (!(*nr & (*nr - 1))) {
		struct cache_generation *more = realloc(*g, max_t(size_t, 2 * *nr, 1) * sizeof(*more));

		if (!more)
			return -ENOMEM;
		*g = more;
	}
	(*g)[(*nr)++] = (struct cache_generation){ root, n->nr_mappings, n->nr_read, n->nr_lost };
	return 0;
}

static int find_generations(struct search *s)
{
	int r = 0;

	for (uint64_t b = 1; !r && b < s->nr_blocks; b++) {
		struct note *n = &s->note[b];

		if (n->is != NODE || judge(s, b, 0) != MAY_BE || n->begin ||
		    (n->end != s->nr_pieces && n->end != TO_THE_END))
			continue;
		if (s->s->nr + s->nr_weak == MAX_GENERATIONS) {
			pd_log(s->run->log, PD_LOG_ERR, "the superblock is lost, and too many blocks could begin a mapping array");
			return -EUCLEAN;
		}
		r = n->nr_read ? add(&s->s->g, &s->s->nr, b, n) : add(&s->weak, &s->nr_weak, b, n);
	}
	return r;
}

/* Does the space map whose index block is in buf[0] count @block as used? */
static bool uses(struct search *s, uint64_t block)
{
	const struct metadata_index *index = (const void *)s->buf[0];
	uint64_t bitmap = le64_get(index->index[block / ENTRIES_PER_BITMAP].blocknr);
	uint8_t *buf = s->buf[1];

	return bitmap && bitmap < s->nr_blocks && !pd_io_read(s->io, bitmap, 1, buf) &&
	       block_kind(buf) == KIND_BITMAP && block_nr(buf, KIND_BITMAP) == bitmap &&
	       bitmap_get(buf, block % ENTRIES_PER_BITMAP);
}

static bool read_index(struct search *s, uint64_t block)
{
	return block && block < s->nr_blocks && s->note[block].is == INDEX && !pd_io_read(s->io, block, 1, s->buf[0]) &&
	       block_kind(s->buf[0]) == KIND_INDEX;
}

/*
 * Of an array of which nothing can be read one cannot tell whether it is of mappings: in small caches the indexes of
 * hints and bitsets look the same. A transaction that has a mapping array has no other.
 */
static void drop_other_arrays(struct search *s)
{
	unsigned nr_looked = 0;

	for (uint64_t b = 1; s->nr_weak && b < s->nr_blocks && nr_looked < 4096; b++) {
		bool has_one = false;
		size_t n = 0;

		if (!read_index(s, b))
			continue;
		nr_looked++;
		for (size_t i = 0; i < s->s->nr && !has_one; i++)
			has_one = uses(s, s->s->g[i].root);
		for (size_t i = 0; has_one && i < s->nr_weak; i++)
			if (!uses(s, s->weak[i].root))
				s->weak[n++] = s->weak[i];
		if (has_one)
			s->nr_weak = n;
	}
}

/* ---- What they have in common ---- */

static void doubt(struct search *s, uint64_t begin, uint64_t end)
{
	for (uint64_t c = begin; c < min_t(uint64_t, end, s->nr_cache_blocks); c++)
		s->s->nr_doubtful += !bits_test_and_set(&s->s->doubtful, c);
}

static void doubt_pieces(struct search *s, uint64_t begin, uint64_t end)
{
	doubt(s, begin * PIECE_VALUES, end * PIECE_VALUES);
}

static uint64_t value_of(const uint8_t *buf, uint32_t i)
{
	le64 v;

	memcpy(&v, array_value_ptr((const struct array_header *)(const void *)buf, i), sizeof(v));
	return le64_get(v) & ~(uint64_t)CACHE_DIRTY;
}

/* The first array seen is what the others are held against. */
static void merge_piece(struct search *s, bool first, uint64_t j, uint64_t block)
{
	uint8_t *a = s->buf[MAX_TREE_DEPTH], *b = s->buf[MAX_TREE_DEPTH + 1];
	struct note *n = &s->note[block];

	if (first)
		s->base[j] = n->is == LOST ? 0 : block;
	if (first || s->base[j] == block || n->compared == j + 1)
		return;
	n->compared = (uint32_t)j + 1;
	if (n->is == LOST || !s->base[j] || pd_io_read(s->io, s->base[j], 1, a) || pd_io_read(s->io, block, 1, b)) {
		doubt_pieces(s, j, j + 1);
		return;
	}
	for (uint32_t i = 0; i < piece_nr(&s->like, j); i++)
		if (value_of(a, i) != value_of(b, i))
			doubt(s, j * PIECE_VALUES + i, j * PIECE_VALUES + i + 1);
}

/* @block was judged; what it shares with arrays merged before is not looked at again. */
static void merge(struct search *s, bool first, uint64_t block, unsigned depth)
{
	struct node_header *h = (struct node_header *)s->buf[depth];
	uint32_t nr;

	if (s->note[block].merged)
		return;
	s->note[block].merged = true;
	if (pd_io_read(s->io, block, 1, h) || block_kind(h) != KIND_NODE || node_check(h, sizeof(le64))) {
		doubt_pieces(s, s->note[block].begin, s->nr_pieces);
		return;
	}
	nr = le32_get(h->nr_entries);
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t key = node_key(h, i), value = node_value64(h, i);

		if (key >= s->nr_pieces || value >= s->nr_blocks)
			doubt_pieces(s, 0, s->nr_pieces);	/* it was another when it was judged */
		else if (le32_get(h->flags) == NODE_LEAF)
			merge_piece(s, first, key, value);
		else if (s->note[value].is == NODE)
			merge(s, first, value, depth + 1);
		else if (!first)
			doubt_pieces(s, key, i + 1 < nr ? node_key(h, i + 1) : s->nr_pieces);
	}
}

/* The one of which most can be read goes first. */
static uint64_t merge_all(struct search *s)
{
	struct cache_generation *g = s->s->g;
	size_t best = 0;

	for (size_t i = 1; i < s->s->nr; i++)
		if (g[i].nr_read > g[best].nr_read)
			best = i;
	merge(s, true, g[best].root, 0);
	for (size_t i = 0; i < s->s->nr; i++)
		merge(s, false, g[i].root, 0);
	return g[best].root;
}

/* ---- Block 0 ---- */

/* All its fields lie in the first 292 bytes, so that what spoils the checksum need not have spoilt them. */
static bool legible(const struct cache_superblock *sb, const struct pd_cache_repair_opts *o)
{
	return le64_get(sb->magic) == CACHE_MAGIC && le64_get(sb->blocknr) == SB_LOCATION &&
	       (le32_get(sb->version) == 1 || le32_get(sb->version) == 2) &&
	       le32_get(sb->data_block_size) == o->block_size && le32_get(sb->cache_blocks) == o->nr_cache_blocks;
}

/* Is all the metadata as @block says, down to the counts of its blocks? */
static bool fits_everything(struct pd_io *in, const void *block)
{
	static const struct pd_run quiet = { .nr_threads = 1 };
	struct pd_cache_check_opts o = { .size = sizeof(o) };
	struct pd_check_result res = { .worst = PD_SEV_FATAL };
	uint8_t *sealed = pd_io_buffer(1);
	struct pd_io *over;
	int r = sealed ? pd_io_overlay(&over, in) : -ENOMEM;

	if (!r) {
		memcpy(sealed, block, PD_BLOCK_SIZE);
		block_seal(sealed, KIND_CACHE_SB, SB_LOCATION);
		r = pd_overlay_put(over, SB_LOCATION, sealed);
		if (!r)
			r = pd_cache_check(over, &o, &quiet, &res, NULL);
		pd_io_close(over);
	}
	free(sealed);
	return !r && res.worst < PD_SEV_ERROR;
}

/* ---- All of it ---- */

static bool take(struct search *s, uint64_t root)
{
	for (size_t i = 0; i < s->s->nr; i++)
		if (s->s->g[i].root == root) {
			s->s->g[0] = s->s->g[i];
			s->s->nr = 1;
			s->nr_weak = 0;
			return true;
		}
	return false;
}

static void tell(struct search *s)
{
	const struct cache_salvage *v = s->s;

	for (size_t i = 0; i < v->nr && i < MAX_TOLD; i++)
		pd_log(s->run->log, PD_LOG_WARN, "generation %" PRIu64 ": %" PRIu64 " mappings, %" PRIu64 " of %" PRIu64
		       " array blocks are lost", v->g[i].root, v->g[i].nr_mappings, v->g[i].nr_lost, s->nr_pieces);
	if (v->nr > MAX_TOLD)
		pd_log(s->run->log, PD_LOG_WARN, "and %zu more", v->nr - MAX_TOLD);
}

static int choose(struct search *s, const struct pd_cache_repair_opts *o, const struct cache_superblock *zero,
		  uint64_t *root)
{
	struct pd_log *log = s->run->log;
	struct cache_salvage *v = s->s;
	uint64_t named = zero ? le64_get(zero->mapping_root) : 0;

	drop_other_arrays(s);
	if (o->has_generation && !take(s, o->generation)) {
		pd_log(log, PD_LOG_ERR, "there is no generation %" PRIu64 " that fits these sizes", o->generation);
		tell(s);
		return -EINVAL;
	}
	/* Two fields that agree on one transaction are not both spoilt. */
	if (!o->has_generation && zero &&
	    read_index(s, le64_get(sm_root_get(zero->metadata_space_map_root).bitmap_root)) && named < s->nr_blocks &&
	    uses(s, named) && take(s, named)) {
		v->source = "block 0";
		v->version = le32_get(zero->version);
	}
	if (!v->nr && !s->nr_weak) {
		pd_log(log, PD_LOG_ERR, "the superblock is lost, and no mapping array fits these sizes");
		return -EUCLEAN;
	}
	if (s->nr_weak) {
		doubt(s, 0, s->nr_cache_blocks);
		pd_log(log, PD_LOG_WARN, "the array that begins at metadata block %" PRIu64
		       " may be the last of the mappings, and nothing of it can be read", s->weak[0].root);
		*root = v->nr ? v->g[0].root : s->weak[0].root;
	} else {
		*root = merge_all(s);
	}
	if (v->nr_doubtful) {
		tell(s);
		pd_log(log, PD_LOG_WARN, "nothing tells which of them is the last: %" PRIu64 " cache blocks that they map "
		       "differently are left out; --generation N takes one whole", v->nr_doubtful);
	}
	return 0;
}

static int search(struct search *s, const struct pd_cache_repair_opts *o, const struct cache_superblock *zero,
		  uint64_t *root)
{
	int r = bits_init(&s->s->doubtful, o->nr_cache_blocks);

	if (s->nr_pieces > s->nr_blocks) {
		pd_log(s->run->log, PD_LOG_ERR, "no metadata of this size holds a cache of %" PRIu32 " blocks",
		       o->nr_cache_blocks);
		return -EINVAL;
	}
	s->note = reserve(s->nr_blocks, sizeof(*s->note), s->nr_blocks >= 1u << 14);
	s->base = reserve(s->nr_pieces, sizeof(*s->base), false);
	for (unsigned i = 0; i < ARRAY_SIZE(s->buf) && !r; i++) {
		s->buf[i] = pd_io_buffer(1);
		r = s->buf[i] ? 0 : -ENOMEM;
	}
	if (!r)
		r = s->note && s->base ? look_everywhere(s) : -ENOMEM;
	if (!r)
		r = find_generations(s);
	if (!r)
		r = choose(s, o, zero, root);
	for (unsigned i = 0; i < ARRAY_SIZE(s->buf); i++)
		free(s->buf[i]);
	unreserve(s->note, s->nr_blocks, sizeof(*s->note));
	unreserve(s->base, s->nr_pieces, sizeof(*s->base));
	free(s->weak);
	return r;
}

static int make_superblock(struct cache_salvage *s, struct pd_io *in, const struct pd_cache_repair_opts *o,
			   const struct pd_run *run, struct cache_superblock *sb)
{
	struct search search_for = {
		.io = in, .run = run, .s = s, .nr_cache_blocks = o->nr_cache_blocks,
		.nr_blocks = min_t(uint64_t, pd_io_nr_blocks(in), MAX_METADATA_BLOCKS),
		.nr_pieces = ceil_div(o->nr_cache_blocks, PIECE_VALUES),
	};
	struct cache_superblock *zero = pd_io_buffer(1);
	bool is_legible;
	uint64_t root = 0;
	int r = zero ? 0 : -ENOMEM;

	if (r)
		return r;
	is_legible = !pd_io_read(in, SB_LOCATION, 1, zero) && legible(zero, o);
	*sb = (struct cache_superblock){
		.data_block_size = le32_put(o->block_size), .cache_blocks = le32_put(o->nr_cache_blocks),
		/* Without a dirty bitset, which version 1 has not; the builder writes what is asked of it. */
		.version = le32_put(1),
	};
	if (is_legible && !o->has_generation && fits_everything(in, zero)) {
		*sb = *zero;
		s->version = le32_get(sb->version);
		sb->flags = le32_put(0);	/* a flipped bit may be this one */
		s->source = "block 0";
		pd_log(run->log, PD_LOG_WARN, "the superblock's checksum is wrong, but all metadata is as it says: it is taken; "
		       "all mapped blocks count as dirty");
	} else {
		search_for.like = cache_mapping_array(sb);
		r = search(&search_for, o, is_legible ? zero : NULL, &root);
		sb->mapping_root = le64_put(root);
		if (!r)
			pd_log(run->log, PD_LOG_WARN, "the superblock is lost: the mapping array at metadata block %" PRIu64
			       " is taken; all mapped blocks count as dirty, policy and hints are gone", root);
	}
	free(zero);
	return r;
}

int cache_salvage_superblock(struct cache_salvage *s, struct pd_io *in, const struct pd_cache_repair_opts *o,
			     const struct pd_run *run, struct cache_superblock *sb)
{
	int r = cache_sb_read(in, o->block_size ? NULL : run->log, sb);

	*s = (struct cache_salvage){ .source = "superblock", .version = r ? 2 : le32_get(sb->version) };
	if (!r && o->block_size && (le32_get(sb->data_block_size) != o->block_size ||
				    le32_get(sb->cache_blocks) != o->nr_cache_blocks)) {
		pd_log(run->log, PD_LOG_ERR, "the superblock is intact, and says block size %" PRIu32 ", %" PRIu32
		       " cache blocks", le32_get(sb->data_block_size), le32_get(sb->cache_blocks));
		return -EINVAL;
	}
	if (!r && o->has_generation) {
		pd_log(run->log, PD_LOG_ERR, "the superblock is intact: there is no generation to choose");
		return -EINVAL;
	}
	if (r == -EUCLEAN && !o->block_size)
		pd_log(run->log, PD_LOG_ERR, "with --block-size and --nr-cache-blocks, as in the cache's table, the "
		       "mappings may be found without it");
	if (r != -EUCLEAN || !o->block_size)
		return r;
	s->lost = true;
	s->source = "option";
	return make_superblock(s, in, o, run, sb);
}

void cache_salvage_exit(struct cache_salvage *s)
{
	free(s->g);
	bits_exit(&s->doubtful);
}
