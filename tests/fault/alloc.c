/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The linker sends the library's allocations here (--wrap in unit/local.mk). */
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>
#include "fault/alloc.h"

static unsigned left;
static bool fired;

void fault_alloc_arm(unsigned nth)
{
	__atomic_store_n(&fired, false, __ATOMIC_RELAXED);
	__atomic_store_n(&left, nth, __ATOMIC_RELAXED);
}

bool fault_alloc_fired(void)
{
	return __atomic_load_n(&fired, __ATOMIC_RELAXED);
}

static bool fails(void)
{
	unsigned n = __atomic_load_n(&left, __ATOMIC_RELAXED);

	while (n && !__atomic_compare_exchange_n(&left, &n, n - 1, false, __ATOMIC_RELAXED,
						 __ATOMIC_RELAXED))
		;
	if (n == 1)
		__atomic_store_n(&fired, true, __ATOMIC_RELAXED);
	return n == 1;
}

#define WRAP(type, name, params, args, failure)		\
	type __real_##name params;			\
	type __wrap_##name params;			\
	type __wrap_##name params			\
	{						\
		return fails() ? failure : __real_##name args;	\
	}

WRAP(void *, malloc, (size_t len), (len), NULL)
WRAP(void *, calloc, (size_t nr, size_t len), (nr, len), NULL)
WRAP(void *, realloc, (void *p, size_t len), (p, len), NULL)
WRAP(void *, aligned_alloc, (size_t align, size_t len), (align, len), NULL)
WRAP(char *, strdup, (const char *s), (s), NULL)
WRAP(void *, mmap, (void *at, size_t len, int prot, int flags, int fd, off_t offset),
     (at, len, prot, flags, fd, offset), MAP_FAILED)
WRAP(void *, mmap64, (void *at, size_t len, int prot, int flags, int fd, off64_t offset),
     (at, len, prot, flags, fd, offset), MAP_FAILED)
