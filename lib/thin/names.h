/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names, numbered in the order they come: the defs of a restore. All zero is an empty set. */
#ifndef PD_THIN_NAMES_H
#define PD_THIN_NAMES_H

#include <stdint.h>

struct names {
	char *text;		/* each with its end, one behind the other */
	uint64_t len_bytes, max_bytes;
	uint64_t *start;	/* of each in text */
	uint64_t nr, max;
	uint32_t *slot;		/* hash: number + 1; 0 is free; nr_slots is a power of two */
	uint64_t nr_slots;
};

void names_exit(struct names *n);
/* 0 and its number; -EEXIST if it is there; -ENOMEM. */
int names_add(struct names *n, const char *name, uint64_t *nr);
/* 0 and its number, or -ENODATA. */
int names_find(const struct names *n, const char *name, uint64_t *nr);

#endif
