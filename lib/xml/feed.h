/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text from a source in large pieces, expanded if it is gzip's, read ahead on a thread. */
#ifndef PD_XML_FEED_H
#define PD_XML_FEED_H

#include <pdata/text.h>

#define FEED_CHUNK (1u << 20)
#define FEED_ROOM 8192u		/* bytes before each piece that are the user's */

struct feed;

/* @chunk: bytes a piece; 0 for FEED_CHUNK. 0 or -ENOMEM. */
int feed_create(struct feed **f, const struct pd_source *src, unsigned chunk);
void feed_destroy(struct feed *f);	/* takes NULL */

/*
 * The next piece, to be read and written until the next call; @*len is 0 at the end. One byte behind it is
 * there and 0. -EINVAL if compressed data is broken, -ENOMEM, or what the source said.
 */
int feed_next(struct feed *f, char **data, size_t *len);

#endif
