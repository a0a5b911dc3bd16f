/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fails on purpose: the n-th request, or every read of a bad block. Or a signal comes just then. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/bits.h"
#include "base/util.h"
#include "io/engines.h"

struct fault {
	struct io_shared shared;
	enum pd_fault what;
	uint64_t left;		/* until it fails; 0: nothing does */
	bool fired;
	int sig;		/* comes instead, or 0 */
	struct bits bad;	/* blocks that cannot be read */
	bool any_bad;
};

static struct fault *fault_of(const struct pd_io *io)
{
	return container_of(container_of(io, struct io_wrap, io)->shared, struct fault, shared);
}

static bool fires(struct fault *f, enum pd_fault what)
{
	bool now = false;
	int sig;

	pthread_mutex_lock(&f->shared.lock);
	if (f->left && (f->what == what || f->what == PD_FAULT_ANY)) {
		now = !--f->left;
		f->fired |= now;
	}
	sig = f->sig;
	pthread_mutex_unlock(&f->shared.lock);
	if (!now || !sig)
		return now;
	kill(getpid(), sig);
	return false;
}

static bool reads_bad_block(struct fault *f, const struct pd_io_req *req)
{
	bool bad;

	if (req->write)
		return false;
	pthread_mutex_lock(&f->shared.lock);
	bad = f->any_bad && bits_next(&f->bad, req->block) - req->block < req->nr &&
	      bits_next(&f->bad, req->block) < f->bad.nr;
	pthread_mutex_unlock(&f->shared.lock);
	return bad;
}

static int fault_submit(struct pd_io *io, struct pd_io_req **reqs, unsigned nr)
{
	struct io_wrap *w = container_of(io, struct io_wrap, io);
	struct fault *f = fault_of(io);

	for (unsigned i = 0; i < nr; i++) {
		if (fires(f, reqs[i]->write ? PD_FAULT_WRITE : PD_FAULT_READ) ||
		    reads_bad_block(f, reqs[i])) {
			reqs[i]->result = -EIO;
			io_done_put(&w->done, reqs[i]);
		} else {
			io_wrap_pass(w, reqs[i]);
		}
	}
	return 0;
}

static int fault_flush(struct pd_io *io)
{
	return fires(fault_of(io), PD_FAULT_FLUSH) ? -EIO :
	       pd_io_flush(container_of(io, struct io_wrap, io)->inner);
}

static const struct pd_io_ops fault_ops = {
	.submit = fault_submit,
	.reap = io_wrap_reap,
	.flush = fault_flush,
	.clone = io_wrap_clone,
	.destroy = io_wrap_destroy,
};

static void destroy(struct io_shared *shared)
{
	struct fault *f = container_of(shared, struct fault, shared);

	bits_exit(&f->bad);
	free(f);
}

int pd_io_fault(struct pd_io **io, struct pd_io *inner)
{
	struct fault *f = calloc(1, sizeof(*f));
	int r = f ? io_wrap_create(io, &fault_ops, inner, &f->shared) : -ENOMEM;

	if (r)
		free(f);
	else
		f->shared.destroy = destroy;
	return r;
}

void pd_fault_arm(struct pd_io *io, enum pd_fault what, uint64_t nth)
{
	struct fault *f = fault_of(io);

	pthread_mutex_lock(&f->shared.lock);
	f->what = what;
	f->left = nth;
	f->sig = 0;
	f->fired = false;
	pthread_mutex_unlock(&f->shared.lock);
}

void pd_fault_signal(struct pd_io *io, int sig)
{
	struct fault *f = fault_of(io);

	pthread_mutex_lock(&f->shared.lock);
	f->sig = sig;
	pthread_mutex_unlock(&f->shared.lock);
}

bool pd_fault_fired(const struct pd_io *io)
{
	return fault_of(io)->fired;
}

int pd_fault_bad_block(struct pd_io *io, uint64_t block)
{
	struct fault *f = fault_of(io);
	int r = 0;

	if (block >= io->nr_blocks)
		return -EINVAL;
	pthread_mutex_lock(&f->shared.lock);
	if (!f->bad.words)
		r = bits_init(&f->bad, io->nr_blocks);
	if (!r) {
		bits_set(&f->bad, block);
		f->any_bad = true;
	}
	pthread_mutex_unlock(&f->shared.lock);
	return r;
}

void pd_fault_clear(struct pd_io *io)
{
	struct fault *f = fault_of(io);

	pd_fault_arm(io, PD_FAULT_ANY, 0);
	pthread_mutex_lock(&f->shared.lock);
	bits_exit(&f->bad);
	f->any_bad = false;
	pthread_mutex_unlock(&f->shared.lock);
}
