/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "io/engine.h"
#include "persistent-data/block-manager.h"
#include <pdata/err.h>

#define NONE UINT32_MAX
#define STAGE 64u		/* blocks written in one piece */

struct pd_bm {
	struct pd_io *io;
	struct pd_log *log;
	uint32_t nr, hash_mask, hand, nr_held, nr_used;
	struct pd_block *b;
	uint32_t *hash, *order;
	uint8_t *mem, *stage;
	bool doubtful;		/* bm_doubtful() */
};

static uint32_t hash_of(const struct pd_bm *bm, uint64_t nr)
{
	return (uint32_t)(nr * 0x9e3779b97f4a7c15ull >> 32) & bm->hash_mask;
}

int bm_create(struct pd_bm **out, struct pd_io *io, uint32_t cache_blocks, struct pd_log *log)
{
	struct pd_bm *bm = calloc(1, sizeof(*bm));
	uint32_t size = 256;

	if (!bm)
		return -ENOMEM;
	bm->nr = max_t(uint32_t, min_t(uint32_t, cache_blocks, 1u << 22), BM_MIN_CACHE);
	while (size < 2 * bm->nr)
		size *= 2;
	bm->io = io;
	bm->log = log;
	bm->hash_mask = size - 1;
	bm->b = calloc(bm->nr, sizeof(*bm->b));
	bm->hash = malloc(size * sizeof(*bm->hash));
	bm->order = malloc(bm->nr * sizeof(*bm->order));
	bm->mem = pd_io_buffer(bm->nr);
	bm->stage = pd_io_buffer(STAGE);
	if (!bm->b || !bm->hash || !bm->order || !bm->mem || !bm->stage) {
		bm_destroy(bm);
		return -ENOMEM;
	}
	bm_forget_all(bm);
	*out = bm;
	return 0;
}

void bm_destroy(struct pd_bm *bm)
{
	if (!bm)
		return;
	free(bm->b);
	free(bm->hash);
	free(bm->order);
	free(bm->mem);
	free(bm->stage);
	free(bm);
}

uint64_t bm_nr_blocks(const struct pd_bm *bm) { return pd_io_nr_blocks(bm->io); }
struct pd_log *bm_log(struct pd_bm *bm) { return bm->log; }
uint32_t bm_nr_held(const struct pd_bm *bm) { return bm->nr_held; }

void bm_forget_all(struct pd_bm *bm)
{
	memset(bm->hash, 0xff, (bm->hash_mask + 1ull) * sizeof(*bm->hash));
	for (uint32_t i = 0; i < bm->nr; i++)
		bm->b[i] = (struct pd_block){ .bm = bm, .next = NONE,
					      .data = bm->mem + (size_t)i * PD_BLOCK_SIZE };
	bm->hand = bm->nr_held = bm->nr_used = 0;
}

bool bm_doubtful(const struct pd_bm *bm) { return bm->doubtful; }

static struct pd_block *find(struct pd_bm *bm, uint64_t nr)
{
	for (uint32_t i = bm->hash[hash_of(bm, nr)]; i != NONE; i = bm->b[i].next)
		if (bm->b[i].nr == nr)
			return &bm->b[i];
	return NULL;
}

static void unhash(struct pd_bm *bm, struct pd_block *b)
{
	uint32_t me = (uint32_t)(b - bm->b), *at = &bm->hash[hash_of(bm, b->nr)];

	while (*at != me)
		at = &bm->b[*at].next;
	*at = b->next;
	b->valid = b->dirty = false;
}

/* What makes a block unusable as @kind, its checksum and number aside. NULL if nothing does. */
static const char *unsound(const void *data, enum block_kind kind)
{
	const struct array_header *a = data;

	switch (kind) {
	case KIND_THIN_SB: case KIND_CACHE_SB: case KIND_ERA_SB: case KIND_CLONE_SB:
		return sb_magic(data) == block_kind_magic(kind) ? NULL : "wrong magic number";
	case KIND_NODE:
		return node_check(data, 0) == NODE_OK ? NULL : "unsound node";
	case KIND_ARRAY:
		return le32_get(a->value_size) && array_block_check(data, le32_get(a->value_size)) ? NULL :
			"unsound array block";
	default:
		return NULL;
	}
}

/* ---- Writing ---- */

static __thread const struct pd_block *sort_base;	/* qsort hands on no context */

static int by_nr(const void *a, const void *b)
{
	uint64_t x = sort_base[*(const uint32_t *)a].nr, y = sort_base[*(const uint32_t *)b].nr;

	return x < y ? -1 : x > y;
}

