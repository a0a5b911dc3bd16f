/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checking and mending a small pool in memory, with what is wrong put there on purpose. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/thin.h>
#include "io/engine.h"
#include "persistent-data/disk.h"
#include "unit/unit.h"

#define NR_BLOCKS 256u
#define NR_DATA 40000ull	/* three bitmaps */

struct fixture {
	struct pd_io *io;
	struct pd_check_result res;
	char said[65536];
	char *xml;
	size_t xml_len, xml_at;
	unsigned nr_threads;
};

static void hear(void *ctx, enum pd_log_level level, const char *text)
{
	struct fixture *f = ctx;
	size_t at = strlen(f->said);

	(void)level;
	snprintf(f->said + at, sizeof(f->said) - at, "%s\n", text);
}

static ssize_t read_xml(void *ctx, void *data, size_t len)
{
	struct fixture *f = ctx;

	len = min_t(size_t, len, f->xml_len - f->xml_at);
	memcpy(data, f->xml + f->xml_at, len);
	f->xml_at += len;
	return (ssize_t)len;
}

static void PD_PRINTF(2, 3) line(struct fixture *f, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	len = (size_t)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->xml = realloc(f->xml, f->xml_len + len);
	memcpy(f->xml + f->xml_len, text, len);
	f->xml_len += len;
}

/* Devices 1 and 2 share 2000 mappings; device 3 has 600 of its own; data block 7 is used five times. */
static void make_pool(struct fixture *f)
{
	struct pd_source src = { read_xml, f };
	struct pd_thin_restore_opts o = { .size = sizeof(o) };
	struct pd_run run = { .nr_threads = 1 };

	line(f, "<superblock uuid=\"\" time=\"3\" transaction=\"9\" version=\"2\" data_block_size=\"128\" "
	     "nr_data_blocks=\"%llu\">\n<def name=\"a\">\n", NR_DATA);
	for (unsigned i = 0; i < 2000; i++)
		line(f, "<single_mapping origin_block=\"%u\" data_block=\"%u\" time=\"1\"/>\n", 2 * i, 100 + 3 * i);
	line(f, "</def>\n");
	for (unsigned dev = 1; dev <= 2; dev++)
		line(f, "<device dev_id=\"%u\" mapped_blocks=\"2000\" transaction=\"1\" creation_time=\"0\" "
		     "snap_time=\"2\">\n<ref name=\"a\"/>\n</device>\n", dev);
	line(f, "<device dev_id=\"3\" mapped_blocks=\"605\" transaction=\"1\" creation_time=\"0\" snap_time=\"2\">\n"
	     "<range_mapping origin_begin=\"10\" data_begin=\"20000\" length=\"600\" time=\"2\"/>\n");
	for (unsigned i = 0; i < 5; i++)
		line(f, "<single_mapping origin_block=\"%u\" data_block=\"7\" time=\"1\"/>\n", 5000 + i);
	line(f, "</device>\n</superblock>\n");
	CU_ASSERT_EQUAL_FATAL(pd_thin_restore(&src, f->io, &o, &run), 0);
}

static void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->nr_threads = 1;
	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&f->io, NR_BLOCKS), 0);
	make_pool(f);
}

static void fixture_exit(struct fixture *f)
{
	pd_io_close(f->io);
	free(f->xml);
}

static int check_io(struct fixture *f, struct pd_io *io, struct pd_thin_check_opts o)
{
	struct pd_log log = { hear, f, PD_LOG_DEBUG };
	struct pd_run run = { .log = &log, .nr_threads = f->nr_threads };

	o.size = sizeof(o);
	f->said[0] = 0;
	return pd_thin_check(io, &o, &run, &f->res);
}

#define CHECK(f, ...) check_io(f, (f)->io, (struct pd_thin_check_opts){ __VA_ARGS__ })

static void *get(struct fixture *f, uint64_t block)
{
	void *data = pd_io_buffer(1);

	CU_ASSERT_EQUAL_FATAL(pd_io_read(f->io, block, 1, data), 0);
	return data;
}

/* Writes and frees @data. */
static void put_as(struct fixture *f, uint64_t block, void *data, enum block_kind kind)
{
	block_seal(data, kind, block);
	CU_ASSERT_EQUAL_FATAL(pd_io_write(f->io, block, 1, data), 0);
	free(data);
}

