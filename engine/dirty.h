/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transaction's private pages. Copy-on-write: the first change of a published page copies it into
 * a buffer; further changes are made in place. A dirty page is named PAGE_DIRTY | index until
 * commit places it in the file. Beyond the memory limit finished pages spill: they get their
 * numbers early, are written, and their buffers are freed; changed again, they are read back and
 * their numbers given back.
 *
 * Pages of two classes are retired: data pages are held by retention and pins, system pages (system
 * tree, records) by pins alone.
 */
#ifndef DURAMEN_ENGINE_DIRTY_H
#define DURAMEN_ENGINE_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/file.h"
#include "engine/page.h"

enum page_class { CLASS_DATA = 0, CLASS_SYSTEM = 1 };

/* Where free space comes from (space.h in the engine, a counter in tests). */
struct dirty_host {
	void *ctx;
	/*
	 * n contiguous pages, never crossing a window unless n is larger than one. 0 or negative.
	 */
	int (*take)(void *ctx, uint64_t n, uint64_t *no);
	/* Pages taken by this transaction that it does not need after all; free at once. */
	void (*give)(void *ctx, uint64_t no, uint64_t n);
};

struct retired {
	uint64_t no, birth;
	uint32_t n;             /* contiguous pages */
	uint32_t class;         /* enum page_class */
};

/* What the transaction has written: the state record lists it. */
struct written {
	uint64_t no;
	uint32_t n;
	uint16_t is_run;        /* 1: a large value; sum is its header's. 0: single page; n is 1 */
	uint16_t mark;          /* private: how many marks there were when it was written */
	uint64_t sum;
};

struct dirty {
	struct file *file;
	uint64_t state;                 /* the birth of its pages */
	uint64_t limit_bytes;           /* 0: none */
	struct dirty_host host;
	struct page **pages;            /* by index; NULL: free index */
	uint32_t n_pages, cap_pages;    /* indexes in use are below n_pages */
	uint32_t free_index;            /* head of the free indexes + 1, kept in freed[]; private */
	uint32_t live;                  /* dirty pages now in memory */
	uint32_t peak;
	struct page_ptr *roots[8];      /* registered: the trees that may hold dirty pages */
	unsigned n_roots;
	struct retired *retired;        /* published pages this transaction stopped using */
	size_t   n_retired, cap_retired;
	uint64_t spilled_bytes;         /* written early */
	uint32_t n_shared;              /* dirty pages that several places name: refs.h */
	int64_t  system_pages;          /* of the system class that this transaction made, less dropped */
	uint64_t moves;                 /* changes when dirty pages leave memory; no two states' meet */
	bool     sharing;               /* some pages have several parents: refs.h */
	int      failed;                /* a spill failed: bars the commit */
	void    *extra;                 /* dirty_private.h */
};

/* Whether the transaction may write to the page as it is: dirty, and named by one place alone. */
bool dirty_mine_slow(const struct dirty *d, struct page_ptr ptr);

static inline bool dirty_mine(const struct dirty *d, struct page_ptr ptr)
{
	return ptr.no & PAGE_DIRTY && (likely(!d->n_shared) || dirty_mine_slow(d, ptr));
}

struct unpack;

/*
 * What a tree reads through: a file, in a transaction its dirty pages, for a state of the past of which
 * some pages are packed what decodes them (unpack.h: pages so met do not last). Embedded in views.
 */
struct pager {
	struct file  *file;
	struct dirty *dirty;            /* NULL in a snapshot */
	struct unpack *unpack;          /* NULL: nothing is packed */
	uint64_t detour;                /* PAGE_DIRTY if unpack is there: so one test tells both */
};

int unpack_page(struct unpack *unpack, struct page_ptr ptr, const struct page **page);
/* A page of the transaction that is no more. */
int dirty_lost(const struct dirty *d);

