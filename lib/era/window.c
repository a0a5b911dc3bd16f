/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include "era/window.h"

int window_init(struct window *w, struct array_build *to, unsigned per_value, unsigned nr_pieces)
{
	*w = (struct window){ .to = to, .nr_pieces = nr_pieces,
			      .nr_seen = (unsigned)ceil_div((uint64_t)to->max * per_value, 64) };
	w->piece = calloc(nr_pieces, sizeof(*w->piece));
	return w->piece ? 0 : -ENOMEM;
}

static void free_list(struct window_piece *p)
{
	while (p) {
		struct window_piece *next = p->next;

		free(p->seen);
		free(p);
		p = next;
	}
}

void window_exit(struct window *w)
{
	for (unsigned i = 0; w->piece && i < w->nr_pieces; i++)
		free_list(w->piece[i]);
	free_list(w->spare);
	free(w->piece);
	*w = (struct window){ .piece = NULL };
}

/* What comes before piece @end to the builder; of the last piece @nr_last values. */
static int hand_over(struct window *w, uint64_t end, uint32_t nr_last)
{
	uint64_t held = min_t(uint64_t, end, w->first + w->nr_pieces);
	int r = 0;

	for (; !r && w->first < held; w->first++) {
		struct window_piece **at = &w->piece[w->first % w->nr_pieces], *p = *at;
		uint32_t nr = w->first + 1 == end ? nr_last : w->to->max;

		r = p ? array_build_push_many(w->to, p->values, nr) : array_build_pad(w->to, nr);
		if (p) {
			memset(p->values, 0, sizeof(p->values));
			memset(p->seen, 0, w->nr_seen * sizeof(*p->seen));
			p->next = w->spare;
			w->spare = p;
			*at = NULL;
		}
	}
	if (!r && w->first < end)
		r = array_build_pad(w->to, (end - w->first - 1) * w->to->max + nr_last);
	w->first = end;
	return r;
}

static int new_piece(struct window *w, struct window_piece **piece)
{
	struct window_piece *p = w->spare;

	if (p) {
		w->spare = p->next;
		p->next = NULL;
	} else {
		p = calloc(1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		p->seen = calloc(w->nr_seen, sizeof(*p->seen));
		if (!p->seen) {
			free(p);
			return -ENOMEM;
		}
	}
	*piece = p;
	return 0;
}

int window_get(struct window *w, uint64_t j, struct window_piece **piece)
{
	struct window_piece **at = &w->piece[j % w->nr_pieces];
	int r = j < w->first ? -ERANGE : 0;

	if (!r && j - w->first >= w->nr_pieces)
		r = hand_over(w, j - w->nr_pieces + 1, w->to->max);
	if (!r && !*at)
		r = new_piece(w, at);
	*piece = r ? NULL : *at;
	return r;
}

int window_finish(struct window *w, uint64_t nr_values)
{
	uint64_t nr = ceil_div(nr_values, w->to->max);
	int r = nr > w->first ? hand_over(w, nr, (uint32_t)(nr_values - (nr - 1) * w->to->max)) : 0;

	w->first = 0;
	return r;
}
