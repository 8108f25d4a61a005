/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keyed copy-on-write B+tree: byte-string keys in memcmp order, cells as values. It serves the catalog
 * and the system tree. Every branch entry carries its subtree's count, so rank, select and range counts
 * are exact and O(log n).
 *
 * A cell is opaque but for its first byte: with CELL_RUN set it names pages, a large value's run (value.h)
 * or what collections in it consist of (nest.h). What a cell names goes with its entry.
 *
 * Nothing here recurses on what a page says: depth is bounded by TREE_DEPTH_MAX and every level is checked
 * to be one below its parent's.
 */
#ifndef DURAMEN_ENGINE_TREE_H
#define DURAMEN_ENGINE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/dirty.h"
#include "engine/page.h"

enum {
	TREE_KEY_MAX = 1024,            /* bytes of an encoded key */
	TREE_DEPTH_MAX = 24,
	TREE_CELL_MAX = 1900,           /* cell bytes that stay inline, if key and cell fit TREE_ENTRY_MAX */
	TREE_ENTRY_MAX = 1990,          /* so that two entries always fit a leaf */
	CELL_RUN = 0x80,                /* names pages */
	CELL_COLLECTION = 0x20,         /* the cell is a collection's */
	CELL_RUN_BYTES = 22,
};

/*
 * Where the last put went, so that ascending and clustered puts skip the descent. Private to the tree's
 * writers; all zero: nowhere. Every write looks whether the pages are still the transaction's own.
 */
enum { FINGER_DEPTH = 6 };              /* deeper trees have no finger */
struct finger {
	const struct dirty *dirty;      /* NULL: none */
	uint64_t moves;                 /* dirty->moves then */
	struct page *page[FINGER_DEPTH];
	uint16_t at[FINGER_DEPTH];      /* [0] the entry put last, above: children taken */
	uint8_t misses;                 /* puts in a row that went elsewhere */
	int8_t  trend;                  /* puts in a row just behind (+) or before (-) the one before */
	uint64_t first;                 /* positional trees: position of the leaf's first unit, */
	uint64_t last, last_end;        /* and what was inserted last */
};

/* By value; stored in state records as root number (6), birth (8), count (8), depth (1). */
struct tree {
	struct page_ptr root;           /* number 0: empty */
	uint64_t count;
	uint32_t depth;                 /* levels; 0: empty */
	uint32_t class;                 /* enum page_class, set by who opens it */
	struct finger finger;
};

struct cell {
	const uint8_t *bytes;           /* in the page: good until the next write in a transaction */
	uint32_t len;
};

/* ---- Reading ---- */

/* 0, 1: not there, DUR_E_CORRUPT. */
int tree_get(const struct pager *pager, const struct tree *tree, const void *key, size_t len,
             struct cell *cell);
struct tree_key {
	const void *key;
	size_t len;
};
/* n look-ups, eight interleaved with prefetch; cells[i].bytes NULL: not there. */
int tree_get_many(const struct pager *pager, const struct tree *tree, const struct tree_key *keys,
                  uint32_t n, struct cell *cells);
/* Entries before key; 0: key is there, 1: it is not (rank set all the same). */
int tree_rank(const struct pager *pager, const struct tree *tree, const void *key, size_t len,
              uint64_t *rank);
/* The lowest page that a tree leads both bounds of some keys to. */
struct tree_place {
	struct page_ptr page;
	unsigned level;
};
/*
 * Since when the keys from `from` to `to`, both included (to == from: that one key; key NULL: no
 * bound), have not changed: in every state from *since to the tree's own they are what they are in
 * this one. UINT64_MAX: nothing is known but of this state. Of one key the cell too: bytes NULL, and
 * 1, if it is not there; of more keys both mean nothing. O(log n); tree_since.c says why it is so.
 */
int tree_since(const struct pager *pager, const struct tree *tree, const struct tree_key *from,
               const struct tree_key *to, uint64_t *since, struct tree_place *place,
               struct cell *cell);
/*
 * Whether an older state's tree leads the same bounds to that place: then the keys have not changed
 * since it. If a state does, so do those after it up to the one that the place is of. O(log n).
 */
int tree_leads(const struct pager *pager, const struct tree *tree, const struct tree_key *from,
               const struct tree_key *to, const struct tree_place *place, bool *leads);

/*
 * A cursor keeps its path and prefetches the next leaf; no allocation. It is at an entry, or before the
 * first / past the last. Good until a write; then seek again.
 */
