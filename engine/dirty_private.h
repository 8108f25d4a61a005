/* SPDX-License-Identifier: Apache-2.0 */
/* What the dirty_*.c files share. Nobody else includes this. */
#ifndef DURAMEN_ENGINE_DIRTY_PRIVATE_H
#define DURAMEN_ENGINE_DIRTY_PRIVATE_H

#include "engine/dirty.h"
#include "engine/refs.h"
#include "engine/tree.h"

/* A dirty page and the one pointer to it. */
struct dirty_item {
	struct page *page;
	uint32_t index;
	uint8_t *place;         /* of the pointer in the page above; NULL: *root points to it */
	struct page_ptr *root;
	bool shared;            /* several places name it, or a page above it */
};

/* A dirty page on a walk's way down, and those of its references that lead on, by their places. */
struct dirty_frame {
	struct page *page;
	uint32_t index;
	size_t from;            /* in places[] its own are from here to the end */
	uint8_t *place;         /* as in the item */
	bool shared;
};

enum { SPILL_PAGES = 256 }; /* 1 MiB a write */
enum { SHARE_BLOCK = 512 };

struct dirty_private {
	/* Buffers: slabs of pages, by address; a stack of those not in use, with room for all. */
	struct slab {
		uint8_t *at;
		size_t bytes;
	} *slabs;
	size_t n_slabs, cap_slabs;
	uintptr_t gap, gap_bytes; /* addresses without a slab, as the last question met them */
	struct page **spare;
	size_t n_spare, cap_spare;
	uint32_t *next_index; /* by index: the free index behind it, + 1 */

	/* What is in the file already: an open-addressing hash by number; no 0: an empty cell. */
	struct written *set;
	size_t n_set, cap_set; /* cap: a power of two, or 0 */

	/* Pages placed by dirty_place, in the order of their numbers as the extents gave them. */
	struct page **placed;
	size_t n_placed;
	struct iovec *iov;
	struct io_write *writes;

	struct dirty_item *chunk; /* SPILL_PAGES of them, once something spilled */

	/* Counts of parents (refs_count.c): what this transaction knows, a hash by page number. */
	struct tree counts;       /* the system tree as of the state it builds on */
	struct count {
		uint64_t no;      /* 0: an empty place */
		uint64_t stored;  /* parents but one, as the transaction's system tree has it */
		uint64_t now;
	} *count;
	size_t n_count, cap_count;
	/* What is to wait in the removal queue; seq 0: the system tree does not have it yet. */
	struct queued {
		uint64_t seq;
		struct page_ref ref;
	} *queue;
	size_t n_queue, cap_queue;
	bool queues;

	/* Of dirty pages that several places name (dirty_share.c), by index: blocks, or NULL. */
	struct dirty_shared {
		uint64_t extra;   /* places but one; 0: nothing else here is of interest */
		uint64_t walk;    /* the last one that met it, */
		uint64_t met;     /* at so many places */
	} **shared;
	size_t n_blocks, cap_blocks;
	uint64_t walks;           /* there were so far */
	/* Places other than the first that were told a page's number, in writing a chunk. */
	struct dirty_told {
		uint32_t index;
		uint8_t *place;
		struct page_ptr *root;
	} *told;
	size_t n_told, cap_told;

	/* Marks (dirty_mark.c), the newest last. */
	struct dirty_mark *marks;
	size_t n_marks, cap_marks;
	struct written *held;     /* given up, but a mark may need it: not given back yet */
	size_t n_held, cap_held;
	uint64_t *since;          /* what was listed as written since the first mark */
	size_t n_since, cap_since;

	/* Of the walk under way; there is one at a time. */
	struct dirty_frame *frames;
	size_t cap_frames;
	uint16_t *places;
	size_t n_places, cap_places;
};

/* ---- dirty.c ---- */

/* Frees the buffer and the index. */
void dirty_free_page(struct dirty *d, uint32_t index);

/* ---- dirty_share.c: dirty pages that several places name ---- */

