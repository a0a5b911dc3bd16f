/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A check of thin metadata, and what it knows at its end: what mending starts from. */
#ifndef PD_THIN_CHECK_H
#define PD_THIN_CHECK_H

#include <pdata/thin.h>
#include "meta/scan.h"

struct thin_check {
	struct pd_io *io;
	const struct pd_thin_check_opts *o;
	const struct pd_run *run;
	struct pd_check_result *res;
	struct damage damage;
	bool trees_only;	/* space maps are not believed, read or compared */
	struct thin_superblock live;
	struct scan s;
	struct metadata_sm metadata;
	struct data_sm data;
};

void thin_check_init(struct thin_check *c, struct pd_io *io, const struct pd_thin_check_opts *o,
		     const struct pd_run *run, struct pd_check_result *res);
/* Looks at everything; findings are in @c->damage. 0 or as pd_thin_check(). */
int thin_check_run(struct thin_check *c);
void thin_check_exit(struct thin_check *c);

#endif
