/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mark - writes marked blocks, finds them again, sums a device. Past the page cache throughout.
 *
 *	mark random DEV BLOCKSIZE COUNT RANGE TAG [FIRST]	COUNT different blocks out of RANGE
 *	mark run    DEV BLOCKSIZE COUNT TAG [FIRST]		COUNT blocks in a row
 *	mark scan   DEV BLOCKSIZE				"BLOCK TAG NUMBER" a marked block
 *	mark where  UPPER LOWER BLOCKSIZE			"UPPERBLOCK LOWERBLOCK" a marked block
 *	mark sum    DEV						a sum over all of it
 *
 * A mark is 4 KiB at the start of a block: the tag and the number it was written at. As long as
 * no tag is used twice, the mark seen through a virtual device and on the disk below is one block.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK 4096
#define MAGIC "MARKED "

static char *page;

static int open_dev(const char *path, int flags)
{
	int fd = open(path, flags | O_DIRECT);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static uint64_t number(const char *s)
{
	char *end;
	uint64_t n = strtoull(s, &end, 10);

	if (!*s || *end)
		errx(1, "not a number: %s", s);
	return n;
}

static void put(int fd, uint64_t bs, uint64_t block, const char *tag)
{
	memset(page, 'x', MARK);
	page[snprintf(page, MARK, MAGIC "%s %" PRIu64, tag, block)] = '\n';
	if (pwrite(fd, page, MARK, (off_t)(block * bs)) != MARK)
		err(1, "writing block %" PRIu64, block);
}

static uint64_t seed_of(const char *tag)
{
	uint64_t x = 0xcbf29ce484222325;

	while (*tag)
		x = (x ^ (unsigned char)*tag++) * 0x100000001b3;
	return x | 1;
}

/* splitmix64: the same sequence everywhere */
static uint64_t next(uint64_t *x)
{
	uint64_t z = *x += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void write_random(int fd, uint64_t bs, uint64_t count, uint64_t range, const char *tag,
			 uint64_t first)
{
	unsigned char *seen = calloc(range, 1);
	uint64_t x = seed_of(tag);

	if (!seen || count > range)
		errx(1, "no %" PRIu64 " blocks out of %" PRIu64, count, range);
	while (count) {
		uint64_t b = next(&x) % range;

		if (seen[b]++)
			continue;
		put(fd, bs, first + b, tag);
		count--;
	}
	free(seen);
}

struct mark {
	char text[64];
	uint64_t block;
};

/* All marks on a device, in order of their block. */
static struct mark *scan(const char *path, uint64_t bs, size_t *nr)
{
	int fd = open_dev(path, O_RDONLY);
	uint64_t size = (uint64_t)lseek(fd, 0, SEEK_END);
	struct mark *m = NULL;
	size_t n = 0, room = 0;

	for (uint64_t b = 0; b * bs < size; b++) {
		char *end;

		if (pread(fd, page, 512, (off_t)(b * bs)) != 512)
			err(1, "%s: reading block %" PRIu64, path, b);
		if (memcmp(page, MAGIC, strlen(MAGIC)))
			continue;
		end = memchr(page, '\n', 64);
		if (!end)
			continue;
		if (n == room) {
			room = room ? 2 * room : 1024;
			m = realloc(m, room * sizeof(*m));
			if (!m)
				err(1, NULL);
		}
		*end = 0;
		snprintf(m[n].text, sizeof(m[n].text), "%s", page + strlen(MAGIC));
		m[n++].block = b;
	}
	close(fd);
	*nr = n;
	return m;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct mark *)a)->text, ((const struct mark *)b)->text);
}

static void sum(const char *path)
{
	size_t len = 1 << 20;
	char *buf;
	uint64_t h = 0xcbf29ce484222325, w;
	int fd = open_dev(path, O_RDONLY);
	ssize_t n;

	if (posix_memalign((void **)&buf, 4096, len))
		err(1, NULL);
	while ((n = read(fd, buf, len)) > 0)
		for (ssize_t i = 0; i + 8 <= n; i += 8) {
			memcpy(&w, buf + i, 8);
			h = (h ^ w) * 0x100000001b3;
			h ^= h >> 29;
		}
	if (n < 0)
		err(1, "%s", path);
	printf("%016" PRIx64 "\n", h);
	free(buf);
	close(fd);
}

int main(int argc, char **argv)
{
	const char *cmd = argc > 1 ? argv[1] : "";
	struct mark *a, *b, *hit;
	size_t nr_a, nr_b;

	if (posix_memalign((void **)&page, 4096, MARK))
		err(1, NULL);
	if (!strcmp(cmd, "random") && argc >= 7) {
		write_random(open_dev(argv[2], O_WRONLY), number(argv[3]), number(argv[4]),
			     number(argv[5]), argv[6], argc > 7 ? number(argv[7]) : 0);
	} else if (!strcmp(cmd, "run") && argc >= 6) {
		int fd = open_dev(argv[2], O_WRONLY);
		uint64_t first = argc > 6 ? number(argv[6]) : 0;

		for (uint64_t i = 0; i < number(argv[4]); i++)
			put(fd, number(argv[3]), first + i, argv[5]);
	} else if (!strcmp(cmd, "scan") && argc == 4) {
		a = scan(argv[2], number(argv[3]), &nr_a);
		for (size_t i = 0; i < nr_a; i++)
			printf("%" PRIu64 " %s\n", a[i].block, a[i].text);
	} else if (!strcmp(cmd, "where") && argc == 5) {
		a = scan(argv[2], number(argv[4]), &nr_a);
		b = scan(argv[3], number(argv[4]), &nr_b);
		qsort(b, nr_b, sizeof(*b), by_text);
		for (size_t i = 0; i < nr_a; i++) {
			hit = nr_b ? bsearch(&a[i], b, nr_b, sizeof(*b), by_text) : NULL;
			if (hit)
				printf("%" PRIu64 " %" PRIu64 "\n", a[i].block, hit->block);
			else
				printf("%" PRIu64 " -\n", a[i].block);
		}
	} else if (!strcmp(cmd, "sum") && argc == 3) {
		sum(argv[2]);
	} else {
		errx(64, "usage: mark random|run|scan|where|sum DEV ... (see mark.c)");
	}
	return 0;
}
