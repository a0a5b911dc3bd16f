/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What thin metadata says, in host numbers: the words between a reader (decode, XML) and
 * an emitter (XML, human readable, the builder of new metadata).
 */
#ifndef PD_THIN_RECORDS_H
#define PD_THIN_RECORDS_H

#include <stdint.h>

struct thin_sb_record {
	uint32_t time;
	uint64_t transaction;
	uint32_t flags;			/* THIN_NEEDS_CHECK; written only when not 0 */
	uint32_t version;		/* 2 */
	uint32_t data_block_size;	/* sectors */
	uint64_t nr_data_blocks;
	uint64_t metadata_snap;		/* human readable only; 0: none */
};

struct thin_device_record {
	uint32_t dev_id;
	uint64_t mapped_blocks;
	uint64_t transaction;
	uint32_t creation_time;
	uint32_t snap_time;
};

/* @len virtual blocks from @vbegin on map to data blocks from @dbegin on; one XML element. */
struct thin_mapping_record {
	uint64_t vbegin;
	uint64_t dbegin;
	uint64_t len;
	uint32_t time;
};

/*
 * Takes one metadata in order: superblock, each def (its mappings between def and def_end), each
 * device (mappings and refs), superblock_end. Each call returns 0 or -errno; the caller then stops.
 * Mappings come as an array so that the call costs little: they ascend and are already joined.
 */
struct thin_emitter {
	int (*superblock)(struct thin_emitter *e, const struct thin_sb_record *sb);
	int (*def)(struct thin_emitter *e, const char *name);
	int (*def_end)(struct thin_emitter *e);
	int (*device)(struct thin_emitter *e, const struct thin_device_record *d);
	int (*device_end)(struct thin_emitter *e);
	int (*mappings)(struct thin_emitter *e, const struct thin_mapping_record *m, unsigned nr);
	int (*ref)(struct thin_emitter *e, const char *name);
	int (*superblock_end)(struct thin_emitter *e);
};

#endif
