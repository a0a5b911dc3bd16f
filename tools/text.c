/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text outputs: stdout, a file, a fifo; plain or, for a name in ".gz", compressed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "tools/frame.h"

#define BUFFER_SIZE (256u << 10)

struct text_out {
	const char *path;	/* NULL: stdout */
	int fd;			/* -1: not open yet */
	gzFile gz;
	int err;		/* the first failure; everything later is dropped */
	size_t used;
	char buf[BUFFER_SIZE];
};

struct text_out *text_create(struct frame *f, const char *path)
{
	struct text_out *out = malloc(sizeof(*out));

	if (!out) {
		fail(f, "out of memory");
		return NULL;
	}
	out->path = path && strcmp(path, "-") ? path : NULL;
	out->fd = out->path ? -1 : STDOUT_FILENO;
	out->gz = NULL;
	out->err = 0;
	out->used = 0;
	return out;
}

bool text_is_tty(const struct text_out *out)
{
	return !out->path && isatty(STDOUT_FILENO);
}

static int open_now(struct text_out *out)
{
	size_t len;

	if (out->fd >= 0 || out->err)
		return out->err;
	out->fd = open(out->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (out->fd < 0)
		return out->err = -errno;
	len = strlen(out->path);
	if (len > 3 && !strcmp(out->path + len - 3, ".gz")) {
		out->gz = gzdopen(out->fd, "wb6");
		if (!out->gz)
			return out->err = -ENOMEM;
		gzbuffer(out->gz, BUFFER_SIZE);
	}
	return 0;
}

static int put(struct text_out *out, const char *p, size_t len)
{
	if (open_now(out))
		return out->err;
	if (out->gz) {
		if (len && gzwrite(out->gz, p, (unsigned)len) <= 0)
			out->err = errno ? -errno : -EIO;
		return out->err;
	}
	while (len) {
		ssize_t n = write(out->fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return out->err = -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int flush(struct text_out *out)
{
	size_t used = out->used;

	out->used = 0;
	return put(out, out->buf, used);
}

int text_write(void *ctx, const void *data, size_t len)
{
	struct text_out *out = ctx;
	const char *p = data;

	if (out->used + len > BUFFER_SIZE && out->used && flush(out))
		return out->err;
	for (; len > BUFFER_SIZE; p += BUFFER_SIZE, len -= BUFFER_SIZE)
		if (put(out, p, BUFFER_SIZE))
			return out->err;
	memcpy(out->buf + out->used, p, len);
	out->used += len;
	return out->err;
}

int text_close(struct frame *f, struct text_out *out, bool ok)
{
	int err;

	if (!out)
		return EXIT_CLEAN;
	if (out->used || ok)
		flush(out);
	if (out->gz) {
		int r = gzclose(out->gz);

		if (r != Z_OK && !out->err)
			out->err = r == Z_ERRNO && errno ? -errno : -EIO;
	} else if (out->path && out->fd >= 0 && close(out->fd) && !out->err) {
		out->err = -errno;
	}
	err = out->err;
	if (err && err != -EPIPE)
		fail(f, "writing %s: %s", out->path ? out->path : "the output", strerror(-err));
	free(out);
	return err ? EXIT_BAD : EXIT_CLEAN;
}
