/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache_writeback: dirty blocks to the origin, for caches that are taken apart. */
#include <inttypes.h>
#include <pdata/cache.h>
#include "tools/frame.h"

struct args {
	const char *metadata, *origin, *fast;
	uint64_t origin_offset, fast_offset;
	uint32_t buffer_meg, retry_count;
	bool has_origin_offset, has_fast_offset, has_buffer, has_retry;
	bool list_failed, no_metadata_update;
};

static const struct opt opts[] = {
	OPT_STR(0, "metadata-device", "DEV", args, metadata, OPT_REQUIRED, "Metadata of the cache"),
	OPT_STR(0, "origin-device", "DEV", args, origin, OPT_REQUIRED, "Device that is cached; written to"),
	OPT_STR(0, "fast-device", "DEV", args, fast, OPT_REQUIRED, "Device with the cached blocks; only read"),
	OPT_U64(0, "origin-device-offset", "SECTORS", args, origin_offset, has_origin_offset,
		"Where the cached area of the origin begins, a multiple of 8"),
	OPT_U64(0, "fast-device-offset", "SECTORS", args, fast_offset, has_fast_offset,
		"Where the cached blocks begin, a multiple of 8"),
	OPT_U32(0, "buffer-size-meg", "MB", args, buffer_meg, has_buffer, "Memory for copying, 64 if not given"),
	OPT_FLAG(0, "list-failed-blocks", args, list_failed,
		 "Print cache block and origin block of each block that could not be copied"),
	OPT_FLAG(0, "no-metadata-update", args, no_metadata_update, "Leave the dirty bits as they are"),
	OPT_U32(0, "retry-count", "N", args, retry_count, has_retry, "Further tries for blocks that fail"),
	OPT_END
};

static void print_failed(void *ctx, uint64_t cblock, uint64_t oblock)
{
	(void)ctx;
	printf("%" PRIu64 " %" PRIu64 "\n", cblock, oblock);
}

/* Interrupted before, it leaves all dirty; from here on it must come to its end. */
static void hold_signals(void *ctx)
{
	signals_guard(ctx, NULL);
}

static int run(struct frame *f, void *v)
{
	const struct args *a = v;
	struct pd_cache_writeback_opts o = {
		.size = sizeof(o), .origin_offset = a->origin_offset, .fast_offset = a->fast_offset,
		.buffer_meg = a->buffer_meg, .retry_count = a->retry_count,
		.no_metadata_update = a->no_metadata_update,
		.on_failed = a->list_failed ? print_failed : NULL,
		.before_update = hold_signals,
		.ctx = f,
	};
	struct pd_cache_writeback_result res;
	struct pd_io *io;
	int r;

	if (a->origin_offset % 8 || a->fast_offset % 8)
		return fail(f, "offsets must be page aligned");
	if (a->origin_offset > INT64_MAX / 512 || a->fast_offset > INT64_MAX / 512)
		return fail(f, "an offset is past the end of any device");
	r = check_path(f, a->origin, "Couldn't find output file");
	if (!r)
		r = check_path(f, a->fast, "Couldn't find input file");
	if (!r)
		r = open_input(f, a->metadata, a->no_metadata_update ? 0 : PD_IO_WRITE, &io);
	if (r)
		return r;
	r = pd_cache_writeback(io, a->origin, a->fast, &o, &f->run, &res);
	signals_release();
	pd_io_close(io);
	if (r)
		return EXIT_BAD;
	if (!f->quiet)
		printf("%" PRIu64 "/%" PRIu64 " blocks successfully copied\n", res.nr_copied, res.nr_dirty);
	if (res.nr_copied == res.nr_dirty)
		return EXIT_CLEAN;
	return fail(f, "%" PRIu64 " reads and %" PRIu64 " writes failed: %" PRIu64 " blocks were not copied, and stay "
		    "dirty", res.nr_read_errors, res.nr_write_errors, res.nr_dirty - res.nr_copied);
}

const struct command cache_writeback_cmd = {
	.name = "cache_writeback",
	.about = "Copies the dirty blocks of a cache to its origin",
	.opts = opts,
	.args_size = sizeof(struct args),
	.takes_quiet = true,
	.run = run,
};
