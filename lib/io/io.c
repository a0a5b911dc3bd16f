/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What holds for any engine: opening by name, and reads and writes that wait. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <pdata/err.h>
#include "base/util.h"
#include "io/engines.h"

static int open_plain(struct pd_io **io, const char *path, unsigned flags, const char *engine,
		      struct pd_log *log)
{
	bool async = !strcmp(engine, "async");
	struct io_file *file;
	int r;

	r = io_file_open(&file, path, flags, log);
	if (r)
		return r;
	if (!async || io_ring_create(io, file))
		r = io_pread_create(io, file);
	if (r)
		pd_log(log, PD_LOG_ERR, "cannot open %s: %s", path, pd_strerror(r));
	io_file_put(file);
	return r;
}

/* What can be asked of engine-fault.c by name, each with a number behind it. */
static const struct fault_name {
	const char *name;
	enum pd_fault what;
	int sig;
	bool bad_block;
} fault_names[] = {
	{ "fault-read-", PD_FAULT_READ, 0, false }, { "fault-write-", PD_FAULT_WRITE, 0, false },
	{ "fault-flush-", PD_FAULT_FLUSH, 0, false }, { "fault-any-", PD_FAULT_ANY, 0, false },
	{ "kill-write-", PD_FAULT_WRITE, SIGKILL, false }, { "term-write-", PD_FAULT_WRITE, SIGTERM, false },
	{ "int-write-", PD_FAULT_WRITE, SIGINT, false }, { "hup-write-", PD_FAULT_WRITE, SIGHUP, false },
	{ "bad-block-", PD_FAULT_READ, 0, true },
};

/* The fault that a wrapper's name asks for, and the number in it; NULL if it is not of that form. */
static const struct fault_name *fault_of(const char *name, size_t len, const char **number)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fault_names); i++) {
		size_t n = strlen(fault_names[i].name);

		*number = name + n;
		if (len > n && !strncmp(name, fault_names[i].name, n) &&
		    strspn(*number, "0123456789") == len - n)
			return &fault_names[i];
	}
	return NULL;
}

static bool is_called(const char *name, size_t len, const char *word)
{
	return len == strlen(word) && !strncmp(name, word, len);
}

static int stack_fault(struct pd_io **top, struct pd_io *io, const struct fault_name *f, uint64_t n)
{
	int r = pd_io_fault(top, io);

	if (r)
		return r;
	if (f->bad_block)	/* one that is not on this device is another's */
		return n < pd_io_nr_blocks(io) ? pd_fault_bad_block(*top, n) : 0;
	pd_fault_arm(*top, f->what, n);
	pd_fault_signal(*top, f->sig);
	return 0;
}

/* Puts the wrapper called @name in front of @io: trace, ram (a copy, thrown away), or one of fault_names. */
static int stack(struct pd_io **io, const char *name, size_t len)
{
	struct pd_io *top = NULL;
	const char *number;
	int r;

	if (is_called(name, len, "trace")) {
		r = pd_io_trace(&top, *io, stderr);
	} else if (is_called(name, len, "ram")) {
		r = io_ram_copy(&top, *io);
		if (!r)
			pd_io_close(*io);
	} else {
		const struct fault_name *fault = fault_of(name, len, &number);

		r = stack_fault(&top, *io, fault, strtoull(number, NULL, 10));
	}
	if (top)
		*io = top;
	return r;
}

bool pd_io_has_engine(const char *engine, unsigned flags)
{
	const char *number, *colon;

	for (; (colon = strchr(engine, ':')); engine = colon + 1) {
		size_t len = (size_t)(colon - engine);

		if (!(flags & PD_IO_STACKED) ||
		    (!is_called(engine, len, "trace") && !is_called(engine, len, "ram") &&
		     !fault_of(engine, len, &number)))
			return false;
	}
	return !strcmp(engine, "sync") || !strcmp(engine, "spindle") || !strcmp(engine, "async");
}

