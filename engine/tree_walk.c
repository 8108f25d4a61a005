/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at every page: depth first with a stack of its own, children after parents. What one page
 * can say of itself was verified when it was met (node_check) and is verified anew here; what it
 * says of others (fences, counts, runs) is compared on the way down and up.
 */
#include "engine/tree_private.h"

#include "engine/run.h"

struct frame {
	struct page_ptr ptr;
	const struct page *page;
	unsigned at;                    /* the next entry to look at */
	uint64_t count;                 /* what its parent says */
	uint64_t seen;                  /* entries met below it */
	bool runs;                      /* what its parent says */
	bool whole;                     /* everything below was met */
};

struct walk {
	const struct pager *pager;
	const struct tree_visitor *v;
	unsigned depth;
	uint64_t pages_left;
	struct frame frame[TREE_DEPTH_MAX];     /* [0] a leaf */
};

static void problem(struct walk *w, struct page_ptr ptr, const char *text)
{
	if (w->v->problem)
		w->v->problem(w->v->ctx, ptr, text);
}

/* The nearest separator above the node at level: every key of it must be on its right side. */
static void check_fences(struct walk *w, unsigned level)
{
	uint8_t key[TREE_KEY_MAX];
	const struct frame *f = &w->frame[level];
	unsigned first = level > 0;
	if (f->page->n <= first)
		return;
	/* The parents' `at` are one past the child that is being looked at. */
	unsigned len = node_key(f->page, first, key);
	for (unsigned up = level + 1; up < w->depth; up++) {
		const struct frame *parent = &w->frame[up];
		if (parent->at < 2)
			continue;
		int c = node_compare(parent->page, parent->at - 1, key, len);
		if (c > 0 || (c == 0 && level > 0))
			problem(w, f->ptr, "its first key is below what its parent says");
		break;
	}
	len = node_key(f->page, f->page->n - 1U, key);
	for (unsigned up = level + 1; up < w->depth; up++) {
		const struct frame *parent = &w->frame[up];
		if (parent->at >= parent->page->n)
			continue;
		if (node_compare(parent->page, parent->at, key, len) <= 0)
			problem(w, f->ptr, "its last key is above what its parent says");
		break;
	}
}

/* Pages of a packed state do not last while others are read: the path is met again. */
static int meet_path(struct walk *w, unsigned level)
{
	int r = 0;
	for (unsigned up = level; up < w->depth && !r; up++)
		r = tree_page(w->pager, w->frame[up].ptr, up, &w->frame[up].page);
	return r;
}

/* The page itself: readable, sound, with the right checksum now, not only when it was first met. */
static int look(struct walk *w, struct page_ptr ptr, unsigned level, const struct page **page)
{
	const char *why;
	int r = tree_page(w->pager, ptr, level, page);
	if (r == DUR_E_CORRUPT) {
		problem(w, ptr, error_text());
		return 1;
	}
	if (r)
		return r;
	if (!(ptr.no & PAGE_DIRTY) && file_verify(w->pager->file, *page, ptr)) {
		problem(w, ptr, "its checksum is wrong");
		return 1;
	}
	if (node_check(*page, &why)) {
		problem(w, ptr, why);
		return 1;
	}
	return 0;
}

static int look_at_runs(struct walk *w, const struct frame *leaf)
{
	int r = 0;
	for (unsigned i = 0; i < leaf->page->n && !r; i++) {
		struct cell cell = node_cell(leaf->page, i);
		struct node_run run;
		if (!node_cell_run(&cell, &run))
			continue;
		if (!leaf->runs)
			problem(w, leaf->ptr, "it names a run, and its parent says that none is there");
		if (w->v->page)
			r = w->v->page(w->v->ctx, run.ptr, run_pages(run.length), 0);
	}
	return r;
}

/*
 * Goes into a node. 0 done, 1: not entered (skipped or damaged), or the visitor's own word in
 * *stop.
 */
static int enter(struct walk *w, unsigned level, struct page_ptr ptr, uint64_t count, bool runs,
                 int *stop)
{
	struct frame *f = &w->frame[level], *parent = level + 1 < w->depth ? f + 1 : NULL;
	if (w->v->skip && w->v->skip(w->v->ctx, ptr)) {
		if (parent)
			parent->seen += count;
		return 1;
	}
	if (w->pages_left-- == 0)
		return tree_corrupt(ptr, "more pages hang below its tree than the file has");
	int r = look(w, ptr, level, &f->page);
	if (r) {
		if (parent)
			parent->whole = false;
		return r;
	}
	*f = (struct frame){
		.ptr = ptr, .page = f->page, .count = count, .runs = runs, .whole = true,
	};
	if (w->v->page)
		*stop = w->v->page(w->v->ctx, ptr, 1, level);
	check_fences(w, level);
	if (level > 0)
		return 0;
	f->seen = f->at = f->page->n;
	if (!*stop)
		*stop = look_at_runs(w, f);
	return 0;
}

/* A node whose entries were all looked at. */
static void leave(struct walk *w, unsigned level)
{
	struct frame *f = &w->frame[level];
	if (f->whole && f->seen != f->count)
		problem(w, f->ptr, "the number of entries below it is not what its parent says");
	if (level + 1 < w->depth) {
		f[1].seen += f->whole ? f->seen : f->count;
		f[1].whole &= f->whole;
	}
}

int tree_walk(const struct pager *pager, const struct tree *tree,
              const struct tree_visitor *visitor)
{
	struct walk w = { .pager = pager, .v = visitor, .depth = tree->depth };
	int stop = 0, r = tree_shape(tree);
	if (r == 0 && tree->depth == 0 && tree->count != 0)
		problem(&w, tree->root, "the tree is empty and is said not to be");
	if (r || tree->depth == 0)
		return r;
	w.pages_left = atomic_load_explicit(&pager->file->pages, memory_order_relaxed);
	if (pager->dirty)
		w.pages_left += pager->dirty->n_pages;
	unsigned level = tree->depth - 1;
	r = enter(&w, level, tree->root, tree->count, true, &stop);
	if (r)
		return r < 0 ? r : 0;
	while (!stop) {
		struct frame *f = &w.frame[level];
		if (pager->unpack && (r = meet_path(&w, level)) < 0)
			return r;
		if (level == 0 || f->at == f->page->n) {
			leave(&w, level);
			if (++level == w.depth)
				return 0;
			continue;
		}
		struct node_child child = node_child(f->page, f->at++);
		r = enter(&w, level - 1, child.ptr, child.count, child.runs, &stop);
		if (r < 0)
			return r;
		level -= r == 0;
	}
	return stop;
}
