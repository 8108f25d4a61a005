/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: the states that are still readable, newest first; with a path or a range of keys, what
 * changed there, newest first; or a drawing of how the prefix grew.
 */
#include "arena.h"
#include "changes.h"
#include "commands.h"
#include "context.h"
#include "growth.h"
#include "message.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define AT_ONCE 128

/*
 * The library gives a list from a state on, that state included: after the first page it is left
 * out.
 */
static int print_list(dur_prefix *p, uint64_t limit, const dur_state_name *names, size_t n_names,
                      bool json)
{
	dur_state_info list[AT_ONCE];
	uint64_t printed = 0, from = 0;
	uint32_t n = AT_ONCE;

	while (n == AT_ONCE && !ferror(stdout)) {
		int rc = dur_states(p, from, 0, list, AT_ONCE, &n);
		if (rc < 0)
			return fail(rc);
		for (uint32_t i = from != 0 && n > 0 && list[0].state == from; i < n; i++) {
			if (limit != 0 && printed == limit)
				return EXIT_DONE;
			print_state(&list[i], names, n_names, json);
			printed++;
		}
		if (n > 0)
			from = list[n - 1].state;
	}
	return EXIT_DONE;
}

static int print_states(dur_prefix *p, uint64_t limit, bool json)
{
	dur_state_name *names = NULL, *grown;
	size_t n = 0;
	uint32_t got = AT_ONCE;
	int status = EXIT_DONE;

	while (status == EXIT_DONE && got == AT_ONCE) {
		grown = realloc(names, (n + AT_ONCE) * sizeof *names);
		int rc = grown ? dur_names(p, n, grown + n, AT_ONCE, &got) : -ENOMEM;
		if (rc < 0)
			status = fail(rc);
		names = grown ? grown : names;
		n += rc < 0 ? 0 : got;
	}
	if (status == EXIT_DONE)
		status = print_list(p, limit, names, n, json);
	free(names);
	return status;
}

/* ---- Changes ---- */

/* At the end of a log: whether it is the beginning of the history too. */
static int tell_the_end(const struct context *s, uint64_t printed)
{
	dur_prefix_stat stat;
	int rc = dur_stat(s->prefix, &stat);

	if (rc < 0)
		return fail(rc);
	if (stat.oldest > 1)
		complain("states before %llu are no longer retained: what changed before it is not "
		         "listed",
		         (unsigned long long)stat.oldest);
	if (printed > 0)
		return EXIT_DONE;
	return refuse(EXIT_NO, "nothing has changed there in the states that are retained");
}

static int print_changes(const struct context *s, const dur_range *r)
{
	const struct args *args = s->args;
	const char *path = args->operand[1] != NULL ? args->operand[1] : "";
	uint64_t printed = 0;
	dur_change c;
	dur_iter *it;
	int rc = dur_log(s->prefix, &DUR_PATH(path), r, 0, &it);

	if (rc < 0)
		return fail(rc);
	if (!args->json)
		print_change_titles();
	while (!ferror(stdout) && (args->limit == 0 || printed < args->limit) &&
	       (rc = dur_next_change(it, &c)) == 0) {
		print_change(&c, args->json);
		printed++;
	}
	dur_iter_close(it);
	if (rc < 0)
		return fail(rc);
	return rc == DUR_NONE ? tell_the_end(s, printed) : EXIT_DONE;
}

/* ---- The command ---- */

static int print(const struct context *s)
{
	const struct args *args = s->args;
	struct arena arena = { 0 };
	dur_value from, to;
	dur_range r = { .from = range_bound(&arena, args->from, &from),
		        .to = range_bound(&arena, args->to, &to) };
	int status;

	if (args->starts != NULL) {
		r.from = range_bound(&arena, args->starts, &from);
		r.flags = DUR_STARTS;
	}
	if (args->plot)
		status = print_growth(s->prefix, args->operand[0], args->limit);
	else if (args->operand[1] != NULL || r.from != NULL || r.to != NULL)
		status = print_changes(s, r.from != NULL || r.to != NULL ? &r : NULL);
	else {
		if (!args->json)
			print_state_titles();
		status = print_states(s->prefix, args->limit, args->json);
	}
	arena_free(&arena);
	return status;
}

static int run(const struct args *args)
{
	struct context s;
	int status;

	if (args->plot && (args->json || args->operand[1] != NULL || args->from != NULL ||
	                   args->to != NULL || args->starts != NULL))
		return refuse(EXIT_USAGE, "log --plot draws all states: it goes with --limit alone");
	if (args->starts != NULL && (args->from != NULL || args->to != NULL))
		return refuse(EXIT_USAGE, "--starts says where a range begins and ends: leave out "
		                          "--from and --to");
	status = context_open(&s, args, DUR_READ_ONLY);
	if (status == 0)
		status = print(&s);
	return context_close(&s, status);
}

static const struct option_row options[] = {
	TEXT("from", "KEY", from, "changes of this key and those after it"),
	TEXT("to", "KEY", to, "changes of keys before this one"),
	TEXT("starts", "KEY", starts, "changes of the keys that start with this"),
	FLAG("plot", plot, "draw how the prefix grew, state by state"),
	OPTION_LIMIT,
	OPTION_JSON,
	OPTIONS_END
};

const struct command cmd_log = {
	.name = "log",
	.summary = "list the states, or the changes of a key, newest first",
	.operands = { "PREFIX", "PATH" },
	.required = 1,
	.about = "Without PATH, prints one line a state that is still readable: its number, the\n"
		 "time of its commit, the number of entries, the bytes it wrote, and its label.\n"
		 "Each number and each time is good for --at.\n\n"
		 "With PATH, prints the changes of that entry: the state that made it, its time,\n"
		 "+ added, - removed, ~ changed, the path, the value before and the one since.\n"
		 "PATH \"\" or a range of keys prints the changes of all these. Only states that\n"
		 "are still readable are looked at; if there were older ones, a message says so.\n"
		 "If nothing has changed there the exit status is 1.",
	.options = options,
	.examples = "  duramen log demo --limit 10\n"
		    "  duramen log demo --json | jq 'select(.label != \"\")'\n"
		    "  duramen log demo /alice\n"
		    "  duramen log demo --starts user: --json --limit 100\n"
		    "  duramen log demo --plot",
	.run = run,
};
