/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "thin/names.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void names_exit(struct names *n)
{
	free(n->text);
	free(n->start);
	free(n->slot);
	*n = (struct names){ 0 };
}

static uint64_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ull;

	while (*s)
		h = (h ^ (unsigned char)*s++) * 0x100000001b3ull;
	return h ^ h >> 32;
}

/* The slot that holds @name, or the free one where it would stand. */
static uint32_t *find_slot(const struct names *n, const char *name)
{
	uint64_t i = hash(name) & (n->nr_slots - 1);

	while (n->slot[i] && strcmp(n->text + n->start[n->slot[i] - 1], name))
		i = (i + 1) & (n->nr_slots - 1);
	return &n->slot[i];
}

int names_find(const struct names *n, const char *name, uint64_t *nr)
{
	uint32_t *slot = n->nr_slots ? find_slot(n, name) : NULL;

	if (!slot || !*slot)
		return -ENODATA;
	*nr = *slot - 1;
	return 0;
}

static int rehash(struct names *n)
{
	uint64_t want = n->nr_slots ? 2 * n->nr_slots : 64;
	uint32_t *slot = calloc(want, sizeof(*slot));

	if (!slot)
		return -ENOMEM;
	free(n->slot);
	n->slot = slot;
	n->nr_slots = want;
	for (uint64_t i = 0; i < n->nr; i++)
		*find_slot(n, n->text + n->start[i]) = (uint32_t)i + 1;
	return 0;
}

static int make_room(struct names *n, uint64_t len)
{
	if (n->len_bytes + len > n->max_bytes) {
		uint64_t want = n->max_bytes + n->max_bytes / 2 + len + 4096;
		char *text = realloc(n->text, want);

		if (!text)
			return -ENOMEM;
		n->text = text;
		n->max_bytes = want;
	}
	if (n->nr == n->max) {
		uint64_t want = n->max + n->max / 2 + 64;
		uint64_t *start = realloc(n->start, want * sizeof(*start));

		if (!start)
			return -ENOMEM;
		n->start = start;
		n->max = want;
	}
	return 2 * (n->nr + 1) > n->nr_slots ? rehash(n) : 0;
}

int names_add(struct names *n, const char *name, uint64_t *nr)
{
	uint64_t len = strlen(name) + 1;
	uint32_t *slot;

	if (n->nr >= UINT32_MAX - 1 || make_room(n, len))
		return -ENOMEM;
	slot = find_slot(n, name);
	if (*slot)
		return -EEXIST;
	memcpy(n->text + n->len_bytes, name, len);
	n->start[n->nr] = n->len_bytes;
	n->len_bytes += len;
	*slot = (uint32_t)++n->nr;
	*nr = n->nr - 1;
	return 0;
}
