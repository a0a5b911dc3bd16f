/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/workers.h"
#include <pthread.h>
#include <sched.h>

struct worker {
	pthread_t thread;
	void (*fn)(void *ctx, unsigned worker);
	void *ctx;
	unsigned number;
};

static void *enter(void *v)
{
	struct worker *w = v;

	w->fn(w->ctx, w->number);
	return NULL;
}

void workers_run(unsigned nr, void (*fn)(void *ctx, unsigned worker), void *ctx)
{
	struct worker w[WORKERS_MAX];
	unsigned i, made = 1;

	if (nr > WORKERS_MAX)
		nr = WORKERS_MAX;
	for (i = 1; i < nr; i++) {
		w[i] = (struct worker){ .fn = fn, .ctx = ctx, .number = i };
		if (pthread_create(&w[i].thread, NULL, enter, &w[i]))
			break;
		made++;
	}
	fn(ctx, 0);
	for (i = 1; i < made; i++)
		pthread_join(w[i].thread, NULL);
}

unsigned workers_default(void)
{
	cpu_set_t set;
	int n = 1;

	if (!sched_getaffinity(0, sizeof(set), &set))
		n = CPU_COUNT(&set);
	return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}
