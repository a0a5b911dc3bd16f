/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The big read path: a set of blocks in, each of them once, in disk order, to worker threads.
 */
#ifndef PD_IO_STREAM_H
#define PD_IO_STREAM_H

#include "base/bits.h"
#include <pdata/io.h>

/**
 * stream_blocks() - read every block in @set once and hand it to @fn.
 * @io:      where from; the workers use clones of it.
 * @set:     blocks wanted; those at or beyond the end of @io give @err = -EIO.
 * @run:     threads, progress (told in blocks read); log is not used.
 * @what:    text for the progress.
 * @fn:      called on worker threads, each block once, in any order between workers:
 *           @data is PD_BLOCK_SIZE bytes, or NULL and @err (-errno) if that very block
 *           cannot be read (a failed large read is tried again block by block). @worker
 *           is 0 to the number of threads - 1. Returning non-zero stops the stream.
 *
 * Reads in disk order in large pieces (up to 1 MiB), bridging small gaps; memory
 * is two such buffers a worker.
 *
 * Return: 0, what @fn returned, or -ENOMEM.
 */
typedef int (*stream_fn)(void *ctx, unsigned worker, uint64_t block, const void *data, int err);

int stream_blocks(struct pd_io *io, const struct bits *set, const struct pd_run *run,
		  const char *what, stream_fn fn, void *ctx);

/** stream_nr_threads() - how many workers stream_blocks() will use with @run for @nr_blocks blocks. */
unsigned stream_nr_threads(const struct pd_run *run, uint64_t nr_blocks);

#endif
