/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"
#include "meta/damage.h"

#define ROW(code, name, severity, action, text) \
	[PD_PR_##code] = { name, PD_SEV_##severity, PD_ACT_##action, text },
static const struct pd_problem_row rows[PD_NR_PROBLEMS] = {
	[PD_PR_NONE] = { "", PD_SEV_INFO, PD_ACT_REPORT, "" },
	PD_PROBLEMS(ROW)
};

static const char *const place_names[PD_NR_PLACES] = {
	[PD_AT_SUPERBLOCK] = "superblock",
	[PD_AT_DETAILS] = "device details",
	[PD_AT_MAPPINGS] = "mapping tree",
	[PD_AT_MAPPING_ARRAY] = "mapping array",
	[PD_AT_DIRTY] = "dirty bitset",
	[PD_AT_HINTS] = "hint array",
	[PD_AT_DISCARDS] = "discard bitset",
	[PD_AT_WRITESETS] = "writeset tree",
	[PD_AT_WRITESET] = "writeset",
	[PD_AT_ERA_ARRAY] = "era array",
	[PD_AT_REGIONS] = "region bitset",
	[PD_AT_DATA_SM] = "data space map",
	[PD_AT_METADATA_SM] = "metadata space map",
};

const struct pd_problem_row *pd_problem_row(enum pd_problem p)
{
	return &rows[(unsigned)p < PD_NR_PROBLEMS ? p : PD_PR_NONE];
}

void damage_init(struct damage *d)
{
	memset(d, 0, sizeof(*d));
	damage_soften(d, PD_SEV_FATAL, PD_SEV_ERROR);
}

void damage_soften(struct damage *d, enum pd_severity fatal_is, enum pd_severity error_is)
{
	d->fatal_is = fatal_is;
	d->error_is = error_is;
}

static enum pd_severity severity_of(const struct damage *d, enum pd_problem p)
{
	enum pd_severity s = rows[p].severity;

	return s == PD_SEV_FATAL ? d->fatal_is : s == PD_SEV_ERROR ? d->error_is : s;
}

void damage_exit(struct damage *d)
{
	free(d->f);
	d->f = NULL;
}

static bool joins(const struct pd_finding *a, const struct pd_finding *b)
{
	return a->problem == b->problem && a->severity == b->severity && a->place == b->place && a->snap == b->snap &&
	       a->has_key == b->has_key && a->key == b->key && a->has_range && b->has_range &&
	       a->end && a->end == b->begin && a->block == b->block &&
	       a->got == b->got && a->want == b->want;
}

void damage_count(struct damage *d, enum pd_problem p, uint64_t n)
{
	d->count[p] += n;
	d->by_severity[severity_of(d, p)] += n;
}

void damage_add(struct damage *d, const struct pd_finding *found)
{
	struct pd_finding finding = *found, *f = &finding;

	f->severity = severity_of(d, f->problem);
	damage_count(d, f->problem, 1);
	if (d->nr && joins(&d->f[d->nr - 1], f)) {
		d->f[d->nr - 1].end = f->end;
		return;
	}
	if (d->count[f->problem] > MAX_FINDINGS_OF_A_KIND)
		return;
	if (d->nr == d->max) {
		size_t max = d->max ? 2 * d->max : 32;
		struct pd_finding *more = realloc(d->f, max * sizeof(*more));

		if (!more) {
			d->failed = true;
			return;
		}
		d->f = more;
		d->max = max;
	}
	d->f[d->nr++] = *f;
}

bool damage_any(const struct damage *d, enum pd_severity severity)
{
	for (unsigned s = severity; s <= PD_SEV_FATAL; s++)
		if (d->by_severity[s])
			return true;
	return false;
}

void damage_result(const struct damage *d, struct pd_check_result *res)
{
	for (unsigned s = 0; s <= PD_SEV_FATAL; s++) {
		res->counts[s] = d->by_severity[s];
		if (d->by_severity[s])
			res->worst = s;
	}
}

#define ORDER(a, b) if ((a) != (b)) return (a) < (b) ? -1 : 1

static int in_order(const void *va, const void *vb)
{
	const struct pd_finding *a = va, *b = vb;

	ORDER(a->snap, b->snap);
	ORDER(a->place, b->place);
	ORDER(a->has_key, b->has_key);
	ORDER(a->key, b->key);
	ORDER(a->begin, b->begin);
	ORDER(a->end, b->end);
	ORDER(a->problem, b->problem);
	ORDER(a->block, b->block);
	return 0;
}

/* What keys in [begin, end) are called. */
static const char *range_of(const struct pd_finding *f, const char *range_name)
{
	switch (f->place) {
	case PD_AT_DATA_SM:
		return "data blocks";
	case PD_AT_METADATA_SM:
		return "metadata blocks";
	case PD_AT_DETAILS:
		return "devices";
	case PD_AT_MAPPINGS:
		return f->has_key ? range_name : "devices";
	case PD_AT_WRITESETS:
		return "eras";
	default:
		return range_name;
	}
}

static void say(const struct pd_finding *f, struct pd_log *log, const char *key_name,
		const char *range_name)
{
	const struct pd_problem_row *row = &rows[f->problem];
	char key[64] = "", range[96] = "", block[48] = "", numbers[64] = "";

	if (f->has_key)
		snprintf(key, sizeof(key), ": %s %" PRIu64, key_name, f->key);
	range_name = range_of(f, range_name);
	if (f->has_range && f->end)
		snprintf(range, sizeof(range), ": %s [%" PRIu64 ", %" PRIu64 ")", range_name,
			 f->begin, f->end);
	else if (f->has_range)
		snprintf(range, sizeof(range), ": %s [%" PRIu64 ", -)", range_name, f->begin);
	if (f->block != PD_NO_BLOCK)
		snprintf(block, sizeof(block), ": metadata block %" PRIu64, f->block);
	if (f->has_numbers)
		snprintf(numbers, sizeof(numbers), " (%" PRIu64 ", not %" PRIu64 ")", f->got, f->want);
	pd_log(log, f->severity > PD_SEV_WARN ? PD_LOG_ERR : PD_LOG_WARN,
	       "%s: %s%s%s%s%s: %s%s [%s]",
	       f->severity == PD_SEV_WARN ? "warning" : f->severity == PD_SEV_INFO ? "note" : "error",
	       f->snap ? "metadata snapshot: " : "", place_names[f->place], key, range, block,
	       row->text, numbers, row->name);
}

void damage_report(struct damage *d, struct pd_log *log, const char *key_name,
		   const char *range_name)
{
	uint64_t said[PD_NR_PROBLEMS] = { 0 };

	if (d->nr)
		qsort(d->f, d->nr, sizeof(*d->f), in_order);
	for (size_t i = 0; i < d->nr; i++) {
		say(&d->f[i], log, key_name, range_name);
		said[d->f[i].problem]++;
	}
	for (unsigned p = 1; p < PD_NR_PROBLEMS; p++)
		if (said[p] >= MAX_FINDINGS_OF_A_KIND && d->count[p] > said[p])
			pd_log(log, PD_LOG_ERR, "and %" PRIu64 " more: %s [%s]",
			       d->count[p] - said[p], rows[p].text, rows[p].name);
}