int pd_io_open(struct pd_io **io, const char *path, unsigned flags, const char *engine,
	       struct pd_log *log)
{
	const char *plain = engine ? strrchr(engine, ':') : NULL, *end, *begin;
	int r;

	*io = NULL;
	if (engine && !pd_io_has_engine(engine, flags)) {
		pd_log(log, PD_LOG_ERR, "there is no I/O engine '%s'", engine);
		return -EINVAL;
	}
	r = open_plain(io, path, flags, plain ? plain + 1 : engine ? engine : "sync", log);
	/* The last name is the innermost. */
	for (end = plain; !r && end; end = begin > engine ? begin - 1 : NULL) {
		for (begin = end; begin > engine && begin[-1] != ':'; begin--)
			;
		r = stack(io, begin, (size_t)(end - begin));
		if (r)
			pd_log(log, PD_LOG_ERR, "cannot put '%.*s' in front of %s: %s",
			       (int)(end - begin), begin, path, pd_strerror(r));
	}
	if (r) {
		pd_io_close(*io);
		*io = NULL;
	}
	return r;
}

int pd_io_clone(struct pd_io *io, struct pd_io **clone)
{
	return io->ops->clone(io, clone);
}

void pd_io_close(struct pd_io *io)
{
	if (io)
		io->ops->destroy(io);
}

uint64_t pd_io_nr_blocks(const struct pd_io *io)
{
	return io->nr_blocks;
}

const char *pd_io_name(const struct pd_io *io)
{
	return io->name;
}

static int transfer(struct pd_io *io, struct pd_io_req *req)
{
	struct pd_io_req *done;
	int r;

	if (req->block >= io->nr_blocks || req->nr > io->nr_blocks - req->block)
		return -EIO;
	r = pd_io_submit(io, &req, 1);
	if (r)
		return r;
	r = pd_io_reap(io, &done, 1, true);
	return r < 0 ? r : done->result;
}

int pd_io_read(struct pd_io *io, uint64_t block, uint32_t nr, void *buf)
{
	return transfer(io, &(struct pd_io_req){ .block = block, .nr = nr, .buf = buf });
}

int pd_io_write(struct pd_io *io, uint64_t block, uint32_t nr, const void *buf)
{
	return transfer(io, &(struct pd_io_req){ .block = block, .nr = nr, .write = true,
						 .buf = (void *)buf });
}

int pd_io_flush(struct pd_io *io)
{
	return io->ops->flush(io);
}

int io_write_told(struct pd_io *io, uint64_t block, uint32_t nr, const void *buf, struct pd_log *log)
{
	int r = pd_io_write(io, block, nr, buf);

	if (r)
		pd_log(log, PD_LOG_ERR, "%s: writing block %" PRIu64 ": %s", pd_io_name(io), block, pd_strerror(r));
	return r;
}

int io_flush_told(struct pd_io *io, struct pd_log *log)
{
	int r = pd_io_flush(io);

	if (r)
		pd_log(log, PD_LOG_ERR, "%s: flushing: %s", pd_io_name(io), pd_strerror(r));
	return r;
}

void *pd_io_buffer(uint32_t nr)
{
	return aligned_alloc(PD_BLOCK_SIZE, (size_t)nr * PD_BLOCK_SIZE);
}

bool pd_io_same(const char *path_a, const char *path_b)
{
	struct stat a, b;

	if (stat(path_a, &a) || stat(path_b, &b))
		return false;
	if (S_ISBLK(a.st_mode) && S_ISBLK(b.st_mode))
		return a.st_rdev == b.st_rdev;
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void io_done_put(struct io_done *d, struct pd_io_req *req)
{
	req->next = NULL;
	*(d->last ? &d->last->next : &d->first) = req;
	d->last = req;
}

int io_done_get(struct io_done *d, struct pd_io_req **done, unsigned max)
{
	unsigned n = 0;

	while (n < max && d->first) {
		done[n] = d->first;
		d->first = d->first->next;
		n++;
	}
	if (!d->first)
		d->last = NULL;
	return (int)n;
}
