/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recursive descent over one text. Each read_* takes what it names from p->at, or sets the error.
 */
#include "json_read.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "timetext.h"
#include "utf8.h"

#define MAX_DEPTH 100 /* of tuples; bounds the recursion */
#define ONLY_SCALARS \
	"only scalars can be stored: store it as a string, or as a tuple {\"~p\":[...]}"

struct parser {
	const char *start, *at, *end;
	struct arena *arena;
	struct json_error *error;
	unsigned depth;
};

/* A piece of text that read_string() gave, and where it began. */
struct piece {
	const char *text, *at;
	size_t len;
};

static bool wrong(struct parser *p, const char *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static bool read_value(struct parser *p, dur_value *v);

static bool wrong(struct parser *p, const char *at, const char *format, ...)
{
	va_list list;
	p->error->offset = (size_t)(at - p->start);
	va_start(list, format);
	vsnprintf(p->error->text, sizeof p->error->text, format, list);
	va_end(list);
	return false;
}

static void skip_space(struct parser *p)
{
	while (p->at < p->end &&
	       (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
		p->at++;
}

/* After space: is c next? */
static bool at_char(struct parser *p, char c)
{
	skip_space(p);
	return p->at < p->end && *p->at == c;
}

static bool read_char(struct parser *p, char c)
{
	if (at_char(p, c)) {
		p->at++;
		return true;
	}
	if (p->at == p->end)
		return wrong(p, p->at, "the text ends where '%c' is expected", c);
	return wrong(p, p->at, "'%c' is expected", c);
}

/* ---- Strings ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex4(const char *s, const char *end, uint32_t *code)
{
	*code = 0;
	if (end - s < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		int d = hex_digit(s[i]);
		if (d < 0)
			return false;
		*code = *code << 4 | (uint32_t)d;
	}
	return true;
}

/* s is behind "\u"; *s is moved behind the digits. A pair of surrogates is one character. */
static bool read_unicode(struct parser *p, const char **s, const char *end, char **out)
{
	const char *at = *s - 2;
	uint32_t code, low;
	if (!read_hex4(*s, end, &code))
		return wrong(p, at, "\\u needs four hexadecimal digits");
	*s += 4;
	if (code >= 0xd800 && code < 0xe000) {
		if (code >= 0xdc00 || end - *s < 6 || (*s)[0] != '\\' || (*s)[1] != 'u' ||
		    !read_hex4(*s + 2, end, &low) || low < 0xdc00 || low > 0xdfff)
			return wrong(p, at, "half a surrogate pair is not a character");
		*s += 6;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	*out += utf8_write(*out, code);
	return true;
}

static bool read_escape(struct parser *p, const char **s, const char *end, char **out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	char c = *(*s)++;
	if (c == 'u')
		return read_unicode(p, s, end, out);
	const char *found = c != '\0' ? strchr(from, c) : NULL;
	if (found == NULL)
		return wrong(p, *s - 2, "there is no escape like this");
	*(*out)++ = to[found - from];
	return true;
}

/* The raw text s..end, between the quotes, to out. */
static bool unescape(struct parser *p, const char *s, const char *end, char **out)
{
	while (s < end) {
		if (*s == '\\') {
			s++;
			if (!read_escape(p, &s, end, out))
				return false;
			continue;
		}
		if ((unsigned char)*s < 0x20)
			return wrong(p, s, "a control character in a string: write \\u%04x",
			             (unsigned)(unsigned char)*s);
		size_t n = utf8_char(s, (size_t)(end - s));
		if (n == 0)
			return wrong(p, s, "not UTF-8: bytes are written {\"~x\":\"00ff\"}");
		memcpy(*out, s, n);
		*out += n;
		s += n;
	}
	return true;
}

static bool read_string(struct parser *p, struct piece *out)
{
	skip_space(p);
	out->at = p->at;
	if (!read_char(p, '"'))
		return false;
	const char *s = p->at;
	while (s < p->end && *s != '"')
		s += *s == '\\' && p->end - s > 1 ? 2 : 1;
	if (s == p->end)
		return wrong(p, out->at, "the string has no end");
	char *text = arena_alloc(p->arena, (size_t)(s - p->at) + 1), *to = text;
	if (!unescape(p, p->at, s, &to))
		return false;
	*to = '\0';
	out->text = text;
	out->len = (size_t)(to - text);
	p->at = s + 1;
	return true;
}

/* A string may hold NUL bytes: strcmp alone would not see what follows. */
static bool piece_is(const struct piece *s, const char *word)
{
	return s->len == strlen(word) && memcmp(s->text, word, s->len) == 0;
}

/* ---- Numbers ---- */

static size_t count_digits(const char *s, const char *end)
{
	size_t n = 0;
	while (s + n < end && s[n] >= '0' && s[n] <= '9')
		n++;
	return n;
}

/* JSON's number at s: its length, 0 if there is none. *integer: neither fraction nor exponent. */
static size_t number_length(const char *s, const char *end, bool *integer)
{
	const char *at = s;
	if (at < end && *at == '-')
		at++;
	size_t n = count_digits(at, end);
	if (n == 0 || (n > 1 && *at == '0'))
		return 0;
	at += n;
	*integer = true;
	if (at < end && *at == '.') {
		n = count_digits(at + 1, end);
		if (n == 0)
			return 0;
		at += 1 + n;
		*integer = false;
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		n = count_digits(at, end);
		if (n == 0)
			return 0;
		at += n;
		*integer = false;
	}
	return (size_t)(at - s);
}

/* text is NUL-terminated and has passed number_length(). */
static void set_integer(const char *text, dur_value *v)
{
	errno = 0;
	long long i = strtoll(text, NULL, 10);
	*v = errno == 0 ? DUR_INT(i) : DUR_BIGINT(text);
}

static bool read_number(struct parser *p, dur_value *v)
{
	bool integer;
	size_t n = number_length(p->at, p->end, &integer);
	if (n == 0)
		return wrong(p, p->at, "not a number as JSON has it");
	const char *text = arena_copy(p->arena, p->at, n);
	if (integer) {
		set_integer(text, v);
	} else {
		*v = DUR_DOUBLE(strtod(text, NULL));
		if (isinf(v->f))
			return wrong(p, p->at,
			             "the number is too large for a double: "
			             "use a decimal, {\"~m\":\"...\"}");
	}
	p->at += n;
	return true;
}

/* ---- The forms for what JSON lacks ---- */

static bool form_bytes(struct parser *p, struct piece s, dur_value *v)
{
	uint8_t *out = arena_alloc(p->arena, s.len / 2 + 1);
	for (size_t i = 0; i + 1 < s.len; i += 2) {
		int high = hex_digit(s.text[i]), low = hex_digit(s.text[i + 1]);
		if (high < 0 || low < 0)
			return wrong(p, s.at, "~x takes hexadecimal digits");
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	if (s.len % 2 != 0)
		return wrong(p, s.at, "~x takes two hexadecimal digits a byte");
	*v = DUR_BYTES(out, s.len / 2);
	return true;
}

static bool form_id(struct parser *p, struct piece s, uint32_t type, dur_value *v)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	unsigned digits = 0;
	*v = (dur_value){ .type = type };
	for (size_t i = 0; i < sizeof shape - 1; i++) {
		int d = i < s.len ? hex_digit(s.text[i]) : -1;
		if (s.len != sizeof shape - 1 || (shape[i] == '-' ? s.text[i] != '-' : d < 0))
			return wrong(p, s.at,
			             "a UUID looks like "
			             "2f1c6d0e-8f0b-4c5a-9d3e-0123456789ab");
		if (shape[i] != '-') {
			v->id[digits / 2] = (uint8_t)(v->id[digits / 2] << 4 | d);
			digits++;
		}
	}
	return true;
}

/* "-12.50"; the library checks it too, but knows no column. */
static bool form_decimal(struct parser *p, struct piece s, dur_value *v)
{
	bool integer;
	if (s.len == 0 || number_length(s.text, s.text + s.len, &integer) != s.len ||
	    memchr(s.text, 'e', s.len) != NULL || memchr(s.text, 'E', s.len) != NULL)
		return wrong(p, s.at, "a decimal looks like -12.50");
	*v = DUR_DECIMAL(s.text);
	return true;
}

static bool form_integer(struct parser *p, struct piece s, dur_value *v)
{
	bool integer;
	if (s.len == 0 || number_length(s.text, s.text + s.len, &integer) != s.len || !integer)
		return wrong(p, s.at, "~i takes an integer as text");
	set_integer(s.text, v);
	return true;
}

static bool form_double(struct parser *p, struct piece s, dur_value *v)
{
	uint64_t bits = 0;
	if (piece_is(&s, "inf")) {
		bits = 0x7ff0000000000000;
	} else if (piece_is(&s, "-inf")) {
		bits = 0xfff0000000000000;
	} else if (piece_is(&s, "nan")) {
		bits = 0x7ff8000000000000;
	} else {
		bool good = s.len == 19 && memcmp(s.text, "nan", 3) == 0;
		for (size_t i = 3; good && i < 19; i++) {
			int d = hex_digit(s.text[i]);
			good = d >= 0;
			bits = bits << 4 | (uint64_t)(d & 15);
		}
		if (!good)
			return wrong(p, s.at, "~d takes inf, -inf, nan or nan7ff8000000000001");
	}
	*v = DUR_DOUBLE(0);
	memcpy(&v->f, &bits, sizeof bits);
	if (s.len == 19 && !isnan(v->f))
		return wrong(p, s.at, "these bits are not those of a NaN");
	return true;
}

static bool read_list(struct parser *p, dur_value **items, size_t *n)
{
	size_t cap = 8;
	*n = 0;
	*items = arena_alloc(p->arena, cap * sizeof **items);
	if (!read_char(p, '['))
		return false;
	if (at_char(p, ']')) {
		p->at++;
		return true;
	}
	for (;;) {
		if (*n == cap) {
			dur_value *more = arena_alloc(p->arena, 2 * cap * sizeof **items);
			memcpy(more, *items, cap * sizeof **items);
			*items = more;
			cap *= 2;
		}
		if (!read_value(p, &(*items)[*n]))
			return false;
		++*n;
		if (!at_char(p, ','))
			return read_char(p, ']');
		p->at++;
	}
}

static bool form_tagged(struct parser *p, const char *at, dur_value *v)
{
	dur_value *items;
	size_t n;
	if (!read_list(p, &items, &n))
		return false;
	if (n != 2 || items[0].type != DUR_INT || items[0].i < 1 || items[0].i > UINT16_MAX)
		return wrong(p, at, "~g takes [TAG, VALUE] with a tag from 1 to 65535");
	*v = items[1];
	if (v->tag != 0)
		return wrong(p, at, "a value has one tag only");
	v->tag = (uint16_t)items[0].i;
	return true;
}

static bool form_text(struct parser *p, char letter, dur_value *v)
{
	struct piece s;
	if (!read_string(p, &s))
		return false;
	switch (letter) {
	case 'x': return form_bytes(p, s, v);
	case 'u': return form_id(p, s, DUR_UUID, v);
	case 'r': return form_id(p, s, DUR_REF, v);
	case 'w': return form_id(p, s, DUR_WEAK, v);
	case 'm': return form_decimal(p, s, v);
	case 'i': return form_integer(p, s, v);
	case 'd': return form_double(p, s, v);
	default:
		return time_parse(s.text, s.len, v) ||
		       wrong(p, s.at, "a time looks like 2026-11-20T10:00:00.5+02:00");
	}
}

/* p is at a brace. */
static bool read_form(struct parser *p, dur_value *v)
{
	const char *brace = p->at++;
	struct piece name;
	if (!at_char(p, '"') && !at_char(p, '}'))
		return read_char(p, '"');
	if (at_char(p, '}'))
		return wrong(p, brace, "this is a plain object, and " ONLY_SCALARS);
	if (!read_string(p, &name) || !read_char(p, ':'))
		return false;
	if (name.text[0] != '~')
		return wrong(p, brace, "this is a plain object, and " ONLY_SCALARS);
	if (name.len != 2 || strchr("xurwmidtpg", name.text[1]) == NULL || name.text[1] == '\0')
		return wrong(p, name.at,
		             "there is no form like this: ~x ~u ~t ~m ~i ~d ~r ~w ~p ~g");
	skip_space(p);
	bool good;
	if (name.text[1] == 'p') {
		dur_value *items;
		size_t n;
		good = read_list(p, &items, &n);
		if (good)
			*v = DUR_TUPLE(items, n);
	} else if (name.text[1] == 'g') {
		good = form_tagged(p, p->at, v);
	} else {
		good = form_text(p, name.text[1], v);
	}
	return good && read_char(p, '}');
}

/* ---- Values and entries ---- */

static bool read_word(struct parser *p, const char *word, dur_value value, dur_value *v)
{
	size_t n = strlen(word);
	if ((size_t)(p->end - p->at) < n || memcmp(p->at, word, n) != 0)
		return wrong(p, p->at,
		             "not a JSON value: a string stands in quotes, \"like this\"");
	p->at += n;
	*v = value;
	return true;
}

static bool read_value(struct parser *p, dur_value *v)
{
	struct piece s;
	skip_space(p);
	if (p->at == p->end)
		return wrong(p, p->at, "the text ends where a value is expected");
	switch (*p->at) {
	case '{':
		if (p->depth == MAX_DEPTH)
			return wrong(p, p->at, "nested too deep");
		p->depth++;
		bool good = read_form(p, v);
		p->depth--;
		return good;
	case '[': return wrong(p, p->at, "this is an array, and " ONLY_SCALARS);
	case '"':
		if (!read_string(p, &s))
			return false;
		*v = DUR_STRN(s.text, s.len);
		return true;
	case 't': return read_word(p, "true", DUR_BOOL(1), v);
	case 'f': return read_word(p, "false", DUR_BOOL(0), v);
	case '-':
	case '0' ... '9': return read_number(p, v);
	default: return read_word(p, "null", DUR_NULL(), v);
	}
}

static bool read_end(struct parser *p)
{
	skip_space(p);
	return p->at == p->end || wrong(p, p->at, "something follows the value");
}

static struct parser parser_of(struct arena *a, const char *text, size_t len, struct json_error *e)
{
	return (struct parser){
		.start = text, .at = text, .end = text + len, .arena = a, .error = e
	};
}

bool json_read_value(struct arena *a, const char *text, size_t len, dur_value *v,
                     struct json_error *e)
{
	struct parser p = parser_of(a, text, len, e);
	return read_value(&p, v) && read_end(&p);
}

bool json_read_entry(struct arena *a, const char *text, size_t len, dur_value *key,
                     dur_value *value, struct json_error *e)
{
	struct parser p = parser_of(a, text, len, e);
	dur_value *const fields[] = { key, value };
	static const char *const names[] = { "key", "value" };

	*key = *value = (dur_value){ .type = DUR_ABSENT };
	if (!read_char(&p, '{'))
		return false;
	while (!at_char(&p, '}')) {
		struct piece name;
		if (!read_string(&p, &name))
			return false;
		size_t i = 0;
		while (i < 2 && !piece_is(&name, names[i]))
			i++;
		if (i == 2)
			return wrong(&p, name.at, "an entry is {\"key\":...,\"value\":...}");
		if (fields[i]->type != DUR_ABSENT)
			return wrong(&p, name.at, "\"%s\" stands here twice", names[i]);
		if (!read_char(&p, ':') || !read_value(&p, fields[i]))
			return false;
		if (!at_char(&p, ','))
			break;
		p.at++;
		if (at_char(&p, '}'))
			return wrong(&p, p.at, "'\"' is expected");
	}
	if (!read_char(&p, '}') || !read_end(&p))
		return false;
	for (size_t i = 0; i < 2; i++)
		if (fields[i]->type == DUR_ABSENT)
			return wrong(&p, p.start, "the entry has no \"%s\"", names[i]);
	return true;
}

bool json_read_member(struct arena *a, const char *text, size_t len, dur_value *key,
                      dur_value *value, struct json_error *e)
{
	struct parser p = parser_of(a, text, len, e);
	struct piece name;
	if (!read_string(&p, &name) || !read_char(&p, ':') || !read_value(&p, value))
		return false;
	*key = DUR_STRN(name.text, name.len);
	return read_end(&p);
}
