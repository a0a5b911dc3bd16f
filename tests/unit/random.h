/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers that a seed decides, the same on every machine. */
#ifndef UNIT_RANDOM_H
#define UNIT_RANDOM_H

#include <stdint.h>

/* Below @n. */
static inline uint64_t rnd(uint64_t *seed, uint64_t n)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (*seed >> 33) % n;
}

#endif
