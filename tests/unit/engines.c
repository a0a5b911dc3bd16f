/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening, and the engines and wrappers, all against the same promises. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "io/engine.h"
#include "unit/unit.h"

#define NR_BLOCKS 64u

static char path[64];
static char said[1024];

static void hear(void *ctx, enum pd_log_level level, const char *text)
{
	(void)ctx;
	(void)level;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
}

static struct pd_log log_said = { hear, NULL, PD_LOG_WARN };

static void make_file(off_t len)
{
	int fd;

	strcpy(path, "/tmp/pdata-unit-XXXXXX");
	fd = mkstemp(path);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, len), 0);
	close(fd);
	said[0] = 0;
}

static void fill(void *buf, uint64_t block, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++)
		memset((uint8_t *)buf + i * PD_BLOCK_SIZE, (int)(block + i + 1), PD_BLOCK_SIZE);
}

/* What every engine promises; takes @io. */
static void keeps_its_promises(struct pd_io *io)
{
	struct pd_io_req req[NR_BLOCKS], *reqs[NR_BLOCKS], *done[NR_BLOCKS];
	uint8_t *buf = pd_io_buffer(NR_BLOCKS), *want = pd_io_buffer(NR_BLOCKS);
	struct pd_io *other;
	unsigned nr = 0;

	CU_ASSERT_EQUAL(pd_io_nr_blocks(io), NR_BLOCKS);
	fill(want, 0, NR_BLOCKS);
	CU_ASSERT_EQUAL(pd_io_write(io, 0, 10, want), 0);
	for (unsigned i = 10; i < NR_BLOCKS; i++) {
		req[i] = (struct pd_io_req){ .block = i, .nr = 1, .write = true,
					     .buf = want + i * PD_BLOCK_SIZE, .cookie = &req[i] };
		reqs[i] = &req[i];
	}
	CU_ASSERT_EQUAL(pd_io_submit(io, reqs + 10, NR_BLOCKS - 10), 0);
	while (nr < NR_BLOCKS - 10) {
		int n = pd_io_reap(io, done, 7, true);

		CU_ASSERT_FATAL(n > 0 && n <= 7);
		for (int i = 0; i < n; i++)
			CU_ASSERT(!done[i]->result && done[i]->cookie == done[i]);
		nr += (unsigned)n;
	}
	CU_ASSERT_EQUAL(pd_io_reap(io, done, 1, true), 0);
	CU_ASSERT_EQUAL(pd_io_flush(io), 0);
	CU_ASSERT_EQUAL_FATAL(pd_io_clone(io, &other), 0);
	CU_ASSERT_EQUAL(pd_io_read(other, 0, NR_BLOCKS, buf), 0);
	CU_ASSERT_EQUAL(memcmp(buf, want, NR_BLOCKS * PD_BLOCK_SIZE), 0);
	CU_ASSERT_EQUAL(pd_io_read(other, NR_BLOCKS, 1, buf), -EIO);
	CU_ASSERT_EQUAL(pd_io_read(other, NR_BLOCKS - 1, 2, buf), -EIO);
	CU_ASSERT_EQUAL(pd_io_read(other, UINT64_MAX, 2, buf), -EIO);
	CU_ASSERT_EQUAL(pd_io_write(other, NR_BLOCKS - 1, 2, buf), -EIO);
	CU_ASSERT_STRING_EQUAL(pd_io_name(io), pd_io_name(other));
	pd_io_close(io);
	CU_ASSERT_EQUAL(pd_io_read(other, 3, 1, buf), 0);
	CU_ASSERT_EQUAL(buf[77], 4);
	pd_io_close(other);
	free(buf);
	free(want);
}

static void test_every_engine_keeps_the_same_promises(void)
{
	static const char *const engines[] = { NULL, "sync", "spindle", "async", "ram:sync",
					       "fault-read-0:ram:async" };
	struct pd_io *io, *top;

	for (unsigned i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		make_file(NR_BLOCKS * PD_BLOCK_SIZE + 100);
		CU_ASSERT_EQUAL_FATAL(pd_io_open(&io, path, PD_IO_WRITE | PD_IO_STACKED, engines[i],
						 &log_said), 0);
		keeps_its_promises(io);
		CU_ASSERT_STRING_EQUAL(said, "");
		unlink(path);
	}
	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&io, NR_BLOCKS), 0);
	CU_ASSERT_EQUAL_FATAL(pd_io_crash(&top, io), 0);
	keeps_its_promises(top);
}