static void put(struct fixture *f, uint64_t block, void *data)
{
	/* what it was before it was changed is told by its header: all but the superblock are nodes here */
	put_as(f, block, data, block ? KIND_NODE : KIND_THIN_SB);
}

static struct sm_root root_of(struct fixture *f, bool metadata)
{
	struct thin_superblock *sb = get(f, 0);
	struct sm_root r = sm_root_get(metadata ? sb->metadata_space_map_root : sb->data_space_map_root);

	free(sb);
	return r;
}

static uint64_t bitmap_of(struct fixture *f, bool metadata, uint64_t block)
{
	uint64_t root = le64_get(root_of(f, metadata).bitmap_root), at;
	void *data = get(f, root);
	struct index_entry ie;

	if (metadata)
		ie = ((struct metadata_index *)data)->index[block / ENTRIES_PER_BITMAP];
	else
		memcpy(&ie, node_value_ptr(data, (uint32_t)(block / ENTRIES_PER_BITMAP)), sizeof(ie));
	at = le64_get(ie.blocknr);
	free(data);
	return at;
}

static void set_count(struct fixture *f, bool metadata, uint64_t block, unsigned count)
{
	uint64_t at = bitmap_of(f, metadata, block);
	void *data = get(f, at);

	bitmap_put(data, block % ENTRIES_PER_BITMAP, count);
	put_as(f, at, data, KIND_BITMAP);
}

static void set_needs_check(struct fixture *f)
{
	struct thin_superblock *sb = get(f, 0);

	sb->flags = le32_put(THIN_NEEDS_CHECK);
	memcpy(sb->uuid, "0123456789abcdef", UUID_SIZE);
	memset((uint8_t *)sb + 1000, 0xa5, 100);		/* nobody knows what this is */
	put(f, 0, sb);
}

static uint64_t device_root(struct fixture *f, unsigned nth)
{
	struct thin_superblock *sb = get(f, 0);
	void *upper = get(f, le64_get(sb->data_mapping_root));
	uint64_t root = node_value64(upper, nth);

	free(upper);
	free(sb);
	return root;
}

static bool hears(struct fixture *f, const char *what)
{
	if (strstr(f->said, what))
		return true;
	fprintf(stderr, "not heard: %s in:\n%s", what, f->said);
	return false;
}

static void *image_of(struct pd_io *io)
{
	void *image = pd_io_buffer(NR_BLOCKS);

	CU_ASSERT_EQUAL_FATAL(pd_io_read(io, 0, NR_BLOCKS, image), 0);
	return image;
}

static void test_healthy_pool_is_clean_and_stays_as_it_is(void)
{
	struct fixture f;
	void *before, *after;

	fixture_init(&f);
	before = image_of(f.io);
	CU_ASSERT_EQUAL(CHECK(&f, .size = 0), 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_INFO);
	CU_ASSERT_STRING_EQUAL(f.said, "");
	CU_ASSERT_EQUAL(CHECK(&f, .auto_repair = true), 0);
	CU_ASSERT_EQUAL(CHECK(&f, .clear_needs_check = true), 0);
	after = image_of(f.io);
	CU_ASSERT_EQUAL(memcmp(before, after, NR_BLOCKS * PD_BLOCK_SIZE), 0);
	free(before);
	free(after);
	fixture_exit(&f);
}

static void test_lost_leaf_names_device_range_and_block(void)
{
	struct fixture f;
	struct node_header *root;
	uint64_t leaf;
	char want[128];

	fixture_init(&f);
	root = get(&f, device_root(&f, 2));
	CU_ASSERT_EQUAL_FATAL(le32_get(root->flags), NODE_INTERNAL);
	leaf = node_value64(root, 1);
	snprintf(want, sizeof(want), "thin device 3: virtual blocks [%llu, %llu): metadata block %llu",
		 (unsigned long long)node_key(root, 1), (unsigned long long)node_key(root, 2),
		 (unsigned long long)leaf);
	free(root);
	put_as(&f, leaf, get(&f, leaf), KIND_ARRAY);
	CU_ASSERT_EQUAL(CHECK(&f, .size = 0), 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_FATAL);
	CU_ASSERT(hears(&f, want));
	CU_ASSERT(hears(&f, "block-kind"));
	CU_ASSERT(hears(&f, "device-damaged"));
	CU_ASSERT_PTR_NULL(strstr(f.said, "thin device 1"));
	fixture_exit(&f);
}

