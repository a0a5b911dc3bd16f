/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a scan remembers of each metadata block: one slot of 32 bytes, and for an internal
 * node its keys and children. Check, dump and repair fold these in memory, in key order;
 * the blocks themselves are read once, in disk order, by worker threads.
 */
#ifndef PD_META_SLOTS_H
#define PD_META_SLOTS_H

#include "io/stream.h"
#include "persistent-data/disk.h"

enum slot_state {
	SLOT_UNREAD,		/* nobody asked for it yet */
	SLOT_OK,
	SLOT_IO,		/* cannot be read */
	SLOT_CSUM,		/* no kind's checksum fits */
	SLOT_MISPLACED,		/* checksum right, own number wrong */
	SLOT_STALE,		/* dropped: sound, but by the counts it is an older version, or may be one */
	SLOT_FAULT,		/* SLOT_FAULT + enum node_fault: a node unsound in itself */
};

enum slot_flags {
	SLOT_LEAF	= 1 << 0,	/* node: a leaf; else internal */
	SLOT_FOLDED	= 1 << 1,	/* a fold has been here; height and memo are valid */
	SLOT_ACTIVE	= 1 << 2,	/* the fold is below it now: meeting it again is a cycle */
	SLOT_USER	= 1 << 3,	/* this bit and higher ones: the folder's own; reading keeps them */
};

struct slot {
	uint64_t first, last;	/* node with entries: first and last key as stored */
	uint32_t refs;		/* places found that point here */
	uint32_t children;	/* internal node: its first in slots.child, or NO_CHILDREN */
	uint16_t nr;		/* node, array: nr_entries */
	uint16_t value_size;	/* node, array */
	uint8_t kind;		/* enum block_kind */
	uint8_t state;		/* enum slot_state + enum node_fault */
	uint8_t flags;		/* enum slot_flags */
	uint8_t height;		/* node, once folded: 0 is a leaf */
};
static_assert(sizeof(struct slot) == 32, "slots are 1/128 of the metadata");

#define NO_CHILDREN UINT32_MAX

struct child {
	uint64_t key, block;
};

struct slots {
	struct pd_io *io;
	uint64_t nr_blocks;	/* min(device, MAX_METADATA_BLOCKS) */
	struct slot *slot;	/* one a block; memory is committed as slots are touched */
	struct child *child;	/* entries of internal nodes, in the order they were read */
	uint64_t nr_children, max_children;
	void *buf;		/* one block, for nodes read again */
};

int slots_init(struct slots *s, struct pd_io *io);
void slots_exit(struct slots *s);

/**
 * slots_read() - read every block of @set that is still SLOT_UNREAD, and fill its slot.
 * @fn: called on worker threads for each of them, after its slot is filled; may be NULL.
 *      @data is NULL when the block could not be read.
 *
 * Return: 0, -ENOMEM, or what @fn returned.
 * Memory: 32 bytes a block read and 16 a child, up to 24 bytes a block of the device (and 1 Mi
 *      children at least); internal nodes beyond that keep no children and are read again by
 *      slots_children().
 */
typedef int (*slot_fn)(void *ctx, unsigned worker, uint64_t block, const struct slot *slot,
		       const void *data);
int slots_read(struct slots *s, const struct bits *set, const struct pd_run *run, const char *what,
	       slot_fn fn, void *ctx);

/**
 * slots_children() - the entries of an internal node in state SLOT_OK.
 * @buf: INTERNAL_MAX_ENTRIES entries, used when they must be read again.
 *
 * Return: @slot.nr entries in key order (in the arena or in @buf), or NULL if the block
 *         cannot be read any more.
 */
const struct child *slots_children(struct slots *s, uint64_t block,
				   struct child buf[INTERNAL_MAX_ENTRIES]);

/**
 * slots_set_children() - make @block an internal node with these children, in memory alone.
 *
 * Repair rebuilds lost nodes this way; folds and dumps then see them like any other. Appends
 * to the arena whatever its bound. 0 or -ENOMEM.
 */
int slots_set_children(struct slots *s, uint64_t block, const struct child *c, unsigned nr);

#endif
