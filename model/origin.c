/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handle does not say where its collection is. So its cell is looked for in the snapshot, breadth
 * first, in all collections that may name pages, for as long as that reads a small part of what a
 * copy would write; subtrees whose cells name nothing are passed over. The way that leads there is
 * then gone in the transaction. Places on the way are a list of nodes, each of which knows its
 * parent.
 */
#include "model/origin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/grow.h"
#include "engine/refs.h"
#include "engine/seq_page.h"
#include "engine/tree_private.h"
#include "model/become.h"
#include "model/collection.h"

enum {
	ENTRIES_PAGE = 256,     /* of a collection, for each page that is read in looking for it */
	PAGES_LEAST = 64,       /* if trees hang below it: they may be any size */
};

/* A collection of the snapshot that may name pages. Its key, and if it is embedded its cell, follow. */
struct node {
	size_t parent;          /* node; the first one is the catalog */
	uint32_t kind, key_len, cell_len;
	uint64_t position;
	struct tree tree;       /* if it has one: root, depth */
	uint8_t bytes[];
};

struct search {
	dur_view *snap;
	struct cell wanted;
	struct node **nodes;
	size_t n, cap;
	uint64_t pages_left;
	bool found;             /* it is the last node */
};

/* ---- Where it stands in the snapshot ---- */

static int add(struct search *s, size_t parent, const struct element_key *key,
               const struct cell *cell)
{
	static const char what[] = "looking for a collection";
	bool embedded = nest_is_embedded(cell->bytes);
	size_t key_len = key->bytes ? key->len : 0, cell_len = embedded ? cell->len : 0;
	int rc = grow_array(&s->nodes, &s->cap, s->n + 1, sizeof *s->nodes, what);
	struct node *node = rc < 0 ? NULL : malloc(sizeof *node + key_len + cell_len);

	if (rc < 0)
		return rc;
	if (!node)
		return error_system(ENOMEM, "%s", what);
	*node = (struct node){ .parent = parent, .kind = cell->bytes[0] & NEST_KIND,
		.key_len = (uint32_t)key_len, .cell_len = (uint32_t)cell_len,
		.position = key->position };
	if (key_len)
		memcpy(node->bytes, key->bytes, key_len);
	if (embedded) {
		memcpy(node->bytes + key_len, cell->bytes, cell_len);
	} else {
		struct nest_tree tree;
		nest_tree_read(cell->bytes, &tree);
		node->tree = (struct tree){ .root = tree.root, .depth = tree.depth };
	}
	s->nodes[s->n++] = node;
	return 0;
}

/* An element of a node. */
static int look_at(struct search *s, size_t parent, const struct element_key *key,
                   const struct cell *cell)
{
	if (likely(!(cell->bytes[0] & NEST_REFS)) || !nest_is_collection(cell->bytes))
		return 0;
	s->found = cell->len == s->wanted.len && memcmp(cell->bytes, s->wanted.bytes, cell->len) == 0;
	if (!s->found && (cell->bytes[0] & NEST_KIND) == DUR_ROPE)
		return 0;
	return add(s, parent, key, cell);
}

static int look_embedded(struct search *s, size_t at)
{
	const struct node *node = s->nodes[at];
	struct nest_entries it;
	struct nest_entry entry;
	struct element_key key = { .position = 0 };
	int rc = 0;

	nest_entries_open(&it, node->bytes + node->key_len, node->cell_len);
	for (; rc == 0 && !s->found && nest_entries_next(&it, &entry) == 0; key.position++) {
		key.bytes = node->kind == DUR_LIST ? NULL : entry.key;
		key.len = entry.key_len;
		if (entry.cell)
			rc = look_at(s, at, &key, &(struct cell){ entry.cell, entry.cell_len });
	}
	return rc;
}

static int look_leaf(struct search *s, size_t at, const struct page *leaf, uint64_t first)
{
	bool keyed = kind_is_keyed(s->nodes[at]->kind);
	struct element_key key = { .position = first };
	int rc = 0;

	for (unsigned i = 0; i < leaf->n && rc == 0 && !s->found; i++, key.position++) {
		struct cell cell = keyed ? node_cell(leaf, i) : seq_cell(leaf, i);
		if (!(cell.bytes[0] & NEST_REFS))
			continue;
		if (keyed) {
			key.bytes = key.buf;
			key.len = node_key(leaf, i, key.buf);
		}
		rc = look_at(s, at, &key, &cell);
	}
	return rc;
}

