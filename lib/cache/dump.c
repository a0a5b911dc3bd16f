/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include "cache/dump.h"
#include "cache/twice.h"
#include "io/stream.h"
#include "xml/writer.h"

/* The clean flag decides: dirty bits and hints that nobody trusts need not be readable. */
static bool counts_as_damage(struct cache_view *v, const struct array_scan *a)
{
	return a->damaged && !v->repair && (a == &v->mappings || cache_is_clean(&v->sb));
}

static int damaged(struct cache_view *v)
{
	damage_report(&v->damage, v->run->log, "cache", "blocks");
	pd_log(v->run->log, PD_LOG_ERR, "the metadata is damaged: cache_check gives details, and a dump with "
	       "--repair may save the rest");
	return -EUCLEAN;
}

/* ---- With repair: what is there, and where two cache blocks claim an origin block ---- */

struct survey {
	struct twice twice;
	const struct bits *out;		/* cache blocks nobody asks for */
	uint64_t nr_valid;
};

static int note_mappings(void *ctx, unsigned worker, struct array_scan *a, uint64_t piece, const void *values,
			 uint32_t nr)
{
	struct survey *s = ctx;
	const le64 *v = values;
	uint64_t valid = 0;

	for (uint32_t i = 0; a->place == PD_AT_MAPPING_ARRAY && i < nr; i++) {
		uint64_t value = le64_get(v[i]);

		if (!(value & CACHE_VALID) || (s->out && bits_test(s->out, piece * piece_max(a) + i)))
			continue;
		valid++;
		twice_note(&s->twice, worker, mapping_oblock(value));
	}
	__atomic_fetch_add(&s->nr_valid, valid, __ATOMIC_RELAXED);
	return 0;
}

static int find_suspects(void *ctx, unsigned worker, struct array_scan *a, uint64_t piece, const void *values,
			 uint32_t nr)
{
	struct survey *s = ctx;
	const le64 *v = values;
	int r = 0;

	(void)worker;
	for (uint32_t i = 0; !r && i < nr; i++) {
		uint64_t value = le64_get(v[i]);

		if (value & CACHE_VALID && !(s->out && bits_test(s->out, piece * piece_max(a) + i)))
			r = twice_again(&s->twice, mapping_oblock(value), piece * piece_max(a) + i);
	}
	return r;
}

/* Where two cache blocks claim an origin block nothing tells which holds its data: both are lost. */
static int survey(struct cache_view *v, const struct bits *doubtful)
{
	struct array_scan *all[] = { &v->mappings, &v->hints, &v->dirty_array }, arrays[ARRAY_SIZE(all)];
	struct survey s = { .out = doubtful };
	struct twice *t = &s.twice;
	int r = twice_init(t, array_scan_present(&v->s, &v->mappings),
			   stream_nr_threads(v->run, v->s.slots.nr_blocks));

	if (!r)
		r = bits_init(&v->unsure, le32_get(v->sb.cache_blocks));
	for (uint64_t w = 0; !r && doubtful && w < ceil_div(doubtful->nr, 64); w++)
		v->unsure.words[w] = doubtful->words[w];
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		arrays[i] = *all[i];
	if (!r)
		r = array_scan_read(&v->s, arrays, cache_is_clean(&v->sb) ? ARRAY_SIZE(all) : 1, "reading",
				    note_mappings, &s);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		*all[i] = arrays[i];
	if (!r)
		r = twice_settle(t);
	if (!r && t->too_many) {
		pd_log(v->run->log, PD_LOG_ERR, "too many origin blocks are cached twice: these are no mappings");
		r = -EUCLEAN;
	}
	if (!r && t->nr_suspects)
		r = array_scan_read(&v->s, &v->mappings, 1, "reading", find_suspects, &s);
	if (!r)
		twice_sort(t);
	for (size_t i = 0; !r && i < t->nr; i++) {
		struct pd_finding f = {
			.problem = PD_PR_CACHE_ORIGIN_TWICE, .place = PD_AT_MAPPING_ARRAY, .has_range = true,
			.begin = t->e[i].cblock, .end = t->e[i].cblock + 1, .block = PD_NO_BLOCK,
		};

		damage_add(&v->damage, &f);
		bits_set(&v->unsure, t->e[i].cblock);
		v->mappings.damaged = true;
	}
	v->nr_kept = s.nr_valid - t->nr;
	twice_exit(t);
	return r;
}

