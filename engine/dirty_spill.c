/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spilling: everything below the roots goes to the file, a chunk at a time. A chunk is given
 * numbers, written, and only then are its buffers freed; if the write fails, its pages and the
 * pointers to them become dirty again as they were, so the transaction can still be read (but not
 * committed).
 *
 * Parents outlive their children here: a parent is always in a later chunk, in the same one, or a
 * root.
 *
 * A page that several places name is written once; its buffer stays, with its number, until the walk
 * has told that to all of them. So the walk goes on to its end, also after a failure. Another walk
 * before it sees whether they can all be told, and what memory that takes.
 */
#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/dirty_private.h"
#include "engine/grow.h"
#include "internal/error.h"

enum what {
	SPILL_BELOW,            /* the roots stay in memory, unless they are shared */
	SPILL_SHARED,           /* what is shared, and all below it */
	SPILL_ALL,
};

struct chunk {
	struct dirty_item *items;
	unsigned n;
	uint64_t no, room; /* taken pages */
	enum what what;
};

static bool takes(enum what what, const struct dirty_item *item)
{
	return item->shared || what == SPILL_ALL || (what == SPILL_BELOW && item->place);
}

/* Contiguous space for as many of n pages as can be had. */
static int chunk_take(struct dirty *d, struct chunk *c, uint64_t n)
{
	int r;
	for (c->room = n < SPILL_PAGES ? n : SPILL_PAGES;; c->room /= 2) {
		r = d->host.take(d->host.ctx, c->room, &c->no);
		if (!r || c->room == 1)
			return r;
	}
}

static void chunk_seal(struct dirty *d, const struct chunk *c)
{
	for (unsigned i = 0; i < c->n; i++)
		file_seal(d->file, c->items[i].page);
	file_forget_seen(d->file, c->no, c->n);
}

/* Its pages are dirty again, in all places. */
static void chunk_undo(struct dirty *d, const struct chunk *c)
{
	struct dirty_private *x = d->extra;

	for (unsigned i = 0; i < c->n; i++)
		dirty_item_place(d, &c->items[i], PAGE_DIRTY | c->items[i].index);
	for (size_t i = 0; i < x->n_told; i++)
		dirty_tell(d, &x->told[i], page_no(d->pages[x->told[i].index]));
}

static void chunk_done(struct dirty *d, const struct chunk *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		const struct dirty_item *item = &c->items[i];
		written_add(d, &(struct written){
				       .no = c->no + i,
				       .n = 1,
				       .sum = item->page->sum,
			       });
		if (!dirty_extra(d, item->index))
			dirty_free_page(d, item->index);
		file_mark_seen(d->file, c->no + i);
	}
	d->spilled_bytes += (uint64_t)c->n << PAGE_SHIFT;
}

static int chunk_write(struct dirty *d, const struct chunk *c)
{
	struct io *io = d->file->io;
	struct iovec iov[SPILL_PAGES];
	for (unsigned i = 0; i < c->n; i++)
		iov[i] = (struct iovec){ c->items[i].page, PAGE_SIZE };
	int r = io->ops->write(io, &(struct io_write){ c->no << PAGE_SHIFT, iov, c->n });
	if (r)
		return error_system(
			-r, "writing a transaction's pages early, as its memory limit asks for, "
			    "failed");
	io->ops->start(io, c->no << PAGE_SHIFT, (uint64_t)c->n << PAGE_SHIFT);
	return 0;
}

/* Spills one chunk of up to c->room pages, which are taken. *more: the walk has not ended. */
static int spill_chunk(struct dirty *d, struct dirty_walk *walk, struct chunk *c, bool *more)
{
	struct dirty_private *x = d->extra;
	int r = 0;
	c->n = 0;
	x->n_told = 0;
	while (c->n < c->room && !(r = dirty_walk_next(d, walk, &c->items[c->n])))
		if (takes(c->what, &c->items[c->n])) {
			dirty_item_place(d, &c->items[c->n], c->no + c->n);
			c->n++;
		}
	*more = !r;
	if (r > 0)
		r = 0;
	if (!r && written_reserve(d, c->n))
		r = error_system(ENOMEM, "listing the pages written early");
	if (!r && c->n) {
		chunk_seal(d, c);
		r = chunk_write(d, c);
	}
	if (r) {
		chunk_undo(d, c);
		c->n = 0;
	} else {
		chunk_done(d, c);
	}
	if (c->n < c->room)
		d->host.give(d->host.ctx, c->no + c->n, c->room - c->n);
	return r;
}

