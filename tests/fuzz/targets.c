/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One fuzz target an entry point: fuzz-thin, fuzz-cache, fuzz-era, fuzz-clone, fuzz-xml. Inputs that are metadata have their checksums and own
 * numbers mended first, so that the fuzzer meets the logic behind them.
 *
 * With --enable-fuzzing these are libFuzzer's; else a driver that replays the files it is given.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/cache.h>
#include <pdata/clone.h>
#include <pdata/era.h>
#include <pdata/thin.h>
#include "persistent-data/disk.h"

#define MAX_BLOCKS 512u
#define OUT_BLOCKS 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#ifndef FUZZ_XML
static int swallow(void *ctx, const void *data, size_t len)
{
	(void)data;
	*(uint64_t *)ctx += len;
	return *(uint64_t *)ctx > 1u << 26 ? -EFBIG : 0;
}

/* What kind a block means to be: its checksum's if that is right, else by its place and shape. */
static enum block_kind meant(const uint8_t *b, uint64_t nr, enum block_kind sb)
{
	enum block_kind kind = block_kind(b);
	const struct node_header *n = (const void *)b;

	if (kind != KIND_NONE)
		return kind;
	if (!nr)
		return sb;
	if (le64_get(n->blocknr) == nr && (le32_get(n->flags) == NODE_LEAF ||
					   le32_get(n->flags) == NODE_INTERNAL))
		return KIND_NODE;
	if (block_nr(b, KIND_ARRAY) == nr)
		return KIND_ARRAY;
	return b[4] & 1 ? KIND_INDEX : KIND_BITMAP;
}

static struct pd_io *mended(const uint8_t *data, size_t len, enum block_kind sb)
{
	uint64_t nr = min_t(uint64_t, max_t(uint64_t, ceil_div(len, PD_BLOCK_SIZE), 1), MAX_BLOCKS);
	uint8_t *block = pd_io_buffer(1);
	struct pd_io *io;

	if (!block || pd_io_open_ram(&io, nr))
		abort();
	for (uint64_t b = 0; b < nr && b * PD_BLOCK_SIZE < len; b++) {
		size_t n = min_t(size_t, len - b * PD_BLOCK_SIZE, PD_BLOCK_SIZE);
		le64 magic = le64_put(block_kind_magic(sb));

		memset(block, 0, PD_BLOCK_SIZE);
		memcpy(block, data + b * PD_BLOCK_SIZE, n);
		if (!b)
			memcpy(block + 32, &magic, sizeof(magic));
		block_seal(block, meant(block, b, sb), b);
		if (pd_io_write(io, b, 1, block))
			abort();
	}
	free(block);
	return io;
}
#endif

