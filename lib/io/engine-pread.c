/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files and block devices by pread(2) and pwrite(2): a request is done when submit() returns. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <pdata/err.h>
#include "base/util.h"
#include "config.h"
#include "io/engines.h"

struct pread_io {
	struct pd_io io;
	struct io_file *file;
	struct io_done done;
};

/* The descriptor, or -errno. */
static int open_path(const char *path, unsigned flags, uint64_t *size)
{
	int fd, r = 0, mode = (flags & PD_IO_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK;
	struct stat st;

	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENOTBLK;
	if (S_ISBLK(st.st_mode))
		mode |= (flags & PD_IO_SHARED ? 0 : O_EXCL) |
			(flags & PD_IO_BUFFERED ? 0 : O_DIRECT);
	else if (flags & PD_IO_DIRECT)
		mode |= O_DIRECT;
	fd = open(path, mode);
	if (fd < 0)
		return -errno;
	/* It may be another file by now than stat() saw. */
	if (fstat(fd, &st))
		r = -errno;
	else if (S_ISREG(st.st_mode))
		*size = (uint64_t)st.st_size;
	else if (!S_ISBLK(st.st_mode))
		r = -ENOTBLK;
	else if (ioctl(fd, BLKGETSIZE64, size))
		r = -errno;
	if (!r)
		return fd;
	close(fd);
	return r;
}

int io_file_open(struct io_file **file, const char *path, unsigned flags, struct pd_log *log)
{
	struct io_file *f = calloc(1, sizeof(*f));
	char *name = strdup(path);
	uint64_t size = 0;
	int fd = f && name ? open_path(path, flags, &size) : -ENOMEM;

	*file = NULL;
	if (fd < 0) {
		free(f);
		free(name);
		pd_log(log, PD_LOG_ERR, "cannot open %s: %s", path, pd_strerror(fd));
		if (fd == -EBUSY)
			pd_log(log, PD_LOG_ERR,
			       "This tool cannot run on live metadata with these options.");
		return fd;
	}
	if (fcntl(fd, F_GETFL) & O_DIRECT)
		flags &= ~(unsigned)PD_IO_BUFFERED;
	else
		flags |= PD_IO_BUFFERED;
	*f = (struct io_file){ .fd = fd, .users = 1, .nr_blocks = size / PD_BLOCK_SIZE,
			       .flags = flags, .path = name };
	*file = f;
	return 0;
}

struct io_file *io_file_get(struct io_file *file)
{
	__atomic_add_fetch(&file->users, 1, __ATOMIC_RELAXED);
	return file;
}

void io_file_put(struct io_file *file)
{
	if (!file || __atomic_sub_fetch(&file->users, 1, __ATOMIC_ACQ_REL))
		return;
	close(file->fd);
	free(file->path);
	free(file);
}

int io_file_transfer(struct io_file *file, const struct pd_io_req *req)
{
	size_t left = (size_t)req->nr * PD_BLOCK_SIZE;
	off_t at = (off_t)(req->block * PD_BLOCK_SIZE);
	char *p = req->buf;

	while (left) {
		ssize_t n = req->write ? pwrite(file->fd, p, left, at) :
					 pread(file->fd, p, left, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO;	/* the file was cut short meanwhile */
		p += n;
		at += n;
		left -= (size_t)n;
	}
	return 0;
}

int io_file_flush(struct io_file *file)
{
	return fdatasync(file->fd) ? -errno : 0;
}

static int pread_submit(struct pd_io *io, struct pd_io_req **reqs, unsigned nr)
{
	struct pread_io *p = container_of(io, struct pread_io, io);

	for (unsigned i = 0; i < nr; i++) {
		reqs[i]->result = io_file_transfer(p->file, reqs[i]);
		io_done_put(&p->done, reqs[i]);
	}
	return 0;
}

static int pread_reap(struct pd_io *io, struct pd_io_req **done, unsigned max, bool wait)
{
	struct pread_io *p = container_of(io, struct pread_io, io);

	(void)wait;
	return io_done_get(&p->done, done, max);
}

static void pread_ahead(struct pd_io *io, uint64_t block, uint64_t nr)
{
	struct pread_io *p = container_of(io, struct pread_io, io);

	if (io->flags & PD_IO_BUFFERED)
		posix_fadvise(p->file->fd, (off_t)(block * PD_BLOCK_SIZE), (off_t)(nr * PD_BLOCK_SIZE),
			      POSIX_FADV_WILLNEED);
}

static bool pread_cached(struct pd_io *io, uint64_t block)
{
#ifdef HAVE_PREADV2
	struct pread_io *p = container_of(io, struct pread_io, io);
	char byte;
	struct iovec one = { &byte, 1 };

	/* -EAGAIN is the answer "no"; where the file system cannot tell, so be it. */
	return !(io->flags & PD_IO_BUFFERED) ||
	       preadv2(p->file->fd, &one, 1, (off_t)(block * PD_BLOCK_SIZE), RWF_NOWAIT) >= 0 ||
	       errno != EAGAIN;
#else	/* musl before 1.2.5: nobody can tell */
	(void)io;
	(void)block;
	return true;
#endif
}

static int pread_flush(struct pd_io *io)
{
	return io_file_flush(container_of(io, struct pread_io, io)->file);
}

static int pread_clone(struct pd_io *io, struct pd_io **clone)
{
	return io_pread_create(clone, container_of(io, struct pread_io, io)->file);
}

static void pread_destroy(struct pd_io *io)
{
	struct pread_io *p = container_of(io, struct pread_io, io);

	io_file_put(p->file);
	free(p);
}

static const struct pd_io_ops pread_ops = {
	.submit = pread_submit,
	.reap = pread_reap,
	.flush = pread_flush,
	.ahead = pread_ahead,
	.cached = pread_cached,
	.clone = pread_clone,
	.destroy = pread_destroy,
};

int io_pread_create(struct pd_io **io, struct io_file *file)
{
	struct pread_io *p = calloc(1, sizeof(*p));

	*io = NULL;
	if (!p)
		return -ENOMEM;
	p->file = io_file_get(file);
	p->io = (struct pd_io){ .ops = &pread_ops, .nr_blocks = file->nr_blocks,
				.flags = file->flags, .depth = 1, .name = file->path };
	*io = &p->io;
	return 0;
}
