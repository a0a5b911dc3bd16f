/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CRC-32C (Castagnoli) as the metadata formats use it: raw, without the last inversion. */
#ifndef PD_BASE_CRC32C_H
#define PD_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/**
 * crc32c() - the raw register after @len bytes.
 * @crc:  register so far; 0xFFFFFFFF to begin.
 * @data: bytes to take in, at any alignment.
 * @len:  bytes.
 *
 * The fastest way this processor has, chosen once at the first call: hardware
 * (x86 SSE 4.2, arm64 CRC), else tables. Any thread.
 *
 * Return: the register, not inverted.
 */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/** crc32c_table() - the same from tables alone; for tests. */
uint32_t crc32c_table(uint32_t crc, const void *data, size_t len);

/** crc32c_engine() - name of what crc32c() uses here: "sse4.2", "arm64" or "table". */
const char *crc32c_engine(void);

#endif
