/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files and block devices by io_uring, where build and kernel have it. A ring a handle. */
#include <errno.h>
#include <stdlib.h>
#include "config.h"
#include "base/util.h"
#include "io/engines.h"

#ifdef HAVE_LIBURING
#include <liburing.h>

#define DEPTH 32u

struct uring_io {
	struct pd_io io;
	struct io_file *file;
	struct io_uring ring;
	unsigned under_way;
	struct io_done done;
};

/* What the kernel did not finish is finished by waiting: rare, and the simplest that is right. */
static void finish(struct uring_io *u, struct io_uring_cqe *cqe)
{
	struct pd_io_req *req = io_uring_cqe_get_data(cqe);
	int res = cqe->res;

	io_uring_cqe_seen(&u->ring, cqe);
	u->under_way--;
	if (res == -EINTR || res == -EAGAIN || (res >= 0 && (size_t)res != (size_t)req->nr * PD_BLOCK_SIZE))
		req->result = io_file_transfer(u->file, req);
	else
		req->result = res < 0 ? res : 0;
	io_done_put(&u->done, req);
}

static int wait_for_one(struct uring_io *u)
{
	struct io_uring_cqe *cqe;
	int r;

	do
		r = io_uring_wait_cqe(&u->ring, &cqe);
	while (r == -EINTR);
	if (!r)
		finish(u, cqe);
	return r;
}

static int uring_submit(struct pd_io *io, struct pd_io_req **reqs, unsigned nr)
{
	struct uring_io *u = container_of(io, struct uring_io, io);

	for (unsigned i = 0; i < nr; i++) {
		struct pd_io_req *q = reqs[i];
		unsigned len = q->nr * PD_BLOCK_SIZE;
		struct io_uring_sqe *sqe;

		while (u->under_way >= DEPTH && !wait_for_one(u))
			;
		sqe = u->under_way < DEPTH ? io_uring_get_sqe(&u->ring) : NULL;
		if (!sqe) {
			q->result = io_file_transfer(u->file, q);
			io_done_put(&u->done, q);
			continue;
		}
		if (q->write)
			io_uring_prep_write(sqe, u->file->fd, q->buf, len, q->block * PD_BLOCK_SIZE);
		else
			io_uring_prep_read(sqe, u->file->fd, q->buf, len, q->block * PD_BLOCK_SIZE);
		io_uring_sqe_set_data(sqe, q);
		u->under_way++;
		/* What is not taken now (the kernel is busy) stays queued; waiting submits it. */
		if (i + 1 == nr || u->under_way == DEPTH)
			io_uring_submit(&u->ring);
	}
	return 0;
}

static int uring_reap(struct pd_io *io, struct pd_io_req **done, unsigned max, bool wait)
{
	struct uring_io *u = container_of(io, struct uring_io, io);
	struct io_uring_cqe *cqe;
	int r = 0;

	while (!io_uring_peek_cqe(&u->ring, &cqe))
		finish(u, cqe);
	while (wait && !r && !u->done.first && u->under_way) {
		io_uring_submit(&u->ring);
		r = wait_for_one(u);
	}
	return r ? r : io_done_get(&u->done, done, max);
}

static int uring_flush(struct pd_io *io)
{
	return io_file_flush(container_of(io, struct uring_io, io)->file);
}

static int uring_clone(struct pd_io *io, struct pd_io **clone)
{
	struct uring_io *u = container_of(io, struct uring_io, io);

	/* A kernel that has given one ring may refuse the next. */
	return io_ring_create(clone, u->file) ? io_pread_create(clone, u->file) : 0;
}

static void uring_destroy(struct pd_io *io)
{
	struct uring_io *u = container_of(io, struct uring_io, io);

	while (u->under_way && !wait_for_one(u))
		;
	io_uring_queue_exit(&u->ring);
	io_file_put(u->file);
	free(u);
}

static const struct pd_io_ops uring_ops = {
	.submit = uring_submit,
	.reap = uring_reap,
	.flush = uring_flush,
	.clone = uring_clone,
	.destroy = uring_destroy,
};

static bool reads_and_writes(struct io_uring *ring)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	bool yes = probe && io_uring_opcode_supported(probe, IORING_OP_READ) &&
		   io_uring_opcode_supported(probe, IORING_OP_WRITE);

	if (probe)
		io_uring_free_probe(probe);
	return yes;
}

int io_ring_create(struct pd_io **io, struct io_file *file)
{
	struct uring_io *u = calloc(1, sizeof(*u));
	int r = u ? io_uring_queue_init(DEPTH, &u->ring, 0) : -ENOMEM;

	*io = NULL;
	if (!r && !reads_and_writes(&u->ring)) {
		io_uring_queue_exit(&u->ring);
		r = -ENOSYS;
	}
	if (r) {
		free(u);
		return r;
	}
	u->file = io_file_get(file);
	u->io = (struct pd_io){ .ops = &uring_ops, .nr_blocks = file->nr_blocks,
				.flags = file->flags, .depth = DEPTH, .name = file->path };
	*io = &u->io;
	return 0;
}
#else
int io_ring_create(struct pd_io **io, struct io_file *file)
{
	(void)file;
	*io = NULL;
	return -ENOSYS;
}
#endif
