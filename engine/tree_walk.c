/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at every page: depth first with a stack of its own, children after parents, nested trees
 * after the leaf that names them. What one page can say of itself was verified when it was met
 * (node_check) and is verified anew here; what it says of others (fences, counts, whether they name
 * pages) is compared on the way down and up.
 */
#include "engine/grow.h"
#include "engine/refs.h"
#include "engine/run.h"
#include "engine/tree_private.h"

struct frame {
	struct page_ptr ptr;
	const struct page *page;
	unsigned of, level;             /* the kind of its collection; of the page */
	bool root;                      /* of its tree */
	bool refs;                      /* its parent says that it may name pages */
	bool whole;                     /* everything below was met */
	unsigned at;                    /* branch: the next entry to look at */
	size_t places;                  /* leaf: its own in places[] are from here on */
	uint64_t count;                 /* what its parent says */
	uint64_t seen;                  /* entries met below it */
};

struct walk {
	const struct pager *pager;
	const struct tree_visitor *v;
	uint64_t pages_left;
	struct frame *frame;            /* [0] the root of it all */
	size_t depth, cap;
	uint16_t *places;               /* in leaves: of the trees that are still to be entered */
	size_t n_places, cap_places;
	int stop;                       /* the visitor's own word */
};

static void problem(struct walk *w, struct page_ptr ptr, const char *text)
{
	if (w->v->problem)
		w->v->problem(w->v->ctx, ptr, text);
}

/* The nearest separator above the last node: every key of it must be on its right side. */
static void check_fences(struct walk *w)
{
	uint8_t key[TREE_KEY_MAX];
	const struct frame *f = &w->frame[w->depth - 1];
	unsigned first = f->level > 0;
	bool keyed = page_kind(f->page) == PAGE_LEAF || page_kind(f->page) == PAGE_BRANCH;
	if (!keyed || f->page->n <= first)
		return;
	/* The parents' `at` are one past the child that is being looked at. */
	unsigned len = node_key(f->page, first, key);
	for (const struct frame *up = f; !up->root;) {
		up--;
		if (up->at < 2)
			continue;
		int c = node_compare(up->page, up->at - 1, key, len);
		if (c > 0 || (c == 0 && f->level > 0))
			problem(w, f->ptr, "its first key is below what its parent says");
		break;
	}
	len = node_key(f->page, f->page->n - 1U, key);
	for (const struct frame *up = f; !up->root;) {
		up--;
		if (up->at >= up->page->n)
			continue;
		if (node_compare(up->page, up->at, key, len) <= 0)
			problem(w, f->ptr, "its last key is above what its parent says");
		break;
	}
}

/* Pages of a packed state do not last while others are read: the path is met again. */
static int meet_path(struct walk *w)
{
	int r = 0;
	for (size_t i = 0; i < w->depth && !r; i++)
		r = ref_page(w->pager, w->frame[i].of, w->frame[i].level, w->frame[i].ptr,
		             &w->frame[i].page);
	return r;
}

/* The page itself: readable, sound, with the right checksum now, not only when it was first met. */
static int look(struct walk *w, const struct page_ref *ref, const struct page **page)
{
	const char *why;
	int r = ref_page(w->pager, ref->of, ref->level, ref->ptr, page);
	if (r == DUR_E_CORRUPT) {
		problem(w, ref->ptr, error_text());
		return 1;
	}
	if (r)
		return r;
	if (!(ref->ptr.no & PAGE_DIRTY) && file_verify(w->pager->file, *page, ref->ptr)) {
		problem(w, ref->ptr, "its checksum is wrong");
		return 1;
	}
	if (node_check(*page, &why)) {
		problem(w, ref->ptr, why);
		return 1;
	}
	return 0;
}

/* A leaf that was entered: its runs, and where the trees are that it names. */
static int look_at_refs(struct walk *w, const struct frame *leaf)
{
	struct page_refs it;
	struct page_ref ref;
	int r = 0;

	page_refs_open(&it, leaf->page);
	while (!w->stop && !r && page_refs_next(&it, &ref) == 0) {
		if (!leaf->refs)
			problem(w, leaf->ptr, "it names pages, and its parent says that it does not");
		if (ref.kind != REF_RUN) {
			r = grow_array(&w->places, &w->cap_places, w->n_places + 1,
			               sizeof *w->places, "looking at a tree");
			if (!r)
				w->places[w->n_places++] = (uint16_t)ref.at;
		} else if (w->v->page && !(w->v->skip && w->v->skip(w->v->ctx, ref.ptr, 0, ref.count))) {
			w->stop = w->v->page(w->v->ctx, ref.ptr, run_pages(ref.count), 0);
		}
	}
	return r;
}

