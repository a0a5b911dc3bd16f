/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What engines in front of other engines have in common. */
#include <errno.h>
#include <stdlib.h>
#include "base/util.h"
#include "io/engines.h"

int io_wrap_create(struct pd_io **io, const struct pd_io_ops *ops, struct pd_io *inner,
		   struct io_shared *shared)
{
	struct io_wrap *w = calloc(1, sizeof(*w));

	*io = NULL;
	if (!w)
		return -ENOMEM;
	pthread_mutex_init(&shared->lock, NULL);
	shared->users = 1;
	w->io = *inner;
	w->io.ops = ops;
	w->inner = inner;
	w->shared = shared;
	*io = &w->io;
	return 0;
}

void io_wrap_pass(struct io_wrap *w, struct pd_io_req *req)
{
	int r = pd_io_submit(w->inner, &req, 1);

	if (r) {
		req->result = r;
		io_done_put(&w->done, req);
	}
}

int io_wrap_reap(struct pd_io *io, struct pd_io_req **done, unsigned max, bool wait)
{
	struct io_wrap *w = container_of(io, struct io_wrap, io);
	int r, n = io_done_get(&w->done, done, max);

	r = pd_io_reap(w->inner, done + n, max - (unsigned)n, wait && !n);
	return r >= 0 ? n + r : n ? n : r;
}

int io_wrap_clone(struct pd_io *io, struct pd_io **clone)
{
	struct io_wrap *w = container_of(io, struct io_wrap, io), *c = calloc(1, sizeof(*c));
	int r = c ? pd_io_clone(w->inner, &c->inner) : -ENOMEM;

	*clone = NULL;
	if (r) {
		free(c);
		return r;
	}
	c->io = w->io;
	c->io.name = c->inner->name;
	c->shared = w->shared;
	__atomic_add_fetch(&c->shared->users, 1, __ATOMIC_RELAXED);
	*clone = &c->io;
	return 0;
}

void io_wrap_destroy(struct pd_io *io)
{
	struct io_wrap *w = container_of(io, struct io_wrap, io);

	pd_io_close(w->inner);
	if (!__atomic_sub_fetch(&w->shared->users, 1, __ATOMIC_ACQ_REL)) {
		pthread_mutex_destroy(&w->shared->lock);
		w->shared->destroy(w->shared);
	}
	free(w);
}
