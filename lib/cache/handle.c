/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's dm-cache-metadata, for caches that are not active. Format: cache 1 to 6. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cache/superblock.h"
#include "persistent-data/bitset.h"
#include "persistent-data/metadata.h"
#include <pdata/cache-metadata.h>

#define MAX_OBLOCK (1ull << 48)

struct pd_cache {
	struct metadata m;
	struct cache_superblock sb;
	struct array mappings, hints;
	uint64_t mapping_root, hint_root;
	struct bitset dirty, discards;		/* dirty: version 2 */
};

static struct pd_cache *new_cache(void)
{
	struct pd_cache *c = calloc(1, sizeof(*c));

	if (c)
		c->m = (struct metadata){
			.kind = KIND_CACHE_SB, .len = sizeof(c->sb), .sb = &c->sb,
			.sm_root = offsetof(struct cache_superblock, metadata_space_map_root),
		};
	return c;
}

static bool has_bitset(const struct pd_cache *c)
{
	return le32_get(c->sb.version) >= 2;
}

static void describe(struct pd_cache *c)
{
	c->mappings = (struct array){ .tm = c->m.tm, .value = { .size = sizeof(le64) } };
	c->hints = (struct array){ .tm = c->m.tm, .value = { .size = sizeof(le32) } };
}

static int all_dirty(struct pd_cache *c)
{
	struct pd_cache_mapping m;
	int r = 0;

	for (uint32_t b = 0; !r && b < le32_get(c->sb.cache_blocks); b = m.cblock + 1) {
		r = pd_cache_next_mapping(c, b, &m);
		if (!r)
			r = pd_cache_set_dirty(c, m.cblock, true);
	}
	return r == -ENODATA ? 0 : r;
}

static int drop_hints(struct pd_cache *c)
{
	int r = c->hint_root ? array_del(&c->hints, c->hint_root) : 0;

	c->hint_root = 0;
	c->sb.policy_hint_size = le32_put(0);
	return r;
}

static int drop_discards(struct pd_cache *c)
{
	uint64_t nr = c->discards.nr_bits;
	int r = bitset_resize(&c->discards, 0, false);

	return r ? r : bitset_resize(&c->discards, nr, false);
}

static int use_superblock(struct pd_cache *c)
{
	int r;

	c->mapping_root = le64_get(c->sb.mapping_root);
	c->hint_root = le64_get(c->sb.hint_root);
	bitset_open(&c->dirty, c->m.tm, le64_get(c->sb.dirty_root), le32_get(c->sb.cache_blocks));
	bitset_open(&c->discards, c->m.tm, le64_get(c->sb.discard_root), le64_get(c->sb.discard_nr_blocks));
	if (cache_is_clean(&c->sb))
		return 0;
	/* what the kernel makes of it, too: format 6 */
	r = all_dirty(c);
	if (!r)
		r = drop_hints(c);
	return r ? r : drop_discards(c);
}

int pd_cache_create(struct pd_io *io, uint32_t block_size, uint32_t nr_cache_blocks, uint32_t version,
		    struct pd_log *log)
{
	struct pd_cache *c;
	int r;

	if (block_size < CACHE_MIN_BLOCK_SIZE || block_size > CACHE_MAX_BLOCK_SIZE ||
	    block_size % CACHE_MIN_BLOCK_SIZE || (version != 1 && version != 2))
		return -EINVAL;
	c = new_cache();
	r = c ? metadata_create(&c->m, io, log) : -ENOMEM;
	if (!r) {
		describe(c);
		c->sb.version = le32_put(version);
		c->sb.data_block_size = le32_put(block_size);
		c->sb.metadata_block_size = le32_put(PD_BLOCK_SIZE / 512);
		r = array_empty(&c->mappings, &c->mapping_root);
	}
	if (!r && version >= 2)
		r = bitset_create(&c->dirty, c->m.tm, 0, false);
	if (!r)
		r = bitset_create(&c->discards, c->m.tm, 0, false);
	if (!r)
		r = pd_cache_resize(c, nr_cache_blocks);
	if (!r)
		r = pd_cache_commit(c);
	pd_cache_close(c);
	return r;
}

