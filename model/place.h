/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places: where a collection's entries are. Whatever reads works on a place and does not know whether
 * the collection is the catalog, embedded in a leaf's cell or a tree of its own, nor of what kind of
 * view it is.
 *
 * A form is how entries are kept; each brings its table of operations (form_of()).
 */
#ifndef DURAMEN_MODEL_PLACE_H
#define DURAMEN_MODEL_PLACE_H

#include "engine/seq.h"
#include "engine/small.h"
#include "prefixes/prefix.h"

enum form {
	FORM_KEYED, /* a keyed tree */
	FORM_SMALL, /* embedded; not of ropes */
	FORM_LIST,  /* a positional tree of cells */
	FORM_ROPE,  /* a positional tree of bytes; read by place_piece(), not by cursors */
	FORM_BYTES, /* a rope in one piece: embedded, or a string or bytes value read as one */
};

/* The key of an element: bytes in keyed collections, a position in lists. */
struct element_key {
	const uint8_t *bytes; /* buf, or memory of whoever asked */
	size_t len;
	uint64_t position;
	uint8_t buf[DUR_MAX_KEY + 1];
};

struct place {
	dur_view *view;
	uint32_t kind;
	enum form form;
	const struct tree *tree; /* NULL: embedded */
	struct cell cell;        /* embedded: all of it */
	const uint8_t *bytes;    /* FORM_BYTES: the rope's, and how many */
	uint64_t length;
	struct tree own;         /* what tree points to, if nobody else has it */
};

/* Goes over a place's entries by their numbers; as struct cursor, which it has for trees. */
struct place_cursor {
	enum form form;
	uint32_t n, at;          /* embedded: entries, and the one it is at */
	const uint8_t *cell;
	struct nest_entry entry;
	union {
		struct cursor tree;
		struct seq_cursor seq;
	};
	uint8_t kind;
	uint16_t offset[TREE_CELL_MAX / 2]; /* of each entry in the cell */
};

struct form_ops {
	/* 0, 1: nothing there. Of sets the cell is that of a null. */
	int (*get)(const struct place *p, const struct element_key *key, struct cell *cell);
	/* How many stand before the key; 0, 1: the key itself is not there. */
	int (*rank)(const struct place *p, const struct element_key *key, uint64_t *rank);
	void (*open)(struct place_cursor *c, const struct place *p);
	int (*nth)(struct place_cursor *c, uint64_t n);
	/* To the first entry not below the key, or the last one below it. 0, 1: there is none. */
	int (*seek)(struct place_cursor *c, const uint8_t *key, size_t len);
	int (*seek_before)(struct place_cursor *c, const uint8_t *key, size_t len);
	int (*next)(struct place_cursor *c);
	int (*prev)(struct place_cursor *c);
	/* key or cell may be NULL; of lists key is NULL afterwards. */
	void (*entry)(struct place_cursor *c, const void **key, size_t *len, struct cell *cell);
	/*
	 * Of trees, in a transaction, whose root and count they change. own: the cell of an element, in
	 * pages that are the transaction's; put: `moved` says that what the old cell named is in the
	 * new one; clear: [first, end) are the ranks, from and to (NULL: none) the keys at them.
	 */
	int (*own)(struct dirty *d, struct tree *tree, const struct element_key *key, uint8_t **cell,
	           size_t *len);
	int (*put)(struct dirty *d, struct tree *tree, const struct element_key *key,
	           const uint8_t *cell, size_t len, bool moved);
	int (*del)(struct dirty *d, struct tree *tree, const struct element_key *key);
	/* The entries of an embedded collection as a tree. */
	int (*grow)(struct dirty *d, const uint8_t *cell, size_t len, struct tree *tree);
	/* The reverse; 0: it takes more than room. The tree is as it was. */
	size_t (*shrink)(const struct pager *pager, const struct tree *tree, uint32_t kind,
	                 uint8_t *cell, size_t room);
};

extern const struct form_ops form_ops[];

static inline const struct form_ops *place_ops(const struct place *p)
{
	return &form_ops[p->form];
}

/* The form that trees of a kind have. */
enum form form_of_tree(uint32_t kind);

static inline bool kind_is_raw(uint32_t kind)
{
	return kind == DUR_RAW_MAP || kind == DUR_RAW_SET;
}

