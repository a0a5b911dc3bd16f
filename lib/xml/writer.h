/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XML out, as a stream: one element a line, two blanks a level, no declaration, no newline after
 * the last end tag unless asked for.
 */
#ifndef PD_XML_WRITER_H
#define PD_XML_WRITER_H

#include "xml/elements.h"

/* Takes all @len bytes: 0 or -errno. */
typedef int (*xml_sink_fn)(void *ctx, const void *data, size_t len);

struct xml_writer {
	xml_sink_fn sink;
	void *ctx;
	char *buf;
	size_t used, len;
	unsigned depth;
	int err;		/* the first failure; later calls return it and do nothing */
	bool final_newline;
};

/* 0 or -ENOMEM. xml_writer_exit() does not flush. */
int xml_writer_init(struct xml_writer *w, xml_sink_fn sink, void *ctx);

/* Into the caller's memory, @used bytes of it so far; what does not fit makes calls return -ENOBUFS. */
void xml_writer_init_buf(struct xml_writer *w, char *buf, size_t len);
void xml_writer_exit(struct xml_writer *w);

/**
 * xml_write_start() - a start tag with the record's attributes, one level deeper from here on.
 * xml_write_leaf() - an element without children: <tag .../>
 * xml_write_end() - the end tag of the element that is open.
 * @e:      its row.
 * @record: what the row's members are in; may be NULL for a row without members.
 *
 * Return: 0, or what the sink returned.
 */
int xml_write_start(struct xml_writer *w, const struct xml_element *e, const void *record);
int xml_write_leaf(struct xml_writer *w, const struct xml_element *e, const void *record);
int xml_write_end(struct xml_writer *w, const struct xml_element *e);

/* Lines made elsewhere, newline included; they go behind what was written so far. */
int xml_write_raw(struct xml_writer *w, const void *data, size_t len);

/* For formatters of their own: @len (up to 32 KiB) bytes to write to, and how far it went. NULL after
 * a failure. */
char *xml_writer_room(struct xml_writer *w, size_t len);
static inline void xml_writer_took(struct xml_writer *w, const char *end)
{
	w->used = (size_t)(end - w->buf);
}

/* Hands everything written so far to the sink. */
int xml_writer_flush(struct xml_writer *w);

/* Decimal digits of @v at @p (20 at most); returns the byte behind them. */
char *xml_put_u64(char *p, uint64_t v);
/* The same for text in quotes: puts it at @p, and is what comes behind. */
#define XML_PUT(p, text) (memcpy(p, text, sizeof(text) - 1), (p) + sizeof(text) - 1)

#endif
