/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state says what may come next; a token is taken whole, and where the buffer ends within one,
 * what there is of it moves to the buffer's start and more is read behind it. Strings are looked at
 * eight bytes at a time; those without an escape are given where they stand. Lines are not counted
 * while reading: the place of an event is worked out when somebody asks, from the last one known.
 */
#include "json_read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"

#define BUFFER_BYTES (64u << 10)
#define NO_BYTE      (-1)
#define A_VALUE      "a value is expected; a string stands in quotes, \"like this\""

/* What may come next. */
enum {
	STATE_TOP,        /* a value, or the end of lines */
	STATE_VALUE,      /* a value */
	STATE_FIRST_ITEM, /* a value or ] */
	STATE_FIRST_NAME, /* a name or } */
	STATE_NAME,       /* a name */
	STATE_COLON,      /* a colon, then a value */
	STATE_AFTER,      /* a comma, or the end of what is open */
	STATE_END,        /* the end of the text, or of the line */
	STATE_WRONG
};

/* ---- The text ---- */

void json_read_text(struct json_reader *r, const void *text, size_t len, enum json_mode mode)
{
	static const uint8_t none;

	*r = (struct json_reader){ .fd = -1, .mode = mode, .state = STATE_TOP };
	r->from = r->at = r->mark = text != NULL ? text : &none;
	r->end = r->at + len;
	r->mark_place = (struct json_place){ 1, 1, 1 };
}

void json_read_file(struct json_reader *r, int fd, enum json_mode mode)
{
	json_read_text(r, NULL, 0, mode);
	r->fd = fd;
	r->buffer_cap = BUFFER_BYTES;
	r->buffer = malloc(r->buffer_cap);
	if (r->buffer == NULL)
		out_of_memory();
	r->from = r->at = r->end = r->mark = r->buffer;
}

void json_read_close(struct json_reader *r)
{
	free(r->buffer);
	free(r->copy);
	free(r->levels);
	r->buffer = r->copy = r->levels = NULL;
}

static struct json_place place_of(const struct json_reader *r, const uint8_t *at)
{
	struct json_place place = r->mark_place;
	const uint8_t *p = r->mark, *newline;

	place.byte += (uint64_t)(at - p);
	while ((newline = memchr(p, '\n', (size_t)(at - p))) != NULL) {
		place.line++;
		place.column = 1;
		p = newline + 1;
	}
	for (; p < at; p++)
		place.column += (*p & 0xc0) != 0x80;
	return place;
}

struct json_place json_place(struct json_reader *r)
{
	r->mark_place = place_of(r, r->from);
	r->mark = r->from;
	return r->mark_place;
}

uint64_t json_bytes(struct json_reader *r)
{
	return r->mark_place.byte - 1 + (uint64_t)(r->at - r->mark);
}

