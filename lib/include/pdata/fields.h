/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Fields of blocks, by name
 *
 * For looking at single blocks and changing them on purpose: tests and people who must know.
 * Kinds are called "thin-superblock", "cache-superblock", "era-superblock", "clone-superblock",
 * "node", "array", "bitmap" and "index". Names are those of the format: "nr_entries", "keys[3]",
 * "values[3]", "values[3].mapped_blocks", "entries[17]", "index[0].nr_free",
 * "metadata_space_map_root.nr_blocks".
 */
#ifndef PDATA_FIELDS_H
#define PDATA_FIELDS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** PD_FIELD_VALUE_MAX - room for any value as text, and its end. */
#define PD_FIELD_VALUE_MAX 8200

/** pd_block_kind_of() - the kind whose checksum @block (PD_BLOCK_SIZE bytes) carries, or NULL. */
const char *pd_block_kind_of(const void *block);

/**
 * pd_block_seal() - puts in the checksum of @kind; nothing else changes.
 *
 * Return: 0, or -EINVAL if there is no such kind.
 */
int pd_block_seal(void *block, const char *kind);

/**
 * pd_field_each() - names and values of all fields in use, in order.
 * @fn: numbers come as decimals, bytes as hexadecimal digits. Another value than 0 ends the walk.
 *
 * Of keys, values and bitmap entries as many are told as the block says are in use, but never
 * more than fit.
 *
 * Return: 0, -EINVAL if there is no such kind, or what @fn returned.
 */
int pd_field_each(const void *block, const char *kind,
		  int (*fn)(void *ctx, const char *name, const char *value), void *ctx);

/**
 * pd_field_get() - one field's value as text.
 * @value: PD_FIELD_VALUE_MAX bytes.
 *
 * Return: 0, -EINVAL if there is no such kind, -ENOENT if it has no such field, -ERANGE if an
 *         index leads out of the block.
 */
int pd_field_get(const void *block, const char *kind, const char *name, char *value);

/**
 * pd_field_set() - change one field; the checksum is not mended.
 * @value: a number, decimal or after 0x hexadecimal; "+N" and "-N" change what is there; bytes as
 *         hexadecimal digits, exactly as many as there are.
 *
 * Return: as pd_field_get(); -EINVAL also for a value that is none or does not fit.
 */
int pd_field_set(void *block, const char *kind, const char *name, const char *value);

#ifdef __cplusplus
}
#endif
#endif
