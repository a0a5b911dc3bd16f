/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What holds for any engine: opening by name, and reads and writes that wait. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "io/engine.h"
#include "io/engines.h"

int pd_io_open(struct pd_io **io, const char *path, unsigned flags, const char *engine,
	       struct pd_log *log)
{
	*io = NULL;
	if (!engine || !strcmp(engine, "sync") || !strcmp(engine, "spindle") ||
	    !strcmp(engine, "async"))
		return io_pread_open(io, path, flags, log);
	pd_log(log, PD_LOG_ERR, "there is no I/O engine '%s'", engine);
	return -EINVAL;
}

int pd_io_clone(struct pd_io *io, struct pd_io **clone)
{
	return io->ops->clone(io, clone);
}

void pd_io_close(struct pd_io *io)
{
	if (io)
		io->ops->destroy(io);
}

uint64_t pd_io_nr_blocks(const struct pd_io *io)
{
	return io->nr_blocks;
}

const char *pd_io_name(const struct pd_io *io)
{
	return io->name;
}

static int transfer(struct pd_io *io, struct pd_io_req *req)
{
	struct pd_io_req *done;
	int r;

	if (req->block >= io->nr_blocks || req->nr > io->nr_blocks - req->block)
		return -EIO;
	r = pd_io_submit(io, &req, 1);
	if (r)
		return r;
	r = pd_io_reap(io, &done, 1, true);
	return r < 0 ? r : done->result;
}

int pd_io_read(struct pd_io *io, uint64_t block, uint32_t nr, void *buf)
{
	return transfer(io, &(struct pd_io_req){ .block = block, .nr = nr, .buf = buf });
}

int pd_io_write(struct pd_io *io, uint64_t block, uint32_t nr, const void *buf)
{
	return transfer(io, &(struct pd_io_req){ .block = block, .nr = nr, .write = true,
						 .buf = (void *)buf });
}

int pd_io_flush(struct pd_io *io)
{
	return io->ops->flush(io);
}

void *pd_io_buffer(uint32_t nr)
{
	return aligned_alloc(PD_BLOCK_SIZE, (size_t)nr * PD_BLOCK_SIZE);
}

bool pd_io_same(const char *path_a, const char *path_b)
{
	struct stat a, b;

	if (stat(path_a, &a) || stat(path_b, &b))
		return false;
	if (S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode))
		return a.st_rdev == b.st_rdev;
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void io_done_put(struct io_done *d, struct pd_io_req *req)
{
	req->next = NULL;
	*(d->last ? &d->last->next : &d->first) = req;
	d->last = req;
}

int io_done_get(struct io_done *d, struct pd_io_req **done, unsigned max)
{
	unsigned n = 0;

	while (n < max && d->first) {
		done[n] = d->first;
		d->first = d->first->next;
		n++;
	}
	if (!d->first)
		d->last = NULL;
	return (int)n;
}
