/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placing: dirty pages get their numbers. A page can be sealed only when all its pointers are
 * final, so children come before parents; key order puts neighbours side by side, and the same
 * transaction always makes the same file.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/dirty_private.h"
#include "engine/grow.h"
#include "engine/refs.h"
#include "internal/error.h"

/* In a place: the page there is to be looked into for references. */
enum { PLACE_LOOK = 1 << 15 };

/* The places of the dirty pages that a page names, the last one first. */
static int walk_refs(struct dirty_private *x, const struct page *page)
{
	struct page_refs it;
	struct page_ref ref;
	size_t from = x->n_places;

	page_refs_open(&it, page);
	while (page_refs_next(&it, &ref) == 0) {
		if (!(ref.ptr.no & PAGE_DIRTY))
			continue;
		int r = grow_array(&x->places, &x->cap_places, x->n_places + 1, sizeof *x->places,
		                   "walking over a transaction's pages");
		if (r)
			return r;
		/* A leaf is looked into only where its cells may name pages. */
		bool look = ref.level || ref.refs;
		x->places[x->n_places++] = (uint16_t)(ref.at | (look ? PLACE_LOOK : 0));
	}
	for (size_t low = from, high = x->n_places; low + 1 < high; low++) {
		uint16_t swap = x->places[low];
		x->places[low] = x->places[--high];
		x->places[high] = swap;
	}
	return 0;
}

/* A place that names a shared page: whether the walk was there before. */
static bool walk_met(struct dirty *d, struct dirty_walk *walk, uint32_t index, uint8_t *place)
{
	struct dirty_private *x = d->extra;
	struct dirty_shared *s = dirty_shared(d, index);
	struct dirty_told told = { index, place, place ? NULL : d->roots[walk->root - 1] };
	uint64_t no = page_no(d->pages[index]);

	if (s->walk != walk->id) {
		s->walk = walk->id;
		s->met = 1;
		return false;
	}
	s->met++;
	walk->again++;
	if (!(no & PAGE_DIRTY)) {
		dirty_tell(d, &told, no);
		x->told[x->n_told++] = told;
	}
	return true;
}

/* Enters a dirty page. */
static int walk_enter(struct dirty *d, struct dirty_walk *walk, struct page_ptr ptr, uint8_t *place,
                      bool look)
{
	struct dirty_private *x = d->extra;
	uint64_t index = ptr.no & ~PAGE_DIRTY;
	bool shared = false;
	if (walk->depth == d->live || index >= d->n_pages || !d->pages[index])
		return error_set(DUR_E_CORRUPT,
		                 "a transaction's tree goes in circles, or points to a page "
		                 "that it gave up; close the transaction");
	int r = grow_array(&x->frames, &x->cap_frames, walk->depth + 1, sizeof *x->frames,
	                   "walking over a transaction's pages");
	if (r)
		return r;
	if (unlikely(dirty_extra(d, index))) {
		if (walk_met(d, walk, (uint32_t)index, place))
			return 0;
		shared = true;
	} else if (walk->depth) {
		shared = x->frames[walk->depth - 1].shared;
	}
	struct dirty_frame *f = &x->frames[walk->depth++];
	*f = (struct dirty_frame){
		.page = d->pages[index], .index = (uint32_t)index, .place = place,
		.from = x->n_places, .shared = shared,
	};
	return look ? walk_refs(x, f->page) : 0;
}

/* The next one from above: a root, or the place to begin with. 0, or 1: there is none. */
static int walk_top(struct dirty *d, struct dirty_walk *walk)
{
	struct dirty_private *x = d->extra;
	x->n_places = 0;
	if (walk->top) {
		struct page_ptr ptr = ref_ptr_at((struct page *)(void *)walk->top, 0);
		return walk->root++ ? 1 : walk_enter(d, walk, ptr, walk->top, true);
	}
	while (walk->root < d->n_roots) {
		struct page_ptr ptr = *d->roots[walk->root++];
		if (ptr.no & PAGE_DIRTY)
			return walk_enter(d, walk, ptr, NULL, true);
	}
	return 1;
}

int dirty_walk_next(struct dirty *d, struct dirty_walk *walk, struct dirty_item *item)
{
	struct dirty_private *x = d->extra;
	int r = 0;
	if (!walk->id)
		walk->id = ++x->walks;
	while (!r) {
		/* A root that was met before is gone by. */
		if (!walk->depth && ((r = walk_top(d, walk)) || !walk->depth))
			continue;
		const struct dirty_frame *f = &x->frames[walk->depth - 1];
		if (f->from == x->n_places)
			break;
		unsigned at = x->places[--x->n_places], look = at & PLACE_LOOK;
		at &= PLACE_LOOK - 1U;
		uint8_t *place = (uint8_t *)f->page + at;
		r = walk_enter(d, walk, ref_ptr_at(f->page, at), place, look);
	}
	if (r)
		return r;
	const struct dirty_frame *f = &x->frames[--walk->depth];
	*item = (struct dirty_item){
		.page = f->page, .index = f->index, .place = f->place, .shared = f->shared,
	};
	if (!f->place)
		item->root = d->roots[walk->root - 1];
	return 0;
}

