/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A space map in memory: a table of pages, of which only those exist that something was counted in. */
#ifndef PD_SPACE_MAP_CORE_H
#define PD_SPACE_MAP_CORE_H

#include <stdint.h>

struct sm_core {
	uint64_t nr_blocks, nr_allocated, begin;	/* begin: where the next search starts */
	uint64_t nr_pages;
	uint32_t **pages;	/* NULL: all 0 */
	uint32_t *in_use;	/* counts in a page that are not 0 */
};

/* 0 or -ENOMEM; to be taken down with sm_core_exit() in both cases. */
int sm_core_init(struct sm_core *sm, uint64_t nr_blocks);
void sm_core_exit(struct sm_core *sm);
/* -EINVAL for fewer. */
int sm_core_extend(struct sm_core *sm, uint64_t nr_blocks);
/* @nr within bounds for both. */
uint32_t sm_core_count(const struct sm_core *sm, uint64_t nr);
int sm_core_set_count(struct sm_core *sm, uint64_t nr, uint32_t count);
int sm_core_new_block(struct sm_core *sm, uint64_t *nr);

#endif
