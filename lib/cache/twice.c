/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include "base/util.h"
#include "cache/twice.h"

#define MAX_SUSPECTS (2u << 20)

/* A word for every @a_word blocks and at least 64, a power of two, all clear. */
static int filter_init(struct twice *t, uint64_t nr, unsigned a_word)
{
	unsigned bits = 6;

	while (1ull << bits < nr / a_word)
		bits++;
	t->words = calloc(1ull << bits, sizeof(*t->words));
	t->shift = 64 - bits;
	return t->words ? 0 : -ENOMEM;
}

int twice_init(struct twice *t, uint64_t nr)
{
	*t = (struct twice){ .nr = 0 };
	pthread_mutex_init(&t->lock, NULL);
	t->suspects = malloc(MAX_SUSPECTS * sizeof(*t->suspects));
	return t->suspects ? filter_init(t, nr, 4) : -ENOMEM;
}

void twice_exit(struct twice *t)
{
	if (!t->suspects)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t->words);
	free(t->suspects);
	free(t->e);
}

static void suspect(struct twice *t, uint64_t oblock)
{
	pthread_mutex_lock(&t->lock);
	if (t->nr_suspects < MAX_SUSPECTS)
		t->suspects[t->nr_suspects++] = oblock;
	else
		t->too_many = true;
	pthread_mutex_unlock(&t->lock);
}

void twice_flush(struct twice *t, struct twice_queue *q)
{
	uint64_t hash[ARRAY_SIZE(q->oblock)];

	for (unsigned i = 0; i < q->nr; i++) {
		hash[i] = twice_hash(q->oblock[i]);
		__builtin_prefetch(&t->words[hash[i] >> t->shift], 1);
	}
	for (unsigned i = 0; i < q->nr; i++) {
		uint64_t mask = twice_mask(hash[i]);
		uint64_t old = __atomic_fetch_or(&t->words[hash[i] >> t->shift], mask, __ATOMIC_RELAXED);

		if ((old & mask) == mask)
			suspect(t, q->oblock[i]);
	}
	q->nr = 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int twice_settle(struct twice *t)
{
	size_t n = 0;
	int r;

	if (!t->nr_suspects)
		return 0;
	qsort(t->suspects, t->nr_suspects, sizeof(*t->suspects), by_number);
	for (size_t i = 0; i < t->nr_suspects; i++)
		if (!i || t->suspects[i] != t->suspects[i - 1])
			t->suspects[n++] = t->suspects[i];
	t->nr_suspects = n;
	/* Only suspects pass the filter now. */
	free(t->words);
	r = filter_init(t, n, 1);
	for (size_t i = 0; !r && i < n; i++) {
		uint64_t hash = twice_hash(t->suspects[i]);

		t->words[hash >> t->shift] |= twice_mask(hash);
	}
	return r;
}

int twice_found(struct twice *t, uint64_t oblock, uint64_t cblock)
{
	int r = 0;

	if (!bsearch(&oblock, t->suspects, t->nr_suspects, sizeof(oblock), by_number))
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
