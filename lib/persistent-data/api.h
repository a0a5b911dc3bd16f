/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Behind the public headers of this layer: what callers hand in is checked here and put into the words used inside. */
#ifndef PD_API_H
#define PD_API_H

#include "persistent-data/btree.h"
#include <pdata/btree.h>

/* -EINVAL for none, or a value size of 0 or above @max. */
int api_value_type(struct btree_value_type *out, const struct pd_value_type *in, uint32_t max);

struct pd_sm_root api_sm_root(const struct sm_root *root);
struct sm_root api_sm_root_le(const struct pd_sm_root *root);

#endif
