/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/fields.h>
#include "fuzz/mutations.h"
#include "io/engines.h"

static uint64_t state;

void fuzz_seed(uint64_t seed)
{
	state = seed;
}

uint64_t fuzz_rnd(uint64_t below)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % below;
}

/* ---- Images ---- */

static struct pd_io *from_file(const char *name)
{
	struct pd_io *file, *io = NULL;

	if (pd_io_open(&file, name, 0, NULL, NULL))
		return NULL;
	if (io_ram_copy(&io, file))
		abort();
	pd_io_close(file);
	return io;
}

/* Is the count of @block above 0? Yes if the counts cannot be read. */
static bool in_use(const struct fuzz_image *im, uint64_t index, uint64_t block, uint8_t *buf)
{
	const struct metadata_index *mi = (const void *)buf;
	uint64_t at;

	if (!index || pd_io_read(im->io, index, 1, buf) || block_kind(buf) != KIND_INDEX)
		return true;
	at = le64_get(mi->index[block / ENTRIES_PER_BITMAP % MAX_METADATA_BITMAPS].blocknr);
	if (pd_io_read(im->io, at, 1, buf) || block_kind(buf) != KIND_BITMAP)
		return true;
	return bitmap_get(buf, (uint32_t)(block % ENTRIES_PER_BITMAP));
}

bool fuzz_image_load(struct fuzz_image *im, const char *name)
{
	uint8_t *buf = pd_io_buffer(1), *aside = pd_io_buffer(1);
	uint64_t index = 0, nr = 0;

	*im = (struct fuzz_image){ .name = name, .type = &fuzz_types[0] };
	im->io = fuzz_generate(name);
	if (!im->io)
		im->io = from_file(name);
	if (!im->io || !buf || !aside)
		abort();
	im->nr_blocks = pd_io_nr_blocks(im->io);
	if (pd_io_read(im->io, 0, 1, buf))
		abort();
	for (unsigned i = 0; i < FUZZ_NR_TYPES; i++)	/* a lost superblock is a pool's */
		if (block_kind(buf) == fuzz_types[i].sb) {
			im->type = &fuzz_types[i];
			index = le64_get(sm_root_get(buf + im->type->sm_root_at).bitmap_root);
		}
	for (uint64_t b = 0; b < im->nr_blocks; b++) {
		enum block_kind kind;

		if (pd_io_read(im->io, b, 1, buf))
			abort();
		kind = block_kind(buf);
		if (kind == KIND_NONE || !in_use(im, index, b, aside))
			continue;
		if (!im->blocks[kind])
			im->blocks[kind] = calloc(im->nr_blocks, sizeof(**im->blocks));
		im->blocks[kind][im->nr[kind]++] = b;
		nr++;
	}
	free(buf);
	free(aside);
	return nr;
}

void fuzz_image_free(struct fuzz_image *im)
{
	for (unsigned k = 0; k < NR_BLOCK_KINDS; k++)
		free(im->blocks[k]);
	pd_io_close(im->io);
}

struct pd_io *fuzz_copy(struct pd_io *io)
{
	struct pd_io *copy;

	if (io_ram_copy(&copy, io))
		abort();
	return copy;
}

/* ---- Mutations ---- */

/* A block in use. Kinds of which there are few (a superblock, an index) come as often as leaves do. */
static uint64_t any_block(const struct fuzz_image *im)
{
	for (;;) {
		enum block_kind kind = fuzz_rnd(3) ? (enum block_kind)fuzz_rnd(NR_BLOCK_KINDS) :
						     fuzz_rnd(2) ? KIND_NODE : KIND_ARRAY;

		if (im->nr[kind])
			return im->blocks[kind][fuzz_rnd(im->nr[kind])];
	}
}

