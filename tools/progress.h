/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A progress bar on stderr with rate and time left, for long work. It appears when stderr is a
 * terminal and the work has gone on for half a second; on a pipe nothing is printed.
 */
#ifndef DURAMEN_TOOLS_PROGRESS_H
#define DURAMEN_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what; /* "loading" */
	const char *unit; /* "entries": what count counts */
	uint64_t total;   /* of done; 0: unknown, so no bar and no time left */
	int64_t start_ns, drawn_ns;
	bool shown;
};

void progress_start(struct progress *p, const char *what, const char *unit, uint64_t total);
/*
 * done of the total has been worked through, and with it count units. Cheap: looks at the clock
 * only.
 */
void progress_step(struct progress *p, uint64_t done, uint64_t count);
/* Removes the bar that stands on the terminal, if any. The next step draws it again. */
void progress_clear(void);

int64_t monotonic_ns(void);

#endif
