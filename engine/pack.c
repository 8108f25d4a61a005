/* SPDX-License-Identifier: Apache-2.0 */
/* Packs as bytes. What is read may be hostile: all is checked here but what an entry's bytes decode to. */
#include "engine/pack.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

static const uint8_t magic[8] = "DURPACK1";
enum { AT_LAST = 8, AT_ENTRIES = 16 };

static int damaged(const char *what)
{
	return error_set(DUR_E_CORRUPT, "a pack of old pages is damaged: %s; run `duramen check --history`, "
	                 "restore from a backup", what);
}

/* ---- Reading ---- */

int pack_open(const void *bytes, uint64_t len, struct pack *pack)
{
	*pack = (struct pack){ .bytes = bytes, .len = len };
	if (len < PACK_HEADER || memcmp(bytes, magic, sizeof magic) != 0)
		return damaged("it does not begin like one");
	pack->last = get_u64(pack->bytes + AT_LAST);
	pack->entries = get_u32(pack->bytes + AT_ENTRIES);
	return 0;
}

static const uint8_t *entry_base(const struct pack *pack, uint64_t offset, const uint8_t *at,
                                 struct pack_entry *entry)
{
	const uint8_t *end = pack->bytes + pack->len;
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
	const uint8_t *at, *end = pack->bytes + pack->len;
	uint64_t no, before, age, len;

	if (offset < PACK_HEADER || offset >= pack->len)
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

static int room(struct pack_writer *w, size_t n)
{
	if (w->cap - w->len < n) {
		size_t cap = w->cap ? w->cap * 2 : 1 << 16;
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

	if (rc < 0)
		return rc;
	*offset = writer->len;
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

void pack_finish(struct pack_writer *writer)
{
	memcpy(writer->bytes, magic, sizeof magic);
	put_u64(writer->bytes + AT_LAST, writer->last);
	put_u32(writer->bytes + AT_ENTRIES, writer->entries);
}
