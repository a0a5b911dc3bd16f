/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Space maps
 *
 * A count from 0 to 2^32 - 1 for each block of some device: how many places point to it. Three kinds behind one handle:
 *
 *	core       in memory alone
 *	disk       of data blocks, kept in the metadata device: two bits a block in bitmaps, counts above 2 in a tree
 *	metadata   of the metadata blocks themselves, the map's own included; pd_tm_sm() has it
 *
 * A map on disk never hands out a block that the last commit used. A handle belongs to one thread. Errors of all
 * but those named: -EUCLEAN for a damaged map (after a message), -EIO, -ENOSPC; after a failed change of a map
 * on disk nothing is left but pd_tm_abort().
 * Source: format/persistent-data 6; kernel dm-space-map-common.c, sm_ll_insert(), sm_ll_find_free_block().
 */
#ifndef PDATA_SPACE_MAP_H
#define PDATA_SPACE_MAP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pd_sm;
struct pd_tm;

/** struct pd_sm_root - what a superblock says of a space map. Will not change within 1.x.
 * @nr_blocks:      blocks it counts
 * @nr_allocated:   those whose count is not 0
 * @bitmap_root:    metadata: the index block; data: root of the tree of index entries
 * @ref_count_root: root of the tree of counts above 2 */
struct pd_sm_root {
	uint64_t nr_blocks, nr_allocated;
	uint64_t bitmap_root, ref_count_root;
};

/** PD_SM_ROOT_PACKED - bytes of it in a superblock that mean something; 128 are set aside. */
#define PD_SM_ROOT_PACKED 32

/** pd_sm_root_pack(), pd_sm_root_unpack() - to and from its PD_SM_ROOT_PACKED bytes on disk. */
void pd_sm_root_pack(void *bytes, const struct pd_sm_root *root);
void pd_sm_root_unpack(struct pd_sm_root *root, const void *bytes);

/** pd_sm_create_core() - a map in memory, all counts 0. @nr_blocks: up to 2^63. 0 or -ENOMEM.
 * Memory: 16 KiB for each 4096 blocks of which one was ever counted, 8 bytes for the others. */
int pd_sm_create_core(struct pd_sm **sm, uint64_t nr_blocks);

/** pd_sm_create_disk() - a map on disk, all counts 0. @nr_blocks: up to 2^40. @tm must outlive it.
 * Return: 0, -EINVAL for more, -ENOMEM, others. Cost: a bitmap for every 16320 blocks. */
int pd_sm_create_disk(struct pd_sm **sm, struct pd_tm *tm, uint64_t nr_blocks);

/** pd_sm_open_disk() - a map that is there. @root: as a superblock has it. 0, -ENOMEM, -EUCLEAN for more than 2^40 blocks.
 * Cost: nothing is read yet. */
int pd_sm_open_disk(struct pd_sm **sm, struct pd_tm *tm, const struct pd_sm_root *root);

/** pd_sm_close() - takes NULL; core and disk maps only. */
void pd_sm_close(struct pd_sm *sm);

/** pd_sm_nr_blocks(), pd_sm_nr_free() - blocks in all; those with count 0, of which some may have to wait for the next
 * commit. */
uint64_t pd_sm_nr_blocks(const struct pd_sm *sm);
uint64_t pd_sm_nr_free(const struct pd_sm *sm);

/** pd_sm_count() - the count of block @nr. -EINVAL past the end. */
int pd_sm_count(struct pd_sm *sm, uint64_t nr, uint32_t *count);

/** pd_sm_set_count() - @nr gets @count, whatever it had. -EINVAL (nothing changed) past the end, and for block 0 of
 * a metadata map, which is the superblock's. */
int pd_sm_set_count(struct pd_sm *sm, uint64_t nr, uint32_t count);

/** pd_sm_inc(), pd_sm_dec() - one more, one less for each block of [@begin, @end). -EINVAL (nothing changed) if that is
 * out of bounds; -EUCLEAN below 0 and above 2^32 - 1, and in a metadata map for a block that is free. */
int pd_sm_inc(struct pd_sm *sm, uint64_t begin, uint64_t end);
int pd_sm_dec(struct pd_sm *sm, uint64_t begin, uint64_t end);

/** pd_sm_new_block() - a block that is free, and was in the last commit; its count is 1 then. -ENOSPC: nothing changed;
 * but a map on disk that has free blocks has found the metadata device full, and only abort is left.
 * Cost: on disk a look into the bitmaps from where the last one was found. */
int pd_sm_new_block(struct pd_sm *sm, uint64_t *nr);

/**
 * pd_sm_extend() - more blocks, with count 0.
 * @nr_blocks: in all; a metadata map takes what the device has and 255 bitmaps can count, whatever is asked for
 *             beyond.
 *
 * Return: 0; -EINVAL (nothing changed) for fewer than there are (no map shrinks) or too many; -ENOMEM, others.
 */
int pd_sm_extend(struct pd_sm *sm, uint64_t nr_blocks);

/** pd_sm_pre_commit() - a disk map: brings its index up to date, before pd_tm_pre_commit(). @root: for the superblock.
 * Nothing may be changed between this and pd_tm_commit(). -EINVAL for other kinds. */
int pd_sm_pre_commit(struct pd_sm *sm, struct pd_sm_root *root);

#ifdef __cplusplus
}
#endif
#endif
