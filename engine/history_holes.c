/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space given back. A free page may be overwritten (I1, I2: history.h), so it may be punched: a hole
 * is a page overwritten with zeros, which recovery never looks at. Nothing else may be: not a page
 * that waits in a queue or a bucket, not one that the head's successor has taken.
 *
 * A hole is not used as it is: a commit into it would have the file system find it space, which
 * costs the commit time, and on a full disk would fail in the middle. So holes are kept apart from
 * `free`, get their space again by file_refill(), a step ahead of use, and only once nothing in
 * `free` will do. The free map on disk does not tell the two apart: a writer that starts learns from
 * the file system what is a hole, chunk by chunk, before it takes from the chunk for the first time.
 */
#include "engine/history_private.h"

#include <errno.h>

#include "duramen.h"
#include "internal/error.h"

/* ---- Learning ---- */

static bool is_looked(const struct history *h, uint64_t chunk)
{
	return chunk < h->looked.n && h->looked.bits[chunk / 64] >> chunk % 64 & 1;
}

/* Moves what is free in [no, no + n) to the holes. 1: something was. */
static int set_apart(struct history *h, uint64_t no, uint64_t n)
{
	uint64_t end = no + n, start, len;
	int moved = 0;

	while (no < end && runs_at_or_after(&h->free, no, &start, &len, NULL) && start < end) {
		uint64_t from = start > no ? start : no;
		uint64_t to = start + len < end ? start + len : end;
		if (runs_add(&h->holes, from, to - from, 0, true) < 0 ||
		    runs_remove(&h->free, from, to - from, NULL) < 0)
			return error_system(ENOMEM, "noting free space");
		no = to;
		moved = 1;
	}
	return moved;
}

/* Looks at a chunk; what is clear of holes behind it is known as well. */
static int look_at(struct history *h, uint64_t chunk)
{
	uint64_t from = chunk << CHUNK_SHIFT, to = from + CHUNK_PAGES, start, n;
	uint64_t clear_to = h->file_pages >> CHUNK_SHIFT;
	int moved = 0, rc;

	if (to > h->file_pages)
		to = h->file_pages;
	rc = history_chunks_reserve(&h->looked, clear_to);
	while (rc == 0 && from < to && file_hole(h->file, from, to, &start, &n) == 0) {
		rc = set_apart(h, start, n);
		moved |= rc == 1;
		rc = rc == 1 ? 0 : rc;
		from = start + n;
	}
	if (rc < 0)
		return rc;
	h->looked.bits[chunk / 64] |= (uint64_t)1 << chunk % 64;
	if (from < to) /* the last answer tells up to where there is none */
		for (uint64_t c = chunk + 1; c < clear_to && start >= (c + 1) << CHUNK_SHIFT; c++)
			h->looked.bits[c / 64] |= (uint64_t)1 << c % 64;
	return moved;
}

int history_look(struct history *history, uint64_t no, uint64_t n)
{
	int moved = 0;

	for (uint64_t c = no >> CHUNK_SHIFT; c <= (no + n - 1) >> CHUNK_SHIFT; c++) {
		int rc = is_looked(history, c) ? 0 : look_at(history, c);
		if (rc < 0)
			return rc;
		moved |= rc;
	}
	return moved;
}

/* ---- Using again ---- */

int history_refill(struct history *history, uint64_t n, bool direct, uint64_t *no)
{
	struct runs *holes = &history->holes;
	uint64_t start, len, step = file_step(history->file_pages);
	int rc = history_fit(history, holes, n, no);

	if (rc != 0)
		return rc;
	if (!runs_holds(holes, *no, &start, &len, NULL))
		return 1;
	len -= *no - start;
	len = direct || len < n ? n : len < step ? len : step > n ? step : n;
	rc = file_refill(history->file, *no, len, direct);
	if (rc < 0 && len > n) /* a nearly full disk may hold what is needed */
		rc = file_refill(history->file, *no, len = n, direct);
	if (rc < 0)
		return rc;
	if (runs_add(&history->free, *no, len, 0, true) < 0 ||
	    runs_remove(holes, *no, len, NULL) < 0)
		return error_system(ENOMEM, "noting free space");
	return 0;
}

/* One of the sets on the way through both. */
struct next_run {
	struct runs_walk walk;
	uint64_t start, n;              /* UINT64_MAX: there are no more */
};

static void step(struct next_run *next)
{
	if (!runs_walk_next(&next->walk, &next->start, &next->n))
		next->start = UINT64_MAX;
}

bool history_free_visit(const struct history *history, uint64_t from, uint64_t to,
                        bool (*fn)(void *ctx, uint64_t start, uint64_t n), void *ctx)
{
	struct next_run free, holes, *first, *other;

	runs_walk_open(&free.walk, &history->free, from);
	runs_walk_open(&holes.walk, &history->holes, from);
	step(&free);
	step(&holes);
	for (;;) {
		first = free.start < holes.start ? &free : &holes;
		uint64_t start = first->start, end = start + first->n;
		if (start >= to)
			return true;
		for (step(first); ; step(other)) { /* where one ends the other may go on */
			other = free.start < holes.start ? &free : &holes;
			if (other->start != end)
				break;
			end += other->n;
		}
		if (!fn(ctx, start, end - start))
			return false;
	}
}

/* ---- Giving back ---- */

/* The end of a run, so that what is left lies low; at most n pages. */
static int give_run(struct history *h, uint64_t start, uint64_t len, uint64_t n)
{
	uint64_t no = start + len - n;
	int rc = file_punch(h->file, no, n);

	h->keeps = rc != 0;
	if (rc == 0)
		rc = set_apart(h, no, n) < 0 ? -ENOMEM : 0;
	return rc;
}

int history_give_back(struct history *history, const struct give_back *how, uint64_t *given)
{
	uint64_t below = UINT64_MAX, start, len, n;
	int rc = 0;

	*given = 0;
	while (rc == 0 && !history->keeps && *given < how->pages &&
	       history->free.total >= how->reserve + how->run &&
	       runs_last_fit(&history->free, how->run, below, &start, &len)) {
		n = how->pages - *given;
		if (n > history->free.total - how->reserve)
			n = history->free.total - how->reserve;
		if (n > len)
			n = len;
		if (n < how->run)
			break;
		rc = history_look(history, start + len - n, n);
		if (rc == 1) { /* some of it was given back before */
			rc = 0;
			continue;
		}
		if (rc == 0)
			rc = give_run(history, start, len, n);
		if (rc == 0)
			*given += n;
		below = start + 1;
	}
	return rc < 0 ? rc : 0;
}
