/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The output of builders: blocks in order, in large writes, block 0 last. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include "io/engine.h"
#include "persistent-data/build.h"
#include <pdata/err.h>

#define BATCH 256u		/* blocks a write */
#define NR_BATCHES 4u
#define MIN_BLOCKS 10u		/* no output is smaller */
#define COUNT_CEILING (1ull << 62)

struct batch {
	uint8_t *data;
	uint64_t first;
	uint32_t nr;
	uint8_t kind[BATCH];
};

struct out {
	struct pd_io *io;
	struct pd_log *log;
	uint64_t nr_blocks;		/* that can be written; 0 in a dry run */
	uint64_t next;
	const struct bits *avoid;	/* blocks that are in use already, or NULL */
	uint64_t needed;		/* once the space map is made, else 0 */
	struct counts counts;
	void *scratch;			/* for a block that nobody writes */

	/* Batches go round: the builder fills one, the writer is behind. */
	struct batch batch[NR_BATCHES];
	pthread_t writer;
	bool has_writer, no_writer, stop;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	uint64_t filled, done;		/* batches, ever */
	int err;			/* the writer's first failure, told */
};

int out_create(struct out **out, struct pd_io *io, struct pd_log *log)
{
	struct out *o = calloc(1, sizeof(*o));

	*out = NULL;
	if (!o)
		return -ENOMEM;
	o->io = io;
	o->log = log;
	o->nr_blocks = io ? min_t(uint64_t, pd_io_nr_blocks(io), MAX_METADATA_BLOCKS) : 0;
	o->next = SB_LOCATION + 1;
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->cond, NULL);
	o->scratch = pd_io_buffer(1);
	if (!o->scratch || counts_init(&o->counts, MAX_METADATA_BLOCKS, NULL))
		goto bad;
	for (unsigned i = 0; io && i < NR_BATCHES; i++) {
		o->batch[i].data = pd_io_buffer(BATCH);
		if (!o->batch[i].data)
			goto bad;
	}
	o->batch[0].first = o->next;
	out_ref(o, SB_LOCATION);
	*out = o;
	return 0;
bad:
	out_destroy(o);
	return -ENOMEM;
}

/* Puts ->next on a block that may be written. */
static void skip_used(struct out *o)
{
	if (o->avoid && o->next < o->nr_blocks)
		o->next = min_t(uint64_t, bits_next_clear(o->avoid, o->next), o->nr_blocks);
}

int out_create_beside(struct out **out, struct pd_io *io, uint64_t nr_blocks,
		      const struct bits *avoid, struct pd_log *log)
{
	int r = out_create(out, io, log);

	if (r)
		return r;
	(*out)->nr_blocks = min_t(uint64_t, nr_blocks, (*out)->nr_blocks);
	(*out)->avoid = avoid;
	skip_used(*out);
	(*out)->batch[0].first = (*out)->next;
	return 0;
}

void out_destroy(struct out *o)
{
	if (!o)
		return;
	if (o->has_writer) {
		pthread_mutex_lock(&o->lock);
		o->stop = true;
		pthread_cond_broadcast(&o->cond);
		pthread_mutex_unlock(&o->lock);
		pthread_join(o->writer, NULL);
	}
	for (unsigned i = 0; i < NR_BATCHES; i++)
		free(o->batch[i].data);
	counts_exit(&o->counts);
	pthread_mutex_destroy(&o->lock);
	pthread_cond_destroy(&o->cond);
	free(o->scratch);
	free(o);
}

static int write_sb(struct out *o, const void *sb, struct pd_log *log)
{
	int r = io_write_told(o->io, SB_LOCATION, 1, sb, log);

	return r ? r : io_flush_told(o->io, log);
}

/* The right magic number, a wrong checksum: neither valid nor unformatted. */
static int write_invalid_sb(struct out *o, enum block_kind sb_kind, struct pd_log *log)
{
	/* The magic number is at 32 in all superblocks; in thin's one has a name for the place. */
	struct thin_superblock *sb = o->scratch;

	memset(o->scratch, 0, PD_BLOCK_SIZE);
	sb->magic = le64_put(block_kind_magic(sb_kind));
	block_seal(sb, sb_kind, SB_LOCATION);
	sb->csum = le32_put(~le32_get(sb->csum));
	return write_sb(o, sb, log);
}

int out_begin(struct out *o, enum block_kind sb_kind)
{
	return o->io ? write_invalid_sb(o, sb_kind, o->log) : 0;
}

/* ---- Writing ---- */

static int write_batch(struct out *o, struct batch *b)
{
	for (uint32_t i = 0; i < b->nr; i++)
		block_seal(b->data + (size_t)i * PD_BLOCK_SIZE, b->kind[i], b->first + i);
	return b->nr ? io_write_told(o->io, b->first, b->nr, b->data, o->log) : 0;
}

