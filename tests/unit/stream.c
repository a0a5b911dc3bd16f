/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/bits.h"
#include "io/engine.h"
#include "io/stream.h"
#include "unit/unit.h"

#define NR_BLOCKS 5000u

struct seen {
	uint8_t times[NR_BLOCKS + 100];
	int err[NR_BLOCKS + 100];
	uint64_t last;		/* with one worker: blocks ascend */
	bool ordered;
	uint64_t stop_at;
	unsigned max_worker;
};

static int see(void *ctx, unsigned worker, uint64_t block, const void *data, int err)
{
	struct seen *s = ctx;
	uint64_t own;

	__atomic_fetch_add(&s->times[block], 1, __ATOMIC_RELAXED);
	s->err[block] = err;
	if (data) {
		memcpy(&own, data, sizeof(own));
		if (own != block || err)
			s->err[block] = -1;
	}
	if (worker > __atomic_load_n(&s->max_worker, __ATOMIC_RELAXED))
		__atomic_store_n(&s->max_worker, worker, __ATOMIC_RELAXED);
	if (!worker) {
		s->ordered &= block >= s->last;
		s->last = block;
	}
	return block == s->stop_at ? -ECANCELED : 0;
}

/* Each block holds its own number. */
static void number_blocks(struct pd_io *io)
{
	uint8_t *buf = pd_io_buffer(1);

	memset(buf, 0, PD_BLOCK_SIZE);
	for (uint64_t b = 0; b < NR_BLOCKS; b++) {
		memcpy(buf, &b, sizeof(b));
		CU_ASSERT_EQUAL_FATAL(pd_io_write(io, b, 1, buf), 0);
	}
	free(buf);
}

static bool wanted(uint64_t b, unsigned pattern)
{
	return pattern == 0 ? true : pattern == 1 ? b % 3 == 0 : pattern == 2 ? b % 100 < 40 :
	       pattern == 3 ? b == 4999 : b / 64 % 2 && b % 64 != 63;
}

static int stream(struct pd_io *io, unsigned pattern, unsigned nr_threads, struct seen *s)
{
	struct pd_run run = { .nr_threads = nr_threads };
	struct bits set;
	int r;

	memset(s, 0, sizeof(*s));
	s->ordered = true;
	s->stop_at = UINT64_MAX;
	CU_ASSERT_EQUAL_FATAL(bits_init(&set, NR_BLOCKS), 0);
	for (uint64_t b = 0; b < NR_BLOCKS; b++)
		if (wanted(b, pattern))
			bits_set(&set, b);
	r = stream_blocks(io, &set, &run, "reading", see, s);
	bits_exit(&set);
	return r;
}

static void test_every_block_of_the_set_once_and_no_other(void)
{
	static const char *const engines[] = { "sync", "async", "ram:sync" };
	char path[] = "/tmp/pdata-unit-XXXXXX";
	struct seen *s = malloc(sizeof(*s));
	struct pd_io *io;
	int fd = mkstemp(path);

	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, NR_BLOCKS * PD_BLOCK_SIZE), 0);
	close(fd);
	CU_ASSERT_EQUAL_FATAL(pd_io_open(&io, path, PD_IO_WRITE, NULL, NULL), 0);
	number_blocks(io);
	pd_io_close(io);
	for (unsigned i = 0; i < 3 * 5 * 2; i++) {
		unsigned pattern = i % 5, bad = 0, threads = i / 15 ? 4 : 1;

		CU_ASSERT_EQUAL_FATAL(pd_io_open(&io, path, PD_IO_STACKED, engines[i / 5 % 3], NULL), 0);
		CU_ASSERT_EQUAL(stream(io, pattern, threads, s), 0);
		for (uint64_t b = 0; b < NR_BLOCKS; b++)
			bad += s->times[b] != wanted(b, pattern) || s->err[b];
		CU_ASSERT_EQUAL(bad, 0);
		if (threads == 1 && i / 5 % 3 != 1)
			CU_ASSERT(s->ordered);
		pd_io_close(io);
	}
	unlink(path);
	free(s);
}

static void test_a_bad_block_costs_only_itself(void)
{
	struct seen *s = malloc(sizeof(*s));
	struct pd_io *io, *inner;
	unsigned bad = 0;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&inner, NR_BLOCKS), 0);
	number_blocks(inner);
	CU_ASSERT_EQUAL_FATAL(pd_io_fault(&io, inner), 0);
	pd_fault_bad_block(io, 0);
	pd_fault_bad_block(io, 1234);
	pd_fault_bad_block(io, NR_BLOCKS - 1);
	CU_ASSERT_EQUAL(stream(io, 0, 2, s), 0);
	for (uint64_t b = 0; b < NR_BLOCKS; b++)
		bad += s->times[b] != 1 ||
		       s->err[b] != (b == 0 || b == 1234 || b == NR_BLOCKS - 1 ? -EIO : 0);
	CU_ASSERT_EQUAL(bad, 0);
	pd_io_close(io);
	free(s);
}

