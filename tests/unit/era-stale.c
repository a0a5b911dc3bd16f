/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk that lost a write: each block replaced by an older state of itself. Whatever changed must be listed, or there
 * is no list; and repair must not miss it either. Excepted is what nothing can prove: an array block in the place of
 * another that is as long.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"
#include "io/engines.h"
#include "persistent-data/disk.h"
#include "unit/unit.h"
#include <pdata/era.h>
#include <pdata/era-metadata.h>

#define NR_OLD 4u

struct world {
	uint32_t nr, era, *last;
	uint64_t seed;
	struct pd_io *io, *old[NR_OLD];
	unsigned nr_cases, nr_refused, nr_kept;
	bool *listed;
	char *text;
	size_t used, room;
};

static struct pd_log silent = { .level = PD_LOG_ERR };
static const struct pd_run run = { .log = &silent, .nr_threads = 1 };

static uint64_t rnd(struct world *w, uint64_t n)
{
	w->seed = w->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (w->seed >> 33) % n;
}

static int take_text(void *ctx, const void *data, size_t len)
{
	struct world *w = ctx;

	if (w->used + len >= w->room) {
		w->room = 2 * (w->used + len) + 4096;
		w->text = realloc(w->text, w->room);
	}
	memcpy(w->text + w->used, data, len);
	w->used += len;
	w->text[w->used] = 0;
	return 0;
}

/* Is everything listed that changed in @since or later? True as well if there is no list, for @may_fail. */
static bool list_is_whole(struct world *w, struct pd_io *io, uint32_t since, bool may_fail)
{
	struct pd_era_invalidate_opts o = { .size = sizeof(o), .since = since };
	struct pd_sink sink = { take_text, w };
	unsigned long begin, end;

	w->used = 0;
	if (pd_era_invalidate(io, &o, &run, &sink)) {
		w->nr_refused++;
		return may_fail && !w->used;
	}
	memset(w->listed, 0, w->nr);
	for (char *p = strtok(w->text, "\n"); p; p = strtok(NULL, "\n")) {
		if (sscanf(p, " <block block=\"%lu\"", &begin) == 1)
			end = begin + 1;
		else if (sscanf(p, " <range begin=\"%lu\" end=\"%lu\"", &begin, &end) != 2)
			continue;
		for (; begin < end && begin < w->nr; begin++)
			w->listed[begin] = true;
	}
	for (uint32_t b = 0; b < w->nr; b++)
		if (w->last[b] >= since && !w->listed[b])
			return false;
	return true;
}

static bool sound(struct pd_io *io)
{
	struct pd_check_result res;

	return !pd_era_check(io, false, &run, &res) && res.worst < PD_SEV_WARN;
}

/* Nothing tells one of them from the other. */
static bool alike(const void *a, const void *b)
{
	const struct array_header *x = a, *y = b;

	return block_kind(a) == KIND_ARRAY && block_kind(b) == KIND_ARRAY &&
	       le32_get(x->value_size) == le32_get(y->value_size) && le32_get(x->nr_entries) == le32_get(y->nr_entries);
}

static void try_block(struct world *w, struct pd_io *old, uint64_t block)
{
	uint8_t *now = pd_io_buffer(1), *then = pd_io_buffer(1);
	struct pd_era_repair_result res;
	struct pd_io *io, *out;

	if (!pd_io_read(w->io, block, 1, now) && !pd_io_read(old, block, 1, then) && block_kind(then) != KIND_NONE &&
	    memcmp(now, then, PD_BLOCK_SIZE) && !alike(now, then)) {
		CU_ASSERT_EQUAL_FATAL(io_ram_copy(&io, w->io), 0);
		CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&out, pd_io_nr_blocks(io)), 0);
		CU_ASSERT_EQUAL(pd_io_write(io, block, 1, then), 0);
		w->nr_cases++;
		for (uint32_t since = w->era > 2 ? w->era - 2 : 1; since <= w->era; since++)
			CU_ASSERT(list_is_whole(w, io, since, true));
		CU_ASSERT(list_is_whole(w, io, 1, true));
		CU_ASSERT_EQUAL(pd_era_repair(io, out, NULL, &run, &res), 0);
		CU_ASSERT(sound(out));
		w->nr_kept += !res.lossy;
		for (uint32_t since = w->era > 2 ? w->era - 2 : 1; since <= w->era; since++)
			CU_ASSERT(list_is_whole(w, out, since, false));
		CU_ASSERT(list_is_whole(w, out, 1, false));
		pd_io_close(out);
		pd_io_close(io);
	}
	free(now);
	free(then);
}

