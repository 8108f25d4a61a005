/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks. All pages are written when a mark is made, so a mark is some words: the roots, how long the
 * lists were, and what stood in the tables that change in place (counts of parents, what waits in the
 * removal queue). Going back drops every page in memory, gives back what was listed as written since, and
 * lists again what was given up since.
 *
 * Why a page given up is held back: the mark's trees name it by its number. It is not listed as written
 * while it is held, so a commit has to let go of it first, and all marks end with that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "duramen.h"
#include "engine/dirty_private.h"
#include "engine/grow.h"
#include "internal/error.h"

enum { MARKS_MAX = 65535 }; /* what struct written can tell */

struct dirty_mark {
	struct page_ptr roots[sizeof ((struct dirty *)0)->roots / sizeof(struct page_ptr *)];
	unsigned n_roots;
	size_t n_retired, n_held, n_since;
	int64_t system_pages;
	bool sharing;
	struct count *count;    /* a copy of the whole hash */
	size_t n_count, cap_count;
	struct queued *queue;   /* a copy of it */
	size_t n_queue;
};

static const char no_room[] = "a mark in a transaction needs more memory than there is";

/* *to: NULL if there is nothing to copy. */
static int copy_of(const void *from, size_t n, size_t size, void *to)
{
	void *copy = n ? malloc(n * size) : NULL;
	if (n && !copy)
		return error_system(ENOMEM, "%s", no_room);
	if (n)
		memcpy(copy, from, n * size);
	memcpy(to, &copy, sizeof copy);
	return 0;
}

/* ---- What is given up ---- */

int dirty_hold_reserve(struct dirty *d)
{
	struct dirty_private *x = d->extra;
	if (likely(!x->n_marks))
		return 0;
	return grow_array(&x->held, &x->cap_held, x->n_held + 1, sizeof *x->held, no_room);
}

static void give(struct dirty *d, const struct written *w)
{
	file_forget_seen(d->file, w->no, w->n);
	d->host.give(d->host.ctx, w->no, w->n);
}

void dirty_give(struct dirty *d, const struct written *w)
{
	struct dirty_private *x = d->extra;
	if (unlikely(w->mark < x->n_marks))
		x->held[x->n_held++] = *w;
	else
		give(d, w);
}

/* ---- Marks ---- */

static void mark_free(struct dirty_mark *m)
{
	free(m->count);
	free(m->queue);
}

static int mark_fill(const struct dirty *d, struct dirty_mark *m)
{
	const struct dirty_private *x = d->extra;

	*m = (struct dirty_mark){
		.n_roots = d->n_roots, .n_retired = d->n_retired, .n_held = x->n_held,
		.n_since = x->n_since, .system_pages = d->system_pages, .sharing = d->sharing,
		.n_count = x->n_count, .cap_count = x->cap_count, .n_queue = x->n_queue,
	};
	for (unsigned i = 0; i < d->n_roots; i++)
		m->roots[i] = *d->roots[i];
	int r = copy_of(x->count, x->cap_count, sizeof *x->count, &m->count);
	if (!r)
		r = copy_of(x->queue, x->n_queue, sizeof *x->queue, &m->queue);
	if (r)
		mark_free(m);
	return r;
}

int dirty_mark(struct dirty *d)
{
	struct dirty_private *x = d->extra;
	int r = d->failed;

	if (r)
		return error_set(r, "a write of this transaction failed half-way: roll back to a mark "
		                 "before it, or close it");
	if (x->n_marks == MARKS_MAX)
		return error_set(DUR_E_LIMIT, "a transaction has at most %d marks: roll back to an "
		                 "older one, or commit", MARKS_MAX);
	r = grow_array(&x->marks, &x->cap_marks, x->n_marks + 1, sizeof *x->marks, no_room);
	if (!r)
		r = dirty_settle_all(d);
	if (!r)
		r = mark_fill(d, &x->marks[x->n_marks]);
	if (r)
		return r;
	d->moves++;
	return (int)++x->n_marks;
}

/* What was listed since goes; of what was given up since, what is older is listed again. */
static void restore_written(struct dirty *d, const struct dirty_mark *m, size_t mark)
{
	struct dirty_private *x = d->extra;

	while (x->n_since > m->n_since) {
		uint64_t no = x->since[--x->n_since];
		const struct written *found = written_find(d, no);
		struct written w;
		/* it may have been given up, and taken again since */
		if (found && found->mark >= mark && written_remove(d, no, &w) == 0)
			give(d, &w);
	}
	while (x->n_held > m->n_held) {
		const struct written *w = &x->held[--x->n_held];
		if (w->mark < mark)
			written_add_again(d, w);
		else
			give(d, w);
	}
}

int dirty_rollback(struct dirty *d, unsigned mark)
{
	struct dirty_private *x = d->extra;
	struct dirty_mark *m;
	struct count *count;
	struct queued *queue;

	if (mark == 0 || mark > x->n_marks)
		return error_set(DUR_E_STALE, "this mark ended: with a rollback to an older one, or a "
		                 "commit that failed");
	m = &x->marks[mark - 1];
	int r = copy_of(m->count, m->cap_count, sizeof *count, &count);
	if (r)
		return r;
	r = copy_of(m->queue, m->n_queue, sizeof *queue, &queue);
	if (!r && written_reserve(d, x->n_held - m->n_held))
		r = error_system(ENOMEM, "%s", no_room);
	if (r) {
		free(count);
		return r;
	}
	for (uint32_t i = 0; i < d->n_pages; i++)
		if (d->pages[i])
			dirty_free_page(d, i);
	restore_written(d, m, mark);
	for (unsigned i = 0; i < m->n_roots; i++)
		*d->roots[i] = m->roots[i];
	d->n_roots = m->n_roots;
	d->n_retired = m->n_retired;
	d->system_pages = m->system_pages;
	d->sharing = m->sharing;
	d->failed = 0;          /* there is no mark behind a failure */
	d->moves++;
	free(x->count);
	x->count = count;
	x->n_count = m->n_count;
	x->cap_count = m->cap_count;
	free(x->queue);
	x->queue = queue;
	x->n_queue = x->cap_queue = m->n_queue;
	while (x->n_marks > mark)
		mark_free(&x->marks[--x->n_marks]);
	return 0;
}

/* ---- The end ---- */

void dirty_marks_free(struct dirty *d)
{
	struct dirty_private *x = d->extra;

	while (x->n_marks)
		mark_free(&x->marks[--x->n_marks]);
	free(x->marks);
	free(x->held);
	free(x->since);
	x->marks = NULL;
	x->held = NULL;
	x->since = NULL;
	x->cap_marks = x->n_held = x->cap_held = x->n_since = x->cap_since = 0;
}

void dirty_marks_end(struct dirty *d)
{
	struct dirty_private *x = d->extra;

	if (!x->n_marks)
		return;
	for (size_t i = 0; i < x->n_held; i++)
		give(d, &x->held[i]);
	/* marks that come after a commit that failed are counted from 0 again */
	for (size_t i = 0; i < x->cap_set; i++)
		x->set[i].mark = 0;
	dirty_marks_free(d);
}
