/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool is a hash with a list from the page used last to the one used longest ago. Of a lineage
 * nothing else is kept, for a view needs one version of each page only.
 */
#include "engine/unpack.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/lineage.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum {
	HASH = 1024,
	REST_PAGES = 64,                /* buffers kept from one life to the next; all of them, as long as */
	RESTING_PAGES = 4096,           /* those at rest in this process are no more: 16 MiB */
	NONE = UNPACK_PAGES,
};

_Static_assert(UNPACK_WALK >= 2 * UNPACK_AHEAD, "what is met ahead is still here when the walk comes to it");

/* A page met: decoded into a buffer, or raw. */
struct met {
	struct page_ptr ptr;            /* number 0: the place is empty */
	const struct page *page;
	struct page *buffer;            /* NULL: none yet */
	uint16_t next, newer, older;    /* in its hash chain; in the list of use */
	uint16_t turn;                  /* its place in `walk`, one up; 0: in none */
};

struct unpack {
	struct packs packs;
	uint64_t *moved;
	uint64_t decoded;               /* pages, in this life */
	struct page_ptr expected;       /* next by unpack_ahead(), number 0: any */
	unsigned ahead;                 /* pages that it met the last time; 0: it never did */
	unsigned resting;               /* buffers counted among those at rest */
	const void *walker;             /* whose pages `walk` has */
	uint16_t walk[UNPACK_WALK];     /* places that its walk filled, place + 1, and that nobody took since */
	unsigned walked;                /* pages */
	uint16_t used;                  /* places ever used in this life */
	uint16_t newest, oldest;
	uint16_t hash[HASH];            /* place + 1 */
	struct met met[UNPACK_PAGES];
};

/* Memory that is touched for the first time costs as much as decoding a page into it. */
static _Atomic unsigned resting_pages;

/* ---- Lives ---- */

int unpack_new(uint64_t *moved, struct unpack **out)
{
	struct unpack *u = calloc(1, sizeof *u);

	if (!u)
		return error_system(ENOMEM, "reading a state of the past");
	u->moved = moved;
	*out = u;
	return 0;
}

static void buffers_free(struct unpack *u, unsigned from)
{
	for (unsigned i = from; i < UNPACK_PAGES; i++) {
		free(u->met[i].buffer);
		u->met[i].buffer = NULL;
	}
}

static void wake(struct unpack *u)
{
	atomic_fetch_sub_explicit(&resting_pages, u->resting, memory_order_relaxed);
	u->resting = 0;
}

void unpack_free(struct unpack *unpack)
{
	if (!unpack)
		return;
	wake(unpack);
	buffers_free(unpack, 0);
	packs_free(&unpack->packs);
	free(unpack);
}

void unpack_start(struct unpack *u, struct file *file, const struct tree *system, uint64_t state)
{
	wake(u);
	packs_start(&u->packs, file, system, state);
	u->decoded = 0;
	u->used = 0;
	u->walked = 0;
	memset(u->walk, 0, sizeof u->walk);
	u->newest = u->oldest = NONE;
	memset(u->hash, 0, sizeof u->hash);
	u->ahead = 0;
	for (unsigned i = 0; i < UNPACK_PAGES; i++) {
		u->met[i].ptr = (struct page_ptr){ 0 };
		u->met[i].turn = 0;
	}
	++*u->moved;
}

void unpack_rest(struct unpack *unpack)
{
	unsigned n = 0, before;

	wake(unpack);
	for (unsigned i = 0; i < UNPACK_PAGES; i++)
		n += unpack->met[i].buffer != NULL;
	before = atomic_fetch_add_explicit(&resting_pages, n, memory_order_relaxed);
	unpack->resting = n;
	if (before + n > RESTING_PAGES) {
		wake(unpack);
		buffers_free(unpack, REST_PAGES);
	}
}

uint64_t unpack_moved(const struct unpack *unpack)
{
	return *unpack->moved;
}

uint64_t unpack_decoded(const struct unpack *unpack)
{
	return unpack->decoded;
}

/* ---- The pool ---- */

static unsigned hash_of(struct page_ptr ptr)
{
	uint64_t h = (ptr.no ^ ptr.birth << 20) * 0x9e3779b97f4a7c15u;

	return (unsigned)(h >> 40) & (HASH - 1);
}

