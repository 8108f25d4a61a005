/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record is encoded once, into memory, when its pages have their numbers, and never changed. Reading
 * checks everything that the rest of the engine relies on, so that a damaged record is an error here and
 * nowhere else.
 */
#include "engine/record.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum {
	AT_PAGES = 24, AT_USED = 28, AT_HASH = 32, AT_SALT = 48, AT_EPOCH = 56, AT_PREVIOUS = 64,
	AT_PREVIOUS_RECORD = 72, AT_PREVIOUS_HASH = 80, AT_TIME = 96, AT_FLAGS = 104,
	AT_SYSTEM_PAGES = 108, AT_OLDEST = 112, AT_STATES = 120, AT_COMMITS = 128, AT_WRITTEN_BYTES = 136, AT_FILE_PAGES = 144,
	AT_LIVE = 152, AT_RETAINED = 160, AT_FOLD = 168, AT_FOLD_RECORD = 176, AT_DRAINED = 184, AT_SKIPPED = 192,
	AT_CATALOG = 200, AT_SYSTEM = 232, AT_SECTIONS = 264,
	SECTION_HEADER = 8, SECTION_REQUIRED = 1,
	GROUP_MAX = 20,                 /* two varints of a written group */
	RETIRED_MAX = 30,               /* three varints of a retired entry */
};

enum section { SECTION_LABEL = 1, SECTION_KEEP = 2, SECTION_WRITTEN = 3, SECTION_RETIRED = 4,
	SECTION_ORIGIN = 7 };

/* ---- Retired lists ---- */

static int retired_compare(const void *a, const void *b)
{
	const struct retired *x = a, *y = b;

	return x->no < y->no ? -1 : x->no > y->no;
}

void retired_sort(struct retired *list, size_t n)
{
	if (n > 1)
		qsort(list, n, sizeof *list, retired_compare);
}

int retired_check(struct retired *list, size_t n)
{
	retired_sort(list, n);
	for (size_t i = 1; i < n; i++)
		if (list[i].no < list[i - 1].no + list[i - 1].n)
			return error_set(DUR_E_CORRUPT, "page %llu would be retired twice, for two places name it "
			                 "that do not know of each other; nothing was changed: run `duramen "
			                 "check`, restore from a backup", (unsigned long long)list[i].no);
	return 0;
}

size_t retired_bound(size_t n)
{
	return 10 + n * RETIRED_MAX;
}

uint8_t *retired_encode(const struct retired *list, size_t n, uint64_t state, uint8_t *to)
{
	uint64_t end = 0;

	to = put_varint(to, n);
	for (size_t i = 0; i < n; i++) {
		to = put_varint(to, list[i].no - end);
		to = put_varint(to, (uint64_t)list[i].n << 1 | list[i].class);
		to = put_varint(to, state - list[i].birth);
		end = list[i].no + list[i].n;
	}
	return to;
}

int retired_decode(const uint8_t *from, size_t len, uint64_t state, struct retired **list, size_t *n)
{
	const uint8_t *end = from + len;
	uint64_t count, no = 0;
	struct retired *grown;

	from = get_varint(from, end, &count);
	if (!from || count > len) /* an entry takes at least three bytes */
		return error_set(DUR_E_CORRUPT, "a list of retired pages is damaged");
	if (count == 0)
		return 0;
	grown = realloc(*list, (*n + count) * sizeof **list);
	if (!grown)
		return error_system(ENOMEM, "reading a list of %llu retired pages",
		                    (unsigned long long)count);
	*list = grown;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t gap, pages, age;

		if (!(from = get_varint(from, end, &gap)) || !(from = get_varint(from, end, &pages)) ||
		    !(from = get_varint(from, end, &age)) || gap > PAGE_NUMBER_MAX ||
		    pages >> 1 == 0 || pages >> 1 > UINT32_MAX || age >= state)
			return error_set(DUR_E_CORRUPT, "a list of retired pages is damaged");
		no += gap;
		if (no < PAGE_FIRST || no + (pages >> 1) > PAGE_NUMBER_MAX)
			return error_set(DUR_E_CORRUPT, "a list of retired pages is damaged");
		grown[*n + i] = (struct retired){ .no = no, .birth = state - age,
			.n = (uint32_t)(pages >> 1), .class = pages & 1 };
		no += pages >> 1;
	}
	*n += count;
	return 0;
}

/* ---- Encoding ---- */

static size_t sections_bound(const struct record *record, size_t n_written, size_t groups)
{
	return 5 * SECTION_HEADER + sizeof record->state.label + sizeof record->state.keep +
	       sizeof record->state.origin + 10 +
	       groups * GROUP_MAX + (record->flushed ? 0 : n_written * 8) +
	       retired_bound(record->n_retired);
}

