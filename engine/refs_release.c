/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letting go of trees: from the top down, with a stack of references that grows, so that neither the
 * depth of trees nor that of nesting matters. Leaves that name nothing are dropped unread.
 *
 * Two passes: the first only meets every page, so that damage is an error that changes nothing. What it
 * takes for shared may be let go of twice in the second one, which then meets pages that were not met
 * before. Of these what cannot be read goes to the removal queue, as it does where a slice meets it.
 *
 * With a removal queue each tree that a cell names has a budget. A page that names more than what is left
 * of it waits, with all that is below it; so nearly always a large tree is one entry of the queue.
 */
#include "duramen.h"
#include "engine/dirty_private.h"
#include "engine/grow.h"
#include "engine/refs.h"
#include "engine/run.h"
#include "engine/tree_private.h"

enum { BUDGET = 64 };

struct release {
	struct dirty *d;
	struct pager pager;
	enum page_class class;
	bool drop;              /* false: only look whether all can be read */
	uint64_t pages_left;    /* more than there are: the file leads in circles */
	bool slice;             /* of the queue: what is beyond the budget goes back to it */
	uint64_t budget;        /* of a slice: pages; else: references in nested ones */
	struct page_ref *stack;
	size_t n, cap;
};

static int push(struct release *s, const struct page_ref *ref)
{
	int r = grow_array(&s->stack, &s->cap, s->n + 1, sizeof *s->stack, "removing a collection");
	if (r)
		return r;
	s->stack[s->n++] = *ref;
	return 0;
}

/* What a page names goes on the stack, the last one first. On failure nothing does. */
static int push_all(struct release *s, const struct page *page, const struct page_ref *parent)
{
	struct page_refs it;
	struct page_ref ref;
	size_t from = s->n;
	int r = 0;

	page_refs_open(&it, page);
	while (!r && page_refs_next(&it, &ref) == 0) {
		ref.of = ref.kind == REF_CHILD ? parent->of : ref.of;
		ref.nested = parent->nested;
		r = push(s, &ref);
	}
	if (r)
		s->n = from;
	for (size_t low = from, high = s->n; low + 1 < high; low++) {
		struct page_ref swap = s->stack[low];
		s->stack[low] = s->stack[--high];
		s->stack[high] = swap;
	}
	return r;
}

static int wait_in_queue(struct release *s, const struct page_ref *ref)
{
	struct dirty_private *x = s->d->extra;
	if (!s->drop)
		return 0;
	int r = grow_array(&x->queue, &x->cap_queue, x->n_queue + 1, sizeof *x->queue,
	                   "removing a collection");
	if (!r)
		x->queue[x->n_queue++] = (struct queued){ .ref = *ref };
	return r;
}

/* Whether the queue may have it; a page of the transaction would have no parent to be placed by. */
static bool may_wait(const struct release *s, const struct page_ref *ref)
{
	const struct dirty_private *x = s->d->extra;
	return x->queues && s->class == CLASS_DATA && !(ref->ptr.no & PAGE_DIRTY);
}

/* Whether a page or run, with so many references in it, is beyond what may be done now. Pays for it. */
static bool beyond(struct release *s, const struct page_ref *ref, size_t n)
{
	if (!may_wait(s, ref) || !ref->nested)
		return false;
	/* Three levels have more pages than anyone wants to wait for. */
	uint64_t cost = s->slice ? 1 : ref->level > 1 ? UINT64_MAX : n;
	if (cost > s->budget)
		return true;
	s->budget -= cost;
	return false;
}

static int release_run(struct release *s, const struct page_ref *ref)
{
	if (beyond(s, ref, 0))
		return wait_in_queue(s, ref);
	return s->drop ? dirty_drop_run(s->d, ref->ptr, (uint32_t)run_pages(ref->count), s->class) : 0;
}

/* What hangs below it is on the stack afterwards. */
static int release_tree(struct release *s, struct page_ref *ref)
{
	const struct page *page;
	size_t before = s->n;
	int r = 0;

	if (s->pages_left-- == 0)
		return tree_corrupt(ref->ptr, "more pages hang below its tree than the file has");
	if (ref->kind == REF_TREE && !ref->nested) {
		s->budget = BUDGET;
		ref->nested = true;
	}
	if (s->d->sharing && s->class == CLASS_DATA) {
		uint64_t extra;
		r = ref_extra(s->d, ref->ptr, &extra);
		if (r)
			return r;
		if (extra)      /* the others keep what is below */
			return s->drop ? dirty_drop(s->d, ref->ptr, s->class) : 0;
	}
	if (ref->level || ref->refs) {
		r = ref_page(&s->pager, ref->of, ref->level, ref->ptr, &page);
		if (!r)
			r = push_all(s, page, ref);
	}
	if (!r && beyond(s, ref, s->n - before)) {
		s->n = before;
		return wait_in_queue(s, ref);
	}
	return !r && s->drop ? dirty_drop(s->d, ref->ptr, s->class) : r;
}

