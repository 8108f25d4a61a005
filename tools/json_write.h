/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values to JSON, in the forms that json_read.h describes: what is written here is read back as
 * exactly the same value. Doubles are as short as they can be and always have a point or an
 * exponent; integers beyond 64 bits have their form. Text that is not UTF-8, which only a damaged
 * file can hold, and running out of memory end the program.
 */
#ifndef DURAMEN_TOOLS_JSON_WRITE_H
#define DURAMEN_TOOLS_JSON_WRITE_H

#include <duramen.h>
#include <jansson.h>
#include <stdio.h>

void json_write_value(FILE *f, const dur_value *v);
/* {"key":KEY,"value":VALUE} */
void json_write_entry(FILE *f, const dur_value *key, const dur_value *value);

/* For what is not a value: prints the object, as json_pack() has made it, as a line; frees it. */
void json_print(json_t *object);

/* The 36 characters of a UUID and a NUL. Returns out. */
const char *uuid_format(const uint8_t id[16], char out[37]);

#endif
