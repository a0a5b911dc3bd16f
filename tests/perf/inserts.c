/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inserts [N] - inserts a second of random keys (of a million) into a mapping tree on RAM, a commit every
 * 10,000, averaged over the first N (3,000,000). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "persistent-data/btree.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int commit(struct pd_tm *tm)
{
	struct pd_block *sb;
	struct sm_root root;
	int r = tm_pre_commit(tm, &root);

	if (!r)
		r = bm_write_lock_new(tm_bm(tm), SB_LOCATION, KIND_THIN_SB, true, &sb);
	if (r)
		return r;
	((struct sb_header *)sb->data)->magic = le64_put(THIN_MAGIC);
	return tm_commit(tm, &sb);
}

int main(int argc, char **argv)
{
	uint64_t nr = argc > 1 ? strtoull(argv[1], NULL, 0) : 3000000, root, seed = 1;
	uint32_t cache = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 16384;
	struct btree t = { .levels = 1, .value = { .size = 8 } };
	struct pd_io *io;
	double begin;
	int r = pd_io_open_ram(&io, 65536);

	if (!r)
		r = tm_create(&t.tm, io, cache, NULL);
	if (!r)
		r = btree_empty(&t, &root);
	begin = now();
	for (uint64_t i = 1; i <= nr && !r; i++) {
		uint64_t key;
		le64 v = le64_put(i << 24);

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		key = (seed >> 33) % 1000000;
		r = btree_insert(&t, &root, &key, &v, NULL);
		if (!r && i % 10000 == 0)
			r = commit(t.tm);
	}
	if (r) {
		fprintf(stderr, "inserts: failed with %d\n", r);
		return 1;
	}
	printf("%" PRIu64 " inserts, %.0f a second, cache of %" PRIu32 " blocks\n", nr,
	       (double)nr / (now() - begin), cache);
	tm_destroy(t.tm);
	pd_io_close(io);
	return 0;
}