static void test_shared_damage_is_told_for_each_device(void)
{
	struct fixture f;
	struct node_header *root;
	uint64_t leaf;

	fixture_init(&f);
	root = get(&f, device_root(&f, 0));
	leaf = node_value64(root, 0);
	free(root);
	put_as(&f, leaf, get(&f, leaf), KIND_BITMAP);
	CHECK(&f, .size = 0);
	CU_ASSERT(hears(&f, "thin device 1: virtual blocks [0, "));
	CU_ASSERT(hears(&f, "thin device 2: virtual blocks [0, "));
	CU_ASSERT_PTR_NULL(strstr(f.said, "thin device 3"));
	fixture_exit(&f);
}

static void test_node_below_itself_is_a_cycle(void)
{
	struct fixture f;
	struct node_header *root;
	uint64_t at;
	le64 v;

	fixture_init(&f);
	at = device_root(&f, 2);
	root = get(&f, at);
	v = le64_put(at);
	memcpy(node_value_ptr(root, 0), &v, sizeof(v));
	put(&f, at, root);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_FATAL);
	CU_ASSERT(hears(&f, "block-cycle"));
	fixture_exit(&f);
}

static void test_mapping_beyond_the_data_device_is_fatal(void)
{
	struct fixture f;
	struct node_header *root, *leaf;
	uint64_t at;
	le64 v = le64_put(mapping_pack(NR_DATA, 1));

	fixture_init(&f);
	root = get(&f, device_root(&f, 2));
	at = node_value64(root, 0);
	leaf = get(&f, at);
	memcpy(node_value_ptr(leaf, 3), &v, sizeof(v));
	put(&f, at, leaf);
	free(root);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_FATAL);
	CU_ASSERT(hears(&f, "virtual blocks [13, 14)"));
	CU_ASSERT(hears(&f, "mapping-data-block"));
	fixture_exit(&f);
}

static void test_mapping_from_the_future_is_a_warning(void)
{
	struct fixture f;
	struct node_header *root, *leaf;
	uint64_t at;
	le64 v = le64_put(mapping_pack(20000, 4));

	fixture_init(&f);
	root = get(&f, device_root(&f, 2));
	at = node_value64(root, 0);
	leaf = get(&f, at);
	memcpy(node_value_ptr(leaf, 0), &v, sizeof(v));
	put(&f, at, leaf);
	free(root);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_WARN);
	CU_ASSERT(hears(&f, "mapping-time"));
	fixture_exit(&f);
}

static void test_count_too_low_is_fatal_and_never_mended(void)
{
	struct fixture f;
	void *before, *after;

	fixture_init(&f);
	set_count(&f, false, 20003, 0);
	set_count(&f, false, 30000, 1);
	set_needs_check(&f);
	before = image_of(f.io);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_FATAL);
	CU_ASSERT(hears(&f, "data blocks [20003, 20004)"));
	CU_ASSERT(hears(&f, "lost-count"));
	CHECK(&f, .auto_repair = true);
	CHECK(&f, .clear_needs_check = true, .ignore_non_fatal = true);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_FATAL);
	after = image_of(f.io);
	CU_ASSERT_EQUAL(memcmp(before, after, NR_BLOCKS * PD_BLOCK_SIZE), 0);
	free(before);
	free(after);
	fixture_exit(&f);
}

