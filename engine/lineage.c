/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A base died later than what decodes through it: it is sought from the next pack on. If that does not have
 * it, its raw page is looked at before the others are asked: what lives long is mostly raw.
 */
#include "engine/lineage.h"

#include <errno.h>
#include <inttypes.h>
#include <lz4.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "duramen.h"
#include "engine/node.h"
#include "engine/patch.h"
#include "engine/run.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum {
	COLD_SEARCHES = 16,             /* of a get, that ask for pages ahead; a scan waits anyway */
	LIST_PART = 16,                 /* packs that are listed at once */
	FEW_PACKS = 4,                  /* so many are all asked; else, after one, the raw page is looked at */
};

static int damaged(struct page_ptr ptr, const char *what)
{
	return error_set(DUR_E_CORRUPT, "the packed page %" PRIu64 " of state %" PRIu64 ": %s; run `duramen "
	                 "check --history`, restore from a backup", ptr.no, ptr.birth, what);
}

static void prefetch_lines(const uint8_t *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		__builtin_prefetch(p + 64 * i);
}

/* ---- Packs ---- */

void packs_start(struct packs *packs, struct file *file, const struct tree *system, uint64_t state)
{
	packs->pager = (struct pager){ .file = file };
	packs->system = *system;
	packs->state = state;
	packs->n = 0;
	packs->all = packs->looked = false;
	packs->asks = 0;
}

void packs_free(struct packs *packs)
{
	free(packs->known);
	packs->known = NULL;
	packs->n = packs->cap = 0;
}

/* Some more of them. */
static int list_more(struct packs *packs)
{
	struct pack_run runs[LIST_PART];
	uint64_t after = packs->n ? packs->known[packs->n - 1].run.last : packs->state;
	unsigned n;
	int rc = pack_list(&packs->pager, &packs->system, after, runs, LIST_PART, &n);

	if (rc < 0)
		return rc;
	if (packs->cap < packs->n + n) {
		size_t cap = 2 * packs->cap + LIST_PART;
		struct known_pack *grown = realloc(packs->known, cap * sizeof *grown);
		if (!grown)
			return error_system(ENOMEM, "reading a state of the past");
		packs->known = grown;
		packs->cap = cap;
	}
	for (unsigned i = 0; i < n; i++)
		packs->known[packs->n++] = (struct known_pack){ .run = runs[i] };
	packs->all = n < LIST_PART;
	return 0;
}