uint32_t record_pages_bound(struct record *record, size_t n_written, size_t groups)
{
	size_t bytes = AT_SECTIONS + sections_bound(record, n_written, groups);

	if (record->n_retired > 64) { /* many: worth knowing exactly */
		uint8_t *scratch = malloc(retired_bound(record->n_retired));
		retired_sort(record->retired, record->n_retired);
		if (scratch) {
			bytes -= retired_bound(record->n_retired);
			bytes += (size_t)(retired_encode(record->retired, record->n_retired,
			                                 record->state.number, scratch) - scratch);
			free(scratch);
		}
	}
	return (uint32_t)((bytes + PAGE_SIZE - 1) / PAGE_SIZE);
}

static void put_tree(uint8_t *to, const struct tree *tree)
{
	put_u64(to, tree->root.no);
	put_u64(to + 8, tree->root.birth);
	put_u64(to + 16, tree->count);
	put_u32(to + 24, tree->depth);
	put_u32(to + 28, 0);
}

/* Contiguous single pages make one group; a run is a group of its own. Returns the group's entries. */
static size_t group_length(const struct written *list, size_t n)
{
	size_t i = 1;

	if (!list[0].is_run)
		while (i < n && !list[i].is_run && list[i].no == list[0].no + i)
			i++;
	return i;
}

static uint8_t *encode_written(const struct record *record, uint8_t *to)
{
	const struct written *list = record->written;
	uint64_t groups = 0, end = 0;

	for (size_t i = 0; i < record->n_written; i += group_length(list + i, record->n_written - i))
		groups++;
	to = put_varint(to, groups);
	for (size_t i = 0, n; i < record->n_written; i += n) {
		uint64_t pages = list[i].is_run ? list[i].n : 0;

		n = group_length(list + i, record->n_written - i);
		if (!pages)
			pages = n;
		to = put_varint(to, list[i].no - end);
		to = put_varint(to, pages << 1 | list[i].is_run);
		end = list[i].no + pages;
		for (size_t k = 0; k < n && !record->flushed; k++, to += 8)
			put_u64(to, list[i + k].sum);
	}
	return to;
}

static uint8_t *put_section(uint8_t *to, enum section kind, uint8_t *end)
{
	put_u16(to, (uint16_t)kind);
	put_u16(to + 2, SECTION_REQUIRED);
	put_u32(to + 4, (uint32_t)(end - to - SECTION_HEADER));
	return end;
}

static uint8_t *put_text(uint8_t *to, enum section kind, const char *text)
{
	size_t len = strlen(text);

	if (len == 0)
		return to;
	memcpy(to + SECTION_HEADER, text, len);
	return put_section(to, kind, to + SECTION_HEADER + len);
}

/* Who does not know it goes on; the prefix then is no copy any more. */
static uint8_t *put_origin(uint8_t *to, const uint8_t origin[16])
{
	static const uint8_t none[16];

	if (memcmp(origin, none, sizeof none) == 0)
		return to;
	memcpy(to + SECTION_HEADER, origin, sizeof none);
	put_section(to, SECTION_ORIGIN, to + SECTION_HEADER + sizeof none);
	put_u16(to + 2, 0);
	return to + SECTION_HEADER + sizeof none;
}

static int written_compare(const void *a, const void *b)
{
	const struct written *x = a, *y = b;

	return x->no < y->no ? -1 : x->no > y->no;
}

/* The hash covers how long the record is as well, through its seed. */
static struct hash128 hash_of(const uint8_t *buf)
{
	uint32_t used = get_u32(buf + AT_USED);
	uint64_t shape = (uint64_t)get_u32(buf + AT_PAGES) << 32 | used;

	return hash128(buf + AT_SALT, used - AT_SALT, get_u64(buf + AT_SALT) ^ shape);
}

