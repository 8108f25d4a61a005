/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forms of collections: keyed trees, lists, ropes, and what is embedded. A handle of a snapshot is the
 * address of the collection's cell, with its length in the upper 16 bits: cells of published pages
 * stay where they are for as long as the view.
 */
#include "model/place.h"

#include <errno.h>

#include "engine/small_seq.h"
#include "engine/small_tree.h"
#include "model/collection.h"
#include "model/kept.h"
#include "model/rows.h"

static const uint8_t set_cell[1] = { DUR_NULL };

/* ---- Keyed trees ---- */

static int keyed_get(const struct place *p, const struct element_key *key, struct cell *cell)
{
	return tree_get(&p->view->pager, p->tree, key->bytes, key->len, cell);
}

static int keyed_rank(const struct place *p, const struct element_key *key, uint64_t *rank)
{
	return tree_rank(&p->view->pager, p->tree, key->bytes, key->len, rank);
}

static void keyed_open(struct place_cursor *c, const struct place *p)
{
	cursor_open(&c->tree, &p->view->pager, p->tree);
}

static int keyed_nth(struct place_cursor *c, uint64_t n)
{
	return cursor_nth(&c->tree, n);
}

static int keyed_seek(struct place_cursor *c, const uint8_t *key, size_t len)
{
	return cursor_seek(&c->tree, key, len);
}

static int keyed_seek_before(struct place_cursor *c, const uint8_t *key, size_t len)
{
	return cursor_seek_before(&c->tree, key, len);
}

static int keyed_next(struct place_cursor *c)
{
	return cursor_next(&c->tree);
}

static int keyed_prev(struct place_cursor *c)
{
	return cursor_prev(&c->tree);
}

static void keyed_entry(struct place_cursor *c, const void **key, size_t *len, struct cell *cell)
{
	cursor_entry(&c->tree, key, len, cell);
}

static int keyed_own(struct dirty *d, struct tree *tree, const struct element_key *key,
                     uint8_t **cell, size_t *len)
{
	return tree_own(d, tree, key->bytes, key->len, cell, len);
}

static int keyed_put(struct dirty *d, struct tree *tree, const struct element_key *key,
                     const uint8_t *cell, size_t len, bool moved)
{
	return moved ? tree_put_moved(d, tree, key->bytes, key->len, cell, len)
	             : tree_put(d, tree, key->bytes, key->len, cell, len, NULL);
}

static int keyed_del(struct dirty *d, struct tree *tree, const struct element_key *key)
{
	return tree_del(d, tree, key->bytes, key->len);
}

/* ---- Lists ---- */

/* A transaction's pages change within its calls, too: it remembers none. */
static int list_form_get(const struct place *p, const struct element_key *key, struct cell *cell)
{
	dur_view *v = p->view;
	int rc;

	if (v->kind != VIEW_SNAPSHOT)
		return list_get(&v->pager, p->tree, key->position, cell);
	if (v->near_writes != v->writes)
		v->near.n = 0;
	rc = list_get_near(&v->pager, p->tree, key->position, &v->near, cell);
	v->near_writes = v->writes; /* the get may have moved pages, but not the one it ended in */
	return rc;
}

static int list_rank(const struct place *p, const struct element_key *key, uint64_t *rank)
{
	uint64_t n = p->tree->count;

	*rank = key->position < n ? key->position : n;
	return key->position >= n;
}

static void list_open(struct place_cursor *c, const struct place *p)
{
	seq_cursor_open(&c->seq, &p->view->pager, p->tree, SEQ_LIST);
}

static int list_nth(struct place_cursor *c, uint64_t n)
{
	return seq_cursor_seek(&c->seq, n);
}

static int list_next(struct place_cursor *c)
{
	return seq_cursor_next(&c->seq);
}

static int list_prev(struct place_cursor *c)
{
	return seq_cursor_prev(&c->seq);
}

static void list_entry(struct place_cursor *c, const void **key, size_t *len, struct cell *cell)
{
	if (key) {
		*key = NULL;
		*len = 0;
	}
	if (cell)
		*cell = seq_cursor_cell(&c->seq);
}

static int list_form_own(struct dirty *d, struct tree *tree, const struct element_key *key,
                         uint8_t **cell, size_t *len)
{
	uint32_t n = 0;
	int rc = key->position < tree->count ? list_own(d, tree, key->position, cell, &n) : 1;

	*len = n;
	return rc;
}

