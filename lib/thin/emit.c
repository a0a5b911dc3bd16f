/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The plan's leaves to an emitter, through worker threads.
 *
 * The walk is cut into batches; each is read, decoded and, for text, formatted by whoever takes it,
 * and handed on in order. Batches are cut alike however many threads there are. A mapping that
 * touches the border of a batch inside a row of leaves stays open until the neighbour is known.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pdata/err.h>
#include "base/workers.h"
#include "thin/plan.h"
#include "thin/text.h"

#define BATCH_LEAVES 32u
#define BATCH_OPS 128u
#define LEAF_MAX_ENTRIES 252u		/* node_check() lets no more through */
#define BATCH_RECORDS (BATCH_LEAVES * LEAF_MAX_ENTRIES + 1)
#define BATCH_TEXT ((BATCH_LEAVES + 2) * LEAF_MAX_ENTRIES * THIN_TEXT_MAPPING_MAX + \
		    BATCH_OPS * THIN_TEXT_MAX)
#define MIN_LEAVES_PER_THREAD 256u

struct batch {
	struct plan_op op[BATCH_OPS];
	unsigned nr_ops, nr_taken;	/* those before an error */
	bool after_leaf;		/* the batch before ended inside a row of leaves */
	bool inside;			/* it ended inside a device or def */
	bool done;
	/* what came of it */
	struct thin_mapping_record head, tail;	/* len 0: none; open at the border */
	bool head_open;			/* head is all there is, and goes on */
	struct thin_mapping_record *rec;	/* without text: the mappings between */
	unsigned nr_rec;
	unsigned rec_before[BATCH_OPS];	/* without text: mappings that come before this op */
	struct thin_text text;		/* with text: all between head and tail, as it will stand */
	char *text_buf;
	/* keys, to see that batches follow each other */
	uint64_t first_bound, last_key;
	bool has_first, has_last, resets;
	/* why it ends early, if it does */
	int err;
	uint64_t err_block;
	const char *err_why;
};

struct emit {
	struct plan *p;
	struct thin_emitter *e;
	struct thin_text *text;		/* e, if it makes text */
	enum pd_text_format format;
	struct plan_walk walk;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct batch *ring;
	unsigned nr_ring;
	uint64_t produced, written;	/* batches so far */
	bool ended, writing;
	uint8_t last_op;
	int err;
	/* the writer's own */
	struct thin_mapping_record pending;
	uint64_t last_key;
	bool has_last;
	uint64_t leaves_done, leaves_all;
};

/* What a worker keeps to itself. */
struct worker {
	struct pd_io *io;
	uint8_t *buf;			/* BATCH_LEAVES blocks */
};

static bool joins(const struct thin_mapping_record *a, const struct thin_mapping_record *b)
{
	return a->vbegin + a->len == b->vbegin && a->dbegin + a->len == b->dbegin &&
	       a->time == b->time;
}

/* ---- Reading ---- */

struct want {
	uint32_t block;
	uint32_t op;
};

static int by_block(const void *a, const void *b)
{
	uint32_t x = ((const struct want *)a)->block, y = ((const struct want *)b)->block;

	return (x > y) - (x < y);
}

/* Reads @nr neighbouring blocks in as few pieces as possible; err[] tells of each. */
static void read_wants(struct worker *w, const struct want *want, unsigned nr, int *err)
{
	for (unsigned i = 0, n; i < nr; i += n) {
		uint8_t *to = w->buf + (size_t)i * PD_BLOCK_SIZE;
		int r;

		for (n = 1; i + n < nr && want[i + n].block == want[i].block + n; n++)
			;
		r = pd_io_read(w->io, want[i].block, n, to);
		for (unsigned k = 0; k < n; k++) {
			err[i + k] = r;
			if (r && n > 1)
				err[i + k] = pd_io_read(w->io, want[i + k].block, 1,
							to + (size_t)k * PD_BLOCK_SIZE);
		}
	}
}

