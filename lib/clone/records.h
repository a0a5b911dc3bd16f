/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What clone metadata says, in host numbers: the words between a reader and an emitter. */
#ifndef PD_CLONE_RECORDS_H
#define PD_CLONE_RECORDS_H

#include <stdint.h>

struct clone_sb_record {
	uint64_t region_size;		/* sectors, a power of two */
	uint64_t target_size;		/* sectors */
	uint64_t nr_regions;
	uint64_t nr_hydrated;
};

/* Regions [begin, end) are hydrated; ascending, joined. */
struct clone_range_record {
	uint64_t begin, end;
};

struct clone_emitter {
	int (*superblock)(struct clone_emitter *e, const struct clone_sb_record *sb);
	int (*hydrated_begin)(struct clone_emitter *e);
	int (*range)(struct clone_emitter *e, const struct clone_range_record *r);
	int (*hydrated_end)(struct clone_emitter *e);
	int (*superblock_end)(struct clone_emitter *e);
};

#endif
