/* SPDX-License-Identifier: Apache-2.0 */
/*
 * getopt_long() takes the words in the order in which they stand; what it returns for an option is
 * FIRST_ROW and the option's place in the tables.
 */
#include "options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

#define MAX_ROWS  16
#define FIRST_ROW 256 /* beyond every character */
/*
 * "-": an operand is returned as the argument of an option 1, in its place. ":": messages are made
 * here. A negative number looks like short options: so each digit is one, with the rest of the word
 * for its argument, and the word is an operand.
 */
#define SHORT_OPTIONS "-:hp0::1::2::3::4::5::6::7::8::9::"

static const struct option_row common_options[] = {
	TEXT("root", "DIR", root, "the workspace (else $DURAMEN_ROOT, ./duramen-data)"),
	FLAG("help", help, "this text; after a command, what that one takes, with\nexamples"),
	OPTIONS_END
};
static const struct option_row early_options[] = { FLAG("version", version, "the version"),
	                                           OPTIONS_END };

/* The tables that hold now, for us and for getopt_long(). */
struct rows {
	const struct option_row *row[MAX_ROWS];
	struct option known[MAX_ROWS + 1];
	int n;
};

static void add_rows(struct rows *rows, const struct option_row *table)
{
	for (; table->name != NULL; table++, rows->n++) {
		assert(rows->n < MAX_ROWS);
		rows->row[rows->n] = table;
		rows->known[rows->n] = (struct option){
			.name = table->name,
			.has_arg = table->kind == OPTION_FLAG ? no_argument : required_argument,
			.val = FIRST_ROW + rows->n,
		};
	}
}

static void *field(struct args *args, const struct option_row *o)
{
	return (char *)args + o->offset;
}

static int set_number(const struct option_row *o, const char *text, struct args *args)
{
	char *end;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || n < o->min ||
	    n > o->max) {
		if (o->min > 0)
			complain("--%s takes a number from %llu on, not '%s'", o->name,
			         (unsigned long long)o->min, text);
		else
			complain("--%s takes a number, not '%s'", o->name, text);
		return -1;
	}
	*(uint64_t *)field(args, o) = n;
	return 0;
}

/* An option that getopt_long() does not take: optopt says which, 0 for an unknown long one. */
static int bad_option(const struct rows *rows, int code, const char *word, const struct command *c)
{
	const char *name = c != NULL ? c->name : "", *colon = c != NULL ? ": " : "";
	const struct option_row *o = optopt >= FIRST_ROW ? rows->row[optopt - FIRST_ROW] : NULL;
	if (o != NULL && code == ':')
		complain("--%s needs an argument: --%s %s", o->name, o->name, o->metavar);
	else if (o != NULL)
		complain("--%s takes no argument", o->name);
	else if (optopt != 0)
		complain("%s%sthere is no option -%c", name, colon, optopt);
	else
		complain("%s%sthere is no option %s, or it means several", name, colon, word);
	return -1;
}

/* NULL: none of this command. */
static const struct option_row *find_row(const struct rows *rows, int code)
{
	if (code >= FIRST_ROW)
		return rows->row[code - FIRST_ROW];
	for (int i = 0; i < rows->n; i++)
		if (rows->row[i]->letter == code)
			return rows->row[i];
	if (code != '?' && code != ':')
		optopt = code; /* of another command */
	return NULL;
}

/* code as getopt_long() returned it; 0, or -1 after a message. */
static int take_option(const struct rows *rows, int code, char **argv, struct args *args)
{
	if (code == 'h') {
		args->help = true;
		return 0;
	}
	const struct option_row *o = find_row(rows, code);
	if (o == NULL)
		return bad_option(rows, code, argv[optind - 1], args->command);
	if (o->kind == OPTION_NUMBER)
		return set_number(o, optarg, args);
	if (o->kind == OPTION_FLAG)
		*(bool *)field(args, o) = true;
	else
		*(const char **)field(args, o) = optarg;
	return 0;
}

static int take_operand(const char *word, struct args *args)
{
	unsigned n = 0;
	while (n < MAX_OPERANDS && args->operand[n] != NULL)
		n++;
	if (n == MAX_OPERANDS || args->command->operands[n] == NULL) {
		complain("%s: '%s' is one operand too many", args->command->name, word);
		return -1;
	}
	args->operand[n] = word;
	return 0;
}

static int usage_error(const struct command *c)
{
	fprintf(stderr, "See `duramen %s --help`.\n", c->name);
	return EXIT_USAGE;
}

int options_parse(const struct command *c, int argc, char **argv, struct args *args)
{
	struct rows rows = { 0 };
	int code, rc = 0;

	args->command = c;
	add_rows(&rows, c->options);
	add_rows(&rows, common_options);
	optind = 0; /* begin anew */
	while (rc == 0 && !args->help &&
	       (code = getopt_long(argc, argv, SHORT_OPTIONS, rows.known, NULL)) != -1) {
		if (code == 1)
			rc = take_operand(optarg, args);
		else if (code >= '0' && code <= '9')
			rc = take_operand(argv[optind - 1], args);
		else
			rc = take_option(&rows, code, argv, args);
	}
	for (; rc == 0 && !args->help && optind < argc; optind++)
		rc = take_operand(argv[optind], args);
	if (rc == 0 && !args->help && c->required > 0 && args->operand[c->required - 1] == NULL) {
		unsigned n = 0;
		while (args->operand[n] != NULL)
			n++;
		complain("%s: %s is missing", c->name, c->operands[n]);
		rc = -1;
	}
	return rc == 0 ? 0 : usage_error(c);
}

int options_before(int argc, char **argv, struct args *args)
{
	struct rows rows = { 0 };
	int code;

	add_rows(&rows, common_options);
	add_rows(&rows, early_options);
	optind = 0;
	while (!args->help && !args->version &&
	       (code = getopt_long(argc, argv, "+:h", rows.known, NULL)) != -1)
		if (take_option(&rows, code, argv, args) != 0)
			return -1;
	return optind;
}

static void help_option(FILE *f, const struct option_row *o)
{
	char left[40];
	snprintf(left, sizeof left, "--%s%s%s%s%.1s", o->name, o->metavar ? " " : "",
	         o->metavar ? o->metavar : "", o->letter ? ", -" : "", &o->letter);
	const char *line = o->help;
	for (bool first = true; line != NULL; first = false) {
		size_t len = strcspn(line, "\n");
		fprintf(f, "  %-20s  %.*s\n", first ? left : "", (int)len, line);
		line = line[len] == '\n' ? line + len + 1 : NULL;
	}
}

void options_help(const struct command *c)
{
	printf("Usage: duramen %s", c->name);
	for (unsigned i = 0; i < MAX_OPERANDS && c->operands[i] != NULL; i++)
		printf(i < c->required ? " %s" : " [%s]", c->operands[i]);
	printf(" [OPTION]...\n\n%s\n\nOptions:\n", c->about);
	for (const struct option_row *o = c->options; o->name != NULL; o++)
		help_option(stdout, o);
	for (const struct option_row *o = common_options; o->name != NULL; o++)
		help_option(stdout, o);
	printf("\nExamples:\n%s\n", c->examples);
}

void options_list(FILE *f)
{
	for (const struct option_row *o = common_options; o->name != NULL; o++)
		help_option(f, o);
	for (const struct option_row *o = early_options; o->name != NULL; o++)
		help_option(f, o);
}
