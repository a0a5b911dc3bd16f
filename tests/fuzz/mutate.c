/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Metadata of all types, mutated with checksums mended, through check, mending, dump and repair, in one process.
 *
 * usage: mutate FIRST-SEED NR IMAGE...
 *
 * With NR 1 everything that is said goes to standard error, the image to mutated.img, and what was repaired to
 * repaired.img.
 *
 * The superblock of an image says its type. What must hold besides not crashing: check says the same with one
 * thread and with four; what --auto-repair mended checks clean of errors; what checks clean can be dumped; what
 * repair writes checks clean.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <pdata/cache.h>
#include <pdata/clone.h>
#include <pdata/era.h>
#include <pdata/thin.h>
#include "persistent-data/disk.h"

/* What can be done with metadata of a type; @mend may be NULL. */
struct type {
	enum block_kind sb;
	int (*check)(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res);
	int (*mend)(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res);
	int (*dump)(struct pd_io *io, const struct pd_run *run, const struct pd_sink *out);
	int (*repair)(struct pd_io *in, struct pd_io *out, const struct pd_run *run);
};

struct image {
	const struct type *type;
	const char *name;
	uint8_t *data;
	uint64_t nr_blocks;
	uint64_t *used;		/* blocks of a recognised kind */
	uint64_t nr_used;
};

static uint64_t state;
static bool aloud;

static uint64_t rnd(uint64_t below)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % below;
}

static int swallow(void *ctx, const void *data, size_t len)
{
	(void)data;
	*(uint64_t *)ctx += len;
	return *(uint64_t *)ctx > 1u << 28 ? -EFBIG : 0;
}

/* ---- The types ---- */

static int check_thin(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res)
{
	return pd_thin_check(io, &(struct pd_thin_check_opts){ .size = sizeof(struct pd_thin_check_opts) },
			     run, res);
}

static int mend_thin(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res)
{
	struct pd_thin_check_opts o = { .size = sizeof(o), .auto_repair = true };

	return pd_thin_check(io, &o, run, res);
}

static int dump_thin(struct pd_io *io, const struct pd_run *run, const struct pd_sink *out)
{
	struct pd_thin_dump_opts o = { .size = sizeof(o), .format = PD_TEXT_XML };

	return pd_thin_dump(io, &o, run, out);
}

static int repair_thin(struct pd_io *in, struct pd_io *out, const struct pd_run *run)
{
	struct pd_thin_repair_opts o = {
		.size = sizeof(o),
		.overrides = { .has_data_block_size = rnd(2), .data_block_size = 128,
			       .has_nr_data_blocks = rnd(2), .nr_data_blocks = 1u << 20 },
	};
	struct pd_thin_repair_result res;

	return pd_thin_repair(in, out, &o, run, &res);
}

static int check_cache(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res)
{
	struct pd_cache_check_opts o = { .size = sizeof(o) };
	struct pd_cache_status status;

	return pd_cache_check(io, &o, run, res, &status);
}

static int mend_cache(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res)
{
	struct pd_cache_check_opts o = { .size = sizeof(o), .auto_repair = true };

	return pd_cache_check(io, &o, run, res, NULL);
}

static int dump_cache(struct pd_io *io, const struct pd_run *run, const struct pd_sink *out)
{
	return pd_cache_dump(io, false, false, run, out);
}

static int repair_cache(struct pd_io *in, struct pd_io *out, const struct pd_run *run)
{
	struct pd_cache_repair_opts o = { .size = sizeof(o) };
	struct pd_cache_repair_result res;

	if (rnd(2)) {
		o.block_size = 128;
		o.nr_cache_blocks = rnd(2) ? 256 : 1 + (uint32_t)rnd(1u << 20);
	}
	return pd_cache_repair(in, out, &o, run, &res);
}

static int check_era(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res)
{
	return pd_era_check(io, false, run, res);
}

/* And what dump with --repair, --logical and invalidate make of it must not crash. */
static int dump_era(struct pd_io *io, const struct pd_run *run, const struct pd_sink *out)
{
	struct pd_era_dump_opts o = { .size = sizeof(o), .repair = true, .logical = true };
	struct pd_era_invalidate_opts inv = { .size = sizeof(inv), .since = (uint32_t)rnd(10),
					      .metadata_snap = rnd(2) };
	uint64_t len = 0;
	struct pd_sink aside = { swallow, &len };

	(void)pd_era_invalidate(io, &inv, run, &aside);
	(void)pd_era_dump(io, &o, run, &aside);
	o.repair = o.logical = false;
	return pd_era_dump(io, &o, run, out);
}

static int repair_era(struct pd_io *in, struct pd_io *out, const struct pd_run *run)
{
	struct pd_era_repair_result res;

	return pd_era_repair(in, out, NULL, run, &res);
}

static int check_clone(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res)
{
	struct pd_clone_check_opts o = { .size = sizeof(o) };
	struct pd_clone_status status;

	return pd_clone_check(io, &o, run, res, &status);
}

