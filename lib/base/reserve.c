/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/reserve.h"
#include <stdlib.h>
#include <sys/mman.h>

#define SMALL (64u << 10)	/* bytes: for less a mapping of its own costs more than it spares */

void *reserve(uint64_t nr, size_t size, bool large)
{
	void *p;

	if (nr > SIZE_MAX / 2 / size)
		return NULL;
	if (nr * size < SMALL)
		return calloc(nr + !nr, size);
	p = mmap(NULL, nr * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (large)
		madvise(p, nr * size, MADV_HUGEPAGE);
	return p;
}

void unreserve(void *p, uint64_t nr, size_t size)
{
	if (nr * size < SMALL)
		free(p);
	else if (p)
		munmap(p, nr * size);
}
