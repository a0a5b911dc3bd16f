/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records to the human_readable form (cli 3.2). */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <pdata/log.h>
#include "thin/text.h"

static int say(struct thin_emitter *e, const char *fmt, ...) PD_PRINTF(2, 3);

static int say(struct thin_emitter *e, const char *fmt, ...)
{
	struct xml_writer *w = thin_text_writer(e);
	char *p = xml_writer_room(w, THIN_TEXT_MAX);
	va_list ap;

	if (!p)
		return w->err;
	va_start(ap, fmt);
	xml_writer_took(w, p + vsnprintf(p, THIN_TEXT_MAX, fmt, ap));
	va_end(ap);
	return 0;
}

static int put_superblock(struct thin_emitter *e, const struct thin_sb_record *sb)
{
	char snap[24] = "";

	if (sb->metadata_snap)
		snprintf(snap, sizeof(snap), ", %" PRIu64, sb->metadata_snap);
	return say(e, "begin superblock: \"\", %u, %" PRIu64 ", %u, %u, %u, %" PRIu64 "%s\n",
		   sb->time, sb->transaction, sb->flags, sb->version, sb->data_block_size,
		   sb->nr_data_blocks, snap);
}

static int put_superblock_end(struct thin_emitter *e)
{
	return say(e, "end superblock\n");
}

static int put_def(struct thin_emitter *e, const char *name)
{
	return say(e, "def: %.255s\n", name);
}

static int put_end(struct thin_emitter *e)
{
	return say(e, "\n");
}

static int put_device(struct thin_emitter *e, const struct thin_device_record *d)
{
	return say(e, "device: %u\nmapped_blocks: %" PRIu64 "\ntransaction: %" PRIu64
		   "\ncreation time: %u\nsnap time: %u\n", d->dev_id, d->mapped_blocks,
		   d->transaction, d->creation_time, d->snap_time);
}

static int put_ref(struct thin_emitter *e, const char *name)
{
	return say(e, "    ref: %.255s\n", name);
}

static char *put_word(char *p, const char *s)
{
	while (*s)
		*p++ = *s++;
	return p;
}

static char *put_range(char *p, uint64_t begin, uint64_t len)
{
	*p++ = '(';
	p = xml_put_u64(p, begin);
	p = put_word(p, "..");
	p = xml_put_u64(p, begin + len - 1);
	*p++ = ')';
	return p;
}

static int put_mappings(struct thin_emitter *e, const struct thin_mapping_record *m, unsigned nr)
{
	struct xml_writer *w = thin_text_writer(e);

	for (const struct thin_mapping_record *end = m + nr; m < end; m++) {
		char *p = xml_writer_room(w, THIN_TEXT_MAPPING_MAX);

		if (!p)
			return w->err;
		p = put_word(p, "    ");
		p = put_range(p, m->vbegin, m->len);
		p = put_word(p, " -> ");
		p = put_range(p, m->dbegin, m->len);
		p = put_word(p, ", ");
		p = xml_put_u64(p, m->time);
		*p++ = '\n';
		xml_writer_took(w, p);
	}
	return w->err;
}

const struct thin_emitter thin_human_emitter = {
	.superblock = put_superblock,
	.def = put_def,
	.def_end = put_end,
	.device = put_device,
	.device_end = put_end,
	.mappings = put_mappings,
	.ref = put_ref,
	.superblock_end = put_superblock_end,
};
