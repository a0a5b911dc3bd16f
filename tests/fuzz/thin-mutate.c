/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Thin pools, mutated with their checksums mended, through check, mending, dump and repair, in one process.
 *
 * usage: thin-mutate FIRST-SEED NR IMAGE...
 *
 * What must hold besides not crashing: check says the same with one thread and with four; what
 * --auto-repair mended checks clean of errors; a pool that checks clean can be dumped; what
 * repair writes checks clean.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <pdata/thin.h>
#include "persistent-data/disk.h"

struct image {
	const char *name;
	uint8_t *data;
	uint64_t nr_blocks;
	uint64_t *used;		/* blocks of a recognised kind */
	uint64_t nr_used;
};

static uint64_t state;

static uint64_t rnd(uint64_t below)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % below;
}

static bool load(struct image *im, const char *name)
{
	FILE *f = fopen(name, "rb");
	long len;

	if (!f)
		return false;
	fseek(f, 0, SEEK_END);
	len = ftell(f);
	rewind(f);
	im->name = name;
	im->nr_blocks = (uint64_t)len / PD_BLOCK_SIZE;
	im->data = pd_io_buffer((uint32_t)im->nr_blocks);
	im->used = malloc(im->nr_blocks * sizeof(*im->used));
	im->nr_used = 0;
	if (fread(im->data, PD_BLOCK_SIZE, im->nr_blocks, f) != im->nr_blocks)
		return false;
	fclose(f);
	for (uint64_t b = 0; b < im->nr_blocks; b++)
		if (block_kind(im->data + b * PD_BLOCK_SIZE) != KIND_NONE)
			im->used[im->nr_used++] = b;
	return im->nr_used;
}

static uint64_t odd_value(const struct image *im)
{
	static const uint64_t odd[] = { 0, 1, 2, 3, UINT64_MAX, 1ull << 63, 1ull << 40, 1ull << 24,
					UINT32_MAX, 16320, 252, 253 };

	switch (rnd(4)) {
	case 0: return odd[rnd(ARRAY_SIZE(odd))];
	case 1: return im->nr_blocks + rnd(3);
	default: return im->used[rnd(im->nr_used)];
	}
}

/* Somewhere in a block that means something. */
static uint32_t place(const uint8_t *b, enum block_kind kind)
{
	const struct node_header *n = (const void *)b;
	uint32_t nr = le32_get(n->nr_entries);

	if (kind == KIND_NODE && !node_check(b, 0) && nr && rnd(5)) {
		uint32_t i = (uint32_t)rnd(nr), size = le32_get(n->value_size);

		if (rnd(3) == 0)
			return 32 + 8 * i;
		return 32 + 8 * le32_get(n->max_entries) + size * i + 8 * (uint32_t)rnd(ceil_div(size, 8));
	}
	switch (kind) {
	case KIND_NODE: return 4 + 4 * (uint32_t)rnd(7);
	case KIND_THIN_SB: return 4 + 4 * (uint32_t)rnd(90);
	default: return 16 + 8 * (uint32_t)rnd(rnd(2) ? 4 : 510);
	}
}

static void mutate(const struct image *im, struct pd_io *io, uint64_t nr_blocks, uint8_t *buf)
{
	uint64_t b = rnd(6) ? im->used[rnd(im->nr_used)] : 0, v = odd_value(im);
	enum block_kind kind;
	uint32_t at;

	if (b >= nr_blocks || pd_io_read(io, b, 1, buf))
		return;
	kind = block_kind(buf);
	at = place(buf, kind);
	if (at > PD_BLOCK_SIZE - 8)
		at = PD_BLOCK_SIZE - 8;
	switch (rnd(5)) {
	case 0:
		memset(buf, 0, PD_BLOCK_SIZE);
		break;
	case 1:
		buf[at + rnd(8)] ^= (uint8_t)(1 << rnd(8));
		break;
	case 2:
		memcpy(buf, im->data + im->used[rnd(im->nr_used)] * PD_BLOCK_SIZE, PD_BLOCK_SIZE);
		kind = block_kind(buf);
		break;
	default:
		for (unsigned i = 0; i < (kind == KIND_NODE && at < 32 ? 4 : 8); i++)
			buf[at + i] = (uint8_t)(v >> 8 * i);
	}
	if (kind != KIND_NONE && rnd(20))
		block_seal(buf, kind, b);
	if (pd_io_write(io, b, 1, buf))
		abort();
}

struct heard {
	uint64_t hash, len;
};

static void hear(void *ctx, enum pd_log_level level, const char *text)
{
	struct heard *h = ctx;

	(void)level;
	for (; *text; text++, h->len++)
		h->hash = (h->hash ^ (uint8_t)*text) * 0x100000001b3u;
}

