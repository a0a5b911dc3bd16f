/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Power cuts at each write of everything that writes metadata in one go: what a volatile write cache may leave then is
 * the old state or the new one in place, and on an output what was there, something recognisably invalid, or all of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/thin.h>
#include "fuzz/types.h"
#include "io/engine.h"
#include "unit/unit.h"

#define NR_SEEDS 6u
#define MAX_CUTS 40u
#define MAX_TEXT (1u << 20)
#define OUT_BLOCKS 600u

/* ---- What a state of metadata is known by ---- */

struct state {
	uint64_t said, dumped;	/* hashes of what check says and dump writes */
	int check, dump;
	enum pd_severity worst;
};

static void hash_on(uint64_t *hash, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		*hash = (*hash ^ ((const uint8_t *)data)[i]) * 0x100000001b3u;
}

static void hear(void *ctx, enum pd_log_level level, const char *text)
{
	(void)level;
	hash_on(ctx, text, strlen(text));
}

struct text {
	char *data;
	size_t len, at;
};

static int take(void *ctx, const void *data, size_t len)
{
	struct text *t = ctx;

	if (len > MAX_TEXT - t->len)
		return -EFBIG;
	memcpy(t->data + t->len, data, len);
	t->len += len;
	return 0;
}

static ssize_t give(void *ctx, void *data, size_t len)
{
	struct text *t = ctx;
	size_t n = len < t->len - t->at ? len : t->len - t->at;

	memcpy(data, t->data + t->at, n);
	t->at += n;
	return (ssize_t)n;
}

static char *page;		/* for one dump at a time */

static struct state look(const struct fuzz_type *t, struct pd_io *io)
{
	struct state s = { .said = 1, .dumped = 1 };
	struct pd_log log = { hear, &s.said, PD_LOG_INFO };
	struct pd_run run = { .log = &log, .nr_threads = 1 }, quietly = { .nr_threads = 1 };
	struct text text = { .data = page };
	struct pd_sink sink = { take, &text };
	struct pd_check_result res = { .worst = PD_SEV_FATAL };

	s.check = t->check(io, FUZZ_LOOK, &run, &res);
	s.worst = res.worst;
	s.dump = t->dump(io, &quietly, &sink);
	hash_on(&s.dumped, text.data, text.len);
	return s;
}

static bool same(const struct state *a, const struct state *b)
{
	return a->said == b->said && a->check == b->check && a->dump == b->dump && a->dumped == b->dumped;
}

static struct pd_io *copy_of(struct pd_io *io, uint64_t nr_blocks)
{
	uint8_t *buf = pd_io_buffer(1);
	struct pd_io *copy;

	CU_ASSERT_FATAL(buf && !pd_io_open_ram(&copy, nr_blocks));
	for (uint64_t b = 0; b < nr_blocks && b < pd_io_nr_blocks(io); b++)
		CU_ASSERT(!pd_io_read(io, b, 1, buf) && !pd_io_write(copy, b, 1, buf));
	free(buf);
	return copy;
}

/* ---- Metadata with something to mend ---- */

static void change_block(struct pd_io *io, uint64_t b, enum block_kind kind, void (*change)(uint8_t *block))
{
	uint8_t *buf = pd_io_buffer(1);

	CU_ASSERT_FATAL(buf && !pd_io_read(io, b, 1, buf) && block_kind(buf) == kind);
	change(buf);
	block_seal(buf, kind, b);
	CU_ASSERT(!pd_io_write(io, b, 1, buf));
	free(buf);
}

static uint64_t first_bitmap(const struct fuzz_type *t, struct pd_io *io)
{
	uint8_t *buf = pd_io_buffer(1);
	uint64_t b;

	CU_ASSERT_FATAL(buf && !pd_io_read(io, 0, 1, buf));
	b = le64_get(sm_root_get(buf + t->sm_root_at).bitmap_root);
	CU_ASSERT_FATAL(!pd_io_read(io, b, 1, buf));
	b = le64_get(((struct metadata_index *)(void *)buf)->index[0].blocknr);
	free(buf);
	return b;
}

static void leak(uint8_t *bitmap)
{
	for (uint32_t e = 0, n = 0; n < 3 && e < ENTRIES_PER_BITMAP; e++)
		if (!bitmap_get(bitmap, e)) {
			bitmap_put(bitmap, e, 1 + n % 2);
			n++;
		}
}

static void lose(uint8_t *bitmap)
{
	bitmap_put(bitmap, 1, 0);
	bitmap_put(bitmap, 2, 0);
}

static void set_needs_check(uint8_t *sb)
{
	((struct thin_superblock *)(void *)sb)->flags = le32_put(THIN_NEEDS_CHECK);
}

/* ---- In place ---- */

