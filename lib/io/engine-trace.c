/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes a line for each request, in the order they are submitted. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/util.h"
#include "io/engines.h"

struct trace {
	struct io_shared shared;
	FILE *file;
};

static FILE *file_of(struct pd_io *io)
{
	return container_of(container_of(io, struct io_wrap, io)->shared, struct trace, shared)->file;
}

static int trace_submit(struct pd_io *io, struct pd_io_req **reqs, unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		fprintf(file_of(io), "%c %" PRIu64 " %" PRIu32 "\n", reqs[i]->write ? 'W' : 'R',
			reqs[i]->block, reqs[i]->nr);
	return pd_io_submit(container_of(io, struct io_wrap, io)->inner, reqs, nr);
}

static int trace_flush(struct pd_io *io)
{
	fprintf(file_of(io), "F\n");
	return pd_io_flush(container_of(io, struct io_wrap, io)->inner);
}

static const struct pd_io_ops trace_ops = {
	.submit = trace_submit,
	.reap = io_wrap_reap,
	.flush = trace_flush,
	.clone = io_wrap_clone,
	.destroy = io_wrap_destroy,
};

static void destroy(struct io_shared *shared)
{
	free(container_of(shared, struct trace, shared));
}

int pd_io_trace(struct pd_io **io, struct pd_io *inner, void *file)
{
	struct trace *t = calloc(1, sizeof(*t));
	int r = t ? io_wrap_create(io, &trace_ops, inner, &t->shared) : -ENOMEM;

	if (r) {
		free(t);
		return r;
	}
	t->shared.destroy = destroy;
	t->file = file;
	return 0;
}