/* On failure the stack is as it was. */
static int release_one(struct release *s, struct page_ref *ref)
{
	size_t before = s->n;
	int r = ref->kind == REF_RUN ? release_run(s, ref) : release_tree(s, ref);

	if (r)
		s->n = before;
	return r;
}

/* All that is on the stack. */
static int run_down(struct release *s)
{
	int r = 0;

	s->pages_left = atomic_load_explicit(&s->d->file->pages, memory_order_relaxed) + s->d->n_pages;
	while (!r && s->n) {
		struct page_ref ref = s->stack[--s->n];
		r = release_one(s, &ref);
		if (r == DUR_E_CORRUPT && s->drop && may_wait(s, &ref))
			r = wait_in_queue(s, &ref);
	}
	s->n = 0;
	return r;
}

static struct release open_release(struct dirty *d, enum page_class class, bool drop)
{
	return (struct release){
		.d = d, .pager = { .file = d->file, .dirty = d }, .class = class, .drop = drop,
	};
}

void ref_queue(struct dirty *d)
{
	struct dirty_private *x = d->extra;
	x->queues = true;
}

/*
 * One entry of the queue, which was taken out of it. What cannot be done goes back, so that nothing is
 * lost: what is beyond the budget, and, where something cannot be read, that and all that is left.
 */
static int slice_one(struct release *s, const struct page_ref *top, bool *stuck)
{
	int r = push(s, top);

	s->pages_left = atomic_load_explicit(&s->d->file->pages, memory_order_relaxed) + s->d->n_pages;
	while (!r && s->n) {
		struct page_ref ref = s->stack[--s->n];
		r = *stuck ? wait_in_queue(s, &ref) : release_one(s, &ref);
		if (r == DUR_E_CORRUPT) {
			*stuck = true;
			r = wait_in_queue(s, &ref);
		}
	}
	return r;
}

int ref_slice(struct dirty *d, struct tree *system, uint64_t pages, bool *stuck)
{
	struct release s = open_release(d, CLASS_DATA, true);
	struct page_ref ref;
	int r = 0;

	s.slice = true;
	s.budget = pages;
	*stuck = false;
	while (!r && s.budget && !*stuck) {
		r = ref_queue_take(d, system, &ref);
		if (r)
			break;
		ref.nested = true;
		r = slice_one(&s, &ref, stuck);
	}
	free(s.stack);
	if (r < 0)
		d->failed = r;
	return r < 0 ? r : 0;
}

static int one_pass(struct dirty *d, const struct page_ref *ref, enum page_class class, bool drop)
{
	struct release s = open_release(d, class, drop);
	int r = push(&s, ref);

	if (!r)
		r = run_down(&s);
	free(s.stack);
	if (r && drop)
		d->failed = r;
	return r;
}

int ref_look(struct dirty *d, const struct page_ref *ref, enum page_class class)
{
	return one_pass(d, ref, class, false);
}

int ref_release(struct dirty *d, const struct page_ref *ref, enum page_class class)
{
	return one_pass(d, ref, class, true);
}

static int cell_pass(struct dirty *d, const uint8_t *cell, size_t len, bool drop)
{
	struct release s = open_release(d, CLASS_DATA, drop);
	struct nest_refs it;
	struct nest_ref ref;
	int r = 0;

	nest_refs_open(&it, cell, len);
	while (!r && nest_refs_next(&it, &ref) == 0) {
		struct page_ref from;
		page_ref_of(&ref, 0, &from);
		r = push(&s, &from);
	}
	if (!r)
		r = run_down(&s);
	free(s.stack);
	if (r && drop)
		d->failed = r;
	return r;
}

int ref_look_cell(struct dirty *d, const uint8_t *cell, size_t len)
{
	if (likely(!(cell[0] & NEST_REFS)) || !nest_is_collection(cell))
		return 0;
	return cell_pass(d, cell, len, false);
}

int ref_release_cell(struct dirty *d, const uint8_t *cell, size_t len)
{
	if (likely(!(cell[0] & NEST_REFS)))
		return 0;
	if (!nest_is_collection(cell)) {
		struct nest_refs it;
		struct nest_ref ref;
		nest_refs_open(&it, cell, len);
		nest_refs_next(&it, &ref);
		return dirty_drop_run(d, ref.ptr, (uint32_t)run_pages(ref.length), CLASS_DATA);
	}
	int r = cell_pass(d, cell, len, false);
	return r ? r : cell_pass(d, cell, len, true);
}
