/* SPDX-License-Identifier: Apache-2.0 */
/* Packs as bytes. What is read may be hostile: all is checked here but what an entry's bytes decode to. */
#include "engine/pack.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

static const uint8_t magic[8] = "DURPACK2", old_magic[8] = "DURPACK1";
enum { AT_LAST = 8, AT_ENTRIES = 16, AT_PLACES = 20, AT_DIRECTORY = 24 };
enum { PACK_LEN_MAX = 1 << 30 };         /* of the entries */
enum { PLACE = 4 };                     /* bytes of a place of the directory */

static int damaged(const char *what)
{
	return error_set(DUR_E_CORRUPT, "a pack of old pages is damaged: %s; run `duramen check --history`, "
	                 "restore from a backup", what);
}

/* ---- Reading ---- */

/* Bits that an offset below this takes. */
static unsigned bits_of(uint32_t end)
{
	return 32 - (unsigned)__builtin_clz(end);
}

static uint64_t places_of(uint64_t entries)
{
	return entries + entries / 3 + 1;
}

int pack_shape(const void *bytes, uint64_t len, uint64_t last, uint64_t entries, struct pack *pack)
{
	if (len > UINT32_MAX || entries > len || PACK_HEADER + places_of(entries) * PLACE > len)
		return damaged("its directory cannot be");
	*pack = (struct pack){ .bytes = bytes, .len = len, .last = last, .entries = (uint32_t)entries,
		.places = (uint32_t)places_of(entries) };
	pack->end = (uint32_t)(len - (uint64_t)pack->places * PLACE);
	pack->bits = bits_of(pack->end);
	return 0;
}

int pack_open(const void *bytes, uint64_t len, struct pack *pack)
{
	const uint8_t *header = bytes;
	int rc;

	if (len >= PACK_HEADER && memcmp(bytes, old_magic, sizeof magic) == 0)
		return error_set(DUR_E_FORMAT, "the history of this file was packed by an early version, in a "
		                 "form that is read no more: dump it with that version");
	if (len < PACK_HEADER || len > UINT32_MAX || memcmp(bytes, magic, sizeof magic) != 0)
		return damaged("it does not begin like one");
	rc = pack_shape(bytes, len, get_u64(header + AT_LAST), get_u32(header + AT_ENTRIES), pack);
	if (rc == 0 && (get_u32(header + AT_PLACES) != pack->places ||
	                get_u64(header + AT_DIRECTORY) != pack->end))
		rc = damaged("its directory cannot be");
	return rc;
}

/* ---- The directory ---- */

static uint64_t hash_of(struct page_ptr page)
{
	uint64_t h = (page.birth * 0x9e3779b97f4a7c15u ^ page.no) * 0xff51afd7ed558ccdu;

	h = (h ^ h >> 32) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 29;
}

static uint32_t place_of(uint64_t hash, uint32_t places)
{
	return (uint32_t)((hash >> 32) * places >> 32);
}

static uint32_t tag_of(uint64_t hash, unsigned bits)
{
	return bits < 32 ? (uint32_t)hash << bits : 0;
}

struct pack_probe pack_probe(const struct pack *pack, struct page_ptr page)
{
	uint64_t hash = hash_of(page);

	return (struct pack_probe){ place_of(hash, pack->places), pack->places, tag_of(hash, pack->bits) };
}

void pack_probe_prefetch(const struct pack *pack, const struct pack_probe *probe)
{
	__builtin_prefetch(pack->bytes + pack->end + (size_t)PLACE * probe->at);
}

int pack_probe_next(const struct pack *pack, struct pack_probe *probe, uint64_t *offset)
{
	const uint8_t *directory = pack->bytes + pack->end;
	uint32_t mask = pack->bits < 32 ? ((uint32_t)1 << pack->bits) - 1 : UINT32_MAX;

	while (probe->left > 0) {
		uint32_t place = get_u32(directory + (size_t)PLACE * probe->at);
		if (place == 0)
			return 1;
		probe->left--;
		probe->at = probe->at + 1 == pack->places ? 0 : probe->at + 1;
		if ((place & ~mask) == probe->tag) {
			*offset = place & mask;
			return 0;
		}
	}
	return 1;
}

