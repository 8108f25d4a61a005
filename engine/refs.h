/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: what pages name. A branch names its children, a leaf's cells name runs and the roots of
 * nested trees (nest.h); nobody but refs.c knows which kind of page names what. Every reference is a
 * pointer of 14 bytes, birth and page number, at a place in the page that holds it, so that a page that
 * moves is told to its parent in one way.
 *
 * Releasing a cell takes away what it names, trees with all that is below them, nested ones too.
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
/* ---- Letting go ---- */

/*
 * A cell of the catalog or of a nested tree goes away: the transaction no longer uses what it names. What
 * cannot be read is an error that changes nothing; only a want of memory can stop it half-way, which bars
 * the transaction. Cost: the pages of the trees that it names, but for leaves that name nothing.
 */
int ref_release_cell(struct dirty *d, const uint8_t *cell, size_t len);
/* Whether all of that can be read: nothing is changed. */
int ref_look_cell(struct dirty *d, const uint8_t *cell, size_t len);
/* The same of the part of a tree of this class that a child names. */
int ref_release(struct dirty *d, const struct page_ref *ref, enum page_class class);
int ref_look(struct dirty *d, const struct page_ref *ref, enum page_class class);

#endif
