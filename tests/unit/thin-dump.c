/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Planning and emitting dumps, on trees made by hand in memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "persistent-data/disk.h"
#include "thin/dump.h"
#include "thin/text.h"
#include "unit/unit.h"

#define NR_BLOCKS 2000u

struct fixture {
	struct pd_io *io;
	struct slots slots;
	struct pd_run run;
	struct thin_view v;
	struct thin_view_device dev[8];
	char *text;
	size_t len;
};

static void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&f->io, NR_BLOCKS), 0);
	CU_ASSERT_EQUAL_FATAL(slots_init(&f->slots, f->io), 0);
	f->run.nr_threads = 1;
	f->v = (struct thin_view){ .slots = &f->slots, .run = &f->run, .devices = f->dev };
}

static void fixture_exit(struct fixture *f)
{
	slots_exit(&f->slots);
	pd_io_close(f->io);
	free(f->text);
}

static void write_node(struct fixture *f, uint64_t block, unsigned flags, const uint64_t *keys,
		       const uint64_t *values, unsigned nr)
{
	struct node_header *n = pd_io_buffer(1);

	memset(n, 0, PD_BLOCK_SIZE);
	n->flags = le32_put(flags);
	n->nr_entries = le32_put(nr);
	n->max_entries = le32_put(INTERNAL_MAX_ENTRIES);
	n->value_size = le32_put(8);
	for (unsigned i = 0; i < nr; i++) {
		le64 v = le64_put(values[i]);

		node_keys(n)[i] = le64_put(keys[i]);
		memcpy(node_value_ptr(n, i), &v, sizeof(v));
	}
	block_seal(n, KIND_NODE, block);
	CU_ASSERT_EQUAL_FATAL(pd_io_write(f->io, block, 1, n), 0);
	free(n);
}

/* A leaf that maps @nr blocks from @v on to those from @d on. */
static void leaf(struct fixture *f, uint64_t block, uint64_t v, uint64_t d, unsigned nr)
{
	uint64_t keys[INTERNAL_MAX_ENTRIES] = { 0 }, values[INTERNAL_MAX_ENTRIES] = { 0 };

	for (unsigned i = 0; i < nr; i++) {
		keys[i] = v + i;
		values[i] = mapping_pack(d + i, 0);
	}
	write_node(f, block, NODE_LEAF, keys, values, nr);
}

/* An inner node over @nr children; their keys are 100 times their place, or as given. */
static void inner(struct fixture *f, uint64_t block, const uint64_t *children, unsigned nr,
		  const uint64_t *given)
{
	uint64_t keys[INTERNAL_MAX_ENTRIES];

	for (unsigned i = 0; i < nr; i++)
		keys[i] = given ? given[i] : 100 * i;
	write_node(f, block, NODE_INTERNAL, keys, children, nr);
}

static void device(struct fixture *f, uint64_t root)
{
	f->dev[f->v.nr_devices] = (struct thin_view_device){
		.details.dev_id = f->v.nr_devices, .root = root,
	};
	f->v.nr_devices++;
}

static int gather(void *ctx, const void *data, size_t len)
{
	struct fixture *f = ctx;

	f->text = realloc(f->text, f->len + len + 1);
	memcpy(f->text + f->len, data, len);
	f->len += len;
	f->text[f->len] = 0;
	return 0;
}

static int dump(struct fixture *f)
{
	struct thin_sb_record sb = { .version = 2 };
	struct pd_sink sink = { gather, f };

	free(f->text);
	f->text = NULL;
	f->len = 0;
	return thin_view_text(&f->v, &sb, PD_TEXT_XML, false, &sink);
}

/*
 * The dump in short: "D9(" def, "d(" device, "r9" ref, ")" the end of either, and
 * "v-d+len" a mapping.
 */
