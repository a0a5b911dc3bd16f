/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <pdata/err.h>
#include "era/metadata.h"
#include "persistent-data/metadata.h"

static enum pd_problem judge(const struct era_superblock *sb, const void *block, uint64_t nr)
{
	uint32_t size = le32_get(sb->data_block_size);

	return block_kind(block) != KIND_ERA_SB ? PD_PR_SB_CSUM :
	       le64_get(sb->blocknr) != nr ? PD_PR_SB_LOCATION :
	       le64_get(sb->magic) != ERA_MAGIC ? PD_PR_SB_MAGIC :
	       le32_get(sb->version) != ERA_VERSION ? PD_PR_SB_VERSION :
	       !size || size % 8 ? PD_PR_SB_BLOCK_SIZE :
	       le32_get(sb->nr_blocks) >= ERA_MAX_BLOCKS ? PD_PR_ERA_NR_BLOCKS : PD_PR_NONE;
}

int era_sb_look(struct pd_io *io, uint64_t block, struct era_superblock *sb, enum pd_problem *p)
{
	void *buf = pd_io_buffer(1);

	memset(sb, 0, sizeof(*sb));
	if (!buf)
		return -ENOMEM;
	if (block >= pd_io_nr_blocks(io)) {
		*p = PD_PR_BLOCK_BEYOND;
	} else if (pd_io_read(io, block, 1, buf)) {
		*p = PD_PR_BLOCK_IO;
	} else {
		memcpy(sb, buf, sizeof(*sb));
		*p = judge(sb, buf, block);
	}
	free(buf);
	return 0;
}

int era_sb_read(struct pd_io *io, uint64_t block, struct pd_log *log, struct era_superblock *sb)
{
	enum pd_problem p;
	int r = era_sb_look(io, block, sb, &p);

	if (r || !p)
		return r;
	if (p == PD_PR_BLOCK_IO) {
		pd_log(log, PD_LOG_ERR, "%s: reading block %" PRIu64 ": %s", pd_io_name(io), block, pd_strerror(-EIO));
		return -EIO;
	}
	pd_log(log, PD_LOG_ERR, "%s%s%s [%s]", block ? "metadata snapshot: " : "", pd_problem_row(p)->text,
	       p == PD_PR_SB_CSUM ? superblock_hint(io, block) : "", pd_problem_row(p)->name);
	return -EUCLEAN;
}

struct array_scan era_bitset(uint64_t era, uint32_t nr_bits, uint64_t root)
{
	return (struct array_scan){
		.place = PD_AT_WRITESET, .has_key = true, .key = era, .value_size = sizeof(le64),
		.scale = BITSET_WORD_BITS, .root = root, .nr_values = ceil_div(nr_bits, BITSET_WORD_BITS),
	};
}

struct array_scan era_array(const struct era_superblock *sb)
{
	return (struct array_scan){
		.place = PD_AT_ERA_ARRAY, .value_size = sizeof(le32), .root = le64_get(sb->era_array_root),
		.nr_values = le32_get(sb->nr_blocks),
	};
}

int era_view_damaged(struct era_view *v)
{
	damage_report(&v->damage, v->run->log, "era", "blocks");
	pd_log(v->run->log, PD_LOG_ERR, "the metadata is damaged: era_check gives details, and era_repair takes "
	       "what is lost for written");
	return -EUCLEAN;
}

static int by_era(const void *va, const void *vb)
{
	const struct era_writeset_view *a = va, *b = vb;

	return a->era < b->era ? -1 : a->era > b->era;
}

