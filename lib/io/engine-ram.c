/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocks in memory, committed by the system as they are touched. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/util.h"
#include "io/engines.h"

struct memory {
	uint8_t *data;
	size_t len_bytes;
	unsigned users;
};

struct ram_io {
	struct pd_io io;
	struct memory *mem;
	struct io_done done;
};

static int ram_submit(struct pd_io *io, struct pd_io_req **reqs, unsigned nr)
{
	struct ram_io *r = container_of(io, struct ram_io, io);

	for (unsigned i = 0; i < nr; i++) {
		struct pd_io_req *q = reqs[i];
		uint8_t *at = r->mem->data + q->block * PD_BLOCK_SIZE;
		size_t len = (size_t)q->nr * PD_BLOCK_SIZE;

		q->result = 0;
		if (q->block >= io->nr_blocks || q->nr > io->nr_blocks - q->block)
			q->result = -EIO;
		else if (q->write)
			memcpy(at, q->buf, len);
		else
			memcpy(q->buf, at, len);
		io_done_put(&r->done, q);
	}
	return 0;
}

static int ram_reap(struct pd_io *io, struct pd_io_req **done, unsigned max, bool wait)
{
	(void)wait;
	return io_done_get(&container_of(io, struct ram_io, io)->done, done, max);
}

static int ram_flush(struct pd_io *io)
{
	(void)io;
	return 0;
}

static void ram_destroy(struct pd_io *io)
{
	struct ram_io *r = container_of(io, struct ram_io, io);

	if (!__atomic_sub_fetch(&r->mem->users, 1, __ATOMIC_ACQ_REL)) {
		munmap(r->mem->data, r->mem->len_bytes);
		free(r->mem);
	}
	free(r);
}

static int ram_clone(struct pd_io *io, struct pd_io **clone);

static const struct pd_io_ops ram_ops = {
	.submit = ram_submit,
	.reap = ram_reap,
	.flush = ram_flush,
	.clone = ram_clone,
	.destroy = ram_destroy,
};

static int ram_clone(struct pd_io *io, struct pd_io **clone)
{
	struct ram_io *c = calloc(1, sizeof(*c));

	*clone = NULL;
	if (!c)
		return -ENOMEM;
	/* ->done is its own, and that of @io may be changing. */
	c->io = *io;
	c->mem = container_of(io, struct ram_io, io)->mem;
	__atomic_add_fetch(&c->mem->users, 1, __ATOMIC_RELAXED);
	*clone = &c->io;
	return 0;
}

int pd_io_open_ram(struct pd_io **io, uint64_t nr_blocks)
{
	struct ram_io *r;
	struct memory *m;
	void *p;

	*io = NULL;
	if (!nr_blocks || nr_blocks > SIZE_MAX / 2 / PD_BLOCK_SIZE)
		return -EINVAL;
	p = mmap(NULL, nr_blocks * PD_BLOCK_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	r = calloc(1, sizeof(*r));
	m = calloc(1, sizeof(*m));
	if (!r || !m) {
		free(r);
		free(m);
		munmap(p, nr_blocks * PD_BLOCK_SIZE);
		return -ENOMEM;
	}
	*m = (struct memory){ .data = p, .len_bytes = nr_blocks * PD_BLOCK_SIZE, .users = 1 };
	r->mem = m;
	r->io = (struct pd_io){ .ops = &ram_ops, .nr_blocks = nr_blocks, .flags = PD_IO_WRITE,
				.depth = 1, .name = "memory" };
	*io = &r->io;
	return 0;
}

int io_ram_copy(struct pd_io **io, struct pd_io *from)
{
	static const uint8_t zeros[PD_BLOCK_SIZE];
	uint8_t *buf = pd_io_buffer(1);
	int r = buf ? pd_io_open_ram(io, from->nr_blocks) : -ENOMEM;
	bool made = !r;

	for (uint64_t b = 0; !r && b < from->nr_blocks; b++) {
		r = pd_io_read(from, b, 1, buf);
		if (!r && memcmp(buf, zeros, sizeof(zeros)))
			r = pd_io_write(*io, b, 1, buf);
	}
	free(buf);
	if (r) {
		if (made)
			pd_io_close(*io);
		*io = NULL;
	}
	return r;
}