static void *writer(void *ctx)
{
	struct out *o = ctx;

	pthread_mutex_lock(&o->lock);
	for (;;) {
		int r = 0;

		while (o->done == o->filled && !o->stop)
			pthread_cond_wait(&o->cond, &o->lock);
		if (o->done == o->filled || o->stop)
			break;
		pthread_mutex_unlock(&o->lock);
		/* only this thread changes err */
		if (!o->err)
			r = write_batch(o, &o->batch[o->done % NR_BATCHES]);
		pthread_mutex_lock(&o->lock);
		if (r)
			o->err = r;
		o->done++;
		pthread_cond_broadcast(&o->cond);
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

/* Waits until at most @behind batches are not written yet; 0 or the writer's error. */
static int catch_up(struct out *o, unsigned behind)
{
	int r;

	pthread_mutex_lock(&o->lock);
	while (o->filled - o->done > behind)
		pthread_cond_wait(&o->cond, &o->lock);
	r = o->err;
	pthread_mutex_unlock(&o->lock);
	return r;
}

static struct batch *current(struct out *o)
{
	return &o->batch[o->filled % NR_BATCHES];
}

/* The current batch is full or the last: on to the writer with it. @last: do not begin a thread. */
static int submit(struct out *o, bool last)
{
	int r;

	if (!o->has_writer && !o->no_writer && !last)
		o->has_writer = !pthread_create(&o->writer, NULL, writer, o);
	if (!o->has_writer && !last)
		o->no_writer = true;
	if (o->has_writer) {
		pthread_mutex_lock(&o->lock);
		o->filled++;
		pthread_cond_broadcast(&o->cond);
		pthread_mutex_unlock(&o->lock);
		r = catch_up(o, NR_BATCHES - 1);
	} else {
		r = o->err ? o->err : write_batch(o, current(o));
		o->err = r;
		o->filled++;
		o->done++;
	}
	current(o)->first = o->next;
	current(o)->nr = 0;
	return r;
}

static int drain(struct out *o)
{
	int r = o->io && current(o)->nr ? submit(o, true) : 0;

	return r ? r : catch_up(o, 0);
}

int out_flush(struct out *o)
{
	int r = drain(o);

	return r ? r : io_flush_told(o->io, o->log);
}

int out_block(struct out *o, enum block_kind kind, void **data, uint64_t *block)
{
	struct batch *b = current(o);
	int r = 0;

	if (o->next >= o->nr_blocks) {
		*data = memset(o->scratch, 0, PD_BLOCK_SIZE);
		*block = o->next;
		out_skip(o, 1);
		return 0;
	}
	/* Writes end at multiples of their length, and where blocks in use lie between. */
	if (b->nr && (o->next % BATCH == 0 || o->next != b->first + b->nr))
		r = submit(o, false);
	b = current(o);
	if (!b->nr)
		b->first = o->next;
	*block = o->next++;
	skip_used(o);
	b->kind[b->nr] = (uint8_t)kind;
	*data = memset(b->data + (size_t)b->nr++ * PD_BLOCK_SIZE, 0, PD_BLOCK_SIZE);
	return r;
}

void out_ref(struct out *o, uint64_t block)
{
	if (block < MAX_METADATA_BLOCKS)
		counts_inc_alone(&o->counts, block);
}

uint32_t out_refs(const struct out *o, uint64_t block)
{
	return block < MAX_METADATA_BLOCKS ? counts_get(&o->counts, block) : 0;
}

int out_read(struct out *o, uint64_t block, void *data)
{
	struct batch *b = current(o);
	int r;

	if (block >= min_t(uint64_t, o->next, o->nr_blocks))
		return -ENODATA;
	if (block >= b->first && block < b->first + b->nr) {
		memcpy(data, b->data + (size_t)(block - b->first) * PD_BLOCK_SIZE, PD_BLOCK_SIZE);
		return 0;
	}
	r = catch_up(o, 0);
	if (r)
		return r;
	r = pd_io_read(o->io, block, 1, data);
	if (r)
		pd_log(o->log, PD_LOG_ERR, "%s: reading back block %" PRIu64 ": %s", pd_io_name(o->io), block,
		       pd_strerror(r));
	return r;
}

bool out_counts_only(const struct out *o)
{
	return o->next > MAX_METADATA_BLOCKS;
}

void out_skip(struct out *o, uint64_t nr)
{
	o->next = nr < COUNT_CEILING - o->next ? o->next + nr : COUNT_CEILING - 1;
}

/* ---- The end ---- */

/* Nodes of a tree of @nr entries. */
static uint64_t tree_nodes(uint64_t nr, uint32_t value_size)
{
	uint64_t n = max_t(uint64_t, ceil_div(nr, node_max_entries(value_size)), 1), all = n;

	while (n > 1) {
		n = ceil_div(n, INTERNAL_MAX_ENTRIES);
		all += n;
	}
	return all;
}

/* Beside blocks in use: what there is, if what is free suffices, else more. */
static uint64_t needed_beside(struct out *o)
{
	uint64_t high = 0, free = 0, want;

	for (uint64_t b = 0; b < o->nr_blocks; b++) {
		high += counts_get(&o->counts, b) > 2;
		free += b >= o->next && !bits_test(o->avoid, b);
	}
	want = tree_nodes(high, sizeof(le32)) + ceil_div(o->nr_blocks, ENTRIES_PER_BITMAP) + 1;
	return free >= want ? o->nr_blocks : o->nr_blocks + want - free;
}

uint64_t out_needed(struct out *o)
{
	uint64_t high = 0, used, n;

	if (o->needed)
		return o->needed;
	if (o->avoid)
		return o->needed = needed_beside(o);
	for (uint64_t b = 0; b < min_t(uint64_t, o->next, MAX_METADATA_BLOCKS); b++)
		high += counts_get(&o->counts, b) > 2;
	used = o->next + tree_nodes(high, sizeof(le32)) + 1;	/* and the index block */
	n = used;
	while (n < used + ceil_div(n, ENTRIES_PER_BITMAP))
		n = used + ceil_div(n, ENTRIES_PER_BITMAP);
	return max_t(uint64_t, n, MIN_BLOCKS);
}

static int too_small(struct out *o)
{
	if (o->needed > MAX_METADATA_BLOCKS)
		pd_log(o->log, PD_LOG_ERR,
		       "out of metadata space: %" PRIu64 " blocks are needed, and no metadata has more than %llu",
		       o->needed, MAX_METADATA_BLOCKS);
	else
		pd_log(o->log, PD_LOG_ERR,
		       "out of metadata space: %s has %" PRIu64 " blocks, %" PRIu64 " are needed (%" PRIu64
		       " bytes)", pd_io_name(o->io), pd_io_nr_blocks(o->io), o->needed,
		       o->needed * PD_BLOCK_SIZE);
	return -ENOSPC;
}

/* Entries of counts above 2, before the map's own blocks are taken: those all have 1. */
static int build_overflow(struct out *o, uint64_t *root)
{
	struct tree_build t;
	uint64_t end = o->avoid ? o->nr_blocks : o->next;
	int r = tree_build_init(&t, o, sizeof(le32));

	for (uint64_t b = 0; b < end && !r; b++) {
		uint64_t n = counts_get(&o->counts, b);

		if (n > 2) {
			le32 v = le32_put((uint32_t)n);

			r = tree_build_push(&t, b, &v);
		}
	}
	if (!r)
		r = tree_build_finish(&t, root);
	tree_build_exit(&t);
	return r;
}

static int fill_bitmaps(struct out *o, struct metadata_index *index, uint64_t *nr_allocated)
{
	uint64_t nr = ceil_div(o->nr_blocks, ENTRIES_PER_BITMAP), block;
	void *data;
	int r = 0;

	for (uint64_t i = 0; i < nr && !r; i++) {
		r = out_block(o, KIND_BITMAP, &data, &block);
		if (r)
			break;
		r = sm_build_bitmap(&o->counts, i * ENTRIES_PER_BITMAP,
				    min_t(uint64_t, (i + 1) * ENTRIES_PER_BITMAP, o->nr_blocks), data,
				    NULL, &index->index[i], nr_allocated);
		index->index[i].blocknr = le64_put(block);
	}
	return r;
}

int out_metadata_sm(struct out *o, struct sm_root *root)
{
	uint64_t nr = ceil_div(o->nr_blocks, ENTRIES_PER_BITMAP), overflow, nr_allocated = 0;
	struct metadata_index *index;
	uint64_t block;
	void *data;
	int r;

	assert(o->io);
	o->needed = out_needed(o);
	if (o->needed > o->nr_blocks)
		return too_small(o);
	r = build_overflow(o, &overflow);
	if (r)
		return r;
	out_ref(o, overflow);
	/* Every block taken from here on has count 1, so the bitmaps can be filled at once. */
	for (uint64_t i = 0, b = o->next; i <= nr; i++, b++) {
		if (o->avoid)
			b = bits_next_clear(o->avoid, b);
		out_ref(o, b);
	}
	index = calloc(1, sizeof(*index));
	if (!index)
		return -ENOMEM;
	r = fill_bitmaps(o, index, &nr_allocated);
	if (!r)
		r = out_block(o, KIND_INDEX, &data, &block);
	if (!r)
		memcpy(data, index, sizeof(*index));
	free(index);
	if (r)
		return r;
	if (o->counts.lost)
		return -ENOMEM;
	*root = (struct sm_root){
		.nr_blocks = le64_put(o->nr_blocks),
		.nr_allocated = le64_put(nr_allocated),
		.bitmap_root = le64_put(block),
		.ref_count_root = le64_put(overflow),
	};
	return 0;
}

int out_commit(struct out *o, void *sb, enum block_kind sb_kind)
{
	void *block = o->scratch;
	int r = out_flush(o);

	if (r)
		return r;
	memcpy(block, sb, PD_BLOCK_SIZE);
	block_seal(block, sb_kind, SB_LOCATION);
	r = write_sb(o, block, o->log);
	/* It may have got there all the same; who is told of a failure must not find it. In place it was the last step. */
	if (r && !o->avoid)
		(void)write_invalid_sb(o, sb_kind, NULL);
	return r;
}