static int write_run(struct pd_bm *bm, const uint32_t *order, uint32_t nr)
{
	uint64_t first = bm->b[order[0]].nr;
	const uint8_t *data = bm->b[order[0]].data;
	int r;

	for (uint32_t i = 0; i < nr; i++) {
		struct pd_block *b = &bm->b[order[i]];
		const char *why = unsound(b->data, b->kind);

		/* an error of ours or of a caller's: the disk shall not have it */
		if (why) {
			pd_log(bm->log, PD_LOG_ERR, "metadata block %" PRIu64 ", changed as %s, is not written: %s",
			       b->nr, block_kind_name(b->kind), why);
			return -EUCLEAN;
		}
		block_seal(b->data, b->kind, b->nr);
		if (nr > 1)
			memcpy(bm->stage + (size_t)i * PD_BLOCK_SIZE, b->data, PD_BLOCK_SIZE);
	}
	r = pd_io_write(bm->io, first, nr, nr > 1 ? bm->stage : data);
	if (r) {
		pd_log(bm->log, PD_LOG_ERR, "%s: cannot write metadata blocks %" PRIu64 " to %" PRIu64
		       ": %s", pd_io_name(bm->io), first, first + nr - 1, pd_strerror(r));
		return r;
	}
	for (uint32_t i = 0; i < nr; i++)
		bm->b[order[i]].dirty = false;
	return 0;
}

/* Every changed block that nobody holds, but the superblock. */
static int write_back(struct pd_bm *bm)
{
	uint32_t n = 0, run;
	int r;

	for (uint32_t i = 0; i < bm->nr_used; i++)
		if (bm->b[i].dirty && !bm->b[i].held && bm->b[i].nr != SB_LOCATION)
			bm->order[n++] = i;
	sort_base = bm->b;
	qsort(bm->order, n, sizeof(*bm->order), by_nr);
	for (uint32_t i = 0; i < n; i += run) {
		run = 1;
		while (i + run < n && run < STAGE &&
		       bm->b[bm->order[i + run]].nr == bm->b[bm->order[i]].nr + run)
			run++;
		r = write_run(bm, bm->order + i, run);
		if (r)
			return r;
	}
	return 0;
}

static int flush_io(struct pd_bm *bm)
{
	int r = pd_io_flush(bm->io);

	if (r)
		pd_log(bm->log, PD_LOG_ERR, "%s: cannot flush: %s", pd_io_name(bm->io),
		       pd_strerror(r));
	return r;
}

int bm_flush(struct pd_bm *bm)
{
	int r = write_back(bm);

	return r ? r : flush_io(bm);
}

/* Is a changed block still locked, other than @sb? It would be missing in what is committed. */
static bool still_changing(const struct pd_bm *bm, const struct pd_block *sb)
{
	for (uint32_t i = 0; i < bm->nr_used; i++)
		if (bm->b[i].held < 0 && &bm->b[i] != sb)
			return true;
	return false;
}

int bm_commit(struct pd_bm *bm, struct pd_block **sb)
{
	struct pd_block *b = *sb;
	uint32_t me = (uint32_t)(b - bm->b);
	const char *why = unsound(b->data, b->kind);
	int r = 0;

	*sb = NULL;
	if (b->nr != SB_LOCATION || b->held >= 0 || why || still_changing(bm, b)) {
		pd_log(bm->log, PD_LOG_ERR, "%s: no commit: %s", pd_io_name(bm->io), why ? why :
		       still_changing(bm, b) ? "a block is still locked for writing" :
		       "the block given is no write-locked superblock");
		r = -EINVAL;
	}
	if (!r)
		r = bm_flush(bm);
	bm_unlock(b);
	if (!r) {
		bm->doubtful = true;
		r = write_run(bm, &me, 1);
		if (!r)
			r = flush_io(bm);
		bm->doubtful = r != 0;
	}
	/* after a failure it must not be found in the cache as if it were on the disk */
	if (r)
		bm_forget(bm, b->nr);
	return r;
}

/* ---- Locks ---- */

