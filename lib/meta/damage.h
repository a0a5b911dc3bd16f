/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Gathers findings, joins neighbouring lost keys, and says them in order. Of each problem a
 * bounded number is kept; the rest is counted.
 */
#ifndef PD_META_DAMAGE_H
#define PD_META_DAMAGE_H

#include <pdata/meta.h>

#define MAX_FINDINGS_OF_A_KIND 200u

struct damage {
	struct pd_finding *f;
	size_t nr, max;
	uint64_t count[PD_NR_PROBLEMS];	/* all of them, kept or not */
	uint64_t by_severity[PD_SEV_FATAL + 1];
	/* What a row's severity comes to from now on: hints of a cache cannot be fatal. */
	enum pd_severity fatal_is, error_is;
	bool failed;			/* no memory: some are not kept */
};

void damage_init(struct damage *d);
void damage_exit(struct damage *d);

/* Findings added from here on are no worse than these: FATAL and ERROR to begin with. */
void damage_soften(struct damage *d, enum pd_severity fatal_is, enum pd_severity error_is);

/* Adds one, with its severity set; joins it with the one before when that ends where it begins and is alike. */
void damage_add(struct damage *d, const struct pd_finding *f);

/* Counts @n more of a problem that nothing more is to be said about. */
void damage_count(struct damage *d, enum pd_problem p, uint64_t n);

/* Are there findings of this severity or a higher one? */
bool damage_any(const struct damage *d, enum pd_severity severity);
void damage_result(const struct damage *d, struct pd_check_result *res);

/* Sorts and says everything; @key_name is what key and range are called, e.g. "thin device",
 * "virtual blocks". */
void damage_report(struct damage *d, struct pd_log *log, const char *key_name,
		   const char *range_name);

#endif