int pd_cache_open(struct pd_cache **cache, struct pd_io *io, uint32_t memory_blocks, struct pd_log *log)
{
	struct pd_cache *c = new_cache();
	int r = c ? metadata_open(&c->m, io, memory_blocks, 2, "cache_check", log) : -ENOMEM;

	if (!r && le32_get(c->sb.flags) & CACHE_NEEDS_CHECK) {
		pd_log(log, PD_LOG_ERR, "%s: needs_check is set: run cache_check --clear-needs-check-flag first",
		       pd_io_name(io));
		r = -EUCLEAN;
	}
	if (!r && (le32_get(c->sb.incompat_flags) || le32_get(c->sb.compat_ro_flags))) {
		pd_log(log, PD_LOG_ERR, "%s: the cache has features this library does not know", pd_io_name(io));
		r = -EUCLEAN;
	}
	if (!r) {
		describe(c);
		r = use_superblock(c);
	}
	if (r) {
		pd_cache_close(c);
		return r;
	}
	*cache = c;
	return 0;
}

void pd_cache_close(struct pd_cache *c)
{
	if (!c)
		return;
	metadata_close(&c->m);
	free(c);
}

int pd_cache_commit(struct pd_cache *c)
{
	int r = has_bitset(c) ? bitset_flush(&c->dirty) : 0;

	if (!r)
		r = bitset_flush(&c->discards);
	if (r)
		return r;
	c->sb.flags = le32_put(CACHE_CLEAN_SHUTDOWN);
	c->sb.mapping_root = le64_put(c->mapping_root);
	c->sb.hint_root = le64_put(c->hint_root);
	c->sb.discard_root = le64_put(c->discards.root);
	c->sb.discard_nr_blocks = le64_put(c->discards.nr_bits);
	if (has_bitset(c))
		c->sb.dirty_root = le64_put(c->dirty.root);
	return metadata_commit(&c->m);
}

int pd_cache_abort(struct pd_cache *c)
{
	int r = metadata_abort(&c->m);

	return r ? r : use_superblock(c);
}

void pd_cache_get_info(const struct pd_cache *c, struct pd_cache_info *info)
{
	*info = (struct pd_cache_info){
		.version = le32_get(c->sb.version),
		.block_size = le32_get(c->sb.data_block_size),
		.nr_cache_blocks = le32_get(c->sb.cache_blocks),
		.hint_size = c->hint_root ? le32_get(c->sb.policy_hint_size) : 0,
		.discard_block_size = le64_get(c->sb.discard_block_size),
		.nr_discard_blocks = c->discards.nr_bits,
		.nr_metadata_blocks = tm_nr_blocks(c->m.tm),
		.nr_free_metadata_blocks = tm_nr_free(c->m.tm),
	};
	memcpy(info->policy, c->sb.policy_name, sizeof(info->policy) - 1);
	for (unsigned i = 0; i < 3; i++)
		info->policy_version[i] = le32_get(c->sb.policy_version[i]);
}

/* ---- Mappings ---- */

static int get(struct pd_cache *c, uint32_t cblock, uint64_t *value)
{
	le64 v;
	int r = cblock < le32_get(c->sb.cache_blocks) ? array_get(&c->mappings, c->mapping_root, cblock, &v) :
		-ENODATA;

	if (!r)
		*value = le64_get(v);
	return r ? r : *value & CACHE_VALID ? 0 : -ENODATA;
}

static int put(struct pd_cache *c, uint32_t cblock, uint64_t value)
{
	le64 v = le64_put(value);

	return array_set(&c->mappings, &c->mapping_root, cblock, &v);
}

int pd_cache_lookup(struct pd_cache *c, uint32_t cblock, struct pd_cache_mapping *m)
{
	uint64_t value;
	int r = get(c, cblock, &value);

	if (r)
		return r;
	*m = (struct pd_cache_mapping){
		.cblock = cblock, .oblock = mapping_oblock(value),
		.dirty = mapping_flags(value) & CACHE_DIRTY,
	};
	return has_bitset(c) ? bitset_test(&c->dirty, cblock, &m->dirty) : 0;
}

int pd_cache_next_mapping(struct pd_cache *c, uint32_t cblock, struct pd_cache_mapping *m)
{
	int r = -ENODATA;

	for (uint64_t b = cblock; r == -ENODATA && b < le32_get(c->sb.cache_blocks); b++)
		r = pd_cache_lookup(c, (uint32_t)b, m);
	return r;
}

static int set_dirty(struct pd_cache *c, uint32_t cblock, uint64_t value, bool dirty)
{
	uint64_t with = dirty ? value | CACHE_DIRTY : value & ~(uint64_t)CACHE_DIRTY;

	if (has_bitset(c))
		return dirty ? bitset_set(&c->dirty, cblock) : bitset_clear(&c->dirty, cblock);
	return with == value ? 0 : put(c, cblock, with);
}

