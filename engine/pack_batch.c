/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding goes from the youngest death to the oldest, so that a base that is in the batch has its place
 * before what decodes through it. The base of a page is what holds its first key, on its level, in the first
 * retained state that lacks the page: nearly always the very copy that replaced it. Any page may serve; a bad
 * one only makes a long patch, and then the page is a key frame.
 */
#include "engine/pack_batch.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/node.h"
#include "engine/patch.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum {
	COPIES = 1024,                  /* pages kept in memory while a batch is encoded */
};

/* ---- Lists ---- */

static int grow(void *array, size_t *cap, size_t n, size_t size)
{
	void *old, *grown;
	size_t more = *cap ? *cap * 2 : 64;

	if (n < *cap)
		return 0;
	memcpy(&old, array, sizeof old);
	grown = realloc(old, more * size);
	if (!grown)
		return error_system(ENOMEM, "packing old pages");
	memcpy(array, &grown, sizeof grown);
	*cap = more;
	return 0;
}

int batch_add_page(struct batch *batch, struct page_ptr ptr, uint64_t death)
{
	int rc = grow(&batch->pages, &batch->cap_pages, batch->n_pages, sizeof *batch->pages);

	if (rc == 0)
		batch->pages[batch->n_pages++] = (struct batch_page){ .ptr = ptr, .death = death };
	return rc;
}

int batch_add_root(struct batch *batch, uint64_t state, const struct tree *catalog)
{
	int rc = grow(&batch->roots, &batch->cap_roots, batch->n_roots, sizeof *batch->roots);

	if (rc == 0)
		batch->roots[batch->n_roots++] = (struct batch_root){ state, *catalog };
	return rc;
}

int batch_add_rest(struct batch *batch, struct page_ptr ptr, uint32_t n, uint64_t death)
{
	size_t cap = batch->cap_rest;
	int rc = grow(&batch->rest, &cap, batch->n_rest, sizeof *batch->rest);

	if (rc == 0)
		rc = grow(&batch->rest_n, &batch->cap_rest, batch->n_rest, sizeof *batch->rest_n);
	if (rc < 0)
		return rc;
	batch->rest[batch->n_rest] = (struct batch_page){ .ptr = ptr, .death = death };
	batch->rest_n[batch->n_rest++] = n;
	return 0;
}

void batch_free(struct batch *batch)
{
	free(batch->pages);
	free(batch->roots);
	pack_writer_free(&batch->writer);
	pack_writer_free(&batch->merger);
	free(batch->rest);
	free(batch->rest_n);
	*batch = (struct batch){ 0 };
}

static int by_death(const void *a, const void *b)
{
	const struct batch_page *x = a, *y = b;

	if (x->death != y->death)
		return x->death < y->death ? -1 : 1;
	return (x->ptr.no > y->ptr.no) - (x->ptr.no < y->ptr.no);
}

const struct batch_page *batch_find(const struct batch *batch, struct page_ptr ptr, uint64_t death)
{
	struct batch_page key = { .ptr = ptr, .death = death };
	const struct batch_page *page = batch->n_pages ?
		bsearch(&key, batch->pages, batch->n_pages, sizeof key, by_death) : NULL;

	return page && page->offset && page->ptr.birth == ptr.birth ? page : NULL;
}

/* ---- Pages, copied and verified ---- */

struct copy {
	struct page_ptr ptr;            /* number 0: none */
	bool node;
	uint8_t bytes[PAGE_SIZE] __attribute__((aligned(8)));
};

struct encoder {
	struct file *file;
	struct batch *batch;
	struct copy *copies;            /* by page number; one may push another out */
	uint32_t *table;                /* index + 1 into the batch's pages, by number and birth */
	size_t table_size;
	uint8_t page[PAGE_SIZE] __attribute__((aligned(8)));    /* the one being encoded */
	uint8_t patch[PAGE_SIZE], frame[PACK_FRAME_MAX];
};

/* 0: *page is what ptr says, or NULL if that is no node. 1: something else is there by now. */
static int fetch(struct encoder *e, struct page_ptr ptr, const struct page **page)
{
	struct copy *copy = &e->copies[ptr.no % COPIES];
	const uint8_t *bytes;
	const char *why;
	int rc;

	if (copy->ptr.no != ptr.no || copy->ptr.birth != ptr.birth) {
		rc = file_map(e->file, ptr.no, 1, &bytes);
		if (rc < 0)
			return rc == -ENOMEM ? rc : 1;
		copy->ptr.no = 0;
		memcpy(copy->bytes, bytes, PAGE_SIZE);
		const struct page *p = (const struct page *)(const void *)copy->bytes;
		copy->node = page_kind(p) != PAGE_RUN;
		if (p->birth != ptr.birth || page_no(p) != ptr.no)
			return 1;
		if (copy->node && (file_verify(e->file, p, ptr) || node_check(p, &why)))
			return 1;
		copy->ptr = ptr;
	}
	*page = copy->node ? (const struct page *)(const void *)copy->bytes : NULL;
	return 0;
}

/* ---- Bases ---- */

/* The first retained state from the page's death on. */
static const struct batch_root *root_of(const struct batch *batch, uint64_t death)
{
	size_t low = 0, high = batch->n_roots;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (batch->roots[mid].state < death)
			low = mid + 1;
		else
			high = mid;
	}
	return low < batch->n_roots ? &batch->roots[low] : NULL;
}