static int list_put(struct dirty *d, struct tree *tree, const struct element_key *key,
                    const uint8_t *cell, size_t len, bool moved)
{
	const struct cell value = { cell, (uint32_t)len };

	return key->position < tree->count ? list_set(d, tree, key->position, &value, moved)
	                                   : list_insert(d, tree, key->position, &value, 1);
}

static int list_del(struct dirty *d, struct tree *tree, const struct element_key *key)
{
	if (key->position >= tree->count)
		return 1;
	return seq_remove(d, tree, SEQ_LIST, key->position, key->position + 1);
}

/* ---- Ropes ---- */

static int rope_rank(const struct place *p, const struct element_key *key, uint64_t *rank)
{
	uint64_t n = place_count(p);

	*rank = key->position < n ? key->position : n;
	return key->position >= n;
}

static int wrong_counts(void)
{
	return error_set(DUR_E_CORRUPT, "the counts of the tree are wrong: run `duramen check`");
}

int place_piece(const struct place *p, uint64_t at, uint64_t *first, const uint8_t **bytes,
                uint64_t *n)
{
	struct seq_cursor c;
	int rc;

	if (p->form == FORM_BYTES) {
		*first = 0;
		*bytes = p->bytes;
		*n = p->length;
		return 0;
	}
	seq_cursor_open(&c, &p->view->pager, p->tree, SEQ_ROPE);
	rc = seq_cursor_seek(&c, at);
	if (rc != 0)
		return rc < 0 ? rc : wrong_counts();
	*first = c.first;
	*bytes = seq_rope_bytes(c.level[0].page);
	*n = c.level[0].n;
	return 0;
}

int place_bytes(const struct place *p, uint64_t at, void *buf, uint64_t n)
{
	uint64_t got;
	int rc;

	if (p->form == FORM_BYTES) {
		if (n)
			memcpy(buf, p->bytes + at, n);
		return 0;
	}
	rc = rope_read(&p->view->pager, p->tree, at, buf, n, &got);
	return rc == 0 && got < n ? wrong_counts() : rc;
}

/* ---- Embedded ---- */

static int small_get(const struct place *p, const struct element_key *key, struct cell *cell)
{
	struct nest_entry entry;
	int rc = p->kind == DUR_LIST
	                 ? small_nth(p->cell.bytes, p->cell.len,
	                             key->position < UINT32_MAX ? (unsigned)key->position
	                                                        : UINT32_MAX, &entry)
	                 : small_find(p->cell.bytes, p->cell.len, key->bytes, key->len, &entry, NULL);

	if (rc == 0)
		*cell = entry.cell ? (struct cell){ entry.cell, entry.cell_len }
		                   : (struct cell){ set_cell, sizeof set_cell };
	return rc;
}

static int small_rank(const struct place *p, const struct element_key *key, uint64_t *rank)
{
	struct nest_entry entry;
	unsigned before;
	int rc;

	if (p->kind == DUR_LIST) {
		uint64_t n = place_count(p);
		*rank = key->position < n ? key->position : n;
		return key->position >= n;
	}
	rc = small_find(p->cell.bytes, p->cell.len, key->bytes, key->len, &entry, &before);
	*rank = before;
	return rc;
}

static void small_cursor_open(struct place_cursor *c, const struct place *p)
{
	struct nest_entries it;
	struct nest_entry entry;

	c->cell = p->cell.bytes;
	c->kind = (uint8_t)p->kind;
	c->n = c->at = 0;
	nest_entries_open(&it, p->cell.bytes, p->cell.len);
	while (c->n < sizeof c->offset / sizeof *c->offset && nest_entries_next(&it, &entry) == 0)
		c->offset[c->n++] = (uint16_t)entry.at;
}

static int small_cursor_nth(struct place_cursor *c, uint64_t n)
{
	struct nest_entries it = { .cell = c->cell, .kind = c->kind, .left = 1 };

	if (n >= c->n)
		return 1;
	c->at = (uint32_t)n;
	it.next = c->cell + c->offset[n];
	return nest_entries_next(&it, &c->entry);
}

