/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seeded XML of large pools, for restoring: what the benchmarks measure.
 *
 * usage: generate KIND SEED [SCALE], SCALE in percent of the full size (100)
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static uint64_t rnd(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* A seeded one-to-one shuffle of the numbers below 2^@bits. */
struct shuffle {
	unsigned bits;
	uint64_t mul, add;
};

static struct shuffle shuffle_make(uint64_t nr)
{
	struct shuffle s = { .bits = 1, .mul = rnd() | 1, .add = rnd() };

	while (1ull << s.bits < nr)
		s.bits++;
	return s;
}

static uint64_t shuffled(const struct shuffle *s, uint64_t i)
{
	uint64_t mask = (1ull << s->bits) - 1;

	for (unsigned round = 0; round < 3; round++) {
		i = (i * s->mul + s->add) & mask;
		i ^= i >> (s->bits / 2 + 1);
	}
	return i;
}

static void superblock(unsigned time, uint64_t nr_data_blocks)
{
	printf("<superblock uuid=\"\" time=\"%u\" transaction=\"1\" version=\"2\" "
	       "data_block_size=\"128\" nr_data_blocks=\"%" PRIu64 "\">\n", time, nr_data_blocks);
}

static void device(unsigned id, uint64_t mapped)
{
	printf("  <device dev_id=\"%u\" mapped_blocks=\"%" PRIu64 "\" transaction=\"0\" "
	       "creation_time=\"0\" snap_time=\"0\">\n", id, mapped);
}

static void mapping(uint64_t v, uint64_t d, uint64_t len)
{
	if (len == 1)
		printf("    <single_mapping origin_block=\"%" PRIu64 "\" data_block=\"%" PRIu64
		       "\" time=\"0\"/>\n", v, d);
	else
		printf("    <range_mapping origin_begin=\"%" PRIu64 "\" data_begin=\"%" PRIu64
		       "\" length=\"%" PRIu64 "\" time=\"0\"/>\n", v, d, len);
}

/* @nr mappings over 4 devices, each alone. */
static void singles(uint64_t nr)
{
	struct shuffle s = shuffle_make(nr);

	superblock(0, 1ull << s.bits);
	for (unsigned dev = 0; dev < 4; dev++) {
		uint64_t v = 0;

		device(dev, nr / 4);
		for (uint64_t i = 0; i < nr / 4; i++) {
			mapping(v, shuffled(&s, dev * (nr / 4) + i), 1);
			v += 2 + rnd() % 3;
		}
		puts("  </device>");
	}
}

/* @nr mappings over 8 devices, in runs of 1 to 31. */
static void runs(uint64_t nr)
{
	struct shuffle s = shuffle_make(nr / 8);
	uint64_t run = 0;

	superblock(0, 32ull << s.bits);
	for (unsigned dev = 0; dev < 8; dev++) {
		uint64_t v = 0, len;

		device(dev, nr / 8);
		for (uint64_t left = nr / 8; left; left -= len) {
			len = 1 + rnd() % 31;
			if (len > left)
				len = left;
			mapping(v, 32 * shuffled(&s, run++), len);
			v += len + 1 + rnd() % 16;
		}
		puts("  </device>");
	}
}

/* One piece of @nr_leaves full leaves, in runs of 1 to 7; returns the mappings in it. */
#define LEAF 252u
static void piece(uint64_t index, unsigned nr_leaves, struct shuffle *s, uint64_t *run)
{
	uint64_t v = index * nr_leaves * LEAF * 2, left = nr_leaves * LEAF, len;

	for (; left; left -= len) {
		len = 1 + rnd() % 7;
		if (len > left)
			len = left;
		mapping(v, 8 * shuffled(s, (*run)++), len);
		v += len + 1;
	}
}

/* One origin of @nr mappings and 60 snapshots that each have 3 % of their own. */
static void snapshots(uint64_t nr)
{
	enum { NR_SNAPS = 60, PIECE = 8 };
	uint64_t nr_pieces = nr / (LEAF * PIECE) + 1, run = 0;
	struct shuffle s = shuffle_make(nr);

	superblock(NR_SNAPS, 8ull << s.bits);
	for (uint64_t i = 0; i < nr_pieces; i++) {
		printf("  <def name=\"%" PRIu64 "\">\n", i);
		piece(i, PIECE, &s, &run);
		puts("  </def>");
	}
	for (unsigned dev = 0; dev <= NR_SNAPS; dev++) {
		device(dev, nr_pieces * PIECE * LEAF);
		for (uint64_t i = 0; i < nr_pieces; i++) {
			if (dev && rnd() % 100 < 3)
				piece(i, PIECE, &s, &run);
			else
				printf("    <ref name=\"%" PRIu64 "\"/>\n", i);
		}
		puts("  </device>");
	}
}

static void few(uint64_t nr)
{
	(void)nr;
	superblock(0, 1000);
	for (unsigned dev = 0; dev < 3; dev++) {
		device(dev, 10);
		mapping(dev, dev * 100, 10);
		puts("  </device>");
	}
}

static const struct {
	const char *name;
	void (*make)(uint64_t nr);
	uint64_t nr;			/* mappings at full size */
} kinds[] = {
	{ "singles", singles, 16ull << 20 },
	{ "runs", runs, 64ull << 20 },
	{ "snapshots", snapshots, 8ull << 20 },
	{ "few", few, 1000 },
};

int main(int argc, char **argv)
{
	uint64_t scale = argc > 3 ? strtoull(argv[3], NULL, 10) : 100;

	for (unsigned i = 0; argc > 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, argv[1]))
			continue;
		state = strtoull(argv[2], NULL, 10);
		kinds[i].make(kinds[i].nr * scale / 100);
		puts("</superblock>");
		return fflush(stdout) || ferror(stdout);
	}
	fprintf(stderr, "usage: generate singles|runs|snapshots|few SEED [PERCENT]\n");
	return 64;
}
