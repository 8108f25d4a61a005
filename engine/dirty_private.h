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
};

/* A dirty page on a walk's way down, and those of its references that lead on, by their places. */
struct dirty_frame {
	struct page *page;
	uint32_t index;
	size_t from;            /* in places[] its own are from here to the end */
	uint8_t *place;         /* as in the item */
};

enum { SPILL_PAGES = 256 }; /* 1 MiB a write */

struct dirty_private {
	/* Buffers: slabs of pages; a stack of those not in use, with room for all. */
	void **slabs;
	size_t n_slabs, cap_slabs;
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

/* ---- dirty_spill.c ---- */

/* Writes all dirty pages, the roots too. On failure some are written, nothing is lost. */
int dirty_settle_all(struct dirty *d);

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
 * order; nested trees before the leaf that names them.
 */
struct dirty_walk {
	unsigned root;          /* the next one */
	size_t depth;           /* frames in use */
	uint8_t *top;           /* the one place to begin with; NULL: the roots */
};
/*
 * 0, 1 at the end, DUR_E_CORRUPT, -ENOMEM. Start with a walk of zeros but for top. A walk over what
 * was walked before cannot fail.
 */
int dirty_walk_next(struct dirty *d, struct dirty_walk *walk, struct dirty_item *item);
/* Gives the page its final number: in its header and in the pointer to it. */
void dirty_item_place(struct dirty *d, const struct dirty_item *item, uint64_t no);

#endif
