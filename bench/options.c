/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: which workloads and peers there are and which of them are meant. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench.h"

static const struct driver *const all_drivers[PLAN_DRIVERS] = {
	&driver_duramen, &driver_duramen_all, &driver_lmdb, &driver_sqlite, &driver_rocksdb,
	&driver_wiredtiger,
};

const struct workload plan_workloads[PLAN_WORKLOADS] = {
	{ "seqload", "all entries in order in one durable transaction",
	  .run = job_seqload, .durable = true, .loads = true },
	{ "randload", "all entries in random order, 1000 a commit, not durable",
	  .run = job_randload },
	{ "get", "random gets in one snapshot",
	  .run = job_get },
	{ "getmany", "the same, 64 at a time where a peer can",
	  .run = job_get_many },
	{ "scan", "all entries in order, every byte touched",
	  .run = job_scan },
	{ "snap", "open a snapshot, one get, close it: random keys, and 64 hot ones",
	  .run = job_snap },
	{ "commit1", "durable commits of 1 put, and the device's bytes",
	  .run = job_commit1, .durable = true },
	{ "commit100", "durable commits of 100 puts, and the device's bytes",
	  .run = job_commit100, .durable = true },
	{ "readers2", "2 readers beside 1 writer with durable commits",
	  .run = job_readers2, .durable = true },
	{ "wake", "from a commit to a waiting process awake (Duramen only)",
	  .run = job_wake, .own = true, .durable = true },
	{ "attach", "attaching a small and a big prefix (Duramen only)",
	  .run = job_attach, .own = true },
	{ "list", "a list of as many integers, by position (Duramen only)",
	  .run = job_list, .own = true },
};

static void usage(void)
{
	uint32_t i;

	fputs("duramen-bench: compares Duramen with other embedded stores\n\n"
	      "  --quick            100,000 entries, 3 rounds: less than a minute\n"
	      "  --entries N        entries of 16 + 100 bytes (1,000,000)\n"
	      "  --rounds N         (5)\n"
	      "  --workload LIST    of those below, joined by commas (all)\n"
	      "  --peer LIST        of those below (all)\n"
	      "  --base PEER        what the ratios compare with the others (duramen)\n"
	      "  --dir DIR          where folders are made and removed ($TMPDIR or /var/tmp)\n"
	      "  --seed N           of keys and values (the time)\n"
	      "  --json             the report as JSON\n\nworkloads:\n",
	      stdout);
	for (i = 0; i < PLAN_WORKLOADS; i++)
		printf("  %-18s %s\n", plan_workloads[i].name, plan_workloads[i].about);
	printf("  %-18s %s\n\npeers:\n", "one-commit",
	        "only by name: one durable commit between two marks, for strace");
	for (i = 0; i < PLAN_DRIVERS; i++)
		printf("  %-18s %s%s\n", all_drivers[i]->name,
		        all_drivers[i]->keep ? "keeps " : "",
		        all_drivers[i]->keep ? all_drivers[i]->keep : "");
	puts("\nExit status: 0, 1 after a wrong answer or a failure, 2 for wrong options.");
}

static int wrong(const char *what, const char *value)
{
	fprintf(stderr, "duramen-bench: %s: %s (--help lists what there is)\n", what, value);
	return -1;
}

static int parse_number(const char *what, const char *text, uint64_t least, uint64_t most,
                        uint64_t *n)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < least || value > most) {
		fprintf(stderr, "duramen-bench: %s: %s is not a number from %llu to %llu\n",
		        what, text, (unsigned long long)least,
		        (unsigned long long)most);
		return -1;
	}
	*n = value;
	return 0;
}

static int add_workload(struct plan *p, const char *name)
{
	uint32_t w;

	for (w = 0; w < PLAN_WORKLOADS; w++)
		if (strcmp(name, plan_workloads[w].name) == 0) {
			p->workload[w] = true;
			return 0;
		}
	if (strcmp(name, "one-commit") != 0)
		return wrong("no such workload", name);
	p->one_commit = true;
	return 0;
}

static int add_peer(struct plan *p, const char *name)
{
	uint32_t i, k;

	for (i = 0; i < PLAN_DRIVERS; i++) {
		if (strcmp(name, all_drivers[i]->name) != 0)
			continue;
		for (k = 0; k < p->peer_count; k++)
			if (p->peers[k] == all_drivers[i])
				return wrong("named twice", name);
		p->peers[p->peer_count++] = all_drivers[i];
		return 0;
	}
	return wrong("no such peer", name);
}

static int each(struct plan *p, char *list, int (*add)(struct plan *, const char *))
{
	char *save, *name;

	for (name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save))
		if (add(p, name))
			return -1;
	return 0;
}

static int find_base(struct plan *p, const char *name)
{
	uint32_t i;

	for (i = 0; i < p->peer_count; i++)
		if (strcmp(p->peers[i]->name, name ? name : driver_duramen.name) == 0) {
			p->base = i;
			return 0;
		}
	return name ? wrong("not among the peers", name) : 0;   /* else the first */
}

/* What was not asked for by name is all there is. */
static int complete(struct plan *p, bool any_workload, const char *base)
{
	uint32_t i;

	if (!p->peer_count && p->one_commit)
		p->peers[p->peer_count++] = &driver_duramen;
	for (i = 0; !p->peer_count && i < PLAN_DRIVERS; i++)
		p->peers[i] = all_drivers[i];
	if (!p->peer_count)
		p->peer_count = PLAN_DRIVERS;
	for (i = 0; !any_workload && i < PLAN_WORKLOADS; i++)
		p->workload[i] = true;
	if (!p->options.entries)
		p->options.entries = p->options.quick ? 100000 : 1000000;
	if (!p->options.rounds)
		p->options.rounds = p->options.quick ? 3 : 5;
	return find_base(p, base);
}

int plan_parse(struct plan *p, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "workload", required_argument, NULL, 'w' },
		{ "peer", required_argument, NULL, 'p' },
		{ "base", required_argument, NULL, 'b' },
		{ "entries", required_argument, NULL, 'e' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "dir", required_argument, NULL, 'd' },
		{ "seed", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "quick", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	const char *dir = getenv("TMPDIR"), *base = NULL;
	uint64_t entries = 0, rounds = 0, seed = (uint64_t)time(NULL);
	bool any_workload = false;
	int c, rc = 0;

	opterr = 0;
	while (!rc && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'w':
			rc = each(p, optarg, add_workload);
			any_workload = true;
			break;
		case 'p': rc = each(p, optarg, add_peer); break;
		case 'e': rc = parse_number("--entries", optarg, 1000, 400000000, &entries); break;
		case 'r':
			rc = parse_number("--rounds", optarg, 1, BENCH_MAX_ROUNDS, &rounds);
			break;
		case 's': rc = parse_number("--seed", optarg, 0, UINT64_MAX, &seed); break;
		case 'd': dir = optarg; break;
		case 'b': base = optarg; break;
		case 'j': p->options.json = true; break;
		case 'q': p->options.quick = true; break;
		case 'h':
			usage();
			return 1;
		default: return wrong("not an option", argv[optind - 1]);
		}
	}
	if (rc || optind < argc)
		return rc ? rc : wrong("not an option", argv[optind]);
	p->options.entries = entries;
	p->options.rounds = (uint32_t)rounds;
	p->options.seed = seed;
	snprintf(p->options.dir, sizeof(p->options.dir), "%s/duramen-bench-XXXXXX",
	         dir && *dir ? dir : "/var/tmp");
	return complete(p, any_workload, base);
}
