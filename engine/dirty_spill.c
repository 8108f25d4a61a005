/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spilling: everything below the roots goes to the file, a chunk at a time. A chunk is given
 * numbers, written, and only then are its buffers freed; if the write fails, its pages and the
 * pointers to them become dirty again as they were, so the transaction can still be read (but not
 * committed).
 *
 * Parents outlive their children here: a parent is always in a later chunk, in the same one, or a
 * root.
 */
#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/dirty_private.h"
#include "internal/error.h"

struct chunk {
	struct dirty_item *items;
	unsigned n;
	uint64_t no, room; /* taken pages */
	bool roots;        /* take part */
};

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

static void chunk_number(struct dirty *d, const struct chunk *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		dirty_item_place(d, &c->items[i], c->no + i);
		file_seal(d->file, c->items[i].page);
	}
	file_forget_seen(d->file, c->no, c->n);
}

static void chunk_undo(struct dirty *d, const struct chunk *c)
{
	for (unsigned i = 0; i < c->n; i++)
		dirty_item_place(d, &c->items[i], PAGE_DIRTY | c->items[i].index);
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
	int r = 0;
	c->n = 0;
	while (c->n < c->room && !(r = dirty_walk_next(d, walk, &c->items[c->n])))
		c->n += c->roots || c->items[c->n].place;
	*more = !r;
	if (r > 0)
		r = 0;
	if (!r && written_reserve(d, c->n))
		r = error_system(ENOMEM, "listing the pages written early");
	unsigned keep = 0;
	if (!r && c->n) {
		chunk_number(d, c);
		r = chunk_write(d, c);
		if (r) {
			chunk_undo(d, c);
		} else {
			chunk_done(d, c);
			keep = c->n;
		}
	}
	if (keep < c->room)
		d->host.give(d->host.ctx, c->no + keep, c->room - keep);
	return r;
}

/* `left` dirty pages, those that the walk meets. */
static int spill_walk(struct dirty *d, struct dirty_walk walk, uint64_t left, bool roots)
{
	struct dirty_private *x = d->extra;
	bool more = true;

	if (!x->chunk)
		x->chunk = malloc(SPILL_PAGES * sizeof *x->chunk);
	if (!x->chunk)
		return error_system(ENOMEM, "writing a transaction's pages early");
	struct chunk c = { .items = x->chunk, .roots = roots };
	while (more && left) {
		int r = chunk_take(d, &c, left);
		if (!r)
			r = spill_chunk(d, &walk, &c, &more);
		if (r)
			return r;
		left -= c.n;
	}
	return 0;
}

static int spill(struct dirty *d)
{
	uint64_t left = d->live;
	for (unsigned i = 0; i < d->n_roots; i++)
		left -= (d->roots[i]->no & PAGE_DIRTY) != 0;
	return spill_walk(d, (struct dirty_walk){ 0 }, left, false);
}

int dirty_settle_all(struct dirty *d)
{
	int r = spill_walk(d, (struct dirty_walk){ 0 }, d->live, true);
	if (!r && d->live)
		return error_set(DUR_E_MISUSE,
		                 "%u pages of a transaction hang in none of its trees; close it",
		                 d->live);
	return r;
}

int dirty_settle(struct dirty *d, uint8_t *place)
{
	const struct dirty_walk from = { .top = place };
	struct dirty_walk walk = from;
	struct dirty_item item;
	uint64_t n = 0;
	int r = d->failed;

	while (!r && !(r = dirty_walk_next(d, &walk, &item)))
		n++;
	if (r < 0)
		return r;
	d->failed = spill_walk(d, from, n, false);
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