/* Leaks of every sort: unused blocks, used ones counted higher, overflow entries too high or needless. */
static void make_leaks(struct fixture *f)
{
	struct sm_root r = root_of(f, false);
	struct node_header *tree = get(f, le64_get(r.ref_count_root));
	le32 nine = le32_put(9);

	CU_ASSERT_EQUAL_FATAL(le32_get(tree->nr_entries), 1);
	CU_ASSERT_EQUAL_FATAL(node_key(tree, 0), 7);
	memcpy(node_value_ptr(tree, 0), &nine, sizeof(nine));
	node_keys(tree)[1] = le64_put(20001);
	memcpy(node_value_ptr(tree, 1), &nine, sizeof(nine));
	tree->nr_entries = le32_put(2);
	put(f, le64_get(r.ref_count_root), tree);
	set_count(f, false, 20001, 3);
	set_count(f, false, 20002, 2);
	set_count(f, false, 0, 1);
	set_count(f, false, NR_DATA - 1, 2);
	set_count(f, true, NR_BLOCKS - 1, 1);
	set_count(f, true, device_root(f, 2), 2);
	set_needs_check(f);
}
#define NR_LEAKS 7u

static void test_leaks_are_errors_that_can_be_mended(void)
{
	struct fixture f;
	struct thin_superblock *sb;
	uint8_t tail[100];

	fixture_init(&f);
	make_leaks(&f);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_ERROR);
	CU_ASSERT_EQUAL(f.res.counts[PD_SEV_ERROR], NR_LEAKS);
	CU_ASSERT(f.res.needs_check);
	CU_ASSERT_EQUAL(CHECK(&f, .auto_repair = true), 0);
	CU_ASSERT(f.res.worst <= PD_SEV_WARN);
	CU_ASSERT_EQUAL(f.res.mended, NR_LEAKS);
	CU_ASSERT(f.res.cleared);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_INFO);
	CU_ASSERT_STRING_EQUAL(f.said, "");
	sb = get(&f, 0);
	memset(tail, 0xa5, sizeof(tail));
	CU_ASSERT_EQUAL(memcmp((uint8_t *)sb + 1000, tail, sizeof(tail)), 0);
	CU_ASSERT_EQUAL(memcmp(sb->uuid, "0123456789abcdef", UUID_SIZE), 0);
	free(sb);
	fixture_exit(&f);
}

static void test_clearing_without_looking_leaves_leaks(void)
{
	struct fixture f;

	fixture_init(&f);
	make_leaks(&f);
	CHECK(&f, .clear_needs_check = true, .skip_mappings = true);
	CU_ASSERT(f.res.cleared);
	CU_ASSERT_EQUAL(f.res.mended, 0);
	CHECK(&f, .size = 0);
	CU_ASSERT_FALSE(f.res.needs_check);
	CU_ASSERT_EQUAL(f.res.counts[PD_SEV_ERROR], NR_LEAKS);
	CHECK(&f, .clear_needs_check = true, .ignore_non_fatal = true);
	CU_ASSERT_EQUAL(f.res.counts[PD_SEV_ERROR], NR_LEAKS);
	CHECK(&f, .clear_needs_check = true);
	CU_ASSERT_EQUAL(f.res.mended, NR_LEAKS);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_INFO);
	fixture_exit(&f);
}

static void test_a_node_in_place_of_a_bitmap_is_fatal(void)
{
	struct fixture f;
	struct metadata_index *ix;
	uint64_t at;

	fixture_init(&f);
	at = le64_get(root_of(&f, true).bitmap_root);
	ix = get(&f, at);
	ix->index[0].blocknr = root_of(&f, false).bitmap_root;
	put_as(&f, at, ix, KIND_INDEX);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_FATAL);
	CU_ASSERT(hears(&f, "metadata space map: metadata blocks [0, 256)"));
	CU_ASSERT(hears(&f, "block-kind"));
	fixture_exit(&f);
}

static void test_a_bitmap_in_place_of_an_overflow_node_is_fatal(void)
{
	struct fixture f;
	struct thin_superblock *sb;
	le64 bitmap;

	fixture_init(&f);
	bitmap = le64_put(bitmap_of(&f, false, 0));
	sb = get(&f, 0);
	memcpy(sb->data_space_map_root + offsetof(struct sm_root, ref_count_root), &bitmap, sizeof(bitmap));
	put(&f, 0, sb);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_FATAL);
	CU_ASSERT(hears(&f, "data space map"));
	fixture_exit(&f);
}