/* Gives each leaf op of @b its data, or NULL and an error. */
static void read_batch(struct worker *w, struct batch *b, const void **data, int *err)
{
	struct want want[BATCH_LEAVES];
	int want_err[BATCH_LEAVES];
	unsigned nr = 0;
	bool sorted = true;

	for (unsigned i = 0; i < b->nr_ops; i++) {
		if (b->op[i].kind != OP_LEAF)
			continue;
		want[nr] = (struct want){ b->op[i].arg, i };
		sorted = sorted && (!nr || want[nr - 1].block < want[nr].block);
		nr++;
	}
	if (!sorted)
		qsort(want, nr, sizeof(*want), by_block);
	read_wants(w, want, nr, want_err);
	for (unsigned i = 0; i < nr; i++) {
		data[want[i].op] = want_err[i] ? NULL : w->buf + (size_t)i * PD_BLOCK_SIZE;
		err[want[i].op] = want_err[i];
	}
}

static const char *leaf_fault(const void *data, int err, uint64_t block)
{
	const struct node_header *n = data;

	if (!data)
		return pd_strerror(err);
	switch (block_kind(data)) {
	case KIND_NODE: break;
	case KIND_NONE: return "bad checksum";
	default: return "not a btree node";
	}
	if (block_nr(data, KIND_NODE) != block)
		return "block says it belongs elsewhere";
	if (node_check(data, sizeof(le64)) || le32_get(n->flags) != NODE_LEAF)
		return "bad btree node";
	return NULL;
}

/* ---- Decoding ---- */

struct decode {
	struct emit *em;
	struct batch *b;
	struct thin_mapping_record open;	/* len 0: none */
	bool at_head;			/* the first mapping touches the border */
};

/* Formats the gathered mappings, if the batch makes text. */
static void flush_records(struct decode *d)
{
	struct batch *b = d->b;

	if (!d->em->text)
		return;
	b->text.e.mappings(&b->text.e, b->rec, b->nr_rec);
	b->nr_rec = 0;
}

static inline void close_mapping(struct decode *d)
{
	if (!d->open.len)
		return;
	if (d->at_head)
		d->b->head = d->open;
	else
		d->b->rec[d->b->nr_rec++] = d->open;
	d->at_head = false;
}

static void decode_leaf(struct decode *d, const struct node_header *n)
{
	const uint8_t *key = (const uint8_t *)node_keys(n), *value = node_value_ptr(n, 0);
	uint32_t nr = le32_get(n->nr_entries);

	for (uint32_t i = 0; i < nr; i++, key += sizeof(le64), value += sizeof(le64)) {
		struct thin_mapping_record m = { .len = 1 };
		le64 k, v;

		memcpy(&k, key, sizeof(k));
		memcpy(&v, value, sizeof(v));
		m.vbegin = le64_get(k);
		m.dbegin = mapping_block(le64_get(v));
		m.time = mapping_time(le64_get(v));
		if (d->open.len && joins(&d->open, &m)) {
			d->open.len++;
		} else {
			close_mapping(d);
			d->open = m;
		}
	}
}

static int stop_batch(struct batch *b, uint64_t block, const char *why)
{
	b->err = -EUCLEAN;
	b->err_block = block;
	b->err_why = why;
	return b->err;
}

/* Keys from @bound up to @last come next in the same device or def. */
static bool follows(struct batch *b, uint64_t bound, uint64_t last)
{
	if (b->has_last && b->last_key >= bound)
		return false;
	if (!b->has_last && !b->has_first && !b->resets && b->inside) {
		b->has_first = true;
		b->first_bound = bound;
	}
	b->has_last = true;
	b->last_key = last;
	return true;
}

