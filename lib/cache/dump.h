/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the arrays of a cache to records, in order. */
#ifndef PD_CACHE_DUMP_H
#define PD_CACHE_DUMP_H

#include "cache/records.h"
#include "cache/superblock.h"

struct cache_view {
	struct pd_io *io;
	const struct pd_run *run;
	struct cache_superblock sb;
	struct damage damage;
	struct scan s;
	struct array_scan mappings, dirty_array, hints;
	bool repair;			/* step over what is lost */
	void *dirty;			/* a piece of the dirty bitset; NULL before version 2 */
	const le64 *dirty_words;	/* of piece dirty_piece; NULL: lost, all of it counts as dirty */
	uint64_t dirty_piece;
	struct bits valid;
	struct bits unsure;		/* with repair: their origin block is cached elsewhere, too */
	uint64_t nr_kept;		/* mappings; with repair */
};

/* Reads the indexes. @doubtful: cache blocks to be left out, with repair; or NULL. 0, -EUCLEAN after a message,
 * -ENOMEM, -EIO. */
int cache_view_init(struct cache_view *v, struct pd_io *io, const struct cache_superblock *sb, bool repair,
		    const struct bits *doubtful, const struct pd_run *run);
void cache_view_exit(struct cache_view *v);
/* orphans.c: pieces of the mapping array that a damaged index does not lead to any more get their place again where
 * it is beyond doubt. 0 or -ENOMEM. */
int cache_adopt_pieces(struct cache_view *v);

struct cache_sb_record cache_view_superblock(const struct cache_view *v);
/* Everything into an emitter; twice is fine. -EUCLEAN after a message if something is lost and repair is
 * not asked for. */
int cache_view_emit(struct cache_view *v, struct cache_emitter *e);

/* The emitter that writes XML. */
struct xml_writer;
struct cache_xml_emitter {
	struct cache_emitter e;
	struct xml_writer *w;
};
void cache_xml_emitter_init(struct cache_xml_emitter *x, struct xml_writer *w);

#endif
