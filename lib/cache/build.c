/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "cache/build.h"
#include "cache/superblock.h"
#include "cache/twice.h"
#include "persistent-data/build.h"

struct cache_build {
	struct cache_emitter e;
	struct out *out;
	struct pd_log *log;
	bool dry, unique;
	uint64_t room;			/* mappings that the output could hold */
	uint32_t version, written_version;
	bool clean;
	struct cache_sb_record sb;
	struct array_build mappings, hints;
	uint64_t next, next_hint;	/* cache blocks */
	uint64_t *dirty;
	struct twice twice;
	uint64_t first_block, last_block;	/* of the mapping array, among others */
	uint64_t mapping_root, hint_root, needed;
};

static struct cache_build *of(struct cache_emitter *e)
{
	return container_of(e, struct cache_build, e);
}

#define refuse(b, ...) (pd_log((b)->log, PD_LOG_ERR, __VA_ARGS__), -EINVAL)

static int build_superblock(struct cache_emitter *e, const struct cache_sb_record *sb)
{
	struct cache_build *b = of(e);
	int r;

	b->sb = *sb;
	if (sb->block_size < CACHE_MIN_BLOCK_SIZE || sb->block_size > CACHE_MAX_BLOCK_SIZE ||
	    sb->block_size % CACHE_MIN_BLOCK_SIZE)
		return refuse(b, "block size %" PRIu32 " is not a multiple of 64 sectors within 64..2097152",
			      sb->block_size);
	if (sb->hint_width && sb->hint_width != sizeof(le32))
		return refuse(b, "hint width %" PRIu32 " is neither 0 nor 4", sb->hint_width);
	b->dirty = calloc(ceil_div(sb->nr_cache_blocks, BITSET_WORD_BITS) + 1, sizeof(*b->dirty));
	if (!b->dirty)
		return -ENOMEM;
	r = b->unique ? 0 : twice_init(&b->twice, min_t(uint64_t, sb->nr_cache_blocks, b->room), 1);
	if (!r)
		r = array_build_init(&b->mappings, b->out, sizeof(le64));
	if (!r)
		r = array_build_init(&b->hints, b->out, sizeof(le32));
	return r || b->dry ? r : out_begin(b->out, KIND_CACHE_SB);
}

static int begin(struct cache_emitter *e)
{
	(void)e;
	return 0;
}

static int pad(struct array_build *a, uint64_t *next, uint64_t end)
{
	uint64_t nr = end > *next ? end - *next : 0;

	*next += nr;
	return array_build_pad(a, nr);
}

static int refuse_mapping(struct cache_build *b, const struct cache_mapping_record *m)
{
	if (m->cblock >= b->sb.nr_cache_blocks)
		return refuse(b, "cache block %" PRIu32 " is out of bounds: there are %" PRIu32, m->cblock,
			      b->sb.nr_cache_blocks);
	if (m->cblock < b->next)
		return refuse(b, "cache block %" PRIu32 " stands twice or out of order", m->cblock);
	return refuse(b, "origin block %" PRIu64 " is beyond 48 bits", m->oblock);
}

static int build_mappings(struct cache_emitter *e, const struct cache_mapping_record *m, unsigned nr)
{
	struct cache_build *b = of(e);
	uint64_t dirty_flag = b->version == 1 ? CACHE_DIRTY : 0;

	for (const struct cache_mapping_record *end = m + nr; m < end; m++) {
		void *to;
		le64 v;
		int r;

		if (m->cblock >= b->sb.nr_cache_blocks || m->cblock < b->next || m->oblock >> 48)
			return refuse_mapping(b, m);
		if (!b->unique)
			twice_note(&b->twice, 0, m->oblock);
		r = array_build_slot(&b->mappings, m->cblock, &to);
		if (r)
			return r;
		v = le64_put(m->oblock << 16 | CACHE_VALID | (m->dirty ? dirty_flag : 0));
		memcpy(to, &v, sizeof(v));
		b->dirty[m->cblock / BITSET_WORD_BITS] |= (uint64_t)m->dirty << m->cblock % BITSET_WORD_BITS;
		b->next = (uint64_t)m->cblock + 1;
	}
	return b->twice.too_many ? refuse(b, "too many origin blocks seem to be cached twice") : 0;
}

/* The suspects are few: how often does each stand in what was written? */
static int look_twice(struct cache_build *b)
{
	struct array_header *a = pd_io_buffer(1);
	uint64_t cblock = 0;
	int r = a ? twice_settle(&b->twice) : -ENOMEM;

	for (uint64_t block = b->first_block; !r && b->twice.nr_suspects && block < b->last_block; block++) {
		r = out_read(b->out, block, a);
		if (r == -ENODATA) {		/* a dry run, or past the end */
			r = 0;
			break;
		}
		if (r || le32_get(a->max_entries) != array_max_entries(sizeof(le64)) ||
		    le32_get(a->value_size) != sizeof(le64))
			continue;
		for (uint32_t i = 0; !r && i < le32_get(a->nr_entries); i++) {
			le64 v;

			memcpy(&v, array_value_ptr(a, i), sizeof(v));
			if (mapping_flags(le64_get(v)) & CACHE_VALID)
				r = twice_again(&b->twice, mapping_oblock(le64_get(v)), cblock++);
		}
	}
	twice_sort(&b->twice);
	if (!r && b->twice.nr)
		r = refuse(b, "origin block %" PRIu64 " is cached twice", b->twice.e[0].oblock);
	free(a);
	return r;
}

static int build_mappings_end(struct cache_emitter *e)
{
	struct cache_build *b = of(e);
	int r = pad(&b->mappings, &b->next, b->sb.nr_cache_blocks);

	if (!r)
		r = array_build_finish(&b->mappings, &b->mapping_root);
	b->last_block = b->mapping_root;
	return r || b->unique ? r : look_twice(b);
}