static enum json_event wrong_at(struct json_reader *r, const uint8_t *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static enum json_event wrong_at(struct json_reader *r, const uint8_t *at, const char *format, ...)
{
	va_list list;

	if (r->state == STATE_WRONG) /* reading more has failed: that is what it is */
		return JSON_WRONG;
	r->fault.at = place_of(r, at);
	va_start(list, format);
	vsnprintf(r->fault.text, sizeof r->fault.text, format, list);
	va_end(list);
	r->state = STATE_WRONG;
	return JSON_WRONG;
}

/*
 * Reads on, with all from r->from kept: it and *at may move. False: the text ends at r->end, or
 * reading failed (the state says so).
 */
static bool more(struct json_reader *r, const uint8_t **at)
{
	size_t kept = (size_t)(r->end - r->from), ahead = (size_t)(*at - r->from);
	ssize_t n;

	if (r->fd < 0 || r->state == STATE_WRONG)
		return false;
	json_place(r);
	if (kept == r->buffer_cap) {
		if (kept >= JSON_TEXT_MAX) {
			wrong_at(r, r->from, "a string or number of more than 1 GiB");
			return false;
		}
		uint8_t *larger = malloc(2 * r->buffer_cap);
		if (larger == NULL)
			out_of_memory();
		memcpy(larger, r->from, kept);
		free(r->buffer);
		r->buffer = larger;
		r->buffer_cap *= 2;
	} else {
		memmove(r->buffer, r->from, kept);
	}
	r->from = r->mark = r->buffer;
	r->end = r->buffer + kept;
	*at = r->buffer + ahead;
	n = read(r->fd, r->buffer + kept, r->buffer_cap - kept);
	if (n < 0)
		wrong_at(r, r->end, "cannot read: %s", strerror(errno));
	r->end += n > 0 ? n : 0;
	return n > 0;
}

/* The byte at *at, or NO_BYTE at the end of the text. */
static inline int byte_at(struct json_reader *r, const uint8_t **at)
{
	return *at < r->end || more(r, at) ? **at : NO_BYTE;
}

/* ---- UTF-8 ---- */

/* Bytes of the character at p, which is not ASCII; 0: it is not UTF-8 or cut off. */
static size_t character(const uint8_t *p, size_t n)
{
	unsigned first = p[0], second = n > 1 ? p[1] : 0;
	size_t len = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;

	/* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
	if (len == 0 || n < len || (first == 0xe0 && second < 0xa0) ||
	    (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
	    (first == 0xf4 && second > 0x8f))
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

size_t utf8_length(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	size_t at = 0;

	while (at < len) {
		uint64_t word;
		while (len - at >= 8 &&
		       (memcpy(&word, p + at, 8), (word & 0x8080808080808080u) == 0))
			at += 8;
		while (at < len && p[at] < 0x80)
			at++;
		if (at == len)
			break;
		size_t n = character(p + at, len - at);
		if (n == 0)
			break;
		at += n;
	}
	return at;
}

/* ---- Strings ---- */

/*
 * Bytes that a string holds as they are: neither its end, nor an escape, nor what must be looked
 * at.
 */
static const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end)
{
	const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;

	while (end - p >= 8) {
		uint64_t word, quote, escape;
		memcpy(&word, p, 8);
		quote = word ^ ones * '"';
		escape = word ^ ones * '\\';
		/* A byte's high bit is set if it was, or the byte is below what is taken away. */
		if (((word - ones * 0x20) | (quote - ones) | (escape - ones) | word) & high)
			break;
		p += 8;
	}
	while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

static uint8_t *copy_room(struct json_reader *r, size_t used, size_t n)
{
	if (n > r->copy_cap - used) {
		r->copy_cap = 2 * (used + n) > 256 ? 2 * (used + n) : 256;
		r->copy = realloc(r->copy, r->copy_cap);
		if (r->copy == NULL)
			out_of_memory();
	}
	return r->copy + used;
}

static int hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits at *at. -1: wrong. */
static int32_t take_unit(struct json_reader *r, const uint8_t **at)
{
	int32_t unit = 0;

	for (int i = 0; i < 4; i++, ++*at) {
		int digit = hex_digit(byte_at(r, at));
		if (digit < 0) {
			wrong_at(r, *at, "\\u takes four hexadecimal digits");
			return -1;
		}
		unit = unit << 4 | digit;
	}
	return unit;
}

/* \uXXXX behind its u, and the second one of a pair. */
static int32_t take_code_point(struct json_reader *r, const uint8_t **at)
{
	int32_t unit = take_unit(r, at), low;

	if (unit < 0xd800 || unit > 0xdfff)
		return unit;
	if (unit < 0xdc00 && byte_at(r, at) == '\\') {
		++*at;
		if (byte_at(r, at) == 'u') {
			++*at;
			low = take_unit(r, at);
			if (low < 0)
				return -1;
			if (low >= 0xdc00 && low <= 0xdfff)
				return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	wrong_at(r, *at,
	         "half a surrogate pair: \\ud800 to \\udbff and \\udc00 to \\udfff come in"
	         " twos, and bytes are written {\"~x\":\"00ff\"}");
	return -1;
}

static size_t put_code_point(uint8_t *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (uint8_t)(0xc0 | c >> 6);
		to[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (uint8_t)(0xe0 | c >> 12);
		to[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		to[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (uint8_t)(0xf0 | c >> 18);
	to[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	to[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	to[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

/* The escape behind a backslash, to the copy. */
static bool take_escape(struct json_reader *r, const uint8_t **at, size_t *used)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	int c = byte_at(r, at);
	const char *found = c > 0 ? memchr(from, c, sizeof from - 1) : NULL;
	uint8_t *room = copy_room(r, *used, 4);
	int32_t code;

	if (found != NULL) {
		++*at;
		room[0] = (uint8_t)to[found - from];
		++*used;
		return true;
	}
	if (c != 'u') {
		if (c != NO_BYTE)
			wrong_at(r, *at,
			         "there is no escape like this: \\\" \\\\ \\/ \\b \\f \\n \\r"
			         " \\t \\u00e9");
		else
			wrong_at(r, *at, "the string has no end");
		return false;
	}
	++*at;
	code = take_code_point(r, at);
	if (code < 0)
		return false;
	*used += put_code_point(room, (uint32_t)code);
	return true;
}

/* A character that is not ASCII stays as it is. */
static bool take_character(struct json_reader *r, const uint8_t **at)
{
	size_t n = **at < 0xe0 ? 2 : **at < 0xf0 ? 3 : 4;

	while ((size_t)(r->end - *at) < n && more(r, at))
		;
	n = character(*at, (size_t)(r->end - *at));
	if (n == 0) {
		wrong_at(r, *at, "not UTF-8: bytes are written {\"~x\":\"00ff\"}");
		return false;
	}
	*at += n;
	return true;
}

/* What stands from r->from + start on, to the copy; gives how much that is in all. */
static size_t copy_piece(struct json_reader *r, size_t start, const uint8_t *end, size_t used)
{
	size_t n = (size_t)(end - r->from) - start;

	if (n > 0)
		memcpy(copy_room(r, used, n), r->from + start, n);
	return used + n;
}

/* The string whose quote is at r->from, to r->text and r->len. */
static bool take_string(struct json_reader *r)
{
	const uint8_t *at = r->from + 1;
	size_t start = 1, used = 0; /* start: of what is not copied yet */
	bool escaped = false;

	for (;;) {
		at = skip_plain(at, r->end);
		int c = byte_at(r, &at);
		if (c == '"')
			break;
		if (c == '\\') {
			used = copy_piece(r, start, at, used);
			escaped = true;
			at++;
			if (!take_escape(r, &at, &used))
				return false;
			start = (size_t)(at - r->from);
		} else if (c == NO_BYTE) {
			wrong_at(r, at, "the string has no end");
			return false;
		} else if (c < 0x20) {
			wrong_at(r, at,
			         "a control character in a string is written as an escape,"
			         " such as \\n or \\u%04x",
			         (unsigned)c);
			return false;
		} else if (c >= 0x80 && !take_character(r, &at)) {
			return false;
		}
		if (used >= JSON_TEXT_MAX) {
			wrong_at(r, r->from, "a string of more than 1 GiB");
			return false;
		}
	}
	if (escaped)
		used = copy_piece(r, start, at, used);
	r->text = escaped ? (const char *)r->copy : (const char *)r->from + 1;
	r->len = escaped ? used : (size_t)(at - r->from) - 1;
	r->at = at + 1;
	return true;
}

/* ---- Numbers and words ---- */

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool take_digits(struct json_reader *r, const uint8_t **at)
{
	if (!is_digit(byte_at(r, at))) {
		wrong_at(r, *at, "a digit is expected");
		return false;
	}
	do
		++*at;
	while (is_digit(byte_at(r, at)));
	return true;
}

static enum json_event take_number(struct json_reader *r)
{
	const uint8_t *at = r->from;
	int c;

	if (*at == '-')
		at++;
	if (byte_at(r, &at) == '0')
		at++;
	else if (!take_digits(r, &at))
		return JSON_WRONG;
	c = byte_at(r, &at);
	if (is_digit(c))
		return wrong_at(r, at, "a number does not begin with 0 before other digits");
	if (c == '.') {
		at++;
		if (!take_digits(r, &at))
			return JSON_WRONG;
		c = byte_at(r, &at);
	}
	if (c == 'e' || c == 'E') {
		at++;
		c = byte_at(r, &at);
		if (c == '+' || c == '-')
			at++;
		if (!take_digits(r, &at))
			return JSON_WRONG;
	}
	if (r->state == STATE_WRONG)
		return JSON_WRONG;
	r->text = (const char *)r->from;
	r->len = (size_t)(at - r->from);
	r->at = at;
	return JSON_NUMBER;
}

static bool is_word(int c)
{
	return c == '_' || is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static enum json_event take_word(struct json_reader *r, int c)
{
	const char *word = c == 'n' ? "null" : c == 'f' ? "false" : "true";
	const uint8_t *at = r->from;
	size_t n = c == 'f' ? 5 : 4;

	for (size_t i = 0; i < n; i++, at++)
		if (byte_at(r, &at) != word[i])
			return wrong_at(r, r->from, A_VALUE);
	if (is_word(byte_at(r, &at)))
		return wrong_at(r, r->from, A_VALUE);
	if (r->state == STATE_WRONG)
		return JSON_WRONG;
	r->at = at;
	return c == 'n' ? JSON_NULL : c == 'f' ? JSON_FALSE : JSON_TRUE;
}

/* ---- Structure ---- */

static bool in_object(const struct json_reader *r)
{
	uint64_t level = r->depth - 1;
	return r->levels[level / 8] >> level % 8 & 1;
}

static enum json_event open_level(struct json_reader *r, bool object)
{
	if (r->depth == JSON_DEPTH)
		return wrong_at(r, r->at, "nested deeper than %d levels", JSON_DEPTH);
	if (r->depth / 8 == r->levels_cap) {
		r->levels_cap = r->levels_cap ? 2 * r->levels_cap : 16;
		r->levels = realloc(r->levels, r->levels_cap);
		if (r->levels == NULL)
			out_of_memory();
	}
	uint8_t bit = (uint8_t)(1u << r->depth % 8), *byte = &r->levels[r->depth / 8];
	*byte = (uint8_t)(object ? *byte | bit : *byte & ~bit);
	r->depth++;
	r->at++;
	r->state = object ? STATE_FIRST_NAME : STATE_FIRST_ITEM;
	return object ? JSON_OBJECT : JSON_ARRAY;
}

static void value_ends(struct json_reader *r)
{
	r->state = r->depth > 0 ? STATE_AFTER : STATE_END;
}

static enum json_event close_level(struct json_reader *r)
{
	bool object = in_object(r);

	r->at++;
	r->depth--;
	value_ends(r);
	return object ? JSON_OBJECT_END : JSON_ARRAY_END;
}

static enum json_event take_value(struct json_reader *r, int c)
{
	enum json_event event = JSON_STRING;

	if (c == '{' || c == '[')
		return open_level(r, c == '{');
	if (c == '"') {
		if (!take_string(r))
			return JSON_WRONG;
	} else if (c == '-' || is_digit(c)) {
		event = take_number(r);
	} else if (c == 'n' || c == 't' || c == 'f') {
		event = take_word(r, c);
	} else if (c == NO_BYTE) {
		return wrong_at(r, r->at,
		                r->depth > 0 ? "the document has no end" : "there is nothing");
	} else if (is_word(c) || c == '\'') {
		return wrong_at(r, r->at, A_VALUE);
	} else {
		return wrong_at(r, r->at, "a value is expected");
	}
	if (event != JSON_WRONG)
		value_ends(r);
	return event;
}

/*
 * Passes over space, and makes r->from and r->at the first byte that is none; gives it. *newline
 * tells whether a line ended.
 */
static int next_byte(struct json_reader *r, bool *newline)
{
	int c;

	for (;; r->at++) {
		/* Nothing of what was passed over is to be kept, nor counted here. */
		if (r->at == r->end)
			r->from = r->at;
		c = byte_at(r, &r->at);
		if (c == '\n' && r->mode == JSON_LINES && r->depth > 0) {
			wrong_at(r, r->at, "the line ends before the value does: a document "
			            "over several lines takes --format json");
			return NO_BYTE;
		}
		if (c == '\n')
			*newline = true;
		else if (c != ' ' && c != '\t' && c != '\r')
			break;
	}
	r->from = r->at;
	return c;
}

/* A comma, or the end of what is open. Gives what comes behind a comma. */
static enum json_event take_after(struct json_reader *r, int *c, bool *newline)
{
	bool object = in_object(r);

	if (*c == (object ? '}' : ']'))
		return close_level(r);
	if (*c == NO_BYTE)
		return wrong_at(r, r->at, "the document has no end");
	if (*c != ',')
		return wrong_at(r, r->at,
		                object ? "',' or '}' is expected" : "',' or ']' is expected");
	r->at++;
	*c = next_byte(r, newline);
	if (r->state == STATE_WRONG)
		return JSON_WRONG;
	r->state = object ? STATE_NAME : STATE_VALUE;
	return JSON_END; /* go on */
}

static enum json_event take_name(struct json_reader *r, int c)
{
	if (c == '}' && r->state == STATE_FIRST_NAME)
		return close_level(r);
	if (c == NO_BYTE)
		return wrong_at(r, r->at, "the document has no end");
	if (c != '"')
		return wrong_at(r, r->at, "a name in quotes is expected");
	if (!take_string(r))
		return JSON_WRONG;
	r->state = STATE_COLON;
	return JSON_NAME;
}

/* At the outermost level: a value, the next line, or the end. */
static enum json_event take_top(struct json_reader *r, int c, bool newline)
{
	bool between = r->mode == JSON_LINES && (newline || r->state == STATE_TOP);

	if (c == NO_BYTE && (r->mode == JSON_LINES || r->state == STATE_END))
		return r->state == STATE_WRONG ? JSON_WRONG : JSON_END;
	if (r->state == STATE_END && !between)
		return wrong_at(r, r->at,
		                r->mode == JSON_LINES ? "something follows on the line"
		                                      : "something follows the value");
	if (c == 0xef && r->mark_place.byte + (uint64_t)(r->at - r->mark) == 1)
		return wrong_at(r, r->at, "a value is expected; a byte order mark is none");
	return take_value(r, c);
}

enum json_event json_next(struct json_reader *r)
{
	bool newline = false;
	int c;

	r->text = NULL;
	r->len = 0;
	if (r->state == STATE_WRONG)
		return JSON_WRONG;
	c = next_byte(r, &newline);
	if (r->state == STATE_WRONG)
		return JSON_WRONG;
	if (r->state == STATE_TOP || r->state == STATE_END)
		return take_top(r, c, newline);
	if (r->state == STATE_COLON) {
		if (c != ':')
			return wrong_at(r, r->at,
			                c == NO_BYTE ? "the document has no end"
			                             : "':' is expected");
		r->at++;
		c = next_byte(r, &newline);
		if (r->state == STATE_WRONG)
			return JSON_WRONG;
		r->state = STATE_VALUE;
	} else if (r->state == STATE_AFTER) {
		enum json_event event = take_after(r, &c, &newline);
		if (event != JSON_END)
			return event;
	}
	if (r->state == STATE_FIRST_NAME || r->state == STATE_NAME)
		return take_name(r, c);
	if (r->state == STATE_FIRST_ITEM && c == ']')
		return close_level(r);
	return take_value(r, c);
}
