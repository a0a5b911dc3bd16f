/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory by address space: committed by the system where it is touched, so that large tables cost what is used of them. */
#ifndef PD_BASE_RESERVE_H
#define PD_BASE_RESERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* @nr times @size zero bytes, or NULL. @large: in large pages, for tables met at random: fewer page walks. */
void *reserve(uint64_t nr, size_t size, bool large);
void unreserve(void *p, uint64_t nr, size_t size);	/* takes NULL */

#endif