static const char *outline(struct fixture *f)
{
	static char s[4096];
	char *p = s, *line, *save = NULL;
	unsigned long long a, b, c;

	for (line = strtok_r(f->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "  <def name=\"%llu", &a) == 1)
			p += sprintf(p, "D%llu(", a);
		else if (strstr(line, "<device"))
			p += sprintf(p, "d(");
		else if (sscanf(line, "    <ref name=\"%llu", &a) == 1)
			p += sprintf(p, " r%llu", a);
		else if (strstr(line, "</de"))
			p += sprintf(p, ")");
		else if (sscanf(line, "    <range_mapping origin_begin=\"%llu\" data_begin=\"%llu\" "
				"length=\"%llu", &a, &b, &c) == 3)
			p += sprintf(p, " %llu-%llu+%llu", a, b, c);
		else if (sscanf(line, "    <single_mapping origin_block=\"%llu\" data_block=\"%llu",
				&a, &b) == 2)
			p += sprintf(p, " %llu-%llu+1", a, b);
	}
	return s;
}

#define ROW(...) (const uint64_t[]){ __VA_ARGS__ }, sizeof((uint64_t[]){ __VA_ARGS__ }) / 8

static void test_a_shared_leaf_becomes_a_def_named_by_its_block(void)
{
	struct fixture f;

	fixture_init(&f);
	leaf(&f, 10, 0, 500, 3);
	leaf(&f, 11, 100, 600, 1);
	leaf(&f, 12, 100, 700, 1);
	inner(&f, 20, ROW(10, 11), NULL);
	inner(&f, 21, ROW(10, 12), NULL);
	device(&f, 20);
	device(&f, 21);
	CU_ASSERT_EQUAL(dump(&f), 0);
	CU_ASSERT_STRING_EQUAL(outline(&f), "D10( 0-500+3)d( r10 100-600+1)d( r10 100-700+1)");
	fixture_exit(&f);
}

static void test_leaves_that_always_follow_each_other_are_one_def_and_join(void)
{
	struct fixture f;

	fixture_init(&f);
	leaf(&f, 11, 0, 500, 100);
	leaf(&f, 10, 100, 600, 5);
	inner(&f, 20, ROW(11, 10), NULL);
	device(&f, 20);
	device(&f, 20);
	CU_ASSERT_EQUAL(dump(&f), 0);
	CU_ASSERT_STRING_EQUAL(outline(&f), "D11( 0-500+105)d( r11)d( r11)");
	fixture_exit(&f);
}

static void test_a_leaf_with_two_followers_ends_its_def(void)
{
	struct fixture f;

	fixture_init(&f);
	leaf(&f, 10, 0, 500, 100);
	leaf(&f, 11, 100, 600, 5);
	leaf(&f, 12, 200, 700, 5);
	inner(&f, 20, ROW(10, 11, 12), NULL);
	inner(&f, 21, ROW(10, 12), ((const uint64_t[]){ 0, 200 }));
	device(&f, 20);
	device(&f, 21);
	device(&f, 20);
	CU_ASSERT_EQUAL(dump(&f), 0);
	CU_ASSERT_STRING_EQUAL(outline(&f), "D10( 0-500+100)D11( 100-600+5)D12( 200-700+5)"
			       "d( r10 r11 r12)d( r10 r12)d( r10 r11 r12)");
	fixture_exit(&f);
}

static void test_an_empty_root_that_is_shared_is_an_empty_def(void)
{
	struct fixture f;

	fixture_init(&f);
	leaf(&f, 10, 0, 0, 0);
	leaf(&f, 11, 0, 0, 0);
	device(&f, 10);
	device(&f, 11);
	device(&f, 10);
	CU_ASSERT_EQUAL(dump(&f), 0);
	CU_ASSERT_STRING_EQUAL(outline(&f), "D10()d( r10)d()d( r10)");
	fixture_exit(&f);
}

