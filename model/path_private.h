/* SPDX-License-Identifier: Apache-2.0 */
/* What reading and writing steps share. */
#ifndef DURAMEN_MODEL_PATH_PRIVATE_H
#define DURAMEN_MODEL_PATH_PRIVATE_H

#include "include/duramen.h"

#include <stdbool.h>

enum { PATH_DOUBLE_TEXT = 32 }; /* characters of a double's longest text, NUL included */

/* The shortest decimal text of a finite number, whatever the locale; gives its length. */
size_t path_print_double(double f, char text[PATH_DOUBLE_TEXT]);
/* All of the text as a double: [-]digits[.digits][e[+-]digits], or inf, -inf. */
bool path_read_double(const char *text, size_t len, double *f);

#endif
