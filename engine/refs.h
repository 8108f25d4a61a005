/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: what pages name. A branch names its children, a leaf's cells name runs and the roots of
 * nested trees (nest.h); nobody but refs.c knows which kind of page names what. Every reference is a
 * pointer of 14 bytes, birth and page number, at a place in the page that holds it, so that a page that
 * moves is told to its parent in one way.
 *
 * Several places may name one page or run: that is what putting a collection in a second place does. How
 * many there are is counted only where there are several, and only at the top of what is shared (Rodeh,
 * "B-trees, shadowing, and clones", ACM Transactions on Storage 2008): whoever writes to such a page leaves
 * it to the others, and makes a copy that is one more parent of all that the page names. As pages are
 * owned from the root down, a page is written in place only if all above it have one parent.
 *
 *   'R' page u64    of the system tree: varint, how many parents more than one; no entry: one
 *
 * The counts are the state's, as its trees are: a commit that changes some writes them to the system tree
 * itself. Pages that the transaction still has in memory have no numbers to be counted by: their counts
 * stand beside them, and those that are shared when it commits are written before the counts are.
 *
 * Releasing a cell takes away one parent of what it names. A page is retired when the last one goes (I2),
 * and what it names is released then. Only what the newest state reaches is ever shared anew (I3).
 */
#ifndef DURAMEN_ENGINE_REFS_H
#define DURAMEN_ENGINE_REFS_H

#include "engine/dirty.h"
#include "engine/nest.h"

/* ---- What a page names ---- */

enum ref_kind { REF_CHILD, REF_TREE, REF_RUN };

struct page_ref {
	enum ref_kind kind;
	struct page_ptr ptr;
	uint32_t at;            /* in the page: birth (8), page number (6) */
	uint32_t of;            /* tree: the kind of the collection; child: 0, that of its parent */
	uint32_t level;         /* child, tree: of the page it names */
	bool refs;              /* child, tree: cells below may name pages */
	bool nested;            /* in releasing: it hangs below a tree that a cell named */
	uint64_t count;         /* child, tree: entries below it; run: bytes of its value */
};

/* References of one page in the order of its entries. Good while the page does not change. */
struct page_refs {
	const struct page *page;
	unsigned next;          /* entry */
	unsigned cell;          /* where the cell lies whose references are being told */
	bool in_cell;
	struct nest_refs nest;
};
void page_refs_open(struct page_refs *it, const struct page *page);
/* 0, or 1 at the end. */
int page_refs_next(struct page_refs *it, struct page_ref *ref);

/* The same of a cell's reference; cell: where the cell lies in its page. */
void page_ref_of(const struct nest_ref *from, unsigned cell, struct page_ref *ref);

static inline struct page_ptr ref_ptr_at(const struct page *page, unsigned at)
{
	const uint8_t *bytes = (const uint8_t *)page + at;
	return (struct page_ptr){ .birth = get_u64(bytes), .no = get_u48(bytes + 8) };
}

static inline void ref_ptr_set(uint8_t *place, struct page_ptr ptr)
{
	put_u64(place, ptr.birth);
	put_u48(place + 8, ptr.no);
}

/*
 * The page of a collection's tree at this level: met, and of the kind and level that it must be.
 * DUR_E_CORRUPT.
 */
int ref_page(const struct pager *pager, unsigned of, unsigned level, struct page_ptr ptr,
             const struct page **page);
/* Entries that a page, which was met, holds or says are below it; of a rope, bytes. */
uint64_t ref_page_count(const struct page *page);

/* ---- Sharing ---- */

enum { REFS_KEY_COUNT = 'R', REFS_KEY_QUEUE = 'Q' };

/*
 * Where counts stand as of the state that the transaction builds on: in its system tree, if there are any.
 * Without this call there are none.
 */
void ref_open(struct dirty *d, const struct tree *system, bool any);
/* One more parent names this page or run. */
int ref_share(struct dirty *d, struct page_ptr ptr);
/*
 * A cell is copied to a second place, which then names what it names. A copy that finds no place is to be
 * released. Between tree operations; pages below the cell are not the transaction's own any more.
 */
int ref_share_cell(struct dirty *d, const uint8_t *cell, size_t len);
/* How many parents a page or run has more than one. */
int ref_extra(struct dirty *d, struct page_ptr ptr, uint64_t *extra);
/* Whether counts or the queue were changed, and the system tree does not have all of that. */
bool ref_changed(const struct dirty *d);
/*
 * Before placing: what changed goes to the system tree; pages in memory that are shared are written for
 * that. Can be done again, after more changes.
 */
int ref_write(struct dirty *d, struct tree *system);
/* How many entries of a kind there are: pages with several parents, or what waits. O(log n). */
int ref_count(const struct pager *pager, const struct tree *system, uint8_t kind, uint64_t *n);
/* Counts in the order of pages. Nonzero from visit ends it and is returned. */
int ref_each(const struct pager *pager, const struct tree *system,
             int (*visit)(void *ctx, uint64_t no, uint64_t extra), void *ctx);

/* For dirty.c. A page is to be owned: if it has other parents, it is left to them, and *shared is set. */
int ref_part(struct dirty *d, struct page_ptr ptr, const struct page *page, bool *shared);
/* A page or run goes: the same without a copy. */
int ref_leave(struct dirty *d, struct page_ptr ptr, bool *shared);

/* ---- Letting go ---- */

/*
 * A tree that is large waits in the removal queue: whoever removes it returns at once, and the commits
 * that follow take slices of it. What waits is reached by the newest state until then.
 *
 *   'Q' sequence u64   of the system tree: kind u8 (enum ref_kind), collection's kind u8, level u8, flags u8
 *                      (1: leaves below name pages), birth u64, page number u48, count u64
 *
 * From now on large ones wait, in this transaction; without this call none does.
 */
void ref_queue(struct dirty *d);
/*
 * Lets go of about so many pages of what waits. *stuck: of something that cannot be read, which waits on.
 */
int ref_slice(struct dirty *d, struct tree *system, uint64_t pages, bool *stuck);
/* For ref_slice(): takes the first entry out of the queue. 1: there is none. */
int ref_queue_take(struct dirty *d, struct tree *system, struct page_ref *ref);
/* For ref_write(). */
int ref_queue_write(struct dirty *d, struct tree *system);
/* What waits. Nonzero from visit ends it and is returned. */
int ref_queue_each(const struct pager *pager, const struct tree *system,
                   int (*visit)(void *ctx, const struct page_ref *ref), void *ctx);
/* tree_walk() of what a reference names. */
int ref_walk(const struct pager *pager, const struct page_ref *top,
             const struct tree_visitor *visitor);

/*
 * A cell of the catalog or of a nested tree goes away: the transaction no longer uses what it names. What
 * cannot be read is an error that changes nothing; only a want of memory can stop it half-way, which bars
 * the transaction. Cost: at most some dozen pages for each tree that it names; where there is no
 * queue, all of them but leaves that name nothing.
 */
int ref_release_cell(struct dirty *d, const uint8_t *cell, size_t len);
/* Whether all of that can be read: nothing is changed. */
int ref_look_cell(struct dirty *d, const uint8_t *cell, size_t len);
/* The same of the part of a tree of this class that a child names. */
int ref_release(struct dirty *d, const struct page_ref *ref, enum page_class class);
int ref_look(struct dirty *d, const struct page_ref *ref, enum page_class class);

#endif