/* The rest of the walk, without writing; then all know the numbers of the shared pages written. */
static void tell_all(struct dirty *d, struct dirty_walk *walk, bool more)
{
	struct dirty_private *x = d->extra;
	struct dirty_item item;

	x->n_told = 0;
	while (more && !dirty_walk_next(d, walk, &item))
		continue;
	for (uint32_t i = 0; dirty_share_next(d, &i); i++) {
		if (page_no(d->pages[i]) & PAGE_DIRTY)
			continue;
		ref_numbered(d, page_no(d->pages[i]), dirty_extra(d, i));
		dirty_free_page(d, i);
	}
}

/* `left` dirty pages, those that the walk meets. */
static int spill_walk(struct dirty *d, struct dirty_walk walk, uint64_t left, enum what what)
{
	struct dirty_private *x = d->extra;
	bool more = true, shared = d->n_shared;
	int r = 0;

	if (!x->chunk)
		x->chunk = malloc(SPILL_PAGES * sizeof *x->chunk);
	if (!x->chunk)
		return error_system(ENOMEM, "writing a transaction's pages early");
	struct chunk c = { .items = x->chunk, .what = what };
	while (more && left && !r) {
		r = chunk_take(d, &c, left);
		if (!r)
			r = spill_chunk(d, &walk, &c, &more);
		left -= c.n;
	}
	if (shared)
		tell_all(d, &walk, more);
	return r;
}

/*
 * Before a walk over shared pages: how many pages it takes, and all the memory that it needs. 1: a
 * place that names a shared page hangs in no tree, and could not be told.
 */
static int look(struct dirty *d, enum what what, uint64_t *n)
{
	struct dirty_private *x = d->extra;
	struct dirty_walk walk = { 0 };
	struct dirty_item item;
	int r;

	*n = 0;
	while (!(r = dirty_walk_next(d, &walk, &item)))
		*n += takes(what, &item);
	if (r > 0)
		r = ref_reserve(d, d->n_shared);
	if (!r)
		r = grow_array(&x->told, &x->cap_told, walk.again, sizeof *x->told,
		               "writing a transaction's pages early");
	for (uint32_t i = 0; !r && dirty_share_next(d, &i); i++) {
		const struct dirty_shared *s = dirty_shared(d, i);
		r = s->walk == walk.id && s->met != s->extra + 1;
	}
	return r;
}

static int hangs_nowhere(void)
{
	return error_set(DUR_E_MISUSE, "pages of a transaction hang in none of its trees; close it");
}

static int spill(struct dirty *d)
{
	uint64_t left = d->live;
	int r = 0;
	for (unsigned i = 0; i < d->n_roots; i++)
		left -= (d->roots[i]->no & PAGE_DIRTY) != 0;
	if (d->n_shared)
		r = look(d, SPILL_BELOW, &left);
	if (r)
		return r < 0 ? r : 0; /* nothing can be written now */
	return spill_walk(d, (struct dirty_walk){ 0 }, left, SPILL_BELOW);
}

int dirty_settle_all(struct dirty *d)
{
	uint64_t left = d->live;
	int r = d->n_shared ? look(d, SPILL_ALL, &left) : 0;
	if (!r)
		r = spill_walk(d, (struct dirty_walk){ 0 }, left, SPILL_ALL);
	return r > 0 || (!r && d->live) ? hangs_nowhere() : r;
}

int dirty_settle_shared(struct dirty *d)
{
	uint64_t left;
	int r = d->failed;

	if (r || !d->n_shared)
		return r;
	r = look(d, SPILL_SHARED, &left);
	if (!r)
		r = spill_walk(d, (struct dirty_walk){ 0 }, left, SPILL_SHARED);
	if (r > 0 || (!r && d->n_shared))
		r = hangs_nowhere();
	d->failed = r;
	return r;
}

int dirty_settle(struct dirty *d, uint8_t *place)
{
	const struct dirty_walk from = { .top = place };
	struct dirty_walk walk = from;
	struct dirty_item item;
	uint64_t n = 0;
	int r = d->failed;

	if (!r && d->n_shared)
		return error_set(DUR_E_MISUSE, "pages that other places name, too, cannot be written "
		                 "for one");
	while (!r && !(r = dirty_walk_next(d, &walk, &item)))
		n++;
	if (r < 0)
		return r;
	d->failed = spill_walk(d, from, n, SPILL_BELOW);
	return d->failed;
}

int dirty_relieve(struct dirty *d)
{
	if (d->failed)
		return d->failed;
	if (!d->limit_bytes || ((uint64_t)d->live << PAGE_SHIFT) <= d->limit_bytes)
		return 0;
	d->failed = spill(d);
	return d->failed;
}