static inline int page_get(const struct pager *pager, struct page_ptr ptr, const struct page **page)
{
	if (unlikely((ptr.no | pager->detour) & PAGE_DIRTY)) {
		if (pager->unpack)
			return unpack_page(pager->unpack, ptr, page);
		*page = pager->dirty->pages[ptr.no & ~PAGE_DIRTY];
		return likely(*page != NULL) ? 0 : dirty_lost(pager->dirty);
	}
	return file_page(pager->file, ptr, page);
}

int  dirty_open(struct dirty *d, struct file *file, uint64_t state, uint64_t limit_bytes,
                const struct dirty_host *host);
/* Forgets everything, gives all taken space back (abort), or only frees memory (after a commit). */
void dirty_abort(struct dirty *d);
void dirty_close(struct dirty *d);
/* A root whose pages may be dirty; *root is updated by spills and by placing. */
void dirty_root(struct dirty *d, struct page_ptr *root);

/* A new page of zeros but for its header (birth, kind, level, heap = PAGE_SIZE). */
int dirty_new(struct dirty *d, unsigned kind, unsigned level, enum page_class class,
              struct page_ptr *ptr, struct page **page);
/*
 * The page to write to: itself if it is dirty already and no other place names it, else a copy; the
 * old one is retired, unless others name it, too. *ptr is updated. From the root down: a page's
 * parent is owned before it.
 */
int dirty_own(struct dirty *d, struct page_ptr *ptr, enum page_class class, struct page **page);
/*
 * The transaction no longer uses this page: freed if dirty, retired if published, unless others name
 * it, too. What it names is not looked at: that is with its copy, or see refs.h.
 */
int dirty_drop(struct dirty *d, struct page_ptr ptr, enum page_class class);
/* Whether bytes that were read lie in a dirty page: the next write may move them. */
bool dirty_holds(const struct dirty *d, const void *bytes);

/*
 * Large values: run.h writes them through these two. n pages are taken and the run is listed as
 * written.
 */
int dirty_run_taken(struct dirty *d, uint64_t no, uint32_t n, uint64_t header_sum);
int dirty_drop_run(struct dirty *d, struct page_ptr ptr, uint32_t n, enum page_class class);

/*
 * The page that the pointer at `place` names, in a page of this transaction, and all dirty ones
 * below are written now. Other pointers to such pages are not held, and no page of the transaction
 * is shared.
 */
int dirty_settle(struct dirty *d, uint8_t *place);
/*
 * Call between tree operations, when no page pointers are held: spills if over the limit. All dirty
 * pages but the registered roots are written, children before parents, in key order, in contiguous
 * runs. Not while a place that names a shared page hangs in none of the trees (a cell on its way).
 */
int dirty_relieve(struct dirty *d);

/*
 * Marks: places to come back to. A mark writes all dirty pages, the roots too, so that what the
 * transaction is then stands in numbered pages alone. A page that a mark may need is changed as one of
 * another state is, by a copy, and its number is kept until the marks end. Marks are a stack, told by
 * their place in it, from 1. Between tree operations; no page pointers are held.
 *
 * The new mark; its number, or an error that changes nothing and bars nothing.
 */
int dirty_mark(struct dirty *d);
/*
 * Back to this mark, which stays; newer ones end. All that was written since is given back, and with it
 * what failed since. -ENOMEM: nothing was changed. Registered roots are restored; counts of entries and
 * depths of trees are the caller's.
 */
int dirty_rollback(struct dirty *d, unsigned mark);
/* Before a commit, and part of an abort: no mark is needed any more. */
void dirty_marks_end(struct dirty *d);

struct extent {
	uint64_t no, n;
};
/*
 * Commit: numbers all live dirty pages, in key order with parents behind their children, from the
 * extents (which hold at least d->live pages), patches pointers and registered roots, seals the
 * pages. Lists them in *out (malloced, sorted by number), spilled pages and runs included.
 */
int dirty_place(struct dirty *d, const struct extent *extents, unsigned n_extents,
                struct written **out, size_t *n_out);
/* After dirty_place: the bytes of the pages placed (not of spilled ones), as writes; owned by d. */
int dirty_writes(struct dirty *d, const struct io_write **writes, unsigned *n);

#endif
