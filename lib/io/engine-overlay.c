/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Another engine's blocks, some of them as somebody would rather have them. Read only. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"
#include "io/engine.h"

struct patch {
	uint64_t block;
	uint8_t data[PD_BLOCK_SIZE];
};

struct patches {
	pthread_rwlock_t lock;
	struct patch **p;	/* ascending block */
	size_t nr, max;
	unsigned users;
};

struct overlay_io {
	struct pd_io io;
	struct pd_io *inner;
	bool owns_inner;
	struct patches *patches;
};

/* Where @block is, or would be. */
static size_t find(const struct patches *p, uint64_t block)
{
	size_t lo = 0, hi = p->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->p[mid]->block < block)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int overlay_submit(struct pd_io *io, struct pd_io_req **reqs, unsigned nr)
{
	struct overlay_io *o = container_of(io, struct overlay_io, io);

	for (unsigned i = 0; i < nr; i++)
		if (reqs[i]->write)
			return -EROFS;
	return pd_io_submit(o->inner, reqs, nr);
}

static int overlay_reap(struct pd_io *io, struct pd_io_req **done, unsigned max, bool wait)
{
	struct overlay_io *o = container_of(io, struct overlay_io, io);
	int n = pd_io_reap(o->inner, done, max, wait);

	pthread_rwlock_rdlock(&o->patches->lock);
	for (int i = 0; i < n; i++) {
		struct pd_io_req *q = done[i];

		for (size_t k = find(o->patches, q->block); !q->result && k < o->patches->nr &&
		     o->patches->p[k]->block < q->block + q->nr; k++)
			memcpy((uint8_t *)q->buf + (o->patches->p[k]->block - q->block) * PD_BLOCK_SIZE,
			       o->patches->p[k]->data, PD_BLOCK_SIZE);
	}
	pthread_rwlock_unlock(&o->patches->lock);
	return n;
}

static int overlay_flush(struct pd_io *io)
{
	(void)io;
	return 0;
}

static void overlay_destroy(struct pd_io *io)
{
	struct overlay_io *o = container_of(io, struct overlay_io, io);

	if (!__atomic_sub_fetch(&o->patches->users, 1, __ATOMIC_ACQ_REL)) {
		for (size_t i = 0; i < o->patches->nr; i++)
			free(o->patches->p[i]);
		free(o->patches->p);
		pthread_rwlock_destroy(&o->patches->lock);
		free(o->patches);
	}
	if (o->owns_inner)
		pd_io_close(o->inner);
	free(o);
}

static int overlay_clone(struct pd_io *io, struct pd_io **clone);

static const struct pd_io_ops overlay_ops = {
	.submit = overlay_submit,
	.reap = overlay_reap,
	.flush = overlay_flush,
	.clone = overlay_clone,
	.destroy = overlay_destroy,
};

static int overlay_clone(struct pd_io *io, struct pd_io **clone)
{
	struct overlay_io *o = container_of(io, struct overlay_io, io), *c = malloc(sizeof(*c));
	int r;

	*clone = NULL;
	if (!c)
		return -ENOMEM;
	*c = *o;
	r = pd_io_clone(o->inner, &c->inner);
	if (r) {
		free(c);
		return r;
	}
	c->owns_inner = true;
	__atomic_add_fetch(&o->patches->users, 1, __ATOMIC_RELAXED);
	*clone = &c->io;
	return 0;
}

int pd_io_overlay(struct pd_io **io, struct pd_io *inner)
{
	struct overlay_io *o = calloc(1, sizeof(*o));
	struct patches *p = calloc(1, sizeof(*p));

	*io = NULL;
	if (!o || !p) {
		free(o);
		free(p);
		return -ENOMEM;
	}
	pthread_rwlock_init(&p->lock, NULL);
	p->users = 1;
	o->io = *inner;
	o->io.ops = &overlay_ops;
	o->inner = inner;
	o->patches = p;
	*io = &o->io;
	return 0;
}

int pd_overlay_put(struct pd_io *io, uint64_t block, const void *data)
{
	struct patches *p = container_of(io, struct overlay_io, io)->patches;
	size_t at;
	int r = 0;

	pthread_rwlock_wrlock(&p->lock);
	at = find(p, block);
	if (at < p->nr && p->p[at]->block == block) {
		memcpy(p->p[at]->data, data, PD_BLOCK_SIZE);
	} else {
		struct patch *n = malloc(sizeof(*n));

		if (n && p->nr == p->max) {
			size_t max = p->max ? 2 * p->max : 64;
			struct patch **more = realloc(p->p, max * sizeof(*more));

			if (more) {
				p->p = more;
				p->max = max;
			}
		}
		if (!n || p->nr == p->max) {
			free(n);
			r = -ENOMEM;
		} else {
			n->block = block;
			memcpy(n->data, data, PD_BLOCK_SIZE);
			memmove(p->p + at + 1, p->p + at, (p->nr - at) * sizeof(*p->p));
			p->p[at] = n;
			p->nr++;
		}
	}
	pthread_rwlock_unlock(&p->lock);
	return r;
}