static void encode_header(const struct record *record, uint8_t *buf)
{
	const struct state *s = &record->state;

	page_set_id((struct page *)buf, s->record, PAGE_RECORD, 0);
	((struct page *)buf)->birth = s->number;
	put_u32(buf + AT_PAGES, s->record_pages);
	put_u64(buf + AT_SALT, record->salt);
	put_u64(buf + AT_EPOCH, record->epoch);
	put_u64(buf + AT_PREVIOUS, s->previous);
	put_u64(buf + AT_PREVIOUS_RECORD, record->previous_record);
	put_u64(buf + AT_PREVIOUS_HASH, record->previous_hash.low);
	put_u64(buf + AT_PREVIOUS_HASH + 8, record->previous_hash.high);
	put_u64(buf + AT_TIME, (uint64_t)s->time_ns);
	put_u32(buf + AT_FLAGS, s->flags | (record->flushed ? RECORD_FLUSHED : 0));
	put_u32(buf + AT_SYSTEM_PAGES, s->system_pages);
	put_u64(buf + AT_OLDEST, s->oldest);
	put_u64(buf + AT_STATES, s->states);
	put_u64(buf + AT_COMMITS, s->commits);
	put_u64(buf + AT_WRITTEN_BYTES, s->written_bytes);
	put_u64(buf + AT_FILE_PAGES, s->file_pages);
	put_u64(buf + AT_LIVE, s->live_pages);
	put_u64(buf + AT_RETAINED, s->retained_pages);
	put_u64(buf + AT_FOLD, record->fold);
	put_u64(buf + AT_FOLD_RECORD, record->fold_record);
	put_u64(buf + AT_DRAINED, record->drained);
	put_u64(buf + AT_SKIPPED, record->skipped_from);
	put_tree(buf + AT_CATALOG, &s->catalog);
	put_tree(buf + AT_SYSTEM, &s->system);
}

static int does_not_fit(const struct state *s)
{
	return error_set(DUR_E_LIMIT, "the record of state %llu does not fit its %u pages",
	                 (unsigned long long)s->number, s->record_pages);
}

/* The most bytes that the list of written pages takes. */
static size_t written_bound(const struct record *record)
{
	size_t groups = 0;

	for (size_t i = 0; i < record->n_written;
	     i += group_length(record->written + i, record->n_written - i))
		groups++;
	return 2 * SECTION_HEADER + 10 + groups * GROUP_MAX +
	       (record->flushed ? 0 : record->n_written * 8);
}

/* The list of retired pages, to *to, which moves on. */
static int put_retired(const struct record *record, uint8_t **to, const uint8_t *end)
{
	const struct state *s = &record->state;
	uint8_t *aside, *at = *to + SECTION_HEADER;
	size_t len, bound = retired_bound(record->n_retired), room = (size_t)(end - *to);

	if (SECTION_HEADER + bound <= room) {
		at = retired_encode(record->retired, record->n_retired, s->number, at);
		*to = put_section(*to, SECTION_RETIRED, at);
		return 0;
	}
	aside = malloc(bound); /* the bound is generous: encode aside and see */
	if (!aside)
		return error_system(ENOMEM, "writing a state record");
	len = (size_t)(retired_encode(record->retired, record->n_retired, s->number, aside) - aside);
	if (SECTION_HEADER + len <= room) {
		memcpy(at, aside, len);
		*to = put_section(*to, SECTION_RETIRED, at + len);
	}
	free(aside);
	return SECTION_HEADER + len <= room ? 0 : does_not_fit(s);
}

int record_encode(const struct file *file, struct record *record, uint8_t *buf)
{
	const struct state *s = &record->state;
	size_t room = (size_t)s->record_pages << PAGE_SHIFT;
	uint8_t *to = buf + AT_SECTIONS;
	int rc;

	retired_sort(record->retired, record->n_retired);
	if (record->n_written > 1)
		qsort(record->written, record->n_written, sizeof *record->written, written_compare);
	memset(buf, 0, room);
	encode_header(record, buf);
	to = put_text(to, SECTION_LABEL, s->label);
	to = put_text(to, SECTION_KEEP, s->keep);
	to = put_origin(to, s->origin);
	if ((size_t)(to - buf) + written_bound(record) > room)
		return does_not_fit(s);
	to = put_section(to, SECTION_WRITTEN, encode_written(record, to + SECTION_HEADER));
	rc = put_retired(record, &to, buf + room);
	if (rc < 0)
		return rc;
	put_u32(buf + AT_USED, (uint32_t)(to - buf));
	record->hash = hash_of(buf);
	put_u64(buf + AT_HASH, record->hash.low);
	put_u64(buf + AT_HASH + 8, record->hash.high);
	file_seal(file, (struct page *)buf);
	return 0;
}

/* ---- Reading ---- */

static int get_tree(const uint8_t *from, struct tree *tree, enum page_class class)
{
	*tree = (struct tree){
		.root = { get_u64(from), get_u64(from + 8) },
		.count = get_u64(from + 16),
		.depth = get_u32(from + 24),
		.class = class,
	};
	if (tree->root.no > PAGE_NUMBER_MAX || tree->depth > TREE_DEPTH_MAX ||
	    (tree->root.no == 0) != (tree->depth == 0) || (tree->root.no == 0) != (tree->count == 0) ||
	    (tree->root.no != 0 && tree->root.no < PAGE_FIRST))
		return 1;
	return 0;
}

