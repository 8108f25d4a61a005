/* SPDX-License-Identifier: Apache-2.0 */
/* The duramen command: finds the subcommand in the table, lets it parse the rest, and runs it. */
#include <duramen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "message.h"
#include "output.h"

static const struct command *const commands[] = {
	&cmd_create, &cmd_ls,    &cmd_drop, &cmd_put,     &cmd_get,   &cmd_del,
	&cmd_scan,   &cmd_load,  &cmd_dump, &cmd_tree, &cmd_log,     &cmd_diff,  &cmd_restore,
	&cmd_keep,   &cmd_name,  &cmd_unname, &cmd_names,
	&cmd_wait,   &cmd_watch, &cmd_stat, &cmd_readers, &cmd_check,
	&cmd_pack,   &cmd_backup, &cmd_receive, &cmd_compact,
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

static void print_help(FILE *f)
{
	fputs("Usage: duramen [--root DIR] COMMAND [OPERAND]... [OPTION]...\n\n"
	      "Keeps state that many processes share: one writes, the others read consistent\n"
	      "snapshots and are told of each new state. Every state stays readable.\n\n"
	      "Commands:\n",
	      f);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(f, "  %-8s  %s\n", commands[i]->name, commands[i]->summary);
	fputs("\nOptions:\n", f);
	options_list(f);
	fputs("\nExit status: 0 done, 1 not found or timed out, 2 wrong usage, 3 failure.\n\n"
	      "Examples:\n"
	      "  duramen create demo\n"
	      "  duramen put demo /alice 25\n"
	      "  duramen get demo /alice\n"
	      "  duramen watch demo\n",
	      f);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static int bad_usage(void)
{
	fputs("See `duramen --help`.\n", stderr);
	return EXIT_USAGE;
}

static int run(const struct command *c, int argc, char **argv, struct args *args)
{
	int status = options_parse(c, argc, argv, args);
	if (status != 0)
		return status;
	if (args->help) {
		options_help(c);
		return EXIT_DONE;
	}
	if (args->root == NULL)
		args->root = getenv("DURAMEN_ROOT");
	if (args->root == NULL || *args->root == '\0')
		args->root = "duramen-data";
	return c->run(args);
}

static int dispatch(int argc, char **argv)
{
	struct args args = { .batch = 1000, .lock_ms = 5000, .timeout_ms = NOT_GIVEN };
	int at = options_before(argc, argv, &args);

	if (at < 0)
		return bad_usage();
	if (args.help) {
		print_help(stdout);
		return EXIT_DONE;
	}
	if (args.version) {
		printf("duramen %s\n", dur_version());
		return EXIT_DONE;
	}
	if (at >= argc) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	const struct command *c = find_command(argv[at]);
	if (c == NULL) {
		complain("there is no command '%s'", argv[at]);
		return bad_usage();
	}
	return run(c, argc - at, argv + at, &args);
}

int main(int argc, char **argv)
{
	/*
	 * A reader of the output that goes away is noticed by the failing write: see
	 * output_finish().
	 */
	signal(SIGPIPE, SIG_IGN);
	return output_finish(dispatch(argc, argv));
}
