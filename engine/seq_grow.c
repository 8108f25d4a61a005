/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting units into a node that may be full. What stands before the gap, the new units and what
 * stands behind it are one sequence; it is cut into pages, the first of which is the node itself,
 * and the others go into its parent behind it, in the same way. So one function serves cells, bytes
 * and children, one level after the other.
 *
 * All pages that this takes are made before the first change, so that a failed put leaves the tree
 * as it was.
 */
#include "engine/seq_private.h"

/* A node's units and a page of new ones are at most three parts and fill at most four pages. */
enum { PARTS = 3, PAGES = 4 };

struct parts {
	unsigned n, units;
	struct {
		const struct page *page;
		unsigned from, to;
	} part[PARTS];
};

static void parts_add(struct parts *s, const struct page *page, unsigned from, unsigned to)
{
	if (from == to)
		return;
	s->part[s->n].page = page;
	s->part[s->n].from = from;
	s->part[s->n++].to = to;
	s->units += to - from;
}

/* How many units from the `from`-th on fit so many bytes. */
static unsigned parts_fit(const struct parts *s, unsigned from, unsigned bytes)
{
	unsigned n = 0;
	for (unsigned i = 0; i < s->n; i++) {
		unsigned begin = s->part[i].from, end = s->part[i].to;
		if (from >= end - begin) {
			from -= end - begin;
			continue;
		}
		begin += from;
		from = 0;
		unsigned fit = seq_fit(s->part[i].page, begin, bytes);
		fit = fit < end - begin ? fit : end - begin;
		n += fit;
		if (begin + fit < end)
			break;
		bytes -= seq_units_size(s->part[i].page, begin, end);
	}
	return n;
}

/* Appends units [from, to) of the sequence to a page, where they fit. */
static void parts_take(const struct parts *s, unsigned from, unsigned to, struct page *page)
{
	unsigned base = 0;
	for (unsigned i = 0; i < s->n; i++) {
		unsigned n = s->part[i].to - s->part[i].from;
		unsigned a = from > base ? from - base : 0, b = to < base + n ? to - base : n;
		if (from < base + n && to > base && a < b)
			seq_take(page, page->n, s->part[i].page, s->part[i].from + a,
			         s->part[i].from + b);
		base += n;
	}
}

static unsigned parts_size(const struct parts *s)
{
	unsigned size = 0;
	for (unsigned i = 0; i < s->n; i++)
		size += seq_units_size(s->part[i].page, s->part[i].from, s->part[i].to);
	return size;
}

/* ---- Where to cut ---- */

struct cuts {
	unsigned pages;
	unsigned end[PAGES];            /* where each page's units end in the sequence */
};

/* Both sides of a cut behind the n-th unit fit, and have some. */
static bool good_cut(const struct parts *s, unsigned n)
{
	return n > 0 && n < s->units && parts_fit(s, 0, SEQ_ROOM) >= n &&
	       parts_fit(s, n, SEQ_ROOM) == s->units - n;
}

/* gap: the place behind the new units, or before them where nothing follows. */
static void find_cuts(const struct parts *s, enum seq_cut_at how, unsigned gap, struct cuts *cuts)
{
	unsigned done = 0, room = SEQ_ROOM;
	cuts->pages = 0;
	if (how == SEQ_CUT_GAP && good_cut(s, gap)) {
		cuts->pages = 2;
		cuts->end[0] = gap;
		cuts->end[1] = s->units;
		return;
	}
	if (how != SEQ_FILL) {
		/* A half and half a cell more at most, so that the rest fits a page too. */
		unsigned half = parts_fit(s, 0, parts_size(s) / 2);
		unsigned more = half + (good_cut(s, half + 1) && !good_cut(s, half));
		if (good_cut(s, more)) {
			cuts->pages = 2;
			cuts->end[0] = more;
			cuts->end[1] = s->units;
			return;
		}
	}
	while (done < s->units && cuts->pages < PAGES) {
		done += parts_fit(s, done, room);
		cuts->end[cuts->pages++] = done;
	}
}

/* ---- Pages taken in advance ---- */

struct reserve {
	unsigned n, used;
	struct page_ptr ptr[PAGES + TREE_DEPTH_MAX + 1];
	struct page *page[PAGES + TREE_DEPTH_MAX + 1];
};

static void reserve_return(struct dirty *d, const struct tree *tree, struct reserve *r)
{
	/* The transaction's own pages: giving them back cannot fail. */
	while (r->n > r->used)
		dirty_drop(d, r->ptr[--r->n], tree->class);
}

static int reserve_page(struct dirty *d, const struct tree *tree, enum seq_kind kind,
                        unsigned level, struct reserve *r)
{
	unsigned page_kind = level ? (unsigned)PAGE_SEQ_BRANCH : (unsigned)kind;
	int rc = level == TREE_DEPTH_MAX ?
	         error_set(DUR_E_LIMIT, "the list or rope is too deep for another item") :
	         dirty_new(d, page_kind, level, tree->class, &r->ptr[r->n], &r->page[r->n]);
	r->n += rc == 0;
	return rc;
}

/* As many as the node at level needs beside itself, and those above it. */
static int reserve_all(struct dirty *d, const struct tree *tree, enum seq_kind kind,
                       const struct seq_path *path, unsigned level, unsigned more,
                       struct reserve *r)
{
	int rc = 0;
	for (unsigned i = 0; i < more && !rc; i++)
		rc = reserve_page(d, tree, kind, level, r);
	while (!rc && more && ++level <= path->depth) {
		if (level < path->depth && path->page[level]->n + more <= SEQ_FAN)
			break;
		rc = reserve_page(d, tree, kind, level, r);
		more = 1;
	}
	if (rc)
		reserve_return(d, tree, r);
	return rc;
}

