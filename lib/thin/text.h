/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Thin dumps as text: emitters over an xml_writer, which is a plain line writer for human_readable. */
#ifndef PD_THIN_TEXT_H
#define PD_THIN_TEXT_H

#include <pdata/text.h>
#include "thin/records.h"
#include "xml/writer.h"

/* More bytes than any mapping or other element of a dump takes. */
#define THIN_TEXT_MAX 512u
#define THIN_TEXT_MAPPING_MAX 160u

struct thin_text {
	struct thin_emitter e;
	struct xml_writer w;	/* the user's to set up and flush */
};

/* Sets @t->e for @format and the depth at which devices stand. */
void thin_text_init(struct thin_text *t, enum pd_text_format format);

extern const struct thin_emitter thin_xml_emitter, thin_human_emitter;

/* The writer behind one of these emitters. */
static inline struct xml_writer *thin_text_writer(struct thin_emitter *e)
{
	return &((struct thin_text *)e)->w;
}

#endif