static void test_one_device_alone_is_expanded_and_joins_across_leaves(void)
{
	struct fixture f;

	fixture_init(&f);
	leaf(&f, 10, 0, 500, 100);
	leaf(&f, 11, 100, 600, 5);
	inner(&f, 20, ROW(10, 11), NULL);
	device(&f, 20);
	CU_ASSERT_EQUAL(dump(&f), 0);
	CU_ASSERT_STRING_EQUAL(outline(&f), "d( 0-500+105)");
	f.v.nr_devices = 0;
	device(&f, 20);
	device(&f, 20);
	f.v.expand = true;
	CU_ASSERT_EQUAL(dump(&f), 0);
	CU_ASSERT_STRING_EQUAL(outline(&f), "d( 0-500+105)d( 0-500+105)");
	fixture_exit(&f);
}

static void test_keys_that_overlap_end_the_dump(void)
{
	struct fixture f;

	fixture_init(&f);
	leaf(&f, 10, 0, 500, 101);
	leaf(&f, 11, 100, 600, 5);
	inner(&f, 20, ROW(10, 11), NULL);
	device(&f, 20);
	CU_ASSERT_EQUAL(dump(&f), -EUCLEAN);
	CU_ASSERT_PTR_NULL(strstr(f.text, "</superblock>"));
	fixture_exit(&f);
}

static void test_a_shared_leaf_that_overlaps_its_neighbour_in_one_device_ends_the_dump(void)
{
	struct fixture f;

	fixture_init(&f);
	leaf(&f, 10, 0, 500, 101);
	leaf(&f, 11, 100, 600, 5);
	leaf(&f, 12, 101, 600, 5);
	inner(&f, 20, ROW(10, 12), ((const uint64_t[]){ 0, 101 }));
	inner(&f, 21, ROW(10, 11), NULL);
	device(&f, 20);
	device(&f, 21);
	CU_ASSERT_EQUAL(dump(&f), -EUCLEAN);
	fixture_exit(&f);
}

static void test_keys_below_the_parent_s_key_end_the_dump(void)
{
	struct fixture f;

	fixture_init(&f);
	leaf(&f, 10, 0, 500, 50);
	leaf(&f, 11, 99, 600, 5);
	inner(&f, 20, ROW(10, 11), NULL);
	device(&f, 20);
	CU_ASSERT_EQUAL(dump(&f), -EUCLEAN);
	fixture_exit(&f);
}

static void test_cycles_and_nodes_at_two_heights_end_the_dump(void)
{
	struct fixture f;

	fixture_init(&f);
	leaf(&f, 10, 0, 500, 50);
	inner(&f, 20, ROW(10, 20), NULL);
	device(&f, 20);
	CU_ASSERT_EQUAL(dump(&f), -EUCLEAN);
	fixture_exit(&f);
	fixture_init(&f);
	inner(&f, 20, ROW(20), NULL);
	device(&f, 20);
	CU_ASSERT_EQUAL(dump(&f), -EUCLEAN);
	fixture_exit(&f);
}

static void test_lost_nodes_are_stepped_over_when_asked(void)
{
	struct fixture f;

	fixture_init(&f);
	leaf(&f, 10, 0, 500, 50);
	leaf(&f, 12, 200, 600, 5);
	inner(&f, 20, ROW(10, 11, 12), NULL);	/* 11 was never written */
	inner(&f, 21, ROW(20, 13), ((const uint64_t[]){ 0, 300 }));
	device(&f, 21);
	CU_ASSERT_EQUAL(dump(&f), -EUCLEAN);
	slots_exit(&f.slots);
	CU_ASSERT_EQUAL_FATAL(slots_init(&f.slots, f.io), 0);
	f.v.step_over = true;
	CU_ASSERT_EQUAL(dump(&f), 0);
	CU_ASSERT_STRING_EQUAL(outline(&f), "d( 0-500+50 200-600+5)");
	fixture_exit(&f);
}

