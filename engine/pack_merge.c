/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of all packs become a forest: a patch lies below its base. Written in preorder, from the
 * youngest pack's on, each page stands right before the one that was patched against it. The directories
 * that the packs have find bases across packs.
 *
 * Sizes are chosen as log-structured merge trees do it (O'Neil et al., 1996): eight packs of a size make one
 * of the next, so that a byte is written again a few times at most, and few packs are small.
 */
#include "engine/pack_merge.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/run.h"
#include "internal/bytes.h"
#include "internal/error.h"

#define NONE UINT32_MAX

/* ---- Which ---- */

static unsigned size_of(uint64_t length)
{
	unsigned size = 0;

	for (uint64_t least = MERGE_SMALL; length >= least && least < MERGE_BYTES; least *= MERGE_FEW)
		size++;
	return size;
}

/* Those from the oldest on that do not become too much together. */
static unsigned fitting(const struct pack_run *newest, unsigned n, uint64_t span, unsigned *first)
{
	for (; n > 1; n--) {
		uint64_t length = 0;
		unsigned k = 0;
		while (k < n && (length += newest[n - 1 - k].length) <= MERGE_BYTES &&
		       newest[n - 1 - k].last - newest[n - 1].last <= span)
			k++;
		*first = n - k;
		if (k > 1)
			return k;
	}
	return 0;
}

unsigned merge_choose(const struct pack_run *newest, unsigned n, uint64_t span, unsigned *first)
{
	unsigned largest = size_of(MERGE_BYTES / 2), k = 0;

	for (unsigned size = 0; size < largest; size++) {
		unsigned like = 0;
		for (k = 0; k < n && size_of(newest[k].length) <= size; k++)
			like += size_of(newest[k].length) == size;
		if (like >= MERGE_FEW)
			return fitting(newest, k, span, first);
	}
	return 0;
}

/* ---- Packs, copied and verified ---- */

struct item {
	uint32_t pack, at;              /* where its entry is */
	uint32_t base;                  /* NONE: it has none among these packs */
	uint32_t child, next;           /* the first of what lies on it, the next beside it */
	uint32_t to;                    /* where it is in the new pack */
};

struct merge {
	struct pack packs[MERGE_PACKS];
	uint8_t *copies[MERGE_PACKS];
	size_t first[MERGE_PACKS + 1];  /* items of each pack, in the order of their places */
	unsigned n;
	struct item *items;
};

static int copy_pack(struct file *file, const struct pack_run *run, struct merge *m)
{
	uint64_t pages = run_pages(run->length);
	const uint8_t *bytes;
	int rc;

	if (run->length < PACK_HEADER || run->length > UINT32_MAX || !pages)
		return error_set(DUR_E_CORRUPT, "the length of a pack cannot be; run `duramen check --history`");
	rc = file_map(file, run->ptr.no, pages, &bytes);
	if (rc < 0)
		return rc == -ENOMEM ? rc : 1;
	m->copies[m->n] = malloc(pages << PAGE_SHIFT);
	if (!m->copies[m->n])
		return error_system(ENOMEM, "merging packs of old pages");
	memcpy(m->copies[m->n], bytes, pages << PAGE_SHIFT);
	if (run_verify_copy(file, run->ptr, run->length, m->copies[m->n]) < 0)
		return 1;
	rc = pack_open(m->copies[m->n] + RUN_HEADER, run->length, &m->packs[m->n]);
	m->n++;
	return rc;
}

static int list_items(struct merge *m)
{
	size_t total = 0, k = 0;
	struct pack_entry entry;
	int rc = 0;

	for (unsigned p = 0; p < m->n; p++)
		total += m->packs[p].entries;
	if (total >= NONE)
		return error_set(DUR_E_LIMIT, "packs of old pages have too many entries");
	m->items = malloc((total + 1) * sizeof *m->items);
	if (!m->items)
		return error_system(ENOMEM, "merging packs of old pages");
	for (unsigned p = 0; p < m->n && rc == 0; p++) {
		uint64_t at = PACK_HEADER;
		m->first[p] = k;
		for (uint32_t i = 0; i < m->packs[p].entries && rc == 0; i++, at = entry.next) {
			m->items[k++] = (struct item){ p, (uint32_t)at, NONE, NONE, NONE, 0 };
			rc = pack_entry(&m->packs[p], at, &entry);
		}
	}
	m->first[m->n] = k;
	return rc;
}

/* ---- The forest ---- */

static uint32_t item_at(const struct merge *m, uint32_t pack, uint64_t at)
{
	size_t low = m->first[pack], high = m->first[pack + 1];

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (m->items[mid].at < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < m->first[pack + 1] && m->items[low].at == at ? (uint32_t)low : NONE;
}

static int find_far(const struct merge *m, uint32_t pack, struct page_ptr base, uint32_t *item)
{
	struct pack_entry entry;
	uint64_t at;
	int rc = 1;

	for (uint32_t p = pack; p < m->n && rc == 1; p++) {
		rc = pack_find(&m->packs[p], base, &entry, &at);
		if (rc == 0)
			*item = item_at(m, p, at);
	}
	return rc < 0 ? rc : 0;
}

static int find_bases(struct merge *m)
{
	struct pack_entry entry;
	int rc = 0;

	for (size_t i = m->first[m->n]; i-- > 0 && rc == 0;) {
		struct item *item = &m->items[i];
		rc = pack_entry(&m->packs[item->pack], item->at, &entry);
		if (rc == 0 && entry.kind == PACK_FAR)
			rc = find_far(m, item->pack, entry.base, &item->base);
		if (rc == 0 && entry.kind == PACK_NEAR &&
		    (item->base = item_at(m, item->pack, entry.near)) == NONE)
			rc = error_set(DUR_E_CORRUPT, "a pack of old pages is damaged: a base is no entry; run "
			               "`duramen check --history`, restore from a backup");
		if (rc == 0 && item->base != NONE) {
			item->next = m->items[item->base].child;
			m->items[item->base].child = (uint32_t)i;
		}
	}
	return rc;
}

static int write_item(struct merge *m, uint32_t i, struct pack_writer *writer)
{
	struct item *item = &m->items[i];
	struct pack_entry entry;
	uint64_t to;
	int rc = pack_entry(&m->packs[item->pack], item->at, &entry);

	if (rc == 0 && item->base != NONE) {
		entry.kind = PACK_NEAR;
		entry.near = m->items[item->base].to;
	}
	if (rc == 0)
		rc = pack_add(writer, &entry, &to);
	if (rc == 0)
		item->to = (uint32_t)to;
	return rc;
}

/* A tree in preorder. What goes round in a circle, in a hostile pack, is in no tree. */
static int write_tree(struct merge *m, uint32_t root, struct pack_writer *writer)
{
	int rc = 0;

	for (uint32_t i = root; rc == 0;) {
		rc = write_item(m, i, writer);
		if (m->items[i].child != NONE) {
			i = m->items[i].child;
			continue;
		}
		while (i != root && m->items[i].next == NONE)
			i = m->items[i].base;
		if (i == root)
			break;
		i = m->items[i].next;
	}
	return rc;
}

static int write_all(struct merge *m, struct pack_writer *writer)
{
	int rc = 0;

	for (unsigned p = m->n; p-- > 0 && rc == 0;)
		for (size_t i = m->first[p]; i < m->first[p + 1] && rc == 0; i++)
			if (m->items[i].base == NONE)
				rc = write_tree(m, (uint32_t)i, writer);
	if (rc == 0 && writer->entries != m->first[m->n])
		rc = error_set(DUR_E_CORRUPT, "a pack of old pages is damaged: bases go round in a circle; run "
		               "`duramen check --history`, restore from a backup");
	return rc < 0 ? rc : pack_finish(writer);
}

int merge_packs(struct file *file, const struct pack_run *runs, unsigned n, struct pack_writer *writer)
{
	struct merge *m = calloc(1, sizeof *m);
	int rc = m ? pack_start(writer, runs[n - 1].last) : error_system(ENOMEM, "merging packs of old pages");

	for (unsigned i = 0; i < n && rc == 0; i++)
		rc = copy_pack(file, &runs[i], m);
	if (rc == 0)
		rc = list_items(m);
	if (rc == 0)
		rc = find_bases(m);
	if (rc == 0)
		rc = write_all(m, writer);
	if (m) {
		for (unsigned i = 0; i < MERGE_PACKS; i++)
			free(m->copies[i]);
		free(m->items);
	}
	free(m);
	return rc;
}