/* How many entries are below the key. */
static uint32_t small_below(struct place_cursor *c, const uint8_t *key, size_t len)
{
	uint32_t low = 0, high = c->n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		small_cursor_nth(c, mid);
		size_t n = c->entry.key_len, shorter = n < len ? n : len;
		int order = memcmp(c->entry.key, key, shorter);
		if (order < 0 || (order == 0 && n < len))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int small_cursor_seek(struct place_cursor *c, const uint8_t *key, size_t len)
{
	return small_cursor_nth(c, small_below(c, key, len));
}

static int small_cursor_seek_before(struct place_cursor *c, const uint8_t *key, size_t len)
{
	uint32_t below = small_below(c, key, len);

	return below ? small_cursor_nth(c, below - 1) : 1;
}

static int small_cursor_next(struct place_cursor *c)
{
	return small_cursor_nth(c, (uint64_t)c->at + 1);
}

static int small_cursor_prev(struct place_cursor *c)
{
	return c->at ? small_cursor_nth(c, c->at - 1) : 1;
}

static void small_cursor_entry(struct place_cursor *c, const void **key, size_t *len,
                               struct cell *cell)
{
	if (key) {
		*key = c->entry.key;
		*len = c->entry.key_len;
	}
	if (cell)
		*cell = c->entry.cell ? (struct cell){ c->entry.cell, c->entry.cell_len }
		                      : (struct cell){ set_cell, sizeof set_cell };
}

const struct form_ops form_ops[] = {
	[FORM_KEYED] = {
		.get = keyed_get, .rank = keyed_rank,
		.open = keyed_open, .nth = keyed_nth, .seek = keyed_seek,
		.seek_before = keyed_seek_before, .next = keyed_next, .prev = keyed_prev,
		.entry = keyed_entry,
		.own = keyed_own, .put = keyed_put, .del = keyed_del,
		.grow = small_grow_keyed, .shrink = small_shrink_keyed,
	},
	[FORM_SMALL] = {
		.get = small_get, .rank = small_rank,
		.open = small_cursor_open, .nth = small_cursor_nth, .seek = small_cursor_seek,
		.seek_before = small_cursor_seek_before, .next = small_cursor_next,
		.prev = small_cursor_prev, .entry = small_cursor_entry,
	},
	[FORM_LIST] = {
		.get = list_form_get, .rank = list_rank,
		.open = list_open, .nth = list_nth, .next = list_next, .prev = list_prev,
		.entry = list_entry,
		.own = list_form_own, .put = list_put, .del = list_del,
		.grow = small_grow_list, .shrink = small_shrink_list,
	},
	[FORM_ROPE] = {
		.rank = rope_rank, .grow = small_grow_rope, .shrink = small_shrink_rope,
	},
	[FORM_BYTES] = {
		.rank = rope_rank,
	},
};

enum form form_of_tree(uint32_t kind)
{
	return kind == DUR_LIST ? FORM_LIST : kind == DUR_ROPE ? FORM_ROPE : FORM_KEYED;
}

int place_cursor_nth(struct place_cursor *c, uint64_t n)
{
	int rc = form_ops[c->form].nth(c, n);

	return rc == 1 ? wrong_counts() : rc;
}

/* ---- Opening ---- */

const char *kind_name(uint32_t kind)
{
	static const char *const names[] = { "a map",  "a raw map", "a set", "a raw set",
		                             "a list", "a rope",    "an object" };

	return kind >= DUR_MAP && kind <= DUR_OBJECT ? names[kind - DUR_MAP] : "no collection";
}

void place_of_cell(dur_view *v, const struct cell *cell, struct place *p)
{
	struct nest_tree tree;

	p->view = v;
	p->kind = cell->bytes[0] & NEST_KIND;
	if (cell->bytes[0] & NEST_EMBEDDED) {
		p->form = p->kind == DUR_ROPE ? FORM_BYTES : FORM_SMALL;
		p->tree = NULL;
		p->cell = *cell;
		p->bytes = cell->bytes + 1;
		p->length = cell->len - 1;
		return;
	}
	nest_tree_read(cell->bytes, &tree);
	p->form = form_of_tree(p->kind);
	p->own.root = tree.root;
	p->own.count = tree.count;
	p->own.depth = tree.depth;
	p->own.class = CLASS_DATA;
	p->own.finger.dirty = NULL;
	p->tree = &p->own;
}

/* A string or bytes value as the rope of its bytes. */
static int place_of_text(dur_view *v, const struct cell *cell, struct place *p)
{
	dur_value text;
	int rc = collection_value(v, cell, &v->arena, &text);

	p->view = v;
	p->kind = DUR_ROPE;
	p->form = FORM_BYTES;
	p->tree = NULL;
	p->cell = *cell;
	p->bytes = rc == 0 ? text.ptr : NULL;
	p->length = rc == 0 ? text.len : 0;
	return rc;
}

int place_open(dur_coll c, struct place *p)
{
	struct row *row;
	struct cell cell;
	int rc;

	if (likely(c.at == 0)) {
		p->view = c.view;
		p->kind = c.kind;
		p->form = FORM_KEYED;
		p->tree = c.view->catalog;
		return 0;
	}
	if (c.at >> PLACE_LENGTH_SHIFT) {
		cell.len = (uint32_t)(c.at >> PLACE_LENGTH_SHIFT);
		cell.bytes = place_address(c);
		if (unlikely(!nest_is_collection(cell.bytes)))
			return place_of_text(c.view, &cell, p);
		place_of_cell(c.view, &cell, p);
		return 0;
	}
	rc = row_of(c, &row);
	if (rc == 0)
		rc = row_find(c.view, row);
	if (rc == 0)
		row_place(c.view, row, p);
	return rc;
}

int place_handle(dur_view *v, const struct cell *cell, dur_coll *out)
{
	const uint8_t *bytes = cell->bytes;
	uint32_t stamp = v->stamp;

	if (v->kind == VIEW_TXN) {
		if (v->lent_writes != v->writes || !v->lent_stamp) {
			v->lent_stamp = ++v->last_stamp;
			v->lent_writes = v->writes;
		}
		stamp = v->lent_stamp;
	} else if (unlikely(v->pager.unpack != NULL)) {
		bytes = kept_cell(v, bytes, cell->len);
		if (!bytes)
			return -ENOMEM;
	}
	*out = (dur_coll){
		.view = v,
		.at = (uint64_t)(uintptr_t)bytes | (uint64_t)cell->len << PLACE_LENGTH_SHIFT,
		.stamp = stamp,
		.kind = nest_is_collection(bytes) ? bytes[0] & NEST_KIND : DUR_ROPE,
	};
	return 0;
}

/* ---- Keys ---- */

static int no_position(const uint8_t *text, size_t len)
{
	return error_set(DUR_E_PATH, "\"%.*s\" is no position in a list: these are 0, 1 and so on, ~i-1 "
	                             "is the last item's, and - is behind it",
	                 (int)(len < 64 ? len : 64), (const char *)text);
}

/* A position as text: digits, or "-" for behind the last. */
static int text_position(const dur_value *key, uint64_t count, uint64_t *position)
{
	const uint8_t *text;
	uint64_t n = 0;
	size_t len;
	int rc = key_text(key, &text, &len);

	if (rc < 0)
		return rc;
	if (len == 1 && text[0] == '-') {
		*position = count;
		return 0;
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || i == 18)
			return no_position(text, len);
		n = n * 10 + (unsigned)(text[i] - '0');
	}
	*position = n;
	return len == 0 ? no_position(text, len) : 0;
}

int place_position(const struct place *p, const dur_value *key, struct element_key *out)
{
	uint64_t count = place_count(p);

	out->bytes = NULL;
	out->len = 0;
	if (key->type == DUR_STR)
		return text_position(key, count, &out->position);
	if (key->type != DUR_INT)
		return error_set(DUR_E_TYPE, "%s is by position: an int, or a path's digits",
		                 kind_name(p->kind));
	if (key->i >= 0)
		out->position = (uint64_t)key->i;
	else if ((uint64_t) - (key->i + 1) < count)
		out->position = count - 1 - (uint64_t) - (key->i + 1);
	else
		out->position = UINT64_MAX; /* before its beginning: nothing is there */
	return 0;
}

int place_key(const struct place *p, const dur_value *key, struct element_key *out)
{
	if (p->kind == DUR_LIST)
		return place_position(p, key, out);
	if (unlikely(!kind_is_keyed(p->kind)))
		return error_set(DUR_E_TYPE, "%s has no elements with keys", kind_name(p->kind));
	out->bytes = out->buf;
	return kind_is_raw(p->kind) ? key_encode_raw(key, out->buf, sizeof out->buf, &out->len)
	                            : key_encode(key, out->buf, sizeof out->buf, &out->len);
}
