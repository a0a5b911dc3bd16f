/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "persistent-data/space-map-core.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"

#define PER_PAGE 4096u

int sm_core_init(struct sm_core *sm, uint64_t nr_blocks)
{
	*sm = (struct sm_core){ .nr_blocks = 0 };
	return sm_core_extend(sm, nr_blocks);
}

void sm_core_exit(struct sm_core *sm)
{
	for (uint64_t i = 0; i < sm->nr_pages; i++)
		free(sm->pages[i]);
	free(sm->pages);
	free(sm->in_use);
	*sm = (struct sm_core){ .nr_blocks = 0 };
}

int sm_core_extend(struct sm_core *sm, uint64_t nr_blocks)
{
	uint64_t nr = ceil_div(nr_blocks, PER_PAGE);
	uint32_t **pages, *in_use;

	if (nr_blocks < sm->nr_blocks)
		return -EINVAL;
	if (nr > SIZE_MAX / sizeof(*pages))
		return -ENOMEM;
	if (nr > sm->nr_pages) {
		/* fresh memory, not realloc(): what is not touched costs nothing */
		pages = calloc((size_t)nr, sizeof(*pages));
		in_use = calloc((size_t)nr, sizeof(*in_use));
		if (!pages || !in_use) {
			free(pages);
			free(in_use);
			return -ENOMEM;
		}
		if (sm->nr_pages) {
			memcpy(pages, sm->pages, (size_t)sm->nr_pages * sizeof(*pages));
			memcpy(in_use, sm->in_use, (size_t)sm->nr_pages * sizeof(*in_use));
		}
		free(sm->pages);
		free(sm->in_use);
		sm->pages = pages;
		sm->in_use = in_use;
		sm->nr_pages = nr;
	}
	sm->nr_blocks = nr_blocks;
	return 0;
}

uint32_t sm_core_count(const struct sm_core *sm, uint64_t nr)
{
	const uint32_t *page = sm->pages[nr / PER_PAGE];

	return page ? page[nr % PER_PAGE] : 0;
}

int sm_core_set_count(struct sm_core *sm, uint64_t nr, uint32_t count)
{
	uint32_t **page = &sm->pages[nr / PER_PAGE], old = sm_core_count(sm, nr);

	if (old == count)
		return 0;
	if (!*page) {
		*page = calloc(PER_PAGE, sizeof(**page));
		if (!*page)
			return -ENOMEM;
	}
	(*page)[nr % PER_PAGE] = count;
	sm->in_use[nr / PER_PAGE] += !old;
	sm->in_use[nr / PER_PAGE] -= !count;
	sm->nr_allocated += !old;
	sm->nr_allocated -= !count;
	return 0;
}

/* The first block of [@begin, @end) with count 0; @end if there is none. */
static uint64_t search(const struct sm_core *sm, uint64_t begin, uint64_t end)
{
	for (uint64_t nr = begin; nr < end; ) {
		if (sm->in_use[nr / PER_PAGE] == PER_PAGE)
			nr = (nr / PER_PAGE + 1) * PER_PAGE;
		else if (sm_core_count(sm, nr))
			nr++;
		else
			return nr;
	}
	return end;
}

int sm_core_new_block(struct sm_core *sm, uint64_t *nr)
{
	uint64_t found = search(sm, sm->begin, sm->nr_blocks);
	int r;

	if (found == sm->nr_blocks) {
		found = search(sm, 0, sm->begin);
		if (found == sm->begin)
			return -ENOSPC;
	}
	r = sm_core_set_count(sm, found, 1);
	if (r)
		return r;
	*nr = found;
	sm->begin = found + 1;
	return 0;
}
