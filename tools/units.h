/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes as people write them: 64k, 100MiB, 2097152 (sectors), 1G (decimal). */
#ifndef PD_TOOLS_UNITS_H
#define PD_TOOLS_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR_SIZE 512u

struct unit {
	const char *letter;	/* "s": what -nshort shows */
	const char *word;	/* "sectors": plural, as shown after a number */
	const char *symbol;	/* "KiB", or NULL */
	uint64_t bytes;
};

/* The unit of that letter, word (singular or plural) or symbol; NULL if there is none. */
const struct unit *unit_find(const char *name);

/* A whole number and an optional unit, sectors without one, to bytes; false if it is anything
 * else or does not fit. */
bool size_parse(const char *text, uint64_t *bytes);

/*
 * @bytes in @unit: an integer when it is whole, the shortest form below 1, else two decimals.
 */
void size_format(char *buf, size_t len, uint64_t bytes, const struct unit *unit);

/* --numeric-only: NULL or "" the number alone, "short" with the letter, "long" with the word. */
enum numeric { NUMERIC_NO, NUMERIC_BARE, NUMERIC_SHORT, NUMERIC_LONG, NUMERIC_BAD };
enum numeric numeric_parse(const char *value);
/* Prints the line of thin_metadata_size and cache_metadata_size on stdout. */
void size_print(uint64_t bytes, const struct unit *unit, enum numeric numeric);

#endif
