/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of blocks to worker threads, each block once, in disk order. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include "base/util.h"
#include "base/workers.h"
#include "io/engine.h"
#include "io/stream.h"

#define CACHED_CHUNK 64u	/* blocks: what the processor's cache still holds when it is looked at */
#define DIRECT_CHUNK 256u	/* blocks: large enough for a disk */
#define MAX_GAP 8u		/* blocks not wanted that are read along rather than skipped */
#define BLOCKS_A_THREAD 128u	/* fewer than these are not worth a thread */

struct stream {
	struct pd_io *io;
	const struct bits *set;
	const struct pd_run *run;
	const char *what;
	stream_fn fn;
	void *ctx;
	uint32_t chunk;
	uint64_t nr_blocks;	/* wanted */
	pthread_mutex_t lock;	/* what follows */
	uint64_t next;		/* where the next chunk begins */
	uint64_t done;		/* wanted blocks handed out */
	int err;
};

/* The next run of blocks to read; 0 when there is none left. */
static uint32_t next_chunk(struct stream *s, uint64_t *begin)
{
	uint64_t b, end, nr = 0;

	pthread_mutex_lock(&s->lock);
	b = s->err ? s->set->nr : bits_next(s->set, s->next);
	*begin = b;
	end = b;
	while (b < s->set->nr && b - *begin < s->chunk && (b == *begin || b - end <= MAX_GAP)) {
		end = min_t(uint64_t, bits_next_clear(s->set, b), *begin + s->chunk);
		nr += end - b;
		b = bits_next(s->set, end);
	}
	s->next = end;
	s->done += nr;
	pthread_mutex_unlock(&s->lock);
	return (uint32_t)(end - *begin);
}

static void stop(struct stream *s, int err)
{
	pthread_mutex_lock(&s->lock);
	if (!s->err)
		s->err = err;
	pthread_mutex_unlock(&s->lock);
}

/* One block at a time, where the large read failed: most of it may be good. */
static int one_by_one(struct stream *s, struct pd_io *io, unsigned worker, uint64_t begin,
		      uint32_t nr, uint8_t *buf)
{
	int r = 0;

	for (uint64_t b = begin; !r && b < begin + nr; b++) {
		int err;

		if (!bits_test(s->set, b))
			continue;
		err = pd_io_read(io, b, 1, buf);
		r = s->fn(s->ctx, worker, b, err ? NULL : buf, err);
	}
	return r;
}

static void tell(struct stream *s)
{
	struct pd_progress *p = s->run ? s->run->progress : NULL;
	uint64_t done;

	if (!p || !p->update)
		return;
	pthread_mutex_lock(&s->lock);
	done = s->done;
	pthread_mutex_unlock(&s->lock);
	p->update(p->ctx, s->what, done, s->nr_blocks);
}

static void work(void *ctx, unsigned worker)
{
	struct stream *s = ctx;
	struct pd_io *io = s->io;
	uint8_t *buf = pd_io_buffer((uint32_t)min_t(uint64_t, s->chunk, s->set->nr));
	uint64_t begin;
	uint32_t nr;
	int r = 0;

	if (!buf || (worker && pd_io_clone(s->io, &io))) {
		stop(s, -ENOMEM);
		free(buf);
		return;
	}
	while (!r && (nr = next_chunk(s, &begin))) {
		if (pd_io_read(io, begin, nr, buf)) {
			r = one_by_one(s, io, worker, begin, nr, buf);
		} else {
			for (uint32_t i = 0; !r && i < nr; i++)
				if (bits_test(s->set, begin + i))
					r = s->fn(s->ctx, worker, begin + i,
						  buf + (size_t)i * PD_BLOCK_SIZE, 0);
		}
		if (!worker)
			tell(s);
	}
	if (r)
		stop(s, r);
	if (worker)
		pd_io_close(io);
	free(buf);
}

unsigned stream_nr_threads(const struct pd_run *run, uint64_t nr_blocks)
{
	unsigned nr = run && run->nr_threads ? run->nr_threads : workers_default();

	return (unsigned)min_t(uint64_t, nr, 1 + nr_blocks / BLOCKS_A_THREAD);
}

int stream_blocks(struct pd_io *io, const struct bits *set, const struct pd_run *run,
		  const char *what, stream_fn fn, void *ctx)
{
	struct stream s = {
		.io = io, .set = set, .run = run, .what = what, .fn = fn, .ctx = ctx,
		.chunk = io->flags & PD_IO_BUFFERED ? CACHED_CHUNK : DIRECT_CHUNK,
		.nr_blocks = bits_count(set),
	};

	if (!s.nr_blocks)
		return 0;
	pthread_mutex_init(&s.lock, NULL);
	workers_run(stream_nr_threads(run, s.nr_blocks), work, &s);
	pthread_mutex_destroy(&s.lock);
	return s.err;
}
