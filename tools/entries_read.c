/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines are taken with getline. A JSON document is cut into the elements of its outermost array or
 * object as it streams by (only quotes and brackets matter for that), and each element is then
 * parsed like a line; so a document of any size needs the memory of its largest element.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "entries.h"
#include "json_read.h"
#include "message.h"
#include "utf8.h"

#define FIRST_BYTES 4096

enum stage { STAGE_START, STAGE_FIRST, STAGE_NEXT, STAGE_END };

void entry_reader_init(struct entry_reader *r, FILE *file, enum format format)
{
	*r = (struct entry_reader){
		.file = file,
		.format = format,
		.at_line = 1,
		.at_column = 1,
		.text = malloc(FIRST_BYTES),
		.cap = FIRST_BYTES,
	};
	if (r->text == NULL)
		out_of_memory();
}

void entry_reader_free(struct entry_reader *r)
{
	free(r->text);
	r->text = NULL;
}

/* Something is wrong at this byte of the text at hand. */
static int bad_text(struct entry_reader *r, size_t offset, const char *what)
{
	unsigned long long line = r->line, column = r->column;
	const char *start = r->text;
	for (size_t i = 0; i < offset; i++) {
		if (r->text[i] == '\n') {
			line++;
			column = 1;
			start = r->text + i + 1;
		}
	}
	column += utf8_count(start, (size_t)(r->text + offset - start));
	snprintf(r->error, sizeof r->error, "line %llu, column %llu: %s", line, column, what);
	return -1;
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
			bad_text(r, (size_t)(s - 1 - r->text),
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
		struct json_error e;
		s += 2;
		if (json_read_value(a, s, (size_t)(end - s), v, &e))
			return 0;
		return bad_text(r, (size_t)(s - r->text) + e.offset, e.text);
	}
	char *text = arena_alloc(a, (size_t)(end - s) + 1);
	size_t len;
	if (!unescape_column(r, s, end, text, &len))
		return -1;
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_char(text + i, len - i);
		if (n == 0)
			return bad_text(r, (size_t)(s - r->text),
			                "not UTF-8: bytes are written \\={\"~x\":\"00ff\"}");
	}
	*v = DUR_STRN(text, len);
	return 0;
}

static int read_tsv(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	const char *end = r->text + r->len;
	const char *tab = memchr(r->text, '\t', r->len);
	if (tab == NULL)
		return bad_text(r, r->len, "there is no tab: a line is KEY, a tab, VALUE");
	const char *second = memchr(tab + 1, '\t', (size_t)(end - tab - 1));
	if (second != NULL)
		return bad_text(r, (size_t)(second - r->text),
		                "a second tab: inside a column it is \\t");
	int rc = read_column(r, a, r->text, tab, key);
	return rc == 0 ? read_column(r, a, tab + 1, end, value) : rc;
}

/* ---- A JSON document ---- */

static int next_byte(struct entry_reader *r)
{
	int c = getc_unlocked(r->file);
	if (c == EOF)
		return EOF;
	r->bytes++;
	if (c == '\n') {
		r->at_line++;
		r->at_column = 1;
	} else if ((c & 0xc0) != 0x80) {
		r->at_column++;
	}
	return c;
}

static int next_nonspace(struct entry_reader *r)
{
	int c;
	do
		c = next_byte(r);
	while (c == ' ' || c == '\t' || c == '\n' || c == '\r');
	return c;
}

static int bad_byte(struct entry_reader *r, int c, const char *what)
{
	if (c == EOF && ferror(r->file))
		return read_failed(r);
	unsigned long long column = r->at_column - (c != EOF && r->at_column > 1);
	snprintf(r->error, sizeof r->error, "line %llu, column %llu: %s",
	         (unsigned long long)r->at_line, column,
	         c == EOF ? "the document has no end" : what);
	return -1;
}

static void append(struct entry_reader *r, int c)
{
	if (r->len == r->cap) {
		r->cap *= 2;
		r->text = realloc(r->text, r->cap);
		if (r->text == NULL)
			out_of_memory();
	}
	r->text[r->len++] = (char)c;
}

/*
 * Collects an element that begins with c, up to the comma or bracket behind it, which is returned.
 */
static int collect_element(struct entry_reader *r, int c)
{
	unsigned depth = 0;
	bool quoted = false;

	r->len = 0;
	r->line = r->at_line;
	r->column = r->at_column - 1;
	for (; c != EOF; c = next_byte(r)) {
		if (quoted) {
			if (c == '\\') {
				append(r, c);
				c = next_byte(r);
				if (c == EOF)
					break;
			} else if (c == '"') {
				quoted = false;
			}
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
			break;
		} else if (c == '}' || c == ']') {
			depth--;
		}
		append(r, c);
	}
	return c;
}

static int end_of_document(struct entry_reader *r)
{
	int c = next_nonspace(r);
	r->stage = STAGE_END;
	if (c == EOF)
		return ferror(r->file) ? read_failed(r) : 1;
	return bad_byte(r, c, "something follows the document");
}

/* The text of the next element. */
static int next_element(struct entry_reader *r)
{
	if (r->stage == STAGE_END)
		return 1;
	int c = next_nonspace(r);
	if (r->stage == STAGE_START) {
		if (c != '[' && c != '{')
			return bad_byte(r, c, "a document begins with [ or {");
		r->object = c == '{';
		r->stage = STAGE_FIRST;
		c = next_nonspace(r);
	}
	int close = r->object ? '}' : ']';
	if (r->stage == STAGE_FIRST && c == close)
		return end_of_document(r);
	r->stage = STAGE_NEXT;
	c = collect_element(r, c);
	if (c == close)
		r->stage = STAGE_END;
	else if (c != ',')
		return bad_byte(r, c,
		                r->object ? "',' or '}' is expected" : "',' or ']' is expected");
	return 0;
}

static int read_document(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	struct json_error e;
	int rc = next_element(r);
	if (rc != 0)
		return rc;
	bool good = r->object ? json_read_member(a, r->text, r->len, key, value, &e)
	                      : json_read_entry(a, r->text, r->len, key, value, &e);
	if (!good)
		return bad_text(r, e.offset, e.text);
	return r->stage == STAGE_END && end_of_document(r) < 0 ? -1 : 0;
}

static int read_line(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	struct json_error e;
	int rc = next_line(r);
	if (rc != 0)
		return rc;
	if (r->format == FORMAT_TSV)
		return read_tsv(r, a, key, value);
	if (!json_read_entry(a, r->text, r->len, key, value, &e))
		return bad_text(r, e.offset, e.text);
	return 0;
}

int entry_read(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	int rc = r->format == FORMAT_JSON ? read_document(r, a, key, value)
	                                  : read_line(r, a, key, value);
	/* The library would leave the tag out, and the entry would come back as another one. */
	if (rc == 0 && key->tag != 0)
		return bad_text(r, 0, "a key has no tag");
	return rc;
}
