/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Thin pools
 *
 * What one can do with the metadata of a thin pool.
 */
#ifndef PDATA_THIN_H
#define PDATA_THIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pdata/io.h>
#include <pdata/log.h>
#include <pdata/text.h>

/* ---- Dump ---- */

/**
 * struct pd_thin_overrides - numbers to use instead of the superblock's.
 */
struct pd_thin_overrides {
	bool has_transaction_id, has_data_block_size, has_nr_data_blocks;
	uint64_t transaction_id;
	uint32_t data_block_size;	/* sectors */
	uint64_t nr_data_blocks;
};

/**
 * struct pd_thin_dump_opts - what to dump, and how. All zero is a whole dump as XML.
 * @size:          sizeof(struct pd_thin_dump_opts)
 * @format:        XML or text for people
 * @final_newline: end the last line of XML with a newline
 * @metadata_snap: dump the metadata snapshot instead of the live metadata
 * @has_snap_block, @snap_block: with @metadata_snap: the block it must be in
 * @skip_mappings: devices and their attributes alone
 * @dev_ids:       only these @nr_dev_ids devices, in any order; none means all
 * @overrides:     numbers to write instead of the superblock's
 */
struct pd_thin_dump_opts {
	size_t size;
	enum pd_text_format format;
	bool final_newline;
	bool metadata_snap;
	bool skip_mappings;
	bool has_snap_block;
	uint64_t snap_block;
	const uint32_t *dev_ids;
	unsigned nr_dev_ids;
	struct pd_thin_overrides overrides;
};

/**
 * pd_thin_dump() - the devices of a pool and their mappings, as text.
 * @io:  the metadata; it must not change meanwhile (a live pool: only with @metadata_snap).
 *
 * Leaves that several devices share are written once and referred to, unless one device
 * alone is dumped. The first line is complete and handed to @out before any tree is walked.
 * After a failure what was written stays, without end tags.
 *
 * Return: 0; -EUCLEAN if the metadata is damaged where it must be read, -ENODATA if there is no
 *         metadata snapshot, -EINVAL if it is not in @snap_block, -ENOMEM, or what @out returned.
 *         The reason was told to the log, except for @out's own.
 * Memory: at most 64 MiB and 1/64 of the metadata.
 */
int pd_thin_dump(struct pd_io *io, const struct pd_thin_dump_opts *o, const struct pd_run *run,
		 const struct pd_sink *out);

/* ---- Restore ---- */

/**
 * struct pd_thin_restore_opts - all zero restores what the text says.
 * @size:      sizeof(struct pd_thin_restore_opts)
 * @overrides: numbers to use instead of the text's
 */
struct pd_thin_restore_opts {
	size_t size;
	struct pd_thin_overrides overrides;
};

/**
 * pd_thin_restore() - new metadata from XML, plain or compressed by gzip.
 * @xml: read on a thread of the library's own.
 * @out: overwritten. Until the first element is accepted it is not touched; from then on block 0 is
 *       invalid (but not zero) until everything else is on stable storage.
 *
 * Return: 0; -EINVAL if the text is refused; -ENOSPC if @out is too small (the log gets the number
 *         of blocks needed); -ENOMEM; -EIO or what else @xml and @out said. The reason was told.
 * Memory: at most 128 MiB, 1/64 of the metadata and a byte a data block, whatever the text's length.
 */
int pd_thin_restore(const struct pd_source *xml, struct pd_io *out,
		    const struct pd_thin_restore_opts *o, const struct pd_run *run);

#endif