static int take_leaf(struct decode *d, uint32_t block, const void *data, int err)
{
	struct plan *p = d->em->p;
	const struct node_header *n = data;
	const char *why = leaf_fault(data, err, block);
	uint64_t bound = p->bound[block], last = bound;
	uint32_t nr = why ? 0 : le32_get(n->nr_entries);

	if (!why && nr) {
		last = node_key(n, nr - 1);
		if (node_key(n, 0) < bound)
			why = "keys are outside of what its parent says";
	}
	if (!why && !follows(d->b, bound, last))
		why = "keys overlap with those of its left neighbour";
	if (why)
		return p->v->step_over ? 0 : stop_batch(d->b, block, why);
	decode_leaf(d, n);
	if (!d->em->text)
		return 0;
	flush_records(d);
	return d->b->text.w.err;
}

static int put_op(struct thin_emitter *e, struct plan *p, const struct plan_op *op)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", op->arg);
	switch ((enum plan_op_kind)op->kind) {
	case OP_DEF: return e->def(e, name);
	case OP_DEF_END: return e->def_end(e);
	case OP_DEVICE: return e->device(e, &p->v->devices[op->arg].details);
	case OP_DEVICE_END: return e->device_end(e);
	case OP_REF: return e->ref(e, name);
	case OP_LEAF:
	case OP_END: break;
	}
	return 0;
}

/* Everything but a leaf: ends the row of leaves before it. */
static int take_other(struct decode *d, unsigned i)
{
	struct batch *b = d->b;
	struct plan *p = d->em->p;
	const struct plan_op *op = &b->op[i];

	close_mapping(d);
	d->open.len = 0;
	d->at_head = false;
	flush_records(d);
	if (op->kind == OP_REF) {
		if (!follows(b, p->bound[op->arg], p->def_last[op->arg]))
			return stop_batch(b, op->arg, "keys overlap with those of its left neighbour");
	} else {
		if (op->kind == OP_DEF_END && b->has_last)
			p->def_last[op->arg] = b->last_key;
		b->has_last = false;
		b->resets = true;
	}
	if (d->em->text)
		return put_op(&b->text.e, p, op);
	b->rec_before[i] = b->nr_rec;
	return 0;
}

static void process(struct emit *em, struct worker *w, struct batch *b)
{
	struct decode d = { .em = em, .b = b, .at_head = b->after_leaf };
	const void *data[BATCH_OPS];
	int err[BATCH_OPS], r = 0;

	b->head.len = b->tail.len = 0;
	b->head_open = b->has_first = b->has_last = b->resets = false;
	b->nr_rec = 0;
	b->err = 0;
	b->err_why = NULL;
	b->nr_taken = b->nr_ops;
	if (em->text) {
		thin_text_init(&b->text, em->format);
		xml_writer_init_buf(&b->text.w, b->text_buf, BATCH_TEXT);
		b->text.w.depth = b->inside ? 2 : 1;
	}
	read_batch(w, b, data, err);
	for (unsigned i = 0; i < b->nr_ops && !r; i++) {
		if (b->op[i].kind == OP_LEAF)
			r = take_leaf(&d, b->op[i].arg, data[i], err[i]);
		else
			r = take_other(&d, i);
		if (r)
			b->nr_taken = i;
	}
	b->head_open = d.at_head && d.open.len;
	if (b->head_open)
		b->head = d.open;
	else
		b->tail = d.open;
	flush_records(&d);
	if (!b->err && em->text)
		b->err = b->text.w.err;
}

/* ---- In order again ---- */

static int put_one(struct emit *em, struct thin_mapping_record *m)
{
	int r = m->len ? em->e->mappings(em->e, m, 1) : 0;

	m->len = 0;
	return r;
}

/* The mappings of a batch, with its other ops between them. */
static int replay(struct emit *em, struct batch *b)
{
	struct thin_emitter *e = em->e;
	unsigned at = 0;
	int r = 0;

	for (unsigned i = 0; i < b->nr_taken && !r; i++) {
		if (b->op[i].kind == OP_LEAF)
			continue;
		if (b->rec_before[i] > at)
			r = e->mappings(e, b->rec + at, b->rec_before[i] - at);
		at = b->rec_before[i];
		if (!r)
			r = put_op(e, em->p, &b->op[i]);
	}
	if (!r && b->nr_rec > at)
		r = e->mappings(e, b->rec + at, b->nr_rec - at);
	return r;
}

