/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Eras
 *
 * What one can do with the metadata of dm-era: for each block of a device, the last era in which it was written.
 * Whoever asks wants to miss no changed block, so what cannot be read counts as written.
 */
#ifndef PDATA_ERA_H
#define PDATA_ERA_H

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

/**
 * pd_era_check() - looks for everything in metadata that is not as it should be: archived writesets, the live one,
 * the era array, the space map, the metadata snapshot.
 * @super_block_only: stop after the superblock
 *
 * Return: 0 if it could be checked, whatever was found: look at @res->worst. -EUCLEAN if the superblock
 *         cannot be used, -ENOMEM, -EIO. The reason was told to the log.
 * Memory: at most 64 MiB and 1/64 of the metadata.
 */
int pd_era_check(struct pd_io *io, bool super_block_only, const struct pd_run *run,
		 struct pd_check_result *res);

/**
 * struct pd_era_dump_opts - how to dump. All zero is writesets and era array as they are stored.
 * @size:          sizeof(struct pd_era_dump_opts)
 * @repair:        what is lost counts as written; else any damage is refused
 * @logical:       writesets folded into the era array
 * @final_newline: end the last line with a newline
 */
struct pd_era_dump_opts {
	size_t size;
	bool repair, logical, final_newline;
};

/**
 * pd_era_dump() - writesets and era array as XML; the live writeset as one of the current era.
 *
 * Return: 0; -EUCLEAN after a message if metadata is damaged (without repair), -ENOMEM, -EIO, or what @out
 *         returned.
 */
int pd_era_dump(struct pd_io *io, const struct pd_era_dump_opts *o, const struct pd_run *run,
		const struct pd_sink *out);

/**
 * pd_era_restore() - new metadata from XML.
 *
 * Writesets come in any order, bits and blocks of the array within a window of 133 M bits and 4 M blocks. Refused:
 * eras above the current one, blocks and bits past the end, whatever stands twice. Written in the order of
 * pd_thin_restore(); returns as it.
 * Memory: some 32 MiB, and 16 bytes a writeset.
 */
int pd_era_restore(const struct pd_source *xml, struct pd_io *out, const struct pd_run *run);

/** struct pd_era_repair_result - @nr_lost: blocks (of writesets and of the array) taken for written. */
struct pd_era_repair_result {
	uint64_t nr_writesets, nr_lost, nr_needed;
	bool lossy;
};

/**
 * pd_era_repair() - damaged metadata as new metadata: what is lost counts as written.
 * @in:     never written to
 * @out:    overwritten, once it is known that the result fits; NULL only finds out what would be saved
 * @report: gets a JSON object; or NULL
 *
 * Return: 0; -EUCLEAN if the superblock is lost, -ENOSPC, -ENOMEM, -EIO.
 */
int pd_era_repair(struct pd_io *in, struct pd_io *out, const struct pd_sink *report,
		  const struct pd_run *run, struct pd_era_repair_result *res);

/**
 * struct pd_era_invalidate_opts - which list.
 * @size:          sizeof(struct pd_era_invalidate_opts)
 * @since:         era
 * @metadata_snap: of the metadata snapshot, which may be that of a running device
 * @has_snap_block, @snap_block: it must be in this block
 * @final_newline: end the last line with a newline
 */
struct pd_era_invalidate_opts {
	size_t size;
	uint32_t since;
	bool metadata_snap, has_snap_block, final_newline;
	uint64_t snap_block;
};

/**
 * pd_era_invalidate() - blocks written in era @o->since or later, as XML.
 *
 * Writesets of these eras, the live one among them, and the era array where it can tell more. If a needed part
 * cannot be read, nothing is written that looks like a list.
 *
 * Return: 0; -EUCLEAN, -ENODATA (no metadata snapshot), -EINVAL (not in that block), -ENOMEM, -EIO after a
 *         message, or what @out returned.
 * Memory: a bit a block of the device.
 */
int pd_era_invalidate(struct pd_io *io, const struct pd_era_invalidate_opts *o, const struct pd_run *run,
		      const struct pd_sink *out);

/** pd_era_format() - new metadata, for tests: @nr_writesets archived ones with a third of the bits set. */
int pd_era_format(struct pd_io *io, uint32_t block_size, uint32_t nr_blocks, uint32_t current_era,
		  uint32_t nr_writesets, const struct pd_run *run);

#ifdef __cplusplus
}
#endif
#endif