struct cursor {
	struct pager pager;
	struct tree  tree;
	uint32_t depth;                 /* levels on the path; 0: nothing there */
	const struct page *key_page;    /* whose prefix key[] begins with */
	const uint8_t *ahead, *ahead_end; /* what of the next leaf has not been asked for */
	uint64_t moved;                 /* of a packed state: unpack_moved() when it met the leaf */
	struct {
		struct page_ptr ptr;
		const struct page *page;
		uint32_t at, n;
	} level[TREE_DEPTH_MAX];        /* [0] the leaf */
	/* Assembled when asked for: pages store keys without their shared prefix. Some bytes to spare. */
	uint8_t  key[TREE_KEY_MAX + 32];
};

void cursor_open(struct cursor *c, const struct pager *pager, const struct tree *tree);
/* To the first entry at or after key. 0 or 1 (past the last). */
int cursor_seek(struct cursor *c, const void *key, size_t len);
/* To the last entry before key. 0 or 1 (there is none). */
int cursor_seek_before(struct cursor *c, const void *key, size_t len);
int cursor_first(struct cursor *c);
int cursor_last(struct cursor *c);
/* To the n-th entry (0..). 0 or 1. */
int cursor_nth(struct cursor *c, uint64_t n);
/* 0, or 1 at the end (the cursor then is past the last / before the first). */
int cursor_next(struct cursor *c);
int cursor_prev(struct cursor *c);
/* The entry it is at; key and cell are good until the next step. key or cell may be NULL. */
void cursor_entry(struct cursor *c, const void **key, size_t *len, struct cell *cell);

/*
 * ---- Writing (tree's pages in d; call dirty_relieve() between operations) ----
 *
 * A write that fails leaves the tree as it was. One exception: what runs out of memory while it removes
 * pages, after the first one is gone, bars the transaction (dirty.failed).
 */

/*
 * Puts a cell; *existed (may be NULL): an entry was replaced. What the old cell named is released
 * (refs.h). Key and cell must not lie in the transaction's own pages, which are about to change.
 * DUR_E_LIMIT: too long.
 */
int tree_put(struct dirty *d, struct tree *tree, const void *key, size_t len, const void *cell,
             size_t cell_len, bool *existed);
/* The same where the caller has taken over what the old cell named: that is left alone. */
int tree_put_moved(struct dirty *d, struct tree *tree, const void *key, size_t len, const void *cell,
                   size_t cell_len);
/*
 * The cell of a key, to be overwritten in place: all but its length and what its first byte says of
 * pages. Good until the next write to this tree or dirty_relieve(). 0, 1: not there.
 */
int tree_own(struct dirty *d, struct tree *tree, const void *key, size_t len, uint8_t **cell,
             size_t *cell_len);
/* 0, 1: was not there. Rebalances: nodes below a third are merged or filled from a neighbour. */
int tree_del(struct dirty *d, struct tree *tree, const void *key, size_t len);
int tree_del_moved(struct dirty *d, struct tree *tree, const void *key, size_t len);
/*
 * Removes keys in [from, to) (NULL: open end). Whole subtrees go without reading their leaves unless their
 * entry says that runs hang below. *n: how many entries went.
 */
int tree_clear(struct dirty *d, struct tree *tree, const void *from, size_t from_len, const void *to,
               size_t to_len, uint64_t *n);

/* ---- Looking at every page (check, compaction) ---- */

struct tree_visitor {
	void *ctx;
	/*
	 * Each page and each run of the tree and of those nested in it; n > 1: a run. Nonzero ends the
	 * walk and is returned.
	 */
	int (*page)(void *ctx, struct page_ptr ptr, uint64_t n, unsigned level);
	/* a structural problem: the walk goes on beside it */
	void (*problem)(void *ctx, struct page_ptr ptr, const char *text);
	/*
	 * Whether to leave this page, with all below it, or this run out. level and count (entries,
	 * bytes) are what its parent says. NULL: none.
	 */
	bool (*skip)(void *ctx, struct page_ptr ptr, unsigned level, uint64_t count);
};
/*
 * Checks order, fences, counts, depths, heap accounting of every node, verifies every page's checksum; goes
 * down trees that cells name, to any depth. Without skip, a page that several places name is met from each.
 */
int tree_walk(const struct pager *pager, const struct tree *tree, const struct tree_visitor *visitor);
/* The same of a collection's tree, whose kind (enum dur_type) it does not tell itself. */
int tree_walk_of(const struct pager *pager, const struct tree *tree, unsigned of,
                 const struct tree_visitor *visitor);

#endif
