/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The scanner and expat must say the same of any text, however it is cut into pieces. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/util.h"
#include "era/elements.h"
#include "era/records.h"
#include "thin/elements.h"
#include "thin/records.h"
#include "unit/unit.h"
#include "xml/reader.h"

struct fixture {
	const char *text;
	size_t len, at;
	const struct xml_schema *schema;
	struct xml_pos pos;
	char said[16384];	/* what handlers and the log got, in order */
	size_t used;
};

static void PD_PRINTF(2, 3) note(struct fixture *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (f->used < sizeof(f->said) - 1)
		f->used += (size_t)vsnprintf(f->said + f->used, sizeof(f->said) - f->used, fmt, ap);
	va_end(ap);
}

static ssize_t read_text(void *ctx, void *data, size_t len)
{
	struct fixture *f = ctx;

	len = min_t(size_t, len, f->len - f->at);
	memcpy(data, f->text + f->at, len);
	f->at += len;
	return (ssize_t)len;
}

static void hear(void *ctx, enum pd_log_level level, const char *text)
{
	(void)level;
	note(ctx, "log %s\n", text);
}

static void note_thin(struct fixture *f, unsigned row, const void *record)
{
	const struct thin_mapping_record *m = record;
	const struct thin_device_record *d = record;
	const struct thin_sb_record *sb = record;

	switch (row) {
	case THIN_EL_SUPERBLOCK:
		note(f, " %u %" PRIu64 " %u %u %" PRIu64 "\n", sb->time, sb->transaction, sb->flags,
		     sb->version, sb->nr_data_blocks);
		break;
	case THIN_EL_DEF:
	case THIN_EL_REF:
		note(f, " '%s'\n", ((const struct thin_name_record *)record)->name);
		break;
	case THIN_EL_DEVICE:
		note(f, " %u %" PRIu64 " %u\n", d->dev_id, d->mapped_blocks, d->snap_time);
		break;
	default:
		note(f, " %" PRIu64 " %" PRIu64 " %" PRIu64 " %u\n", m->vbegin, m->dbegin, m->len,
		     m->time);
	}
}

static void note_era(struct fixture *f, unsigned row, const void *record)
{
	const struct era_xml_bit *b = record;
	const uint32_t *n = record;

	if (row == ERA_EL_BIT)
		note(f, " %u %d\n", b->block, b->value);
	else if (row != ERA_EL_ERA_ARRAY)
		note(f, " %u %u\n", n[0], n[1]);
}

static int start(void *ctx, unsigned row, const void *record)
{
	struct fixture *f = ctx;

	note(f, "%" PRIu64 ":%" PRIu64 " %u", f->pos.line, f->pos.column, row);
	(f->schema == &era_schema ? note_era : note_thin)(f, row, record);
	return 0;
}

static int end(void *ctx, unsigned row)
{
	note(ctx, "end %u\n", row);
	return 0;
}

/* What is spelt as the writer spells it is read a shorter way where enough text is left: so all of it has blanks behind
 * it in one of two forms. */
static const struct sample {
	const struct xml_schema *schema;
	const char *text;
} samples[] = {
	{ &thin_schema,
	"<superblock uuid=\"\" time=\"1\" transaction=\"3\" version=\"2\" data_block_size=\"128\" nr_data_blocks=\"2000\">\n"
	"  <def name=\"48\">\n"
	"    <range_mapping origin_begin=\"0\" data_begin=\"1500\" length=\"10\" time=\"0\"/>\n"
	"  </def>\n"
	"  <device dev_id=\"1\" mapped_blocks=\"12\" transaction=\"0\" creation_time=\"0\" snap_time=\"1\">\n"
	"    <ref name=\"48\"/>\n"
	"    <single_mapping origin_block=\"30\" data_block=\"18446744073709551615\" time=\"16777215\"/>\n"
	"    <single_mapping origin_block=\"3000000\" data_block=\"12345678\" time=\"1\"/>\n"
	"    <single_mapping data_block=\"4\" origin_block=\"31\" time=\"1\"></single_mapping>\n"
	"  </device>\n"
	"  <device dev_id=\"2\" mapped_blocks=\"0\" transaction=\"0\" creation_time=\"0\" snap_time=\"1\"/>\n"
	"</superblock>\n" },
	{ &era_schema,
	"<superblock uuid=\"\" block_size=\"128\" nr_blocks=\"4\" current_era=\"5\">\n"
	"  <writeset era=\"4\" nr_bits=\"4\">\n"
	"    <bit block=\"0\" value=\"true\"/>\n"
	"    <bit block=\"4294967295\" value=\"false\"/>\n"
	"    <marked block_begin=\"1\" len=\"1234567\"/>\n"
	"    <bit value=\"true\" block=\"3\"/>\n"
	"  </writeset>\n"
	"  <era_array>\n"
	"    <era block=\"0\" era=\"12345678\"/><era block=\"1\" era=\"1234567\"/>\n"
	"    <era block=\"2\" era=\"0\"/>\n"
	"  </era_array>\n"
	"</superblock>\n" },
};
#define BLANKS 1000u
#define MAX_TEXT 2048u

