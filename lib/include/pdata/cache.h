/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Caches
 *
 * What one can do with the metadata of a cache.
 */
#ifndef PDATA_CACHE_H
#define PDATA_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pdata/io.h>
#include <pdata/log.h>
#include <pdata/meta.h>
#include <pdata/text.h>

/* ---- Check ---- */

/**
 * struct pd_cache_check_opts - what to look at. All zero is everything.
 * @size:              sizeof(struct pd_cache_check_opts)
 * @super_block_only:  stop after the superblock
 * @skip_mappings:     leave out the mapping array and the dirty bitset
 * @skip_hints:        leave out the hint array
 * @skip_discards:     leave out the discard bitset
 * @ignore_non_fatal:  leaks and the like do not keep the flag from being cleared
 * @clear_needs_check: after a full check that passed, mend leaks and clear needs_check
 * @auto_repair:       the same, and mend the space map's free counts and hints
 */
struct pd_cache_check_opts {
	size_t size;
	bool super_block_only, skip_mappings, skip_hints, skip_discards;
	bool ignore_non_fatal;
	bool clear_needs_check;
	bool auto_repair;
};

/**
 * struct pd_cache_status - what the metadata says of the cache, besides findings.
 * @clean_shutdown: it was stopped cleanly; else every mapped block counts as dirty
 * @nr_mapped:      mapped cache blocks
 * @nr_dirty:       of them, those to be written back
 * @nr_free:        other cache blocks
 * @nr_metadata_free: free metadata blocks, as the root record says
 */
struct pd_cache_status {
	bool clean_shutdown;
	uint64_t nr_mapped, nr_dirty, nr_free;
	uint64_t nr_metadata_free;
};

/**
 * pd_cache_check() - looks for everything in metadata that is not as it should be.
 * @io:     opened for writing if @o asks for any mending.
 * @res:    what was found; the findings themselves go to the log of @run, in order.
 * @status: may be NULL; mapped and dirty blocks only if mappings are looked at.
 *
 * Return: 0 if it could be checked, whatever was found: look at @res->worst. -EUCLEAN if the superblock
 *         cannot be used, -ENOMEM, -EIO. The reason was told to the log.
 * Memory: at most 128 MiB and 1/64 of the metadata.
 */
int pd_cache_check(struct pd_io *io, const struct pd_cache_check_opts *o, const struct pd_run *run,
		   struct pd_check_result *res, struct pd_cache_status *status);

#endif