static int fail_batch(struct emit *em, const struct batch *b)
{
	if (b->err_why)
		pd_log(em->p->v->run->log, PD_LOG_ERR, "mapping tree: block %" PRIu64 ": %s",
		       b->err_block, b->err_why);
	return b->err;
}

/* Hands a batch on; what is right in a batch that fails comes out too. */
static int consume(struct emit *em, struct batch *b)
{
	int r;

	if (b->has_first && em->has_last && em->last_key >= b->first_bound) {
		put_one(em, &em->pending);
		stop_batch(b, b->op[0].arg, "keys overlap with those of its left neighbour");
		return fail_batch(em, b);
	}
	if (em->pending.len && b->head.len && joins(&em->pending, &b->head)) {
		b->head.vbegin = em->pending.vbegin;
		b->head.dbegin = em->pending.dbegin;
		b->head.len += em->pending.len;
		em->pending.len = 0;
	}
	r = put_one(em, &em->pending);
	if (b->head_open) {
		em->pending = b->head;
	} else if (!r) {
		r = put_one(em, &b->head);
		if (!r)
			r = em->text ? xml_write_raw(&em->text->w, b->text_buf, b->text.w.used) :
				       replay(em, b);
		em->pending = b->tail;
	}
	if (b->has_last || b->resets) {
		em->has_last = b->has_last;
		em->last_key = b->last_key;
	}
	if (!r && b->err) {
		put_one(em, &em->pending);
		r = fail_batch(em, b);
	}
	return r;
}

/* ---- Threads ---- */

/* Cuts the next batch off the walk; false at the end. Under the lock. */
static bool produce(struct emit *em, struct batch *b)
{
	unsigned leaves = 0;

	b->nr_ops = 0;
	b->after_leaf = em->last_op == OP_LEAF;
	b->inside = em->last_op != OP_END && em->last_op != OP_DEF_END &&
		    em->last_op != OP_DEVICE_END;
	while (b->nr_ops < BATCH_OPS && leaves < BATCH_LEAVES) {
		struct plan_op *op = &b->op[b->nr_ops];
		int r = plan_walk_next(&em->walk, op);

		if (r && !em->err)
			em->err = r;
		if (r || op->kind == OP_END) {
			em->ended = true;
			break;
		}
		em->last_op = op->kind;
		leaves += op->kind == OP_LEAF;
		b->nr_ops++;
	}
	em->leaves_done += leaves;
	return b->nr_ops;
}

/* Hands on what is done, in order, unless another thread is at it. Under the lock. */
static void write_done(struct emit *em)
{
	struct batch *b;

	if (em->writing)
		return;
	em->writing = true;
	while (!em->err && em->written < em->produced &&
	       (b = &em->ring[em->written % em->nr_ring])->done) {
		int r;

		pthread_mutex_unlock(&em->lock);
		r = consume(em, b);
		pthread_mutex_lock(&em->lock);
		b->done = false;
		em->written++;
		if (r && !em->err)
			em->err = r;
		pthread_cond_broadcast(&em->moved);
	}
	em->writing = false;
}

static int worker_init(struct emit *em, struct worker *w)
{
	*w = (struct worker){ .buf = pd_io_buffer(BATCH_LEAVES) };
	return w->buf ? pd_io_clone(em->p->slots->io, &w->io) : -ENOMEM;
}

static void tell_progress(struct emit *em, unsigned worker)
{
	struct pd_progress *g = em->p->v->run->progress;

	if (!worker && g && g->update)
		g->update(g->ctx, "dumping", em->leaves_done, em->leaves_all);
}

