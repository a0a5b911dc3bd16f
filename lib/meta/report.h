/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the JSON reports of all repairs share. */
#ifndef PD_META_REPORT_H
#define PD_META_REPORT_H

#include <pdata/text.h>
#include "meta/damage.h"

/* Formatted text of at most 511 bytes to @s. 0 or what the sink returned. */
int report_say(const struct pd_sink *s, const char *fmt, ...) PD_PRINTF(2, 3);

/*
 * The elements of a "lost" list, without its brackets: the findings of @d that have a range and are
 * about @place (PD_NR_PLACES: any) and, if @key is not NULL, about that key.
 */
int report_lost(const struct pd_sink *s, const struct damage *d, enum pd_place place,
		const uint64_t *key);

#endif