int cache_view_init(struct cache_view *v, struct pd_io *io, const struct cache_superblock *sb, bool repair,
		    const struct bits *doubtful, const struct pd_run *run)
{
	int r;

	*v = (struct cache_view){ .io = io, .run = run, .sb = *sb, .repair = repair };
	damage_init(&v->damage);
	r = scan_init(&v->s, io, run, &v->damage, pd_io_nr_blocks(io));
	if (r)
		return r;
	v->mappings = cache_mapping_array(&v->sb);
	r = array_scan_index(&v->s, &v->mappings);
	if (!r && repair && v->mappings.damaged)
		r = cache_adopt_pieces(v);
	if (!r)
		r = bits_init(&v->valid, le32_get(v->sb.cache_blocks));
	if (!r && le32_get(v->sb.version) >= 2) {
		v->dirty_array = cache_dirty_bitset(&v->sb);
		v->dirty = pd_io_buffer(1);
		v->dirty_piece = UINT64_MAX;
		r = v->dirty ? array_scan_index(&v->s, &v->dirty_array) : -ENOMEM;
	}
	if (!r && le64_get(v->sb.hint_root) && le32_get(v->sb.policy_hint_size) == sizeof(le32)) {
		v->hints = cache_hint_array(&v->sb);
		r = array_scan_index(&v->s, &v->hints);
	}
	if (!r && (counts_as_damage(v, &v->mappings) || counts_as_damage(v, &v->dirty_array)))
		r = damaged(v);
	return r || !repair ? r : survey(v, doubtful);
}

void cache_view_exit(struct cache_view *v)
{
	array_scan_exit(&v->mappings);
	array_scan_exit(&v->dirty_array);
	array_scan_exit(&v->hints);
	scan_exit(&v->s);
	damage_exit(&v->damage);
	bits_exit(&v->valid);
	bits_exit(&v->unsure);
	free(v->dirty);
}

/* Dirty bits of the cache blocks in word @word, in ascending order: each piece is read once. What cannot be read counts
 * as dirty. Version 1 has them with the mappings. */
static uint64_t dirty_word(struct cache_view *v, uint64_t word)
{
	uint64_t piece;
	le64 w;

	if (!cache_is_clean(&v->sb))
		return UINT64_MAX;
	if (!v->dirty)
		return 0;
	piece = word / piece_max(&v->dirty_array);
	if (piece != v->dirty_piece)
		v->dirty_words = array_scan_piece(&v->s, &v->dirty_array, piece, v->dirty);
	v->dirty_piece = piece;
	if (!v->dirty_words)
		return UINT64_MAX;
	memcpy(&w, &v->dirty_words[word % piece_max(&v->dirty_array)], sizeof(w));
	return le64_get(w);
}

/* The valid ones of @nr entries from cache block @first on, all of one word of the bitsets. */
static unsigned decode(struct cache_view *v, uint64_t first, const le64 *values, uint32_t nr,
		       struct cache_mapping_record *m)
{
	uint64_t word = first / BITSET_WORD_BITS, valid = 0;
	uint64_t out = v->repair ? v->unsure.words[word] : 0, dirty = dirty_word(v, word);
	uint64_t flag = v->dirty ? 0 : CACHE_DIRTY;
	unsigned n = 0;

	for (uint32_t i = 0; i < nr; i++) {
		uint64_t value = le64_get(values[i]), bit = 1ull << (first + i) % BITSET_WORD_BITS;

		m[n] = (struct cache_mapping_record){
			(uint32_t)(first + i), mapping_oblock(value), dirty & bit || value & flag
		};
		bit &= ~out & -(value & CACHE_VALID);
		valid |= bit;
		n += bit != 0;
	}
	v->valid.words[word] |= valid;
	return n;
}

