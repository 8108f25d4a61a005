/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of parents. What a transaction learns or changes stands in a hash of its own, by page
 * number; the system tree of the state it builds on says the rest. Where nothing is shared at all,
 * dirty.sharing is false and nobody comes here. Pages without a number are counted in dirty_share.c
 * until they have one.
 *
 * Everything is looked up, and room for it made, before the first count changes: so what fails changes
 * nothing.
 */
#include <stdlib.h>

#include "duramen.h"
#include "engine/dirty_private.h"
#include "engine/grow.h"
#include "engine/refs.h"
#include "engine/tree_private.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum { CAP_MIN = 64, KEY_BYTES = 9, CELL_BYTES = 12 };

static size_t count_key(uint8_t *to, uint64_t no)
{
	to[0] = REFS_KEY_COUNT;
	put_be64(to + 1, no);
	return KEY_BYTES;
}

static int count_decode(const struct cell *cell, uint64_t *extra)
{
	const uint8_t *end = cell->bytes + cell->len;
	if (cell->len >= 2 && cell->bytes[0] == DUR_BYTES &&
	    get_varint(cell->bytes + 1, end, extra) == end && *extra > 0 &&
	    *extra <= PAGE_NUMBER_MAX) /* so that nothing wraps around */
		return 0;
	return error_set(DUR_E_CORRUPT, "the system tree is damaged: a count of parents; run `duramen "
	                 "check`, restore from a backup");
}

/* ---- The hash ---- */

/* The place that holds it, or the empty one where it would go. */
static struct count *find(const struct dirty_private *x, uint64_t no)
{
	size_t i = (size_t)(no * 0x9e3779b97f4a7c15U >> 20) & (x->cap_count - 1);
	while (x->count[i].no && x->count[i].no != no)
		i = (i + 1) & (x->cap_count - 1);
	return &x->count[i];
}

int ref_reserve(struct dirty *d, size_t n)
{
	struct dirty_private *x = d->extra;
	size_t cap = x->cap_count ? x->cap_count : CAP_MIN, cap_old = x->cap_count;
	while (cap / 2 < x->n_count + n)
		cap *= 2;
	if (cap == cap_old)
		return 0;
	struct count *fresh = calloc(cap, sizeof *fresh), *old = x->count;
	if (!fresh)
		return error_system(ENOMEM, "counting what several places share");
	x->count = fresh;
	x->cap_count = cap;
	for (size_t i = 0; i < cap_old; i++)
		if (old[i].no)
			*find(x, old[i].no) = old[i];
	free(old);
	return 0;
}

/* What the state says that the transaction builds on. */
static int stored(const struct dirty *d, uint64_t no, uint64_t *extra)
{
	const struct dirty_private *x = d->extra;
	const struct pager pager = { .file = d->file };
	uint8_t key[KEY_BYTES];
	struct cell cell;

	*extra = 0;
	if (!x->counts.depth)
		return 0;
	int r = tree_get(&pager, &x->counts, key, count_key(key, no), &cell);
	return r == 1 ? 0 : r ? r : count_decode(&cell, extra);
}

/* Its place, filled; there is room. */
static int look_up(struct dirty *d, uint64_t no, struct count **count)
{
	struct dirty_private *x = d->extra;
	struct count *c = find(x, no);
	*count = c;
	if (c->no)
		return 0;
	uint64_t extra;
	int r = stored(d, no, &extra);
	if (r)
		return r;
	*c = (struct count){ no, extra, extra };
	x->n_count++;
	return 0;
}

/* Room for another parent of this page: looked up. */
static int prepare(struct dirty *d, struct page_ptr ptr)
{
	struct count *count;
	int r;

	if (ptr.no & PAGE_DIRTY)
		return dirty_share_reserve(d, ptr.no);
	r = ref_reserve(d, 1);
	return r ? r : look_up(d, ptr.no, &count);
}

/* One more; there is room. */
static void raise(struct dirty *d, struct page_ptr ptr)
{
	if (ptr.no & PAGE_DIRTY)
		dirty_share(d, ptr.no);
	else
		find(d->extra, ptr.no)->now++;
}

void ref_numbered(struct dirty *d, uint64_t no, uint64_t extra)
{
	struct dirty_private *x = d->extra;
	struct count *c = find(x, no);

	/* A page that was free: the state it builds on has no count of it, this transaction may. */
	if (!c->no) {
		*c = (struct count){ .no = no };
		x->n_count++;
	}
	c->now = extra;
}

/* ---- What others ask ---- */

void ref_open(struct dirty *d, const struct tree *system, bool any)
{
	struct dirty_private *x = d->extra;
	if (any)
		x->counts = *system;
	d->sharing = any;
}

int ref_extra(struct dirty *d, struct page_ptr ptr, uint64_t *extra)
{
	const struct dirty_private *x = d->extra;
	if (ptr.no & PAGE_DIRTY) {
		*extra = dirty_extra(d, ptr.no & ~PAGE_DIRTY);
		return 0;
	}
	if (x->cap_count) {
		const struct count *c = find(x, ptr.no);
		if (c->no) {
			*extra = c->now;
			return 0;
		}
	}
	return stored(d, ptr.no, extra);
}

int ref_leave(struct dirty *d, struct page_ptr ptr, bool *shared)
{
	struct count *count;
	uint64_t extra;
	int r = ref_extra(d, ptr, &extra);

	*shared = false;
	if (r || !extra)
		return r;
	*shared = true;
	if (ptr.no & PAGE_DIRTY) {
		dirty_unshare(d, ptr.no);
		return 0;
	}
	r = ref_reserve(d, 1);
	if (!r)
		r = look_up(d, ptr.no, &count);
	if (r)
		return r;
	count->now--;
	return 0;
}

