/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Bitsets
 *
 * Bits in an array of 64-bit words. The number of bits is not on the disk. The word last looked at is kept in the handle:
 * what was changed in it gets into the array when another word is wanted, or with pd_bitset_flush(). Errors are those
 * of <pdata/btree.h>.
 * Source: format/persistent-data 5; kernel dm-bitset.c.
 */
#ifndef PDATA_BITSET_H
#define PDATA_BITSET_H

#include <stdbool.h>
#include <stdint.h>
#include <pdata/transaction-manager.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pd_bitset;

/** pd_bitset_create() - @nr_bits bits that are all @value. 0, -ENOMEM, -ENOSPC. */
int pd_bitset_create(struct pd_bitset **s, struct pd_tm *tm, uint64_t nr_bits, bool value);
/** pd_bitset_open() - the bitset at @root, of which the caller says that it has @nr_bits bits. 0 or -ENOMEM. */
int pd_bitset_open(struct pd_bitset **s, struct pd_tm *tm, uint64_t root, uint64_t nr_bits);
/** pd_bitset_close() - takes NULL. What was not flushed is lost. */
void pd_bitset_close(struct pd_bitset *s);
/** pd_bitset_delete() - gives back all of it; closes the handle, also after a failure. */
int pd_bitset_delete(struct pd_bitset *s);

uint64_t pd_bitset_nr_bits(const struct pd_bitset *s);
/** pd_bitset_flush() - all changes are in the array. @root: of it, to be put into the superblock. */
int pd_bitset_flush(struct pd_bitset *s, uint64_t *root);

/** pd_bitset_resize() - @nr_bits bits; new ones are @value. */
int pd_bitset_resize(struct pd_bitset *s, uint64_t nr_bits, bool value);

/** pd_bitset_set(), pd_bitset_clear(), pd_bitset_test() - -ENODATA (nothing changed) past the end.
 * Cost: nothing in the word looked at last, else a lookup, and the shadows on the way if that was changed. */
int pd_bitset_set(struct pd_bitset *s, uint64_t bit);
int pd_bitset_clear(struct pd_bitset *s, uint64_t bit);
int pd_bitset_test(struct pd_bitset *s, uint64_t bit, bool *value);

/** pd_bitset_next_run() - bits [*@begin, *@end) from *@end on that are all *@value; as many as there are. Begin with *@end 0.
 * -ENODATA at the end. Cost: a lookup for 64 bits. */
int pd_bitset_next_run(struct pd_bitset *s, uint64_t *begin, uint64_t *end, bool *value);

/* ---- Cursor: reads blocks, not words ---- */

struct pd_bitset_cursor;

/** pd_bitset_cursor_open() - at bit 0, of what is flushed. Nothing may be changed before it is closed. -ENODATA without
 * bits, -ENOMEM. */
int pd_bitset_cursor_open(struct pd_bitset_cursor **c, const struct pd_bitset *s);
void pd_bitset_cursor_close(struct pd_bitset_cursor *c);
/** pd_bitset_cursor_next(), pd_bitset_cursor_skip() - one on, @nr on. -ENODATA past the last; then it can only be closed. */
int pd_bitset_cursor_next(struct pd_bitset_cursor *c);
int pd_bitset_cursor_skip(struct pd_bitset_cursor *c, uint64_t nr);
/** pd_bitset_cursor_get() - the bit there; false past the last. */
bool pd_bitset_cursor_get(const struct pd_bitset_cursor *c);

#ifdef __cplusplus
}
#endif
#endif
