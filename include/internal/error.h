/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One way to fail: a negative result, and for the calling thread a text that says what went wrong and
 * what to do next. Every folder may use this; dur_message() gives the text to the user.
 */
#ifndef DURAMEN_INTERNAL_ERROR_H
#define DURAMEN_INTERNAL_ERROR_H

/* Sets this thread's message and returns result, so that `return error_set(DUR_E_RANGE, "...")` reads well. */
int error_set(int result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* error_set(-errno_value, "<format>: <strerror>"): the system's reason is appended. errno_value > 0. */
int error_system(int errno_value, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts text in front of this thread's message, as in "prefix my-org/x: ...". Returns result. */
int error_context(int result, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* This thread's message; "" before the first failure. Valid until the thread's next failure. */
const char *error_text(void);

#endif