/* NULL: one place names it, and that was so as long as it is there. */
static inline struct dirty_shared *dirty_shared(const struct dirty *d, uint64_t index)
{
	const struct dirty_private *x = d->extra;
	size_t block = index / SHARE_BLOCK;
	return !d->n_shared || block >= x->n_blocks || !x->shared[block] ? NULL :
	       &x->shared[block][index % SHARE_BLOCK];
}

/* How many places name it more than one. */
static inline uint64_t dirty_extra(const struct dirty *d, uint64_t index)
{
	const struct dirty_shared *s = dirty_shared(d, index);
	return s ? s->extra : 0;
}

/* So that dirty_share() cannot fail. */
int dirty_share_reserve(struct dirty *d, uint64_t no);
void dirty_share(struct dirty *d, uint64_t no);
/* One place less; there were several. */
void dirty_unshare(struct dirty *d, uint64_t no);
/* The page goes: nobody names it any more, or all name it by its number. */
void dirty_share_end(struct dirty *d, uint32_t index);
/* The next shared page from an index on. false: there is none. */
bool dirty_share_next(const struct dirty *d, uint32_t *index);
void dirty_shares_free(struct dirty *d);

/* ---- dirty_spill.c ---- */

/* Writes all dirty pages, the roots too. On failure some are written, nothing is lost. */
int dirty_settle_all(struct dirty *d);
/*
 * Writes those that several places name, and what is below them: so their counts have numbers to
 * stand under. A failure bars the transaction.
 */
int dirty_settle_shared(struct dirty *d);

/* ---- refs_count.c ---- */

/* Room for counts of n pages more, so that ref_numbered() cannot fail. */
int ref_reserve(struct dirty *d, size_t n);
/* A page that several places name has just been given this number. */
void ref_numbered(struct dirty *d, uint64_t no, uint64_t extra);

/* ---- dirty_mark.c ---- */

/* What leaves the list of the written: to the host, unless a mark needs it. Reserves before. */
int dirty_hold_reserve(struct dirty *d);
void dirty_give(struct dirty *d, const struct written *w);
/* Frees memory alone. */
void dirty_marks_free(struct dirty *d);

/* ---- dirty_written.c ---- */

/* Room for n more, so that adding them cannot fail. 0 or -ENOMEM. */
int written_reserve(struct dirty *d, size_t n);
/* It is of the time of the newest mark. */
void written_add(struct dirty *d, const struct written *w);
/* The same as it was listed before. */
void written_add_again(struct dirty *d, const struct written *w);
/* NULL: not there. */
const struct written *written_find(const struct dirty *d, uint64_t no);
/* 0, or 1: not there. */
int written_remove(struct dirty *d, uint64_t no, struct written *w);
/* Copies all of them to out (n_set of them), in no order. */
void written_copy(const struct dirty *d, struct written *out);

/* ---- dirty_place.c ---- */

/*
 * All dirty pages below the registered roots, or below one place: children before parents, in key
 * order; nested trees before the leaf that names them. A page that several places name is met at
 * the first of them; the walk goes by the others, and tells them the number that it has been given
 * by then.
 */
struct dirty_walk {
	unsigned root;          /* the next one */
	size_t depth;           /* frames in use */
	uint8_t *top;           /* the one place to begin with; NULL: the roots */
	uint64_t id;            /* 0: not begun */
	uint64_t again;         /* places that it went by */
};
/*
 * 0, 1 at the end, DUR_E_CORRUPT, -ENOMEM. Start with a walk of zeros but for top. A walk over what
 * was walked before cannot fail.
 */
int dirty_walk_next(struct dirty *d, struct dirty_walk *walk, struct dirty_item *item);
/* Writes a page's number, with this transaction's birth, to one of the places that name it. */
void dirty_tell(struct dirty *d, const struct dirty_told *told, uint64_t no);
/* Gives the page its final number: in its header and in the pointer to it. */
void dirty_item_place(struct dirty *d, const struct dirty_item *item, uint64_t no);

#endif
