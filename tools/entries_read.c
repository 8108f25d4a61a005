/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of TSV are taken with getline. JSON is taken event by event, of a document as of lines:
 * only the entry at hand is ever in memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "entries.h"
#include "message.h"

#define AN_ENTRY "an entry is {\"key\":...,\"value\":...}"

void entry_reader_init(struct entry_reader *r, FILE *file, enum format format)
{
	*r = (struct entry_reader){ .file = file, .format = format };
	if (format != FORMAT_TSV)
		json_read_file(&r->json, fileno(file),
		               format == FORMAT_JSON ? JSON_ONE : JSON_LINES);
}

void entry_reader_free(struct entry_reader *r)
{
	json_read_close(&r->json);
	json_build_end(&r->builder);
	free(r->text);
	r->text = NULL;
}

static int wrong_at(struct entry_reader *r, uint64_t line, uint64_t column, const char *what)
{
	snprintf(r->error, sizeof r->error, "line %" PRIu64 ", column %" PRIu64 ": %s", line,
	         column, what);
	return -1;
}

/* Of this byte of the line at hand. */
static uint64_t column_of(const struct entry_reader *r, const char *at)
{
	uint64_t column = 1;
	for (const char *s = r->text; s < at; s++)
		column += ((unsigned char)*s & 0xc0) != 0x80;
	return column;
}

static int bad_text(struct entry_reader *r, const char *at, const char *what)
{
	return wrong_at(r, r->line, column_of(r, at), what);
}

static int read_failed(struct entry_reader *r)
{
	snprintf(r->error, sizeof r->error, "cannot read: %s", strerror(errno));
	return -1;
}

/* ---- Lines ---- */

/* The next line that is not empty, without its end. */
static int next_line(struct entry_reader *r)
{
	do {
		errno = 0;
		ssize_t n = getline(&r->text, &r->cap, r->file);
		if (n < 0)
			return feof(r->file) ? 1 : read_failed(r);
		r->bytes += (uint64_t)n;
		r->line++;
		r->column = 1;
		r->len = (size_t)n;
		if (r->text[r->len - 1] == '\n')
			r->len--;
		if (r->len > 0 && r->text[r->len - 1] == '\r')
			r->len--;
	} while (r->len == 0);
	return 0;
}

/* ---- TSV ---- */

/* \t \n \r \\ */
static bool unescape_column(struct entry_reader *r, const char *s, const char *end, char *out,
                            size_t *len)
{
	static const char from[] = "tnr\\", to[] = "\t\n\r\\";
	char *start = out;
	for (; s < end; s++) {
		if (*s != '\\') {
			*out++ = *s;
			continue;
		}
		const char *found = ++s < end ? memchr(from, *s, sizeof from - 1) : NULL;
		if (found == NULL) {
			bad_text(r, s - 1,
			         "a backslash is written \\\\; there are \\t \\n \\r and, "
			         "at the start of a column, \\= before JSON");
			return false;
		}
		*out++ = to[found - from];
	}
	*len = (size_t)(out - start);
	return true;
}

static int read_column(struct entry_reader *r, struct arena *a, const char *s, const char *end,
                       dur_value *v)
{
	if (end - s >= 2 && s[0] == '\\' && s[1] == '=') {
		struct json_fault f;
		s += 2;
		if (json_read_value(a, s, (size_t)(end - s), v, &f))
			return 0;
		return wrong_at(r, r->line, column_of(r, s) + f.at.column - 1, f.text);
	}
	char *text = arena_alloc(a, (size_t)(end - s) + 1);
	size_t len;
	if (!unescape_column(r, s, end, text, &len))
		return -1;
	if (utf8_length(text, len) != len)
		return bad_text(r, s, "not UTF-8: bytes are written \\={\"~x\":\"00ff\"}");
	*v = DUR_STRN(text, len);
	return 0;
}

static int read_tsv(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	const char *end = r->text + r->len;
	const char *tab = memchr(r->text, '\t', r->len);
	if (tab == NULL)
		return bad_text(r, end, "there is no tab: a line is KEY, a tab, VALUE");
	const char *second = memchr(tab + 1, '\t', (size_t)(end - tab - 1));
	if (second != NULL)
		return bad_text(r, second, "a second tab: inside a column it is \\t");
	int rc = read_column(r, a, r->text, tab, key);
	return rc == 0 ? read_column(r, a, tab + 1, end, value) : rc;
}

/* ---- JSON ---- */

