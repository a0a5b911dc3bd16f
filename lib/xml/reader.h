/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XML in, as records: element tables tell what may stand where.
 *
 * Expat reads all of XML. A short scanner for the plain form that dumps have runs ahead of it, and
 * hands over at the first thing it does not know or that is wrong; so every refusal is expat's or is
 * found behind it, and says the same either way. Input that begins with gzip's magic is expanded.
 */
#ifndef PD_XML_READER_H
#define PD_XML_READER_H

#include <pdata/log.h>
#include <pdata/text.h>
#include "xml/elements.h"

struct xml_reader;

/*
 * @start: an element with its record, filled from its attributes (absent ones have their table's value);
 *         strings live until it returns.
 * @end:   a container ended. Elements that are no containers have none.
 * Both return 0, or -errno, which ends the reading after a message of their own.
 */
struct xml_handler {
	int (*start)(void *ctx, unsigned row, const void *record);
	int (*end)(void *ctx, unsigned row);
};

struct xml_reader_opts {
	bool expat_only;	/* for tests: no scanner */
	unsigned chunk;		/* for tests: bytes read at a time; 0: 1 MiB */
};

/**
 * xml_read() - one whole document.
 * @src: called on a thread of the reader's own.
 * @pos: kept up to date while handlers run; may be NULL.
 * @log: gets "line L, column C: reason".
 *
 * Return: 0; -EINVAL if the text is not what the table says; what @src or a handler returned (@src's
 *         errors are told, a handler's are its own to tell); -ENOMEM.
 * Memory: some MiB, whatever the input.
 */
struct xml_pos {
	uint64_t line, column;	/* 1 is the first */
};
int xml_read(const struct pd_source *src, const struct xml_schema *schema, const struct xml_handler *h,
	     void *ctx, const struct xml_reader_opts *o, struct xml_pos *pos, struct pd_log *log);

#endif