static void test_what_cannot_be_opened_says_why(void)
{
	struct pd_io *io;

	make_file(PD_BLOCK_SIZE - 1);
	CU_ASSERT_EQUAL(pd_io_open(&io, path, 0, "hovercraft", &log_said), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "hovercraft"));
	CU_ASSERT_EQUAL(pd_io_open(&io, path, 0, "trace:sync", &log_said), -EINVAL);
	CU_ASSERT_EQUAL(pd_io_open(&io, path, PD_IO_STACKED, "tray:sync", &log_said), -EINVAL);
	CU_ASSERT_EQUAL(pd_io_open(&io, path, PD_IO_STACKED, ":sync", &log_said), -EINVAL);
	CU_ASSERT_EQUAL(pd_io_open(&io, path, PD_IO_STACKED, "fault-read-:sync", &log_said), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(pd_io_open(&io, path, 0, NULL, &log_said), 0);
	CU_ASSERT_EQUAL(pd_io_nr_blocks(io), 0);
	pd_io_close(io);
	unlink(path);
	CU_ASSERT_EQUAL(pd_io_open(&io, path, 0, NULL, &log_said), -ENOENT);
	CU_ASSERT_PTR_NULL(io);
	said[0] = 0;
	CU_ASSERT_EQUAL(pd_io_open(&io, "/tmp", 0, NULL, &log_said), -ENOTBLK);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "Not a block device or regular file"));
	CU_ASSERT_EQUAL(pd_io_open(&io, "/dev/null", 0, NULL, NULL), -ENOTBLK);
	CU_ASSERT_EQUAL(pd_io_open_ram(&io, UINT64_MAX), -EINVAL);
	pd_io_close(NULL);
}

static void test_one_file_with_two_names_is_the_same(void)
{
	char other[80];

	make_file(0);
	snprintf(other, sizeof(other), "%s.b", path);
	CU_ASSERT_EQUAL_FATAL(symlink(path, other), 0);
	CU_ASSERT(pd_io_same(path, other));
	CU_ASSERT(!pd_io_same(path, "/tmp"));
	CU_ASSERT(!pd_io_same(path, "/tmp/there is no such file"));
	unlink(other);
	unlink(path);
}

static struct pd_io *fault_over_ram(void)
{
	struct pd_io *io, *inner;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&inner, NR_BLOCKS), 0);
	CU_ASSERT_EQUAL_FATAL(pd_io_fault(&io, inner), 0);
	return io;
}

static void test_the_nth_request_fails_and_no_other(void)
{
	struct pd_io *io = fault_over_ram(), *other;
	uint8_t *buf = pd_io_buffer(2);

	memset(buf, 7, 2 * PD_BLOCK_SIZE);
	CU_ASSERT_EQUAL_FATAL(pd_io_clone(io, &other), 0);
	pd_fault_arm(io, PD_FAULT_WRITE, 2);
	CU_ASSERT_EQUAL(pd_io_read(io, 0, 1, buf + PD_BLOCK_SIZE), 0);
	CU_ASSERT_EQUAL(pd_io_write(io, 0, 1, buf), 0);
	CU_ASSERT(!pd_fault_fired(io));
	CU_ASSERT_EQUAL(pd_io_write(other, 1, 1, buf), -EIO);
	CU_ASSERT(pd_fault_fired(io) && pd_fault_fired(other));
	CU_ASSERT_EQUAL(pd_io_write(other, 2, 1, buf), 0);
	CU_ASSERT_EQUAL(pd_io_read(io, 1, 1, buf), 0);
	CU_ASSERT_EQUAL(buf[0], 0);
	pd_fault_arm(io, PD_FAULT_FLUSH, 1);
	CU_ASSERT_EQUAL(pd_io_flush(io), -EIO);
	CU_ASSERT_EQUAL(pd_io_flush(io), 0);
	pd_fault_arm(io, PD_FAULT_ANY, 3);
	CU_ASSERT_EQUAL(pd_io_read(io, 0, 1, buf), 0);
	CU_ASSERT_EQUAL(pd_io_write(io, 0, 1, buf), 0);
	CU_ASSERT_EQUAL(pd_io_flush(io), -EIO);
	pd_io_close(io);
	pd_io_close(other);
	free(buf);
}

static void test_bad_blocks_fail_whatever_reads_them(void)
{
	struct pd_io *io = fault_over_ram();
	uint8_t *buf = pd_io_buffer(8);

	CU_ASSERT_EQUAL(pd_fault_bad_block(io, 5), 0);
	CU_ASSERT_EQUAL(pd_fault_bad_block(io, NR_BLOCKS), -EINVAL);
	CU_ASSERT_EQUAL(pd_io_read(io, 0, 5, buf), 0);
	CU_ASSERT_EQUAL(pd_io_read(io, 0, 6, buf), -EIO);
	CU_ASSERT_EQUAL(pd_io_read(io, 6, 8, buf), 0);
	CU_ASSERT_EQUAL(pd_io_read(io, NR_BLOCKS - 8, 8, buf), 0);
	CU_ASSERT_EQUAL(pd_io_read(io, 5, 1, buf), -EIO);
	CU_ASSERT_EQUAL(pd_io_write(io, 5, 1, buf), 0);
	pd_fault_clear(io);
	CU_ASSERT_EQUAL(pd_io_read(io, 5, 1, buf), 0);
	pd_io_close(io);
	free(buf);
}

