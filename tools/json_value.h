/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of JSON. null, true, false, strings and numbers are what they look like: a number without
 * fraction and exponent is an integer of whatever size, any other a double. What JSON lacks is an
 * object with one member:
 *
 *	{"~x":"00ff"}      bytes in hexadecimal     {"~i":"12"}        integer of any size
 *	{"~m":"-12.50"}    decimal                  {"~u":"2f1c..."}   UUID
 *	{"~r":"2f1c..."}   reference                {"~w":"2f1c..."}   weak reference
 *	{"~p":[1,"a"]}     tuple                    {"~g":[7,"a"]}     "a" with the tag 7
 *	{"~t":"2026-11-20T10:00:00.5+02:00"}        time
 *	{"~d":"inf"}       a double: inf, -inf, nan, or nan7ff8000000000001 for its bits
 *
 * Such an object is a form wherever its one name begins with ~. A double that would be read as
 * another number (beyond the largest, or 0 for what is not) is refused, and so are two members of
 * one name.
 */
#ifndef DURAMEN_TOOLS_JSON_VALUE_H
#define DURAMEN_TOOLS_JSON_VALUE_H

#include <duramen.h>
#include <stdbool.h>

#include "arena.h"
#include "json_read.h"

#define ONLY_SCALARS \
	"only scalars can be stored: store it as a string, or as a tuple {\"~p\":[...]}"

/* Puts values together, one after the other. A zeroed struct is a new one. */
struct json_builder {
	struct json_fault fault; /* after false */
	/* private: items of what is open, and what is open */
	dur_value *items;
	struct json_frame *open;
	size_t n, cap, depth, open_cap;
};

/*
 * The value that begins with this event, the reader's last. Its memory comes from the arena. False:
 * see the fault of the builder.
 */
bool json_build(struct json_builder *b, struct json_reader *r, enum json_event first,
                struct arena *a, dur_value *v);
void json_build_end(struct json_builder *b);

/* Sets a fault at the reader's last event; false. */
bool json_refuse(struct json_reader *r, struct json_fault *f, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The whole text is one value. */
bool json_read_value(struct arena *a, const char *text, size_t len, dur_value *v,
                     struct json_fault *f);

#endif
