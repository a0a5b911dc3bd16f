/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of a clone into new metadata. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "clone/elements.h"
#include "clone/metadata.h"
#include "persistent-data/build.h"

struct clone_build {
	struct clone_emitter e;
	struct out *out;
	struct pd_log *log;
	bool dry;
	struct clone_sb_record sb;
	struct array_build words;
	uint64_t next, now;		/* word under way, and its bits */
	uint64_t last, nr_hydrated;	/* end of the last range */
	uint64_t needed;
};

static struct clone_build *of(struct clone_emitter *e)
{
	return container_of(e, struct clone_build, e);
}

#define refuse(b, ...) (pd_log((b)->log, PD_LOG_ERR, __VA_ARGS__), -EINVAL)

static int superblock(struct clone_emitter *e, const struct clone_sb_record *sb)
{
	struct clone_build *b = of(e);
	enum pd_problem why;
	uint64_t nr = clone_nr_regions(sb->region_size, sb->target_size, &why);
	int r;

	if (!nr)
		return refuse(b, "%s", pd_problem_row(why)->text);
	if (sb->nr_regions != CLONE_NOT_GIVEN && sb->nr_regions != nr)
		return refuse(b, "nr_regions is %" PRIu64 ", but the sizes make %" PRIu64, sb->nr_regions, nr);
	b->sb = *sb;
	b->sb.nr_regions = nr;
	r = array_build_init(&b->words, b->out, sizeof(le64));
	return r || b->dry ? r : out_begin(b->out, KIND_CLONE_SB);
}

static int nothing(struct clone_emitter *e)
{
	(void)e;
	return 0;
}

static int push(struct clone_build *b)
{
	le64 v = le64_put(b->now);

	b->next++;
	b->now = 0;
	return array_build_push(&b->words, &v);
}

static int range(struct clone_emitter *e, const struct clone_range_record *g)
{
	struct clone_build *b = of(e);
	int r = 0;

	if (g->begin >= g->end || g->end > b->sb.nr_regions)
		return refuse(b, "range [%" PRIu64 ", %" PRIu64 ") is empty or past the last region", g->begin,
			      g->end);
	if (g->begin < b->last)
		return refuse(b, "range [%" PRIu64 ", %" PRIu64 ") stands twice or out of order", g->begin,
			      g->end);
	b->last = g->end;
	b->nr_hydrated += g->end - g->begin;
	for (uint64_t at = g->begin; at < g->end && !r; ) {
		uint64_t word = at / BITSET_WORD_BITS, shift = at % BITSET_WORD_BITS;
		uint64_t len = min_t(uint64_t, BITSET_WORD_BITS - shift, g->end - at);

		while (b->next < word && !r)
			r = push(b);
		b->now |= (len == BITSET_WORD_BITS ? ~0ull : (1ull << len) - 1) << shift;
		at += len;
	}
	return r;
}

static int superblock_end(struct clone_emitter *e)
{
	struct clone_build *b = of(e);
	struct clone_superblock *sb = NULL;
	struct sm_root root;
	uint64_t bitset;
	int r = 0;

	if (b->sb.nr_hydrated != CLONE_NOT_GIVEN && b->sb.nr_hydrated != b->nr_hydrated)
		return refuse(b, "nr_hydrated is %" PRIu64 ", but %" PRIu64 " regions are listed",
			      b->sb.nr_hydrated, b->nr_hydrated);
	while (b->next < ceil_div(b->sb.nr_regions, BITSET_WORD_BITS) && !r)
		r = push(b);
	if (!r)
		r = array_build_finish(&b->words, &bitset);
	if (r)
		return r;
	out_ref(b->out, bitset);
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
		sb->magic = le64_put(CLONE_MAGIC);
		sb->version = le32_put(CLONE_VERSION);
		sb->region_size = le64_put(b->sb.region_size);
		sb->target_size = le64_put(b->sb.target_size);
		sb->bitset_root = le64_put(bitset);
		r = out_commit(b->out, sb, KIND_CLONE_SB);
	}
	free(sb);
	return r;
}

int clone_build_create(struct clone_emitter **e, struct pd_io *io, struct pd_log *log)
{
	struct clone_build *b = calloc(1, sizeof(*b));
	int r = b ? out_create(&b->out, io, log) : -ENOMEM;

	*e = NULL;
	if (r) {
		free(b);
		return r;
	}
	b->log = log;
	b->dry = !io;
	b->e = (struct clone_emitter){
		.superblock = superblock, .hydrated_begin = nothing, .range = range,
		.hydrated_end = nothing, .superblock_end = superblock_end,
	};
	*e = &b->e;
	return 0;
}

void clone_build_destroy(struct clone_emitter *e)
{
	struct clone_build *b = e ? of(e) : NULL;

	if (!b)
		return;
	if (b->sb.nr_regions)
		array_build_exit(&b->words);
	out_destroy(b->out);
	free(b);
}

uint64_t clone_build_needed(struct clone_emitter *e)
{
	return of(e)->needed;
}