void dirty_tell(struct dirty *d, const struct dirty_told *told, uint64_t no)
{
	struct page_ptr ptr = { no, d->state };
	if (told->place)
		ref_ptr_set(told->place, ptr);
	else
		*told->root = ptr;
}

void dirty_item_place(struct dirty *d, const struct dirty_item *item, uint64_t no)
{
	d->moves++;
	page_set_id(item->page, no, page_kind(item->page), page_level(item->page));
	dirty_tell(d, &(struct dirty_told){ item->index, item->place, item->root }, no);
}

/* ---- Commit ---- */

/* Nothing has been changed when this fails. */
static int place_check(struct dirty *d, const struct extent *extents, unsigned n_extents)
{
	struct dirty_walk walk = { 0 };
	struct dirty_item item;
	uint64_t reached = 0, room = 0;
	int r;
	if (d->n_shared)
		return error_set(DUR_E_MISUSE, "a commit of pages that several places name, whose "
		                 "counts were not written");
	while (!(r = dirty_walk_next(d, &walk, &item)))
		reached++;
	if (r < 0)
		return r;
	for (unsigned i = 0; i < n_extents; i++)
		room += extents[i].n;
	if (reached != d->live || room < reached)
		return error_set(DUR_E_MISUSE,
		                 "a commit of %u pages, %llu of them in a tree that takes "
		                 "part, got room for %llu",
		                 d->live, (unsigned long long)reached, (unsigned long long)room);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct written *)a)->no, y = ((const struct written *)b)->no;
	return (x > y) - (x < y);
}

int dirty_place(struct dirty *d, const struct extent *extents, unsigned n_extents,
                struct written **out, size_t *n_out)
{
	struct dirty_private *x = d->extra;
	struct dirty_walk walk = { 0 };
	struct dirty_item item;
	uint64_t used = 0;
	size_t n = x->n_set;

	int r = d->failed ? d->failed : place_check(d, extents, n_extents);
	if (r)
		return r;
	struct written *list = malloc((n + d->live + 1) * sizeof *list);
	free(x->placed); /* of a try that ran out of memory */
	x->placed = malloc((d->live + 1) * sizeof(struct page *));
	if (!list || !x->placed) {
		free(list);
		return error_system(ENOMEM, "listing the pages of a commit");
	}
	written_copy(d, list);
	while (!dirty_walk_next(d, &walk, &item)) {
		while (used == extents->n) {
			extents++;
			used = 0;
		}
		uint64_t no = extents->no + used++;
		dirty_item_place(d, &item, no);
		file_forget_seen(d->file, no, 1);
		file_seal(d->file, item.page);
		x->placed[x->n_placed++] = item.page;
		list[n++] = (struct written){ .no = no, .n = 1, .sum = item.page->sum };
	}
	qsort(list, n, sizeof *list, by_number);
	*out = list;
	*n_out = n;
	return 0;
}

/* Adds a page to the iovecs that begin at iov; n of them so far. */
static unsigned iov_add(struct iovec *iov, unsigned n, struct page *page)
{
	if (n && (char *)iov[n - 1].iov_base + iov[n - 1].iov_len == (char *)page) {
		iov[n - 1].iov_len += PAGE_SIZE;
		return n;
	}
	iov[n] = (struct iovec){ page, PAGE_SIZE };
	return n + 1;
}

int dirty_writes(struct dirty *d, const struct io_write **writes, unsigned *n)
{
	struct dirty_private *x = d->extra;
	unsigned n_writes = 0;

	free(x->iov);
	free(x->writes);
	x->iov = malloc((x->n_placed + 1) * sizeof *x->iov);
	x->writes = malloc((x->n_placed + 1) * sizeof *x->writes);
	if (!x->iov || !x->writes)
		return error_system(ENOMEM, "writing the pages of a commit");
	struct iovec *iov = x->iov;
	struct io_write *w = NULL;
	for (size_t i = 0; i < x->n_placed; i++) {
		struct page *page = x->placed[i];
		/* A write is contiguous and fits one system call. */
		if (!w || page_no(page) != page_no(x->placed[i - 1]) + 1 || w->n_iov == IOV_MAX) {
			iov += w ? w->n_iov : 0;
			w = &x->writes[n_writes++];
			*w = (struct io_write){ page_no(page) << PAGE_SHIFT, iov, 0 };
		}
		w->n_iov = iov_add(iov, w->n_iov, page);
	}
	*writes = x->writes;
	*n = n_writes;
	return 0;
}