static int refuse_hint(struct cache_build *b, const struct cache_hint_record *h)
{
	if (h->cblock >= b->sb.nr_cache_blocks)
		return refuse(b, "hint: cache block %" PRIu32 " is out of bounds", h->cblock);
	if (h->cblock < b->next_hint)
		return refuse(b, "hint: cache block %" PRIu32 " stands twice or out of order", h->cblock);
	return refuse(b, "the hint of cache block %" PRIu32 " is longer than %" PRIu32 " bytes", h->cblock,
		      b->sb.hint_width);
}

static int build_hints(struct cache_emitter *e, const struct cache_hint_record *h, unsigned nr)
{
	struct cache_build *b = of(e);

	for (const struct cache_hint_record *end = h + nr; h < end; h++) {
		void *to;
		int r;

		if (h->cblock >= b->sb.nr_cache_blocks || h->cblock < b->next_hint || h->len_bytes > b->sb.hint_width)
			return refuse_hint(b, h);
		if (!b->sb.hint_width)
			continue;
		r = array_build_slot(&b->hints, h->cblock, &to);
		if (r)
			return r;
		if (h->len_bytes == sizeof(le32))
			memcpy(to, h->data, sizeof(le32));
		else
			memcpy(to, h->data, h->len_bytes);
		b->next_hint = (uint64_t)h->cblock + 1;
	}
	return 0;
}

static int build_hints_end(struct cache_emitter *e)
{
	struct cache_build *b = of(e);
	int r;

	if (!b->sb.hint_width)
		return 0;
	r = pad(&b->hints, &b->next_hint, b->sb.nr_cache_blocks);
	return r ? r : array_build_finish(&b->hints, &b->hint_root);
}

static int discard(struct cache_emitter *e, const struct cache_discard_record *d)
{
	(void)e;
	(void)d;
	return 0;
}

static int finish(struct cache_build *b, struct cache_superblock *sb)
{
	struct sm_root root;
	uint64_t discards, dirty = 0;
	int r = bitset_build(b->out, NULL, 0, &discards);

	if (!r && b->version >= 2)
		r = bitset_build(b->out, b->dirty, b->sb.nr_cache_blocks, &dirty);
	if (r)
		return r;
	out_ref(b->out, b->mapping_root);
	out_ref(b->out, discards);
	if (b->hint_root)
		out_ref(b->out, b->hint_root);
	if (dirty)
		out_ref(b->out, dirty);
	b->needed = out_needed(b->out);
	if (b->dry)
		return 0;
	r = out_metadata_sm(b->out, &root);
	if (r)
		return r;
	memcpy(sb->metadata_space_map_root, &root, sizeof(root));
	sb->flags = le32_put(b->clean ? CACHE_CLEAN_SHUTDOWN : 0);
	sb->magic = le64_put(CACHE_MAGIC);
	sb->version = le32_put(b->written_version);
	memcpy(sb->policy_name, b->sb.policy, strlen(b->sb.policy));
	sb->policy_hint_size = le32_put(b->sb.hint_width);
	sb->mapping_root = le64_put(b->mapping_root);
	sb->hint_root = le64_put(b->hint_root);
	sb->discard_root = le64_put(discards);
	sb->data_block_size = le32_put(b->sb.block_size);
	sb->metadata_block_size = le32_put(PD_BLOCK_SIZE / 512);
	sb->cache_blocks = le32_put(b->sb.nr_cache_blocks);
	sb->policy_version[0] = le32_put(2);
	sb->dirty_root = le64_put(dirty);
	return out_commit(b->out, sb, KIND_CACHE_SB);
}

static int build_superblock_end(struct cache_emitter *e)
{
	struct cache_superblock *sb = calloc(1, PD_BLOCK_SIZE);
	int r = sb ? finish(of(e), sb) : -ENOMEM;

	free(sb);
	return r;
}

int cache_build_create(struct cache_emitter **e, struct pd_io *io,
		       const struct pd_cache_restore_opts *o, struct pd_log *log)
{
	struct cache_build *b = calloc(1, sizeof(*b));
	int r = b ? out_create(&b->out, io, log) : -ENOMEM;

	*e = NULL;
	if (r) {
		free(b);
		return r;
	}
	b->log = log;
	b->dry = !io;
	b->room = io ? pd_io_nr_blocks(io) * array_max_entries(sizeof(le64)) : 0;
	b->version = o->version ? o->version : 2;
	b->written_version = o->written_version ? o->written_version : b->version;
	b->clean = !o->omit_clean_shutdown;
	b->first_block = 1;
	b->e = (struct cache_emitter){
		.superblock = build_superblock,
		.mappings_begin = begin,
		.mappings = build_mappings,
		.mappings_end = build_mappings_end,
		.hints_begin = begin,
		.hints = build_hints,
		.hints_end = build_hints_end,
		.discards_begin = begin,
		.discard = discard,
		.discards_end = begin,
		.superblock_end = build_superblock_end,
	};
	*e = &b->e;
	return 0;
}

void cache_build_destroy(struct cache_emitter *e)
{
	struct cache_build *b = e ? of(e) : NULL;

	if (!b)
		return;
	if (b->dirty) {
		array_build_exit(&b->mappings);
		array_build_exit(&b->hints);
	}
	out_destroy(b->out);
	twice_exit(&b->twice);
	free(b->dirty);
	free(b);
}

void cache_build_unique(struct cache_emitter *e)
{
	of(e)->unique = true;
}

uint64_t cache_build_needed(struct cache_emitter *e)
{
	return of(e)->needed;
}
