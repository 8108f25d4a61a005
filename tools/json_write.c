/* SPDX-License-Identifier: Apache-2.0 */
/* Straight to the stream. What tuples are open in a value is kept on a stack of a fixed size. */
#include "json_write.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json_read.h"
#include "message.h"
#include "timetext.h"

#define TUPLE_DEPTH 64 /* the library lets them nest half as deep */

static void put(struct json_writer *w, const char *text)
{
	fputs_unlocked(text, w->file);
}

/* What comes next is an element. */
static void lead(struct json_writer *w)
{
	if (w->more)
		putc_unlocked(',', w->file);
	w->more = true;
}

void json_begin(struct json_writer *w, char bracket)
{
	lead(w);
	putc_unlocked(bracket, w->file);
	w->more = false;
}

void json_end(struct json_writer *w, char bracket)
{
	putc_unlocked(bracket, w->file);
	w->more = true;
}

/* ---- Text ---- */

static void put_escape(FILE *f, unsigned char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *found = c != 0 ? memchr(from, c, sizeof from - 1) : NULL;

	if (found != NULL)
		fprintf(f, "\\%c", to[found - from]);
	else
		fprintf(f, "\\u%04X", c);
}

static void put_string(struct json_writer *w, const char *text, size_t len)
{
	size_t plain = 0;

	if (utf8_length(text, len) != len)
		exit(refuse(EXIT_FAILED, "this cannot be written as JSON: a text is not UTF-8; "
		                         "`duramen check` finds damage"));
	putc_unlocked('"', w->file);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		fwrite_unlocked(text + plain, 1, i - plain, w->file);
		put_escape(w->file, c);
		plain = i + 1;
	}
	fwrite_unlocked(text + plain, 1, len - plain, w->file);
	putc_unlocked('"', w->file);
}

void json_string(struct json_writer *w, const char *text, size_t len)
{
	lead(w);
	put_string(w, text, len);
}

void json_colon(struct json_writer *w)
{
	putc_unlocked(':', w->file);
	w->more = false;
}

void json_name(struct json_writer *w, const char *name)
{
	json_string(w, name, strlen(name));
	json_colon(w);
}

/* ---- Values ---- */

/* {"~x":"TEXT"}, of a text that needs no escapes. */
static void put_form(struct json_writer *w, char letter, const char *text, size_t len)
{
	fprintf(w->file, "{\"~%c\":\"", letter);
	fwrite_unlocked(text, 1, len, w->file);
	put(w, "\"}");
}

static void put_double(struct json_writer *w, double d)
{
	char out[40], *exponent;
	uint64_t bits;

	memcpy(&bits, &d, sizeof bits);
	if (isnan(d)) {
		int n = snprintf(out, sizeof out, "nan%016" PRIx64, bits);
		put_form(w, 'd', out, bits == 0x7ff8000000000000 ? 3 : (size_t)n);
		return;
	}
	if (isinf(d)) {
		put_form(w, 'd', d < 0 ? "-inf" : "inf", d < 0 ? 4 : 3);
		return;
	}
	/* 15 digits are always kept by a normal number, and its zeros at the end are not written. */
	for (int digits = fpclassify(d) == FP_SUBNORMAL ? 1 : 15; digits <= 17; digits++) {
		snprintf(out, sizeof out, "%.*g", digits, d);
		if (strtod(out, NULL) == d)
			break;
	}
	exponent = strchr(out, 'e');
	if (exponent == NULL) {
		put(w, out);
		if (strchr(out, '.') == NULL)
			put(w, ".0");
		return;
	}
	*exponent++ = '\0'; /* e+07 and e-07 are written e7 and e-7 */
	fprintf(w->file, "%se%d", out, atoi(exponent));
}

static void put_bytes(struct json_writer *w, const uint8_t *p, uint64_t len)
{
	static const char digits[] = "0123456789abcdef";

	put(w, "{\"~x\":\"");
	for (uint64_t i = 0; i < len; i++) {
		putc_unlocked(digits[p[i] >> 4], w->file);
		putc_unlocked(digits[p[i] & 15], w->file);
	}
	put(w, "\"}");
}

static void put_id(struct json_writer *w, char letter, const uint8_t id[16])
{
	char out[37];
	put_form(w, letter, uuid_format(id, out), 36);
}

static void put_time(struct json_writer *w, const dur_value *v)
{
	char out[TIMETEXT_MAX];
	timetext_format(v, out);
	put_form(w, 't', out, strlen(out));
}

static void put_scalar(struct json_writer *w, const dur_value *v)
{
	switch (v->type) {
	case DUR_BOOL: put(w, v->i ? "true" : "false"); break;
	case DUR_INT: fprintf(w->file, "%" PRId64, v->i); break;
	case DUR_BIGINT: put_form(w, 'i', v->str, v->len); break;
	case DUR_DOUBLE: put_double(w, v->f); break;
	case DUR_DECIMAL: put_form(w, 'm', v->str, v->len); break;
	case DUR_STR: put_string(w, v->str, v->len); break;
	case DUR_BYTES: put_bytes(w, v->ptr, v->len); break;
	case DUR_TIME: put_time(w, v); break;
	case DUR_UUID: put_id(w, 'u', v->id); break;
	case DUR_REF: put_id(w, 'r', v->id); break;
	case DUR_WEAK: put_id(w, 'w', v->id); break;
	default: put(w, "null"); break;
	}
}

void json_value(struct json_writer *w, const dur_value *v)
{
	struct {
		const dur_value *at, *end;
		bool tagged;
	} open[TUPLE_DEPTH];
	unsigned depth = 0;

	for (;; v = open[depth - 1].at++) {
		lead(w);
		if (v->tag != 0)
			fprintf(w->file, "{\"~g\":[%u,", v->tag);
		if (v->type == DUR_TUPLE) {
			if (depth == TUPLE_DEPTH)
				exit(refuse(EXIT_FAILED, "this cannot be written as JSON: tuples "
				                         "nest too deep"));
			put(w, "{\"~p\":[");
			open[depth].at = v->items;
			open[depth].end = v->items + v->len;
			open[depth++].tagged = v->tag != 0;
			w->more = false;
		} else {
			put_scalar(w, v);
			if (v->tag != 0)
				put(w, "]}");
		}
		for (; depth > 0 && open[depth - 1].at == open[depth - 1].end; depth--) {
			put(w, open[depth - 1].tagged ? "]}]}" : "]}");
			w->more = true;
		}
		if (depth == 0)
			return;
	}
}

void json_write_value(FILE *f, const dur_value *v)
{
	json_value(&(struct json_writer){ .file = f }, v);
}

/* ---- Lines of members ---- */

void json_member_text(struct json_writer *w, const char *name, const char *text)
{
	json_name(w, name);
	json_string(w, text, strlen(text));
}

void json_member_int(struct json_writer *w, const char *name, uint64_t number)
{
	json_name(w, name);
	json_value(w, &DUR_INT((int64_t)number));
}

void json_member_bool(struct json_writer *w, const char *name, bool yes)
{
	json_name(w, name);
	json_value(w, &DUR_BOOL(yes));
}

struct json_writer json_line(void)
{
	struct json_writer w = { .file = stdout };
	json_begin(&w, '{');
	return w;
}

void json_line_end(struct json_writer *w)
{
	json_end(w, '}');
	putc_unlocked('\n', w->file);
}

const char *uuid_format(const uint8_t id[16], char out[37])
{
	char *to = out;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		to += sprintf(to, "%02x", id[i]);
	}
	return out;
}
