/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every check has: slots, references found, findings; trees walked by layers; the two space
 * maps read for planning and compared at the end.
 */
#ifndef PD_META_SCAN_H
#define PD_META_SCAN_H

#include "base/counts.h"
#include "meta/damage.h"
#include "meta/slots.h"

struct scan {
	struct pd_io *io;
	const struct pd_run *run;
	struct damage *damage;
	struct slots slots;
	struct bits reached;	/* blocks that something refers to */
	uint64_t nr_blocks;	/* no block at or beyond it may be referred to */
	bool snap;		/* findings are about the metadata snapshot */
	bool incomplete;	/* a tree could not be walked whole: counts prove nothing */
	bool keep_leaks;	/* space maps keep what --auto-repair needs */
};

/* @nr_blocks: what the metadata space map says there is; the device may be smaller. */
int scan_init(struct scan *s, struct pd_io *io, const struct pd_run *run, struct damage *damage,
	      uint64_t nr_blocks);
void scan_exit(struct scan *s);

/* A place points at @block: true if it is the first, so that what is in it is still to be counted.
 * @block must be below nr_blocks. */
static inline bool scan_ref(struct scan *s, uint64_t block)
{
	struct slot *slot = &s->slots.slot[block];

	if (!slot->refs)
		bits_set(&s->reached, block);
	if (slot->refs < UINT32_MAX)
		slot->refs++;
	return slot->refs == 1;
}

/* The problem a slot that was read shows, for a place that wants @kind; PD_PR_NONE if none. */
enum pd_problem slot_problem(const struct slot *slot, enum block_kind kind);
enum pd_problem node_fault_problem(enum node_fault f);

/*
 * A small tree, read by layers, each in disk order. "Small" is what is not a thin device's
 * mappings: upper tree, details, index trees, overflow trees, writesets.
 */
struct tree_walk {
	enum pd_place place;
	uint32_t value_size;
	uint64_t root;
	bool has_key;		/* for findings */
	uint64_t key;
	bool no_refs;		/* read only: nothing is counted */
	uint8_t mark;		/* slot flags, SLOT_USER or higher ones, that its nodes get */
	/* Called on worker threads for every sound leaf, in any order; or NULL. */
	int (*leaf)(void *ctx, const struct node_header *n, uint64_t block);
	void *ctx;
	/* Without @leaf: the entries, in key order; free them with tree_walk_exit(). */
	uint64_t nr;
	uint64_t *keys;
	uint8_t *values;	/* nr * value_size bytes */
	bool *counts;		/* what the value refers to is to be counted: not so where
				 * another tree shares the leaf and has done it */
	bool damaged;		/* some of the tree could not be read */
	/* With want_nodes: the blocks of its nodes. */
	bool want_nodes;
	uint64_t *nodes;
	size_t nr_nodes, max_nodes;
};

/* 0 (damage goes to the findings) or -ENOMEM, or what @leaf returned. */
int scan_tree(struct scan *s, struct tree_walk *w);
void tree_walk_exit(struct tree_walk *w);

/* ---- space maps (space-map-check.c) ---- */

/* Counts that are too high, ascending; kept only with keep_leaks. */
struct sm_leaks {
	struct sm_leak {
		uint64_t block;
		uint32_t got, want;
	} *l;
	size_t nr, max;
};

/* What a look at one bitmap found. */
struct sm_group {
	uint16_t nr_free;	/* zero entries among all */
	uint16_t nr_clipped;	/* zero entries below the end of the space map */
	uint16_t first_free;	/* below the end; or the number of valid entries */
	uint16_t nr_valid;	/* entries below the end */
	bool differs;
};

void sm_group_look(const void *bitmap, unsigned nr_valid, struct sm_group *g);

/* ---- metadata space map ---- */

struct metadata_sm {
	struct sm_root root;
	uint64_t nr_blocks;		/* as the root says, no more than the device has */
	unsigned nr_bitmaps;
	struct metadata_index index;
	bool index_ok;
	uint8_t (*bitmaps)[PD_BLOCK_SIZE];	/* as read; all zeros where one is lost */
	bool bitmap_ok[MAX_METADATA_BITMAPS];
	bool whole;			/* all of it could be read */
	struct bits overflow;		/* blocks that the overflow tree has a count for */
	struct sm_leaks leaks;
};

/* Reads index and bitmaps, counts the references to them. Findings as S1, S10. */
int metadata_sm_load(struct scan *s, struct metadata_sm *sm, const struct sm_root *root);
void metadata_sm_exit(struct metadata_sm *sm);
static inline unsigned metadata_sm_get(const struct metadata_sm *sm, uint64_t b)
{
	return bitmap_get(sm->bitmaps[b / ENTRIES_PER_BITMAP], b % ENTRIES_PER_BITMAP);
}
/* Walks the overflow tree and compares all counts with the references found; last of all. */
int metadata_sm_check(struct scan *s, struct metadata_sm *sm);

/* ---- data space map ---- */

struct data_sm {
	struct sm_root root;
	uint64_t nr_blocks;
	struct tree_walk index;		/* entries: struct index_entry */
	struct bits blocks;		/* where its bitmaps are */
	struct bits kept;		/* one bit a group: its bitmap can be read */
	struct counts counts;		/* references found to data blocks */
	bool whole;
	struct sm_group *groups;	/* of each index entry, once compared */
	struct sm_leaks leaks;
};

/* Reads the index tree and looks at every bitmap once; makes the counts. */
int data_sm_load(struct scan *s, struct data_sm *sm, const struct sm_root *root);
void data_sm_exit(struct data_sm *sm);
/* Compares with the counts. Leaves marks in them: the counts are gone afterwards. @compare false only
 * reads, for the references. */
int data_sm_check(struct scan *s, struct data_sm *sm, bool compare);

#endif
