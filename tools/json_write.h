/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values to JSON text, in the forms that json_read.h describes: what is written here is read back
 * as exactly the same value. Doubles are as short as they can be and always have a point or an
 * exponent.
 */
#ifndef DURAMEN_TOOLS_JSON_WRITE_H
#define DURAMEN_TOOLS_JSON_WRITE_H

#include <duramen.h>
#include <stdbool.h>
#include <stdio.h>

void json_write_value(FILE *f, const dur_value *v);
/* In quotes. A byte that is not UTF-8 becomes U+FFFD. */
void json_write_string(FILE *f, const char *s, size_t len);

/*
 * One object on one line, for what is not a value: zeroed but for f, then its fields, then the
 * end.
 */
struct json_line {
	FILE *f;
	bool begun;
};
void json_field_number(struct json_line *l, const char *name, uint64_t n);
void json_field_bool(struct json_line *l, const char *name, bool b);
void json_field_text(struct json_line *l, const char *name, const char *text);
void json_field_uuid(struct json_line *l, const char *name, const uint8_t id[16]);
void json_line_end(struct json_line *l);

/* The 36 characters of a UUID and a NUL. Returns out. */
const char *uuid_format(const uint8_t id[16], char out[37]);

#endif
