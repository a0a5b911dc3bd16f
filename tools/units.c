/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "tools/units.h"

#define KI 1024ull
#define K 1000ull

static const struct unit units[] = {
	{ "b", "bytes", NULL, 1 },
	{ "s", "sectors", NULL, SECTOR_SIZE },
	{ "k", "kibibytes", "KiB", KI },
	{ "m", "mebibytes", "MiB", KI * KI },
	{ "g", "gibibytes", "GiB", KI * KI * KI },
	{ "t", "tebibytes", "TiB", KI * KI * KI * KI },
	{ "p", "pebibytes", "PiB", KI * KI * KI * KI * KI },
	{ "e", "exbibytes", "EiB", KI * KI * KI * KI * KI * KI },
	{ "K", "kilobytes", "kB", K },
	{ "M", "megabytes", "MB", K * K },
	{ "G", "gigabytes", "GB", K * K * K },
	{ "T", "terabytes", "TB", K * K * K * K },
	{ "P", "petabytes", "PB", K * K * K * K * K },
	{ "E", "exabytes", "EB", K * K * K * K * K * K },
};

const struct unit *unit_find(const char *name)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		const struct unit *u = &units[i];
		size_t singular = strlen(u->word) - 1;

		if (!strcmp(name, u->letter) || !strcmp(name, u->word) ||
		    (u->symbol && !strcmp(name, u->symbol)) ||
		    (strlen(name) == singular && !strncmp(name, u->word, singular)))
			return u;
	}
	return NULL;
}

bool size_parse(const char *text, uint64_t *bytes)
{
	const struct unit *u;
	uint64_t n = 0;

	if (!isdigit((unsigned char)*text))
		return false;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return false;
	u = unit_find(*text ? text : "s");
	return u && !__builtin_mul_overflow(n, u->bytes, bytes);
}

void size_format(char *buf, size_t len, uint64_t bytes, const struct unit *unit)
{
	if (bytes % unit->bytes == 0)
		snprintf(buf, len, "%" PRIu64, bytes / unit->bytes);
	else if (bytes < unit->bytes)
		snprintf(buf, len, "%g", (double)bytes / (double)unit->bytes);
	else
		snprintf(buf, len, "%.2f", (double)bytes / (double)unit->bytes);
}

enum numeric numeric_parse(const char *value)
{
	if (!value || !*value)
		return NUMERIC_BARE;
	return !strcmp(value, "short") ? NUMERIC_SHORT :
	       !strcmp(value, "long") ? NUMERIC_LONG : NUMERIC_BAD;
}

void size_print(uint64_t bytes, const struct unit *unit, enum numeric numeric)
{
	char number[40];

	size_format(number, sizeof(number), bytes, unit);
	printf("%s%s%s\n", number, numeric == NUMERIC_NO ? " " : "",
	       numeric == NUMERIC_BARE ? "" : numeric == NUMERIC_SHORT ? unit->letter : unit->word);
}
