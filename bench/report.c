/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rates are shown, ratios are compared: a ratio is taken within a round, where both peers met the
 * same machine, then its median over the rounds with the least and the greatest beside it. Above 1
 * the base (Duramen) is better: faster, smaller, or with less written.
 */
#include <stdio.h>
#include <stdlib.h>
#include "bench.h"

const struct metric_info metric_info[METRICS] = {
	[M_SEQLOAD]     = { "seqload", "entries/s", false },
	[M_SEQSIZE]     = { "seqload file", "bytes/entry", true },
	[M_RANDLOAD]    = { "randload", "entries/s", false },
	[M_RANDSIZE]    = { "randload file", "bytes/entry", true },
	[M_GET]         = { "get", "gets/s", false },
	[M_GETMANY]     = { "getmany", "gets/s", false },
	[M_SCAN]        = { "scan", "entries/s", false },
	[M_SNAP]        = { "snap", "snapshots/s", false },
	[M_SNAPHOT]     = { "snap hot", "snapshots/s", false },
	[M_COMMIT1]     = { "commit1", "commits/s", false },
	[M_DEVICE1]     = { "commit1 device", "bytes/commit", true },
	[M_COMMIT100]   = { "commit100", "commits/s", false },
	[M_DEVICE100]   = { "commit100 device", "bytes/commit", true },
	[M_READS]       = { "readers2 reads", "gets/s", false },
	[M_COMMITS]     = { "readers2 commits", "commits/s", false },
	[M_WAKE]        = { "wake async", "us", true },
	[M_WAKEDURABLE] = { "wake durable", "us", true },
	[M_ATTACHSMALL] = { "attach 2 MiB", "us", true },
	[M_ATTACHBIG]   = { "attach big", "us", true },
	[M_ATTACHRATIO] = { "attach big/small", "times", true },
	[M_LISTAPPEND]  = { "list append", "items/s", false },
	[M_LISTGET]     = { "list get", "gets/s", false },
	[M_LISTRANDGET] = { "list get random", "gets/s", false },
	[M_LISTINSERT]  = { "list insert", "inserts/s", false },
	[M_LISTSLICE]   = { "list slice", "us", true },
	[M_LISTCONCAT]  = { "list concat", "us", true },
};

/* The median of some numbers, with the least and the greatest. n 0: nothing was measured. */
struct spread {
	uint32_t n;
	double   median, least, most;
};

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static struct spread spread_of(double *v, uint32_t n)
{
	struct spread s = { .n = n };

	if (n == 0)
		return s;
	qsort(v, n, sizeof(*v), order);
	s.median = n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
	s.least = v[0];
	s.most = v[n - 1];
	return s;
}

struct cell {
	struct spread value, ratio, p50, p99;
};

static struct cell cell_of(const struct plan *p, enum metric m, uint32_t peer)
{
	double value[BENCH_MAX_ROUNDS], ratio[BENCH_MAX_ROUNDS];
	double p50[BENCH_MAX_ROUNDS], p99[BENCH_MAX_ROUNDS];
	uint32_t r, values = 0, ratios = 0, latencies = 0;

	for (r = 0; r < p->options.rounds; r++) {
		const struct measured *here = &p->results[r][peer].m[m];
		const struct measured *other = &p->results[r][p->base].m[m];

		if (!here->set)
			continue;
		value[values++] = here->value;
		if (here->latencies) {
			p50[latencies] = here->p50;
			p99[latencies++] = here->p99;
		}
		if (peer != p->base && other->set && here->value > 0 && other->value > 0)
			ratio[ratios++] = metric_info[m].less ? here->value / other->value
			                                      : other->value / here->value;
	}
	return (struct cell){
		.value = spread_of(value, values), .ratio = spread_of(ratio, ratios),
		.p50 = spread_of(p50, latencies), .p99 = spread_of(p99, latencies),
	};
}

static void print_number(double v)
{
	if (v >= 1e6)
		printf("%10.2f M", v / 1e6);
	else if (v >= 1e4)
		printf("%10.1f k", v / 1e3);
	else
		printf("%10.1f  ", v);
}

static void print_row(const char *name, const char *peer, const char *unit, const struct cell *c)
{
	printf("%-17s %-12s", name, peer);
	print_number(c->value.median);
	printf(" %-12s", unit);
	if (c->ratio.n)
		printf(" %7.2f x  %6.2f..%-7.2f", c->ratio.median, c->ratio.least, c->ratio.most);
	else
		printf(" %26s", "");
	if (c->p50.n)
		printf(" %8.1f %8.1f", c->p50.median, c->p99.median);
	putchar('\n');
}

void report_table(const struct plan *p)
{
	uint32_t m, i;

	printf("\n%llu entries, rounds: %u. Medians. The ratio is taken in each round: above 1 x,\n"
	       "%s is better than the peer (faster, smaller); then the least and the\n"
	       "greatest of the rounds.\n\n",
	       (unsigned long long)p->options.entries, p->options.rounds, p->peers[p->base]->name);
	printf("%-17s %-12s%12s %-12s %9s  %15s %8s %8s\n", "workload", "peer", "median", "",
	       "ratio", "least..most    ", "p50 us", "p99 us");
	for (m = 0; m < METRICS; m++) {
		bool any = false;

		for (i = 0; i < p->peer_count; i++) {
			struct cell c = cell_of(p, (enum metric)m, i);

			if (!c.value.n)
				continue;
			print_row(any ? "" : metric_info[m].name, p->peers[i]->name,
			          metric_info[m].unit, &c);
			any = true;
		}
		if (any)
			putchar('\n');
	}
}

static void json_spread(const char *name, const struct spread *s)
{
	if (s->n)
		printf(", \"%s\": {\"median\": %.6g, \"least\": %.6g, \"most\": %.6g}", name,
		       s->median, s->least, s->most);
}

void report_json(const struct plan *p)
{
	const char *comma = "";
	char version[64];
	uint32_t m, i;

	printf("{\"entries\": %llu, \"rounds\": %u, \"seed\": %llu, \"base\": \"%s\", \"peers\": {",
	       (unsigned long long)p->options.entries, p->options.rounds,
	       (unsigned long long)p->options.seed,
	       p->peers[p->base]->name);
	for (i = 0; i < p->peer_count; i++) {
		p->peers[i]->version(version, sizeof(version));
		printf("%s\"%s\": \"%s\"", i ? ", " : "", p->peers[i]->name, version);
	}
	printf("},\n \"rows\": [");
	for (m = 0; m < METRICS; m++) {
		for (i = 0; i < p->peer_count; i++) {
			struct cell c = cell_of(p, (enum metric)m, i);

			if (!c.value.n)
				continue;
			printf("%s\n  {\"workload\": \"%s\", \"peer\": \"%s\", \"unit\": \"%s\"",
			       comma, metric_info[m].name, p->peers[i]->name, metric_info[m].unit);
			json_spread("value", &c.value);
			json_spread("ratio", &c.ratio);
			json_spread("p50_us", &c.p50);
			json_spread("p99_us", &c.p99);
			putchar('}');
			comma = ",";
		}
	}
	printf("\n]}\n");
}
