/* SPDX-License-Identifier: Apache-2.0 */
/* The list comes newest first and is kept whole, a few words a state. */
#include "growth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "output.h"
#include "plot.h"
#include "timetext.h"

#define AT_ONCE 512

struct point {
	uint64_t state, written, entries;
	int64_t time_ns;
};

struct growth {
	struct point *points; /* newest first */
	uint64_t n, cap;
};

static void add(struct growth *g, const dur_state_info *s)
{
	if (g->n == g->cap) {
		g->cap = g->cap == 0 ? 1024 : 2 * g->cap;
		g->points = realloc(g->points, g->cap * sizeof *g->points);
		if (g->points == NULL)
			out_of_memory();
	}
	g->points[g->n++] = (struct point){ s->state, s->written_bytes, s->entries, s->time_ns };
}

static int collect(dur_prefix *p, uint64_t limit, struct growth *g)
{
	static dur_state_info list[AT_ONCE];
	uint64_t from = 0;
	uint32_t n = AT_ONCE;

	while (n == AT_ONCE) {
		int rc = dur_states(p, from, 0, list, AT_ONCE, &n);
		if (rc < 0)
			return fail(rc);
		for (uint32_t i = from != 0 && n > 0 && list[0].state == from; i < n; i++) {
			if (limit != 0 && g->n == limit)
				return 0;
			add(g, &list[i]);
		}
		if (n > 0)
			from = list[n - 1].state;
	}
	return 0;
}

/* The i-th, oldest first. */
static const struct point *point(const struct growth *g, uint64_t i)
{
	return &g->points[g->n - 1 - i];
}

static void charts(const struct growth *g, const struct plot *p)
{
	uint64_t *written = calloc(p->columns, sizeof *written);
	uint64_t *in_all = calloc(p->columns, sizeof *in_all);
	uint64_t *entries = calloc(p->columns, sizeof *entries);
	uint64_t sum = 0;

	if (written == NULL || in_all == NULL || entries == NULL)
		out_of_memory();
	for (unsigned c = 0; c < p->columns; c++) {
		uint64_t first = plot_first(p, c), end = plot_first(p, c + 1), here = 0;
		for (uint64_t i = first; i < end; i++)
			here += point(g, i)->written;
		sum += here;
		written[c] = (here + (end - first) - 1) / (end - first);
		in_all[c] = sum;
		entries[c] = point(g, end - 1)->entries;
	}
	plot_chart(p, stdout, "bytes written by a state", written, PLOT_BYTES);
	plot_chart(p, stdout, "bytes written in all", in_all, PLOT_BYTES);
	plot_chart(p, stdout, "entries", entries, PLOT_NUMBER);
	free(written);
	free(in_all);
	free(entries);
}

/* What stands where below the axis: state numbers, and their times to the second. */
static void marks(const struct growth *g, const struct plot *p)
{
	const struct point *at[] = { point(g, 0), point(g, g->n / 2), point(g, g->n - 1) };
	char number[3][24], when[3][TIMETEXT_MAX];

	for (int i = 0; i < 3; i++) {
		snprintf(number[i], sizeof number[i], "%" PRIu64, at[i]->state);
		timetext_format_ns(at[i]->time_ns, when[i]);
		memcpy(strchr(when[i], '.'), "Z", 2);
	}
	bool middle = g->n >= 3;
	plot_marks(p, stdout, number[0], middle ? number[1] : NULL, number[2]);
	plot_marks(p, stdout, when[0], middle ? when[1] : NULL, when[2]);
}

int print_growth(dur_prefix *p, const char *name, uint64_t limit)
{
	struct growth g = { 0 };
	struct plot plot;
	int status = collect(p, limit, &g);

	if (status == 0 && g.n > 0) {
		plot_init(&plot, g.n, plot_width());
		printf("%s: %" PRIu64 " state%s", name, g.n, g.n == 1 ? "" : "s");
		if (g.n > plot.columns)
			printf(", %" PRIu64 " to a column", (g.n + plot.columns - 1) / plot.columns);
		putchar('\n');
		charts(&g, &plot);
		marks(&g, &plot);
	}
	free(g.points);
	return status;
}
