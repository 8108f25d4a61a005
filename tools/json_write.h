/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to a stream, piece by piece: nothing is collected, so a text may be of any length and depth.
 * The writer sets commas; that each array, object and name gets what belongs to it is for the
 * caller. Values are written in the forms that json_value.h describes, and read back as exactly the
 * same. Doubles are as short as they can be and always have a point or an exponent; integers beyond
 * 64 bits have their form. Text that is not UTF-8, which only a damaged file can hold, ends the
 * program. A failed write is seen by output_finish().
 */
#ifndef DURAMEN_TOOLS_JSON_WRITE_H
#define DURAMEN_TOOLS_JSON_WRITE_H

#include <duramen.h>
#include <stdbool.h>
#include <stdio.h>

struct json_writer {
	FILE *file;
	bool more; /* something stands before what comes next: a comma is due */
};

/* One of [ { and one of ] }. */
void json_begin(struct json_writer *w, char bracket);
void json_end(struct json_writer *w, char bracket);
void json_string(struct json_writer *w, const char *text, size_t len);
/* Makes the string before it the name of a member; its value is next. */
void json_colon(struct json_writer *w);
/* Both. */
void json_name(struct json_writer *w, const char *name);
/* A scalar or tuple. */
void json_value(struct json_writer *w, const dur_value *v);

/* Members of an object. */
void json_member_text(struct json_writer *w, const char *name, const char *text);
void json_member_int(struct json_writer *w, const char *name, uint64_t number);
void json_member_bool(struct json_writer *w, const char *name, bool yes);

/* A line that is an object: `w = json_line(); ...members...; json_line_end(&w);`, on stdout. */
struct json_writer json_line(void);
void json_line_end(struct json_writer *w);

/* A text of its own. */
void json_write_value(FILE *f, const dur_value *v);

/* The 36 characters of a UUID and a NUL. Returns out. */
const char *uuid_format(const uint8_t id[16], char out[37]);

#endif