static int read_it(struct fixture *f, const struct sample *s, const char *text, size_t len, bool expat_only,
		   unsigned chunk)
{
	static const struct xml_handler handler = { start, end };
	struct pd_source src = { read_text, f };
	struct pd_log log = { hear, f, PD_LOG_WARN };
	struct xml_reader_opts o = { .expat_only = expat_only, .chunk = chunk };

	memset(f, 0, sizeof(*f));
	f->schema = s->schema;
	f->text = text;
	f->len = len;
	return xml_read(&src, s->schema, &handler, f, &o, &f->pos, &log);
}

static void compare(const struct sample *s, const char *text, size_t len, unsigned chunk)
{
	static struct fixture a, b;
	int ra = read_it(&a, s, text, len, true, 4096), rb = read_it(&b, s, text, len, false, chunk);

	if (ra == rb && !strcmp(a.said, b.said))
		return;
	CU_FAIL("the scanner and expat differ");
	fprintf(stderr, "chunk %u, expat %d, scanner %d\n%.*s\n-- expat\n%s-- scanner\n%s", chunk, ra,
		rb, (int)len, text, a.said, b.said);
}

/* @text as it is, and with blanks behind it. */
static void compare_both(const struct sample *s, char text[MAX_TEXT + BLANKS], size_t len, unsigned chunk)
{
	compare(s, text, len, chunk);
	memset(text + len, ' ', BLANKS);
	compare(s, text, len + BLANKS, chunk);
}

static void test_a_dump_reads_as_it_stands(void)
{
	static struct fixture f;
	const struct sample *s = samples;

	CU_ASSERT_EQUAL(read_it(&f, s, s->text, strlen(s->text), false, 0), 0);
	CU_ASSERT(strstr(f.said, "3:5 4 0 1500 10 0\n") != NULL);
	CU_ASSERT(strstr(f.said, "7:5 3 30 18446744073709551615 1 16777215\n") != NULL);
	CU_ASSERT(strstr(f.said, "6:5 5 '48'\n") != NULL);
	s++;
	CU_ASSERT_EQUAL(read_it(&f, s, s->text, strlen(s->text), false, 0), 0);
	CU_ASSERT(strstr(f.said, "3:5 2 0 1\n") != NULL);
	CU_ASSERT(strstr(f.said, "4:5 2 4294967295 0\n") != NULL);
	CU_ASSERT(strstr(f.said, "9:5 5 0 12345678\n9:36 5 1 1234567\n") != NULL);
}

static void test_pieces_of_any_size(void)
{
	char text[MAX_TEXT + BLANKS];

	for (const struct sample *s = samples; s < samples + ARRAY_SIZE(samples); s++)
		for (unsigned chunk = 1; chunk < 400; chunk++) {
			memcpy(text, s->text, strlen(s->text));
			compare_both(s, text, strlen(s->text), chunk);
		}
}

static void test_texts_cut_anywhere(void)
{
	for (const struct sample *s = samples; s < samples + ARRAY_SIZE(samples); s++)
		for (size_t len = 0; len <= strlen(s->text); len++) {
			char text[MAX_TEXT + BLANKS];

			memcpy(text, s->text, len);
			compare_both(s, text, len, 0);
		}
}

static void test_any_change_is_seen_alike(void)
{
	static const char *const bits[] = { "<", ">", "/", "\"", "'", "&amp;", "&x;", "&#65;", " ", "\n", "\r\n",
		"\t", "=", "0", "9", ":", "99999999999", "99999999999999999999", "<!-- c -->", "<?pi x?>",
		"<![CDATA[ ]]>", "\xc3\xa9", "\x80", "\x01", "x", "t", "true", "</def>", "<ref name=\"48\"/>",
		"<!DOCTYPE a>", "<superblock/>", "\"/>", "    <bit block=\"7\" value=\"true\"/>\n" };
	uint32_t seed = 1;
	char text[MAX_TEXT + BLANKS];

	for (unsigned round = 0; round < 30000; round++) {
		const struct sample *s = &samples[round / 2 % ARRAY_SIZE(samples)];
		size_t len = strlen(s->text);

		memcpy(text, s->text, len);
		for (unsigned k = 0; k < 1 + round % 2; k++) {
			uint32_t r = (seed = seed * 1664525 + 1013904223) >> 8;
			size_t at = r % (len + 1), cut = min_t(size_t, r >> 12 & 3 ? 0 : r >> 14 & 7, len - at);
			const char *bit = bits[(r >> 5) % ARRAY_SIZE(bits)];
			size_t n = strlen(bit);

			memmove(text + at + n, text + at + cut, len - at - cut);
			memcpy(text + at, bit, n);
			len = len - cut + n;
		}
		compare_both(s, text, len, round % 3 ? 4096 : 1 + round % 97);
	}
}

UNIT_SUITE(xml_reader,
	UNIT(test_a_dump_reads_as_it_stands),
	UNIT(test_pieces_of_any_size),
	UNIT(test_texts_cut_anywhere),
	UNIT(test_any_change_is_seen_alike));
