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
 *	{"~k":[[1,"a"],[null,"b"]]}   a map with keys other than strings: pairs of key and value
 *	{"~s":[1,"a"]}                a set
 *	{"~K":[["a",1]]}, {"~S":["a"]}   a map or set with raw keys
 *	{"~l":["text",{"~x":"ff"}]}   a rope: strings and bytes, one after the other
 *
 * Any other object is a map, an array a list. An object is a form wherever its one name begins with
 * ~; a map of that shape is written in pairs. A double that would be read as another number (beyond
 * the largest, or 0 for what is not) is refused, and so are two members of one name, or two pairs
 * of one key.
 */
#ifndef DURAMEN_TOOLS_JSON_VALUE_H
#define DURAMEN_TOOLS_JSON_VALUE_H

#include <duramen.h>
#include <stdbool.h>

#include "arena.h"
#include "json_read.h"

#define JSON_MEMORY ((size_t)32 << 20) /* of a value that is put together */

/*
 * Puts values together, one after the other. A zeroed struct is a new one.
 *
 * With begin, a value need not fit in memory: an array or object that outgrows `memory` bytes
 * (JSON_MEMORY) of the arena is stored while it is read. begin is asked once where to: *c of a
 * transaction, and under which key (NULL: *c is a map that takes what an object has in it). From
 * then on the arena is the builder's, and what was in it gone.
 */
struct json_builder {
	int (*begin)(void *ctx, dur_coll *c, const dur_value **key); /* 0, or an exit status */
	void *ctx;
	size_t memory;
	struct json_fault fault; /* after false, if status is 0 */
	int status;              /* else the exit status: what is wrong has been said */
	/* private: items of what is open, of those that are names the first bytes; what is open */
	dur_value *items;
	uint64_t *heads;
	struct json_frame *open;
	size_t n, cap, depth, open_cap, limit;
	dur_coll coll;
	const dur_value *key;
	bool spilled;
};

/*
 * The value that begins with this event, the reader's last. Its memory comes from the arena; it is
 * DUR_ABSENT if it has been stored already. False: see the fault and status of the builder.
 */
bool json_build(struct json_builder *b, struct json_reader *r, enum json_event first,
                struct arena *a, dur_value *v);
void json_build_end(struct json_builder *b);

/* Sets a fault at the reader's last event; false. */
bool json_refuse(struct json_reader *r, struct json_fault *f, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Builds the one value that is all of the text. */
bool json_build_all(struct json_builder *b, struct json_reader *r, struct arena *a, dur_value *v);
/* The same of a text in memory. */
bool json_read_value(struct arena *a, const char *text, size_t len, dur_value *v,
                     struct json_fault *f);

#endif