static void test_the_trace_has_a_line_a_request(void)
{
	struct pd_io *io, *inner;
	uint8_t *buf = pd_io_buffer(4);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&inner, NR_BLOCKS), 0);
	CU_ASSERT_EQUAL_FATAL(pd_io_trace(&io, inner, f), 0);
	memset(buf, 0, 4 * PD_BLOCK_SIZE);
	pd_io_write(io, 3, 4, buf);
	pd_io_flush(io);
	pd_io_read(io, 9, 1, buf);
	fclose(f);
	CU_ASSERT_STRING_EQUAL(text, "W 3 4\nF\nR 9 1\n");
	pd_io_close(io);
	free(text);
	free(buf);
}

/* The first byte of each of the first four blocks, as digits. */
static unsigned digits(struct pd_io *io)
{
	uint8_t *buf = pd_io_buffer(4);
	unsigned d;

	CU_ASSERT_EQUAL(pd_io_read(io, 0, 4, buf), 0);
	d = buf[0] * 1000u + buf[PD_BLOCK_SIZE] * 100u + buf[2 * PD_BLOCK_SIZE] * 10u +
	    buf[3 * PD_BLOCK_SIZE];
	free(buf);
	return d;
}

static void put(struct pd_io *io, uint64_t block, int value)
{
	uint8_t *buf = pd_io_buffer(1);

	memset(buf, value, PD_BLOCK_SIZE);
	CU_ASSERT_EQUAL(pd_io_write(io, block, 1, buf), 0);
	free(buf);
}

static unsigned digits_after(struct pd_io *io, uint64_t nr_writes, uint64_t seed)
{
	struct pd_io *disk;
	unsigned d;

	CU_ASSERT_EQUAL_FATAL(pd_crash_disk(io, nr_writes, seed, &disk), 0);
	d = digits(disk);
	pd_io_close(disk);
	return d;
}

static void test_a_power_cut_loses_only_what_was_not_flushed(void)
{
	struct pd_io *io, *inner;
	bool lost = false, kept = false;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&inner, 4), 0);
	put(inner, 3, 9);
	CU_ASSERT_EQUAL_FATAL(pd_io_crash(&io, inner), 0);
	put(io, 0, 1);
	put(io, 1, 2);
	CU_ASSERT_EQUAL(pd_io_flush(io), 0);
	put(io, 2, 3);
	put(io, 3, 4);
	CU_ASSERT_EQUAL(digits(io), 1234);
	CU_ASSERT_EQUAL(pd_crash_nr_writes(io), 4);
	CU_ASSERT_EQUAL(digits_after(io, 0, 2), 9);
	CU_ASSERT_EQUAL(digits_after(io, 2, 2), 1209);
	CU_ASSERT_EQUAL(digits_after(io, 4, 0), 1234);
	CU_ASSERT_EQUAL(digits_after(io, 3, 0), 1239);
	for (uint64_t seed = 1; seed < 200; seed++) {
		unsigned d = digits_after(io, 4, seed), e = digits_after(io, 2, seed | 1);

		CU_ASSERT(d == 1209 || d == 1239 || d == 1204 || d == 1234);
		CU_ASSERT(e == 9 || e == 1009 || e == 209 || e == 1209);
		CU_ASSERT_EQUAL(d, digits_after(io, 4, seed));
		lost |= d == 1209;
		kept |= d == 1234;
	}
	CU_ASSERT(lost && kept);
	pd_io_close(io);
}

static void test_a_power_cut_may_tear_the_last_block(void)
{
	struct pd_io *io, *inner, *disk;
	uint8_t *buf = pd_io_buffer(1);
	unsigned torn = 0, whole = 0;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&inner, 1), 0);
	CU_ASSERT_EQUAL_FATAL(pd_io_crash(&io, inner), 0);
	put(io, 0, 1);
	for (uint64_t seed = 1; seed < 100; seed++) {
		CU_ASSERT_EQUAL_FATAL(pd_crash_disk(io, 1, seed, &disk), 0);
		CU_ASSERT_EQUAL(pd_io_read(disk, 0, 1, buf), 0);
		for (unsigned i = 1; i < PD_BLOCK_SIZE; i++)
			if (buf[i] != buf[i - 1])
				CU_ASSERT(i % 512 == 0 && buf[i - 1] == 1);
		torn += buf[0] != buf[PD_BLOCK_SIZE - 1];
		whole += buf[PD_BLOCK_SIZE - 1];
		pd_io_close(disk);
	}
	CU_ASSERT(torn && whole);
	pd_io_close(io);
	free(buf);
}

UNIT_SUITE(engines,
	UNIT(test_every_engine_keeps_the_same_promises),
	UNIT(test_what_cannot_be_opened_says_why),
	UNIT(test_one_file_with_two_names_is_the_same),
	UNIT(test_the_nth_request_fails_and_no_other),
	UNIT(test_bad_blocks_fail_whatever_reads_them),
	UNIT(test_the_trace_has_a_line_a_request),
	UNIT(test_a_power_cut_loses_only_what_was_not_flushed),
	UNIT(test_a_power_cut_may_tear_the_last_block)
);
