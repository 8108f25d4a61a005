/* SPDX-License-Identifier: Apache-2.0 */
/* What json_value.c and json_spill.c share: the arrays and objects that are open. */
#ifndef DURAMEN_TOOLS_JSON_FRAME_H
#define DURAMEN_TOOLS_JSON_FRAME_H

#include "json_value.h"

/*
 * An array or object that is open: its items stand from base on, names and values in turn, up to
 * the base of the frame in it. Of one that is made in the store only those that are not there yet.
 */
struct json_frame {
	size_t base;
	size_t largest; /* of the names, if they came in order until now */
	bool object, unordered;
	bool made; /* coll is it */
	dur_coll coll;
	struct json_place form; /* of a first name that begins with ~ */
};

/* Stores all that may be stored now, and gives its memory back. */
bool spill(struct json_builder *b, struct json_reader *r, struct arena *a);
/* The last items of a frame that is made, n of them. */
bool spill_items(struct json_builder *b, struct json_reader *r, struct json_frame *f, size_t n);

/* Keys and values in turn, in no order: false if two of the keys are the same. */
bool json_keys_differ(struct json_builder *b, struct json_reader *r, const dur_value *items,
                      size_t n);
/* A name that is there twice; false. */
bool json_twice(struct json_builder *b, struct json_reader *r, const dur_value *name);

#endif
