/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include "base/reserve.h"
#include "base/util.h"
#include "cache/twice.h"

#define SLICE_WORDS (1u << TWICE_SLICE_BITS >> 6)
#define BITS_A_MAPPING 32u
#define QUEUE_ENTRIES (4u << 20)	/* of all threads */
#define MAX_QUEUED 16384u
#define LARGE_WORDS (256u << 10)	/* from here on large pages pay */
#define MAX_SUSPECTS (2u << 20)

static int reserve_words(struct twice *t, uint64_t nr)
{
	t->nr_words = nr;
	t->words = reserve(nr, sizeof(*t->words), nr >= LARGE_WORDS);
	return t->words ? 0 : -ENOMEM;
}

int twice_init(struct twice *t, uint64_t nr, unsigned nr_threads)
{
	uint64_t most = QUEUE_ENTRIES / nr_threads;

	*t = (struct twice){ .nr = 0 };
	t->nr_threads = nr_threads;
	pthread_mutex_init(&t->lock, NULL);
	for (unsigned i = 0; i < TWICE_LOCKS; i++)
		pthread_mutex_init(&t->slice_lock[i], NULL);
	t->nr_slices = ceil_div(nr, (1u << TWICE_SLICE_BITS) / BITS_A_MAPPING) + !nr;
	t->max_queued = max_t(uint32_t, 1, (uint32_t)min_t(uint64_t, MAX_QUEUED, most / t->nr_slices));
	for (unsigned i = 0; i < nr_threads; i++) {
		struct twice_queue *q = &t->queue[i];

		q->nr = reserve(t->nr_slices, sizeof(*q->nr), false);
		q->entry = reserve(t->nr_slices * t->max_queued, sizeof(*q->entry), t->nr_slices >= 32);
		if (!q->nr || !q->entry)
			return -ENOMEM;
	}
	t->suspects = malloc(MAX_SUSPECTS * sizeof(*t->suspects));
	return t->suspects ? reserve_words(t, t->nr_slices * SLICE_WORDS) : -ENOMEM;
}

static void queues_exit(struct twice *t)
{
	for (unsigned i = 0; i < WORKERS_MAX; i++) {
		struct twice_queue *q = &t->queue[i];

		unreserve(q->nr, t->nr_slices, sizeof(*q->nr));
		unreserve(q->entry, t->nr_slices * t->max_queued, sizeof(*q->entry));
		*q = (struct twice_queue){ .nr = NULL };
	}
}

void twice_exit(struct twice *t)
{
	if (!t->nr_slices)		/* never begun */
		return;
	queues_exit(t);
	unreserve(t->words, t->nr_words, sizeof(*t->words));
	pthread_mutex_destroy(&t->lock);
	for (unsigned i = 0; i < TWICE_LOCKS; i++)
		pthread_mutex_destroy(&t->slice_lock[i]);
	free(t->suspects);
	free(t->e);
}

static void suspect(struct twice *t, uint64_t place)
{
	pthread_mutex_lock(&t->lock);
	if (t->nr_suspects < MAX_SUSPECTS)
		t->suspects[t->nr_suspects++] = place;
	else
		t->too_many = true;
	pthread_mutex_unlock(&t->lock);
}

/* What waits for a slice, into it. */
void twice_apply(struct twice *t, struct twice_queue *q, uint64_t slice)
{
	const uint32_t *entry = q->entry + slice * t->max_queued;
	uint64_t *words = t->words + slice * SLICE_WORDS;
	pthread_mutex_t *lock = &t->slice_lock[slice % TWICE_LOCKS];

	pthread_mutex_lock(lock);
	for (uint32_t i = 0; i < q->nr[slice]; i++) {
		uint64_t mask = 1ull << entry[i] % 64, *word = &words[entry[i] / 64], was = *word;

		*word = was | mask;
		if (was & mask)
			suspect(t, (slice << TWICE_SLICE_BITS) + entry[i]);
	}
	pthread_mutex_unlock(lock);
	q->nr[slice] = 0;
}

static void apply_all(void *ctx, unsigned worker)
{
	struct twice *t = ctx;
	uint64_t slice;

	(void)worker;
	while ((slice = __atomic_fetch_add(&t->next, 1, __ATOMIC_RELAXED)) < t->nr_slices)
		for (unsigned i = 0; i < t->nr_threads; i++)
			twice_apply(t, &t->queue[i], slice);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int twice_settle(struct twice *t)
{
	unsigned bits = 12;
	size_t n = 0;
	int r;

	workers_run(t->nr_slices > 1 ? t->nr_threads : 1, apply_all, t);
	if (!t->nr_suspects)
		return 0;
	queues_exit(t);
	qsort(t->suspects, t->nr_suspects, sizeof(*t->suspects), by_number);
	for (size_t i = 0; i < t->nr_suspects; i++)
		if (!i || t->suspects[i] != t->suspects[i - 1])
			t->suspects[n++] = t->suspects[i];
	t->nr_suspects = n;
	/* Few but suspects pass this one. */
	while (1ull << bits < 64 * n)
		bits++;
	t->suspect_shift = 64 - bits;
	unreserve(t->words, t->nr_words, sizeof(*t->words));
	r = reserve_words(t, 1ull << (bits - 6));
	for (size_t i = 0; !r && i < n; i++) {
		uint64_t bit = twice_bit(t, t->suspects[i]);

		t->words[bit / 64] |= 1ull << bit % 64;
	}
	return r;
}

int twice_found(struct twice *t, uint64_t place, uint64_t oblock, uint64_t cblock)
{
	int r = 0;

	if (!bsearch(&place, t->suspects, t->nr_suspects, sizeof(place), by_number))
		return 0;
	pthread_mutex_lock(&t->lock);
	if (t->nr == t->max) {
		size_t max = t->max ? 2 * t->max : 1024;
		struct cached *more = realloc(t->e, max * sizeof(*more));

		if (more) {
			t->e = more;
			t->max = max;
		}
	}
	if (t->nr < t->max)
		t->e[t->nr++] = (struct cached){ oblock, cblock };
	else
		r = -ENOMEM;
	pthread_mutex_unlock(&t->lock);
	return r;
}

static int by_oblock(const void *va, const void *vb)
{
	const struct cached *a = va, *b = vb;

	if (a->oblock != b->oblock)
		return a->oblock < b->oblock ? -1 : 1;
	return a->cblock < b->cblock ? -1 : a->cblock > b->cblock;
}

void twice_sort(struct twice *t)
{
	size_t n = 0;

	if (t->nr)
		qsort(t->e, t->nr, sizeof(*t->e), by_oblock);
	for (size_t i = 0, end; i < t->nr; i = end) {
		for (end = i + 1; end < t->nr && t->e[end].oblock == t->e[i].oblock; end++)
			;
		for (size_t k = i; end - i > 1 && k < end; k++)
			t->e[n++] = t->e[k];
	}
	t->nr = n;
}
