/* SPDX-License-Identifier: Apache-2.0 */
/* Written straight to the stream. Recursion goes as deep as the library lets tuples nest. */
#include "json_write.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "timetext.h"
#include "utf8.h"

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

static void write_escape(FILE *f, unsigned char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *found = c != 0 ? strchr(from, c) : NULL;
	if (found != NULL)
		fprintf(f, "\\%c", to[found - from]);
	else
		fprintf(f, "\\u%04x", (unsigned)c);
}

void json_write_string(FILE *f, const char *s, size_t len)
{
	size_t plain = 0; /* s[plain..i) has not been written yet */
	fputc('"', f);
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)s[i];
		size_t n = utf8_char(s + i, len - i);
		bool as_is = n != 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
		if (as_is) {
			i += n;
			continue;
		}
		fwrite(s + plain, 1, i - plain, f);
		if (n == 0)
			fputs("\xef\xbf\xbd", f);
		else
			write_escape(f, c);
		plain = ++i;
	}
	fwrite(s + plain, 1, len - plain, f);
	fputc('"', f);
}

static void write_double(FILE *f, double d)
{
	char text[40];
	if (isnan(d)) {
		uint64_t bits;
		memcpy(&bits, &d, sizeof bits);
		if (bits == 0x7ff8000000000000)
			fputs("{\"~d\":\"nan\"}", f);
		else
			fprintf(f, "{\"~d\":\"nan%016" PRIx64 "\"}", bits);
		return;
	}
	if (isinf(d)) {
		fprintf(f, "{\"~d\":\"%s\"}", d < 0 ? "-inf" : "inf");
		return;
	}
	/* 15 digits are always kept by a normal number, and its zeros at the end are not printed. */
	for (int digits = fpclassify(d) == FP_SUBNORMAL ? 1 : 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, d);
		if (strtod(text, NULL) == d)
			break;
	}
	fputs(text, f);
	if (strpbrk(text, ".e") == NULL)
		fputs(".0", f);
}

static void write_bytes(FILE *f, const uint8_t *p, uint64_t len)
{
	static const char digits[] = "0123456789abcdef";
	fputs("{\"~x\":\"", f);
	for (uint64_t i = 0; i < len; i++) {
		fputc(digits[p[i] >> 4], f);
		fputc(digits[p[i] & 15], f);
	}
	fputs("\"}", f);
}

static void write_id(FILE *f, char letter, const uint8_t id[16])
{
	char text[37];
	fprintf(f, "{\"~%c\":\"%s\"}", letter, uuid_format(id, text));
}

static void write_tuple(FILE *f, const dur_value *items, uint64_t n)
{
	fputs("{\"~p\":[", f);
	for (uint64_t i = 0; i < n; i++) {
		if (i > 0)
			fputc(',', f);
		json_write_value(f, &items[i]);
	}
	fputs("]}", f);
}

static void write_untagged(FILE *f, const dur_value *v)
{
	char text[TIMETEXT_MAX];
	switch (v->type) {
	case DUR_BOOL: fputs(v->i ? "true" : "false", f); break;
	case DUR_INT: fprintf(f, "%" PRId64, v->i); break;
	case DUR_BIGINT: fwrite(v->str, 1, v->len, f); break;
	case DUR_DOUBLE: write_double(f, v->f); break;
	case DUR_DECIMAL: fprintf(f, "{\"~m\":\"%.*s\"}", (int)v->len, v->str); break;
	case DUR_STR: json_write_string(f, v->str, v->len); break;
	case DUR_BYTES: write_bytes(f, v->ptr, v->len); break;
	case DUR_TIME: fprintf(f, "{\"~t\":\"%s\"}", time_format(v, text)); break;
	case DUR_UUID: write_id(f, 'u', v->id); break;
	case DUR_REF: write_id(f, 'r', v->id); break;
	case DUR_WEAK: write_id(f, 'w', v->id); break;
	case DUR_TUPLE: write_tuple(f, v->items, v->len); break;
	default: fputs("null", f);
	}
}

void json_write_value(FILE *f, const dur_value *v)
{
	if (v->tag == 0) {
		write_untagged(f, v);
		return;
	}
	fprintf(f, "{\"~g\":[%u,", (unsigned)v->tag);
	write_untagged(f, v);
	fputs("]}", f);
}

static void field_name(struct json_line *l, const char *name)
{
	fprintf(l->f, "%s\"%s\":", l->begun ? "," : "{", name);
	l->begun = true;
}

void json_field_number(struct json_line *l, const char *name, uint64_t n)
{
	field_name(l, name);
	fprintf(l->f, "%" PRIu64, n);
}

void json_field_bool(struct json_line *l, const char *name, bool b)
{
	field_name(l, name);
	fputs(b ? "true" : "false", l->f);
}

void json_field_text(struct json_line *l, const char *name, const char *text)
{
	field_name(l, name);
	json_write_string(l->f, text, strlen(text));
}

void json_field_uuid(struct json_line *l, const char *name, const uint8_t id[16])
{
	char text[37];
	json_field_text(l, name, uuid_format(id, text));
}

void json_line_end(struct json_line *l)
{
	fputs("}\n", l->f);
	l->begun = false;
}
