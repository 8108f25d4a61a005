/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8, checked: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef DURAMEN_TOOLS_UTF8_H
#define DURAMEN_TOOLS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the valid character at s (n > 0 bytes are there), 0 if it is not one. */
size_t utf8_char(const char *s, size_t n);
bool utf8_valid(const char *s, size_t n);
/* Writes code (not a surrogate, at most U+10FFFF) to s; returns its length, at most 4. */
size_t utf8_write(char *s, uint32_t code);
/* How many characters; each invalid byte counts as one. */
size_t utf8_count(const char *s, size_t n);

#endif
