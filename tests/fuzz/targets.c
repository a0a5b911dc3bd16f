/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz targets, one an entry point; the list is at the end. Of inputs that are metadata the checksums and own numbers are
 * mended first, so that the fuzzer meets the logic behind them.
 *
 * With --enable-fuzzing this is libFuzzer's program, and the name it is called by says the target: fuzz-thin-check.
 * Else it replays what it is given: targets NAME FILE...
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/cache.h>
#include <pdata/clone.h>
#include <pdata/era.h>
#include <pdata/fields.h>
#include <pdata/thin.h>
#include "fuzz/types.h"

#define MAX_BLOCKS 512u
#define OUT_BLOCKS 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct pd_run plain = { .nr_threads = 1 };

/* Libraries swallow errors at their peril: what must not be ends here. */
static void never(bool wrong)
{
	if (wrong)
		abort();
}

static int swallow(void *ctx, const void *data, size_t len)
{
	(void)data;
	*(uint64_t *)ctx += len;
	return *(uint64_t *)ctx > 1u << 24 ? -EFBIG : 0;
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
	if (le64_get(n->blocknr) == nr && (le32_get(n->flags) == NODE_LEAF || le32_get(n->flags) == NODE_INTERNAL))
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

	never(!block || pd_io_open_ram(&io, nr));
	for (uint64_t b = 0; b < nr && b * PD_BLOCK_SIZE < len; b++) {
		size_t n = min_t(size_t, len - b * PD_BLOCK_SIZE, PD_BLOCK_SIZE);
		le64 magic = le64_put(block_kind_magic(sb));

		memset(block, 0, PD_BLOCK_SIZE);
		memcpy(block, data + b * PD_BLOCK_SIZE, n);
		if (!b)
			memcpy(block + 32, &magic, sizeof(magic));
		block_seal(block, meant(block, b, sb), b);
		never(pd_io_write(io, b, 1, block));
	}
	free(block);
	return io;
}

static struct pd_io *fresh(void)
{
	struct pd_io *io;

	never(pd_io_open_ram(&io, OUT_BLOCKS));
	return io;
}

static bool sound(const struct fuzz_type *t, struct pd_io *io)
{
	struct pd_check_result res;

	return !t->check(io, FUZZ_LOOK, &plain, &res) && res.worst <= PD_SEV_WARN;
}

/* ---- Targets ---- */

static void check(const struct fuzz_type *t, const uint8_t *data, size_t len)
{
	struct pd_io *io = mended(data, len, t->sb);
	const struct pd_run many = { .nr_threads = 3 };
	struct pd_check_result res, again;
	int r = t->check(io, FUZZ_LOOK, &plain, &res);

	never(r != t->check(io, FUZZ_LOOK, &many, &again));
	never(!r && memcmp(res.counts, again.counts, sizeof(res.counts)));
	if (!t->check(io, FUZZ_AUTO_REPAIR, &plain, &res) && res.worst <= PD_SEV_WARN)
		never(!sound(t, io));
	pd_io_close(io);
}

static void dump(const struct fuzz_type *t, const uint8_t *data, size_t len)
{
	struct pd_io *io = mended(data, len, t->sb);
	struct fuzz_numbers n = { .unreadable = PD_CLONE_HYDRATED };
	uint64_t out = 0;
	struct pd_sink sink = { swallow, &out };
	int r = t->dump(io, &plain, &sink);

	never(r && r != -EFBIG && sound(t, io));
	out = 0;
	(void)t->repair_dump(io, &n, &plain, &sink);
	if (t->others)
		t->others(io, &plain, &sink);
	pd_io_close(io);
}

static void repair(const struct fuzz_type *t, const uint8_t *data, size_t len)
{
	struct pd_io *io = mended(data, len, t->sb), *out = fresh();
	struct fuzz_numbers n = {
		.given = len % 2, .a = t->sb == KIND_CLONE_SB ? 8 : 128, .b = 4096,
		.unreadable = len % 3,
	};

	if (!t->repair(io, out, &n, &plain))
		never(!sound(t, out));
	if (t->in_place && !t->in_place(io, &plain))
		never(!sound(t, io));
	pd_io_close(out);
	pd_io_close(io);
}

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

/* Text as it is, or compressed if it begins so. */
static void restore(const struct fuzz_type *t, const uint8_t *data, size_t len)
{
	struct text text = { data, len };
	struct pd_source src = { give, &text };
	struct pd_io *out = fresh();

	if (!t->restore(&src, out, &plain))
		never(!sound(t, out));
	pd_io_close(out);
}

