/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents: values of any depth as JSON, in the forms that json_value.h describes. Nothing is
 * collected and nothing recurses: an iterator for each level that is open is all that it takes.
 */
#ifndef DURAMEN_TOOLS_DOCUMENT_H
#define DURAMEN_TOOLS_DOCUMENT_H

#include <duramen.h>

#include "json_write.h"

/*
 * A value as a view gives it. 0, or the library's error, with the text cut off where it happened.
 */
int document_write(struct json_writer *w, const dur_value *v);

/* To stdout. An error, which only a damaged file can cause here, ends the program. */
void document_print(const dur_value *v);

/* Keys of raw collections are bytes: as a string where they are UTF-8. */
dur_value document_key(const dur_value *key, bool raw);

#endif
