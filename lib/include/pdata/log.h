/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * DOC: Log
 *
 * A log is where the library says what it found out: what happened, where, and
 * what can be done. NULL is a log that says nothing.
 */
#ifndef PDATA_LOG_H
#define PDATA_LOG_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum pd_log_level {
	PD_LOG_ERR,		/* why a call fails */
	PD_LOG_WARN,		/* the call goes on */
	PD_LOG_INFO,		/* what is being done */
	PD_LOG_DEBUG,
};

/**
 * struct pd_log - where messages go.
 * @msg:   takes one line without its newline. May be called from several threads
 *         only where a function says so.
 * @ctx:   handed to @msg.
 * @level: highest level that is wanted.
 */
struct pd_log {
	void (*msg)(void *ctx, enum pd_log_level level, const char *text);
	void *ctx;
	enum pd_log_level level;
};

#define PD_PRINTF(f, a) __attribute__((format(printf, f, a)))

/** pd_log() - say one line, printf fashion; without a newline. @log may be NULL. */
void pd_log(struct pd_log *log, enum pd_log_level level, const char *fmt, ...) PD_PRINTF(3, 4);

/**
 * struct pd_progress - how far a long piece of work has come.
 * @update: gets units done and units in all, now and then, on the thread that
 *          called the library; @what is a static text such as "checking". It may be NULL.
 */
struct pd_progress {
	void (*update)(void *ctx, const char *what, unsigned long long done, unsigned long long all);
	void *ctx;
};

/**
 * struct pd_run - what every larger piece of work is given.
 * @size:       sizeof(struct pd_run); 0 is taken for the members that follow, those of 1.0
 * @log:        NULL says nothing
 * @progress:   NULL tells nothing
 * @nr_threads: worker threads; 0 means as many as there are processors
 */
struct pd_run {
	size_t size;
	struct pd_log *log;
	struct pd_progress *progress;
	unsigned nr_threads;
};

#ifdef __cplusplus
}
#endif
#endif
