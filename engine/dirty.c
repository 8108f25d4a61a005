/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of dirty pages: making, owning and dropping them. Buffers come from slabs that live as
 * long as the transaction, so that a page costs no malloc; indexes and buffers are used again, last
 * freed first.
 *
 * Every function that can fail reserves what it needs before it changes anything.
 */
#include "engine/dirty.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "duramen.h"
#include "engine/dirty_private.h"
#include "engine/grow.h"
#include "engine/refs.h"
#include "internal/error.h"

/*
 * With AddressSanitizer a buffer not in use is poison: it catches pointers that were kept too long.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes)   ((void)(at))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at))
#endif

/*
 * Small at first: what malloc takes from the system one by one is given back, with an interrupt to
 * every other core, when the transaction ends, and most transactions change few pages.
 */
enum { SLAB_FIRST = 8, SLAB_MOST = 64 }; /* pages; each slab twice the one before */

static struct dirty_private *private_of(const struct dirty *d)
{
	return d->extra;
}

static const char no_room[] = "a transaction's pages need more memory than there is";

static int no_memory(void)
{
	return error_system(ENOMEM, "%s", no_room);
}

int dirty_open(struct dirty *d, struct file *file, uint64_t state, uint64_t limit_bytes,
               const struct dirty_host *host)
{
	struct dirty_private *x = calloc(1, sizeof *x);
	if (!x)
		return no_memory();
	*d = (struct dirty){
		.file = file,
		.state = state,
		.limit_bytes = limit_bytes,
		.host = *host,
		.moves = state << 32,   /* what is kept from a transaction before must not match */
		.extra = x,
	};
	return 0;
}

void dirty_close(struct dirty *d)
{
	struct dirty_private *x = private_of(d);
	if (!x)
		return;
	for (size_t i = 0; i < x->n_slabs; i++)
		free(x->slabs[i].at);
	free(x->slabs);
	free(x->spare);
	free(x->next_index);
	free(x->set);
	free(x->placed);
	free(x->iov);
	free(x->writes);
	free(x->chunk);
	free(x->count);
	free(x->queue);
	dirty_shares_free(d);
	free(x->told);
	dirty_marks_free(d);
	free(x->frames);
	free(x->places);
	free(x);
	free(d->pages);
	free(d->retired);
	*d = (struct dirty){ 0 };
}

void dirty_abort(struct dirty *d)
{
	struct dirty_private *x = private_of(d);
	if (!x)
		return;
	dirty_marks_end(d);
	for (size_t i = 0; i < x->cap_set; i++)
		if (x->set[i].no)
			dirty_give(d, &x->set[i]);
	dirty_close(d);
}

void dirty_root(struct dirty *d, struct page_ptr *root)
{
	for (unsigned i = 0; i < d->n_roots; i++)
		if (d->roots[i] == root)
			return;
	if (d->n_roots == sizeof d->roots / sizeof *d->roots)
		d->failed =
			error_set(DUR_E_LIMIT, "a transaction has at most %u trees", d->n_roots);
	else
		d->roots[d->n_roots++] = root;
}

/* A write that stopped half-way may have left pointers to pages that it let go of. */
int dirty_lost(const struct dirty *d)
{
	return error_set(d->failed ? d->failed : DUR_E_CORRUPT, "a write of this transaction failed half-way: "
	                 "roll back to a mark before it, or close the transaction");
}

/* ---- Buffers and indexes ---- */