static void test_free_counts_are_mended_by_auto_repair_alone(void)
{
	struct fixture f;
	struct metadata_index *ix;
	uint64_t at;
	void *before, *after;

	fixture_init(&f);
	at = le64_get(root_of(&f, true).bitmap_root);
	ix = get(&f, at);
	ix->index[0].nr_free = le32_put(3);
	ix->index[0].none_free_before = le32_put(16320);
	put_as(&f, at, ix, KIND_INDEX);
	before = image_of(f.io);
	CHECK(&f, .clear_needs_check = true);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_WARN);
	CU_ASSERT_EQUAL(f.res.counts[PD_SEV_WARN], 2);
	after = image_of(f.io);
	CU_ASSERT_EQUAL(memcmp(before, after, NR_BLOCKS * PD_BLOCK_SIZE), 0);
	CHECK(&f, .auto_repair = true);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_INFO);
	free(before);
	free(after);
	fixture_exit(&f);
}

static void test_very_many_leaks_are_counted_and_mended(void)
{
	struct fixture f;

	fixture_init(&f);
	for (unsigned i = 0; i < 9000; i++)
		set_count(&f, false, NR_DATA - 1 - 2 * i, 1 + i % 2);
	set_count(&f, false, 20599, 0);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_FATAL);
	CU_ASSERT(hears(&f, "data blocks [20599, 20600): counts are lower"));
	CU_ASSERT(hears(&f, "more: "));
	set_count(&f, false, 20599, 1);
	CHECK(&f, .auto_repair = true);
	CU_ASSERT_EQUAL(f.res.counts[PD_SEV_ERROR], 0);
	CU_ASSERT(f.res.mended > 8000);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_INFO);
	fixture_exit(&f);
}

static void test_any_number_of_threads_says_the_same(void)
{
	static char one[65536];
	struct fixture f;

	fixture_init(&f);
	make_leaks(&f);
	set_count(&f, false, 20005, 0);
	CHECK(&f, .size = 0);
	memcpy(one, f.said, sizeof(one));
	for (f.nr_threads = 2; f.nr_threads <= 8; f.nr_threads += 3) {
		CHECK(&f, .size = 0);
		CU_ASSERT_STRING_EQUAL(f.said, one);
	}
	fixture_exit(&f);
}

/* ---- a disk that remembers what was written to it, and when ---- */

#define MAX_WRITES 256u

struct witness {
	struct pd_io io;
	struct pd_io *inner;
	struct {
		uint64_t block;		/* UINT64_MAX: a flush */
		uint8_t *data;
	} log[MAX_WRITES];
	unsigned nr;
};

static int witness_submit(struct pd_io *io, struct pd_io_req **reqs, unsigned nr)
{
	struct witness *w = container_of(io, struct witness, io);

	for (unsigned i = 0; i < nr; i++)
		for (uint32_t b = 0; reqs[i]->write && b < reqs[i]->nr; b++) {
			CU_ASSERT_FATAL(w->nr < MAX_WRITES);
			w->log[w->nr].block = reqs[i]->block + b;
			w->log[w->nr].data = malloc(PD_BLOCK_SIZE);
			memcpy(w->log[w->nr++].data, (uint8_t *)reqs[i]->buf + b * PD_BLOCK_SIZE,
			       PD_BLOCK_SIZE);
		}
	return pd_io_submit(w->inner, reqs, nr);
}

static int witness_reap(struct pd_io *io, struct pd_io_req **done, unsigned max, bool wait)
{
	return pd_io_reap(container_of(io, struct witness, io)->inner, done, max, wait);
}

static int witness_flush(struct pd_io *io)
{
	struct witness *w = container_of(io, struct witness, io);

	w->log[w->nr++].block = UINT64_MAX;
	return 0;
}

static const struct pd_io_ops witness_ops = {
	.submit = witness_submit, .reap = witness_reap, .flush = witness_flush,
};

/* The disk after a power cut behind the @nr-th write: of those since the last flush some are lost. */
static struct pd_io *cut(const void *before, const struct witness *w, unsigned nr, unsigned seed)
{
	struct pd_io *disk;
	unsigned flushed = 0;

