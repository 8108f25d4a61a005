/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch: every new state, in order, or with a path what each has changed. A wait tells that there
 * is something newer; the list of states from the last one printed on then gives each, also those
 * that came while the former were being printed.
 */
#include <stdio.h>

#include "changes.h"
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

static bool go_on(const struct watch *w)
{
	return w->left > 0 && !stop_requested() && !output_gone() && !ferror(stdout);
}

/* ---- States ---- */

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
			print_state(&list[i], NULL, 0, w->context.args->json);
			fflush(stdout);
			w->after = list[i].state;
		}
	}
	return EXIT_DONE;
}

static int watch_states(struct watch *w)
{
	int status = EXIT_DONE;
	uint64_t newest;
	while (status == EXIT_DONE && go_on(w)) {
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

static int start_states(struct watch *w)
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

/* ---- Changes ---- */

/*
 * Ends the line of the last change. Whether it is the last one of its state is known only when
 * another state's change comes, or none: so a line is ended when the next step was taken.
 */
static void end_line(struct watch *w, uint64_t state, bool last)
{
	if (state == 0)
		return;
	fputs(last ? ",\"end\":true}\n" : "}\n", stdout);
	if (last) {
		fflush(stdout);
		w->left--;
	}
}

/* All changes that there are now. */
static int print_changes(struct watch *w, dur_iter *it)
{
	uint64_t state = 0; /* of the line that is not ended */
	dur_change c;
	int rc;

	while ((rc = dur_next_change(it, &c)) == 0) {
		end_line(w, state, c.state != state);
		state = 0;
		if (!go_on(w))
			return EXIT_DONE;
		print_change_members(&c);
		state = c.state;
	}
	end_line(w, state, rc == DUR_NONE);
	return rc < 0 ? fail(rc) : EXIT_DONE;
}

static int watch_changes(struct watch *w, const char *path)
{
	uint32_t flags = w->context.args->coalesce ? DUR_COALESCE : 0;
	uint64_t seen = 0;
	dur_iter *it;
	int status = EXIT_DONE;
	int rc = dur_watch(w->context.prefix, &DUR_PATH(path), w->after, flags, &it);
	if (rc < 0)
		return fail(rc);
	while (status == EXIT_DONE && go_on(w)) {
		rc = dur_wait(w->context.prefix, seen, STOP_LOOK_MS, &seen);
		if (rc < 0)
			status = fail(rc);
		else if (rc == 0)
			status = print_changes(w, it);
	}
	dur_iter_close(it);
	return status;
}

static int start_changes(struct watch *w)
{
	dur_prefix_stat stat;
	w->after = DUR_LATEST;
	if (w->context.args->after == NULL)
		return 0;
	int status = context_after(&w->context, &w->after);
	if (status != 0 || w->after != 0)
		return status;
	int rc = dur_stat(w->context.prefix, &stat);
	if (rc < 0)
		return fail(rc);
	w->after = stat.oldest;
	return 0;
}

static int run(const struct args *args)
{
	struct watch w = { .left = args->number != 0 ? args->number : UINT64_MAX };
	const char *path = args->operand[1];
	bool changes = path != NULL || args->coalesce;
	stop_catch();
	int status = context_open(&w.context, args, DUR_READ_ONLY);
	if (status == 0)
		status = changes ? start_changes(&w) : start_states(&w);
	if (status == 0 && changes) {
		status = watch_changes(&w, path != NULL ? path : "");
	} else if (status == 0) {
		if (!args->json)
			print_state_titles();
		fflush(stdout);
		status = watch_states(&w);
	}
	return context_close(&w.context, status);
}

static const struct option_row options[] = {
	TEXT("after", "STATE", after,
	     "begin after this state (default: the newest one); 0\n"
	     "begins with the oldest that is retained"),
	FLAG("coalesce", coalesce, "changes: of many states at once as of the newest of them"),
	NUMBER("count", "N", number, 1, UINT64_MAX - 1, "end after N states (default: never)"),
	OPTION_JSON, OPTIONS_END
};

const struct command cmd_watch = {
	.name = "watch",
	.summary = "print every new state, or every change, as it comes",
	.operands = { "PREFIX", "PATH" },
	.required = 1,
	.about = "Prints a line for every new state: number, time of the commit, entries, bytes\n"
		 "written, label. States are printed in order and none is left out as long as\n"
		 "the prefix retains it. It ends on an interrupt, or when its output is closed.\n"
		 "\n"
		 "With PATH ('' is the whole prefix) or --coalesce it prints what was changed\n"
		 "there, one JSON object a line: state, time, kind (added, removed, changed), path,\n"
		 "old, now. The last change of each state has \"end\":true: to resume without a gap\n"
		 "or a repeat, drop what came after such a line and begin --after its state. If\n"
		 "a state that is needed is no longer retained, it says so, with status 1.",
	.options = options,
	.examples = "  duramen watch demo\n"
		    "  duramen watch demo --after 0 --json\n"
		    "  duramen watch demo '' --after 12\n"
		    "  duramen watch demo /alice --coalesce\n"
		    "  duramen watch demo --count 1 && echo 'something happened'",
	.run = run,
};