/* Pages are met anew whenever they are come back to: those of packed states do not last. */
static int look_tree(struct search *s, size_t at)
{
	struct {
		struct page_ptr ptr;
		unsigned next;
	} way[TREE_DEPTH_MAX];
	const struct tree tree = s->nodes[at]->tree;
	uint32_t kind = s->nodes[at]->kind;
	unsigned level = tree.depth - 1;
	const struct page *page;
	uint64_t position = 0;
	int rc = 0;

	way[level].ptr = tree.root;
	way[level].next = 0;
	while (rc == 0 && !s->found && level < tree.depth) {
		rc = ref_page(&s->snap->pager, kind, level, way[level].ptr, &page);
		if (rc < 0)
			break;
		if (way[level].next == 0) {
			if (s->pages_left-- == 0)
				return 1;
			s->snap->pages_read++;
		}
		if (level == 0) {
			rc = look_leaf(s, at, page, position);
			position += page->n;
			level++;
			continue;
		}
		bool down = false;
		while (!down && way[level].next < page->n) {
			unsigned i = way[level].next++;
			struct node_child child = kind_is_keyed(kind) ? node_child(page, i) : seq_child(page, i);
			down = child.runs;
			position += down ? 0 : child.count;
			if (down) {
				way[level - 1].ptr = child.ptr;
				way[level - 1].next = 0;
			}
		}
		level = down ? level - 1 : level + 1;
	}
	return rc;
}

/* 0, or DUR_NONE. */
static int look_for(struct search *s)
{
	const struct tree *catalog = s->snap->catalog;
	uint8_t cell[NEST_TREE_CELL];
	int rc = 0;

	nest_tree_write(cell, &(struct nest_tree){
		.kind = s->snap->raw ? DUR_RAW_MAP : DUR_MAP, .depth = catalog->depth,
		.root = catalog->root, .count = catalog->count,
	});
	if (catalog->depth)
		rc = add(s, 0, &(struct element_key){ .bytes = NULL },
		         &(struct cell){ cell, sizeof cell });
	for (size_t i = 0; i < s->n && rc == 0 && !s->found; i++)
		rc = s->nodes[i]->cell_len ? look_embedded(s, i) : look_tree(s, i);
	return rc < 0 ? rc : s->found ? 0 : DUR_NONE;
}

static void end(struct search *s)
{
	while (s->n)
		free(s->nodes[--s->n]);
	free(s->nodes);
}

/* ---- What is there now ---- */

/* From the catalog's row along the way to a node. DUR_NONE: it is not the same way any more. */
static int follow(dur_view *v, struct search *s, size_t at, struct row **row)
{
	size_t depth = 0;
	int rc = 0;

	/* The way down: each node's parent is told who leads on. */
	for (size_t next = at; next; depth++) {
		size_t up = s->nodes[next]->parent;
		s->nodes[up]->tree.count = next;
		next = up;
	}
	*row = &v->rows->root;
	for (size_t i = 0; rc == 0 && i != at;) {
		const struct node *node = s->nodes[i = (size_t)s->nodes[i]->tree.count];
		struct element_key key = { .bytes = node->bytes, .len = node->key_len,
			                   .position = node->position };
		if (s->nodes[node->parent]->kind == DUR_LIST)
			key.bytes = NULL;
		if ((*row)->kind != s->nodes[node->parent]->kind)
			return DUR_NONE;
		rc = row_child(v, *row, &key, row);
		rc = rc == DUR_E_TYPE ? DUR_NONE : rc;
	}
	return rc == 0 && (*row)->kind != s->nodes[at]->kind ? DUR_NONE : rc;
}

static bool names(const struct page *page, struct page_ptr ptr, bool keyed)
{
	for (unsigned i = 0; i < page->n; i++) {
		struct page_ptr other = keyed ? node_child_ptr(page, i) : seq_child_ptr(page, i);
		if (other.no == ptr.no && other.birth == ptr.birth)
			return true;
	}
	return false;
}

/*
 * Whether one has become the other: it was put in its place then and not since, or, if that was a
 * clone or a copy, they have pages in common. 1: it has, 0.
 */
static int related(const struct place *mine, const struct place *from, uint64_t placed_mine,
                   uint64_t placed_from)
{
	const struct page *a, *b;
	bool keyed = kind_is_keyed(mine->kind);
	int rc;

	if (placed_mine == placed_from || !mine->tree || !from->tree)
		return 1;
	if (mine->tree->depth != from->tree->depth || mine->tree->depth == 1)
		return 0;
	rc = ref_page(&from->view->pager, from->kind, from->tree->depth - 1, from->tree->root, &b);
	if (rc == 0)
		rc = ref_page(&mine->view->pager, mine->kind, mine->tree->depth - 1, mine->tree->root, &a);
	for (unsigned i = 0; rc == 0 && i < a->n; i++)
		if (names(b, keyed ? node_child_ptr(a, i) : seq_child_ptr(a, i), keyed))
			return 1;
	return rc;
}

/* When its tree was put in its place; 0: the catalog, or it is embedded. */
static uint64_t placed(const uint8_t *cell)
{
	struct nest_tree tree;

	if (!cell || !nest_is_tree(cell))
		return 0;
	nest_tree_read(cell, &tree);
	return tree.placed;
}

