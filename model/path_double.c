/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C library converts doubles exactly, but with the locale's decimal point. The "C" locale is
 * set for the calling thread while it does; glibc has that locale ready, so neither costs memory.
 */
#include "model/path_private.h"

#include "include/internal/bytes.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { READ_MAX = 1100 }; /* no double needs more digits to be exact */

size_t path_print_double(double f, char text[PATH_DOUBLE_TEXT])
{
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), before = uselocale(c);
	int digits = 1, exponent, n;

	do
		snprintf(text, PATH_DOUBLE_TEXT, "%.*e", digits - 1, f);
	while (strtod(text, NULL) != f && digits++ < 17);
	exponent = atoi(strchr(text, 'e') + 1);
	if (exponent >= digits && exponent <= 17)
		digits = exponent + 1; /* 1000, not 1e+03 */
	n = snprintf(text, PATH_DOUBLE_TEXT, "%.*g", digits, f);
	uselocale(before);
	freelocale(c);
	return (size_t)n;
}

static size_t skip_digits(const char *text, size_t len, size_t at)
{
	while (at < len && text[at] >= '0' && text[at] <= '9')
		at++;
	return at;
}

static bool is_number(const char *text, size_t len)
{
	size_t at = len > 0 && text[0] == '-', from = at;

	at = skip_digits(text, len, at);
	if (at == from)
		return false;
	if (at < len && text[at] == '.') {
		from = ++at;
		at = skip_digits(text, len, at);
		if (at == from)
			return false;
	}
	if (at < len && text[at] == 'e') {
		at++;
		if (at < len && (text[at] == '+' || text[at] == '-'))
			at++;
		from = at;
		at = skip_digits(text, len, at);
		if (at == from)
			return false;
	}
	return at == len;
}

bool path_read_double(const char *text, size_t len, double *f)
{
	char copy[READ_MAX + 1];
	locale_t c, before;

	if (len == 3 && memcmp(text, "inf", 3) == 0) {
		*f = INFINITY;
		return true;
	}
	if (len == 4 && memcmp(text, "-inf", 4) == 0) {
		*f = -INFINITY;
		return true;
	}
	if (len > READ_MAX || !is_number(text, len))
		return false;
	memcpy(copy, text, len);
	copy[len] = 0;
	c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	before = uselocale(c);
	*f = strtod(copy, NULL);
	uselocale(before);
	freelocale(c);
	return isfinite(*f);
}
