/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much does a repair save? Pools of a real kernel, damaged by seeded hits, repaired, compared with what they held.
 *
 * usage: score FIRST-SEED NR NEW OLD [NEW OLD]...
 *
 * NEW is the pool, OLD an earlier state of it. A case is 1 to 20 hits: blocks zeroed, torn, flipped in a bit, filled with
 * garbage, written to another's place, replaced by their older version; ranges wiped. They fall on any block with a right
 * checksum, or (every second case) on what is live. Four classes in turn: block 0 spared; hit in one of these ways, its
 * three numbers given; the same, and the live generation named; hit where it says nothing, so that it still makes sense, and
 * nothing given. "kept" is the share of the mappings in intact leaves that the result has; a mapping is wrong that the pool
 * did not have. An older version with which all counts agree cannot be told from the live one and is left out. With NR 1
 * hits and messages go to standard error.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/thin.h>
#include "persistent-data/disk.h"

enum class { INTACT, NUMBERS, NAMED, SPOILT, NR_CLASSES };

static const struct {
	const char *name;
	double bar;
} classes[NR_CLASSES] = {
	[INTACT] = { "superblock intact", 0.98 }, [NUMBERS] = { "numbers given", 0.75 },
	[NAMED] = { "generation named", 0.97 }, [SPOILT] = { "checksum spoilt", 0.98 },
};

struct mapping {
	uint64_t dev, vblock, dblock, leaf;
};

struct maps {
	struct mapping *m;
	size_t nr, max;
};

struct image {
	uint8_t *data;
	uint64_t nr_blocks;
};

struct pool {
	const char *name;
	struct image now, old;
	struct maps maps;	/* what the pool holds, sorted */
	struct targets {
		uint64_t *b, nr;
	} valid, live;		/* blocks with a right checksum; those that the space map counts */
};

struct score {
	uint64_t nr, intact, kept, wrong, refused, unsound;
	double worst;
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

static uint8_t *block_of(const struct image *im, uint64_t b)
{
	return im->data + b * PD_BLOCK_SIZE;
}

/* ---- What a sound pool holds ---- */

static void add(struct maps *s, struct mapping m)
{
	if (s->nr == s->max) {
		s->max = s->max ? 2 * s->max : 4096;
		s->m = realloc(s->m, s->max * sizeof(*s->m));
		if (!s->m)
			abort();
	}
	s->m[s->nr++] = m;
}

static void walk_device(const struct image *im, uint64_t dev, uint64_t block, struct maps *to)
{
	const struct node_header *n = (const void *)block_of(im, block);

	for (uint32_t i = 0; i < le32_get(n->nr_entries); i++)
		if (le32_get(n->flags) == NODE_INTERNAL)
			walk_device(im, dev, node_value64(n, i), to);
		else
			add(to, (struct mapping){ dev, node_key(n, i), mapping_block(node_value64(n, i)), block });
}

static void walk_devices(const struct image *im, uint64_t block, struct maps *to)
{
	const struct node_header *n = (const void *)block_of(im, block);

	for (uint32_t i = 0; i < le32_get(n->nr_entries); i++)
		if (le32_get(n->flags) == NODE_INTERNAL)
			walk_devices(im, node_value64(n, i), to);
		else
			walk_device(im, node_key(n, i), node_value64(n, i), to);
}

static int by_place(const void *va, const void *vb)
{
	const struct mapping *a = va, *b = vb;

	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	return a->vblock < b->vblock ? -1 : a->vblock > b->vblock;
}

static void take_maps(const struct image *im, struct maps *to)
{
	const struct thin_superblock *sb = (const void *)im->data;

	to->nr = 0;
	walk_devices(im, le64_get(sb->data_mapping_root), to);
	if (to->nr)
		qsort(to->m, to->nr, sizeof(*to->m), by_place);
}

/* ---- Damage ---- */

static enum pd_severity check(const struct image *im)
{
	struct pd_thin_check_opts o = { .size = sizeof(o) };
	struct pd_run run = { .nr_threads = 1 };
	struct pd_check_result res;
	struct pd_io *io;
	int r;

