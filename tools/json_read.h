/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as a series of events, taken one by one: what begins, ends or stands in a text (RFC 8259).
 * Nothing recurses, and no more is kept of the text than one buffer and the longest string or
 * number in it; a bit for each level that is open makes the rest of the memory. So a text may be
 * longer than memory, nested JSON_DEPTH deep, and come from a pipe.
 *
 * Exact: numbers are given as their text. Strict: what is not JSON is refused with line and column,
 * counted in characters from 1. So is what could only be read by changing it: text that is not
 * UTF-8 (overlong forms and surrogates among it), an escape for half a surrogate pair, a byte
 * order mark.
 */
#ifndef DURAMEN_TOOLS_JSON_READ_H
#define DURAMEN_TOOLS_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH    100000            /* arrays and objects that may be open */
#define JSON_TEXT_MAX ((size_t)1 << 30) /* bytes of one string or number */

enum json_event {
	JSON_WRONG, /* see fault; every later call gives it again */
	JSON_END,   /* of the text */
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER, /* text, as it stands there */
	JSON_STRING, /* text, its escapes resolved */
	JSON_NAME,   /* the same, of a member; its value is next */
	JSON_ARRAY,
	JSON_ARRAY_END,
	JSON_OBJECT,
	JSON_OBJECT_END
};

enum json_mode {
	JSON_ONE,   /* the text is one value */
	JSON_LINES, /* any number of values, one a line; empty lines are passed over */
};

struct json_place {
	uint64_t line, column, byte; /* from 1 */
};

/* What is wrong, and where. */
struct json_fault {
	struct json_place at;
	bool is_json; /* it is, but cannot be stored */
	char text[240];
};

struct json_reader {
	/* Of the last event: valid until the next call. */
	const char *text;
	size_t len;
	uint64_t depth; /* arrays and objects that are open after it */
	struct json_fault fault;

	/* private */
	int fd; /* -1: all of the text is in memory */
	enum json_mode mode;
	unsigned state;
	const uint8_t *from, *at, *end; /* from: where the last event begins */
	const uint8_t *mark;            /* a place at or before from, and which it is */
	struct json_place mark_place;
	uint8_t *buffer, *copy;
	size_t buffer_cap, copy_cap;
	uint8_t *levels; /* a bit for each: 1 is an object */
	size_t levels_cap;
};

/* Reads what fd gives; it stays the caller's, and is read ahead. */
void json_read_file(struct json_reader *r, int fd, enum json_mode mode);
/* Reads bytes that stay where they are. */
void json_read_text(struct json_reader *r, const void *text, size_t len, enum json_mode mode);
void json_read_close(struct json_reader *r);

enum json_event json_next(struct json_reader *r);

/* Where the last event begins. Cheap if asked for few of them. */
struct json_place json_place(struct json_reader *r);
/* Bytes that were taken so far. */
uint64_t json_bytes(struct json_reader *r);

/* How many of these bytes are UTF-8, from the first one on: all, or what precedes the fault. */
size_t utf8_length(const void *bytes, size_t len);

#endif
