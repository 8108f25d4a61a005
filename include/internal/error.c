/* SPDX-License-Identifier: Apache-2.0 */
/* The message is a thread-local buffer, as errno is: no lock, no allocation, nothing to free. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES = 512 };

static __thread char text[TEXT_BYTES];

int error_set(int result, const char *format, ...)
{
	char fresh[TEXT_BYTES]; /* the arguments may point into text */
	va_list args;

	va_start(args, format);
	vsnprintf(fresh, sizeof fresh, format, args);
	va_end(args);
	memcpy(text, fresh, sizeof text);
	return result;
}

int error_system(int errno_value, const char *format, ...)
{
	char what[TEXT_BYTES], reason[128];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	return error_set(-errno_value, "%s: %s", what, strerror_r(errno_value, reason, sizeof reason));
}

int error_context(int result, const char *format, ...)
{
	char what[TEXT_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	return error_set(result, "%s: %s", what, text);
}

const char *error_text(void)
{
	return text;
}
