/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every entry of every pack is looked up, and must be found at its own place: so a directory of as many places
 * as entries leads to nothing else.
 */
#include "engine/check_packs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/history_private.h"
#include "engine/run.h"
#include "internal/error.h"

static int tell(struct check_packs *packs, uint64_t page, const char *text)
{
	packs->problem(packs->ctx, page, text);
	return 0;
}

/* What error_set() said is a finding; only a lack of memory ends the check. */
static int found(struct check_packs *packs, uint64_t page, int rc)
{
	return rc >= 0 || rc == -ENOMEM ? rc : tell(packs, page, error_text());
}

int check_packs_open(struct check_packs *packs, struct file *file, const struct tree *system,
                     void (*problem)(void *ctx, uint64_t page, const char *text), void *ctx)
{
	uint64_t pages;
	int rc;

	*packs = (struct check_packs){ .file = file, .system = system, .problem = problem, .ctx = ctx };
	rc = found(packs, system->root.no, history_packed(file, system, &packs->packed, &pages));
	packs->pages = pages;
	if (rc == 0)
		rc = unpack_new(&packs->moved, &packs->unpack);
	if (rc == 0)
		unpack_start(packs->unpack, file, system, 0);
	return rc;
}

void check_packs_close(struct check_packs *packs)
{
	unpack_free(packs->unpack);
	free(packs->met);
}

/* ---- Packs ---- */

static int check_entries(struct check_packs *packs, uint64_t last, const struct pack *pack)
{
	uint64_t offset = PACK_HEADER;
	struct pack_place place;
	struct pack_entry entry;
	int rc = 0;

	for (uint32_t i = 0; i < pack->entries && rc == 0; i++, offset = entry.next) {
		rc = pack_entry(pack, offset, &entry);
		if (rc < 0)
			return found(packs, 0, rc);
		rc = found(packs, entry.page.no, unpack_where(packs->unpack, entry.page, &place));
		if (rc == 1 || (rc == 0 && (place.pack != last || place.offset != offset)))
			rc = tell(packs, entry.page.no, "it is packed, but is not found there");
	}
	if (rc == 0 && offset != pack->end)
		return tell(packs, 0, "a pack is longer than its entries");
	if (rc == 0 && pack_directory_count(pack) != pack->entries)
		return tell(packs, 0, "the directory of a pack leads to more than its entries");
	return rc;
}

static int check_pack(void *ctx, uint64_t last, const struct cell *cell)
{
	struct check_packs *packs = ctx;
	struct pack_run run;
	struct pack pack;
	const void *bytes;
	int rc = pack_cell(last, cell, &run);

	if (rc == 0)
		rc = run_read(packs->file, run.ptr, run.length, &bytes);
	if (rc == 0)
		rc = pack_open(bytes, run.length, &pack);
	if (rc < 0)
		return found(packs, 0, rc);
	if (pack.last != run.last || pack.entries != run.entries || pack.last > packs->packed)
		tell(packs, run.ptr.no, "a pack is not what the system tree says of it");
	packs->pages -= run_pages(run.length);
	return check_entries(packs, last, &pack);
}

int check_packs_all(struct check_packs *packs)
{
	const struct pager pager = { .file = packs->file };
	int rc = history_each(&pager, packs->system, KEY_PACK, 0, UINT64_MAX, check_pack, packs);

	if (rc < 0)
		return found(packs, packs->system->root.no, rc);
	if (packs->pages != 0)
		tell(packs, packs->system->root.no, "the pages of packs are miscounted");
	return 0;
}

/* ---- Walking ---- */

struct pager check_packs_pager(const struct check_packs *packs, uint64_t state)
{
	struct pager pager = { .file = packs->file };

	if (state < packs->packed) {
		pager.unpack = packs->unpack;
		pager.detour = PAGE_DIRTY;
	}
	return pager;
}

bool check_packs_has(struct check_packs *packs, struct page_ptr ptr)
{
	struct pack_place place;

	return packs->packed > ptr.birth && unpack_where(packs->unpack, ptr, &place) == 0;
}

static size_t place_of(const struct check_packs *packs, struct page_ptr ptr)
{
	size_t i = (size_t)(((ptr.no ^ ptr.birth << 20) * 0x9e3779b97f4a7c15u) >> 24) & (packs->cap_met - 1);

	while (packs->met[i].no && (packs->met[i].no != ptr.no || packs->met[i].birth != ptr.birth))
		i = (i + 1) & (packs->cap_met - 1);
	return i;
}

/* Without memory for more, pages are walked again: that takes longer and is right. */
static bool met_room(struct check_packs *packs)
{
	struct check_packs grown = *packs;

	if (packs->n_met * 2 < packs->cap_met)
		return true;
	grown.cap_met = packs->cap_met ? packs->cap_met * 2 : 1024;
	grown.met = calloc(grown.cap_met, sizeof *grown.met);
	if (!grown.met)
		return false;
	for (size_t i = 0; i < packs->cap_met; i++)
		if (packs->met[i].no)
			grown.met[place_of(&grown, packs->met[i])] = packs->met[i];
	free(packs->met);
	*packs = grown;
	return true;
}

bool check_packs_met(struct check_packs *packs, struct page_ptr ptr, bool note)
{
	if (!met_room(packs))
		return false;
	size_t i = place_of(packs, ptr);
	bool was = packs->met[i].no != 0;
	if (!was && note) {
		packs->met[i] = ptr;
		packs->n_met++;
	}
	return was;
}