static void test_blocks_beyond_the_end_cannot_be_read(void)
{
	struct seen *s = calloc(1, sizeof(*s));
	struct pd_run run = { .nr_threads = 2 };
	struct bits set;
	struct pd_io *io;

	s->stop_at = UINT64_MAX;
	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, NR_BLOCKS), 0);
	number_blocks(io);
	CU_ASSERT_EQUAL_FATAL(bits_init(&set, NR_BLOCKS + 100), 0);
	for (uint64_t b = NR_BLOCKS - 3; b < NR_BLOCKS + 3; b++)
		bits_set(&set, b);
	bits_set(&set, NR_BLOCKS + 99);
	CU_ASSERT_EQUAL(stream_blocks(io, &set, &run, "reading", see, s), 0);
	for (uint64_t b = NR_BLOCKS - 3; b < NR_BLOCKS + 3; b++)
		CU_ASSERT(s->times[b] == 1 && s->err[b] == (b < NR_BLOCKS ? 0 : -EIO));
	CU_ASSERT(s->times[NR_BLOCKS + 99] == 1 && s->err[NR_BLOCKS + 99] == -EIO);
	bits_exit(&set);
	pd_io_close(io);
	free(s);
}

static void test_the_listener_can_stop_the_stream(void)
{
	struct seen *s = calloc(1, sizeof(*s));
	struct pd_run run = { .nr_threads = 3 };
	struct bits set;
	struct pd_io *io;

	s->stop_at = 70;
	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, NR_BLOCKS), 0);
	number_blocks(io);
	CU_ASSERT_EQUAL_FATAL(bits_init(&set, NR_BLOCKS), 0);
	for (uint64_t b = 0; b < NR_BLOCKS; b++)
		bits_set(&set, b);
	CU_ASSERT_EQUAL(stream_blocks(io, &set, &run, "reading", see, s), -ECANCELED);
	CU_ASSERT_EQUAL(s->times[71], 0);
	bits_exit(&set);
	pd_io_close(io);
	free(s);
}

static void progressed(void *ctx, const char *what, unsigned long long done, unsigned long long all)
{
	unsigned long long *last = ctx;

	CU_ASSERT_STRING_EQUAL(what, "reading");
	CU_ASSERT(done >= *last && done <= all && all == NR_BLOCKS);
	*last = done;
}

static void test_progress_never_goes_back_and_ends_with_all(void)
{
	unsigned long long last = 0;
	struct pd_progress p = { progressed, &last };
	struct pd_run run = { .progress = &p, .nr_threads = 1 };
	struct seen *s = calloc(1, sizeof(*s));
	struct bits set;
	struct pd_io *io;

	s->stop_at = UINT64_MAX;
	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, NR_BLOCKS), 0);
	number_blocks(io);
	CU_ASSERT_EQUAL_FATAL(bits_init(&set, NR_BLOCKS), 0);
	CU_ASSERT_EQUAL(stream_blocks(io, &set, &run, "reading", see, s), 0);
	CU_ASSERT_EQUAL(last, 0);
	for (uint64_t b = 0; b < NR_BLOCKS; b++)
		bits_set(&set, b);
	CU_ASSERT_EQUAL(stream_blocks(io, &set, &run, "reading", see, s), 0);
	CU_ASSERT_EQUAL(last, NR_BLOCKS);
	bits_exit(&set);
	pd_io_close(io);
	free(s);
}

static void test_a_few_blocks_are_not_worth_a_thread(void)
{
	struct pd_run run = { .nr_threads = 8 };

	CU_ASSERT_EQUAL(stream_nr_threads(&run, 1), 1);
	CU_ASSERT_EQUAL(stream_nr_threads(&run, 100), 1);
	CU_ASSERT_EQUAL(stream_nr_threads(&run, 1000000), 8);
	CU_ASSERT(stream_nr_threads(NULL, 1000000) >= 1);
}

UNIT_SUITE(stream,
	UNIT(test_every_block_of_the_set_once_and_no_other),
	UNIT(test_a_bad_block_costs_only_itself),
	UNIT(test_blocks_beyond_the_end_cannot_be_read),
	UNIT(test_the_listener_can_stop_the_stream),
	UNIT(test_progress_never_goes_back_and_ends_with_all),
	UNIT(test_a_few_blocks_are_not_worth_a_thread)
);
