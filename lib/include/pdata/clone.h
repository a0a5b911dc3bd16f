/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Clones
 *
 * What one can do with the metadata of a dm-clone: one bit a region, which says whether the region of the
 * destination is valid (hydrated), or reads still go to the source.
 */
#ifndef PDATA_CLONE_H
#define PDATA_CLONE_H

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
 * struct pd_clone_check_opts - what to do. All zero is a whole check that writes nothing.
 * @size:             sizeof(struct pd_clone_check_opts)
 * @super_block_only: stop after the superblock
 * @auto_repair:      after a check without fatal findings, mend counts that are too high, free counts and
 *                    hints of the space map
 */
struct pd_clone_check_opts {
	size_t size;
	bool super_block_only;
	bool auto_repair;
};

/** struct pd_clone_status - how far a clone is. @nr_hydrated: 0 with super_block_only. */
struct pd_clone_status {
	uint64_t nr_regions, nr_hydrated;
};

/**
 * pd_clone_check() - looks for everything in metadata that is not as it should be.
 * @io: opened for writing if @o asks for mending.
 *
 * Return: 0 if it could be checked, whatever was found: look at @res->worst. -EUCLEAN if the superblock
 *         cannot be used, -ENOMEM, -EIO. The reason was told to the log.
 * Memory: at most 64 MiB and 1/64 of the metadata.
 */
int pd_clone_check(struct pd_io *io, const struct pd_clone_check_opts *o, const struct pd_run *run,
		   struct pd_check_result *res, struct pd_clone_status *status);

/* ---- Dump, restore, repair ---- */

/** enum pd_clone_unreadable - what regions become whose bits cannot be read. Neither is safe. */
enum pd_clone_unreadable {
	PD_CLONE_REFUSE,
	PD_CLONE_HYDRATED,	/* regions that were never copied may show whatever the destination holds */
	PD_CLONE_UNHYDRATED,	/* they are copied again, over what was written there since */
};

/**
 * pd_clone_dump() - the hydrated regions as XML.
 * @repair:        take lost regions for what @unreadable says; else any damage is refused
 * @final_newline: end the last line with a newline
 *
 * Nothing is written before all of the bitset was read.
 *
 * Return: 0; -EUCLEAN after a message, -ENOMEM, -EIO, or what @out returned.
 */
int pd_clone_dump(struct pd_io *io, bool repair, enum pd_clone_unreadable unreadable, bool final_newline,
		  const struct pd_run *run, const struct pd_sink *out);

/** pd_clone_restore() - new metadata from XML, in the order of writing of pd_thin_restore(). Returns as it. */
int pd_clone_restore(const struct pd_source *xml, struct pd_io *out, const struct pd_run *run);

/**
 * struct pd_clone_repair_opts - how to repair.
 * @size:        sizeof(struct pd_clone_repair_opts)
 * @unreadable:  for regions whose bits are lost
 * @region_size, @target_size: sectors; both, or 0. Used if the superblock is lost; if not, they must
 *               agree with it.
 * @report:      gets a JSON object that says what is kept and lost; or NULL
 */
struct pd_clone_repair_opts {
	size_t size;
	enum pd_clone_unreadable unreadable;
	uint64_t region_size, target_size;
	const struct pd_sink *report;
};

/** struct pd_clone_repair_result - @nr_lost: regions whose bits could not be read. @nr_needed: blocks. */
struct pd_clone_repair_result {
	uint64_t nr_regions, nr_hydrated, nr_lost, nr_needed;
	bool lossy;
};

/**
 * pd_clone_repair() - what can be read of damaged metadata, as new metadata.
 * @in:  never written to
 * @out: overwritten, once it is known that the result fits; NULL only finds out what would be saved
 *
 * A lost superblock is made again if both sizes are given and all intact bitsets that fit them say the same.
 *
 * Return: 0; -EUCLEAN if that is not so, or bits are lost and nothing says what to take them for; -ENOSPC,
 *         -EINVAL (sizes), -ENOMEM, -EIO.
 */
int pd_clone_repair(struct pd_io *in, struct pd_io *out, const struct pd_clone_repair_opts *o,
		    const struct pd_run *run, struct pd_clone_repair_result *res);

/**
 * pd_clone_format() - new metadata; a share of the regions hydrated, for tests.
 * @region_size: sectors, a power of two from 8 to 2097152
 * @target_size: sectors, of at most 2^31 regions
 * @percent, @seed: how many regions are hydrated, in runs that @seed decides; 0 is what the kernel formats
 *
 * Return: 0; -EINVAL, -ENOSPC, -ENOMEM, -EIO after a message.
 */
int pd_clone_format(struct pd_io *io, uint64_t region_size, uint64_t target_size, unsigned percent,
		    uint64_t seed, const struct pd_run *run);

#ifdef __cplusplus
}
#endif
#endif