static int damaged(uint64_t no, uint64_t number, const char *what)
{
	return error_set(DUR_E_CORRUPT, "the record of state %llu (page %llu) is damaged: %s; "
	                 "run `duramen check`, restore from a backup",
	                 (unsigned long long)number, (unsigned long long)no, what);
}

static int decode_written(struct record *record, const uint8_t *from, size_t len)
{
	const uint8_t *end = from + len;
	uint64_t groups, no = 0;
	size_t cap = 0;

	if (!(from = get_varint(from, end, &groups)) || groups > len)
		return 1;
	for (uint64_t g = 0; g < groups; g++) {
		uint64_t gap, pages, entries;

		if (!(from = get_varint(from, end, &gap)) || !(from = get_varint(from, end, &pages)))
			return 1;
		bool is_run = pages & 1;
		pages >>= 1;
		if (gap > PAGE_NUMBER_MAX || pages == 0 || pages > UINT32_MAX)
			return 1;
		no += gap;
		if (no < PAGE_FIRST || no + pages > PAGE_NUMBER_MAX)
			return 1;
		/* without checksums a group of single pages is listed as one entry of n pages */
		entries = is_run || record->flushed ? 1 : pages;
		if (!record->flushed && (uint64_t)(end - from) / 8 < entries)
			return 1;
		if (record->n_written + entries > cap) {
			cap = (record->n_written + entries) * 2;
			struct written *grown = realloc(record->written, cap * sizeof *grown);
			if (!grown)
				return -ENOMEM;
			record->written = grown;
		}
		for (uint64_t i = 0; i < entries; i++) {
			record->written[record->n_written++] = (struct written){
				.no = no + i,
				.n = entries == 1 ? (uint32_t)pages : 1,
				.is_run = is_run,
				.sum = record->flushed ? 0 : get_u64(from),
			};
			if (!record->flushed)
				from += 8;
		}
		no += pages;
	}
	return from == end ? 0 : 1;
}

static int get_text(char to[64], const uint8_t *from, size_t len)
{
	if (len > 63 || memchr(from, 0, len))
		return 1;
	memcpy(to, from, len);
	to[len] = '\0';
	return 0;
}

static int decode_sections(struct record *record, const uint8_t *buf, uint32_t used, bool lists)
{
	uint32_t at = AT_SECTIONS;
	int rc = 0;

	while (rc == 0 && at < used) {
		if (used - at < SECTION_HEADER)
			return 1;
		unsigned kind = get_u16(buf + at), flags = get_u16(buf + at + 2);
		uint32_t len = get_u32(buf + at + 4);
		const uint8_t *bytes = buf + at + SECTION_HEADER;

		if (len > used - at - SECTION_HEADER)
			return 1;
		if (kind == SECTION_LABEL)
			rc = get_text(record->state.label, bytes, len);
		else if (kind == SECTION_KEEP)
			rc = get_text(record->state.keep, bytes, len);
		else if (kind == SECTION_WRITTEN)
			rc = lists ? decode_written(record, bytes, len) : 0;
		else if (kind == SECTION_RETIRED)
			rc = lists ? retired_decode(bytes, len, record->state.number, &record->retired,
			                            &record->n_retired) : 0;
		else if (kind == SECTION_ORIGIN && len == sizeof record->state.origin)
			memcpy(record->state.origin, bytes, len);
		else if (flags & SECTION_REQUIRED)
			return error_set(DUR_E_FORMAT, "the record of state %llu holds something (kind %u) "
			                 "that a newer version wrote; use that version",
			                 (unsigned long long)record->state.number, kind);
		at += SECTION_HEADER + len;
	}
	return rc;
}

