/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line, described by tables: a command lists its operands and options once, and what
 * getopt_long() is told, usage errors and --help all come from that list.
 *
 * Options are long ones, "--name value" or "--name=value", before, between or after operands, and
 * may be cut short as long as they mean one; some have a letter, too. "--" ends them. "-" and
 * negative numbers are operands, so that `put PREFIX PATH -5` needs no quoting.
 */
#ifndef DURAMEN_TOOLS_OPTIONS_H
#define DURAMEN_TOOLS_OPTIONS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MAX_OPERANDS 4
#define NOT_GIVEN    UINT64_MAX /* a number option that was not on the command line */

/* Everything that any command takes. */
struct args {
	const struct command *command;
	const char *operand[MAX_OPERANDS]; /* NULL: not given */
	const char *root, *at, *label, *keep, *format, *from, *to, *starts, *after, *since;
	uint64_t limit, depth, batch, number, timeout_ms, lock_ms;
	bool async, json, raw, parents, memory, reverse, count, history, newest, plot, coalesce;
	bool help, version;
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_NUMBER };

struct option_row {
	const char *name;    /* without the dashes; NULL ends a table */
	const char *metavar; /* what stands for its argument in the help; NULL for a flag */
	const char *help;
	enum option_kind kind;
	size_t offset;     /* in struct args: bool, const char *, uint64_t by kind */
	uint64_t min, max; /* of a number */
	char letter;       /* a short option of the same meaning, or 0 */
};

#define FLAG(name, field, help)                                                   \
	{                                                                         \
		name, NULL, help, OPTION_FLAG, offsetof(struct args, field), 0, 0, 0 \
	}
#define TEXT(name, metavar, field, help)                                             \
	{                                                                            \
		name, metavar, help, OPTION_TEXT, offsetof(struct args, field), 0, 0, 0 \
	}
#define NUMBER(name, metavar, field, min, max, help)                                       \
	{                                                                                  \
		name, metavar, help, OPTION_NUMBER, offsetof(struct args, field), min, max, 0 \
	}

/* Options that several commands share. */
#define OPTION_AT                                                       \
	TEXT("at", "STATE", at,                                         \
	     "read this state: a number, -N (N states back), latest,\n" \
	     "a name, or a time like 2026-11-20T10:00:00Z")
#define OPTION_JSON    FLAG("json", json, "print NDJSON: one JSON object a line")
#define OPTION_REVERSE FLAG("reverse", reverse, "from the last key down")
#define OPTION_FORMAT  TEXT("format", "FORMAT", format, "ndjson (the default), tsv or json")
#define OPTION_LIMIT   NUMBER("limit", "N", limit, 1, UINT64_MAX - 1, "at most N of them")
#define OPTION_PARENTS                                                                \
	{                                                                             \
		"parents", NULL, "make the maps that are missing on the way to PATH", \
			OPTION_FLAG, offsetof(struct args, parents), 0, 0, 'p'        \
	}
#define OPTIONS_WRITE                                                                         \
	TEXT("label", "TEXT", label, "keep this text with the new state (at most 63 bytes)"), \
		FLAG("async", async, "visible at once, on disk shortly after"),               \
		NUMBER("lock-timeout", "MS", lock_ms, 0, INT_MAX,                             \
	               "wait this long for another writer (default 5000)")
#define OPTIONS_END                                    \
	{                                              \
		NULL, NULL, NULL, OPTION_FLAG, 0, 0, 0, 0 \
	}

struct command {
	const char *name;
	const char *summary;                /* one line, for the list of commands */
	const char *operands[MAX_OPERANDS]; /* names */
	unsigned required;                  /* so many of them must be given */
	const char *about;                  /* for its --help: lines of at most 76 columns */
	const struct option_row *options;
	const char *examples;                /* the same, each line a command */
	int (*run)(const struct args *args); /* returns an exit status */
};

/*
 * Fills *args from the command line of a command, argv[0] being its name. Options that every
 * command has may also have been given before it. Returns 0, or EXIT_USAGE after a message. It is
 * done when it comes to --help.
 */
int options_parse(const struct command *c, int argc, char **argv, struct args *args);
/* Those before the command. Returns the place of the command in argv, or -1 after a message. */
int options_before(int argc, char **argv, struct args *args);

/* What --help of a command prints. */
void options_help(const struct command *c);
/* The options that may stand before the command, as lines of a help text. */
void options_list(FILE *f);

#endif