/* ---- Putting ---- */

void seq_image(union node_copy *image, enum seq_kind kind, unsigned level)
{
	memset(image, 0, PAGE_HEADER);
	image->page.heap = PAGE_SIZE;
	page_set_id(&image->page, 0, level ? PAGE_SEQ_BRANCH : kind, level);
}

static void child_of(const struct page *page, struct page_ptr ptr, uint8_t bytes[NODE_CHILD])
{
	struct node_child child = { .ptr = ptr };
	seq_sum(page, &child.count, &child.runs);
	node_child_write(bytes, &child);
}

/* Lays the sequence out; the children that the parent is to be told of are the units of image. */
static void lay_out(const struct parts *s, const struct cuts *cuts, struct page *node,
                    struct reserve *r, enum seq_kind kind, union node_copy *image)
{
	unsigned level = page_level(node), from = 0;
	seq_image(image, kind, level + 1);
	seq_empty(node);
	for (unsigned i = 0; i < cuts->pages; i++) {
		struct page *page = i ? r->page[r->used] : node;
		parts_take(s, from, cuts->end[i], page);
		from = cuts->end[i];
		if (i == 0)
			continue;
		uint8_t *child = image->bytes + PAGE_HEADER + NODE_CHILD * image->page.n++;
		child_of(page, r->ptr[r->used++], child);
	}
}

/* A root above the old one, which stands at 0 or, if the put is before it, at 1. */
static void new_root(struct tree *tree, const struct page *old_root, const struct seq_put *put,
                     struct reserve *r)
{
	struct page *root = r->page[r->used];
	union node_copy image;
	seq_image(&image, SEQ_LIST, tree->depth);
	child_of(old_root, tree->root, image.bytes + PAGE_HEADER);
	image.page.n = 1;
	seq_take(root, 0, &image.page, 0, 1);
	seq_take(root, put->at, put->units, 0, put->units->n);
	tree->root = r->ptr[r->used++];
	tree->depth++;
}

static bool fits(const struct page *node, const struct seq_put *put)
{
	return seq_used(node) + seq_used(put->units) -
	       seq_units_size(node, put->at, put->at + put->skip) <= SEQ_ROOM;
}

/* Whether this child is at the very end of the tree, seen from a level up. */
static bool at_edge(const struct seq_path *path, unsigned level, bool last)
{
	for (; level < path->depth; level++)
		if (path->at[level] != (last ? path->page[level]->n - 1U : 0))
			return false;
	return true;
}

/* A branch that grows at the tree's ends is left full, any other is halved. */
static enum seq_cut_at branch_cut(const struct seq_path *path, unsigned level)
{
	if (at_edge(path, level, true))
		return SEQ_FILL;
	return at_edge(path, level, false) ? SEQ_CUT_GAP : SEQ_EVEN;
}

static void find_parts(const struct seq_put *put, const struct page *node, struct parts *s)
{
	s->n = s->units = 0;
	parts_add(s, node, 0, put->at);
	parts_add(s, put->units, 0, put->units->n);
	parts_add(s, node, put->at + put->skip, node->n);
}

static unsigned gap_of(const struct seq_put *put, const struct page *node)
{
	return put->at + (put->at + put->skip < node->n ? put->units->n : 0);
}

int seq_put(struct dirty *d, struct tree *tree, enum seq_kind kind, struct seq_path *path,
            const struct seq_put *put, int64_t count)
{
	union node_copy old, image[2];
	struct seq_put p = *put;
	struct parts parts;
	struct cuts cuts = { .pages = 2 };
	struct reserve r = { 0 };
	bool refs, full = p.level == path->depth || !fits(path->page[p.level], &p);
	uint64_t sum;
	int rc = 0;

	if (p.level == path->depth) {
		rc = reserve_page(d, tree, kind, p.level, &r);
	} else if (full) {
		find_parts(&p, path->page[p.level], &parts);
		find_cuts(&parts, p.cut, gap_of(&p, path->page[p.level]), &cuts);
		rc = reserve_all(d, tree, kind, path, p.level, cuts.pages - 1, &r);
	}
	if (rc)
		return rc;
	seq_sum(p.units, &sum, &refs);
	for (unsigned turn = 0;; turn ^= 1) {
		if (p.level == path->depth) {
			new_root(tree, path->page[p.level - 1], &p, &r);
			break;
		}
		struct page *node = path->page[p.level];
		if (fits(node, &p)) {
			seq_cut(node, p.at, p.at + p.skip);
			seq_take(node, p.at, p.units, 0, p.units->n);
			seq_path_add(path, p.level, count, refs);
			break;
		}
		memcpy(&old, node, PAGE_SIZE);
		find_parts(&p, &old.page, &parts);
		find_cuts(&parts, p.cut, gap_of(&p, node), &cuts);
		lay_out(&parts, &cuts, node, &r, kind, &image[turn]);
		if (++p.level < path->depth) {
			seq_path_sum(path, p.level - 1);
			p.at = path->at[p.level] + 1;
			p.cut = branch_cut(path, p.level);
		} else {
			p.at = 1;
		}
		p.skip = 0;
		p.units = &image[turn].page;
	}
	reserve_return(d, tree, &r);
	return 0;
}
