/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch: every new state, in order. A wait tells that there is something newer; the list of states
 * from the last one printed on then gives each, also those that came while the former were being
 * printed.
 */
#include <stdio.h>

#include "commands.h"
#include "context.h"
#include "message.h"
#include "output.h"
#include "stop.h"

#define AT_ONCE 64

struct watch {
	struct context context;
	uint64_t after; /* the newest state that was printed */
	uint64_t left;  /* so many are still to be printed */
};

/* Everything newer than w->after that is retained. */
static int print_new(struct watch *w)
{
	dur_state_info list[AT_ONCE];
	uint32_t n = AT_ONCE;
	while (n == AT_ONCE && w->left > 0 && !ferror(stdout)) {
		int rc =
			dur_states(w->context.prefix, w->after + 1, DUR_REVERSE, list, AT_ONCE, &n);
		if (rc < 0)
			return fail(rc);
		for (uint32_t i = 0; i < n && w->left > 0; i++, w->left--) {
			print_state(&list[i], w->context.args->json);
			fflush(stdout);
			w->after = list[i].state;
		}
	}
	return EXIT_DONE;
}

static int watch(struct watch *w)
{
	int status = EXIT_DONE;
	uint64_t newest;
	while (status == EXIT_DONE && w->left > 0 && !stop_requested() && !output_gone() &&
	       !ferror(stdout)) {
		int rc = dur_wait(w->context.prefix, w->after, STOP_LOOK_MS, &newest);
		if (rc < 0)
			return fail(rc);
		if (rc == DUR_NONE)
			continue;
		status = print_new(w);
		/*
		 * A state that only changes the retention is not listed, and must not end the
		 * sleep again.
		 */
		if (newest > w->after)
			w->after = newest;
	}
	return status;
}

static int start(struct watch *w)
{
	dur_prefix_stat stat;
	if (w->context.args->after != NULL)
		return context_after(&w->context, &w->after);
	int rc = dur_stat(w->context.prefix, &stat);
	if (rc < 0)
		return fail(rc);
	w->after = stat.newest;
	return 0;
}

static int run(const struct args *args)
{
	struct watch w = { .left = args->number != 0 ? args->number : UINT64_MAX };
	stop_catch();
	int status = context_open(&w.context, args, DUR_READ_ONLY);
	if (status == 0)
		status = start(&w);
	if (status == 0) {
		if (!args->json)
			print_state_titles();
		fflush(stdout);
		status = watch(&w);
	}
	return context_close(&w.context, status);
}

static const struct option_row options[] = {
	TEXT("after", "STATE", after,
	     "begin after this state (default: the newest one); 0\n"
	     "begins with the oldest that is retained"),
	NUMBER("count", "N", number, 1, UINT64_MAX - 1, "end after N states (default: never)"),
	OPTION_JSON, OPTIONS_END
};

const struct command cmd_watch = {
	.name = "watch",
	.summary = "print every new state as it comes",
	.operands = { "PREFIX" },
	.required = 1,
	.about = "Prints a line for every new state: number, time of the commit, entries, bytes\n"
		 "written, label. States are printed in order and none is left out as long as\n"
		 "the prefix retains it. It ends on an interrupt, or when its output is closed.",
	.options = options,
	.examples = "  duramen watch demo\n"
		    "  duramen watch demo --after 0 --json\n"
		    "  duramen watch demo --count 1 && echo 'something happened'",
	.run = run,
};
