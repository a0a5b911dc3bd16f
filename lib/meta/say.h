/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports as JSON, in pieces, to a sink. */
#ifndef PD_META_SAY_H
#define PD_META_SAY_H

#include "meta/damage.h"
#include <pdata/text.h>

/* printf to a sink, up to 511 bytes. What the sink returned. */
int say_json(const struct pd_sink *s, const char *fmt, ...) PD_PRINTF(2, 3);

/*
 * The findings about lost ranges at @place (PD_NR_PLACES: anywhere), as members of an array that is open:
 * {"begin", "end", "block", "reason"}. @key: only those with this key, unless NULL.
 */
int say_lost(const struct pd_sink *s, const struct damage *d, enum pd_place place, const uint64_t *key);

#endif
