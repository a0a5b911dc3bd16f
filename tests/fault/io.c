/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lowest layers with every allocation and every request failing in turn. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/bits.h"
#include "fault/each.h"
#include "io/stream.h"
#include "unit/unit.h"

#define NR_BLOCKS 600u

static int see(void *ctx, unsigned worker, uint64_t block, const void *data, int err)
{
	(void)ctx;
	(void)worker;
	(void)block;
	return data ? 0 : err;
}

static int stream_all(void *ctx, struct pd_io *io)
{
	struct pd_run run = { .nr_threads = *(unsigned *)ctx };
	struct bits set;
	int r = bits_init(&set, NR_BLOCKS);

	for (uint64_t b = 0; !r && b < NR_BLOCKS; b += b % 7 ? 1 : 3)
		bits_set(&set, b);
	if (!r)
		r = stream_blocks(io, &set, &run, "reading", see, NULL);
	bits_exit(&set);
	return r;
}

static int on_a_file(void *ctx)
{
	char path[] = "/tmp/pdata-unit-XXXXXX";
	int fd = mkstemp(path), r;
	struct pd_io *io;

	if (fd < 0 || ftruncate(fd, NR_BLOCKS * PD_BLOCK_SIZE))
		return -errno;
	close(fd);
	r = pd_io_open(&io, path, 0, NULL, NULL);
	if (!r)
		r = stream_all(ctx, io);
	pd_io_close(io);
	unlink(path);
	return r;
}

static int on_memory_behind_wrappers(void *ctx)
{
	struct pd_io *io, *top, *disk;
	uint8_t *buf = NULL;
	int r = pd_io_open_ram(&io, NR_BLOCKS);

	if (r)
		return r;
	r = pd_io_fault(&top, io);
	if (!r) {
		io = top;
		r = pd_io_crash(&top, io);
	}
	if (!r)
		io = top;
	if (!r && !(buf = pd_io_buffer(1)))
		r = -ENOMEM;
	if (!r) {
		memset(buf, 1, PD_BLOCK_SIZE);
		r = pd_io_write(io, 5, 1, buf);
	}
	if (!r)
		r = pd_io_flush(io);
	if (!r)
		r = pd_crash_disk(io, 1, 0, &disk);
	if (!r)
		pd_io_close(disk);
	if (!r)
		r = stream_all(ctx, io);
	free(buf);
	pd_io_close(io);
	return r;
}

static void test_no_allocation_is_taken_for_granted(void)
{
	unsigned threads = 1;

	CU_ASSERT(fault_each_alloc(on_a_file, &threads) > 4);
	CU_ASSERT(fault_each_alloc(on_memory_behind_wrappers, &threads) > 8);
	threads = 3;
	CU_ASSERT(fault_each_alloc(on_a_file, &threads) > 4);
}

static int open_ram(void *ctx, struct pd_io **io)
{
	(void)ctx;
	return pd_io_open_ram(io, NR_BLOCKS);
}

/* A large read that fails is tried again block by block: one lasting fault is not enough. */
static int stream_counting(void *ctx, struct pd_io *io)
{
	int r = stream_all(ctx, io);

	return !r && pd_fault_fired(io) ? -EIO : r;
}

static void test_a_read_that_fails_once_is_made_good(void)
{
	unsigned threads = 1;

	CU_ASSERT(fault_each_io(open_ram, PD_FAULT_READ, stream_counting, &threads) > 2);
}

UNIT_SUITE(fault_io,
	UNIT(test_no_allocation_is_taken_for_granted),
	UNIT(test_a_read_that_fails_once_is_made_good)
);