static uint64_t odd_value(const struct fuzz_image *im, uint64_t own)
{
	static const uint64_t odd[] = {
		0, 1, 2, 3, 4, 127, 252, 253, 255, 16320, 16321, 32576, 65535, 1ull << 24, INT32_MAX, 1ull << 31,
		UINT32_MAX, 1ull << 32, 1ull << 40, 1ull << 48, INT64_MAX, 1ull << 63, UINT64_MAX - 1, UINT64_MAX,
	};

	switch (fuzz_rnd(6)) {
	case 0:
	case 1: return odd[fuzz_rnd(ARRAY_SIZE(odd))];
	case 2: return im->nr_blocks - 2 + fuzz_rnd(4);
	case 3: return own;
	default: return any_block(im);
	}
}

/* Puts the low bytes of @v at @at. */
static void put(uint8_t *buf, size_t at, size_t len, uint64_t v)
{
	for (size_t i = 0; i < len && at + i < PD_BLOCK_SIZE; i++)
		buf[at + i] = (uint8_t)(v >> 8 * i);
}

struct pick {
	unsigned nr, want;
	char name[64];
};

static int pick_field(void *ctx, const char *name, const char *value)
{
	struct pick *p = ctx;

	(void)value;
	if (p->nr++ != p->want)
		return 0;
	snprintf(p->name, sizeof(p->name), "%s", name);
	return 1;
}

static void set(uint8_t *buf, const char *kind, const char *name, uint64_t v)
{
	char text[32];

	for (unsigned bits = 64; bits; bits -= 8) {	/* narrower until it fits */
		snprintf(text, sizeof(text), "%" PRIu64, v & (UINT64_MAX >> (64 - bits)));
		if (!pd_field_set(buf, kind, name, text))
			return;
	}
}

/* One field of the block, by its name, becomes @v, or one more or less than it was. */
static void set_a_field(uint8_t *buf, enum block_kind kind, const char *name, uint64_t v)
{
	static const char *const header[] = { "flags", "blocknr", "nr_entries", "max_entries", "value_size", "padding" };
	struct node_header *n = (void *)buf;
	uint32_t nr = max_t(uint32_t, le32_get(n->nr_entries), 1), i = (uint32_t)fuzz_rnd(nr);
	struct pick p = { 0 };

	switch (kind) {
	case KIND_NODE:
		if (fuzz_rnd(3) == 0)
			set(buf, name, header[fuzz_rnd(ARRAY_SIZE(header))], v);
		else if (fuzz_rnd(3) == 0)
			put(buf, 32 + 8 * (size_t)i, 8, v);
		else if (!node_check(buf, 0)) {
			uint32_t size = le32_get(n->value_size);
			uint32_t at = 4 * (uint32_t)fuzz_rnd(ceil_div(size, 4));

			if (size == 8 && fuzz_rnd(2))	/* a mapping's block, not its time */
				v = mapping_pack(v, mapping_time(node_value64(n, i)));
			put((uint8_t *)node_value_ptr(n, i), size == 8 ? 0 : at, min_t(size_t, size - (size == 8 ? 0 : at), 8), v);
		}
		return;
	case KIND_ARRAY:
		if (fuzz_rnd(2))
			set(buf, name, header[1 + fuzz_rnd(4)], v);
		else
			put(buf, 24 + 4 * fuzz_rnd(1018), fuzz_rnd(2) ? 4 : 8, v);
		return;
	case KIND_BITMAP:
		for (unsigned k = 1 + (unsigned)fuzz_rnd(4); k; k--)
			bitmap_put(buf, (uint32_t)fuzz_rnd(fuzz_rnd(2) ? 64 : ENTRIES_PER_BITMAP),
				   (unsigned)fuzz_rnd(4));
		return;
	case KIND_INDEX:
		put(buf, 16 + 4 * fuzz_rnd(fuzz_rnd(4) ? 4 : 1020), fuzz_rnd(2) ? 4 : 8, v);
		return;
	default:
		p.want = 4 + (unsigned)fuzz_rnd(45);
		(void)pd_field_each(buf, name, pick_field, &p);
		if (!p.name[0])
			return;
		if (fuzz_rnd(8))
			set(buf, name, p.name, v);
		else
			(void)pd_field_set(buf, name, p.name, fuzz_rnd(2) ? "+1" : "-1");
	}
}