static int decode_fields(struct record *record, const uint8_t *buf)
{
	struct state *s = &record->state;

	record->salt = get_u64(buf + AT_SALT);
	record->epoch = get_u64(buf + AT_EPOCH);
	record->previous_record = get_u64(buf + AT_PREVIOUS_RECORD);
	record->previous_hash.low = get_u64(buf + AT_PREVIOUS_HASH);
	record->previous_hash.high = get_u64(buf + AT_PREVIOUS_HASH + 8);
	record->fold = get_u64(buf + AT_FOLD);
	record->fold_record = get_u64(buf + AT_FOLD_RECORD);
	record->drained = get_u64(buf + AT_DRAINED);
	record->skipped_from = get_u64(buf + AT_SKIPPED);
	record->flushed = get_u32(buf + AT_FLAGS) & RECORD_FLUSHED;
	s->previous = get_u64(buf + AT_PREVIOUS);
	s->system_pages = get_u32(buf + AT_SYSTEM_PAGES);
	s->oldest = get_u64(buf + AT_OLDEST);
	s->states = get_u64(buf + AT_STATES);
	s->flags = get_u32(buf + AT_FLAGS) & (STATE_MAINTENANCE | STATE_ASYNC);
	s->time_ns = (int64_t)get_u64(buf + AT_TIME);
	s->written_bytes = get_u64(buf + AT_WRITTEN_BYTES);
	s->commits = get_u64(buf + AT_COMMITS);
	s->file_pages = get_u64(buf + AT_FILE_PAGES);
	s->live_pages = get_u64(buf + AT_LIVE);
	s->retained_pages = get_u64(buf + AT_RETAINED);
	return get_tree(buf + AT_CATALOG, &s->catalog, CLASS_DATA) ||
	       get_tree(buf + AT_SYSTEM, &s->system, CLASS_SYSTEM) ||
	       s->previous >= s->number || record->fold > s->number || s->oldest > s->number ||
	       (record->fold < s->number && s->previous < record->fold);
}

int record_read(struct file *file, uint64_t no, uint64_t number, const struct hash128 *expect, bool lists,
                struct record *record)
{
	const uint8_t *buf;
	struct hash128 hash;
	uint32_t pages, used;
	int rc;

	*record = (struct record){ .state = { .number = number, .record = no } };
	if (no < PAGE_FIRST)
		return damaged(no, number, "no record can be there");
	rc = file_map(file, no, 1, &buf);
	if (rc < 0)
		return rc;
	/* asked for, the page is read alone, not with megabytes around it: whoever attaches reads a record or two */
	if (!file->scattered)
		(void)madvise((void *)(uintptr_t)buf, PAGE_SIZE, MADV_WILLNEED);
	if (page_no((const struct page *)buf) != no || page_kind((const struct page *)buf) != PAGE_RECORD ||
	    ((const struct page *)buf)->birth != number)
		return damaged(no, number, "something else is there");
	pages = get_u32(buf + AT_PAGES);
	used = get_u32(buf + AT_USED);
	if (used < AT_SECTIONS || pages == 0 || used > (uint64_t)pages << PAGE_SHIFT)
		return damaged(no, number, "its length");
	rc = file_map(file, no, pages, &buf);
	if (rc < 0)
		return rc;
	if (file_verify(file, (const struct page *)buf, (struct page_ptr){ no, number }))
		return damaged(no, number, "the checksum of its first page");
	hash = hash_of(buf);
	if (hash.low != get_u64(buf + AT_HASH) || hash.high != get_u64(buf + AT_HASH + 8))
		return damaged(no, number, "its hash");
	if (expect && (expect->low != hash.low || expect->high != hash.high))
		return damaged(no, number, "it is not the record that was linked here");
	record->hash = hash;
	record->state.record_pages = pages;
	rc = decode_fields(record, buf);
	if (rc == 0)
		rc = decode_sections(record, buf, used, lists);
	if (rc == 0)
		return 0;
	record_free(record);
	if (rc == -ENOMEM)
		return error_system(ENOMEM, "reading a state record");
	return rc < 0 ? rc : damaged(no, number, "its fields");
}

void record_free(struct record *record)
{
	free(record->written);
	free(record->retired);
	record->written = NULL;
	record->retired = NULL;
	record->n_written = record->n_retired = 0;
}

int record_bytes(struct file *file, const struct record *record, const uint8_t **bytes, size_t *len)
{
	*len = (size_t)record->state.record_pages << PAGE_SHIFT;
	return file_map(file, record->state.record, record->state.record_pages, bytes);
}

int record_catalog(struct file *file, uint64_t no, uint64_t number, struct tree *catalog)
{
	const struct page *page = NULL;
	struct record record;
	int rc;

	if (likely(file_run_is_marked(file, no))) {
		const uint8_t *buf;
		rc = file_map(file, no, 1, &buf);
		if (rc < 0)
			return rc;
		page = (const struct page *)buf;
		if (likely(page->birth == number &&
		           page->no_kind_level == (no | (uint64_t)PAGE_RECORD << 48)))
			return get_tree(buf + AT_CATALOG, catalog, CLASS_DATA) ?
				damaged(no, number, "its catalog") : 0;
	}
	rc = record_read(file, no, number, NULL, false, &record);
	if (rc < 0)
		return rc;
	*catalog = record.state.catalog;
	file_mark_run(file, no);
	return 0;
}