/* 1: there are not so many. */
static int has_index(struct packs *packs, size_t index)
{
	while (index >= packs->n) {
		if (packs->all)
			return 1;
		int rc = list_more(packs);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/*
 * Mapped. It is not verified as a whole: every page that is decoded has a checksum, and most are not asked for.
 */
static int pack_at(struct packs *packs, size_t index, struct pack *pack)
{
	struct known_pack *known = &packs->known[index];
	const struct pack_run *run = &known->run;
	const uint8_t *bytes;
	int rc;

	if (likely(known->pack.bytes)) {
		*pack = known->pack;
		return 0;
	}
	if (run->length < PACK_HEADER || !run_pages(run->length))
		return error_set(DUR_E_CORRUPT, "the length of the pack of state %" PRIu64 " cannot be; run "
		                 "`duramen check --history`, restore from a backup", run->last);
	rc = file_map(packs->pager.file, run->ptr.no, run_pages(run->length), &bytes);
	if (rc == 0)
		rc = pack_shape(bytes + RUN_HEADER, run->length, run->last, run->entries, pack);
	if (rc == 0)
		known->pack = *pack;
	return rc;
}

int packs_find(struct packs *packs, uint64_t last, size_t *index)
{
	size_t low = 0, high;
	int rc;

	do {
		rc = has_index(packs, packs->n);
	} while (rc == 0 && packs->known[packs->n - 1].run.last < last);
	if (rc < 0)
		return rc;
	for (high = packs->n; low < high;) {
		size_t mid = (low + high) / 2;
		if (packs->known[mid].run.last < last)
			low = mid + 1;
		else
			high = mid;
	}
	*index = low;
	return low < packs->n && packs->known[low].run.last == last ? 0 :
		error_set(DUR_E_CORRUPT, "the pack of state %" PRIu64 " is not there; run `duramen check "
		          "--history`, restore from a backup", last);
}

/* ---- Where the next page is ---- */

/*
 * Whether the raw page is to be looked at before the next pack is asked. Its header is a line that is in no
 * cache: asked for now, it is there when the first pack has been asked.
 */
static int raw_ahead(struct packs *packs, struct lineage *c)
{
	bool few = packs->all && packs->n <= c->index + 1 + FEW_PACKS;
	const uint8_t *bytes;
	int rc;

	if (few || c->sure)
		return 0;
	rc = file_map(packs->pager.file, c->at.no, 1, &bytes);
	if (rc < 0)
		return rc == -ENOMEM ? rc : 0; /* the file is shorter by now, or never was so long */
	c->raw = bytes;
	__builtin_prefetch(bytes);
	return 0;
}

/* Whether the raw page looks like it. It may be written over this very moment. */
static bool looks_raw(const struct lineage *c)
{
	const struct page *page = (const struct page *)(const void *)c->raw;

	if (page->birth != c->at.birth || page_no(page) != c->at.no)
		return false;
	prefetch_lines(c->raw, PAGE_SIZE / 64);
	return true;
}

/* ---- Cold ---- */

static void *page_at(const uint8_t *at)
{
	return (void *)((uintptr_t)at & ~(uintptr_t)(PAGE_SIZE - 1));
}

/*
 * Of a file that is not in memory the first pages of a search are asked for together: the directories of two
 * packs and the raw page. One after the other they take as long each. Hints: what fails is read when it is met.
 */
static void ask_ahead(struct packs *packs, const struct lineage *c)
{
	const uint8_t *directory = c->pack.bytes + c->pack.end, *raw;
	struct pack next;

	if (!packs->looked) {
		unsigned char is_there = 1;
		packs->looked = true;
		if (mincore(page_at(directory), PAGE_SIZE, &is_there) == 0 && !(is_there & 1))
			packs->asks = COLD_SEARCHES;
	}
	if (likely(packs->asks == 0))
		return;
	packs->asks--;
	madvise(page_at(directory + 4 * (size_t)c->probe.at), PAGE_SIZE, MADV_WILLNEED);
	if (file_map(packs->pager.file, c->at.no, 1, &raw) == 0)
		madvise(page_at(raw), PAGE_SIZE, MADV_WILLNEED);
	if (has_index(packs, c->index + 1) == 0 && pack_at(packs, c->index + 1, &next) == 0) {
		struct pack_probe probe = pack_probe(&next, c->at);
		madvise(page_at(next.bytes + next.end + 4 * (size_t)probe.at), PAGE_SIZE, MADV_WILLNEED);
	}
}

static int surely_raw(struct packs *packs, struct lineage *c)
{
	const uint8_t *bytes;

	c->next = LINEAGE_RAW;
	if (file_map(packs->pager.file, c->at.no, 1, &bytes) == 0) /* else who reads it will be told */
		prefetch_lines(bytes, PAGE_SIZE / 64);
	return 0;
}

/* Passes on to the next pack that may have it; none: it is raw. */
static int next_pack(struct packs *packs, struct lineage *c)
{
	int rc = 0;

	if (c->raw && looks_raw(c)) {
		c->next = LINEAGE_COPY;
		return 0;
	}
	c->raw = NULL;
	while ((rc = has_index(packs, c->index)) == 0 && packs->known[c->index].run.last <= c->at.birth)
		c->index++;
	if (rc != 0)
		return rc < 0 ? rc : surely_raw(packs, c);
	rc = pack_at(packs, c->index, &c->pack);
	if (rc < 0)
		return rc;
	c->asked++;
	c->probing = true;
	c->probe = pack_probe(&c->pack, c->at);
	if (c->asked == 1)
		ask_ahead(packs, c);
	pack_probe_prefetch(&c->pack, &c->probe);
	return c->asked == 1 ? raw_ahead(packs, c) : 0;
}

static int seek(struct packs *packs, struct lineage *c)
{
	if (!c->probing)
		return next_pack(packs, c);
	if (pack_probe_next(&c->pack, &c->probe, &c->offset) == 0) {
		c->next = LINEAGE_TRY;
		if (c->offset < c->pack.end)
			prefetch_lines(c->pack.bytes + c->offset - 128, 5); /* bases stand before it */
	} else {
		c->probing = false;
		c->index++;
	}
	return 0;
}

/* ---- Steps ---- */

/* The entry that it is at: one more patch, or what it begins with. */
static int take_entry(struct lineage *c)
{
	if (c->n == 0)
		c->sum = c->entry.sum;
	if (c->entry.kind != PACK_NEAR && c->entry.kind != PACK_FAR) {
		c->next = LINEAGE_FRAME;
		return 0;
	}
	if (c->n == PACK_STEPS)
		return damaged(c->page, "it takes more patches than any page may");
	c->patches[c->n].bytes = c->entry.bytes;
	c->patches[c->n++].len = c->entry.len;
	if (c->entry.kind == PACK_NEAR) {
		c->next = LINEAGE_NEAR;
		prefetch_lines(c->pack.bytes + c->entry.near, 3);
	} else {
		c->next = LINEAGE_SEEK;
		c->at = c->entry.base;
		c->index++; /* in this pack the base would be near */
		c->asked = 0;
		c->probing = false;
	}
	return 0;
}

int lineage_step(struct packs *packs, struct lineage *c)
{
	int rc;

	if (c->next == LINEAGE_SEEK)
		return seek(packs, c);
	rc = pack_entry(&c->pack, c->next == LINEAGE_TRY ? c->offset : c->entry.near, &c->entry);
	if (rc < 0)
		return rc;
	if (c->next == LINEAGE_TRY && (c->entry.page.no != c->at.no || c->entry.page.birth != c->at.birth)) {
		c->next = LINEAGE_SEEK; /* the hash was like it */
		return 0;
	}
	return take_entry(c);
}

void lineage_start(struct lineage *c, struct page_ptr ptr, bool sure)
{
	c->page = c->at = ptr;
	c->next = LINEAGE_SEEK;
	c->index = 0;
	c->asked = 0;
	c->raw = NULL;
	c->probing = false;
	c->sure = sure;
	c->n = 0;
}

int lineage_start_at(struct packs *packs, struct lineage *c, struct page_ptr ptr, size_t index,
                   uint64_t offset)
{
	int rc = pack_at(packs, index, &c->pack);

	lineage_start(c, ptr, true);
	c->index = index;
	if (rc == 0)
		rc = pack_entry(&c->pack, offset, &c->entry);
	if (rc == 0 && (c->entry.page.no != ptr.no || c->entry.page.birth != ptr.birth))
		rc = damaged(ptr, "another page is where it should be");
	return rc < 0 ? rc : take_entry(c);
}

/* ---- The page ---- */

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

/* What the patches lie on. */
static int begin(struct packs *packs, const struct lineage *c, uint8_t *to)
{
	const struct page *raw;
	const uint8_t *bytes;
	int rc;

	switch (c->next) {
	case LINEAGE_COPY:
		bytes = c->raw;
		rc = 0;
		break;
	case LINEAGE_RAW:
		rc = file_page(packs->pager.file, c->at, &raw);
		bytes = (const uint8_t *)raw;
		break;
	default:
		return key_frame(&c->entry, to);
	}
	if (rc == 0) {
		size_t n = PAGE_SIZE;
		__asm__("" : "+r"(n)); /* the library's copy is faster than the compiler's own */
		memcpy(to, bytes, n);
	}
	return rc;
}

int lineage_apply(struct packs *packs, struct lineage *c, void *to)
{
	struct page_ptr ptr = c->page;
	struct page *page = to;
	const char *why;
	bool copied = c->next == LINEAGE_COPY;
	int rc = begin(packs, c, to);

	if (rc < 0)
		return rc;
	if (c->n == 0 && c->next >= LINEAGE_COPY) {
		if (file_verify(packs->pager.file, page, ptr))
			return copied ? 1 : damaged(ptr, "its checksum is wrong");
	} else {
		for (unsigned i = c->n; i-- > 0;)
			if (patch_apply(to, c->patches[i].bytes, c->patches[i].len))
				return copied ? 1 : damaged(ptr, "a patch is none");
		page->birth = ptr.birth;
		put_u48((uint8_t *)to + 16, ptr.no);
		file_seal(packs->pager.file, page);
		if ((uint32_t)page->sum != c->sum)
			return copied ? 1 : damaged(ptr, "its checksum is wrong");
	}
	return node_check(page, &why) ? damaged(ptr, why) : 0;
}
