/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries go over in their order, so bases stay before what decodes through them. One whose base goes
 * over too, or that has none, is copied as it is. The steps of bases only ever grow along a chain, so
 * that a patch against a base further on keeps chains as short as they were.
 */
#include "engine/pack_rescue.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "engine/patch.h"
#include "engine/unpack.h"
#include "internal/error.h"

enum { NO_BASE = -1 };

static int find_near(const struct rescued *entries, size_t n, uint64_t at, size_t *index)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (entries[mid].at < at)
			low = mid + 1;
		else
			high = mid;
	}
	*index = low;
	return low < n && entries[low].at == at ? 0 :
		error_set(DUR_E_CORRUPT, "a pack of old pages is damaged: a base is no entry; run "
		          "`duramen check --history`, restore from a backup");
}

int pack_entries(const struct pack *pack, struct rescued **out)
{
	struct rescued *entries = NULL;
	uint64_t at = PACK_HEADER;
	int rc = 0;

	*out = NULL;
	if (pack->entries > pack->len) /* each takes some bytes */
		return error_set(DUR_E_CORRUPT, "a pack of old pages is damaged: it is too short");
	entries = calloc(pack->entries + 1u, sizeof *entries);
	if (!entries)
		return error_system(ENOMEM, "going through old pages");
	for (size_t i = 0; i < pack->entries && rc == 0; i++) {
		entries[i].at = at;
		rc = pack_entry(pack, at, &entries[i].entry);
		if (rc == 0 && entries[i].entry.kind == PACK_NEAR)
			rc = find_near(entries, i, entries[i].entry.near, &entries[i].base);
		at = entries[i].entry.next;
	}
	if (rc < 0)
		free(entries);
	else
		*out = entries;
	return rc;
}

struct rescue {
	struct unpack *unpack;
	const struct pack *pack;
	struct rescued *entries;
	uint8_t page[PAGE_SIZE] __attribute__((aligned(8)));
	uint8_t base[PAGE_SIZE] __attribute__((aligned(8)));
	uint8_t patch[PAGE_SIZE], frame[PACK_FRAME_MAX];
};

static int decode(struct rescue *r, size_t index, uint8_t *to)
{
	const struct rescued *e = &r->entries[index];
	struct pack_place place = { r->pack->last, e->at };

	return unpack_decode(r->unpack, e->entry.page, &place, to);
}

/* The next younger page of its lineage that is held; NO_BASE: none of this pack. */
static int64_t held_base(const struct rescue *r, size_t index)
{
	while (r->entries[index].entry.kind == PACK_NEAR) {
		index = r->entries[index].base;
		if (r->entries[index].held)
			return (int64_t)index;
	}
	return NO_BASE;
}

static int encode_anew(struct rescue *r, size_t index, struct pack_entry *entry)
{
	int64_t base = held_base(r, index);
	int rc = decode(r, index, r->page);

	entry->kind = 0;
	if (rc == 0 && base != NO_BASE)
		rc = decode(r, (size_t)base, r->base);
	if (rc < 0)
		return rc;
	if (base != NO_BASE) {
		size_t len = patch_make(r->page, r->base, r->patch, PACK_PATCH_MAX);
		if (len != SIZE_MAX) {
			entry->kind = PACK_NEAR;
			entry->near = r->entries[base].to;
			entry->bytes = r->patch;
			entry->len = len;
		}
	}
	if (!entry->kind || entry->len > PACK_PATCH_SHORT)
		pack_key_frame(r->page, r->frame, entry);
	return 0;
}

static int rescue_one(struct rescue *r, size_t index, struct pack_writer *writer)
{
	struct rescued *e = &r->entries[index];
	struct pack_entry entry = e->entry;
	int rc = 0;

	if (entry.kind == PACK_NEAR && r->entries[e->base].held)
		entry.near = r->entries[e->base].to;
	else if (entry.kind == PACK_NEAR || entry.kind == PACK_FAR)
		rc = encode_anew(r, index, &entry);
	return rc < 0 ? rc : pack_add(writer, &entry, &e->to);
}

int pack_rescue(struct file *file, const struct tree *system, const struct pack *pack,
                struct rescued *entries, struct pack_writer *writer)
{
	struct rescue *r = calloc(1, sizeof *r);
	uint64_t moved = 0;
	int rc = pack_start(writer, pack->last);

	if (rc == 0 && !r)
		rc = error_system(ENOMEM, "going through old pages");
	if (rc == 0)
		rc = unpack_new(&moved, &r->unpack);
	if (rc == 0) {
		unpack_start(r->unpack, file, system, pack->last - 1);
		r->pack = pack;
		r->entries = entries;
	}
	for (size_t i = 0; i < pack->entries && rc == 0; i++)
		if (entries[i].held)
			rc = rescue_one(r, i, writer);
	if (rc == 0)
		rc = pack_finish(writer);
	if (r)
		unpack_free(r->unpack);
	free(r);
	return rc;
}