static int swallow(void *ctx, const void *data, size_t len)
{
	(void)data;
	*(uint64_t *)ctx += len;
	return *(uint64_t *)ctx > 1u << 28 ? -EFBIG : 0;
}

static int check(struct pd_io *io, unsigned threads, bool repair, struct heard *h,
		 struct pd_check_result *res)
{
	struct pd_log log = { hear, h, PD_LOG_DEBUG };
	struct pd_run run = { .log = &log, .nr_threads = threads };
	struct pd_thin_check_opts o = { .size = sizeof(o), .auto_repair = repair };

	*h = (struct heard){ 1, 0 };
	return pd_thin_check(io, &o, &run, res);
}

/* What repair writes checks clean; and the input stays as it was. */
static const char *repair(struct pd_io *io, uint64_t nr_blocks)
{
	struct pd_thin_repair_opts o = {
		.size = sizeof(o),
		.overrides = { .has_data_block_size = rnd(2), .data_block_size = 128,
			       .has_nr_data_blocks = rnd(2), .nr_data_blocks = 1u << 20 },
	};
	struct pd_run run = { .nr_threads = 1 };
	struct pd_thin_repair_result res;
	struct pd_check_result checked;
	const char *why = NULL;
	struct pd_io *out;
	struct heard h;
	int r;

	if (pd_io_open_ram(&out, 2 * nr_blocks + 64))
		abort();
	r = pd_thin_repair(io, out, &o, &run, &res);
	if (!r && check(out, 1, false, &h, &checked))
		why = "what was repaired cannot be checked";
	else if (!r && checked.worst > PD_SEV_WARN)
		why = "what was repaired does not check";
	pd_io_close(out);
	return why;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char *one(const struct image *im, struct pd_io *io, uint64_t nr_blocks, uint8_t *buf)
{
	struct pd_thin_dump_opts o = { .size = sizeof(o), .format = PD_TEXT_XML };
	struct pd_run run = { .nr_threads = 1 };
	struct pd_check_result res, again;
	struct heard a, b;
	uint64_t len = 0;
	struct pd_sink sink = { swallow, &len };
	const char *why;
	int r, dumped;

	for (uint64_t i = 1 + rnd(3); i; i--)
		mutate(im, io, nr_blocks, buf);
	r = check(io, 1, false, &a, &res);
	if (r != check(io, 4, false, &b, &again) || a.hash != b.hash)
		return "findings depend on the number of threads";
	if (a.len > 1u << 20)
		return "more than a megabyte was said";
	dumped = pd_thin_dump(io, &o, &run, &sink);
	why = repair(io, nr_blocks);
	if (why)
		return why;
	if (!r && res.worst < PD_SEV_FATAL && dumped)
		return "what checks clean cannot be dumped";
	if (r || res.worst == PD_SEV_FATAL)
		return NULL;
	if (check(io, 1, true, &a, &res))
		return NULL;		/* it said why */
	if (check(io, 1, false, &a, &again) || again.worst > res.worst)
		return "what was mended does not check";
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned nr_images = 0, failed = 0;
	struct image *images = calloc((size_t)argc, sizeof(*images));
	uint64_t first, nr;
	uint8_t *buf = pd_io_buffer(1);
	double slowest = 0;

	if (argc < 4) {
		fprintf(stderr, "usage: thin-mutate FIRST-SEED NR IMAGE...\n");
		return 64;
	}
	first = strtoull(argv[1], NULL, 10);
	nr = strtoull(argv[2], NULL, 10);
	for (int i = 3; i < argc; i++)
		nr_images += load(&images[nr_images], argv[i]);
	for (uint64_t seed = first; nr_images && seed < first + nr; seed++) {
		const struct image *im;
		uint64_t nr_blocks;
		struct pd_io *io;
		const char *why;
		double t;

		state = seed;
		im = &images[rnd(nr_images)];
		nr_blocks = rnd(16) ? im->nr_blocks : 1 + rnd(im->nr_blocks);
		if (pd_io_open_ram(&io, nr_blocks) ||
		    pd_io_write(io, 0, (uint32_t)nr_blocks, im->data))
			abort();
		t = now();
		why = one(im, io, nr_blocks, buf);
		t = now() - t;
		if (t > slowest)
			slowest = t;
		if (why || t > 5) {
			printf("seed %" PRIu64 " (%s): %s, %.1f s\n", seed, im->name,
			       why ? why : "too slow", t);
			failed++;
		}
		pd_io_close(io);
	}
	for (unsigned i = 0; i < nr_images; i++) {
		free(images[i].data);
		free(images[i].used);
	}
	free(images);
	free(buf);
	printf("slowest %.3f s\n%" PRIu64 " passed, %u failed, 0 skipped\n", slowest,
	       nr_images ? nr - failed : 0, failed + !nr_images);
	return failed || !nr_images;
}
