/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Numbers in values
 *
 * Values of trees and arrays are bytes, as the disk holds them; numbers among them are little-endian. These
 * read and write one at any address, whatever the order of this machine.
 */
#ifndef PDATA_LE_H
#define PDATA_LE_H

#include <stdint.h>

/** pd_get_le32(), pd_get_le64() - the number whose lowest byte is at @p. */
static inline uint32_t pd_get_le32(const void *p)
{
	const unsigned char *b = (const unsigned char *)p;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t pd_get_le64(const void *p)
{
	return (uint64_t)pd_get_le32(p) | (uint64_t)pd_get_le32((const unsigned char *)p + 4) << 32;
}

/** pd_put_le32(), pd_put_le64() - @n into the 4 or 8 bytes at @p. */
static inline void pd_put_le32(void *p, uint32_t n)
{
	unsigned char *b = (unsigned char *)p;

	for (int i = 0; i < 4; i++)
		b[i] = (unsigned char)(n >> 8 * i);
}

static inline void pd_put_le64(void *p, uint64_t n)
{
	pd_put_le32(p, (uint32_t)n);
	pd_put_le32((unsigned char *)p + 4, (uint32_t)(n >> 32));
}

#endif