static int auto_repair(const struct fuzz_type *t, struct pd_io *io)
{
	struct pd_run run = { .nr_threads = 1 };
	struct pd_check_result res;

	return t->check(io, FUZZ_AUTO_REPAIR, &run, &res);
}

static int clear_flag(const struct fuzz_type *t, struct pd_io *io)
{
	struct pd_run run = { .nr_threads = 1 };
	struct pd_check_result res;

	return t->check(io, FUZZ_CLEAR_NEEDS_CHECK, &run, &res);
}

static int in_place(const struct fuzz_type *t, struct pd_io *io)
{
	struct pd_run run = { .nr_threads = 1 };

	return t->in_place(io, &run);
}

/* @io is consumed. */
static void cut_in_place(const struct fuzz_type *t, struct pd_io *io, int (*op)(const struct fuzz_type *, struct pd_io *))
{
	struct state old = look(t, io), new, now;
	struct pd_io *crash, *disk;
	bool saw_old = false, saw_new = false;

	CU_ASSERT_EQUAL_FATAL(pd_io_crash(&crash, io), 0);
	CU_ASSERT_EQUAL(op(t, crash), 0);
	new = look(t, crash);
	CU_ASSERT(!same(&old, &new) && !new.check && new.worst <= PD_SEV_WARN && new.dump == old.dump);
	for (uint64_t n = 0; n <= pd_crash_nr_writes(crash); n++)
		for (uint64_t seed = 0; seed < NR_SEEDS; seed++) {
			CU_ASSERT_EQUAL_FATAL(pd_crash_disk(crash, n, seed, &disk), 0);
			now = look(t, disk);
			saw_old |= same(&now, &old);
			saw_new |= same(&now, &new);
			CU_ASSERT(same(&now, &old) || same(&now, &new));
			/* and whichever it is, the same once more ends well */
			CU_ASSERT_EQUAL(op(t, disk), 0);
			now = look(t, disk);
			CU_ASSERT(same(&now, &new));
			pd_io_close(disk);
		}
	CU_ASSERT(saw_old && saw_new);
	pd_io_close(crash);
}

static void test_mending_leaves_old_or_new(void)
{
	static const struct { unsigned type; const char *name; } images[] = {
		{ 0, "thin:snapped" }, { 1, "cache:v2" }, { 3, "clone:small" },
	};

	page = malloc(MAX_TEXT);
	for (unsigned i = 0; i < ARRAY_SIZE(images); i++) {
		const struct fuzz_type *t = &fuzz_types[images[i].type];
		struct pd_io *io = fuzz_generate(images[i].name);

		change_block(io, first_bitmap(t, io), KIND_BITMAP, leak);
		cut_in_place(t, io, auto_repair);
	}
	free(page);
}

static void test_clearing_a_flag_leaves_old_or_new(void)
{
	const struct fuzz_type *t = &fuzz_types[0];
	struct pd_io *io = fuzz_generate("thin:shared");

	page = malloc(MAX_TEXT);
	change_block(io, first_bitmap(t, io), KIND_BITMAP, leak);
	change_block(io, 0, KIND_THIN_SB, set_needs_check);
	cut_in_place(t, io, clear_flag);
	free(page);
}

static void test_repair_in_place_leaves_old_or_new(void)
{
	const struct fuzz_type *t = &fuzz_types[0];
	struct pd_io *io = fuzz_generate("thin:snapped");

	page = malloc(MAX_TEXT);
	change_block(io, first_bitmap(t, io), KIND_BITMAP, lose);
	cut_in_place(t, io, in_place);
	free(page);
}

static void test_repair_in_place_may_stop_after_any_phase(void)
{
	const struct fuzz_type *t = &fuzz_types[0];
	struct pd_run run = { .nr_threads = 1 };
	struct pd_io *io = fuzz_generate("thin:snapped");
	struct state old, now;
	unsigned nr = 0;

	page = malloc(MAX_TEXT);
	change_block(io, first_bitmap(t, io), KIND_BITMAP, lose);
	old = look(t, io);
	for (unsigned phase = PD_THIN_PHASE_DATA_SM; phase < PD_THIN_NR_PHASES; phase++, nr++) {
		struct pd_thin_in_place_opts o = { .size = sizeof(o), .stop_after = phase };
		struct pd_io *crash, *disk;

		/* stopped, all of the phase is on the device, and the superblock still leads to the old state */
		CU_ASSERT_EQUAL_FATAL(pd_io_crash(&crash, copy_of(io, pd_io_nr_blocks(io))), 0);
		CU_ASSERT_EQUAL(pd_thin_repair_in_place(crash, &o, &run), -ECANCELED);
		CU_ASSERT(pd_crash_nr_writes(crash) > 0);
		now = look(t, crash);
		CU_ASSERT(same(&now, &old));
		CU_ASSERT_EQUAL_FATAL(pd_crash_disk(crash, pd_crash_nr_writes(crash), 1, &disk), 0);
		o.stop_after = PD_THIN_PHASE_NONE;
		CU_ASSERT_EQUAL(pd_thin_repair_in_place(disk, &o, &run), 0);
		now = look(t, disk);
		CU_ASSERT(!now.check && now.worst <= PD_SEV_WARN && now.dumped == old.dumped);
		pd_io_close(disk);
		pd_io_close(crash);
	}
	CU_ASSERT(nr >= 2);
	pd_io_close(io);
	free(page);
}