static void unlink_place(struct unpack *u, uint16_t i)
{
	struct met *m = &u->met[i];

	if (m->newer == NONE)
		u->newest = m->older;
	else
		u->met[m->newer].older = m->older;
	if (m->older == NONE)
		u->oldest = m->newer;
	else
		u->met[m->older].newer = m->newer;
}

static void link_newest(struct unpack *u, uint16_t i)
{
	struct met *m = &u->met[i];

	m->newer = NONE;
	m->older = u->newest;
	if (u->newest == NONE)
		u->oldest = i;
	else
		u->met[u->newest].newer = i;
	u->newest = i;
}

static bool pool_find(struct unpack *u, struct page_ptr ptr, const struct page **page)
{
	for (unsigned i = u->hash[hash_of(ptr)]; i; i = u->met[i - 1].next) {
		struct met *m = &u->met[i - 1];
		if (m->ptr.no != ptr.no || m->ptr.birth != ptr.birth)
			continue;
		if (u->newest != i - 1) {
			unlink_place(u, (uint16_t)(i - 1));
			link_newest(u, (uint16_t)(i - 1));
		}
		*page = m->page;
		return true;
	}
	return false;
}

static void hash_remove(struct unpack *u, uint16_t i)
{
	uint16_t *at = &u->hash[hash_of(u->met[i].ptr)];

	while (*at != i + 1)
		at = &u->met[*at - 1].next;
	*at = u->met[i].next;
	u->met[i].ptr.no = 0;
}

static uint16_t place_empty(struct unpack *u, uint16_t i)
{
	struct met *m = &u->met[i];

	unlink_place(u, i);
	if (m->ptr.no) {
		*u->moved += m->page == m->buffer; /* who looks at it must seek it anew */
		hash_remove(u, i);
	}
	if (m->turn)
		u->walk[m->turn - 1] = 0;
	m->turn = 0;
	return i;
}

/* A place to fill: a fresh one, or that of the page used longest ago. It is in no list. */
static uint16_t place_take(struct unpack *u)
{
	return u->used < UNPACK_PAGES ? u->used++ : place_empty(u, u->oldest);
}

/* The same in a long walk: it meets each page once, and would drive out all that is met again and again. */
static uint16_t place_walk(struct unpack *u)
{
	unsigned turn = u->walked++ % UNPACK_WALK;
	uint16_t i = u->walk[turn] ? place_empty(u, (uint16_t)(u->walk[turn] - 1)) : place_take(u);

	u->walk[turn] = (uint16_t)(i + 1);
	u->met[i].turn = (uint16_t)(turn + 1);
	return i;
}

/* Another one walks: what the last one has met stays as long as any page, for it may stand there still. */
static void walk_begin(struct unpack *u, const void *walker)
{
	for (unsigned turn = 0; turn < UNPACK_WALK && u->walked; turn++) {
		if (u->walk[turn])
			u->met[u->walk[turn] - 1].turn = 0;
		u->walk[turn] = 0;
	}
	u->walked = 0;
	u->walker = walker;
}

static void place_fill(struct unpack *u, uint16_t i, struct page_ptr ptr, const struct page *page)
{
	struct met *m = &u->met[i];
	uint16_t *head = &u->hash[hash_of(ptr)];

	m->ptr = ptr;
	m->page = page;
	m->next = *head;
	*head = (uint16_t)(i + 1);
	link_newest(u, i);
}

/* A place that was not filled after all is the first to be used again. */
static void place_return(struct unpack *u, uint16_t i)
{
	struct met *m = &u->met[i];

	m->ptr.no = 0;
	m->older = NONE;
	m->newer = u->oldest;
	if (u->oldest == NONE)
		u->newest = i;
	else
		u->met[u->oldest].older = i;
	u->oldest = i;
}

/* ---- Decoding ---- */

static int follow(struct unpack *u, struct lineage *l)
{
	int rc = 0;

	while (rc == 0 && !lineage_ends(l))
		rc = lineage_step(&u->packs, l);
	return rc;
}

int unpack_where(struct unpack *u, struct page_ptr ptr, struct pack_place *place)
{
	struct lineage l;
	int rc = 0;

	lineage_start(&l, ptr, true);
	while (rc == 0 && !lineage_ends(&l) && l.n == 0) {
		place->offset = l.offset;
		rc = lineage_step(&u->packs, &l);
	}
	if (rc < 0 || lineage_is_raw(&l))
		return rc < 0 ? rc : 1;
	place->pack = l.pack.last;
	return 0;
}