/* *base NULL: there is none. 1: stale. */
static int find_base(struct encoder *e, uint64_t death, struct page_ptr *ptr, const struct page **base)
{
	const struct page *page = (const struct page *)(const void *)e->page;
	const struct batch_root *root = root_of(e->batch, death);
	unsigned level = page_level(page), first = level > 0;
	uint8_t key[TREE_KEY_MAX];
	unsigned len;

	*base = NULL;
	if (page_kind(page) != PAGE_LEAF && page_kind(page) != PAGE_BRANCH)
		return 0; /* it has no keys: a page of a positional tree */
	if (!root || root->catalog.depth <= level || page->n <= first)
		return 0;
	len = node_key(page, first, key);
	*ptr = root->catalog.root;
	for (unsigned at = root->catalog.depth - 1;; at--) {
		const struct page *node;
		int rc = fetch(e, *ptr, &node);
		if (rc != 0)
			return rc;
		if (!node || page_level(node) != at || page_kind(node) > PAGE_BRANCH)
			return 1;
		if (at == level) {
			*base = node;
			return 0;
		}
		*ptr = node_child_ptr(node, node_route(node, key, len));
	}
}

static size_t table_at(const struct encoder *e, struct page_ptr ptr)
{
	uint64_t h = (ptr.no ^ ptr.birth << 20) * 0x9e3779b97f4a7c15u;

	return (size_t)(h >> 32) & (e->table_size - 1);
}

/* The offset of a page that is in the pack already; 0: it is not. */
static uint64_t packed_at(const struct encoder *e, struct page_ptr ptr)
{
	for (size_t i = table_at(e, ptr); e->table[i]; i = (i + 1) & (e->table_size - 1)) {
		const struct batch_page *page = &e->batch->pages[e->table[i] - 1];
		if (page->ptr.no == ptr.no && page->ptr.birth == ptr.birth)
			return page->offset;
	}
	return 0;
}

static void table_add(struct encoder *e, size_t index)
{
	size_t i = table_at(e, e->batch->pages[index].ptr);

	while (e->table[i])
		i = (i + 1) & (e->table_size - 1);
	e->table[i] = (uint32_t)index + 1;
}

/* ---- Entries ---- */

/* As a patch, if there is a base whose chain stays short and it is worth it. 1: stale. */
static int as_patch(struct encoder *e, struct pack_entry *entry)
{
	const struct page *page = (const struct page *)(const void *)e->page, *base;
	struct page_ptr ptr = { 0 };
	size_t len;
	int rc = find_base(e, entry->death, &ptr, &base);

	/* a base that is younger than the horizon would not be held for those who decode through it */
	if (rc != 0 || !base || base->steps <= page->steps || ptr.birth < entry->death ||
	    ptr.birth > e->batch->last)
		return rc;
	len = patch_make(e->page, (const uint8_t *)base, e->patch, PACK_PATCH_MAX);
	if (len == SIZE_MAX)
		return 0;
	entry->near = packed_at(e, ptr);
	entry->kind = entry->near ? PACK_NEAR : PACK_FAR;
	entry->base = ptr;
	entry->bytes = e->patch;
	entry->len = len;
	return 0;
}

static int encode_page(struct encoder *e, size_t index)
{
	struct batch_page *p = &e->batch->pages[index];
	struct pack_entry entry = { .page = p->ptr, .death = p->death };
	const struct page *page;
	int rc = fetch(e, p->ptr, &page);

	if (rc != 0 || !page)
		return rc;
	memcpy(e->page, page, PAGE_SIZE);
	entry.sum = (uint32_t)page->sum;
	rc = as_patch(e, &entry);
	if (rc != 0)
		return rc;
	if (!entry.kind || entry.len > PACK_PATCH_SHORT)
		pack_key_frame(e->page, e->frame, &entry);
	rc = pack_add(&e->batch->writer, &entry, &p->offset);
	if (rc == 0) {
		e->batch->n_packed++;
		table_add(e, index);
	}
	return rc;
}

/* A pack that cannot be read is no reason to leave pages unpacked; readers and check tell of it. */
static int merge(struct file *file, struct batch *batch)
{
	int rc = batch->n_merged ? merge_packs(file, batch->merged, batch->n_merged, &batch->merger) : 0;

	if (rc == 0 || rc == -ENOMEM)
		return rc;
	batch->n_merged = 0;
	batch->merge_failed = true;
	return 0;
}

static int encode(struct file *file, struct batch *batch)
{
	struct encoder *e = calloc(1, sizeof *e);
	int rc = 0;

	if (e) {
		e->file = file;
		e->batch = batch;
		for (e->table_size = 64; e->table_size < 2 * batch->n_pages;)
			e->table_size *= 2;
		e->table = calloc(e->table_size, sizeof *e->table);
		e->copies = calloc(COPIES, sizeof *e->copies);
	}
	if (!e || !e->table || !e->copies)
		rc = error_system(ENOMEM, "packing old pages");
	if (rc == 0)
		rc = pack_start(&batch->writer, batch->last);
	if (rc == 0 && batch->n_pages > 1)
		qsort(batch->pages, batch->n_pages, sizeof *batch->pages, by_death);
	for (size_t i = batch->n_pages; i-- > 0 && rc == 0;)
		rc = encode_page(e, i);
	if (rc == 0)
		rc = pack_finish(&batch->writer);
	if (e) {
		free(e->table);
		free(e->copies);
	}
	free(e);
	return rc;
}

int batch_encode(struct file *file, struct batch *batch)
{
	int rc = batch->first ? encode(file, batch) : 0;

	return rc == 0 ? merge(file, batch) : rc;
}
