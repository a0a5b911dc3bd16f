/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What <pdata/space-map.h> has behind its one handle. */
#ifndef PD_SPACE_MAP_H
#define PD_SPACE_MAP_H

#include "persistent-data/space-map-core.h"
#include "persistent-data/space-map-disk.h"

struct sm_ops;

struct pd_sm {
	const struct sm_ops *ops;
	union {
		struct sm_core core;
		struct sm_disk disk;
		struct pd_tm *tm;	/* the metadata space map is its own */
	};
};

/* @sm is the metadata space map of @tm; the memory is the caller's. */
void sm_of_metadata(struct pd_sm *sm, struct pd_tm *tm);

#endif