static void gzip(const struct fuzz_type *t, const uint8_t *data, size_t len)
{
	static const uint8_t magic[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 };
	uint8_t *copy = malloc(sizeof(magic) + len);

	never(!copy);
	memcpy(copy, magic, sizeof(magic));
	memcpy(copy + sizeof(magic), data, len);
	restore(t, copy, sizeof(magic) + len);
	free(copy);
}

/* The superblock alone, of all types at once: block 0 is taken for each. */
static void superblock(const struct fuzz_type *t, const uint8_t *data, size_t len)
{
	struct pd_thin_check_opts thin = { .size = sizeof(thin), .super_block_only = true };
	struct pd_cache_check_opts cache = { .size = sizeof(cache), .super_block_only = true };
	struct pd_clone_check_opts clone = { .size = sizeof(clone), .super_block_only = true };
	struct pd_clone_status status;
	struct pd_check_result res;

	(void)t;
	for (unsigned i = 0; i < FUZZ_NR_TYPES; i++) {
		struct pd_io *io = mended(data, len, fuzz_types[i].sb);

		(void)pd_thin_check(io, &thin, &plain, &res);
		(void)pd_cache_check(io, &cache, &plain, &res, NULL);
		(void)pd_era_check(io, true, &plain, &res);
		(void)pd_clone_check(io, &clone, &plain, &res, &status);
		pd_io_close(io);
	}
}

struct seen {
	const uint8_t *block;
	const char *kind;
};

static int see_field(void *ctx, const char *name, const char *value)
{
	char got[PD_FIELD_VALUE_MAX];
	const struct seen *c = ctx;

	never(pd_field_get(c->block, c->kind, name, got) || strcmp(got, value));
	return 0;
}

/* "name=value\n" and then a block: what pdata_poke does. */
static void fields(const struct fuzz_type *t, const uint8_t *data, size_t len)
{
	static const char *const kinds[] = { "thin-superblock", "cache-superblock", "era-superblock",
					     "clone-superblock", "node", "array", "bitmap", "index" };
	static uint8_t block[PD_BLOCK_SIZE];
	char name[128] = "", value[PD_FIELD_VALUE_MAX] = "";
	const uint8_t *end = memchr(data, '\n', len), *eq = end ? memchr(data, '=', (size_t)(end - data)) : NULL;

	(void)t;
	if (!eq || (size_t)(eq - data) >= sizeof(name) || (size_t)(end - eq) > sizeof(value))
		return;
	memcpy(name, data, (size_t)(eq - data));
	memcpy(value, eq + 1, (size_t)(end - eq - 1));
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct seen c = { block, kinds[i] };
		size_t n = min_t(size_t, len - (size_t)(end + 1 - data), PD_BLOCK_SIZE);

		memset(block, 0, sizeof(block));
		memcpy(block, end + 1, n);
		(void)pd_field_set(block, kinds[i], name, value);
		if (i < 6 || i == 7)	/* thousands of entries, each looked for again */
			(void)pd_field_each(block, kinds[i], see_field, &c);
	}
}

#define OF_TYPE(name, i)	\
	{ name "-check", check, i }, { name "-dump", dump, i }, { name "-repair", repair, i }, \
	{ name "-restore", restore, i }
static const struct target {
	const char *name;
	void (*fn)(const struct fuzz_type *t, const uint8_t *data, size_t len);
	unsigned type;
} targets[] = {
	OF_TYPE("thin", 0), OF_TYPE("cache", 1), OF_TYPE("era", 2), OF_TYPE("clone", 3),
	{ "gzip", gzip, 0 }, { "superblock", superblock, 0 }, { "fields", fields, 0 },
};
static const struct target *target;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	target->fn(&fuzz_types[target->type], data, len);
	return 0;
}

static bool choose(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(targets); i++)
		if (!strcmp(name, targets[i].name))
			target = &targets[i];
	if (!target) {
		fprintf(stderr, "targets are:");
		for (unsigned i = 0; i < ARRAY_SIZE(targets); i++)
			fprintf(stderr, " %s", targets[i].name);
		fprintf(stderr, "\n");
	}
	return target;
}

#ifdef FUZZING
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *name = strstr((*argv)[0], "fuzz-");

	(void)argc;
	for (const char *more; name && (more = strstr(name + 1, "fuzz-")); )
		name = more;
	if (!choose(name ? name + strlen("fuzz-") : ""))
		exit(64);
	return 0;
}
#else
int main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;

	if (!choose(argc > 1 ? argv[1] : ""))
		return 64;
	for (int i = 2; i < argc; i++) {
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
