/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers as the disk holds them: little-endian, at any alignment.
 *
 * A number still in disk order has a type of its own, so mixing it with a host
 * number does not compile. Each accessor becomes one load or store on a
 * little-endian machine.
 */
#ifndef PD_BASE_LE_H
#define PD_BASE_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

typedef struct { uint8_t b[2]; } le16;
typedef struct { uint8_t b[4]; } le32;
typedef struct { uint8_t b[8]; } le64;

static inline uint16_t le16_get(le16 v)
{
	uint16_t n;

	memcpy(&n, v.b, sizeof(n));
	return le16toh(n);
}

static inline uint32_t le32_get(le32 v)
{
	uint32_t n;

	memcpy(&n, v.b, sizeof(n));
	return le32toh(n);
}

static inline uint64_t le64_get(le64 v)
{
	uint64_t n;

	memcpy(&n, v.b, sizeof(n));
	return le64toh(n);
}

static inline le16 le16_put(uint16_t n)
{
	le16 v;

	n = htole16(n);
	memcpy(v.b, &n, sizeof(n));
	return v;
}

static inline le32 le32_put(uint32_t n)
{
	le32 v;

	n = htole32(n);
	memcpy(v.b, &n, sizeof(n));
	return v;
}

static inline le64 le64_put(uint64_t n)
{
	le64 v;

	n = htole64(n);
	memcpy(v.b, &n, sizeof(n));
	return v;
}

#endif
