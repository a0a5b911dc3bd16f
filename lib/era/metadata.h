/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The superblock, writesets and array of an era device, read. */
#ifndef PD_ERA_METADATA_H
#define PD_ERA_METADATA_H

#include "era/records.h"
#include "meta/array-scan.h"
#include <pdata/era.h>

#define ERA_MAX_BLOCKS (1ull << 31)
/* A piece of a bitset covers as many blocks as this many pieces of the array. */
#define ERA_WINDOW BITSET_BITS_PER_BLOCK

/* Block 0, or a metadata snapshot at @block; what is wrong with it. 0 or -ENOMEM; nothing is said. */
int era_sb_look(struct pd_io *io, uint64_t block, struct era_superblock *sb, enum pd_problem *p);
/* The same, for those who cannot go on without. 0, -EUCLEAN after a message, -ENOMEM, -EIO. */
int era_sb_read(struct pd_io *io, uint64_t block, struct pd_log *log, struct era_superblock *sb);
struct array_scan era_bitset(uint64_t era, uint32_t nr_bits, uint64_t root);
struct array_scan era_array(const struct era_superblock *sb);

/* Word @w of a writeset without the bits past its end. */
static inline uint64_t era_word(uint64_t value, uint64_t w, uint64_t nr_bits)
{
	uint64_t left = nr_bits - w * BITSET_WORD_BITS;

	return left < BITSET_WORD_BITS ? value & ((1ull << left) - 1) : value;
}

/* An archived writeset, or the live one; two bitsets when both are of one era and repair joins them. */
struct era_writeset_view {
	uint64_t era;		/* as the tree says: more than 32 bits are damage */
	uint32_t nr_bits;
	unsigned nr;
	struct array_scan a[2];
};

struct era_view {
	struct pd_io *io;
	const struct pd_run *run;
	struct era_superblock sb;
	struct damage damage;
	struct scan s;
	struct array_scan array;
	struct era_writeset_view *w;	/* ascending */
	size_t nr_w;
	bool repair;
	bool no_values;		/* only sizes count, and what is lost already: nothing is read */
	bool tree_lost;		/* some writesets are not known: every block counts as written now */
	uint64_t nr_lost;	/* blocks taken for written, where something was lost */
	void *buf;
};

/* Reads the tree and all indexes. @repair: damage is no error. 0, -EUCLEAN after a message, -ENOMEM, -EIO. */
int era_view_init(struct era_view *v, struct pd_io *io, const struct era_superblock *sb, bool live,
		  bool repair, const struct pd_run *run);
/* Finds what is sound but cannot be the last state, as far as counts tell: it is lost then. 0 or -ENOMEM. */
int era_view_prove(struct era_view *v);
void era_view_exit(struct era_view *v);

/* Up to ERA_WINDOW bits from bit @j * ERA_WINDOW on, in host words. Returns how many bits; lost ones are set. 0 or
 * -EUCLEAN without repair. */
int era_view_bits(struct era_view *v, struct era_writeset_view *w, uint64_t j, uint64_t *words,
		  uint32_t *nr_bits);
/* The same of the era array: up to ERA_WINDOW entries. */
int era_view_eras(struct era_view *v, uint64_t j, uint32_t *eras, uint32_t *nr);

/* Every piece once, so that all that is lost is known. 0 or -ENOMEM. */
int era_view_read(struct era_view *v);
/* Everything into an emitter; twice is fine. */
int era_view_emit(struct era_view *v, struct era_emitter *e, bool logical);
/* Says what is wrong and what to do next; -EUCLEAN. */
int era_view_damaged(struct era_view *v);

/* @in_order: bits and eras ascend. @out NULL counts only. */
int era_build_create(struct era_emitter **e, struct pd_io *out, bool in_order, struct pd_log *log);
void era_build_destroy(struct era_emitter *e);	/* takes NULL */
uint64_t era_build_needed(struct era_emitter *e);

#endif
