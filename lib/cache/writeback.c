/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dirty blocks from the fast device to the origin, sorted by where they go, neighbours in one piece, several pieces
 * under way. Dirty bits are cleared in a transaction of the metadata, after the origin was flushed: a power
 * cut at any moment leaves blocks dirty that need not be, never the reverse.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <pdata/err.h>
#include "base/workers.h"
#include "cache/dump.h"
#include "persistent-data/bitset.h"

#define BATCH (1u << 20)	/* dirty blocks sorted at a time: 16 MiB */
#define NR_COPIERS 4u
#define SECTOR 512ull

struct dirty {
	uint64_t oblock;
	uint32_t cblock;
	bool failed;
};

struct side {
	const char *name;
	int fd;
	uint64_t offset, size;		/* bytes */
};

struct writeback {
	struct cache_emitter e;
	const struct pd_cache_writeback_opts *o;
	const struct pd_run *run;
	struct pd_cache_writeback_result *res;
	struct side origin, fast;
	uint64_t block_len, piece_len;	/* bytes; a piece is whole blocks */
	struct dirty *d;
	size_t nr, next;		/* next: where the next piece begins */
	pthread_mutex_t lock;
	struct bits copied;		/* cache blocks */
	uint64_t nr_cache_blocks;
};

static int open_side(struct side *s, const char *path, int flags, uint64_t offset_sectors, struct pd_log *log)
{
	struct stat st;
	off_t size;

	s->name = path;
	s->fd = stat(path, &st) ? -1 :
		open(path, flags | O_CLOEXEC | (S_ISBLK(st.st_mode) ? O_EXCL | O_DIRECT : 0));
	size = s->fd < 0 ? -1 : lseek(s->fd, 0, SEEK_END);
	if (size < 0) {
		int err = errno;

		pd_log(log, PD_LOG_ERR, "cannot open %s: %s", path, pd_strerror(-err));
		return -err;
	}
	s->size = (uint64_t)size;
	s->offset = offset_sectors * SECTOR;
	return 0;
}