static void work(void *ctx, unsigned worker)
{
	struct emit *em = ctx;
	struct worker w;
	int r = worker_init(em, &w);

	pthread_mutex_lock(&em->lock);
	if (r && !em->err)
		em->err = r;
	while (!em->err && !em->ended) {
		struct batch *b = &em->ring[em->produced % em->nr_ring];

		if (em->produced - em->written == em->nr_ring) {
			pthread_cond_wait(&em->moved, &em->lock);
			continue;
		}
		if (!produce(em, b))
			break;
		em->produced++;
		tell_progress(em, worker);
		pthread_mutex_unlock(&em->lock);
		process(em, &w, b);
		pthread_mutex_lock(&em->lock);
		b->done = true;
		write_done(em);
	}
	pthread_cond_broadcast(&em->moved);
	pthread_mutex_unlock(&em->lock);
	pd_io_close(w.io);
	free(w.buf);
}

static unsigned nr_threads(const struct emit *em)
{
	unsigned nr = em->p->v->run->nr_threads ? em->p->v->run->nr_threads : workers_default();

	return (unsigned)min_t(uint64_t, nr, em->leaves_all / MIN_LEAVES_PER_THREAD + 1);
}

/* All defs, or all devices. */
static int emit_part(struct emit *em, bool defs)
{
	int r = plan_walk_init(&em->walk, em->p, defs);

	if (r)
		return r;
	em->ended = em->has_last = false;
	em->last_op = OP_END;
	workers_run(nr_threads(em), work, em);
	plan_walk_exit(&em->walk);
	if (!em->err)
		em->err = put_one(em, &em->pending);
	return em->err;
}

static void ring_exit(struct emit *em)
{
	for (unsigned i = 0; em->ring && i < em->nr_ring; i++) {
		free(em->ring[i].rec);
		free(em->ring[i].text_buf);
	}
	free(em->ring);
}

static int ring_init(struct emit *em)
{
	em->nr_ring = nr_threads(em) + 2;
	em->ring = calloc(em->nr_ring, sizeof(*em->ring));
	if (!em->ring)
		return -ENOMEM;
	for (unsigned i = 0; i < em->nr_ring; i++) {
		struct batch *b = &em->ring[i];

		b->rec = malloc((em->text ? 2 * LEAF_MAX_ENTRIES : BATCH_RECORDS) * sizeof(*b->rec));
		b->text_buf = em->text ? malloc(BATCH_TEXT) : NULL;
		if (!b->rec || (em->text && !b->text_buf))
			return -ENOMEM;
	}
	return 0;
}

static int emit_all(struct thin_view *v, struct emit *em)
{
	struct plan p;
	int r = v->load ? v->load(v) : 0;

	if (!r)
		r = plan_init(&p, v);
	if (r)
		return r;
	em->p = &p;
	em->leaves_all = bits_count(&p.level[0]);
	r = ring_init(em);
	if (r)
		goto out;
	pthread_mutex_init(&em->lock, NULL);
	pthread_cond_init(&em->moved, NULL);
	if (p.sharing)
		r = emit_part(em, true);
	if (!r)
		r = emit_part(em, false);
	pthread_cond_destroy(&em->moved);
	pthread_mutex_destroy(&em->lock);
out:
	ring_exit(em);
	plan_exit(&p);
	return r;
}

int thin_view_emit(struct thin_view *v, const struct thin_sb_record *sb, struct thin_emitter *e)
{
	struct emit em = { .e = e };
	int r = e->superblock(e, sb);

	if (!r)
		r = emit_all(v, &em);
	return r ? r : e->superblock_end(e);
}

int thin_view_text(struct thin_view *v, const struct thin_sb_record *sb, enum pd_text_format format,
		   bool final_newline, const struct pd_sink *sink)
{
	struct thin_text text;
	struct emit em = { .e = &text.e, .text = &text, .format = format };
	int r, flushed;

	thin_text_init(&text, format);
	r = xml_writer_init(&text.w, sink->write, sink->ctx);
	if (r)
		return r;
	text.w.final_newline = final_newline;
	text.e.superblock(&text.e, sb);
	r = xml_writer_flush(&text.w);
	if (!r)
		r = emit_all(v, &em);
	if (!r)
		r = text.e.superblock_end(&text.e);
	flushed = xml_writer_flush(&text.w);
	xml_writer_exit(&text.w);
	return r ? r : flushed;
}
