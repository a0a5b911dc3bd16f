/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include "base/util.h"
#include "meta/report.h"

int report_say(const struct pd_sink *s, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return s->write(s->ctx, text, min_t(size_t, (size_t)n, sizeof(text) - 1));
}

int report_lost(const struct pd_sink *s, const struct damage *d, enum pd_place place,
		const uint64_t *key)
{
	const char *comma = "";
	int r = 0;

	for (size_t i = 0; !r && i < d->nr; i++) {
		const struct pd_finding *f = &d->f[i];

		if (!f->has_range || (place != PD_NR_PLACES && f->place != place) ||
		    (key && (!f->has_key || f->key != *key)))
			continue;
		r = report_say(s, "%s{\"begin\": %" PRIu64 ", \"end\": ", comma, f->begin);
		if (!r)
			r = f->end ? report_say(s, "%" PRIu64, f->end) : report_say(s, "null");
		if (!r)
			r = f->block == PD_NO_BLOCK ? report_say(s, ", \"block\": null") :
						      report_say(s, ", \"block\": %" PRIu64, f->block);
		if (!r)
			r = report_say(s, ", \"reason\": \"%s\"}", pd_problem_row(f->problem)->name);
		comma = ", ";
	}
	return r;
}