static void read_block(struct pd_io *io, uint64_t b, uint8_t *buf)
{
	if (b >= pd_io_nr_blocks(io) || pd_io_read(io, b, 1, buf))
		memset(buf, 0, PD_BLOCK_SIZE);
}

static void seal(struct pd_io *io, uint64_t b, uint8_t *buf, enum block_kind kind, bool own_number)
{
	if (kind != KIND_NONE && own_number)
		block_seal(buf, kind, b);
	else if (kind != KIND_NONE)
		block_seal(buf, kind, block_nr(buf, kind));
	if (pd_overlay_put(io, b, buf))
		abort();
}

/* The same block of another image of the type: another version of it, if they were one device once. */
static void other_version(const struct fuzz_image *im, const struct fuzz_image *all, unsigned nr_all,
			  uint64_t b, uint8_t *buf)
{
	const struct fuzz_image *other = &all[fuzz_rnd(nr_all)];

	read_block(other->type == im->type ? other->io : im->io, b, buf);
}

static void mutate(const struct fuzz_image *im, const struct fuzz_image *all, unsigned nr_all,
		   struct pd_io *io, uint8_t *buf, uint8_t *aside)
{
	uint64_t b = any_block(im), c;
	enum block_kind kind;
	const char *name;

	if (b >= io->nr_blocks || pd_io_read(io, b, 1, buf))
		return;
	kind = block_kind(buf);
	name = pd_block_kind_of(buf);
	switch (fuzz_rnd(16)) {
	case 0:
		memset(buf, 0, PD_BLOCK_SIZE);
		kind = KIND_NONE;
		break;
	case 1:		/* with its checksum mended below, as all but a few are */
		buf[fuzz_rnd(PD_BLOCK_SIZE)] ^= (uint8_t)(1 << fuzz_rnd(8));
		break;
	case 2:		/* torn: its first sectors are another version's */
		other_version(im, all, nr_all, b, aside);
		memcpy(buf, aside, 512 * (1 + fuzz_rnd(7)));
		break;
	case 3:
		other_version(im, all, nr_all, b, buf);
		kind = block_kind(buf);
		break;
	case 4:		/* two blocks change places */
		c = any_block(im);
		read_block(io, c, aside);
		if (c < io->nr_blocks)
			seal(io, c, buf, kind, fuzz_rnd(2));
		memcpy(buf, aside, PD_BLOCK_SIZE);
		kind = block_kind(buf);
		break;
	case 5:		/* a second copy of another one */
		read_block(io, any_block(im), buf);
		kind = block_kind(buf);
		break;
	case 6:		/* garbage to the end */
		for (size_t at = fuzz_rnd(PD_BLOCK_SIZE); at < PD_BLOCK_SIZE; at++)
			buf[at] = (uint8_t)fuzz_rnd(256);
		break;
	default:
		for (unsigned i = name ? 1 + (unsigned)fuzz_rnd(2) : 0; i; i--)
			set_a_field(buf, kind, name, odd_value(im, b));
	}
	if (fuzz_rnd(20))	/* its own number too, unless that is what was changed */
		seal(io, b, buf, kind, fuzz_rnd(8));
	else if (pd_overlay_put(io, b, buf))
		abort();
}

struct pd_io *fuzz_mutate(const struct fuzz_image *im, const struct fuzz_image *all, unsigned nr_all)
{
	uint8_t *buf = pd_io_buffer(1), *aside = pd_io_buffer(1);
	struct pd_io *io;

	if (!buf || !aside || pd_io_overlay(&io, im->io))
		abort();
	if (!fuzz_rnd(16))
		io->nr_blocks = 1 + fuzz_rnd(im->nr_blocks);	/* cut short */
	for (uint64_t i = 1 + fuzz_rnd(3); i; i--)
		mutate(im, all, nr_all, io, buf, aside);
	free(buf);
	free(aside);
	return io;
}
