/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The least any tool could do: reads the blocks that the metadata space map counts, in order and in
 * large pieces, and checksums each. Believes what it reads; for healthy metadata only.
 *
 * usage: floor FILE [THREADS]
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/bits.h"
#include "base/workers.h"
#include "persistent-data/disk.h"

#define PIECE 256u			/* blocks */
#define ROOT_OFFSET offsetof(struct thin_superblock, metadata_space_map_root)

struct floor {
	int fd;
	struct bits used;
	uint64_t next;			/* piece */
	uint64_t bad, blocks;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void read_at(int fd, void *buf, uint64_t block, size_t nr)
{
	ssize_t n = pread(fd, buf, nr * PD_BLOCK_SIZE, (off_t)(block * PD_BLOCK_SIZE));

	if (n < (ssize_t)PD_BLOCK_SIZE)
		die("read");
}

static void find_used(struct floor *f)
{
	static uint8_t sb[PD_BLOCK_SIZE], bitmap[PD_BLOCK_SIZE];
	static struct metadata_index index;
	struct sm_root root;
	uint64_t nr;

	read_at(f->fd, sb, 0, 1);
	root = sm_root_get(sb + ROOT_OFFSET);
	nr = le64_get(root.nr_blocks);
	read_at(f->fd, &index, le64_get(root.bitmap_root), 1);
	if (bits_init(&f->used, nr))
		die("memory");
	for (uint64_t b = 0; b < nr; b++) {
		if (b % ENTRIES_PER_BITMAP == 0)
			read_at(f->fd, bitmap,
				le64_get(index.index[b / ENTRIES_PER_BITMAP].blocknr), 1);
		if (bitmap_get(bitmap, b % ENTRIES_PER_BITMAP))
			bits_set(&f->used, b);
	}
}

static void work(void *ctx, unsigned worker)
{
	struct floor *f = ctx;
	uint8_t *buf = pd_io_buffer(PIECE);
	uint64_t bad = 0, blocks = 0;

	(void)worker;
	if (!buf)
		die("memory");
	for (;;) {
		uint64_t begin = __atomic_fetch_add(&f->next, PIECE, __ATOMIC_RELAXED), end, b;

		if (begin >= f->used.nr)
			break;
		end = begin + PIECE < f->used.nr ? begin + PIECE : f->used.nr;
		b = bits_next(&f->used, begin);
		if (b >= end)
			continue;
		read_at(f->fd, buf, begin, end - begin);
		for (; b < end; b = bits_next(&f->used, b + 1), blocks++)
			bad += block_kind(buf + (b - begin) * PD_BLOCK_SIZE) == KIND_NONE;
	}
	__atomic_fetch_add(&f->bad, bad, __ATOMIC_RELAXED);
	__atomic_fetch_add(&f->blocks, blocks, __ATOMIC_RELAXED);
	free(buf);
}

int main(int argc, char **argv)
{
	struct floor f = { .fd = argc > 1 ? open(argv[1], O_RDONLY) : -1 };
	unsigned nr = argc > 2 ? (unsigned)atoi(argv[2]) : workers_default();

	if (f.fd < 0)
		die("open");
	find_used(&f);
	workers_run(nr ? nr : 1, work, &f);
	printf("%" PRIu64 " blocks, %" PRIu64 " bad\n", f.blocks, f.bad);
	return f.bad != 0;
}