int pack_find(const struct pack *pack, struct page_ptr page, struct pack_entry *entry, uint64_t *offset)
{
	struct pack_probe probe = pack_probe(pack, page);
	int rc;

	while ((rc = pack_probe_next(pack, &probe, offset)) == 0) {
		rc = pack_entry(pack, *offset, entry);
		if (rc < 0 || (entry->page.no == page.no && entry->page.birth == page.birth))
			break;
	}
	return rc;
}

uint32_t pack_directory_count(const struct pack *pack)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < pack->places; i++)
		n += get_u32(pack->bytes + pack->end + (size_t)PLACE * i) != 0;
	return n;
}

/* ---- Entries ---- */

static const uint8_t *entry_base(const struct pack *pack, uint64_t offset, const uint8_t *at,
                                 struct pack_entry *entry)
{
	const uint8_t *end = pack->bytes + pack->end;
	uint64_t a = 0, b = 0;

	switch (entry->kind) {
	case PACK_NEAR:
		at = get_varint(at, end, &a);
		if (!at || a == 0 || a > offset - PACK_HEADER)
			return NULL;
		entry->near = offset - a;
		return at;
	case PACK_FAR:
		at = get_varint(at, end, &a);
		at = at ? get_varint(at, end, &b) : NULL;
		/* it was born when this one died, or later */
		if (!at || a < PAGE_FIRST || a > PAGE_NUMBER_MAX || b > UINT64_MAX - entry->page.birth ||
		    entry->page.birth + b < entry->death)
			return NULL;
		entry->base = (struct page_ptr){ a, entry->page.birth + b };
		return at;
	case PACK_LZ4:
	case PACK_PLAIN:
		return at;
	}
	return NULL;
}

int pack_entry(const struct pack *pack, uint64_t offset, struct pack_entry *entry)
{
	const uint8_t *at, *end = pack->bytes + pack->end;
	uint64_t no, before, age, len;

	if (offset < PACK_HEADER || offset >= pack->end)
		return damaged("an offset leads out of it");
	at = pack->bytes + offset;
	*entry = (struct pack_entry){ .kind = *at++ };
	if (!(at = get_varint(at, end, &no)) || !(at = get_varint(at, end, &before)) ||
	    !(at = get_varint(at, end, &age)) || end - at < 4 || no < PAGE_FIRST || no > PAGE_NUMBER_MAX ||
	    before >= pack->last || age == 0 || age >= pack->last - before)
		return damaged("an entry's page cannot be");
	entry->death = pack->last - before;
	entry->page = (struct page_ptr){ no, entry->death - age };
	entry->sum = get_u32(at);
	at = entry_base(pack, offset, at + 4, entry);
	if (!at || !(at = get_varint(at, end, &len)) || len > PAGE_SIZE || len > (uint64_t)(end - at))
		return damaged("an entry's base or length cannot be");
	entry->bytes = at;
	entry->len = (size_t)len;
	entry->next = (uint64_t)(at - pack->bytes) + len;
	return 0;
}

/* ---- Making ---- */

struct pack_mark {
	uint64_t hash;
	uint32_t offset;
};

static int marks_room(struct pack_writer *w)
{
	if (w->entries == w->cap_marks) {
		size_t cap = w->cap_marks ? w->cap_marks * 2 : 1024;
		struct pack_mark *grown = realloc(w->marks, cap * sizeof *grown);
		if (!grown)
			return error_system(ENOMEM, "packing old pages");
		w->marks = grown;
		w->cap_marks = cap;
	}
	return 0;
}

static int room(struct pack_writer *w, size_t n)
{
	if (w->cap - w->len < n) {
		size_t cap = w->cap ? w->cap * 2 : 1 << 16;
		while (cap - w->len < n)
			cap *= 2;
		uint8_t *grown = realloc(w->bytes, cap);
		if (!grown)
			return error_system(ENOMEM, "packing old pages");
		w->bytes = grown;
		w->cap = cap;
	}
	return 0;
}

