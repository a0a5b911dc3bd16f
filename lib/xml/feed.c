/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml/feed.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define NR_PIECES 4u
#define PACKED (256u << 10)	/* compressed bytes read at a time */

struct piece {
	char *mem;		/* FEED_ROOM + chunk + 1 */
	size_t len;
	int err;
};

struct feed {
	struct pd_source src;
	size_t chunk;
	struct piece piece[NR_PIECES];
	bool begun, ended;	/* the filler's: of the source */
	bool gzip, member;	/* member: inside one */
	z_stream z;
	unsigned char *packed;

	bool over;		/* the user has seen the end */
	pthread_t thread;
	bool has_thread, no_thread, stop;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint64_t filled, taken;	/* pieces, ever */
};

int feed_create(struct feed **feed, const struct pd_source *src, unsigned chunk)
{
	struct feed *f = calloc(1, sizeof(*f));

	*feed = f;
	if (!f)
		return -ENOMEM;
	f->src = *src;
	f->chunk = chunk ? chunk : FEED_CHUNK;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->cond, NULL);
	for (unsigned i = 0; i < NR_PIECES; i++) {
		f->piece[i].mem = malloc(FEED_ROOM + f->chunk + 1);
		if (!f->piece[i].mem) {
			feed_destroy(f);
			*feed = NULL;
			return -ENOMEM;
		}
	}
	return 0;
}

void feed_destroy(struct feed *f)
{
	if (!f)
		return;
	if (f->has_thread) {
		pthread_mutex_lock(&f->lock);
		f->stop = true;
		pthread_cond_broadcast(&f->cond);
		pthread_mutex_unlock(&f->lock);
		pthread_join(f->thread, NULL);
	}
	if (f->gzip)
		inflateEnd(&f->z);
	for (unsigned i = 0; i < NR_PIECES; i++)
		free(f->piece[i].mem);
	free(f->packed);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->cond);
	free(f);
}

/* ---- Filling ---- */

/* As many bytes as there are, up to @len: how many, or -errno. */
static ssize_t read_full(struct feed *f, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len && !f->ended) {
		ssize_t n = f->src.read(f->src.ctx, (char *)buf + done, len - done);

		if (n < 0)
			return n;
		f->ended = !n;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* More compressed bytes, when none are left: 0, or -errno. */
static int more_packed(struct feed *f)
{
	ssize_t n = read_full(f, f->packed, PACKED);

	if (n < 0)
		return (int)n;
	f->z.next_in = f->packed;
	f->z.avail_in = (unsigned)n;
	return 0;
}

static ssize_t inflate_full(struct feed *f, void *buf, size_t len)
{
	f->z.next_out = buf;
	f->z.avail_out = (unsigned)len;
	while (f->z.avail_out) {
		int r = f->z.avail_in ? 0 : more_packed(f);

		if (r)
			return r;
		/* Files joined together are one text; zeros behind it are padding. */
		if (!f->member) {
			if (!f->z.avail_in || !*f->z.next_in)
				break;
			if (inflateReset(&f->z) != Z_OK)
				return -EINVAL;
			f->member = true;
		}
		if (!f->z.avail_in)
			return -EINVAL;
		r = inflate(&f->z, Z_NO_FLUSH);
		if (r == Z_STREAM_END)
			f->member = false;
		else if (r == Z_MEM_ERROR)
			return -ENOMEM;
		else if (r != Z_OK && r != Z_BUF_ERROR)
			return -EINVAL;
	}
	return (ssize_t)(len - f->z.avail_out);
}

/* The first bytes tell whether this is gzip. */
static ssize_t begin(struct feed *f, unsigned char *buf, size_t len)
{
	ssize_t n = read_full(f, buf, len < PACKED ? len : PACKED);

	f->begun = true;
	if (n < 2 || buf[0] != 0x1f || buf[1] != 0x8b)
		return n;
	f->packed = malloc(PACKED);
	if (!f->packed || inflateInit2(&f->z, 15 + 16) != Z_OK)
		return -ENOMEM;
	f->gzip = f->member = true;
	memcpy(f->packed, buf, (size_t)n);
	f->z.next_in = f->packed;
	f->z.avail_in = (unsigned)n;
	return 0;
}

static void fill(struct feed *f, struct piece *p)
{
	char *data = p->mem + FEED_ROOM;
	ssize_t n = f->begun ? 0 : begin(f, (unsigned char *)data, f->chunk), more = 0;

	if (n >= 0)
		more = f->gzip ? inflate_full(f, data, f->chunk) :
		       read_full(f, data + n, f->chunk - (size_t)n);
	p->err = n < 0 ? (int)n : more < 0 ? (int)more : 0;
	p->len = p->err ? 0 : (size_t)(n + more);
	data[p->len] = 0;
}

static void *filler(void *ctx)
{
	struct feed *f = ctx;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		struct piece *p;

		/* one piece is in the user's hands */
		while (f->filled - f->taken >= NR_PIECES - 1 && !f->stop)
			pthread_cond_wait(&f->cond, &f->lock);
		if (f->stop)
			break;
		p = &f->piece[f->filled % NR_PIECES];
		pthread_mutex_unlock(&f->lock);
		fill(f, p);
		pthread_mutex_lock(&f->lock);
		f->filled++;
		pthread_cond_broadcast(&f->cond);
		if (p->err || !p->len)
			break;
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

int feed_next(struct feed *f, char **data, size_t *len)
{
	struct piece *p;

	*len = 0;
	if (f->over)
		return 0;
	/* A text of one piece needs no thread. */
	if (f->taken && !f->has_thread && !f->no_thread) {
		f->has_thread = !pthread_create(&f->thread, NULL, filler, f);
		f->no_thread = !f->has_thread;
	}
	if (f->has_thread) {
		pthread_mutex_lock(&f->lock);
		while (f->filled == f->taken)
			pthread_cond_wait(&f->cond, &f->lock);
		p = &f->piece[f->taken++ % NR_PIECES];
		pthread_cond_broadcast(&f->cond);
		pthread_mutex_unlock(&f->lock);
	} else {
		p = &f->piece[f->taken++ % NR_PIECES];
		fill(f, p);
		f->filled = f->taken;
	}
	*data = p->mem + FEED_ROOM;
	*len = p->len;
	f->over = p->err || !p->len;
	if (f->taken == 1 && p->len < f->chunk && !p->err)
		f->no_thread = true;
	return p->err;
}
