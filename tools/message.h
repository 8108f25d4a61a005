/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages and exit statuses: what the command says when it does not simply print a result.
 * Messages go to stderr and start with "duramen: "; every failing call of the library passes
 * through fail().
 */
#ifndef DURAMEN_TOOLS_MESSAGE_H
#define DURAMEN_TOOLS_MESSAGE_H

enum exit_status {
	EXIT_DONE = 0,
	EXIT_NO = 1,    /* not found, differs, timed out */
	EXIT_USAGE = 2, /* the command line cannot be right */
	EXIT_FAILED = 3
};

/* Prints "duramen: TEXT\n" on stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same; returns status, so that `return refuse(EXIT_USAGE, "...")` reads well. */
int refuse(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Prints the library's message for a negative result and returns the exit status that goes with
 * it.
 */
int fail(int result);
/* The same with another message. */
int fail_saying(int result, const char *text);

/* For the one thing that no command can mend. */
void out_of_memory(void) __attribute__((noreturn));

#endif
