/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What repair may keep, and how it decides.
 *
 * *Live* is what the last commit before the damage reaches. A valid block need not be live: most
 * devices hold whole older generations. What proves a block live that nothing reaches any more (an
 * *orphan*) is its count in the metadata space map, which exceeds the references found: its
 * *residual*. An orphan goes where it alone fits; what fits several places is told, not placed.
 */
#ifndef PD_THIN_SALVAGE_H
#define PD_THIN_SALVAGE_H

#include "thin/dump.h"
#include "thin/mappings.h"

enum details_source { FROM_DETAILS, FROM_UPPER_TREE };

struct salvage_device {
	struct thin_device_record details;
	uint64_t root;
	bool has_root, has_details;
	bool barred;		/* its root is in doubt: no other may take its place */
	bool suspect;		/* all of it can be read, yet it is not what the details say */
	uint64_t nr_kept;
};

/* A place whose node cannot be read; or a device whose root nobody names. */
struct lost_place {
	uint64_t block;		/* what the place names */
	uint64_t begin, end;	/* its keys; end 0: no bound */
	int height;		/* -1: not known */
	unsigned dev;		/* index into devices; UINT32_MAX: only in the metadata snapshot */
	bool rootless;
	bool barred;		/* what belongs here cannot be told: it counts as a place, and stays empty */
	bool hidden;		/* somewhere in this device's tree, all of which can be read: a stale node hides it */
};

struct orphan {
	uint64_t block;
	uint64_t first, last;	/* keys */
	uint64_t nr_entries;
	uint64_t nr_lost_leaves;	/* places below it */
	uint64_t residual;
	unsigned height;
	unsigned nr_fits;		/* places, */
	unsigned nr_elsewhere;		/* of them inside of trees; */
	unsigned nr_given;		/* devices that got it as their root */
	bool placed;
};

struct salvage {
	struct pd_io *io;
	const struct pd_run *run;
	struct thin_superblock sb;	/* the live one, or one made up from a generation */
	struct damage damage;		/* found on the way */
	struct damage loss;		/* what is lost in the end */
	struct scan s;
	struct metadata_sm metadata;
	struct data_sm data;
	struct mappings m;
	struct tree_walk upper, details, overflow;
	struct salvage_device *devices;
	unsigned nr_devices;
	struct lost_place *lost;
	size_t nr_lost, max_lost;
	struct bits barred;		/* nodes that were dropped and must not be filled again */
	struct orphan *orphans;
	size_t nr_orphans, max_orphans;
	uint64_t nr_misfits;		/* places where a sound block stands that does not belong there */
	bool sound;			/* nothing is lost: trees agree and hold what they say */
	bool doubt;			/* places for orphans may exist that nobody can see */
	uint32_t newest_time;		/* of all mappings, once looked for */
};

/* One of the states that could be the last. */
struct thin_generation {
	uint64_t index_block;		/* 0: roots without one */
	uint32_t time;
	uint64_t transaction;
	uint64_t nr_devices, nr_mappings;
	uint64_t mapping_root, details_root;	/* 0: lost */
	bool complete;			/* nothing of it is lost */
	bool chosen;
};

#define MAX_GENERATIONS 1024u
#define MAX_LOOSE_LEAVES 4096u

struct thin_found {
	struct thin_superblock sb;
	const char *source;		/* static text for the report */
	bool by_superblock;		/* its own, not a generation's */
	bool intersect;			/* only what all generations map alike may be kept */
	struct thin_generation generations[MAX_GENERATIONS];
	unsigned nr_generations;
	/* Devices' trees with the newest mappings, of no known upper tree: as much as is left of a state */
	uint64_t trees[MAX_GENERATIONS];
	unsigned nr_trees;
	/* Leaves likewise, that no tree leads to */
	uint64_t leaves[MAX_LOOSE_LEAVES];
	unsigned nr_leaves;
};