/* ---- What looking for it may cost ---- */

/* Whether cells of its leaves may name pages. 0, 1: they may. */
static int may_name(const struct place *p)
{
	const struct page *root;
	int rc;

	if (!p->tree)
		return p->cell.bytes[0] & NEST_REFS ? 1 : 0;
	if (p->kind == DUR_ROPE)
		return 0;
	rc = ref_page(&p->view->pager, p->kind, p->tree->depth - 1, p->tree->root, &root);
	for (unsigned i = 0; rc == 0 && i < root->n; i++) {
		bool keyed = kind_is_keyed(p->kind);
		if (node_is_branch(root)) {
			rc = keyed ? node_child(root, i).runs : seq_child(root, i).runs;
		} else {
			struct cell cell = keyed ? node_cell(root, i) : seq_cell(root, i);
			rc = cell.bytes[0] & NEST_REFS ? 1 : 0;
		}
	}
	return rc;
}

static int budget(const struct place *p, uint64_t *pages)
{
	uint64_t each = p->kind == DUR_ROPE ? (uint64_t)ENTRIES_PAGE * 16 : ENTRIES_PAGE;
	int rc = may_name(p);

	*pages = place_count(p) / each;
	if (rc == 1 && *pages < PAGES_LEAST)
		*pages = PAGES_LEAST;
	return rc < 0 ? rc : 0;
}

/* ---- Putting it ---- */

/* The row of what has become of it; the way there is in the search. */
static int find(dur_view *v, struct search *s, const dur_coll *source, const struct place *from,
                struct row **row)
{
	struct place mine;
	int rc = source->at == 0 ? 0 : budget(from, &s->pages_left);

	*row = &v->rows->root;
	if (rc == 0 && source->at) {
		if (s->pages_left == 0)
			return DUR_NONE;
		rc = look_for(s);
		if (rc == 0)
			rc = follow(v, s, s->n - 1, row);
	}
	if (rc == 0)
		rc = row_find(v, *row);
	if (rc != 0)
		return rc;
	row_place(v, *row, &mine);
	if (mine.kind != from->kind || place_count(&mine) == 0)
		return DUR_NONE;
	rc = source->at ? related(&mine, from, placed((*row)->cell), placed(s->wanted.bytes)) : 1;
	if (rc == 1)
		rc = become_pays(&mine, from);
	return rc < 0 ? rc : rc == 1 ? 0 : DUR_NONE;
}

static bool is_past(const dur_view *v, const dur_value *value)
{
	const dur_view *from = value ? value->coll.view : NULL;

	return value && value->type >= DUR_MAP && !(value->type & DUR_LITERAL) &&
	       (value->type < DUR_OBJECT || value->type == DUR_COLL) && from && from != v &&
	       collection_check(value->coll) == 0 && from->kind == VIEW_SNAPSHOT &&
	       from->prefix->shared == v->prefix->shared;
}

/* A clone of a row's collection, at the key. */
static int put_clone(dur_view *v, struct row *row, const struct element_key *key, struct row *now,
                     bool insert)
{
	struct made_cell m;
	dur_coll handle = row_handle(v, now);
	int rc = cell_make_clone(v, handle, key->len, &m);

	if (now->parent)
		row_leave(v, now);
	if (rc < 0)
		return rc;
	rc = insert ? write_insert(v, row, key->position, &(struct cell){ m.bytes, (uint32_t)m.len }, 1)
	            : write_put(v, row, key, m.bytes, m.len);
	if (rc < 0)
		cell_unmake(v, &m);
	return rc;
}

int origin_put(dur_view *v, struct row *row, const struct element_key *key, const dur_value *value,
               bool insert)
{
	struct search s = { 0 };
	struct row *now;
	struct place from;
	bool changed;

	if (likely(!is_past(v, value)))
		return DUR_NONE;
	dur_coll source = value->coll;
	int rc = place_open(source, &from);
	if (rc < 0 || (from.form == FORM_BYTES && !nest_is_collection(from.cell.bytes)) ||
	    place_count(&from) == 0)
		return rc < 0 ? rc : DUR_NONE;
	s.snap = source.view;
	s.wanted = (struct cell){ source.at ? place_address(source) : NULL,
		                  (uint32_t)(source.at >> PLACE_LENGTH_SHIFT) };
	row_handle(v, row); /* rows without are forgotten by and by */
	rc = find(v, &s, &source, &from, &now);
	end(&s);
	if (rc == 0)
		rc = put_clone(v, row, key, now, insert);
	if (rc == 0) {
		rc = row_child(v, row, key, &now);
		if (rc == 0)
			rc = become(v, now, &from, false, &changed);
		write_bar(v, rc);
	}
	if (row->parent)
		row_leave(v, row);
	return rc;
}