	if (pd_io_open_ram(&io, im->nr_blocks) || pd_io_write(io, 0, (uint32_t)im->nr_blocks, im->data))
		abort();
	r = pd_thin_check(io, &o, &run, &res);
	pd_io_close(io);
	return r ? PD_SEV_FATAL : res.worst;
}

/* Is block @b, as it was, what any check must take for what it is? */
static bool old_version_agrees(struct pool *p, uint64_t b)
{
	uint8_t now[PD_BLOCK_SIZE];
	bool agrees;

	memcpy(now, block_of(&p->now, b), sizeof(now));
	memcpy(block_of(&p->now, b), block_of(&p->old, b), PD_BLOCK_SIZE);
	agrees = check(&p->now) <= PD_SEV_INFO;
	memcpy(block_of(&p->now, b), now, sizeof(now));
	return agrees;
}

enum hit_kind { ZEROED, TORN, FLIPPED, GARBAGE, MISDIRECTED, OLDER, WIPED, NR_KINDS };
static const char *const kinds[] = { "zeroed", "torn", "flipped", "garbage", "misdirected", "older", "wiped" };

/* One hit on @to, from block @b on; no block below @b is touched. */
static void hit_block(struct pool *p, struct image *to, uint64_t b, enum hit_kind kind, bool *spoilt)
{
	uint64_t other = p->valid.b[rnd(p->valid.nr)], n = 1;
	uint8_t *data = block_of(to, b);
	size_t at;

	switch (kind) {
	case ZEROED:
		memset(data, 0, PD_BLOCK_SIZE);
		break;
	case TORN:
		at = 512 * (1 + rnd(7));
		memcpy(data + at, block_of(rnd(2) ? &p->old : &p->now, rnd(2) ? b : other) + at, PD_BLOCK_SIZE - at);
		break;
	case FLIPPED:
		data[rnd(PD_BLOCK_SIZE)] ^= (uint8_t)(1 << rnd(8));
		break;
	case GARBAGE:
		for (at = 0; at < PD_BLOCK_SIZE; at++)
			data[at] = (uint8_t)rnd(256);
		break;
	case MISDIRECTED:
		memcpy(data, block_of(&p->now, other), PD_BLOCK_SIZE);
		break;
	case OLDER:
		if (b < p->old.nr_blocks && block_kind(block_of(&p->old, b)) != KIND_NONE && !old_version_agrees(p, b))
			memcpy(data, block_of(&p->old, b), PD_BLOCK_SIZE);
		break;
	default:
		n = 1 + rnd(24);
		n = min_t(uint64_t, n, to->nr_blocks - b);
		memset(data, 0, n * PD_BLOCK_SIZE);
	}
	for (uint64_t i = b; i < b + n; i++)
		spoilt[i] = memcmp(block_of(to, i), block_of(&p->now, i), PD_BLOCK_SIZE);
	if (aloud)
		fprintf(stderr, "%s blocks [%" PRIu64 ", %" PRIu64 ")\n", kinds[kind], b, b + n);
}

/* What befalls the superblock. */
static void hit_superblock(struct pool *p, struct image *to, enum class class, bool *spoilt)
{
	size_t fields_end = sizeof(struct thin_superblock);

	if (class == SPOILT && rnd(2))
		block_of(to, 0)[rnd(4)] ^= (uint8_t)(1 << rnd(8));
	else if (class == SPOILT)
		block_of(to, 0)[fields_end + rnd(PD_BLOCK_SIZE - fields_end)] ^= (uint8_t)(1 << rnd(8));
	else if (class != INTACT && rnd(4))
		memset(block_of(to, 0), (int)rnd(256), PD_BLOCK_SIZE);
	else if (class != INTACT)
		hit_block(p, to, 0, (enum hit_kind)rnd(WIPED), spoilt);
}

/* ---- A case ---- */

static void hear(void *ctx, enum pd_log_level level, const char *text)
{
	(void)ctx;
	(void)level;
	if (aloud)
		fprintf(stderr, "%s\n", text);
}

static int repair(const struct pool *p, const struct image *damaged, enum class class, struct image *result)
{
	const struct thin_superblock *sb = (const void *)p->now.data;
	struct sm_root data = sm_root_get(sb->data_space_map_root), meta = sm_root_get(sb->metadata_space_map_root);
	struct pd_thin_repair_opts o = { .size = sizeof(o) };
	struct pd_log log = { .msg = hear, .level = PD_LOG_INFO };
	struct pd_run run = { .log = &log, .nr_threads = 1 };
	struct pd_thin_repair_result res;
	struct pd_io *in, *out;
	int r;

	if (class == NUMBERS || class == NAMED) {
		o.overrides = (struct pd_thin_overrides){
			.has_transaction_id = true, .transaction_id = le64_get(sb->trans_id),
			.has_data_block_size = true, .data_block_size = le32_get(sb->data_block_size),
			.has_nr_data_blocks = true, .nr_data_blocks = le64_get(data.nr_blocks),
		};
		o.has_generation = class == NAMED;
		o.generation = le64_get(meta.bitmap_root);
	}
	if (pd_io_open_ram(&in, damaged->nr_blocks) || pd_io_open_ram(&out, result->nr_blocks) ||
	    pd_io_write(in, 0, (uint32_t)damaged->nr_blocks, damaged->data))
		abort();
	r = pd_thin_repair(in, out, &o, &run, &res);
	if (pd_io_read(out, 0, (uint32_t)result->nr_blocks, result->data))
		abort();
	pd_io_close(in);
	pd_io_close(out);
	return r;
}

static unsigned is_wrong(const struct mapping *got, const struct mapping *want)
{
	if (aloud)
		fprintf(stderr, "device %" PRIu64 ", block %" PRIu64 " is at %" PRIu64 " (%s)\n", got->dev, got->vblock,
			got->dblock, want ? "should be elsewhere" : "should not be mapped");
	return 1;
}

static void compare(const struct pool *p, const struct maps *got, const bool *spoilt, struct score *s)
{
	uint64_t intact = 0, kept = 0, wrong = 0;
	size_t g = 0;

	for (size_t i = 0; i < p->maps.nr; i++) {
		const struct mapping *m = &p->maps.m[i];

		for (; g < got->nr && by_place(&got->m[g], m) < 0; g++)
			wrong += is_wrong(&got->m[g], NULL);
		intact += !spoilt[m->leaf];
		if (g < got->nr && !by_place(&got->m[g], m)) {
			if (got->m[g].dblock != m->dblock)
				wrong += is_wrong(&got->m[g], m);
			else
				kept += !spoilt[m->leaf];
			g++;
		}
	}
	for (; g < got->nr; g++)
		wrong += is_wrong(&got->m[g], NULL);
	if (aloud)
		fprintf(stderr, "kept %" PRIu64 " of %" PRIu64 ", wrong %" PRIu64 "\n", kept, intact, wrong);
	s->intact += intact;
	s->kept += kept;
	s->wrong += wrong > 0;
	if (intact && (double)kept / (double)intact < s->worst)
		s->worst = (double)kept / (double)intact;
}

static bool one(struct pool *p, enum class class, struct score *s, struct image *damaged, struct image *result)
{
	const struct thin_superblock *sb = (const void *)p->now.data;
	struct sm_root meta = sm_root_get(sb->metadata_space_map_root);
	uint64_t nr_hits = rnd(3) ? 1 + rnd(6) : 1 + rnd(20);
	const struct targets *targets = rnd(2) ? &p->valid : &p->live;
	bool *spoilt = calloc(p->now.nr_blocks, sizeof(*spoilt));
	struct score before = *s;
	struct maps got = { 0 };

	if (!spoilt)
		abort();
	memcpy(damaged->data, p->now.data, p->now.nr_blocks * PD_BLOCK_SIZE);
	damaged->nr_blocks = p->now.nr_blocks;
	result->nr_blocks = 2 * p->now.nr_blocks;
	hit_superblock(p, damaged, class, spoilt);
	for (uint64_t i = 0; i < nr_hits; i++)
		hit_block(p, damaged, targets->b[rnd(targets->nr)], (enum hit_kind)rnd(NR_KINDS), spoilt);
	if (class == NAMED && spoilt[le64_get(meta.bitmap_root)]) {
		free(spoilt);
		return true;		/* its index block is not intact: no such case */
	}
	s->nr++;
	if (repair(p, damaged, class, result)) {
		for (size_t i = 0; i < p->maps.nr; i++)
			s->intact += !spoilt[p->maps.m[i].leaf];
		s->refused++;
		s->worst = 0;
	} else if (check(result) > PD_SEV_WARN) {
		s->unsound++;
	} else {
		take_maps(result, &got);
		compare(p, &got, spoilt, s);
	}
	free(got.m);
	free(spoilt);
	return s->wrong == before.wrong && s->refused == before.refused && s->unsound == before.unsound;
}

static bool load(struct image *im, const char *name)
{
	FILE *f = fopen(name, "rb");
	long len;

	if (!f || fseek(f, 0, SEEK_END) || (len = ftell(f)) <= 0)
		return false;
	rewind(f);
	im->nr_blocks = (uint64_t)len / PD_BLOCK_SIZE;
	im->data = pd_io_buffer((uint32_t)im->nr_blocks);
	if (!im->data || fread(im->data, PD_BLOCK_SIZE, im->nr_blocks, f) != im->nr_blocks)
		return false;
	fclose(f);
	return true;
}

static bool counted(const struct image *im, uint64_t b)
{
	const struct thin_superblock *sb = (const void *)im->data;
	const struct metadata_index *index = (const void *)
		block_of(im, le64_get(sm_root_get(sb->metadata_space_map_root).bitmap_root));
	uint64_t bitmap = le64_get(index->index[b / ENTRIES_PER_BITMAP].blocknr);

	return bitmap_get(block_of(im, bitmap), b % ENTRIES_PER_BITMAP);
}

static bool load_pool(struct pool *p, const char *now, const char *old)
{
	p->name = now;
	if (!load(&p->now, now) || !load(&p->old, old) || block_kind(p->now.data) != KIND_THIN_SB)
		return false;
	p->valid.b = malloc(p->now.nr_blocks * sizeof(*p->valid.b));
	p->live.b = malloc(p->now.nr_blocks * sizeof(*p->live.b));
	for (uint64_t b = 1; p->valid.b && p->live.b && b < p->now.nr_blocks; b++) {
		if (block_kind(block_of(&p->now, b)) != KIND_NONE)
			p->valid.b[p->valid.nr++] = b;
		if (counted(&p->now, b))
			p->live.b[p->live.nr++] = b;
	}
	take_maps(&p->now, &p->maps);
	return p->live.nr && p->maps.nr;
}

int main(int argc, char **argv)
{
	struct score scores[NR_CLASSES];
	unsigned nr_pools = 0, failed = 0;
	struct pool *pools = calloc((size_t)argc, sizeof(*pools));
	struct image damaged, result;
	uint64_t first, nr, max = 0;

	if (argc < 5 || argc % 2 == 0 || !pools) {
		fprintf(stderr, "usage: score FIRST-SEED NR NEW OLD [NEW OLD]...\n");
		return 64;
	}
	for (unsigned c = 0; c < NR_CLASSES; c++)
		scores[c] = (struct score){ .worst = 1 };
	first = strtoull(argv[1], NULL, 10);
	nr = strtoull(argv[2], NULL, 10);
	aloud = nr == 1;
	for (int i = 3; i + 1 < argc; i += 2, nr_pools++) {
		if (!load_pool(&pools[nr_pools], argv[i], argv[i + 1])) {
			fprintf(stderr, "score: cannot use %s and %s\n", argv[i], argv[i + 1]);
			return 1;
		}
		max = max_t(uint64_t, max, pools[nr_pools].now.nr_blocks);
	}
	damaged.data = pd_io_buffer((uint32_t)max);
	result.data = pd_io_buffer((uint32_t)(2 * max));
	for (uint64_t seed = first; seed < first + nr; seed++) {
		struct pool *p = &pools[seed % nr_pools];
		enum class class = (enum class)(seed / nr_pools % NR_CLASSES);

		uint64_t refused = scores[class].refused, unsound = scores[class].unsound;

		state = seed;
		if (!one(p, class, &scores[class], &damaged, &result))
			printf("seed %" PRIu64 " (%s, %s): %s\n", seed, p->name, classes[class].name,
			       scores[class].refused > refused ? "refused" : scores[class].unsound > unsound ? "unsound" : "wrong");
	}
	printf("%-18s %6s %8s %8s %6s %8s %8s\n", "class", "cases", "kept", "worst", "wrong", "refused", "unsound");
	for (unsigned c = 0; c < NR_CLASSES; c++) {
		struct score *s = &scores[c];
		double kept = s->intact ? (double)s->kept / (double)s->intact : 1;

		printf("%-18s %6" PRIu64 " %7.2f%% %7.2f%% %6" PRIu64 " %8" PRIu64 " %8" PRIu64 "\n", classes[c].name, s->nr,
		       100 * kept, 100 * s->worst, s->wrong, s->refused, s->unsound);
		/* a few cases say little of the mean */
		failed += kept < classes[c].bar - (nr < 1000 ? 0.1 : 0) || s->wrong || s->unsound;
	}
	for (unsigned i = 0; i < nr_pools; i++) {
		free(pools[i].now.data);
		free(pools[i].old.data);
		free(pools[i].maps.m);
		free(pools[i].valid.b);
		free(pools[i].live.b);
	}
	free(pools);
	free(damaged.data);
	free(result.data);
	printf("%u passed, %u failed, 0 skipped\n", NR_CLASSES - failed, failed);
	return failed != 0;
}