/* How many slabs begin at an address or before it. */
static size_t slabs_up_to(const struct dirty_private *x, uintptr_t at)
{
	size_t low = 0, high = x->n_slabs;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if ((uintptr_t)x->slabs[mid].at <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool dirty_holds(const struct dirty *d, const void *bytes)
{
	struct dirty_private *x = d->extra;
	uintptr_t at = (uintptr_t)bytes, low = 0, high = UINTPTR_MAX;

	if (likely(at - x->gap < x->gap_bytes))
		return false;
	size_t n = slabs_up_to(x, at);
	if (n)
		low = (uintptr_t)x->slabs[n - 1].at + x->slabs[n - 1].bytes;
	if (n < x->n_slabs)
		high = (uintptr_t)x->slabs[n].at;
	if (at < low)
		return true;
	x->gap = low;
	x->gap_bytes = high - low;
	return false;
}

static int slab_new(struct dirty_private *x)
{
	size_t n = x->n_slabs < 3 ? (size_t)SLAB_FIRST << x->n_slabs : SLAB_MOST;
	int r = grow_array(&x->slabs, &x->cap_slabs, x->n_slabs + 1, sizeof *x->slabs, no_room);
	if (!r)
		r = grow_array(&x->spare, &x->cap_spare, (x->n_slabs + 1) * SLAB_MOST,
		               sizeof(struct page *), no_room);
	if (r)
		return r;
	uint8_t *slab = aligned_alloc(PAGE_SIZE, n * PAGE_SIZE);
	if (!slab)
		return no_memory();
	ASAN_POISON_MEMORY_REGION(slab, n * PAGE_SIZE);
	size_t before = slabs_up_to(x, (uintptr_t)slab);
	memmove(&x->slabs[before + 1], &x->slabs[before], (x->n_slabs - before) * sizeof *x->slabs);
	x->slabs[before] = (struct slab){ slab, n * PAGE_SIZE };
	x->gap_bytes = 0;
	x->n_slabs++;
	/* The lowest address is used first: pages made one after the other make one write. */
	for (size_t i = n; i-- > 0;)
		x->spare[x->n_spare++] = (struct page *)(slab + i * PAGE_SIZE);
	return 0;
}

static int index_room(struct dirty *d)
{
	struct dirty_private *x = private_of(d);
	if (d->free_index || d->n_pages < d->cap_pages)
		return 0;
	size_t cap = d->cap_pages, cap_next = d->cap_pages, need = (size_t)d->n_pages + 1;
	int r = need > UINT32_MAX / 2 ? no_memory() : 0;
	if (!r)
		r = grow_array(&x->next_index, &cap_next, need, sizeof *x->next_index, no_room);
	if (!r)
		r = grow_array(&d->pages, &cap, need, sizeof *d->pages, no_room);
	if (!r)
		d->cap_pages = (uint32_t)cap;
	return r;
}

/* A buffer under an index. Its contents are undefined. */
static int page_alloc(struct dirty *d, uint32_t *index)
{
	struct dirty_private *x = private_of(d);
	int r = index_room(d);
	if (!r && !x->n_spare)
		r = slab_new(x);
	if (r)
		return r;
	uint32_t i = d->n_pages;
	if (d->free_index) {
		i = d->free_index - 1;
		d->free_index = x->next_index[i];
	} else {
		d->n_pages++;
	}
	d->pages[i] = x->spare[--x->n_spare];
	ASAN_UNPOISON_MEMORY_REGION(d->pages[i], PAGE_SIZE);
	if (++d->live > d->peak)
		d->peak = d->live;
	*index = i;
	return 0;
}

void dirty_free_page(struct dirty *d, uint32_t index)
{
	struct dirty_private *x = private_of(d);
	dirty_share_end(d, index);
	ASAN_POISON_MEMORY_REGION(d->pages[index], PAGE_SIZE);
	x->spare[x->n_spare++] = d->pages[index];
	d->pages[index] = NULL;
	x->next_index[index] = d->free_index;
	d->free_index = index + 1;
	d->live--;
}

/* ---- Pages ---- */

int dirty_new(struct dirty *d, unsigned kind, unsigned level, enum page_class class,
              struct page_ptr *ptr, struct page **page)
{
	uint32_t i;
	int r = page_alloc(d, &i);
	if (r)
		return r;
	struct page *p = d->pages[i];
	memset(p, 0, PAGE_SIZE);
	p->birth = d->state;
	p->heap = PAGE_SIZE;
	page_set_id(p, PAGE_DIRTY | i, kind, level);
	d->system_pages += class == CLASS_SYSTEM;
	*ptr = (struct page_ptr){ PAGE_DIRTY | i, d->state };
	*page = p;
	return 0;
}

static int retired_room(struct dirty *d)
{
	return grow_array(&d->retired, &d->cap_retired, d->n_retired + 1, sizeof *d->retired, no_room);
}

static void retire(struct dirty *d, struct page_ptr ptr, uint32_t n, enum page_class class)
{
	d->retired[d->n_retired++] = (struct retired){ ptr.no, ptr.birth, n, class };
}

/* What this transaction wrote early and does not want any more. */
static int give_back(struct dirty *d, uint64_t no)
{
	struct written w;
	int r = dirty_hold_reserve(d);
	if (r)
		return r;
	if (written_remove(d, no, &w))
		return error_set(DUR_E_CORRUPT,
		                 "page %" PRIu64 " claims to be of state %" PRIu64 ", which is "
		                 "only being written; run duramen check",
		                 no, d->state);
	dirty_give(d, &w);
	return 0;
}

int dirty_own(struct dirty *d, struct page_ptr *ptr, enum page_class class, struct page **page)
{
	const struct page *old;
	uint32_t i;

	if (likely(dirty_mine(d, *ptr))) {
		*page = d->pages[ptr->no & ~PAGE_DIRTY];
		return 0;
	}
	const struct pager pager = { .file = d->file, .dirty = d };
	int r = page_get(&pager, *ptr, &old);
	if (!r)
		r = retired_room(d);
	if (!r)
		r = page_alloc(d, &i);
	if (r)
		return r;
	struct page *p = d->pages[i];
	bool shared = false;
	if (unlikely(d->sharing) && class == CLASS_DATA && (r = ref_part(d, *ptr, old, &shared))) {
		dirty_free_page(d, i);
		return r;
	}
	memcpy(p, old, PAGE_SIZE);
	if (shared) {
		/* The others keep it. */
	} else if (ptr->birth != d->state) {
		retire(d, *ptr, 1, class);
		d->system_pages += class == CLASS_SYSTEM;
	} else if ((r = give_back(d, ptr->no))) {
		dirty_free_page(d, i);
		return r;
	}
	p->sum = 0;
	p->birth = d->state;
	p->steps = (uint8_t)((p->steps + 1) % PAGE_STEPS);
	page_set_id(p, PAGE_DIRTY | i, page_kind(p), page_level(p));
	*ptr = (struct page_ptr){ PAGE_DIRTY | i, d->state };
	*page = p;
	return 0;
}

int dirty_drop(struct dirty *d, struct page_ptr ptr, enum page_class class)
{
	if (ptr.no & PAGE_DIRTY && !dirty_mine(d, ptr)) {
		dirty_unshare(d, ptr.no);
		return 0;
	}
	if (ptr.no & PAGE_DIRTY) {
		dirty_free_page(d, (uint32_t)(ptr.no & ~PAGE_DIRTY));
		d->system_pages -= class == CLASS_SYSTEM;
		return 0;
	}
	return dirty_drop_run(d, ptr, 1, class);
}

/* ---- Runs ---- */

int dirty_run_taken(struct dirty *d, uint64_t no, uint32_t n, uint64_t header_sum)
{
	if (written_reserve(d, 1))
		return no_memory();
	written_add(d, &(struct written){ .no = no, .n = n, .is_run = 1, .sum = header_sum });
	return 0;
}

int dirty_drop_run(struct dirty *d, struct page_ptr ptr, uint32_t n, enum page_class class)
{
	bool shared = false;
	if (unlikely(d->sharing) && class == CLASS_DATA) {
		int r = ref_leave(d, ptr, &shared);
		if (r || shared)
			return r;
	}
	if (ptr.birth == d->state) {
		int given = give_back(d, ptr.no);
		d->system_pages -= given == 0 && class == CLASS_SYSTEM ? n : 0;
		return given;
	}
	int r = retired_room(d);
	if (!r)
		retire(d, ptr, n, class);
	return r;
}
