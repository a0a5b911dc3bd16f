/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text inputs: a file, or standard input for "-". */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tools/frame.h"

int source_open(struct frame *f, const char *path, int *fd)
{
	int r;

	*fd = STDIN_FILENO;
	if (!strcmp(path, "-"))
		return 0;
	r = check_path(f, path, "Couldn't find input file");
	if (r)
		return r;
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return fail(f, "%s: %s", path, strerror(errno));
	posix_fadvise(*fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

ssize_t source_read(void *fd, void *data, size_t len)
{
	ssize_t n;

	do
		n = read(*(int *)fd, data, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

void source_close(int fd)
{
	if (fd > STDIN_FILENO)
		close(fd);
}

const char *source_path(const char *path)
{
	return strcmp(path, "-") ? path : "/dev/stdin";
}
