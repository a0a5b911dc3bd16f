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
#include <pdata/meta.h>
#include <pdata/text.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Check ---- */

/**
 * struct pd_thin_check_opts - what to look at. All zero is the whole of the live metadata, and
 * the metadata snapshot if there is one.
 * @size:             sizeof(struct pd_thin_check_opts)
 * @metadata_snap:    the metadata snapshot alone, as can be done on a live pool
 * @super_block_only: stop after the superblock
 * @skip_mappings:    superblock, upper mapping tree and details; no device's tree, no space maps
 * @mapping_root:     with @has_mapping_root: start here instead of the superblock's root
 * @details_root:     with @has_details_root: the same
 * @ignore_non_fatal: leaks and the like do not keep the flag from being cleared
 * @clear_needs_check: after a check that passed, mend leaks and clear needs_check
 * @auto_repair:      after a check without fatal findings, mend what the problem table says, and
 *                    clear needs_check
 * @on_superblock:    called once the superblock was accepted, before anything else is read:
 *                    transaction id (of what is checked), and free metadata blocks as the root
 *                    record says, meaningless with @metadata_snap; may be NULL
 * @on_write:         called right before the first block is written, if any is; from then on it is
 *                    better not to be interrupted; may be NULL
 */
struct pd_thin_check_opts {
	size_t size;
	bool metadata_snap;
	bool super_block_only;
	bool skip_mappings;
	bool has_mapping_root, has_details_root;
	bool ignore_non_fatal;
	bool clear_needs_check;
	bool auto_repair;
	uint64_t mapping_root, details_root;
	void (*on_superblock)(void *ctx, uint64_t transaction_id, uint64_t nr_free_blocks);
	void (*on_write)(void *ctx);
	void *ctx;
};

/**
 * pd_thin_check() - looks for everything in metadata that is not as it should be.
 * @io:  the metadata. Opened for writing if @o asks for any mending.
 * @res: what was found; the findings themselves go to the log of @run, in order.
 *
 * Every block that is in use is read once, in disk order, by worker threads; findings do not
 * depend on their number.
 *
 * Return: 0 if the metadata could be checked, whatever was found: look at @res->worst. -EUCLEAN
 *         if the superblock (or the one asked for with @metadata_snap) cannot be used, -ENODATA if
 *         there is no metadata snapshot, -ENOMEM, -EIO. The reason was told to the log.
 * Memory: at most 64 MiB, 1/64 of the metadata, and a byte for each data block that an intact
 *         bitmap covers; if mending is asked for, also 16 bytes for each count that is too high.
 */
int pd_thin_check(struct pd_io *io, const struct pd_thin_check_opts *o, const struct pd_run *run,
		  struct pd_check_result *res);

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
 * struct pd_thin_repair_opts - all zero saves what can be saved.
 * @size:          sizeof(struct pd_thin_repair_opts)
 * @overrides:     numbers to use instead of the superblock's
 * @dry_run:       nothing is written: only what would be saved is found out
 * @generation:    with @has_generation: the index block of the generation to take
 * @report:        gets the report, one JSON object; NULL for none
 */
struct pd_thin_repair_opts {
	size_t size;
	struct pd_thin_overrides overrides;
	bool dry_run;
	bool has_generation;
	uint64_t generation;
	const struct pd_sink *report;
};

/**
 * struct pd_thin_repair_result - what was saved.
 * @nr_devices:    devices in the result
 * @nr_kept:       mappings in it
 * @nr_lost:       mappings that the details speak of and that are not
 * @nr_suspect:    devices that may hold stale mappings
 * @nr_ambiguous:  nodes that are live and could not be placed
 * @nr_needed:     metadata blocks an output must have (dry runs; else 0 if it was not asked)
 * @nr_generations: states that the result was made from or checked against; 0: the superblock's own
 * @snapshot_dropped: there was a metadata snapshot, which is not carried over
 * @lossy:         anything was lost, suspect or ambiguous
 */