/* All that a page names: looked up, then counted once more. */
static int children(struct dirty *d, const struct page *page, bool count)
{
	struct page_refs it;
	struct page_ref ref;
	int r = 0;

	page_refs_open(&it, page);
	while (!r && page_refs_next(&it, &ref) == 0) {
		if (count)
			raise(d, ref.ptr);
		else
			r = prepare(d, ref.ptr);
	}
	return r;
}

int ref_part(struct dirty *d, struct page_ptr ptr, const struct page *page, bool *shared)
{
	uint64_t extra;
	int r = ref_extra(d, ptr, &extra);

	*shared = false;
	if (r || !extra)
		return r;
	r = children(d, page, false);
	if (!r)
		r = ref_leave(d, ptr, shared);
	return r ? r : children(d, page, true);
}

/* ---- Sharing ---- */

/*
 * Once a dirty page has a second parent, what was known to be the transaction's own below it no longer
 * is: fingers and rows go by the count of moves.
 */
static void share(struct dirty *d, struct page_ptr ptr)
{
	d->sharing = true;
	d->moves += dirty_mine(d, ptr);
	raise(d, ptr);
}

int ref_share(struct dirty *d, struct page_ptr ptr)
{
	int r = prepare(d, ptr);

	if (!r)
		share(d, ptr);
	return r;
}

int ref_share_cell(struct dirty *d, const uint8_t *cell, size_t len)
{
	struct nest_refs it;
	struct nest_ref ref;
	int r = 0;

	if (!(cell[0] & NEST_REFS))
		return 0;
	nest_refs_open(&it, cell, len);
	while (!r && nest_refs_next(&it, &ref) == 0)
		r = prepare(d, ref.ptr);
	if (r)
		return r;
	nest_refs_open(&it, cell, len);
	while (nest_refs_next(&it, &ref) == 0)
		share(d, ref.ptr);
	return 0;
}

/* ---- The system tree ---- */

bool ref_changed(const struct dirty *d)
{
	const struct dirty_private *x = d->extra;
	if (d->n_shared)
		return true;
	for (size_t i = 0; i < x->n_queue; i++)
		if (!x->queue[i].seq)
			return true;
	for (size_t i = 0; i < x->cap_count; i++)
		if (x->count[i].now != x->count[i].stored)
			return true;
	return false;
}

static int by_number(const void *a, const void *b)
{
	const struct count *x = *(struct count *const *)a, *y = *(struct count *const *)b;
	return (x->no > y->no) - (x->no < y->no);
}

static int write_one(struct dirty *d, struct tree *system, struct count *c)
{
	uint8_t key[KEY_BYTES], cell[CELL_BYTES] = { DUR_BYTES };
	size_t len = count_key(key, c->no);
	int r = c->now ? tree_put(d, system, key, len, cell,
	                          (size_t)(put_varint(cell + 1, c->now) - cell), NULL) :
	                 tree_del(d, system, key, len);
	if (r < 0)
		return r;
	c->stored = c->now;
	return 0;
}

int ref_write(struct dirty *d, struct tree *system)
{
	struct dirty_private *x = d->extra;
	size_t n = 0;
	int r = dirty_settle_shared(d);

	if (r || !ref_changed(d))
		return r;
	struct count **list = malloc((x->n_count + 1) * sizeof(struct count *));
	if (!list)
		return error_system(ENOMEM, "counting what several places share");
	for (size_t i = 0; i < x->cap_count; i++)
		if (x->count[i].now != x->count[i].stored)
			list[n++] = &x->count[i];
	qsort(list, n, sizeof *list, by_number);
	for (size_t i = 0; i < n && !r; i++)
		r = write_one(d, system, list[i]);
	free(list);
	return r ? r : ref_queue_write(d, system);
}

int ref_count(const struct pager *pager, const struct tree *system, uint8_t kind, uint64_t *n)
{
	const uint8_t end = (uint8_t)(kind + 1);
	uint64_t low = 0, high = 0;
	int r = system->depth ? tree_rank(pager, system, &kind, 1, &low) : 0;
	if (r >= 0 && system->depth)
		r = tree_rank(pager, system, &end, 1, &high);
	*n = high - low;
	return r < 0 ? r : 0;
}

int ref_each(const struct pager *pager, const struct tree *system,
             int (*visit)(void *ctx, uint64_t no, uint64_t extra), void *ctx)
{
	struct cursor *c = malloc(sizeof *c);
	uint8_t first[KEY_BYTES];
	int r;

	if (!c)
		return error_system(ENOMEM, "reading counts of parents");
	cursor_open(c, pager, system);
	for (r = cursor_seek(c, first, count_key(first, 0)); r == 0; r = cursor_next(c)) {
		const void *key;
		size_t len;
		struct cell cell;
		uint64_t extra;
		cursor_entry(c, &key, &len, &cell);
		if (*(const uint8_t *)key != REFS_KEY_COUNT)
			break;
		if (len != KEY_BYTES)
			cell.len = 0;
		r = count_decode(&cell, &extra);
		if (!r)
			r = visit(ctx, get_be64((const uint8_t *)key + 1), extra);
		if (r)
			break;
	}
	free(c);
	return r == 1 ? 0 : r;
}
