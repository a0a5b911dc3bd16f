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
#define DISK_CHUNK 256u		/* blocks: large enough for a disk */
#define MAX_GAP 8u		/* blocks not wanted that are read along rather than skipped */
#define MAX_PIECES 4u		/* pieces a worker has under way where the engine does not wait */
#define PROBES 16u		/* blocks looked for in the page cache before all are read */
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

/* The pieces of one worker. */
struct pieces {
	struct pd_io *io;
	unsigned nr, nr_idle, nr_failed, under_way;
	struct pd_io_req req[MAX_PIECES];
	struct pd_io_req *idle[MAX_PIECES], *failed[MAX_PIECES];
};

static int hand_out(struct stream *s, unsigned worker, const struct pd_io_req *req)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < req->nr; i++)
		if (bits_test(s->set, req->block + i))
			r = s->fn(s->ctx, worker, req->block + i,
				  (uint8_t *)req->buf + (size_t)i * PD_BLOCK_SIZE, 0);
	return r;
}

/* Puts idle pieces under way as long as there is something to read. */
static void submit_pieces(struct stream *s, struct pieces *p)
{
	while (p->nr_idle) {
		struct pd_io_req *req = p->idle[p->nr_idle - 1];

		req->nr = next_chunk(s, &req->block);
		if (!req->nr)
			return;
		p->nr_idle--;
		if (req->block + req->nr > p->io->nr_blocks || pd_io_submit(p->io, &req, 1))
			p->failed[p->nr_failed++] = req;
		else
			p->under_way++;
	}
}

/* Waits for one piece; what it holds goes to @fn. */
static int reap_piece(struct stream *s, struct pieces *p, unsigned worker)
{
	struct pd_io_req *req;
	int r = pd_io_reap(p->io, &req, 1, true);

	if (r <= 0)
		return r ? r : -EIO;
	p->under_way--;
	if (req->result) {
		p->failed[p->nr_failed++] = req;
		return 0;
	}
	p->idle[p->nr_idle++] = req;
	return hand_out(s, worker, req);
}

static int read_pieces(struct stream *s, struct pieces *p, unsigned worker)
{
	int r = 0;

	while (!r) {
		submit_pieces(s, p);
		if (p->under_way)
			r = reap_piece(s, p, worker);
		else if (!p->nr_failed)
			break;
		/* Single reads wait for their own end: nothing else may be under way. */
		while (!r && !p->under_way && p->nr_failed) {
			struct pd_io_req *req = p->failed[--p->nr_failed];

			r = one_by_one(s, p->io, worker, req->block, req->nr, req->buf);
			p->idle[p->nr_idle++] = req;
		}
		if (!worker)
			tell(s);
	}
	while (p->under_way && pd_io_reap(p->io, p->failed, 1, true) > 0)
		p->under_way--;
	return r;
}

static void work(void *ctx, unsigned worker)
{
	struct stream *s = ctx;
	struct pieces p = { .io = s->io, .nr = s->io->depth > 1 ? MAX_PIECES : 1 };
	/* no piece of so few blocks is longer */
	uint64_t longest = min_t(uint64_t, s->set->nr, s->nr_blocks * (MAX_GAP + 1));
	uint32_t chunk = (uint32_t)min_t(uint64_t, s->chunk, longest);
	uint8_t *buf = pd_io_buffer(p.nr * chunk);
	int r = -ENOMEM;

	if (buf && (!worker || !pd_io_clone(s->io, &p.io))) {
		for (unsigned i = 0; i < p.nr; i++) {
			p.req[i].buf = buf + (size_t)i * chunk * PD_BLOCK_SIZE;
			p.idle[p.nr_idle++] = &p.req[i];
		}
		r = read_pieces(s, &p, worker);
		if (worker)
			pd_io_close(p.io);
	}
	if (r)
		stop(s, r);
	free(buf);
}

/* Must most of it come from a disk? */
static bool is_cold(struct pd_io *io, const struct bits *set)
{
	unsigned here = 0, away = 0;

	if (!(io->flags & PD_IO_BUFFERED))
		return true;
	for (uint64_t i = 0; io->ops->cached && i < PROBES; i++) {
		uint64_t b = bits_next(set, set->nr / PROBES * i);

		if (b < min_t(uint64_t, set->nr, io->nr_blocks))
			*(io->ops->cached(io, b) ? &here : &away) += 1;
	}
	return away > here;
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
		.chunk = is_cold(io, set) ? DISK_CHUNK : CACHED_CHUNK,
		.nr_blocks = bits_count(set),
	};

	if (!s.nr_blocks)
		return 0;
	pthread_mutex_init(&s.lock, NULL);
	workers_run(stream_nr_threads(run, s.nr_blocks), work, &s);
	pthread_mutex_destroy(&s.lock);
	return s.err;
}
