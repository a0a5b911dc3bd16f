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

#ifdef __cplusplus
extern "C" {
#endif

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

/* ---- Dump, restore, repair ---- */

/**
 * pd_cache_dump() - mappings and hints as XML.
 * @repair:        leave out what cannot be read, say so, and go on
 * @final_newline: end the last line with a newline
 *
 * After an unclean shutdown every mapping is dirty: the stored bits mean nothing then. With @repair a
 * mapping whose dirty bit cannot be read is dirty too.
 *
 * Return: 0; -EUCLEAN after a message if the metadata is damaged (without @repair), -ENOMEM, -EIO, or what
 *         @out returned.
 */
int pd_cache_dump(struct pd_io *io, bool repair, bool final_newline, const struct pd_run *run,
		  const struct pd_sink *out);

/**
 * struct pd_cache_restore_opts - how to write it. All zero is version 2, clean.
 * @size:            sizeof(struct pd_cache_restore_opts)
 * @version:         metadata version, 1 or 2; 0 means 2
 * @written_version: number to write into the superblock instead, for tests; 0 means @version
 * @omit_clean_shutdown: leave the flag off
 */
struct pd_cache_restore_opts {
	size_t size;
	uint32_t version, written_version;
	bool omit_clean_shutdown;
};

/**
 * pd_cache_restore() - new metadata from XML, plain or compressed by gzip.
 *
 * @out is written in the order of pd_thin_restore(). Mappings and hints must stand in ascending order of
 * their cache blocks.
 *
 * Return: as pd_thin_restore().
 */
int pd_cache_restore(const struct pd_source *xml, struct pd_io *out,
		     const struct pd_cache_restore_opts *o, const struct pd_run *run);

/**
 * struct pd_cache_repair_opts - how to repair. All zero is without a report.
 * @size:   sizeof(struct pd_cache_repair_opts)
 * @block_size, @nr_cache_blocks: sectors and blocks; both, or 0. Used if the superblock is lost; if not, they must
 *          agree with it.
 * @generation: with @has_generation: of several mapping arrays that may be the last, the one that begins at this
 *          metadata block, as the report names it
 * @report: where what is kept and lost goes as JSON, or NULL
 */
struct pd_cache_repair_opts {
	size_t size;
	uint32_t block_size, nr_cache_blocks;
	bool has_generation;
	uint64_t generation;
	const struct pd_sink *report;
};

/**
 * struct pd_cache_repair_result - what was saved.
 * @nr_kept:  mappings in the result
 * @nr_needed: metadata blocks an output must have
 * @lossy:    something was lost; the log has the cache blocks
 */
struct pd_cache_repair_result {
	uint64_t nr_kept, nr_needed;
	bool lossy;
};

/**
 * pd_cache_repair() - what can be saved of damaged metadata, as new metadata of the same version.
 * @in:  never written to
 * @out: overwritten; NULL only finds out what would be saved
 *
 * A lost superblock is made again if both sizes are given, from what is left of it or from the mapping arrays that fit
 * the sizes and may be the last: what they map alike is kept, unless @generation names one. All blocks are dirty then.
 *
 * Return: 0; -EUCLEAN if that is not so, or all mappings are lost; -EINVAL (sizes), -ENOSPC, -ENOMEM, -EIO.
 */
int pd_cache_repair(struct pd_io *in, struct pd_io *out, const struct pd_cache_repair_opts *o,
		    const struct pd_run *run, struct pd_cache_repair_result *res);

/* ---- Writeback ---- */

/**
 * struct pd_cache_writeback_opts - how to copy. All zero copies all dirty blocks and clears their bits.
 * @size:          sizeof(struct pd_cache_writeback_opts)
 * @origin_offset, @fast_offset: where the cached area begins, sectors; multiples of 8
 * @buffer_meg:    MiB of memory for copying; 0 means 64
 * @retry_count:   further tries for blocks that failed
 * @no_metadata_update: leave dirty bits as they are
 * @on_failed:     called for each block that could not be copied; may be NULL
 * @before_update: called when all is copied and flushed, before the metadata is written to; may be NULL. Until
 *                 then nothing is lost if the work just stops: all blocks stay dirty.
 */
struct pd_cache_writeback_opts {
	size_t size;
	uint64_t origin_offset, fast_offset;
	uint32_t buffer_meg, retry_count;
	bool no_metadata_update;
	void (*on_failed)(void *ctx, uint64_t cblock, uint64_t oblock);
	void (*before_update)(void *ctx);
	void *ctx;
};

/** struct pd_cache_writeback_result - blocks found dirty, and those copied; failed reads and writes. */
struct pd_cache_writeback_result {
	uint64_t nr_dirty, nr_copied, nr_read_errors, nr_write_errors;
};

/**
 * pd_cache_writeback() - copy dirty blocks to the origin, of a cache that is not active.
 * @metadata: opened for writing, unless dirty bits are to stay
 * @origin, @fast: devices or files; block devices are opened exclusively, past the page cache
 *
 * The metadata is checked first; nothing is touched if it is not sound. After an unclean shutdown every mapped block is
 * copied. Dirty bits are cleared for copied blocks alone, in one transaction, after the origin was flushed;
 * whether the shutdown was clean stays as it is.
 *
 * Return: 0 if the work could be done: compare nr_copied with nr_dirty. -EUCLEAN, -ENOMEM, -EIO or what opening
 *         said, after a message.
 * Memory: the buffers, 16 MiB, 2 bits a cache block and 5 bytes a metadata block.
 */
int pd_cache_writeback(struct pd_io *metadata, const char *origin, const char *fast,
		       const struct pd_cache_writeback_opts *o, const struct pd_run *run,
		       struct pd_cache_writeback_result *res);

/* ---- Format ---- */

/**
 * struct pd_cache_format_opts - a cache for tests. The same numbers give the same metadata.
 * @size:             sizeof(struct pd_cache_format_opts)
 * @block_size:       sectors
 * @nr_cache_blocks:  blocks of the fast device
 * @nr_origin_blocks: blocks of the origin, of the same size
 * @hotspot_size:     origin blocks that are cached one after the other, at least 1
 * @percent_resident: of the cache blocks are mapped, rounded down
 * @percent_dirty:    of the mapped ones are dirty, rounded down
 * @version:          metadata version, 1 or 2
 */
struct pd_cache_format_opts {
	size_t size;
	uint32_t block_size, nr_cache_blocks;
	uint64_t nr_origin_blocks;
	uint32_t hotspot_size, percent_resident, percent_dirty, version;
};

/**
 * pd_cache_format() - new metadata with mappings, a hint for each, cleanly shut down.
 * @io: overwritten, block 0 last
 *
 * Return: 0; -EINVAL for numbers that cannot be, -ENOSPC, -ENOMEM, -EIO, after a message.
 * Memory: as pd_cache_restore().
 */
int pd_cache_format(struct pd_io *io, const struct pd_cache_format_opts *o, const struct pd_run *run);

#ifdef __cplusplus
}
#endif
#endif
