/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of parents. What a transaction learns or changes stands in a hash of its own, by page number;
 * the system tree of the state it builds on says the rest. Where nothing is shared at all, dirty.sharing
 * is false and nobody comes here.
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
	    get_varint(cell->bytes + 1, end, extra) == end && *extra > 0)
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

static int reserve(struct dirty_private *x, size_t n)
{
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
	r = reserve(d->extra, 1);
	if (!r)
		r = look_up(d, ptr.no, &count);
	if (r)
		return r;
	count->now--;
	*shared = true;
	return 0;
}

/* All that a page names: looked up, then counted once more. */
static int children(struct dirty *d, const struct page *page, bool count)
{
	struct page_refs it;
	struct page_ref ref;
	struct count *c;
	int r = 0;

	page_refs_open(&it, page);
	while (!r && page_refs_next(&it, &ref) == 0) {
		r = count ? 0 : reserve(d->extra, 1);
		if (!r)
			r = look_up(d, ref.ptr.no, &c);
		if (!r && count)
			c->now++;
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

int ref_share(struct dirty *d, struct page_ptr ptr)
{
	struct count *count;
	int r = reserve(d->extra, 1);

	if (!r)
		r = look_up(d, ptr.no, &count);
	if (r)
		return r;
	count->now++;
	d->sharing = true;
	return 0;
}

/* Each reference of a cell: written, looked up, or counted. */
enum pass { PASS_SETTLE, PASS_LOOK, PASS_COUNT };

static int cell_pass(struct dirty *d, const uint8_t *cell, size_t len, enum pass pass)
{
	struct nest_refs it;
	struct nest_ref ref;
	struct count *count;
	int r = 0;

	nest_refs_open(&it, cell, len);
	while (!r && nest_refs_next(&it, &ref) == 0) {
		if (pass == PASS_SETTLE) {
			/* A cell that names such a page stands in one. */
			if (ref.ptr.no & PAGE_DIRTY)
				r = dirty_settle(d, (uint8_t *)(uintptr_t)cell + ref.at);
			continue;
		}
		if (pass == PASS_LOOK)
			r = reserve(d->extra, 1);
		if (!r)
			r = look_up(d, ref.ptr.no, &count);
		if (!r && pass == PASS_COUNT)
			count->now++;
	}
	return r;
}

int ref_share_cell(struct dirty *d, const uint8_t *cell, size_t len)
{
	if (!(cell[0] & NEST_REFS))
		return 0;
	int r = cell_pass(d, cell, len, PASS_SETTLE);
	if (!r)
		r = cell_pass(d, cell, len, PASS_LOOK);
	if (r)
		return r;
	d->sharing = true;
	return cell_pass(d, cell, len, PASS_COUNT);
}

/* ---- The system tree ---- */

bool ref_changed(const struct dirty *d)
{
	const struct dirty_private *x = d->extra;
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
	int r = 0;

	if (!ref_changed(d))
		return 0;
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