static int emit_mappings(struct cache_view *v, struct cache_emitter *e, void *buf)
{
	struct array_scan *a = &v->mappings;
	struct cache_mapping_record m[509 + 1];		/* decode() tries one more */
	int r = e->mappings_begin(e);

	for (uint64_t j = 0; !r && j < a->nr_pieces; j++) {
		const le64 *values = array_scan_piece(&v->s, a, j, buf);
		uint64_t first = j * piece_max(a);
		uint32_t nr = values ? piece_nr(a, j) : 0, step;
		unsigned n = 0;

		for (uint32_t i = 0; i < nr; i += step) {
			step = min_t(uint32_t, nr - i, BITSET_WORD_BITS - (first + i) % BITSET_WORD_BITS);
			n += decode(v, first + i, values + i, step, m + n);
		}
		if (counts_as_damage(v, a) || counts_as_damage(v, &v->dirty_array))
			return damaged(v);
		if (n)
			r = e->mappings(e, m, n);
	}
	return r ? r : e->mappings_end(e);
}

static int emit_hints(struct cache_view *v, struct cache_emitter *e, void *buf)
{
	struct array_scan *a = &v->hints;
	struct cache_hint_record h[1018];
	int r = e->hints_begin(e);

	for (uint64_t j = 0; !r && j < a->nr_pieces; j++) {
		const uint8_t *values = array_scan_piece(&v->s, a, j, buf);
		unsigned n = 0;

		if (counts_as_damage(v, a))
			return damaged(v);
		for (uint32_t i = 0; values && i < piece_nr(a, j); i++) {
			uint32_t cblock = (uint32_t)(j * piece_max(a) + i);

			if (bits_test(&v->valid, cblock))
				h[n++] = (struct cache_hint_record){ cblock, sizeof(le32), values + sizeof(le32) * i };
		}
		if (n)
			r = e->hints(e, h, n);
	}
	return r ? r : e->hints_end(e);
}

/* As text can hold it. */
static bool is_printable(const uint8_t *name, size_t len)
{
	for (size_t i = 0; i < len && name[i]; i++)
		if (name[i] < ' ' || name[i] > '~')
			return false;
	return true;
}

/* A name without an end is no policy's, and only hints of 4 bytes are ever read: repair leaves out what cannot be. */
struct cache_sb_record cache_view_superblock(const struct cache_view *v)
{
	struct cache_sb_record sb = {
		.block_size = le32_get(v->sb.data_block_size),
		.nr_cache_blocks = le32_get(v->sb.cache_blocks),
		.hint_width = le32_get(v->sb.policy_hint_size),
	};

	if (v->repair && sb.hint_width != sizeof(le32))
		sb.hint_width = 0;
	if (is_printable(v->sb.policy_name, sizeof(v->sb.policy_name)) &&
	    (!v->repair || memchr(v->sb.policy_name, 0, sizeof(v->sb.policy_name))))
		memcpy(sb.policy, v->sb.policy_name, sizeof(v->sb.policy_name));
	return sb;
}

int cache_view_emit(struct cache_view *v, struct cache_emitter *e)
{
	struct cache_sb_record sb = cache_view_superblock(v);
	void *buf = pd_io_buffer(1);
	int r = buf ? 0 : -ENOMEM;

	if (!r)
		r = e->superblock(e, &sb);
	if (!r)
		r = emit_mappings(v, e, buf);
	if (!r)
		r = emit_hints(v, e, buf);
	if (!r)
		r = e->superblock_end(e);
	free(buf);
	return r;
}

int pd_cache_dump(struct pd_io *io, bool repair, bool final_newline, const struct pd_run *run,
		  const struct pd_sink *out)
{
	struct cache_xml_emitter x;
	struct cache_superblock sb;
	struct xml_writer w;
	struct cache_view v;
	int r = cache_sb_read(io, run->log, &sb), flushed;

	if (r)
		return r;
	r = xml_writer_init(&w, out->write, out->ctx);
	if (r)
		return r;
	w.final_newline = final_newline;
	cache_xml_emitter_init(&x, &w);
	r = cache_view_init(&v, io, &sb, repair, NULL, run);
	if (!r)
		r = cache_view_emit(&v, &x.e);
	if (!r && repair)
		damage_report(&v.damage, run->log, "cache", "blocks");
	flushed = xml_writer_flush(&w);
	r = r ? r : flushed;
	cache_view_exit(&v);
	xml_writer_exit(&w);
	return r;
}