int pack_start(struct pack_writer *writer, uint64_t last)
{
	int rc;

	*writer = (struct pack_writer){ .last = last };
	rc = room(writer, PACK_HEADER);
	if (rc == 0) {
		memset(writer->bytes, 0, PACK_HEADER);
		writer->len = PACK_HEADER;
	}
	return rc;
}

int pack_add(struct pack_writer *writer, const struct pack_entry *entry, uint64_t *offset)
{
	int rc = room(writer, PACK_ENTRY_MAX);
	uint8_t *to;

	if (rc == 0)
		rc = marks_room(writer);
	if (rc == 0 && writer->len > PACK_LEN_MAX)
		rc = error_set(DUR_E_LIMIT, "a pack of old pages is too long");
	if (rc < 0)
		return rc;
	*offset = writer->len;
	writer->marks[writer->entries] = (struct pack_mark){ hash_of(entry->page), (uint32_t)writer->len };
	to = writer->bytes + writer->len;
	*to++ = (uint8_t)entry->kind;
	to = put_varint(to, entry->page.no);
	to = put_varint(to, writer->last - entry->death);
	to = put_varint(to, entry->death - entry->page.birth);
	put_u32(to, entry->sum);
	to += 4;
	if (entry->kind == PACK_NEAR) {
		to = put_varint(to, *offset - entry->near);
	} else if (entry->kind == PACK_FAR) {
		to = put_varint(to, entry->base.no);
		to = put_varint(to, entry->base.birth - entry->page.birth);
	}
	to = put_varint(to, entry->len);
	memcpy(to, entry->bytes, entry->len);
	writer->len = (size_t)(to + entry->len - writer->bytes);
	writer->entries++;
	return 0;
}

void pack_key_frame(const uint8_t *page, uint8_t *frame, struct pack_entry *entry)
{
	int len = LZ4_compress_default((const char *)page + PACK_PAGE_FROM, (char *)frame,
	                               PACK_PAGE_BYTES, PACK_FRAME_MAX);

	if (entry->kind && (len <= 0 || (size_t)len >= entry->len))
		return;
	if (len > 0 && len < PACK_PAGE_BYTES) {
		entry->kind = PACK_LZ4;
		entry->bytes = frame;
		entry->len = (size_t)len;
	} else {
		entry->kind = PACK_PLAIN;
		entry->bytes = page + PACK_PAGE_FROM;
		entry->len = PACK_PAGE_BYTES;
	}
}

int pack_finish(struct pack_writer *writer)
{
	uint32_t places = (uint32_t)places_of(writer->entries), end = (uint32_t)writer->len;
	unsigned bits = bits_of(end);
	int rc = room(writer, (size_t)places * PLACE);
	uint8_t *directory = writer->bytes + end;

	if (rc < 0)
		return rc;
	memset(directory, 0, (size_t)places * PLACE);
	for (uint32_t i = 0; i < writer->entries; i++) {
		const struct pack_mark *mark = &writer->marks[i];
		uint32_t at = place_of(mark->hash, places);
		while (get_u32(directory + (size_t)PLACE * at))
			at = at + 1 == places ? 0 : at + 1;
		put_u32(directory + (size_t)PLACE * at, mark->offset | tag_of(mark->hash, bits));
	}
	writer->len += (size_t)places * PLACE;
	memcpy(writer->bytes, magic, sizeof magic);
	put_u64(writer->bytes + AT_LAST, writer->last);
	put_u32(writer->bytes + AT_ENTRIES, writer->entries);
	put_u32(writer->bytes + AT_PLACES, places);
	put_u64(writer->bytes + AT_DIRECTORY, end);
	return 0;
}

void pack_writer_free(struct pack_writer *writer)
{
	free(writer->bytes);
	free(writer->marks);
	*writer = (struct pack_writer){ 0 };
}