int pd_cache_insert(struct pd_cache *c, uint32_t cblock, uint64_t oblock, bool dirty)
{
	uint64_t value;
	int r = get(c, cblock, &value);

	if (!r)
		return -EEXIST;
	if (r != -ENODATA)
		return r;
	if (cblock >= le32_get(c->sb.cache_blocks) || oblock >= MAX_OBLOCK)
		return -EINVAL;
	value = oblock << 16 | CACHE_VALID;
	r = put(c, cblock, value);
	return r ? r : set_dirty(c, cblock, value, dirty);
}

int pd_cache_remove(struct pd_cache *c, uint32_t cblock)
{
	uint64_t value;
	int r = get(c, cblock, &value);

	if (!r && has_bitset(c))
		r = bitset_clear(&c->dirty, cblock);
	return r ? r : put(c, cblock, 0);
}

int pd_cache_set_dirty(struct pd_cache *c, uint32_t cblock, bool dirty)
{
	uint64_t value;
	int r = get(c, cblock, &value);

	return r ? r : set_dirty(c, cblock, value, dirty);
}

int pd_cache_resize(struct pd_cache *c, uint32_t nr)
{
	static const le64 unused;
	static const le32 no_hint;
	uint32_t old = le32_get(c->sb.cache_blocks);
	struct pd_cache_mapping m;
	int r = pd_cache_next_mapping(c, nr, &m);

	if (r != -ENODATA)
		return r ? r : -EBUSY;
	r = array_resize(&c->mappings, &c->mapping_root, old, nr, &unused);
	if (!r && has_bitset(c))
		r = bitset_resize(&c->dirty, nr, false);
	if (!r && c->hint_root)
		r = array_resize(&c->hints, &c->hint_root, old, nr, &no_hint);
	if (!r)
		c->sb.cache_blocks = le32_put(nr);
	return r;
}

/* ---- Hints and discards ---- */

int pd_cache_set_policy(struct pd_cache *c, const char *name, const uint32_t version[3], uint32_t hint_size)
{
	static const le32 no_hint;
	int r;

	if (strlen(name) >= CACHE_POLICY_NAME_SIZE || (hint_size && hint_size != sizeof(le32)))
		return -EINVAL;
	r = drop_hints(c);
	if (!r && hint_size)
		r = array_empty(&c->hints, &c->hint_root);
	if (!r && hint_size)
		r = array_resize(&c->hints, &c->hint_root, 0, le32_get(c->sb.cache_blocks), &no_hint);
	if (r)
		return r;
	memset(c->sb.policy_name, 0, sizeof(c->sb.policy_name));
	memcpy(c->sb.policy_name, name, strlen(name));
	for (unsigned i = 0; i < 3; i++)
		c->sb.policy_version[i] = le32_put(version[i]);
	c->sb.policy_hint_size = le32_put(hint_size);
	return 0;
}

int pd_cache_get_hint(struct pd_cache *c, uint32_t cblock, uint32_t *hint)
{
	le32 v;
	int r = c->hint_root && cblock < le32_get(c->sb.cache_blocks) ?
		array_get(&c->hints, c->hint_root, cblock, &v) : -ENODATA;

	if (!r)
		*hint = le32_get(v);
	return r;
}

int pd_cache_set_hint(struct pd_cache *c, uint32_t cblock, uint32_t hint)
{
	le32 v = le32_put(hint);

	return c->hint_root && cblock < le32_get(c->sb.cache_blocks) ?
		array_set(&c->hints, &c->hint_root, cblock, &v) : -ENODATA;
}

int pd_cache_resize_discards(struct pd_cache *c, uint64_t block_size, uint64_t nr)
{
	int r = block_size == le64_get(c->sb.discard_block_size) ? 0 : bitset_resize(&c->discards, 0, false);

	if (!r)
		r = bitset_resize(&c->discards, nr, false);
	if (!r)
		c->sb.discard_block_size = le64_put(block_size);
	return r;
}

int pd_cache_is_discarded(struct pd_cache *c, uint64_t dblock, bool *discarded)
{
	return bitset_test(&c->discards, dblock, discarded);
}

int pd_cache_set_discarded(struct pd_cache *c, uint64_t dblock, bool discarded)
{
	return discarded ? bitset_set(&c->discards, dblock) : bitset_clear(&c->discards, dblock);
}
