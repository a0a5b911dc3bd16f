/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: For developers
 *
 * Functions that make metadata wrong on purpose, for tests. They mend the checksums of what they
 * change, and believe what they read no more than other functions do.
 */
#ifndef PDATA_DEV_H
#define PDATA_DEV_H

#include <stdbool.h>
#include <stdint.h>
#include <pdata/io.h>
#include <pdata/log.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * pd_dev_set_metadata_counts() - store wrong counts in the metadata space map.
 * @io:       metadata of any type, open for writing
 * @expected: blocks whose stored count is this, 0 to 2
 * @actual:   get this one instead, 0 to 2
 * @nr:       so many of them, the lowest; block 0 is left alone
 *
 * Free counts and the number of allocated blocks follow.
 *
 * Return: 0; -ENODATA if there are not so many such blocks, -EUCLEAN if the space map cannot be read,
 *         -EINVAL for other counts; -EIO. The reason was told to @log.
 */
int pd_dev_set_metadata_counts(struct pd_io *io, uint32_t expected, uint32_t actual, uint64_t nr,
			       struct pd_log *log);

/** struct pd_dev_thin_patch - superblock fields to change; those without has_ stay. */
struct pd_dev_thin_patch {
	bool has_mapping_root, has_details_root, has_held_root, has_needs_check;
	uint64_t mapping_root, details_root, held_root;
	bool needs_check;
};

/** pd_dev_patch_thin_superblock() - change fields of a thin superblock. 0, -EUCLEAN, -EIO. */
int pd_dev_patch_thin_superblock(struct pd_io *io, const struct pd_dev_thin_patch *patch,
				 struct pd_log *log);

/** struct pd_dev_cache_patch - the same for a cache. */
struct pd_dev_cache_patch {
	bool has_version, has_needs_check, has_clean_shutdown;
	uint32_t version;
	bool needs_check, clean_shutdown;
};

int pd_dev_patch_cache_superblock(struct pd_io *io, const struct pd_dev_cache_patch *patch,
				  struct pd_log *log);

#ifdef __cplusplus
}
#endif
#endif