/* All of it, or -errno. */
static int transfer(const struct side *s, bool write, uint8_t *buf, uint64_t at, uint64_t len)
{
	at += s->offset;
	while (len) {
		ssize_t n = write ? pwrite(s->fd, buf, len, (off_t)at) : pread(s->fd, buf, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		buf += n;
		at += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

/* Bytes of an origin block: the last one may be short. */
static uint64_t len_of(const struct writeback *w, uint64_t oblock)
{
	uint64_t begin, room;

	if (__builtin_mul_overflow(oblock, w->block_len, &begin) || w->origin.size < w->origin.offset)
		return 0;
	room = w->origin.size - w->origin.offset;
	return begin >= room ? 0 : min_t(uint64_t, w->block_len, room - begin);
}

/* Blocks [@first, @first + @nr) of the batch go to one place of the origin, in one write. */
static void copy_piece(struct writeback *w, size_t first, size_t nr, uint8_t *buf)
{
	uint64_t len = 0, nr_read = 0;
	int r = 0;

	for (size_t i = 0; i < nr; i++) {
		struct dirty *d = &w->d[first + i];
		uint64_t n = len_of(w, d->oblock);

		r = n ? transfer(&w->fast, false, buf + len, d->cblock * w->block_len, n) : -EIO;
		if (r)
			break;
		nr_read++;
		len += n;
	}
	pthread_mutex_lock(&w->lock);
	w->res->nr_read_errors += r != 0;
	pthread_mutex_unlock(&w->lock);
	if (r && nr > 1) {
		/* one by one: only what cannot be read is left out */
		for (size_t i = 0; i < nr; i++)
			copy_piece(w, first + i, 1, buf);
		return;
	}
	if (!r) {
		r = transfer(&w->origin, true, buf, w->d[first].oblock * w->block_len, len);
		if (r && nr > 1) {
			for (size_t i = 0; i < nr; i++)
				copy_piece(w, first + i, 1, buf);
			return;
		}
		pthread_mutex_lock(&w->lock);
		w->res->nr_write_errors += r != 0;
		pthread_mutex_unlock(&w->lock);
	}
	for (size_t i = 0; i < nr; i++)
		w->d[first + i].failed = r;
}

static void copier(void *ctx, unsigned worker)
{
	struct writeback *w = ctx;
	size_t max = w->piece_len / w->block_len;
	uint8_t *buf = aligned_alloc(PD_BLOCK_SIZE, w->piece_len);

	(void)worker;
	if (!buf)
		return;		/* the others do it */
	for (;;) {
		size_t first, nr = 1;

		pthread_mutex_lock(&w->lock);
		first = w->next;
		while (first + nr < w->nr && nr < max && w->d[first + nr].oblock == w->d[first].oblock + nr)
			nr++;
		w->next = first < w->nr ? first + nr : first;
		pthread_mutex_unlock(&w->lock);
		if (first >= w->nr)
			break;
		copy_piece(w, first, nr, buf);
	}
	free(buf);
}

static int by_oblock(const void *va, const void *vb)
{
	const struct dirty *a = va, *b = vb;

	return a->oblock < b->oblock ? -1 : a->oblock > b->oblock;
}

static int copy_batch(struct writeback *w)
{
	int r = 0;

	if (w->nr)
		qsort(w->d, w->nr, sizeof(*w->d), by_oblock);
	for (uint32_t try = 0; !r && w->nr && try <= w->o->retry_count; try++) {
		size_t failed = 0;

		w->next = 0;
		workers_run(NR_COPIERS, copier, w);
		/* one copier is enough, but none is not */
		if (w->next < w->nr)
			r = -ENOMEM;
		for (size_t i = 0; i < w->nr && !r; i++) {
			if (w->d[i].failed)
				w->d[failed++] = w->d[i];
			else
				bits_set(&w->copied, w->d[i].cblock);
		}
		if (r)
			break;
		w->res->nr_copied += w->nr - failed;
		w->nr = failed;
	}
	for (size_t i = 0; i < w->nr && !r && w->o->on_failed; i++)
		w->o->on_failed(w->o->ctx, w->d[i].cblock, w->d[i].oblock);
	w->nr = 0;
	return r;
}

/* ---- The mappings, as an emitter takes them ---- */

static int take(struct cache_emitter *e, const struct cache_mapping_record *m, unsigned nr)
{
	struct writeback *w = container_of(e, struct writeback, e);
	int r = 0;

	for (unsigned i = 0; i < nr && !r; i++) {
		if (!m[i].dirty)
			continue;
		w->res->nr_dirty++;
		w->d[w->nr++] = (struct dirty){ .oblock = m[i].oblock, .cblock = m[i].cblock };
		if (w->nr == BATCH)
			r = copy_batch(w);
	}
	return r;
}

static int superblock(struct cache_emitter *e, const struct cache_sb_record *sb)
{
	(void)e;
	(void)sb;
	return 0;
}

static int nothing(struct cache_emitter *e)
{
	(void)e;
	return 0;
}

static int no_hints(struct cache_emitter *e, const struct cache_hint_record *h, unsigned nr)
{
	(void)e;
	(void)h;
	(void)nr;
	return 0;
}

static int copy_all(struct writeback *w, struct cache_view *v)
{
	int r;

	w->e = (struct cache_emitter){
		.superblock = superblock, .mappings_begin = nothing, .mappings = take, .mappings_end = nothing,
		.hints_begin = nothing, .hints = no_hints, .hints_end = nothing, .superblock_end = nothing,
	};
	r = cache_view_emit(v, &w->e);
	if (!r)
		r = copy_batch(w);
	if (!r && w->res->nr_copied && fsync(w->origin.fd)) {
		r = -errno;
		pd_log(w->run->log, PD_LOG_ERR, "cannot flush %s: %s; no dirty bit is cleared", w->origin.name,
		       pd_strerror(r));
	}
	return r;
}

/* ---- Clearing dirty bits ---- */

static int clear_bits(struct writeback *w, struct pd_tm *tm, struct cache_superblock *sb)
{
	struct array mappings = { .tm = tm, .value = { .size = sizeof(le64) } };
	uint64_t root = le64_get(sb->mapping_root);
	struct bitset dirty;
	bool v2 = le32_get(sb->version) >= 2;
	int r = 0;

	bitset_open(&dirty, tm, le64_get(sb->dirty_root), w->nr_cache_blocks);
	for (uint64_t b = bits_next(&w->copied, 0); b < w->nr_cache_blocks && !r;
	     b = bits_next(&w->copied, b + 1)) {
		uint64_t value;
		le64 v;

		if (v2) {
			r = bitset_clear(&dirty, b);
			continue;
		}
		r = array_get(&mappings, root, b, &v);
		value = le64_get(v);
		if (r || !(value & CACHE_DIRTY))
			continue;
		v = le64_put(value & ~(uint64_t)CACHE_DIRTY);
		r = array_set(&mappings, &root, b, &v);
	}
	if (!r && v2)
		r = bitset_flush(&dirty);
	sb->mapping_root = le64_put(root);
	if (v2)
		sb->dirty_root = le64_put(dirty.root);
	return r;
}

static int update_metadata(struct writeback *w, struct pd_io *io, struct cache_superblock *sb)
{
	struct sm_root root = sm_root_get(sb->metadata_space_map_root);
	struct pd_block *b;
	struct pd_tm *tm;
	int r = tm_open(&tm, io, 1024, &root, w->run->log);

	if (r)
		return r;
	r = clear_bits(w, tm, sb);
	if (!r)
		r = tm_pre_commit(tm, &root);
	if (!r)
		r = bm_write_lock(tm_bm(tm), SB_LOCATION, KIND_CACHE_SB, &b);
	if (!r) {
		memcpy(sb->metadata_space_map_root, &root, sizeof(root));
		memcpy(b->data, sb, sizeof(*sb));
		r = tm_commit(tm, &b);
	}
	if (r)
		pd_log(w->run->log, PD_LOG_ERR, "the blocks are copied, but their dirty bits could not be cleared: %s",
		       pd_strerror(r));
	tm_destroy(tm);
	return r;
}

/* ---- All of it ---- */

static int check_first(struct pd_io *io, const struct pd_run *run)
{
	struct pd_cache_check_opts o = { .size = sizeof(o) };
	struct pd_check_result res;
	int r = pd_cache_check(io, &o, run, &res, NULL);

	if (!r && res.worst < PD_SEV_ERROR)
		return 0;
	pd_log(run->log, PD_LOG_ERR, "the metadata is damaged, nothing was copied: cache_check gives details");
	return r ? r : -EUCLEAN;
}

static int open_all(struct writeback *w, const char *origin, const char *fast)
{
	struct pd_log *log = w->run->log;
	int r = open_side(&w->origin, origin, O_RDWR, w->o->origin_offset, log);

	if (!r)
		r = open_side(&w->fast, fast, O_RDONLY, w->o->fast_offset, log);
	if (!r && pd_io_same(origin, fast)) {
		pd_log(log, PD_LOG_ERR, "origin and fast device are the same: %s", origin);
		r = -EINVAL;
	}
	return r;
}

static int writeback(struct writeback *w, struct pd_io *metadata, const char *origin, const char *fast)
{
	uint64_t buffer = (w->o->buffer_meg ? w->o->buffer_meg : 64ull) << 20;
	struct cache_superblock sb;
	struct cache_view v;
	int r = check_first(metadata, w->run);

	if (!r)
		r = open_all(w, origin, fast);
	if (!r)
		r = cache_sb_read(metadata, w->run->log, &sb);
	if (r)
		return r;
	r = cache_view_init(&v, metadata, &sb, false, NULL, w->run);
	if (!r) {
		w->nr_cache_blocks = le32_get(sb.cache_blocks);
		w->block_len = le32_get(sb.data_block_size) * SECTOR;
		w->piece_len = max_t(uint64_t, min_t(uint64_t, buffer / NR_COPIERS, 4u << 20) / w->block_len, 1) *
			w->block_len;
		w->d = malloc(BATCH * sizeof(*w->d));
		r = w->d ? bits_init(&w->copied, w->nr_cache_blocks) : -ENOMEM;
	}
	if (!r)
		r = copy_all(w, &v);
	cache_view_exit(&v);
	if (!r && !w->o->no_metadata_update && w->res->nr_copied) {
		if (w->o->before_update)
			w->o->before_update(w->o->ctx);
		r = update_metadata(w, metadata, &sb);
	}
	return r;
}

int pd_cache_writeback(struct pd_io *metadata, const char *origin, const char *fast,
		       const struct pd_cache_writeback_opts *o, const struct pd_run *run,
		       struct pd_cache_writeback_result *res)
{
	struct writeback w = { .o = o, .run = run, .res = res, .origin.fd = -1, .fast.fd = -1 };
	int r;

	if (o->size != sizeof(*o))
		return -EINVAL;
	*res = (struct pd_cache_writeback_result){ .nr_dirty = 0 };
	pthread_mutex_init(&w.lock, NULL);
	r = writeback(&w, metadata, origin, fast);
	if (r == -ENOMEM)
		pd_log(run->log, PD_LOG_ERR, "out of memory");
	if (w.origin.fd >= 0)
		close(w.origin.fd);
	if (w.fast.fd >= 0)
		close(w.fast.fd);
	bits_exit(&w.copied);
	free(w.d);
	pthread_mutex_destroy(&w.lock);
	return r;
}