#if defined(FUZZ_THIN)
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pd_io *io = mended(data, len, KIND_THIN_SB), *out;
	struct pd_thin_check_opts check = { .size = sizeof(check) };
	struct pd_thin_dump_opts dump = { .size = sizeof(dump) };
	struct pd_thin_repair_opts repair = { .size = sizeof(repair) };
	struct pd_run run = { .nr_threads = 1 };
	struct pd_thin_repair_result saved;
	struct pd_check_result res, again;
	uint64_t n = 0;
	struct pd_sink sink = { swallow, &n };
	int r = pd_thin_check(io, &check, &run, &res), d = pd_thin_dump(io, &dump, &run, &sink);

	if (!r && res.worst < PD_SEV_FATAL && d && d != -EFBIG)
		abort();
	if (pd_io_open_ram(&out, OUT_BLOCKS))
		abort();
	if (!pd_thin_repair(io, out, &repair, &run, &saved) &&
	    (pd_thin_check(out, &check, &run, &again) || again.worst > PD_SEV_WARN))
		abort();
	pd_io_close(out);
	pd_io_close(io);
	return 0;
}
#elif defined(FUZZ_CACHE)
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pd_io *io = mended(data, len, KIND_CACHE_SB), *out;
	struct pd_cache_check_opts check = { .size = sizeof(check) };
	struct pd_run run = { .nr_threads = 1 };
	struct pd_cache_repair_opts how = { .size = sizeof(how) };
	struct pd_cache_repair_result saved;
	struct pd_check_result res;
	uint64_t n = 0;
	struct pd_sink sink = { swallow, &n };

	pd_cache_check(io, &check, &run, &res, NULL);
	pd_cache_dump(io, true, false, &run, &sink);
	if (pd_io_open_ram(&out, OUT_BLOCKS))
		abort();
	if (!pd_cache_repair(io, out, &how, &run, &saved) &&
	    (pd_cache_check(out, &check, &run, &res, NULL) || res.worst > PD_SEV_WARN))
		abort();
	pd_io_close(out);
	pd_io_close(io);
	return 0;
}
#elif defined(FUZZ_ERA)
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pd_io *io = mended(data, len, KIND_ERA_SB), *out;
	struct pd_era_dump_opts dump = { .size = sizeof(dump) };
	struct pd_era_invalidate_opts list = { .size = sizeof(list) };
	struct pd_run run = { .nr_threads = 1 };
	struct pd_era_repair_result saved;
	struct pd_check_result res;
	uint64_t n = 0;
	struct pd_sink sink = { swallow, &n };
	int r = pd_era_check(io, false, &run, &res), d = pd_era_dump(io, &dump, &run, &sink);

	if (!r && res.worst <= PD_SEV_WARN && d && d != -EFBIG)
		abort();
	(void)pd_era_invalidate(io, &list, &run, &sink);
	if (pd_io_open_ram(&out, OUT_BLOCKS))
		abort();
	if (!pd_era_repair(io, out, NULL, &run, &saved) &&
	    (pd_era_check(out, false, &run, &res) || res.worst > PD_SEV_WARN))
		abort();
	pd_io_close(out);
	pd_io_close(io);
	return 0;
}
#elif defined(FUZZ_CLONE)
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pd_io *io = mended(data, len, KIND_CLONE_SB), *out;
	struct pd_clone_check_opts check = { .size = sizeof(check) };
	struct pd_run run = { .nr_threads = 1 };
	struct pd_clone_repair_opts how = { .size = sizeof(how), .unreadable = PD_CLONE_UNHYDRATED };
	struct pd_clone_repair_result saved;
	struct pd_clone_status status;
	struct pd_check_result res;
	uint64_t n = 0;
	struct pd_sink sink = { swallow, &n };
	int r = pd_clone_check(io, &check, &run, &res, &status);
	int d = pd_clone_dump(io, false, PD_CLONE_REFUSE, false, &run, &sink);

	if (!r && res.worst <= PD_SEV_WARN && d && d != -EFBIG)
		abort();
	if (pd_io_open_ram(&out, OUT_BLOCKS))
		abort();
	if (!pd_clone_repair(io, out, &how, &run, &saved) &&
	    (pd_clone_check(out, &check, &run, &res, &status) || res.worst > PD_SEV_WARN))
		abort();
	pd_io_close(out);
	pd_io_close(io);
	return 0;
}
#else
struct text {
	const uint8_t *data;
	size_t left;
};

static ssize_t give(void *ctx, void *buf, size_t len)
{
	struct text *t = ctx;
	size_t n = min_t(size_t, len, t->left);

	memcpy(buf, t->data, n);
	t->data += n;
	t->left -= n;
	return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct pd_thin_restore_opts thin = { .size = sizeof(thin) };
	struct pd_cache_restore_opts cache = { .size = sizeof(cache) };
	struct pd_thin_check_opts check = { .size = sizeof(check) };
	struct pd_run run = { .nr_threads = 1 };
	struct pd_check_result res;
	struct pd_source src;
	struct text t;
	struct pd_io *out;

	if (pd_io_open_ram(&out, OUT_BLOCKS))
		abort();
	t = (struct text){ data, len };
	src = (struct pd_source){ give, &t };
	if (!pd_thin_restore(&src, out, &thin, &run) && pd_thin_check(out, &check, &run, &res))
		abort();
	t = (struct text){ data, len };
	(void)pd_cache_restore(&src, out, &cache, &run);
	pd_io_close(out);
	return 0;
}
#endif

#ifndef FUZZING
int main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;

	for (int i = 1; i < argc; i++) {
		FILE *f = fopen(argv[i], "rb");
		uint8_t *data = malloc(MAX_BLOCKS * PD_BLOCK_SIZE);

		if (f && data) {
			size_t len = fread(data, 1, MAX_BLOCKS * PD_BLOCK_SIZE, f);

			LLVMFuzzerTestOneInput(data, len);	/* aborts where it fails */
			passed++;
		} else {
			failed++;
		}
		if (f)
			fclose(f);
		free(data);
	}
	printf("%u passed, %u failed, 0 skipped\n", passed, failed);
	return failed != 0;
}
#endif
