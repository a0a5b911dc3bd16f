/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_writeback's promise: until all data has reached the origin, the metadata is as it was. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <pdata/cache.h>
#include "unit/unit.h"

#define NR_BLOCKS 40u
#define BLOCK_LEN (64u * 512u)
#define META_BLOCKS 64u

struct world {
	struct pd_io *io;
	char fast[32], origin[32];
	uint8_t *before;	/* the metadata */
	unsigned updates;
};

static int make_file(char *path, uint8_t fill)
{
	uint8_t *block = malloc(BLOCK_LEN);
	int fd = mkstemp(strcpy(path, "/tmp/pd-unit-XXXXXX"));

	CU_ASSERT_FATAL(fd >= 0 && block);
	for (unsigned i = 0; i < NR_BLOCKS; i++) {
		memset(block, fill ? (int)(fill + i) : 0, BLOCK_LEN);
		CU_ASSERT_EQUAL(write(fd, block, BLOCK_LEN), BLOCK_LEN);
	}
	free(block);
	return close(fd);
}

/* Blocks of the origin that hold data of the fast device. */
static unsigned nr_written(const struct world *w)
{
	int fd = open(w->origin, O_RDONLY);
	unsigned nr = 0;
	uint8_t byte;

	for (unsigned i = 0; i < NR_BLOCKS; i++)
		nr += pread(fd, &byte, 1, (off_t)i * BLOCK_LEN + 99) == 1 && byte;
	close(fd);
	return nr;
}

static bool metadata_is_as_before(const struct world *w)
{
	uint8_t *now = pd_io_buffer(META_BLOCKS);
	bool same = now && !pd_io_read(w->io, 0, META_BLOCKS, now) &&
		    !memcmp(now, w->before, META_BLOCKS * PD_BLOCK_SIZE);

	free(now);
	return same;
}

static void about_to_update(void *ctx)
{
	struct world *w = ctx;

	w->updates++;
	CU_ASSERT_EQUAL(nr_written(w), NR_BLOCKS);
	CU_ASSERT(metadata_is_as_before(w));
}

static void one_version(uint32_t version, bool update)
{
	struct pd_run run = { .nr_threads = 1 };
	struct pd_cache_format_opts f = {
		.size = sizeof(f), .block_size = 64, .nr_cache_blocks = NR_BLOCKS, .nr_origin_blocks = NR_BLOCKS,
		.hotspot_size = 1, .percent_resident = 100, .percent_dirty = 100, .version = version,
	};
	struct world w = { .before = pd_io_buffer(META_BLOCKS) };
	struct pd_cache_writeback_opts o = {
		.size = sizeof(o), .no_metadata_update = !update, .before_update = about_to_update, .ctx = &w,
	};
	struct pd_cache_writeback_result res;

	CU_ASSERT_FATAL(w.before && !pd_io_open_ram(&w.io, META_BLOCKS));
	CU_ASSERT_FATAL(!pd_cache_format(w.io, &f, &run));
	CU_ASSERT_FATAL(!pd_io_read(w.io, 0, META_BLOCKS, w.before));
	make_file(w.fast, 1);
	make_file(w.origin, 0);
	CU_ASSERT(!pd_cache_writeback(w.io, w.origin, w.fast, &o, &run, &res));
	CU_ASSERT_EQUAL(res.nr_copied, NR_BLOCKS);
	CU_ASSERT_EQUAL(w.updates, update);
	CU_ASSERT_EQUAL(metadata_is_as_before(&w), !update);
	unlink(w.fast);
	unlink(w.origin);
	pd_io_close(w.io);
	free(w.before);
}

static void test_metadata_changes_after_all_data_is_there(void)
{
	for (uint32_t version = 1; version <= 2; version++) {
		one_version(version, true);
		one_version(version, false);
	}
}

UNIT_SUITE(writeback, UNIT(test_metadata_changes_after_all_data_is_there));
