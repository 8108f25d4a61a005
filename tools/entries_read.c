/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines are taken with getline. Of a JSON document the outermost brackets, commas and colons are
 * taken here, and jansson is let loose on the stream for what stands between them, one element
 * after the other: as a whole it would have to fit in memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "entries.h"
#include "json_read.h"
#include "message.h"

#define NO_BYTE (-2) /* neither one nor EOF */

enum stage { STAGE_START, STAGE_NEXT, STAGE_END };

static bool starts_character(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

void entry_reader_init(struct entry_reader *r, FILE *file, enum format format)
{
	*r = (struct entry_reader){
		.file = file,
		.format = format,
		.at_line = 1,
		.at_column = 1,
		.next = NO_BYTE,
	};
}

void entry_reader_free(struct entry_reader *r)
{
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
		column += starts_character(*s);
	return column;
}

static int bad_text(struct entry_reader *r, const char *at, const char *what)
{
	return wrong_at(r, r->line, column_of(r, at), what);
}

/* In the JSON that begins at this line and column; what is good JSON has no place of its own. */
static int bad_json(struct entry_reader *r, uint64_t line, uint64_t column,
                    const struct json_fault *f)
{
	if (f->line > 1)
		return wrong_at(r, line + f->line - 1, f->column, f->text);
	return wrong_at(r, line, column + (f->line == 1 ? f->column - 1 : 0), f->text);
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
		return bad_json(r, r->line, column_of(r, s), &f);
	}
	char *text = arena_alloc(a, (size_t)(end - s) + 1);
	size_t len;
	if (!unescape_column(r, s, end, text, &len))
		return -1;
	if (!json_is_utf8(text, len))
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

/* ---- A JSON document ---- */

/* r->next until it is taken. */
static int peek_byte(struct entry_reader *r)
{
	if (r->next == NO_BYTE)
		r->next = getc_unlocked(r->file);
	return r->next;
}

static int take_byte(struct entry_reader *r)
{
	int c = peek_byte(r);
	if (c == EOF)
		return EOF;
	r->next = NO_BYTE;
	r->bytes++;
	if (c == '\n') {
		r->at_line++;
		r->at_column = 1;
	} else if (starts_character((char)c)) {
		r->at_column++;
	}
	return c;
}

static bool is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* c is the last byte of the character that was taken. Space is not missed. */
static void untake_byte(struct entry_reader *r, int c)
{
	if (c == EOF || is_space(c))
		return;
	r->next = c;
	r->bytes--;
	r->at_column--;
}

/* The next byte that is not space, not taken. */
static int peek_token(struct entry_reader *r)
{
	while (is_space(peek_byte(r)))
		take_byte(r);
	return peek_byte(r);
}

static int bad_token(struct entry_reader *r, const char *what)
{
	if (ferror(r->file))
		return read_failed(r);
	return wrong_at(r, r->at_line, r->at_column,
	                peek_byte(r) == EOF ? "the document has no end" : what);
}

/* The stream as jansson sees it. Its buffer has room for more, but more must not be taken. */
struct supply {
	struct entry_reader *reader;
	int last;
};

static size_t supply_byte(void *buffer, size_t size, void *arg)
{
	struct supply *s = arg;
	(void)size;
	s->last = take_byte(s->reader);
	if (s->last == EOF)
		return 0;
	*(char *)buffer = (char)s->last;
	return 1;
}

/* One value of the document, NULL after an error. */
static json_t *read_json(struct entry_reader *r)
{
	struct supply supply = { .reader = r };
	struct json_fault f;
	peek_token(r);
	uint64_t line = r->at_line, column = r->at_column;
	json_t *j = json_read_next(supply_byte, &supply, &f);
	if (j == NULL) {
		if (ferror(r->file))
			read_failed(r);
		else
			bad_json(r, line, column, &f);
	} else if (!json_is_string(j) && !json_is_object(j) && !json_is_array(j)) {
		untake_byte(r, supply.last); /* what ended a number or a word */
	}
	return j;
}

static int read_entry(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	struct json_fault f;
	json_auto_t *entry = read_json(r);
	if (entry == NULL)
		return -1;
	return json_to_entry(a, entry, key, value, &f) ? 0 : bad_json(r, r->line, r->column, &f);
}

/* "KEY":VALUE */
static int read_member(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	struct json_fault f;
	if (peek_token(r) != '"')
		return bad_token(r, "a key in quotes is expected");
	json_auto_t *name = read_json(r);
	if (name == NULL)
		return -1;
	if (peek_token(r) != ':')
		return bad_token(r, "':' is expected");
	take_byte(r);
	json_auto_t *j = read_json(r);
	if (j == NULL)
		return -1;
	bool good = json_to_value(a, name, key, &f) && json_to_value(a, j, value, &f);
	return good ? 0 : bad_json(r, r->line, r->column, &f);
}

static int end_of_document(struct entry_reader *r)
{
	take_byte(r);
	r->stage = STAGE_END;
	if (peek_token(r) != EOF)
		return bad_token(r, "something follows the document");
	return ferror(r->file) ? read_failed(r) : 1;
}

static int read_document(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	if (r->stage == STAGE_END)
		return 1;
	int c = peek_token(r);
	if (r->stage == STAGE_START) {
		if (c != '[' && c != '{')
			return bad_token(r, "a document begins with [ or {");
		r->close = c == '{' ? '}' : ']';
	} else if (c == r->close) {
		return end_of_document(r);
	} else if (c != ',') {
		return bad_token(r, r->close == '}' ? "',' or '}' is expected"
		                                    : "',' or ']' is expected");
	}
	take_byte(r);
	c = peek_token(r);
	if (r->stage == STAGE_START && c == r->close)
		return end_of_document(r);
	r->stage = STAGE_NEXT;
	r->line = r->at_line;
	r->column = r->at_column;
	return r->close == '}' ? read_member(r, a, key, value) : read_entry(r, a, key, value);
}

static int read_line(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	struct json_fault f;
	int rc = next_line(r);
	if (rc != 0)
		return rc;
	if (r->format == FORMAT_TSV)
		return read_tsv(r, a, key, value);
	if (!json_read_entry(a, r->text, r->len, key, value, &f))
		return bad_json(r, r->line, 1, &f);
	return 0;
}

int entry_read(struct entry_reader *r, struct arena *a, dur_value *key, dur_value *value)
{
	int rc = r->format == FORMAT_JSON ? read_document(r, a, key, value)
	                                  : read_line(r, a, key, value);
	/* The library would leave the tag out, and the entry would come back as another one. */
	if (rc == 0 && key->tag != 0)
		return wrong_at(r, r->line, r->column, "a key has no tag");
	return rc;
}
