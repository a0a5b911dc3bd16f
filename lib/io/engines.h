/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the engines share among themselves, and how io.c opens them. */
#ifndef PD_IO_ENGINES_H
#define PD_IO_ENGINES_H

#include "io/engine.h"

int io_pread_open(struct pd_io **io, const char *path, unsigned flags, struct pd_log *log);

/*
 * io_file_open() - open(2) with the flags and messages all file engines share.
 * Returns the descriptor, or -errno after a message; @*nr_blocks are the whole blocks there are.
 */
int io_file_open(const char *path, unsigned flags, uint64_t *nr_blocks, struct pd_log *log);

/* Requests that are done and wait to be reaped, first in first out. */
struct io_done {
	struct pd_io_req *first, *last;
};
void io_done_put(struct io_done *d, struct pd_io_req *req);
int io_done_get(struct io_done *d, struct pd_io_req **done, unsigned max);

#endif