static int add(struct era_view *v, uint64_t era, uint32_t nr_bits, uint64_t root)
{
	struct era_writeset_view *w = v->nr_w ? &v->w[v->nr_w - 1] : NULL;
	struct array_scan *a;

	if (era > UINT32_MAX && !v->repair) {
		pd_log(v->run->log, PD_LOG_ERR, "a writeset's era, %" PRIu64 ", does not fit 32 bits [%s]", era,
		       pd_problem_row(PD_PR_ERA_KEY)->name);
		return -EUCLEAN;
	}
	/* keys of the tree ascend: only the live one can meet another */
	for (size_t i = v->nr_w; w && w->era > era && i-- > 0; )
		w = &v->w[i];
	if (!w || w->era != era) {
		w = &v->w[v->nr_w++];
		*w = (struct era_writeset_view){ .era = era, .nr_bits = nr_bits };
	} else if (!v->repair) {
		pd_log(v->run->log, PD_LOG_ERR, "era %" PRIu64 " has a live and an archived writeset [%s]", era,
		       pd_problem_row(PD_PR_ERA_TWICE)->name);
		return -EUCLEAN;
	}
	if (nr_bits > w->nr_bits)
		w->nr_bits = nr_bits;
	a = &w->a[w->nr++];
	*a = era_bitset(era, nr_bits, root);
	return array_scan_index(&v->s, a);
}

static int load_writesets(struct era_view *v, bool live)
{
	struct tree_walk t = {
		.place = PD_AT_WRITESETS, .value_size = sizeof(struct era_writeset),
		.root = le64_get(v->sb.writeset_tree_root),
	};
	struct era_writeset ws;
	int r = scan_tree(&v->s, &t);

	v->tree_lost = t.damaged;
	v->w = r ? NULL : calloc(t.nr + 1, sizeof(*v->w));
	if (!r && !v->w)
		r = -ENOMEM;
	for (uint64_t i = 0; !r && i < t.nr; i++) {
		memcpy(&ws, t.values + i * sizeof(ws), sizeof(ws));
		r = add(v, t.keys[i], le32_get(ws.nr_bits), le64_get(ws.root));
	}
	tree_walk_exit(&t);
	ws = v->sb.current_writeset;
	if (!r && live && le64_get(ws.root))
		r = add(v, le32_get(v->sb.current_era), le32_get(ws.nr_bits), le64_get(ws.root));
	if (v->nr_w)
		qsort(v->w, v->nr_w, sizeof(*v->w), by_era);
	return r;
}

int era_view_init(struct era_view *v, struct pd_io *io, const struct era_superblock *sb, bool live,
		  bool repair, const struct pd_run *run)
{
	int r;

	*v = (struct era_view){ .io = io, .run = run, .sb = *sb, .repair = repair };
	damage_init(&v->damage);
	r = scan_init(&v->s, io, run, &v->damage, pd_io_nr_blocks(io));
	if (r)
		return r;
	v->buf = pd_io_buffer(1);
	v->array = era_array(sb);
	r = v->buf ? array_scan_index(&v->s, &v->array) : -ENOMEM;
	return r ? r : load_writesets(v, live);
}

void era_view_exit(struct era_view *v)
{
	for (size_t i = 0; i < v->nr_w; i++)
		for (unsigned k = 0; k < v->w[i].nr; k++)
			array_scan_exit(&v->w[i].a[k]);
	free(v->w);
	array_scan_exit(&v->array);
	scan_exit(&v->s);
	damage_exit(&v->damage);
	free(v->buf);
}

int era_view_read(struct era_view *v)
{
	int r = array_scan_read(&v->s, &v->array, 1, "reading", NULL, NULL);

	for (size_t i = 0; i < v->nr_w; i++)
		for (unsigned k = 0; !r && k < v->w[i].nr; k++)
			r = array_scan_read(&v->s, &v->w[i].a[k], 1, "reading", NULL, NULL);
	return r;
}

/* Values of a piece; NULL if it is lost. */
static const uint8_t *piece(struct era_view *v, struct array_scan *a, uint64_t j)
{
	if (j >= a->nr_pieces || !a->block[j])
		return NULL;
	return v->no_values ? v->buf : array_scan_piece(&v->s, a, j, v->buf);
}

