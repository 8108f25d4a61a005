/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON to values. null, true, false, strings and numbers are what they look like: a number without
 * fraction and exponent is an integer, any other a double. What JSON lacks is an object with one
 * member:
 *
 *	{"~x":"00ff"}      bytes in hexadecimal     {"~i":"12"}        integer of any size
 *	{"~m":"-12.50"}    decimal                  {"~u":"2f1c..."}   UUID
 *	{"~r":"2f1c..."}   reference                {"~w":"2f1c..."}   weak reference
 *	{"~p":[1,"a"]}     tuple                    {"~g":[7,"a"]}     "a" with the tag 7
 *	{"~t":"2026-11-20T10:00:00.5+02:00"}        time
 *	{"~d":"inf"}       a double: inf, -inf, nan, or nan7ff8000000000001 for its bits
 *
 * The text is parsed by jansson. Its integers are those of 64 bits; larger ones need their form.
 */
#ifndef DURAMEN_TOOLS_JSON_READ_H
#define DURAMEN_TOOLS_JSON_READ_H

#include <duramen.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "arena.h"

/* What is wrong with a text, and where jansson noticed it: at its last character that was read. */
struct json_fault {
	unsigned line, column, byte; /* from 1; 0: it is JSON, but cannot be stored */
	char text[240];
};

/* The whole text is one value. Its memory comes from the arena. On false *f says what is wrong. */
bool json_read_value(struct arena *a, const char *text, size_t len, dur_value *v,
                     struct json_fault *f);
/* The same of {"key":KEY,"value":VALUE}. */
bool json_read_entry(struct arena *a, const char *text, size_t len, dur_value *key,
                     dur_value *value, struct json_fault *f);

/*
 * The next value of a stream whose bytes come one by one, and no more than needed: nothing behind a
 * string, an array or an object; behind anything else the one character that ends it. The result is
 * to be given back with json_decref(). NULL: see *f.
 */
json_t *json_read_next(json_load_callback_t next, void *arg, struct json_fault *f);

/* What jansson has parsed. */
bool json_to_value(struct arena *a, const json_t *j, dur_value *v, struct json_fault *f);
bool json_to_entry(struct arena *a, const json_t *j, dur_value *key, dur_value *value,
                   struct json_fault *f);

/* Whether bytes can be a string. */
bool json_is_utf8(const void *bytes, size_t len);

#endif
