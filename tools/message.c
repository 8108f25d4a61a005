/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A progress bar may stand on the line: every message clears it first (progress_clear does nothing
 * if not).
 */
#include "message.h"

#include <duramen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "progress.h"

static void complain_list(const char *format, va_list list)
{
	progress_clear();
	fflush(stdout); /* on a terminal: results first, then what went wrong */
	fputs("duramen: ", stderr);
	vfprintf(stderr, format, list);
	fputc('\n', stderr);
}

void complain(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	complain_list(format, list);
	va_end(list);
}

int refuse(int status, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	complain_list(format, list);
	va_end(list);
	return status;
}

int fail(int result)
{
	return fail_saying(result, dur_message());
}

int fail_saying(int result, const char *text)
{
	complain("%s", *text ? text : dur_strerror(result));
	switch (result) {
	case DUR_NONE:
	case DUR_E_GONE: return EXIT_NO;
	case DUR_E_MISUSE:
	case DUR_E_NAME:
	case DUR_E_PATH: return EXIT_USAGE;
	default: return EXIT_FAILED;
	}
}

void out_of_memory(void)
{
	complain("out of memory");
	exit(EXIT_FAILED);
}
