/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding goes from a page along its bases to a key frame or a raw page, noting the patches, and applies
 * them backward; nothing in between is kept, for a view needs one version of each page only. The pool is a
 * hash with a list from the page used last to the one used longest ago.
 */
#include "engine/unpack.h"

#include <errno.h>
#include <inttypes.h>
#include <lz4.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/node.h"
#include "engine/patch.h"
#include "engine/run.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum {
	HASH = 2 * UNPACK_PAGES,
	PACKS = 64,                     /* packs whose place is remembered */
	REST_PAGES = 64,                /* buffers kept from one life to the next */
	NONE = UNPACK_PAGES,
};

/* A page met: decoded into a buffer, or raw. */
struct met {
	struct page_ptr ptr;            /* number 0: the place is empty */
	const struct page *page;
	struct page *buffer;            /* NULL: none yet */
	uint16_t next, newer, older;    /* in its hash chain; in the list of use */
};

struct known_pack {
	uint64_t number;                /* + 1; 0: none */
	struct pack pack;
};

struct unpack {
	struct pager pager;             /* raw pages */
	struct tree system;
	uint64_t *moved;
	uint64_t decoded;               /* pages, in this life */
	uint16_t used;                  /* places ever used in this life */
	uint16_t newest, oldest;
	struct known_pack packs[PACKS];
	uint16_t hash[HASH];            /* place + 1 */
	struct met met[UNPACK_PAGES];
};

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

void unpack_free(struct unpack *unpack)
{
	if (!unpack)
		return;
	buffers_free(unpack, 0);
	free(unpack);
}

void unpack_start(struct unpack *u, struct file *file, const struct tree *system)
{
	u->pager.file = file;
	u->system = *system;
	u->decoded = 0;
	u->used = 0;
	u->newest = u->oldest = NONE;
	memset(u->hash, 0, sizeof u->hash);
	memset(u->packs, 0, sizeof u->packs);
	for (unsigned i = 0; i < UNPACK_PAGES; i++)
		u->met[i].ptr = (struct page_ptr){ 0 };
	++*u->moved;
}

