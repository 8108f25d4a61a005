/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pins hold back, by who holds them, and what names do. Only pages that retention has let go
 * of count: those that died at or before the oldest retained state, and the system's own, which
 * retention does not keep. Dead lists of later deaths are not looked at, so this costs about what a
 * writer's start does.
 */
#include "engine/history_private.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

struct held {
	const struct store_holding *pins; /* sorted by state */
	size_t n;
	uint64_t oldest; /* retained */
	uint64_t *pages; /* by holder */
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
		.pins = pins,
		.n = n,
		.oldest = newest->state.oldest,
		.pages = pages,
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

/* ---- Names ---- */

/* What one kept state alone holds, of those retained. */
struct alone {
	uint64_t state, previous, next; /* retained */
	uint64_t pages;
};

static void alone_add(struct alone *a, uint64_t n, uint64_t birth, uint64_t death)
{
	if (birth > a->previous && birth <= a->state && death > a->state && death <= a->next)
		a->pages += n;
}

static int alone_kept(void *ctx, uint64_t holder, const struct pending *e)
{
	(void)holder; /* it may have been dropped: then the state is the youngest before it */
	((struct alone *)ctx)->pages += e->n;
	return 0;
}

static int alone_dead(void *ctx, uint64_t death, const struct cell *cell)
{
	struct retired *list = NULL;
	size_t n = 0;
	int rc = retired_decode(cell->bytes + 1, cell->len - 1, death, &list, &n);

	for (size_t i = 0; i < n && rc == 0; i++)
		alone_add(ctx, list[i].n, list[i].birth, death);
	free(list);
	return rc;
}

static void alone_queue(struct alone *a, const struct queue *q)
{
	for (size_t i = q->head; i < q->n; i++)
		alone_add(a, q->items[i].n, q->items[i].birth, q->items[i].death);
}

static int held_alone(struct history *h, struct alone *a)
{
	const struct pager pager = { .file = h->file };
	const struct kept_range mine = { .holder_from = a->state,
		                         .holder_to = a->next,
		                         .born_after = a->previous,
		                         .born_until = a->state };
	int rc = history_each_kept(&pager, &h->tree, &mine, alone_kept, a);

	alone_queue(a, &h->kept);
	alone_queue(a, &h->data);
	if (rc == 0 && h->drained < a->next)
		rc = history_each(&pager, &h->tree, KEY_DEAD,
		                  (h->drained > a->state ? h->drained : a->state) + 1, a->next,
		                  alone_dead, a);
	return rc;
}

/* A kept state's name: what would go with it. */
static int held_by_name(struct history *h, const struct record *newest,
                        const struct state_name *name, uint64_t *pages)
{
	struct state_name without = *name;
	const struct history_change change = { .names = &without, .n_names = 1 };
	struct alone a = { .state = name->state };
	struct retention r;
	struct state state, next;
	bool kept = true;
	int rc = history_retention(h->file, newest, &r);

	without.state = 0; /* as if it were taken away */
	r.change = &change;
	if (rc == 0)
		rc = history_kept_beside(h, a.state, &a.previous, &a.next);
	if (rc == 0)
		rc = history_find(h->file, newest, a.state, &state);
	if (rc == 0)
		rc = history_find(h->file, newest, a.next, &next);
	if (rc == 0)
		rc = history_keeps(&r, a.state, state.time_ns, next.time_ns, &kept);
	if (rc == 0 && !kept)
		rc = held_alone(h, &a);
	*pages = a.pages;
	return rc;
}

int history_kept_pages(struct file *file, const struct record *newest, uint64_t *pages)
{
	const struct pager pager = { .file = file };
	uint8_t key[SYSTEM_KEY_MAX];
	struct cell cell;
	int rc;

	*pages = 0;
	if (newest->state.system.depth == 0)
		return 0;
	rc = tree_get(&pager, &newest->state.system, key, history_key(key, KEY_HEADER, 0), &cell);
	if (rc != 0 || cell.len != HEADER_CELL)
		return rc < 0 ? rc : history_damaged("its header");
	*pages = get_u64(cell.bytes + 33);
	return 0;
}

int history_names_held(struct file *file, const struct record *newest,
                       const struct state_name *names, size_t n, uint64_t *pages)
{
	struct history *h = NULL;
	int rc = 0;

	memset(pages, 0, n * sizeof *pages);
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (names[i].state >= newest->state.oldest)
			continue; /* the range keeps it */
		if (!h) {
			rc = history_open(file, &h);
			rc = rc < 0 ? rc : history_load(h, newest);
		}
		if (rc == 0)
			rc = held_by_name(h, newest, &names[i], &pages[i]);
	}
	history_close(h);
	return rc;
}
