/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pins hold back, by who holds them. Only pages that retention has let go of count: those that
 * died at or before the oldest retained state, and the system's own, which retention does not keep.
 * Dead lists of later deaths are not looked at, so this costs about what a writer's start does.
 */
#include "engine/history_private.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/error.h"

struct held {
	const struct store_holding *pins;       /* sorted by state */
	size_t n;
	uint64_t oldest;                        /* retained */
	uint64_t *pages;                        /* by holder */
	struct history *history;
	int rc;
};

enum { NOBODY = -1, SEVERAL = -2 };

/* Who pins a state in [birth, death). */
static int64_t holder_of(const struct held *h, uint64_t birth, uint64_t death)
{
	size_t low = 0, high = h->n;
	int64_t who = NOBODY;

	for (size_t i = 0; i < h->n && h->pins[i].state < death; i++) {
		if (!h->pins[i].onward)
			continue;
		if (who != NOBODY && who != h->pins[i].holder)
			return SEVERAL;
		who = h->pins[i].holder;
	}
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (h->pins[mid].state < birth)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < h->n && h->pins[low].state < death; low++) {
		if (who != NOBODY && who != h->pins[low].holder)
			return SEVERAL;
		who = h->pins[low].holder;
	}
	return who;
}

static void count(struct held *h, uint64_t n, uint64_t birth, uint64_t death, enum page_class class)
{
	bool kept = false;
	int64_t who;

	if (class == CLASS_DATA && death > h->oldest)
		return;
	if (class == CLASS_DATA && h->rc == 0)
		h->rc = history_kept_in(h->history, birth, death, &kept);
	if (kept || h->rc < 0)
		return;
	who = holder_of(h, birth, death);
	if (who >= 0)
		h->pages[who] += n;
}

static void count_queue(struct held *h, const struct queue *q)
{
	for (size_t i = q->head; i < q->n; i++) {
		const struct pending *e = &q->items[i];
		count(h, e->n, e->birth, e->death, e->class);
	}
}

static int count_dead(void *ctx, uint64_t death, const struct cell *cell)
{
	struct retired *list = NULL;
	size_t n = 0;
	int rc = retired_decode(cell->bytes + 1, cell->len - 1, death, &list, &n);

	for (size_t i = 0; i < n && rc == 0; i++)
		count(ctx, list[i].n, list[i].birth, death, CLASS_DATA);
	free(list);
	return rc;
}

static int by_state(const void *a, const void *b)
{
	const struct store_holding *x = a, *y = b;

	return (x->state > y->state) - (x->state < y->state);
}

int history_held(struct file *file, const struct record *newest, struct store_holding *pins,
                 size_t n, uint64_t *pages)
{
	const struct pager pager = { .file = file };
	struct held held = {
		.pins = pins, .n = n, .oldest = newest->state.oldest, .pages = pages,
	};
	struct history *h = NULL;
	int rc = history_open(file, &h);

	if (rc < 0)
		return rc;
	if (n > 1)
		qsort(pins, n, sizeof *pins, by_state);
	rc = history_load(h, newest);
	held.history = h;
	if (rc == 0) {
		count_queue(&held, &h->data);
		count_queue(&held, &h->system);
		rc = history_each(&pager, &h->tree, KEY_DEAD, h->drained + 1, held.oldest,
		                  count_dead, &held);
	}
	history_close(h);
	return rc < 0 ? rc : held.rc;
}
