/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the engines share among themselves, and how io.c opens them. */
#ifndef PD_IO_ENGINES_H
#define PD_IO_ENGINES_H

#include <pthread.h>
#include "io/engine.h"

/* Requests that are done and wait to be reaped, first in first out. */
struct io_done {
	struct pd_io_req *first, *last;
};
void io_done_put(struct io_done *d, struct pd_io_req *req);
int io_done_get(struct io_done *d, struct pd_io_req **done, unsigned max);

/* ---- Files and devices ---- */

/* An open file, shared by a handle and its clones. */
struct io_file {
	int fd;
	unsigned users;
	uint64_t nr_blocks;
	unsigned flags;		/* those of the opener; PD_IO_BUFFERED where the page cache is used */
	char *path;
};

/* open(2) with the flags and messages all file engines share; one user. */
int io_file_open(struct io_file **file, const char *path, unsigned flags, struct pd_log *log);
struct io_file *io_file_get(struct io_file *file);
void io_file_put(struct io_file *file);
/* The whole of @req, waiting, over short transfers and signals. 0 or -errno. */
int io_file_transfer(struct io_file *file, const struct pd_io_req *req);
int io_file_flush(struct io_file *file);

/* Handles on @file, which they get for themselves. */
int io_pread_create(struct pd_io **io, struct io_file *file);
/* -ENOSYS and the like where the kernel or the build has no io_uring: nothing is said. */
int io_ring_create(struct pd_io **io, struct io_file *file);

/* ---- Memory ---- */

/* Every block of @from; those of zeros cost no memory. -EIO if one cannot be read. */
int io_ram_copy(struct pd_io **io, struct pd_io *from);

/* ---- Wrappers ---- */

/* What a wrapper and its clones share. */
struct io_shared {
	pthread_mutex_t lock;
	unsigned users;
	void (*destroy)(struct io_shared *shared);	/* frees it */
};

struct io_wrap {
	struct pd_io io;
	struct pd_io *inner;
	struct io_shared *shared;
	struct io_done done;	/* requests the wrapper finished itself */
};

/* A handle in front of @inner with the first use of @shared; -ENOMEM frees neither. */
int io_wrap_create(struct pd_io **io, const struct pd_io_ops *ops, struct pd_io *inner,
		   struct io_shared *shared);
/* Passes one request on; if @inner does not take it, it is done, with that error. */
void io_wrap_pass(struct io_wrap *w, struct pd_io_req *req);

/* Methods for a wrapper's table. */
int io_wrap_reap(struct pd_io *io, struct pd_io_req **done, unsigned max, bool wait);
int io_wrap_clone(struct pd_io *io, struct pd_io **clone);
void io_wrap_destroy(struct pd_io *io);

#endif