	CU_ASSERT_EQUAL_FATAL(pd_io_open_ram(&disk, NR_BLOCKS), 0);
	CU_ASSERT_EQUAL_FATAL(pd_io_write(disk, 0, NR_BLOCKS, before), 0);
	for (unsigned i = 0; i < nr; i++)
		if (w->log[i].block == UINT64_MAX)
			flushed = i;
	for (unsigned i = 0; i < nr; i++) {
		void *copy;

		seed = seed * 1103515245u + 12345u;
		if (w->log[i].block == UINT64_MAX || (i > flushed && seed >> 16 & 1))
			continue;
		copy = pd_io_buffer(1);
		memcpy(copy, w->log[i].data, PD_BLOCK_SIZE);
		CU_ASSERT_EQUAL_FATAL(pd_io_write(disk, w->log[i].block, 1, copy), 0);
		free(copy);
	}
	return disk;
}

static void test_a_power_cut_while_mending_leaves_old_or_new(void)
{
	struct fixture f;
	struct witness w = { .io = { .ops = &witness_ops, .nr_blocks = NR_BLOCKS, .depth = 1 } };
	unsigned olds = 0, news = 0;
	void *before;

	fixture_init(&f);
	make_leaks(&f);
	before = image_of(f.io);
	w.inner = f.io;
	CU_ASSERT_EQUAL(check_io(&f, &w.io, (struct pd_thin_check_opts){ .auto_repair = true }), 0);
	CU_ASSERT_EQUAL(f.res.mended, NR_LEAKS);
	CU_ASSERT(w.nr > 6);
	for (unsigned nr = 0; nr <= w.nr; nr++)
		for (unsigned seed = 1; seed <= 8; seed++) {
			struct pd_io *disk = cut(before, &w, nr, seed);

			CU_ASSERT_EQUAL(check_io(&f, disk, (struct pd_thin_check_opts){ .size = 0 }), 0);
			if (f.res.needs_check && f.res.counts[PD_SEV_ERROR] == NR_LEAKS &&
			    f.res.worst == PD_SEV_ERROR)
				olds++;
			else if (!f.res.needs_check && f.res.worst == PD_SEV_INFO)
				news++;
			else
				CU_FAIL("neither the old state nor the new one");
			pd_io_close(disk);
		}
	CU_ASSERT(olds && news);
	for (unsigned i = 0; i < w.nr; i++)
		free(w.log[i].data);
	free(before);
	fixture_exit(&f);
}

/* Every other block is taken, so the old blocks of the maps are all there is. */
static void test_a_full_metadata_device_is_mended_in_place(void)
{
	struct fixture f;
	uint64_t nr;

	fixture_init(&f);
	nr = le64_get(root_of(&f, true).nr_allocated);
	CU_ASSERT(nr < NR_BLOCKS);
	for (uint64_t b = nr; b < NR_BLOCKS; b++)
		set_count(&f, true, b, 1);
	CHECK(&f, .auto_repair = true);
	CU_ASSERT_EQUAL(f.res.mended, NR_BLOCKS - nr);
	CHECK(&f, .size = 0);
	CU_ASSERT_EQUAL(f.res.worst, PD_SEV_INFO);
	fixture_exit(&f);
}

UNIT_SUITE(thin_check,
	UNIT(test_healthy_pool_is_clean_and_stays_as_it_is),
	UNIT(test_lost_leaf_names_device_range_and_block),
	UNIT(test_shared_damage_is_told_for_each_device),
	UNIT(test_node_below_itself_is_a_cycle),
	UNIT(test_mapping_beyond_the_data_device_is_fatal),
	UNIT(test_mapping_from_the_future_is_a_warning),
	UNIT(test_count_too_low_is_fatal_and_never_mended),
	UNIT(test_leaks_are_errors_that_can_be_mended),
	UNIT(test_clearing_without_looking_leaves_leaks),
	UNIT(test_a_node_in_place_of_a_bitmap_is_fatal),
	UNIT(test_a_bitmap_in_place_of_an_overflow_node_is_fatal),
	UNIT(test_free_counts_are_mended_by_auto_repair_alone),
	UNIT(test_very_many_leaks_are_counted_and_mended),
	UNIT(test_any_number_of_threads_says_the_same),
	UNIT(test_a_power_cut_while_mending_leaves_old_or_new),
	UNIT(test_a_full_metadata_device_is_mended_in_place));
