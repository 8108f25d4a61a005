/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the words. An option is looked up in the command's table, then in the common one.
 */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

const struct option common_options[] = {
	TEXT("root", "DIR", root, "the workspace (else $DURAMEN_ROOT, ./duramen-data)"), OPTIONS_END
};

static void *field(struct args *args, const struct option *o)
{
	return (char *)args + o->offset;
}

static int set_number(const struct option *o, const char *text, struct args *args)
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
	return 1;
}

int options_take(const struct option *table, char ***word, struct args *args)
{
	const char *name = **word + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] == '=' ? name + len + 1 : NULL;
	const struct option *o = table;

	while (o->name != NULL && (strncmp(o->name, name, len) != 0 || o->name[len] != '\0'))
		o++;
	if (o->name == NULL)
		return 0;
	++*word;
	if (o->kind == OPTION_FLAG) {
		if (value != NULL) {
			complain("--%s takes no argument", o->name);
			return -1;
		}
		*(bool *)field(args, o) = true;
		return 1;
	}
	if (value == NULL)
		value = **word;
	if (value == NULL) {
		complain("--%s needs an argument: --%s %s", o->name, o->name, o->metavar);
		return -1;
	}
	if (name[len] != '=')
		++*word;
	if (o->kind == OPTION_NUMBER)
		return set_number(o, value, args);
	*(const char **)field(args, o) = value;
	return 1;
}

/* "-5" is a value; "-" is standard input. */
static bool is_operand(const char *word)
{
	return word[0] != '-' || word[1] == '\0' || isdigit((unsigned char)word[1]);
}

static int usage_error(const struct command *c)
{
	fprintf(stderr, "See `duramen %s --help`.\n", c->name);
	return EXIT_USAGE;
}

int options_parse(const struct command *c, char **words, struct args *args, bool *help)
{
	unsigned n = 0;
	bool ended = false;

	args->command = c;
	while (*words != NULL) {
		const char *word = *words;
		if (ended || is_operand(word)) {
			if (n == MAX_OPERANDS || c->operands[n] == NULL) {
				complain("%s: '%s' is one operand too many", c->name, word);
				return usage_error(c);
			}
			args->operand[n++] = word;
			words++;
		} else if (strcmp(word, "--") == 0) {
			ended = true;
			words++;
		} else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
			*help = true;
			return 0;
		} else {
			int rc = 0;
			if (word[1] == '-')
				rc = options_take(c->options, &words, args);
			if (rc == 0 && word[1] == '-')
				rc = options_take(common_options, &words, args);
			if (rc == 0)
				complain("%s: there is no option %s", c->name, word);
			if (rc <= 0)
				return usage_error(c);
		}
	}
	if (n < c->required) {
		complain("%s: %s is missing", c->name, c->operands[n]);
		return usage_error(c);
	}
	return 0;
}

static void help_option(const struct option *o)
{
	char left[40];
	snprintf(left, sizeof left, "--%s%s%s", o->name, o->metavar ? " " : "",
	         o->metavar ? o->metavar : "");
	const char *line = o->help;
	for (bool first = true; line != NULL; first = false) {
		size_t len = strcspn(line, "\n");
		printf("  %-20s  %.*s\n", first ? left : "", (int)len, line);
		line = line[len] == '\n' ? line + len + 1 : NULL;
	}
}

void options_help(const struct command *c)
{
	printf("Usage: duramen %s", c->name);
	for (unsigned i = 0; i < MAX_OPERANDS && c->operands[i] != NULL; i++)
		printf(i < c->required ? " %s" : " [%s]", c->operands[i]);
	printf(" [OPTION]...\n\n%s\n\nOptions:\n", c->about);
	for (const struct option *o = c->options; o->name != NULL; o++)
		help_option(o);
	for (const struct option *o = common_options; o->name != NULL; o++)
		help_option(o);
	printf("\nExamples:\n%s\n", c->examples);
}