static int mend_clone(struct pd_io *io, const struct pd_run *run, struct pd_check_result *res)
{
	struct pd_clone_check_opts o = { .size = sizeof(o), .auto_repair = true };
	struct pd_clone_status status;

	return pd_clone_check(io, &o, run, res, &status);
}

static int dump_clone(struct pd_io *io, const struct pd_run *run, const struct pd_sink *out)
{
	return pd_clone_dump(io, false, PD_CLONE_REFUSE, false, run, out);
}

static int repair_clone(struct pd_io *in, struct pd_io *out, const struct pd_run *run)
{
	struct pd_clone_repair_opts o = {
		.size = sizeof(o),
		.unreadable = rnd(4) ? PD_CLONE_HYDRATED : PD_CLONE_REFUSE,
	};
	struct pd_clone_repair_result res;

	if (rnd(2)) {
		o.region_size = 8;
		o.target_size = 8 * (1 + rnd(1u << 18));
	}
	return pd_clone_repair(in, out, &o, run, &res);
}

static const struct type types[] = {
	{ KIND_THIN_SB, check_thin, mend_thin, dump_thin, repair_thin },
	{ KIND_CACHE_SB, check_cache, mend_cache, dump_cache, repair_cache },
	{ KIND_ERA_SB, check_era, NULL, dump_era, repair_era },
	{ KIND_CLONE_SB, check_clone, mend_clone, dump_clone, repair_clone },
};

/* ---- Mutations ---- */

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
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		if (block_kind(im->data) == types[i].sb)
			im->type = &types[i];
	if (!im->type)		/* pools with a lost superblock */
		im->type = &types[0];
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
	case KIND_THIN_SB:
	case KIND_CACHE_SB:
	case KIND_ERA_SB:
	case KIND_CLONE_SB: return 4 + 4 * (uint32_t)rnd(90);
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
	if (aloud)
		fprintf(stderr, "%s\n", text);
	for (; *text; text++, h->len++)
		h->hash = (h->hash ^ (uint8_t)*text) * 0x100000001b3u;
}

/* ---- What must hold ---- */

static int check(const struct type *t, struct pd_io *io, unsigned threads, bool mend, struct heard *h,
		 struct pd_check_result *res)
{
	struct pd_log log = { hear, h, PD_LOG_DEBUG };
	struct pd_run run = { .log = &log, .nr_threads = threads };

	*h = (struct heard){ 1, 0 };
	return (mend ? t->mend : t->check)(io, &run, res);
}

static void save(const char *name, struct pd_io *io, uint64_t nr_blocks)
{
	uint8_t *buf = pd_io_buffer(1);
	FILE *f = fopen(name, "wb");

	for (uint64_t b = 0; f && b < nr_blocks; b++)
		if (pd_io_read(io, b, 1, buf) || !fwrite(buf, PD_BLOCK_SIZE, 1, f))
			abort();
	if (!f || fclose(f))
		abort();
	free(buf);
}

/* What repair writes checks clean; and the input stays as it was. */
static const char *repair(const struct type *t, struct pd_io *io, uint64_t nr_blocks)
{
	struct pd_run run = { .nr_threads = 1 };
	struct pd_check_result checked;
	const char *why = NULL;
	struct pd_io *out;
	struct heard h;
	int r;

	if (pd_io_open_ram(&out, 2 * nr_blocks + 64))
		abort();
	r = t->repair(io, out, &run);
	if (!r && aloud)
		save("repaired.img", out, 2 * nr_blocks + 64);
	if (!r && check(t, out, 1, false, &h, &checked))
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
	const struct type *t = im->type;
	struct heard a, b, aside = { 0 };
	struct pd_log log = { hear, &aside, PD_LOG_DEBUG };
	struct pd_run run = { .log = &log, .nr_threads = 1 };
	struct pd_check_result res, again;
	uint64_t len = 0;
	struct pd_sink sink = { swallow, &len };
	const char *why;
	int r, dumped;

	for (uint64_t i = 1 + rnd(3); i; i--)
		mutate(im, io, nr_blocks, buf);
	if (aloud)
		save("mutated.img", io, nr_blocks);
	r = check(t, io, 1, false, &a, &res);
	if (r != check(t, io, 4, false, &b, &again) || a.hash != b.hash)
		return "findings depend on the number of threads";
	if (a.len > 1u << 20)
		return "more than a megabyte was said";
	dumped = t->dump(io, &run, &sink);
	why = repair(t, io, nr_blocks);
	if (why)
		return why;
	if (!r && res.worst <= PD_SEV_WARN && dumped)
		return "what checks clean cannot be dumped";
	if (r || res.worst == PD_SEV_FATAL || !t->mend || check(t, io, 1, true, &a, &res))
		return NULL;		/* it said why */
	if (check(t, io, 1, false, &a, &again) || again.worst > res.worst)
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
		fprintf(stderr, "usage: mutate FIRST-SEED NR IMAGE...\n");
		return 64;
	}
	first = strtoull(argv[1], NULL, 10);
	nr = strtoull(argv[2], NULL, 10);
	aloud = nr == 1;
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
