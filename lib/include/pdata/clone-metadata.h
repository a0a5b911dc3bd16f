/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Changing clones
 *
 * A struct pd_clone is the metadata of an inactive clone, open for change. What is done becomes real with
 * pd_clone_commit(), all of it or, after a power cut, nothing. The kernel can go on from what is written here, and the
 * reverse. pd_clone_format() makes new metadata.
 *
 * After a change failed (-EIO, -ENOSPC, -EUCLEAN) nothing is left but pd_clone_abort() or pd_clone_close(); exceptions are
 * named. A handle belongs to one thread. Memory: the memory given, and 5 bytes a metadata block.
 */
#ifndef PDATA_CLONE_METADATA_H
#define PDATA_CLONE_METADATA_H

#include <stdbool.h>
#include <stdint.h>
#include <pdata/io.h>
#include <pdata/log.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pd_clone;

/**
 * pd_clone_open() - open metadata that a check has found sound.
 * @io:            open for writing; stays the caller's, and must outlive the handle.
 * @memory_blocks: blocks of 4 KiB kept in memory; at least 128 are.
 *
 * Return: 0; -EUCLEAN if the superblock or the metadata space map cannot be used, -ENOMEM, -EIO. The log says why.
 */
int pd_clone_open(struct pd_clone **clone, struct pd_io *io, uint32_t memory_blocks, struct pd_log *log);

/** pd_clone_close() - takes NULL. What was not committed is lost. */
void pd_clone_close(struct pd_clone *clone);

/** pd_clone_commit() - everything so far becomes real and is on stable storage. 0 or -errno. */
int pd_clone_commit(struct pd_clone *clone);

/** pd_clone_abort() - back to the last commit. 0, or -errno: then only close it. */
int pd_clone_abort(struct pd_clone *clone);

/** struct pd_clone_info - sizes in sectors. */
struct pd_clone_info {
	uint64_t region_size, target_size, nr_regions;
	uint64_t nr_metadata_blocks, nr_free_metadata_blocks;
};
void pd_clone_get_info(const struct pd_clone *clone, struct pd_clone_info *info);

/** pd_clone_is_hydrated() - does the destination hold @region? -EINVAL past the end. */
int pd_clone_is_hydrated(struct pd_clone *clone, uint64_t region, bool *hydrated);

/** pd_clone_next_hydrated() - the first run of hydrated regions at @from or after it: [*begin, *end). -ENODATA after the last.
 * Cost: a lookup for 64 regions. */
int pd_clone_next_hydrated(struct pd_clone *clone, uint64_t from, uint64_t *begin, uint64_t *end);

/**
 * pd_clone_set_hydrated() - the destination holds regions [@begin, @end).
 *
 * Their data must be on stable storage there before this is committed. There is no way back: what was written to a region
 * since would be lost.
 *
 * Return: 0; -EINVAL past the end, with nothing changed; others.
 */
int pd_clone_set_hydrated(struct pd_clone *clone, uint64_t begin, uint64_t end);

#ifdef __cplusplus
}
#endif
#endif
