/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON text to values. null, true, false, strings and numbers are what they look like: a number
 * without fraction and exponent is an integer of any size, exactly; any other is a double. What
 * JSON lacks is an object with one member:
 *
 *	{"~x":"00ff"}      bytes in hexadecimal     {"~i":"12"}        integer, as text
 *	{"~m":"-12.50"}    decimal                  {"~u":"2f1c..."}   UUID
 *	{"~r":"2f1c..."}   reference                {"~w":"2f1c..."}   weak reference
 *	{"~p":[1,"a"]}     tuple                    {"~g":[7,"a"]}     "a" with the tag 7
 *	{"~t":"2026-11-20T10:00:00.5+02:00"}        time
 *	{"~d":"inf"}       a double: inf, -inf, nan, or nan7ff8000000000001 for its bits
 *
 * A library parser would lose integers beyond 64 bits, and could not say at which column something
 * stands that is good JSON but cannot be stored.
 */
#ifndef DURAMEN_TOOLS_JSON_READ_H
#define DURAMEN_TOOLS_JSON_READ_H

#include <duramen.h>
#include <stdbool.h>
#include <stddef.h>

#include "arena.h"

struct json_error {
	size_t offset; /* byte of the text where it is wrong */
	char text[200];
};

/* The whole text is one value. Its memory comes from the arena. On false *e says what is wrong. */
bool json_read_value(struct arena *a, const char *text, size_t len, dur_value *v,
                     struct json_error *e);
/* {"key":KEY,"value":VALUE} */
bool json_read_entry(struct arena *a, const char *text, size_t len, dur_value *key,
                     dur_value *value, struct json_error *e);
/* "KEY":VALUE, a member of an object. */
bool json_read_member(struct arena *a, const char *text, size_t len, dur_value *key,
                      dur_value *value, struct json_error *e);

#endif
