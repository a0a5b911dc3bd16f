/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The checksum is most of the work of a scan, so each processor's own instruction is used where
 * there is one. It has a latency of three cycles and takes one a cycle: three streams run side by
 * side, and their registers are joined by moving the earlier ones over the zeros that stand for
 * the later streams (a linear map, kept as four tables of 256).
 */
#include "base/crc32c.h"
#include <endian.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL 0x82F63B78u
#define LANE 1360u		/* bytes a stream: three are 4080 of a block's 4092 */

static uint32_t slice[8][256];

static void make_slices(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (c & 1 ? POLYNOMIAL : 0);
		slice[0][i] = c;
	}
	for (unsigned i = 0; i < 256; i++)
		for (unsigned t = 1; t < 8; t++)
			slice[t][i] = slice[t - 1][i] >> 8 ^ slice[0][slice[t - 1][i] & 0xff];
}

static pthread_once_t slices_once = PTHREAD_ONCE_INIT;

uint32_t crc32c_table(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	pthread_once(&slices_once, make_slices);
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t w;

		memcpy(&w, p, sizeof(w));
		w = le64toh(w) ^ crc;
		crc = slice[7][w & 0xff] ^ slice[6][w >> 8 & 0xff] ^
		      slice[5][w >> 16 & 0xff] ^ slice[4][w >> 24 & 0xff] ^
		      slice[3][w >> 32 & 0xff] ^ slice[2][w >> 40 & 0xff] ^
		      slice[1][w >> 48 & 0xff] ^ slice[0][w >> 56];
	}
	for (; len; p++, len--)
		crc = crc >> 8 ^ slice[0][(crc ^ *p) & 0xff];
	return crc;
}

#if defined(__x86_64__)
#define HAVE_HARDWARE
#define ENGINE_NAME "sse4.2"
#define TARGET __attribute__((target("sse4.2")))
#define crc_u64(c, w) ((uint32_t)__builtin_ia32_crc32di((c), (w)))
#define crc_u8(c, b) __builtin_ia32_crc32qi((c), (b))

static bool hardware_here(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#include <sys/auxv.h>
#define HAVE_HARDWARE
#define ENGINE_NAME "arm64"
#ifdef __clang__
#define TARGET __attribute__((target("crc")))
#define crc_u64(c, w) __builtin_arm_crc32cd((c), (w))
#define crc_u8(c, b) __builtin_arm_crc32cb((c), (b))
#else
#define TARGET __attribute__((target("+crc")))
#define crc_u64(c, w) __builtin_aarch64_crc32cx((c), (w))
#define crc_u8(c, b) __builtin_aarch64_crc32cb((c), (b))
#endif

static bool hardware_here(void)
{
	return getauxval(AT_HWCAP) & 1 << 7;	/* HWCAP_CRC32 */
}
#endif

#ifdef HAVE_HARDWARE
static uint32_t over_lane[4][256];	/* a register moved over LANE zeros */

TARGET static void make_over_lane(void)
{
	for (unsigned byte = 0; byte < 4; byte++) {
		uint32_t bit[8];

		for (unsigned b = 0; b < 8; b++) {
			bit[b] = 1u << (8 * byte + b);
			for (unsigned i = 0; i < LANE / 8; i++)
				bit[b] = crc_u64(bit[b], 0);
		}
		for (unsigned i = 0; i < 256; i++) {
			over_lane[byte][i] = 0;
			for (unsigned b = 0; b < 8; b++)
				if (i >> b & 1)
					over_lane[byte][i] ^= bit[b];
		}
	}
}

static inline uint32_t skip_lane(uint32_t c)
{
	return over_lane[0][c & 0xff] ^ over_lane[1][c >> 8 & 0xff] ^
	       over_lane[2][c >> 16 & 0xff] ^ over_lane[3][c >> 24];
}

static inline uint64_t word(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

TARGET static uint32_t hardware(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (; len >= 3 * LANE; p += 3 * LANE, len -= 3 * LANE) {
		uint32_t a = crc, b = 0, c = 0;

		for (unsigned i = 0; i < LANE; i += 8) {
			a = crc_u64(a, word(p + i));
			b = crc_u64(b, word(p + LANE + i));
			c = crc_u64(c, word(p + 2 * LANE + i));
		}
		crc = skip_lane(skip_lane(a) ^ b) ^ c;
	}
	for (; len >= 8; p += 8, len -= 8)
		crc = crc_u64(crc, word(p));
	for (; len; p++, len--)
		crc = crc_u8(crc, *p);
	return crc;
}
#endif

static uint32_t (*engine)(uint32_t crc, const void *data, size_t len) = crc32c_table;
static const char *engine_name = "table";
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;

static void choose_engine(void)
{
#ifdef HAVE_HARDWARE
	if (hardware_here()) {
		make_over_lane();
		engine = hardware;
		engine_name = ENGINE_NAME;
	}
#endif
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	pthread_once(&engine_once, choose_engine);
	return engine(crc, data, len);
}

const char *crc32c_engine(void)
{
	pthread_once(&engine_once, choose_engine);
	return engine_name;
}