/* generations.c: the state that is named, or those that could be the last one. 0, -EUCLEAN, -EINVAL after a message. */
int thin_find_generation(struct pd_io *in, const struct pd_thin_repair_opts *o, const struct pd_run *run,
			 struct thin_found *found);

/* Was the superblock of @old, whose trees lead to what was written over, followed by a later state? Then @found is it. */
int thin_find_newer(struct pd_io *in, const struct pd_thin_repair_opts *o, const struct pd_run *run,
		    const struct salvage *old, struct thin_found *found, bool *newer);

static inline bool salvage_is_misfit(enum pd_problem p)
{
	return p == PD_PR_NODE_KEY_RANGE || p == PD_PR_BLOCK_CYCLE || p == PD_PR_TREE_UNBALANCED ||
	       p == PD_PR_NODE_VALUE_SIZE || p == PD_PR_BLOCK_KIND || p == PD_PR_NODE_EMPTY;
}

static inline bool thin_block_size_ok(uint32_t size)
{
	return size >= THIN_MIN_BLOCK_SIZE && size <= THIN_MAX_BLOCK_SIZE && size % THIN_MIN_BLOCK_SIZE == 0;
}

/*
 * find-superblock.c: where to begin. The live superblock if it can be believed, else one made up from what
 * is on the device and from @o. 0, -EUCLEAN, -EINVAL after a message.
 */
int thin_find_superblock(struct pd_io *in, const struct pd_thin_repair_opts *o,
			 const struct pd_run *run, struct thin_found *found);

/* What an index block and the bitmaps it names say is in use. False if not all can be read. */
bool generation_counts(struct scan *s, uint64_t index_block, struct metadata_sm *sm);

/* intersect.c: leaves of the devices only what the other generations have too, leaf by leaf. */
int salvage_intersect(struct salvage *sv, const struct thin_found *found);

/* Finds out what is there below @sv->sb, places orphans, and leaves devices and edited slots. 0, -ENOMEM,
 * -EIO, -EUCLEAN if nothing can be placed though there is something. */
int salvage_run(struct salvage *sv);
int salvage_init(struct salvage *sv, struct pd_io *io, const struct pd_run *run,
		 const struct thin_superblock *sb);
void salvage_exit(struct salvage *sv);

/* Root of the device whose entry in an upper tree is the @i-th. */
static inline uint64_t upper_root(const struct tree_walk *upper, uint64_t i)
{
	le64 v;

	memcpy(&v, upper->values + i * sizeof(v), sizeof(v));
	return le64_get(v);
}

/* Stored count of @b in the metadata space map; 0 if that part of the map is lost. */
uint64_t salvage_stored(const struct salvage *sv, uint64_t b);

/* Is it known that @b is counted less than @refs times? */
bool salvage_counted_less(const struct salvage *sv, uint64_t b, uint64_t refs);

/* Could this tree stand in this place? */
bool salvage_orphan_fits(const struct salvage *sv, const struct orphan *o, const struct lost_place *p);

/* orphan-roots.c: trees that are left are given to devices without one. */
int salvage_place_roots(struct salvage *sv);

/* Order of devices, for qsort(). */
int salvage_by_id(const void *a, const void *b);

/* orphans.c: everything on the device is read, orphans are found and placed. */
int salvage_orphans(struct salvage *sv);

/* Is the tree of @d whole, and holds what the details say? Only a peek: mappings_forget() follows. */
bool salvage_is_exact(struct salvage *sv, const struct salvage_device *d);

/* stale-nodes.c: drops inner nodes and upper trees that the counts of metadata blocks show to be stale. */
int salvage_drop_stale_nodes(struct salvage *sv, const struct tree_walk *held);

/* stale.c: drops leaves and mappings that the counts of data blocks show to be stale. @sv->io is an overlay. */
int salvage_drop_stale(struct salvage *sv, bool *dropped);

#endif