/* ---- Outputs ---- */

static int restore(const struct fuzz_type *t, struct pd_io *from, struct pd_io *out)
{
	struct pd_run run = { .nr_threads = 1 };
	struct text text = { .data = page };
	struct pd_sink sink = { take, &text };
	struct pd_source src = { give, &text };
	int r = t->dump(from, &run, &sink);

	return r ? r : t->restore(&src, out, &run);
}

static int repair(const struct fuzz_type *t, struct pd_io *from, struct pd_io *out)
{
	struct pd_run run = { .nr_threads = 1 };
	struct fuzz_numbers n = { .given = false };

	return t->repair(from, out, &n, &run);
}

/* The right magic number and a wrong checksum: what the next one to look must not take for good or for empty. */
static bool invalid(struct pd_io *io, const struct fuzz_type *t)
{
	struct thin_superblock *sb = pd_io_buffer(1);
	bool is = sb && !pd_io_read(io, 0, 1, sb) && block_kind(sb) == KIND_NONE &&
		  le64_get(sb->magic) == block_kind_magic(t->sb);

	free(sb);
	return is;
}

static bool same_blocks(struct pd_io *a, struct pd_io *b)
{
	uint8_t *x = pd_io_buffer(1), *y = pd_io_buffer(1);
	bool is = x && y;

	for (uint64_t i = 0; is && i < pd_io_nr_blocks(a); i++)
		is = !pd_io_read(a, i, 1, x) && !pd_io_read(b, i, 1, y) && !memcmp(x, y, PD_BLOCK_SIZE);
	free(x);
	free(y);
	return is;
}

static void cut_output(const struct fuzz_type *t, struct pd_io *from, struct pd_io *before,
		       int (*op)(const struct fuzz_type *, struct pd_io *, struct pd_io *))
{
	struct pd_io *crash, *disk;
	struct state new, now;
	unsigned nr_old = 0, nr_invalid = 0, nr_new = 0;
	uint64_t nr, step;

	CU_ASSERT_EQUAL_FATAL(pd_io_crash(&crash, copy_of(before, OUT_BLOCKS)), 0);
	CU_ASSERT_EQUAL(op(t, from, crash), 0);
	new = look(t, crash);
	CU_ASSERT(!new.check && new.worst <= PD_SEV_WARN && !new.dump);
	nr = pd_crash_nr_writes(crash);
	step = 1 + nr / MAX_CUTS;
	for (uint64_t n = 0; n <= nr; n += n < 3 || n + step > nr - 2 ? 1 : step)
		for (uint64_t seed = 0; seed < NR_SEEDS; seed++) {
			CU_ASSERT_EQUAL_FATAL(pd_crash_disk(crash, n, seed, &disk), 0);
			if (same_blocks(before, disk)) {
				nr_old++;
			} else if (invalid(disk, t)) {
				nr_invalid++;
			} else {
				now = look(t, disk);
				CU_ASSERT(same(&now, &new));
				nr_new++;
			}
			pd_io_close(disk);
		}
	CU_ASSERT(nr_old && nr_invalid > nr_old && nr_new);
	pd_io_close(crash);
}

static void test_an_output_is_old_invalid_or_whole(void)
{
	static const char *const images[FUZZ_NR_TYPES] = { "thin:snapped", "cache:v2", "era:small", "clone:small" };

	page = malloc(MAX_TEXT);
	for (unsigned i = 0; i < FUZZ_NR_TYPES; i++) {
		struct pd_io *from = fuzz_generate(images[i]), *before;

		/* over other metadata, and over nothing */
		before = copy_of(from, OUT_BLOCKS);
		cut_output(&fuzz_types[i], from, before, restore);
		cut_output(&fuzz_types[i], from, before, repair);
		pd_io_close(before);
		CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&before, OUT_BLOCKS), 0);
		cut_output(&fuzz_types[i], from, before, restore);
		pd_io_close(before);
		pd_io_close(from);
	}
	free(page);
}

UNIT_SUITE(fault_power,
	UNIT(test_mending_leaves_old_or_new),
	UNIT(test_clearing_a_flag_leaves_old_or_new),
	UNIT(test_repair_in_place_leaves_old_or_new),
	UNIT(test_repair_in_place_may_stop_after_any_phase),
	UNIT(test_an_output_is_old_invalid_or_whole)
);
