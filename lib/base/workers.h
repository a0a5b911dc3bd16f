/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A handful of threads that run one function at a time, together. */
#ifndef PD_BASE_WORKERS_H
#define PD_BASE_WORKERS_H

#define WORKERS_MAX 8	/* as many as base/counts.h can bear */

/**
 * workers_run() - run @fn on @nr threads and wait for all.
 * @nr:  1 or more; with 1, @fn runs on the caller's thread and no thread is made.
 * @fn:  gets @ctx and its number, 0 to @nr - 1. Number 0 is the caller's thread.
 *
 * More than WORKERS_MAX are not made. If threads cannot be made, fewer run; @fn must not rely on @nr of them.
 */
void workers_run(unsigned nr, void (*fn)(void *ctx, unsigned worker), void *ctx);

/** workers_default() - processors this process may use, at most WORKERS_MAX. */
unsigned workers_default(void);

#endif