void unpack_rest(struct unpack *unpack)
{
	buffers_free(unpack, REST_PAGES);
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

/* A place to fill: a fresh one, or that of the page used longest ago. It is in no list. */
static uint16_t place_take(struct unpack *u)
{
	uint16_t i;

	if (u->used < UNPACK_PAGES)
		return u->used++;
	i = u->oldest;
	unlink_place(u, i);
	if (u->met[i].ptr.no)
		hash_remove(u, i);
	return i;
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

static int damaged(struct page_ptr ptr, const char *what)
{
	return error_set(DUR_E_CORRUPT, "the packed page %" PRIu64 " of state %" PRIu64 ": %s; run `duramen "
	                 "check --history`, restore from a backup", ptr.no, ptr.birth, what);
}

int unpack_where(struct unpack *unpack, struct page_ptr ptr, struct pack_place *place)
{
	return pack_find(&unpack->pager, &unpack->system, ptr, place);
}

int unpack_pack(struct unpack *u, uint64_t number, struct pack *pack)
{
	struct known_pack *known = &u->packs[number % PACKS];
	struct pack_run run;
	const uint8_t *bytes;
	int rc;

	if (likely(known->number == number + 1)) {
		*pack = known->pack;
		return 0;
	}
	/* not verified as a whole: every page that is decoded has a checksum, and most are not asked for */
	rc = pack_run(&u->pager, &u->system, number, &run);
	if (rc == 1)
		rc = error_set(DUR_E_CORRUPT, "the index names pack %" PRIu64 ", which is not there; run "
		               "`duramen check --history`, restore from a backup", number);
	if (rc == 0 && (run.length < PACK_HEADER || !run_pages(run.length)))
		rc = error_set(DUR_E_CORRUPT, "the length of pack %" PRIu64 " cannot be; run `duramen "
		               "check --history`, restore from a backup", number);
	if (rc == 0)
		rc = file_map(u->pager.file, run.ptr.no, run_pages(run.length), &bytes);
	if (rc < 0)
		return rc;
	*pack = (struct pack){ .bytes = bytes + RUN_HEADER, .len = run.length, .last = run.last,
		.entries = (uint32_t)run.entries };
	*known = (struct known_pack){ number + 1, *pack };
	return 0;
}

static int key_frame(const struct pack_entry *entry, uint8_t *page)
{
	if (entry->kind == PACK_PLAIN) {
		if (entry->len != PACK_PAGE_BYTES)
			return damaged(entry->page, "its length is not a page's");
		memcpy(page + PACK_PAGE_FROM, entry->bytes, PACK_PAGE_BYTES);
		return 0;
	}
	if (LZ4_decompress_safe((const char *)entry->bytes, (char *)page + PACK_PAGE_FROM, (int)entry->len,
	                        PACK_PAGE_BYTES) != PACK_PAGE_BYTES)
		return damaged(entry->page, "it does not decompress to a page");
	return 0;
}

/* What the patches of a chain lie on: a raw page. */
static int raw_base(struct unpack *u, struct page_ptr ptr, uint8_t *page)
{
	const struct page *raw;
	int rc = file_page(u->pager.file, ptr, &raw);

	if (rc == 0)
		memcpy(page + PACK_PAGE_FROM, (const uint8_t *)raw + PACK_PAGE_FROM, PACK_PAGE_BYTES);
	return rc;
}

struct patch {
	const uint8_t *bytes;
	size_t len;
};

/* The entry that the index leads to. */
static int entry_at(struct unpack *u, struct page_ptr ptr, const struct pack_place *place,
                    struct pack *pack, struct pack_entry *entry)
{
	int rc = unpack_pack(u, place->pack, pack);

	if (rc == 0)
		rc = pack_entry(pack, place->offset, entry);
	if (rc == 0 && (entry->page.no != ptr.no || entry->page.birth != ptr.birth))
		rc = damaged(ptr, "its index leads to another page");
	return rc;
}

/* A page on its way to be decoded: the patches to apply, the last one first. */
struct chain {
	struct patch patches[PACK_STEPS];
	unsigned n;
	uint32_t sum;
};

/* Follows the bases, noting the patches, until there is something to begin with: that goes to the page. */
static int follow(struct unpack *u, struct page_ptr ptr, const struct pack_place *first, uint8_t *page,
                  struct chain *chain)
{
	struct pack_place place = *first;
	struct pack_entry entry;
	struct pack pack;
	int rc = entry_at(u, ptr, &place, &pack, &entry);

	chain->n = 0;
	chain->sum = rc == 0 ? entry.sum : 0;
	while (rc == 0 && (entry.kind == PACK_NEAR || entry.kind == PACK_FAR)) {
		if (chain->n == PACK_STEPS)
			return damaged(ptr, "it takes more patches than any page may");
		chain->patches[chain->n++] = (struct patch){ entry.bytes, entry.len };
		if (entry.kind == PACK_NEAR) {
			rc = pack_entry(&pack, entry.near, &entry);
			continue;
		}
		struct page_ptr base = entry.base;
		rc = unpack_where(u, base, &place);
		if (rc == 1)
			return raw_base(u, base, page);
		if (rc == 0)
			rc = entry_at(u, base, &place, &pack, &entry);
	}
	return rc < 0 ? rc : key_frame(&entry, page);
}

int unpack_decode(struct unpack *u, struct page_ptr ptr, const struct pack_place *place, void *to)
{
	struct page *page = to;
	struct chain chain;
	const char *why;
	int rc = follow(u, ptr, place, to, &chain);

	while (rc == 0 && chain.n > 0) {
		const struct patch *patch = &chain.patches[--chain.n];
		if (patch_apply(to, patch->bytes, patch->len))
			rc = damaged(ptr, "a patch is none");
	}
	if (rc < 0)
		return rc;
	page->birth = ptr.birth;
	put_u48((uint8_t *)to + 16, ptr.no);
	file_seal(u->pager.file, page);
	if ((uint32_t)page->sum != chain.sum)
		return damaged(ptr, "its checksum is wrong");
	if (node_check(page, &why))
		return damaged(ptr, why);
	u->decoded++;
	return 0;
}

/* ---- Meeting pages ---- */

int unpack_page(struct unpack *u, struct page_ptr ptr, const struct page **page)
{
	struct pack_place place;
	struct met *m;
	uint16_t i;
	bool full;
	int rc;

	if (likely(pool_find(u, ptr, page)))
		return 0;
	rc = unpack_where(u, ptr, &place);
	if (rc < 0)
		return rc;
	if (rc == 1) {
		rc = file_page(u->pager.file, ptr, page);
		if (rc == 0)
			place_fill(u, place_take(u), ptr, *page);
		return rc;
	}
	full = u->used == UNPACK_PAGES;
	i = place_take(u);
	m = &u->met[i];
	if (!m->buffer)
		m->buffer = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
	else if (full)
		++*u->moved;
	rc = m->buffer ? unpack_decode(u, ptr, &place, m->buffer) :
		error_system(ENOMEM, "reading a state of the past");
	if (rc < 0) {
		place_return(u, i);
		return rc;
	}
	place_fill(u, i, ptr, m->buffer);
	*page = m->buffer;
	return 0;
}