int era_view_bits(struct era_view *v, struct era_writeset_view *w, uint64_t j, uint64_t *words,
		  uint32_t *nr_bits)
{
	uint64_t begin = j * ERA_WINDOW, nr = min_t(uint64_t, w->nr_bits - begin, ERA_WINDOW);
	uint64_t nr_words = ceil_div(nr, BITSET_WORD_BITS);

	*nr_bits = (uint32_t)nr;
	memset(words, 0, nr_words * sizeof(*words));
	for (unsigned k = 0; k < w->nr; k++) {
		struct array_scan *a = &w->a[k];
		const uint8_t *values = piece(v, a, j);
		uint32_t have = j * piece_max(a) < a->nr_values ? piece_nr(a, j) : 0;

		if (!values && have && !v->repair)
			return -EUCLEAN;
		if (!values && have)
			v->nr_lost += nr;
		for (uint32_t i = 0; !v->no_values && i < have && i < nr_words; i++) {
			le64 d;

			if (values)
				memcpy(&d, values + 8 * (size_t)i, sizeof(d));
			words[i] |= values ? le64_get(d) : UINT64_MAX;
		}
	}
	if (nr_words)
		words[nr_words - 1] = era_word(words[nr_words - 1], nr_words - 1, nr);
	return 0;
}

int era_view_eras(struct era_view *v, uint64_t j, uint32_t *eras, uint32_t *nr)
{
	struct array_scan *a = &v->array;
	uint32_t now = le32_get(v->sb.current_era), done = 0;
	uint64_t all = min_t(uint64_t, a->nr_values - j * ERA_WINDOW, ERA_WINDOW);

	for (uint64_t at = j * ERA_WINDOW / piece_max(a); done < all; at++) {
		const uint8_t *values = piece(v, a, at);
		uint32_t n = (uint32_t)min_t(uint64_t, piece_max(a), all - done);

		if (!values && !v->repair)
			return -EUCLEAN;
		if (!values)
			v->nr_lost += n;
		for (uint32_t i = 0; values && !v->tree_lost && !v->no_values && i < n; i++) {
			le32 d;

			memcpy(&d, values + 4 * (size_t)i, sizeof(d));
			eras[done + i] = le32_get(d);
		}
		for (uint32_t i = 0; (!values || v->tree_lost) && i < n; i++)
			eras[done + i] = now;
		/* an era that has not come is damage, too */
		for (uint32_t i = 0; v->repair && i < n; i++)
			eras[done + i] = min_t(uint32_t, eras[done + i], now);
		done += n;
	}
	*nr = done;
	return 0;
}

/* The newest era of each block, archived and live writesets folded in. */
static int fold(struct era_view *v, uint64_t j, uint64_t *words, uint32_t *eras, uint32_t nr)
{
	int r = 0;

	for (size_t i = 0; i < v->nr_w && !r; i++) {
		struct era_writeset_view *w = &v->w[i];
		uint32_t nr_bits, now = le32_get(v->sb.current_era), era;

		if (j * ERA_WINDOW >= w->nr_bits)
			continue;
		era = v->repair && w->era > now ? now : (uint32_t)w->era;
		r = era_view_bits(v, w, j, words, &nr_bits);
		for (uint32_t k = 0; !r && k < nr_bits && k < nr; k++)
			if (words[k / 64] >> (k % 64) & 1 && eras[k] < era)
				eras[k] = era;
	}
	return r;
}

static int emit_writeset(struct era_view *v, struct era_emitter *e, struct era_writeset_view *w,
			 uint64_t *words)
{
	int r = e->writeset_begin(e, &(struct era_writeset_record){ (uint32_t)w->era, w->nr_bits });

	for (uint64_t j = 0; !r && j < ceil_div(w->nr_bits, ERA_WINDOW); j++) {
		uint32_t nr;

		r = era_view_bits(v, w, j, words, &nr);
		if (!r)
			r = e->bits(e, (uint32_t)(j * ERA_WINDOW), words, nr);
	}
	for (unsigned k = 0; k < w->nr; k++)
		array_scan_forget(&w->a[k]);
	return r ? r : e->writeset_end(e);
}

