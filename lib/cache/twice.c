/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include "base/util.h"
#include "cache/twice.h"

#define FILTER_BITS_A_BLOCK 16u
#define MAX_SUSPECTS (2u << 20)

int twice_init(struct twice *t, uint64_t nr)
{
	*t = (struct twice){ .nr = 0 };
	pthread_mutex_init(&t->lock, NULL);
	t->suspects = malloc(MAX_SUSPECTS * sizeof(*t->suspects));
	if (!t->suspects)
		return -ENOMEM;
	return bits_init(&t->filter, max_t(uint64_t, 4096, FILTER_BITS_A_BLOCK * nr));
}

void twice_exit(struct twice *t)
{
	if (!t->suspects)
		return;
	pthread_mutex_destroy(&t->lock);
	bits_exit(&t->filter);
	free(t->suspects);
	free(t->e);
}

void twice_suspect(struct twice *t, uint64_t oblock)
{
	pthread_mutex_lock(&t->lock);
	if (t->nr_suspects < MAX_SUSPECTS)
		t->suspects[t->nr_suspects++] = oblock;
	else
		t->too_many = true;
	pthread_mutex_unlock(&t->lock);
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
	bits_exit(&t->filter);
	r = bits_init(&t->filter, max_t(uint64_t, 4096, FILTER_BITS_A_BLOCK * n));
	for (size_t i = 0; !r && i < n; i++)
		bits_set(&t->filter, twice_bit(t, t->suspects[i]));
	return r;
}

int twice_again(struct twice *t, uint64_t oblock, uint64_t cblock)
{
	int r = 0;

	if (!t->nr_suspects || !bits_test(&t->filter, twice_bit(t, oblock)) ||
	    !bsearch(&oblock, t->suspects, t->nr_suspects, sizeof(oblock), by_number))
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
