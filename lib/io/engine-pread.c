/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files and block devices by pread(2) and pwrite(2): a request is done when submit() returns. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <pdata/err.h>
#include "base/util.h"
#include "io/engines.h"

struct file {
	int fd;
	unsigned users;		/* handles that share it */
};

struct pread_io {
	struct pd_io io;
	struct file *file;
	struct io_done done;
};

int io_file_open(const char *path, unsigned flags, uint64_t *nr_blocks, struct pd_log *log)
{
	int fd, mode = (flags & PD_IO_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK;
	uint64_t size = 0;
	struct stat st;

	if (stat(path, &st)) {
		fd = -errno;
		goto bad;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		fd = -ENOTBLK;
		goto bad;
	}
	if (S_ISBLK(st.st_mode))
		mode |= (flags & PD_IO_SHARED ? 0 : O_EXCL) |
			(flags & PD_IO_BUFFERED ? 0 : O_DIRECT);
	else if (flags & PD_IO_DIRECT)
		mode |= O_DIRECT;
	fd = open(path, mode);
	if (fd < 0) {
		fd = -errno;
		goto bad;
	}
	if (S_ISREG(st.st_mode)) {
		if (!fstat(fd, &st))
			size = (uint64_t)st.st_size;
	} else if (ioctl(fd, BLKGETSIZE64, &size)) {
		int r = -errno;

		close(fd);
		fd = r;
		goto bad;
	}
	*nr_blocks = size / PD_BLOCK_SIZE;
	return fd;
bad:
	pd_log(log, PD_LOG_ERR, "cannot open %s: %s", path, pd_strerror(fd));
	if (fd == -EBUSY)
		pd_log(log, PD_LOG_ERR, "This tool cannot run on live metadata with these options.");
	return fd;
}

/* The whole of @req, over short transfers and signals. */
static int transfer(int fd, const struct pd_io_req *req)
{
	size_t left = (size_t)req->nr * PD_BLOCK_SIZE;
	off_t at = (off_t)(req->block * PD_BLOCK_SIZE);
	char *p = req->buf;

	while (left) {
		ssize_t n = req->write ? pwrite(fd, p, left, at) : pread(fd, p, left, at);

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

static int pread_submit(struct pd_io *io, struct pd_io_req **reqs, unsigned nr)
{
	struct pread_io *p = container_of(io, struct pread_io, io);

	for (unsigned i = 0; i < nr; i++) {
		reqs[i]->result = transfer(p->file->fd, reqs[i]);
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

static int pread_flush(struct pd_io *io)
{
	struct pread_io *p = container_of(io, struct pread_io, io);

	return fdatasync(p->file->fd) ? -errno : 0;
}

static void pread_destroy(struct pd_io *io)
{
	struct pread_io *p = container_of(io, struct pread_io, io);

	if (!__atomic_sub_fetch(&p->file->users, 1, __ATOMIC_ACQ_REL)) {
		close(p->file->fd);
		free(p->file);
	}
	free(io->name);
	free(p);
}

static int pread_clone(struct pd_io *io, struct pd_io **clone);

static const struct pd_io_ops pread_ops = {
	.submit = pread_submit,
	.reap = pread_reap,
	.flush = pread_flush,
	.clone = pread_clone,
	.destroy = pread_destroy,
};

static int pread_clone(struct pd_io *io, struct pd_io **clone)
{
	struct pread_io *p = container_of(io, struct pread_io, io), *c = malloc(sizeof(*c));

	*clone = NULL;
	if (!c)
		return -ENOMEM;
	*c = *p;
	c->done = (struct io_done){ NULL, NULL };
	c->io.name = strdup(io->name);
	if (!c->io.name) {
		free(c);
		return -ENOMEM;
	}
	__atomic_add_fetch(&p->file->users, 1, __ATOMIC_RELAXED);
	*clone = &c->io;
	return 0;
}

int io_pread_open(struct pd_io **io, const char *path, unsigned flags, struct pd_log *log)
{
	struct pread_io *p = calloc(1, sizeof(*p));
	struct file *f = calloc(1, sizeof(*f));
	char *name = strdup(path);
	int r = -ENOMEM;

	if (!p || !f || !name)
		goto bad;
	r = io_file_open(path, flags, &p->io.nr_blocks, log);
	if (r < 0)
		goto bad;
	*f = (struct file){ .fd = r, .users = 1 };
	p->file = f;
	p->io.ops = &pread_ops;
	p->io.flags = flags;
	if (!(fcntl(r, F_GETFL) & O_DIRECT))
		p->io.flags |= PD_IO_BUFFERED;
	p->io.depth = 1;
	p->io.name = name;
	*io = &p->io;
	return 0;
bad:
	free(name);
	free(f);
	free(p);
	return r;
}
