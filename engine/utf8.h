/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 as the Unicode standard defines it: shortest forms only, no surrogates, nothing above
 * U+10FFFF. Strings are checked once, on their way in; what is stored is known to be text.
 */
#ifndef DURAMEN_ENGINE_UTF8_H
#define DURAMEN_ENGINE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* How many bytes at the start of text are whole, valid characters: len itself if all of it is. */
size_t utf8_valid(const void *text, size_t len);

/* The character at *at, which goes on to the next one. The text must be valid. */
uint32_t utf8_next(const char **at);

#endif