/*
 * One writeset of the current era for everything that counts as written in it: all blocks if writesets are lost with
 * their tree, and those of eras that have not come, which nobody restores. The era array alone could not say it: a
 * list looks there only for eras before the oldest writeset, and the kernel, which folds the writesets that are left
 * into the array, lowest first, would put older eras over it.
 */
static int emit_current(struct era_view *v, struct era_emitter *e, size_t first, uint64_t *words)
{
	uint32_t now = le32_get(v->sb.current_era), nr_bits = v->tree_lost ? le32_get(v->sb.nr_blocks) : 0, nr;
	uint64_t *sum = malloc(ERA_WINDOW / 8);
	int r = sum ? 0 : -ENOMEM;

	for (size_t i = first; i < v->nr_w; i++)
		nr_bits = v->w[i].nr_bits > nr_bits ? v->w[i].nr_bits : nr_bits;
	if (!r)
		r = e->writeset_begin(e, &(struct era_writeset_record){ now, nr_bits });
	for (uint64_t j = 0; !r && j < ceil_div(nr_bits, ERA_WINDOW); j++) {
		uint64_t all = min_t(uint64_t, nr_bits - j * ERA_WINDOW, ERA_WINDOW);

		memset(sum, v->tree_lost ? 0xff : 0, ERA_WINDOW / 8);
		for (size_t i = first; !r && i < v->nr_w; i++) {
			if (j * ERA_WINDOW >= v->w[i].nr_bits)
				continue;
			r = era_view_bits(v, &v->w[i], j, words, &nr);
			for (uint32_t k = 0; !r && k < ceil_div(nr, BITSET_WORD_BITS); k++)
				sum[k] |= words[k];
		}
		sum[(all - 1) / BITSET_WORD_BITS] = era_word(sum[(all - 1) / BITSET_WORD_BITS],
							     (all - 1) / BITSET_WORD_BITS, all);
		if (!r)
			r = e->bits(e, (uint32_t)(j * ERA_WINDOW), sum, (uint32_t)all);
	}
	free(sum);
	return r ? r : e->writeset_end(e);
}

int era_view_emit(struct era_view *v, struct era_emitter *e, bool logical)
{
	struct era_sb_record sb = {
		.block_size = le32_get(v->sb.data_block_size), .nr_blocks = le32_get(v->sb.nr_blocks),
		.current_era = le32_get(v->sb.current_era),
	};
	uint64_t *words = malloc(ERA_WINDOW / 8);
	uint32_t *eras = malloc(ERA_WINDOW * sizeof(*eras)), nr;
	size_t nr_kept = v->nr_w;
	int r = words && eras ? e->superblock(e, &sb) : -ENOMEM;


	v->nr_lost = 0;
	/* ascending: those of the current era and later are last */
	if (v->repair && v->nr_w && (v->tree_lost || v->w[v->nr_w - 1].era > sb.current_era))
		while (nr_kept && v->w[nr_kept - 1].era >= sb.current_era)
			nr_kept--;
	for (size_t i = 0; !r && !logical && i < nr_kept; i++)
		r = emit_writeset(v, e, &v->w[i], words);
	if (!r && !logical && v->repair && (v->tree_lost || nr_kept < v->nr_w))
		r = emit_current(v, e, nr_kept, words);
	if (!r)
		r = e->array_begin(e);
	for (uint64_t j = 0; !r && j < ceil_div(sb.nr_blocks, ERA_WINDOW); j++) {
		r = era_view_eras(v, j, eras, &nr);
		if (!r && logical)
			r = fold(v, j, words, eras, nr);
		if (!r)
			r = e->eras(e, (uint32_t)(j * ERA_WINDOW), eras, nr);
	}
	if (!r)
		r = e->array_end(e);
	if (!r)
		r = e->superblock_end(e);
	free(words);
	free(eras);
	return r == -EUCLEAN && !v->repair ? era_view_damaged(v) : r;
}