/* A buffer that is free: never used, or one that nobody wanted for a whole round. */
static int get_buffer(struct pd_bm *bm, struct pd_block **out)
{
	bool written = false;

	if (bm->nr_used < bm->nr) {
		*out = &bm->b[bm->nr_used++];
		return 0;
	}
	for (uint64_t steps = 0; steps < 4ull * bm->nr; steps++) {
		struct pd_block *b = &bm->b[bm->hand];
		int r;

		bm->hand = bm->hand + 1 == bm->nr ? 0 : bm->hand + 1;
		if (b->held)
			continue;
		if (b->valid && b->used) {
			b->used = false;
			continue;
		}
		if (b->valid && b->dirty) {
			if (b->nr == SB_LOCATION)
				continue;	/* goes out with bm_commit() alone */
			r = written ? -EIO : write_back(bm);
			if (r)
				return r;
			written = true;
		}
		if (b->valid)
			unhash(bm, b);
		*out = b;
		return 0;
	}
	pd_log(bm->log, PD_LOG_ERR, "all %" PRIu32 " blocks of the cache are locked", bm->nr);
	return -ENOBUFS;
}

static void enter(struct pd_bm *bm, struct pd_block *b, uint64_t nr, enum block_kind kind)
{
	uint32_t *head = &bm->hash[hash_of(bm, nr)];

	b->nr = nr;
	b->kind = kind;
	b->valid = true;
	b->dirty = false;
	b->next = *head;
	*head = (uint32_t)(b - bm->b);
}

static int lock(struct pd_bm *bm, uint64_t nr, enum block_kind kind, bool write, struct pd_block **out)
{
	struct pd_block *b = find(bm, nr);
	const char *why;
	int r;

	if (!b) {
		if (nr >= pd_io_nr_blocks(bm->io)) {
			pd_log(bm->log, PD_LOG_ERR, "metadata block %" PRIu64 " is past the end of %s",
			       nr, pd_io_name(bm->io));
			return -EUCLEAN;
		}
		r = get_buffer(bm, &b);
		if (r)
			return r;
		r = pd_io_read(bm->io, nr, 1, b->data);
		if (r) {
			pd_log(bm->log, PD_LOG_ERR, "%s: cannot read metadata block %" PRIu64 ": %s",
			       pd_io_name(bm->io), nr, pd_strerror(r));
			return r;
		}
		why = block_kind(b->data) != kind ? "bad checksum" :
			block_nr(b->data, kind) != nr ? "it belongs elsewhere" : unsound(b->data, kind);
		if (why) {
			pd_log(bm->log, PD_LOG_ERR, "%s: metadata block %" PRIu64 " is no %s: %s",
			       pd_io_name(bm->io), nr, block_kind_name(kind), why);
			return -EUCLEAN;
		}
		enter(bm, b, nr, kind);
	} else if (b->kind != kind) {
		pd_log(bm->log, PD_LOG_ERR, "metadata block %" PRIu64 " is used as %s and as %s", nr,
		       block_kind_name(b->kind), block_kind_name(kind));
		return -EUCLEAN;
	}
	if (write ? b->held : b->held < 0)
		return -EDEADLK;
	b->held = write ? -1 : b->held + 1;
	b->dirty |= write;
	b->used = true;
	bm->nr_held++;
	*out = b;
	return 0;
}

int bm_read_lock(struct pd_bm *bm, uint64_t nr, enum block_kind kind, struct pd_block **b)
{
	return lock(bm, nr, kind, false, b);
}

int bm_write_lock(struct pd_bm *bm, uint64_t nr, enum block_kind kind, struct pd_block **b)
{
	return lock(bm, nr, kind, true, b);
}

int bm_write_lock_new(struct pd_bm *bm, uint64_t nr, enum block_kind kind, bool zero,
		      struct pd_block **out)
{
	struct pd_block *b = find(bm, nr);
	int r;

	if (nr >= pd_io_nr_blocks(bm->io))
		return -EUCLEAN;
	if (!b) {
		r = get_buffer(bm, &b);
		if (r)
			return r;
		enter(bm, b, nr, kind);
	} else if (b->held) {
		return -EDEADLK;
	}
	b->kind = kind;
	b->held = -1;
	b->dirty = b->used = true;
	bm->nr_held++;
	if (zero)
		memset(b->data, 0, PD_BLOCK_SIZE);
	*out = b;
	return 0;
}

void bm_unlock(struct pd_block *b)
{
	if (!b)
		return;
	assert(b->held);
	b->held = b->held < 0 ? 0 : b->held - 1;
	b->bm->nr_held--;
}

void bm_prefetch(struct pd_bm *bm, uint64_t nr)
{
	if (bm->io->ops->ahead && nr < pd_io_nr_blocks(bm->io) && !find(bm, nr))
		bm->io->ops->ahead(bm->io, nr, 1);
}

void bm_forget(struct pd_bm *bm, uint64_t nr)
{
	struct pd_block *b = find(bm, nr);

	if (b && !b->held) {
		unhash(bm, b);
		b->used = false;
	}
}
