/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pdata/log.h>
#include <stdarg.h>
#include <stdio.h>

void pd_log(struct pd_log *log, enum pd_log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!log || !log->msg || level > log->level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log->msg(log->ctx, level, text);
}