static void step(struct world *w, struct pd_era *e)
{
	struct pd_era_info info;

	for (unsigned i = 0; i < 60; i++) {
		uint32_t b = (uint32_t)rnd(w, w->nr);

		pd_era_get_info(e, &info);
		if (!info.live || !rnd(w, 25)) {
			CU_ASSERT_EQUAL(pd_era_begin(e), 0);
			w->era++;
		} else if (!rnd(w, 30)) {
			int r = pd_era_digest(e);

			CU_ASSERT(!r || r == -ENODATA);
		}
		CU_ASSERT_EQUAL(pd_era_mark(e, b), 0);
		w->last[b] = w->era;
	}
	if (!rnd(w, 5)) {
		pd_era_get_info(e, &info);
		if (!info.metadata_snap && !pd_era_take_metadata_snap(e))
			w->era++;
		else
			CU_ASSERT_EQUAL(pd_era_drop_metadata_snap(e), 0);
	}
	CU_ASSERT_EQUAL_FATAL(pd_era_commit(e), 0);
}

static void play(uint32_t nr, uint64_t seed, unsigned nr_steps, unsigned one_in)
{
	struct world w = { .nr = nr, .seed = seed };
	struct pd_era *e;

	w.last = calloc(nr, sizeof(*w.last));
	w.listed = calloc(nr, sizeof(*w.listed));
	CU_ASSERT_FATAL(w.last && w.listed);
	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&w.io, 200 + nr / 200), 0);
	CU_ASSERT_EQUAL_FATAL(pd_era_create(w.io, 8, nr, NULL), 0);
	for (unsigned i = 0; i < nr_steps; i++) {
		CU_ASSERT_EQUAL_FATAL(pd_era_open(&e, w.io, 128, NULL), 0);
		step(&w, e);
		pd_era_close(e);
		CU_ASSERT(list_is_whole(&w, w.io, 1, false));
		CU_ASSERT(list_is_whole(&w, w.io, w.era, false));
		for (uint64_t b = 1; i >= NR_OLD && b < pd_io_nr_blocks(w.io); b++)
			if (!rnd(&w, one_in))
				try_block(&w, w.old[rnd(&w, NR_OLD)], b);
		pd_io_close(w.old[i % NR_OLD]);
		CU_ASSERT_EQUAL_FATAL(io_ram_copy(&w.old[i % NR_OLD], w.io), 0);
	}
	printf("%u older blocks, %u lists refused, %u harmless\n", w.nr_cases, w.nr_refused, w.nr_kept);
	CU_ASSERT(w.nr_cases > 10);
	CU_ASSERT(w.nr_refused > 0);
	for (unsigned i = 0; i < NR_OLD; i++)
		pd_io_close(w.old[i]);
	pd_io_close(w.io);
	free(w.text);
	free(w.last);
	free(w.listed);
}

static void play_all(uint32_t nr, unsigned nr_steps, unsigned one_in)
{
	const char *scale = getenv("PD_TEST_SCALE");

	for (int seed = 1; seed == 1 || (scale && seed <= atoi(scale)); seed++)
		play(nr, (uint64_t)seed, nr_steps, one_in);
}

static void test_older_blocks_of_a_small_device(void) { play_all(30000, 40, 4); }
static void test_older_blocks_of_a_larger_device(void) { play_all(300000, 16, 40); }

UNIT_SUITE(era_stale,
	UNIT(test_older_blocks_of_a_small_device),
	UNIT(test_older_blocks_of_a_larger_device));
