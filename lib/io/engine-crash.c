/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A disk with a volatile write cache, and the disks a power cut could make of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"
#include "io/engines.h"

#define SECTOR 512u

struct write {
	uint64_t block;
	uint8_t *data;
};

struct crash {
	struct io_shared shared;
	struct pd_io *before;	/* what the disk held at first */
	struct write *writes;
	uint64_t nr_writes, max_writes;
	uint64_t *flushes;	/* blocks written when a flush was done */
	uint64_t nr_flushes, max_flushes;
};

static struct crash *crash_of(const struct pd_io *io)
{
	return container_of(container_of(io, struct io_wrap, io)->shared, struct crash, shared);
}

/* Room for one more in an array of @nr; NULL without memory, the array unharmed. */
static void *grow(void *array, uint64_t nr, uint64_t *max, size_t size)
{
	void *p;

	if (nr < *max)
		return array;
	p = realloc(array, (size_t)(2 * *max + 64) * size);
	if (p)
		*max = 2 * *max + 64;
	return p;
}

static int remember(struct crash *c, const struct pd_io_req *req)
{
	int r = 0;

	pthread_mutex_lock(&c->shared.lock);
	for (uint32_t i = 0; !r && i < req->nr; i++) {
		void *p = grow(c->writes, c->nr_writes, &c->max_writes, sizeof(*c->writes));
		uint8_t *data = malloc(PD_BLOCK_SIZE);

		if (p)
			c->writes = p;
		if (!p || !data) {
			free(data);
			r = -ENOMEM;
			break;
		}
		memcpy(data, (uint8_t *)req->buf + (size_t)i * PD_BLOCK_SIZE, PD_BLOCK_SIZE);
		c->writes[c->nr_writes++] = (struct write){ req->block + i, data };
	}
	pthread_mutex_unlock(&c->shared.lock);
	return r;
}

static int crash_submit(struct pd_io *io, struct pd_io_req **reqs, unsigned nr)
{
	struct io_wrap *w = container_of(io, struct io_wrap, io);

	for (unsigned i = 0; i < nr; i++) {
		int r = reqs[i]->write ? remember(crash_of(io), reqs[i]) : 0;

		if (r) {
			reqs[i]->result = r;
			io_done_put(&w->done, reqs[i]);
		} else {
			io_wrap_pass(w, reqs[i]);
		}
	}
	return 0;
}

static int crash_flush(struct pd_io *io)
{
	struct crash *c = crash_of(io);
	int r = pd_io_flush(container_of(io, struct io_wrap, io)->inner);
	void *p;

	if (r)
		return r;
	pthread_mutex_lock(&c->shared.lock);
	p = grow(c->flushes, c->nr_flushes, &c->max_flushes, sizeof(*c->flushes));
	if (p) {
		c->flushes = p;
		c->flushes[c->nr_flushes++] = c->nr_writes;
	}
	pthread_mutex_unlock(&c->shared.lock);
	return p ? 0 : -ENOMEM;
}

static const struct pd_io_ops crash_ops = {
	.submit = crash_submit,
	.reap = io_wrap_reap,
	.flush = crash_flush,
	.clone = io_wrap_clone,
	.destroy = io_wrap_destroy,
};

static void destroy(struct io_shared *shared)
{
	struct crash *c = container_of(shared, struct crash, shared);

	for (uint64_t i = 0; i < c->nr_writes; i++)
		free(c->writes[i].data);
	free(c->writes);
	free(c->flushes);
	pd_io_close(c->before);
	free(c);
}

int pd_io_crash(struct pd_io **io, struct pd_io *inner)
{
	struct crash *c = calloc(1, sizeof(*c));
	int r = c ? io_ram_copy(&c->before, inner) : -ENOMEM;

	if (!r)
		r = io_wrap_create(io, &crash_ops, inner, &c->shared);
	if (!r)
		c->shared.destroy = destroy;
	else if (c)
		destroy(&c->shared);
	return r;
}

uint64_t pd_crash_nr_writes(const struct pd_io *io)
{
	return crash_of(io)->nr_writes;
}

/* Steele, Lea and Flood's SplitMix64: a seed in, numbers out. */
static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Blocks written that a flush had made safe. */
static uint64_t nr_safe(const struct crash *c, uint64_t nr_writes, uint64_t seed)
{
	uint64_t safe = 0;

	for (uint64_t i = 0; i < c->nr_flushes; i++)
		if (c->flushes[i] < nr_writes || (c->flushes[i] == nr_writes && seed % 2 == 0))
			safe = c->flushes[i];
	return safe;
}

/* The first sectors of the last block kept are the new ones, the others as they were. */
static int tear(struct pd_io *disk, const struct write *w, unsigned nr_sectors, const uint8_t *old)
{
	uint8_t *buf = pd_io_buffer(1);
	int r = -ENOMEM;

	if (buf) {
		memcpy(buf, old, PD_BLOCK_SIZE);
		memcpy(buf, w->data, nr_sectors * SECTOR);
		r = pd_io_write(disk, w->block, 1, buf);
	}
	free(buf);
	return r;
}

int pd_crash_disk(struct pd_io *io, uint64_t nr_writes, uint64_t seed, struct pd_io **disk)
{
	struct crash *c = crash_of(io);
	uint64_t safe, state = seed;
	const struct write *last = NULL;
	uint8_t *old = pd_io_buffer(1);
	int r = -ENOMEM;

	*disk = NULL;
	if (old)
		r = io_ram_copy(disk, c->before);
	nr_writes = min_t(uint64_t, nr_writes, c->nr_writes);
	safe = seed ? nr_safe(c, nr_writes, seed) : nr_writes;
	for (uint64_t i = 0; !r && i < nr_writes; i++) {
		const struct write *w = &c->writes[i];

		if (i >= safe && random_next(&state) % 2)
			continue;
		if (i >= safe) {
			last = w;
			r = pd_io_read(*disk, w->block, 1, old);
		}
		if (!r)
			r = pd_io_write(*disk, w->block, 1, w->data);
	}
	if (!r && last && random_next(&state) % 2)
		r = tear(*disk, last, (unsigned)(random_next(&state) % (PD_BLOCK_SIZE / SECTOR)), old);
	free(old);
	if (r) {
		pd_io_close(*disk);
		*disk = NULL;
	}
	return r;
}
