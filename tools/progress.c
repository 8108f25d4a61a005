/* SPDX-License-Identifier: Apache-2.0 */
/* The bar is one line, redrawn in place ten times a second. */
#include "progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define DRAW_NS  100000000
#define FIRST_NS 500000000
#define BAR      24

/*
 * A message printed elsewhere must not be glued to the bar, so it is known here whether one
 * stands.
 */
static bool standing;

int64_t monotonic_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void progress_start(struct progress *p, const char *what, const char *unit, uint64_t total)
{
	int64_t now = monotonic_ns();
	*p = (struct progress){
		.what = what,
		.unit = unit,
		.total = total,
		.start_ns = now,
		.drawn_ns = now + FIRST_NS - DRAW_NS,
		.shown = isatty(STDERR_FILENO) == 1,
	};
}

static void progress_draw(const struct progress *p, uint64_t done, uint64_t count, int64_t now)
{
	double seconds = (double)(now - p->start_ns) / 1e9;
	fprintf(stderr, "\r\033[K%s ", p->what);
	if (p->total != 0) {
		double part = done < p->total ? (double)done / (double)p->total : 1;
		int full = (int)(part * BAR);
		fprintf(stderr, "%3d%% [%.*s%.*s] ", (int)(part * 100), full,
		        "########################", BAR - full, "                        ");
		fprintf(stderr, "%llu %s, %.0f/s", (unsigned long long)count, p->unit,
		        (double)count / seconds);
		if (part > 0) {
			long left = (long)(seconds / part - seconds + 0.5);
			fprintf(stderr, ", %ld:%02ld left", left / 60, left % 60);
		}
	} else {
		fprintf(stderr, "%llu %s, %.0f/s", (unsigned long long)count, p->unit,
		        (double)count / seconds);
	}
	fflush(stderr);
	standing = true;
}

void progress_step(struct progress *p, uint64_t done, uint64_t count)
{
	if (!p->shown)
		return;
	int64_t now = monotonic_ns();
	if (now - p->drawn_ns < DRAW_NS)
		return;
	p->drawn_ns = now;
	progress_draw(p, done, count, now);
}

void progress_clear(void)
{
	if (!standing)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	standing = false;
}