static int bad_json(struct entry_reader *r, const struct json_fault *f)
{
	return wrong_at(r, f->at.line, f->at.column, f->text);
}

static int refuse_event(struct entry_reader *r, const char *what)
{
	json_refuse(&r->json, &r->builder.fault, "%s", what);
	return bad_json(r, &r->builder.fault);
}

static int read_value(struct entry_reader *r, struct arena *a, dur_value *v)
{
	bool good = json_build(&r->builder, &r->json, json_next(&r->json), a, v);
	return good ? 0 : bad_json(r, &r->builder.fault);
}

/* A key is never so long that it would have to be stored while it is read. */
static int read_key(struct entry_reader *r, struct arena *a, dur_value *key)
{
	int (*begin)(void *, dur_coll *, const dur_value **) = r->builder.begin;
	int rc;

	r->builder.begin = NULL;
	rc = read_value(r, a, key);
	r->builder.begin = begin;
	r->key = key;
	if (rc == 0 && key->type & DUR_LITERAL)
		return refuse_event(r, "a key is a scalar or a tuple {\"~p\":[...]}");
	return rc;
}

static void begins(struct entry_reader *r)
{
	struct json_place at = json_place(&r->json);
	r->line = at.line;
	r->column = at.column;
}

static inline bool name_is(const struct json_reader *json, const char *name)
{
	return json->len == strlen(name) && memcmp(json->text, name, json->len) == 0;
}

/* What follows {, which the entry began with. */
static int read_entry(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	enum json_event event;
	bool has_key = false, has_value = false;
	int rc = 0;

	r->key = NULL;
	while (rc == 0 && (event = json_next(&r->json)) == JSON_NAME) {
		bool is_key = name_is(&r->json, "key");
		bool *has = is_key ? &has_key : &has_value;
		if (!is_key && !name_is(&r->json, "value"))
			return refuse_event(r, AN_ENTRY ", with no other member");
		if (*has)
			return refuse_event(r, is_key ? "duplicate name \"key\""
			                              : "duplicate name \"value\"");
		*has = true;
		rc = is_key ? read_key(r, a, key) : read_value(r, a, value);
	}
	if (rc != 0)
		return rc;
	if (event == JSON_WRONG)
		return bad_json(r, &r->json.fault);
	if (!has_key || !has_value)
		return wrong_at(r, r->line, r->column,
		                has_key ? "the entry has no \"value\""
		                        : "the entry has no \"key\"");
	return 0;
}

/* "KEY":VALUE */
static int read_member(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	*key = DUR_STRN(arena_copy(a, r->json.text, r->json.len), r->json.len);
	r->key = key;
	return read_value(r, a, value);
}

/* The first event of the next entry; what is around entries is passed over. */
static enum json_event next_event(struct entry_reader *r)
{
	enum json_event event = json_next(&r->json);

	if (r->format == FORMAT_JSON && !r->begun &&
	    (event == JSON_ARRAY || event == JSON_OBJECT)) {
		r->begun = true;
		r->members = event == JSON_OBJECT;
		event = json_next(&r->json);
	}
	if (r->format == FORMAT_JSON && r->json.depth == 0 &&
	    (event == JSON_ARRAY_END || event == JSON_OBJECT_END))
		event = json_next(&r->json);
	return event;
}

static int read_json(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	enum json_event event = next_event(r);
	int rc;

	if (event == JSON_WRONG)
		return bad_json(r, &r->json.fault);
	if (event == JSON_END)
		return 1;
	begins(r);
	if (r->format == FORMAT_JSON && !r->begun)
		return refuse_event(r, "a document begins with [ or {");
	if (!r->members && event != JSON_OBJECT)
		return refuse_event(r, AN_ENTRY);
	rc = r->members ? read_member(r, a, key, value) : read_entry(r, a, key, value);
	r->bytes = json_bytes(&r->json);
	return rc;
}

int entry_read(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	int rc = r->format != FORMAT_TSV ? read_json(r, a, key, value) : next_line(r);
	if (rc == 0 && r->format == FORMAT_TSV)
		rc = read_tsv(r, a, key, value);
	/* The library would leave the tag out, and the entry would come back as another one. */
	if (rc == 0 && key->tag != 0)
		return wrong_at(r, r->line, r->column, "a key has no tag");
	if (rc == 0 && key->type & DUR_LITERAL) /* of a line of TSV */
		return wrong_at(r, r->line, r->column, "a key is a scalar or a tuple");
	return rc;
}