struct pd_thin_repair_result {
	uint64_t nr_devices;
	uint64_t nr_kept, nr_lost;
	uint64_t nr_suspect, nr_ambiguous;
	uint64_t nr_needed;
	uint64_t nr_generations;
	bool snapshot_dropped;
	bool lossy;
};

/**
 * pd_thin_repair() - what can be saved of damaged metadata, as new metadata.
 * @in:  never written to.
 * @out: overwritten, in the order of pd_thin_restore(); NULL with @o->dry_run. It is not touched
 *       before it is known what will be written and that it fits.
 *
 * No mapping is invented; what is in doubt is left out and told. The log gets a line for everything
 * that is lost, and nothing if nothing is.
 *
 * Return: 0 if anything was saved, or there was nothing to lose; -EUCLEAN if nothing could be,
 *         -EINVAL if a number must be given (the log says which), -ENOSPC if @out is too small,
 *         -ENOMEM, -EIO.
 * Memory: at most 128 MiB, 1/64 of the metadata and a byte a data block.
 */
int pd_thin_repair(struct pd_io *in, struct pd_io *out, const struct pd_thin_repair_opts *o,
		   const struct pd_run *run, struct pd_thin_repair_result *res);

/**
 * pd_thin_repair_dump() - the same as text, as pd_thin_dump() writes it; @o->dry_run is not used.
 */
int pd_thin_repair_dump(struct pd_io *in, const struct pd_thin_repair_opts *o,
			const struct pd_thin_dump_opts *dump, const struct pd_run *run,
			const struct pd_sink *out, struct pd_thin_repair_result *res);

/** enum pd_thin_phase - steps of a repair in place, in this order; for tests that stop between them. */
enum pd_thin_phase {
	PD_THIN_PHASE_NONE,
	PD_THIN_PHASE_DATA_SM,		/* the new data space map is on the device */
	PD_THIN_PHASE_METADATA_SM,	/* so is the new metadata space map; only the superblock is left */
	PD_THIN_NR_PHASES
};

/**
 * struct pd_thin_in_place_opts - all zero does the whole of it.
 * @size:       sizeof(struct pd_thin_in_place_opts)
 * @stop_after: stop there with -ECANCELED, the superblock as it was
 * @on_write:   called with @ctx right before the first block is written; from then on it is better not to be
 *              interrupted; may be NULL
 */
struct pd_thin_in_place_opts {
	size_t size;
	enum pd_thin_phase stop_after;
	void (*on_write)(void *ctx);
	void *ctx;
};

/**
 * pd_thin_repair_in_place() - both space maps anew, from the trees, on the same device.
 * @io: open for writing.
 *
 * Mends everything that is wrong with space maps, lost counts and unreadable bitmaps included, and clears
 * needs_check; the metadata snapshot stays. The new maps go to blocks that neither the trees nor the old
 * maps use, and the superblock is written last: a power cut leaves the old or the new.
 *
 * Return: 0; -EUCLEAN if any tree is damaged, -EROFS if unknown feature flags forbid it, and nothing was
 *         written; -ENOSPC if there is no room beside
 *         the old maps; -ENOMEM, -EIO. The reason was told.
 */
int pd_thin_repair_in_place(struct pd_io *io, const struct pd_thin_in_place_opts *o,
			    const struct pd_run *run);

/**
 * pd_thin_format() - metadata of a pool without devices.
 * @out:             overwritten, in the order of pd_thin_restore()
 * @data_block_size: sectors, a multiple of 128 from 128 to 2097152
 * @nr_data_blocks:  size of the data device
 *
 * Return: 0; -EINVAL, -ENOSPC, -ENOMEM, -EIO after a message to the log of @run.
 */
int pd_thin_format(struct pd_io *out, uint32_t data_block_size, uint64_t nr_data_blocks,
		   const struct pd_run *run);

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

#ifdef __cplusplus
}
#endif
#endif
