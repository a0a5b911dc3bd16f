/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "base/util.h"
#include "persistent-data/metadata.h"

static bool usable(const struct metadata *m, const void *block, uint32_t version)
{
	const struct sb_header *h = block;

	return block_kind(block) == m->kind && sb_magic(block) == block_kind_magic(m->kind) &&
		le64_get(h->blocknr) == SB_LOCATION && le32_get(h->version) && le32_get(h->version) <= version;
}

const char *superblock_hint(struct pd_io *io, uint64_t block)
{
	static const char *const other[NR_BLOCK_KINDS] = {
		[KIND_THIN_SB] = ": this is a thin pool's, see thin_check",
		[KIND_CACHE_SB] = ": this is a cache's, see cache_check",
		[KIND_ERA_SB] = ": this is an era device's, see era_check",
		[KIND_CLONE_SB] = ": this is a clone's, see clone_check",
	};
	void *buf = pd_io_buffer(1);
	const char *hint = NULL;

	if (buf && !pd_io_read(io, block, 1, buf))
		hint = all_zero(buf, PD_BLOCK_SIZE) ? ": it is empty; was this ever formatted?" :
						      other[block_kind(buf)];
	free(buf);
	return hint ? hint : "";
}

int metadata_open(struct metadata *m, struct pd_io *io, uint32_t cache_blocks, uint32_t version, const char *check,
		  struct pd_log *log)
{
	void *buf = pd_io_buffer(1);
	struct sm_root root;
	int r;

	if (!buf)
		return -ENOMEM;
	r = pd_io_nr_blocks(io) ? pd_io_read(io, SB_LOCATION, 1, buf) : -EIO;
	if (r) {
		pd_log(log, PD_LOG_ERR, "%s: cannot read the superblock", pd_io_name(io));
	} else if (!usable(m, buf, version)) {
		pd_log(log, PD_LOG_ERR, "%s: this is no %s this library knows; %s says more", pd_io_name(io),
		       block_kind_name(m->kind), check);
		r = -EUCLEAN;
	}
	if (!r) {
		memcpy(m->sb, buf, m->len);
		root = sm_root_get((const uint8_t *)m->sb + m->sm_root);
		r = tm_open(&m->tm, io, cache_blocks, &root, log);
	}
	free(buf);
	return r;
}

int metadata_create(struct metadata *m, struct pd_io *io, struct pd_log *log)
{
	uint8_t *zero = pd_io_buffer(1);
	int r = zero ? tm_create(&m->tm, io, 1024, log) : -ENOMEM;

	/* what was there is no metadata from here on; magic without checksum: not empty either */
	if (!r) {
		memset(zero, 0, PD_BLOCK_SIZE);
		((struct sb_header *)zero)->magic = le64_put(block_kind_magic(m->kind));
		r = pd_io_write(io, SB_LOCATION, 1, zero);
	}
	if (!r)
		r = pd_io_flush(io);
	free(zero);
	memset(m->sb, 0, m->len);
	((struct sb_header *)m->sb)->magic = le64_put(block_kind_magic(m->kind));
	return r;
}

void metadata_close(struct metadata *m)
{
	tm_destroy(m->tm);
	m->tm = NULL;
}

int metadata_commit(struct metadata *m)
{
	struct sm_root root;
	struct pd_block *b;
	int r = tm_pre_commit(m->tm, &root);

	/* all of block 0 is written: what the superblock does not say is zero */
	if (!r)
		r = bm_write_lock_new(tm_bm(m->tm), SB_LOCATION, m->kind, true, &b);
	if (r)
		return r;
	memcpy((uint8_t *)m->sb + m->sm_root, &root, sizeof(root));
	memcpy(b->data, m->sb, m->len);
	return tm_commit(m->tm, &b);
}

int metadata_abort(struct metadata *m)
{
	struct pd_block *b;
	int r = tm_abort(m->tm);

	if (!r)
		r = bm_read_lock(tm_bm(m->tm), SB_LOCATION, m->kind, &b);
	if (r)
		return r;
	memcpy(m->sb, b->data, m->len);
	bm_unlock(b);
	return 0;
}