static inline bool kind_is_set(uint32_t kind)
{
	return kind == DUR_SET || kind == DUR_RAW_SET;
}

static inline bool kind_is_keyed(uint32_t kind)
{
	return kind >= DUR_MAP && kind <= DUR_RAW_SET;
}

/* What dur_make() and literals can make. */
static inline bool kind_can_be_made(uint32_t kind)
{
	return kind_is_keyed(kind) || kind == DUR_LIST || kind == DUR_ROPE;
}

/* Whose entries have positions and no keys. */
static inline bool kind_is_positional(uint32_t kind)
{
	return kind == DUR_LIST || kind == DUR_ROPE;
}

static inline enum seq_kind seq_kind_of(uint32_t kind)
{
	return kind == DUR_ROPE ? SEQ_ROPE : SEQ_LIST;
}

/* "a map", for messages. */
const char *kind_name(uint32_t kind);

/* The collection that a handle leads to; the handle was checked (collection_check()). */
int place_open(dur_coll c, struct place *p);
/* A string or bytes value, which can be opened as a rope to be read. */
static inline bool cell_is_text(const struct cell *cell)
{
	uint8_t type = cell->bytes[0] & NEST_KIND;

	return type == DUR_STR || type == DUR_BYTES;
}

/* The one that a cell is. */
void place_of_cell(dur_view *v, const struct cell *cell, struct place *p);
/*
 * The key of an element. Of a list's text, 0 is its first position, - the one behind its last; negative
 * positions count from its end. DUR_E_TYPE, DUR_E_LIMIT, DUR_E_RANGE, ...
 */
int place_key(const struct place *p, const dur_value *key, struct element_key *out);

/* A position, as a key of a list or an offset of a rope. DUR_E_TYPE, DUR_E_PATH. */
int place_position(const struct place *p, const dur_value *key, struct element_key *out);

static inline uint64_t place_count(const struct place *p)
{
	if (p->tree)
		return p->tree->count;
	return p->form == FORM_BYTES ? p->length : nest_count(p->cell.bytes, p->cell.len);
}

/*
 * The piece of a rope in which the byte at an offset is, which is there: where it begins, its bytes and
 * how many. They last as a page of the view does. DUR_E_CORRUPT.
 */
int place_piece(const struct place *p, uint64_t at, uint64_t *first, const uint8_t **bytes,
                uint64_t *n);
/* Copies bytes of a rope, which are there. */
int place_bytes(const struct place *p, uint64_t at, void *buf, uint64_t n);

static inline int place_get(const struct place *p, const struct element_key *key, struct cell *cell)
{
	return place_ops(p)->get(p, key, cell);
}

static inline int place_rank(const struct place *p, const struct element_key *key, uint64_t *rank)
{
	return place_ops(p)->rank(p, key, rank);
}

static inline void place_cursor_open(struct place_cursor *c, const struct place *p)
{
	c->form = p->form;
	place_ops(p)->open(c, p);
}

/* To the n-th entry, which is there; DUR_E_CORRUPT if it is not. */
int place_cursor_nth(struct place_cursor *c, uint64_t n);

static inline int place_cursor_next(struct place_cursor *c)
{
	return likely(c->form == FORM_KEYED) ? cursor_next(&c->tree) : form_ops[c->form].next(c);
}

static inline int place_cursor_prev(struct place_cursor *c)
{
	return likely(c->form == FORM_KEYED) ? cursor_prev(&c->tree) : form_ops[c->form].prev(c);
}

static inline void place_cursor_entry(struct place_cursor *c, const void **key, size_t *len,
                                      struct cell *cell)
{
	if (likely(c->form == FORM_KEYED))
		cursor_entry(&c->tree, key, len, cell);
	else
		form_ops[c->form].entry(c, key, len, cell);
}

/* A handle that is the address of a cell has its length in the upper bits. */
enum { PLACE_LENGTH_SHIFT = 48 };
static inline const uint8_t *place_address(dur_coll c)
{
	return (const uint8_t *)(uintptr_t)(c.at & (((uint64_t)1 << PLACE_LENGTH_SHIFT) - 1));
}
/* A handle to a collection whose cell was read in this view. */
int place_handle(dur_view *v, const struct cell *cell, dur_coll *out);

#endif