static void test_a_node_rebuilt_in_memory_is_dumped_like_any_other(void)
{
	struct child c[] = { { 0, 10 }, { 100, 11 } };
	struct fixture f;

	fixture_init(&f);
	leaf(&f, 10, 0, 500, 100);
	leaf(&f, 11, 100, 600, 5);
	CU_ASSERT_EQUAL(slots_set_children(&f.slots, 20, c, 2), 0);
	device(&f, 20);
	CU_ASSERT_EQUAL(dump(&f), 0);
	CU_ASSERT_STRING_EQUAL(outline(&f), "d( 0-500+105)");
	fixture_exit(&f);
}

/* Three devices over 900 leaves, some shared, ranges that run on through batches of leaves. */
static void large(struct fixture *f)
{
	uint64_t children[INTERNAL_MAX_ENTRIES], keys[INTERNAL_MAX_ENTRIES];
	uint64_t next = 1000;

	for (unsigned i = 0; i < 900; i++)
		leaf(f, 10 + i, 250 * i, 250 * i + (i % 97 ? 0 : 1000000) + i / 300, 250);
	for (unsigned dev = 0; dev < 3; dev++) {
		uint64_t inners[4], inner_keys[4];

		for (unsigned k = 0; k < 4; k++) {
			unsigned nr = 0;

			for (unsigned i = k * 225; i < k * 225 + 225; i++) {
				if ((i / 70 + dev) % 3 == 0)
					continue;
				keys[nr] = 250 * i;
				children[nr++] = 10 + i;
			}
			inner_keys[k] = keys[0];
			inners[k] = next++;
			inner(f, inners[k], children, nr, keys);
		}
		inner(f, next, inners, 4, inner_keys);
		device(f, next++);
	}
}

static void test_the_dump_does_not_depend_on_threads_or_on_the_way_out(void)
{
	struct thin_sb_record sb = { .version = 2 };
	struct thin_text t;
	struct fixture f;
	char *one;

	for (unsigned expand = 0; expand < 2; expand++) {
		fixture_init(&f);
		large(&f);
		f.v.expand = expand;
		CU_ASSERT_EQUAL(dump(&f), 0);
		one = f.text;
		f.text = NULL;
		f.run.nr_threads = 5;
		CU_ASSERT_EQUAL(dump(&f), 0);
		CU_ASSERT_STRING_EQUAL(f.text, one);
		/* the same emitter, fed with records instead of writing in the workers */
		free(f.text);
		f.text = NULL;
		f.len = 0;
		thin_text_init(&t, PD_TEXT_XML);
		CU_ASSERT_EQUAL(xml_writer_init(&t.w, gather, &f), 0);
		CU_ASSERT_EQUAL(thin_view_emit(&f.v, &sb, &t.e), 0);
		CU_ASSERT_EQUAL(xml_writer_flush(&t.w), 0);
		xml_writer_exit(&t.w);
		CU_ASSERT_STRING_EQUAL(f.text, one);
		free(one);
		fixture_exit(&f);
	}
}

UNIT_SUITE(thin_dump,
	UNIT(test_a_shared_leaf_becomes_a_def_named_by_its_block),
	UNIT(test_leaves_that_always_follow_each_other_are_one_def_and_join),
	UNIT(test_a_leaf_with_two_followers_ends_its_def),
	UNIT(test_an_empty_root_that_is_shared_is_an_empty_def),
	UNIT(test_one_device_alone_is_expanded_and_joins_across_leaves),
	UNIT(test_keys_that_overlap_end_the_dump),
	UNIT(test_a_shared_leaf_that_overlaps_its_neighbour_in_one_device_ends_the_dump),
	UNIT(test_keys_below_the_parent_s_key_end_the_dump),
	UNIT(test_cycles_and_nodes_at_two_heights_end_the_dump),
	UNIT(test_lost_nodes_are_stepped_over_when_asked),
	UNIT(test_a_node_rebuilt_in_memory_is_dumped_like_any_other),
	UNIT(test_the_dump_does_not_depend_on_threads_or_on_the_way_out)
);
