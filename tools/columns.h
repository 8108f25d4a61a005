/* SPDX-License-Identifier: Apache-2.0 */
/* How wide text is on a terminal. */
#ifndef DURAMEN_TOOLS_COLUMNS_H
#define DURAMEN_TOOLS_COLUMNS_H

#include <stddef.h>

/*
 * Of UTF-8 that ends with a NUL: how many bytes of it fill at most so many columns, and in *columns
 * how many they fill. Characters of East Asian scripts and emoji take two, combining marks and
 * joiners none.
 */
size_t columns_fit(const char *text, unsigned most, unsigned *columns);

#endif