int unpack_decode(struct unpack *u, struct page_ptr ptr, const struct pack_place *place, void *to)
{
	struct lineage l;
	size_t index;
	int rc = packs_find(&u->packs, place->pack, &index);

	if (rc == 0)
		rc = lineage_start_at(&u->packs, &l, ptr, index, place->offset);
	if (rc == 0)
		rc = follow(u, &l);
	return rc < 0 ? rc : lineage_apply(&u->packs, &l, to);
}

/* ---- Meeting pages ---- */

static int fill(struct unpack *u, struct lineage *c, void *to)
{
	int rc = lineage_apply(&u->packs, c, to);

	if (rc == 1) {
		lineage_start(c, c->page, true); /* a raw page was written over meanwhile */
		rc = follow(u, c);
		if (rc == 0)
			rc = lineage_apply(&u->packs, c, to);
	}
	u->decoded += rc == 0 && lineage_is_packed(c);
	return rc;
}

/* The page of a followed lineage, or a raw one, gets a place in the pool. */
static int meet(struct unpack *u, struct lineage *c, bool walk, const struct page **page)
{
	struct met *m;
	uint16_t i;
	int rc;

	if (lineage_is_raw(c)) {
		rc = file_page(u->packs.pager.file, c->page, page);
		if (rc == 0)
			place_fill(u, walk ? place_walk(u) : place_take(u), c->page, *page);
		return rc;
	}
	i = walk ? place_walk(u) : place_take(u);
	m = &u->met[i];
	if (!m->buffer)
		m->buffer = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	rc = m->buffer ? fill(u, c, m->buffer) : error_system(ENOMEM, "reading a state of the past");
	if (rc < 0) {
		place_return(u, i);
		return rc;
	}
	place_fill(u, i, c->page, m->buffer);
	*page = m->buffer;
	return 0;
}

int unpack_page(struct unpack *u, struct page_ptr ptr, const struct page **page)
{
	struct lineage l;
	int rc;

	if (likely(pool_find(u, ptr, page)))
		return 0;
	lineage_start(&l, ptr, false);
	rc = follow(u, &l);
	return rc < 0 ? rc : meet(u, &l, false, page);
}

/* Follows all of them, a step of each in turn. Those that cannot be followed end with a negative `fails`. */
static void follow_all(struct unpack *u, struct lineage *all, int *fails, unsigned n)
{
	for (bool more = true; more;) {
		more = false;
		for (unsigned i = 0; i < n; i++) {
			if (fails[i] < 0 || lineage_ends(&all[i]))
				continue;
			fails[i] = lineage_step(&u->packs, &all[i]);
			more = true;
		}
	}
}

/* How many of them: twice as many as the last time, if it goes on where that ended. */
static unsigned stride(struct unpack *u, const struct page_ptr *ptrs, unsigned n)
{
	unsigned k = 1;

	if (u->ahead && (u->expected.no == 0 || (u->expected.no == ptrs[0].no &&
	                                         u->expected.birth == ptrs[0].birth)))
		k = 2 * u->ahead < UNPACK_AHEAD ? 2 * u->ahead : UNPACK_AHEAD;
	u->ahead = k;
	if (k > n)
		k = n;
	u->expected = k < n ? ptrs[k] : (struct page_ptr){ 0 };
	return k;
}

void unpack_ahead(struct unpack *u, const void *walker, const struct page_ptr *ptrs, unsigned n)
{
	struct lineage all[UNPACK_AHEAD];
	int fails[UNPACK_AHEAD] = { 0 };
	const struct page *page;
	unsigned k = 0;

	if (n == 0 || pool_find(u, ptrs[0], &page))
		return;
	if (u->walker != walker)
		walk_begin(u, walker);
	n = stride(u, ptrs, n);
	for (unsigned i = 0; i < n; i++)
		if (!pool_find(u, ptrs[i], &page))
			lineage_start(&all[k++], ptrs[i], false);
	follow_all(u, all, fails, k);
	for (unsigned i = 0; i < k; i++)
		if (fails[i] == 0)
			(void)meet(u, &all[i], u->ahead == UNPACK_AHEAD, &page); /* who needs it will be told */
}