/* Goes into a node. 0, or negative: it cannot go on. Skipped or damaged ones are not entered. */
static int enter(struct walk *w, const struct page_ref *ref, bool root)
{
	const struct page *page;
	int r = grow_array(&w->frame, &w->cap, w->depth + 1, sizeof *w->frame,
	                   "looking at a tree");
	if (r)
		return r;
	struct frame *f = &w->frame[w->depth], *parent = root ? NULL : f - 1;
	if (w->v->skip && w->v->skip(w->v->ctx, ref->ptr, ref->level, ref->count)) {
		if (parent)
			parent->seen += ref->count;
		return 0;
	}
	if (w->pages_left-- == 0)
		return tree_corrupt(ref->ptr, "more pages hang below its tree than the file has");
	r = look(w, ref, &page);
	if (r) {
		if (parent)
			parent->whole = false;
		return r < 0 ? r : 0;
	}
	*f = (struct frame){
		.ptr = ref->ptr, .page = page, .of = ref->of, .level = ref->level, .root = root,
		.refs = ref->refs, .whole = true, .places = w->n_places, .count = ref->count,
	};
	w->depth++;
	if (w->v->page)
		w->stop = w->v->page(w->v->ctx, ref->ptr, 1, ref->level);
	check_fences(w);
	if (ref->level > 0)
		return 0;
	f->seen = page->n;              /* of a rope, bytes */
	return look_at_refs(w, f);
}

/* A node whose entries were all looked at. */
static void leave(struct walk *w)
{
	struct frame *f = &w->frame[--w->depth];
	if (f->whole && f->seen != f->count)
		problem(w, f->ptr, "the number of entries below it is not what its parent says");
	if (!f->root) {
		f[-1].seen += f->whole ? f->seen : f->count;
		f[-1].whole &= f->whole;
	}
}

/* The next thing below the last node. 0 or negative. */
static int step(struct walk *w)
{
	struct frame *f = &w->frame[w->depth - 1];
	struct page_ref ref;
	int r = w->pager->unpack ? meet_path(w) : 0;

	if (r)
		return r;
	if (f->level > 0 && f->at < f->page->n) {
		struct page_refs it;
		page_refs_open(&it, f->page);
		it.next = f->at++;
		page_refs_next(&it, &ref);
		ref.of = f->of;
		return enter(w, &ref, false);
	}
	if (f->level == 0 && f->places < w->n_places) {
		struct nest_tree tree;
		unsigned at = w->places[--w->n_places];
		nest_tree_read(node_bytes(f->page) + at - NEST_ROOT_AT, &tree);
		page_ref_of(&(struct nest_ref){ .is_tree = true, .ptr = tree.root, .tree = tree }, 0,
		            &ref);
		return enter(w, &ref, true);
	}
	leave(w);
	return 0;
}

int ref_walk(const struct pager *pager, const struct page_ref *top,
             const struct tree_visitor *visitor)
{
	struct walk w = { .pager = pager, .v = visitor };
	if (top->kind == REF_RUN) {
		if (!visitor->page || (visitor->skip && visitor->skip(visitor->ctx, top->ptr, 0, top->count)))
			return 0;
		return visitor->page(visitor->ctx, top->ptr, run_pages(top->count), 0);
	}
	w.pages_left = atomic_load_explicit(&pager->file->pages, memory_order_relaxed);
	if (pager->dirty)
		w.pages_left += pager->dirty->n_pages;
	int r = enter(&w, top, true);
	while (!r && !w.stop && w.depth)
		r = step(&w);
	free(w.frame);
	free(w.places);
	return r ? r : w.stop;
}

int tree_walk_of(const struct pager *pager, const struct tree *tree, unsigned of,
                 const struct tree_visitor *visitor)
{
	int r = tree_shape(tree);
	if (r == 0 && tree->depth == 0 && tree->count != 0 && visitor->problem)
		visitor->problem(visitor->ctx, tree->root, "the tree is empty and is said not to be");
	if (r || tree->depth == 0)
		return r;
	return ref_walk(pager, &(struct page_ref){
		.kind = REF_TREE, .ptr = tree->root, .of = of, .level = tree->depth - 1,
		.refs = true, .count = tree->count,
	}, visitor);
}

int tree_walk(const struct pager *pager, const struct tree *tree,
              const struct tree_visitor *visitor)
{
	return tree_walk_of(pager, tree, DUR_MAP, visitor);
}
