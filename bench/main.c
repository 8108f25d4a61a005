/* SPDX-License-Identifier: Apache-2.0 */
/* duramen-bench: options, rounds, and the process of each job. bench.h says how they fit together. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "bench.h"

static const struct driver *const all_drivers[] = {
	&driver_duramen, &driver_duramen_all, &driver_lmdb, &driver_sqlite, &driver_rocksdb,
	&driver_wiredtiger,
};
#define DRIVERS (sizeof(all_drivers) / sizeof(all_drivers[0]))

static const struct workload all_workloads[] = {
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
};
#define WORKLOADS (sizeof(all_workloads) / sizeof(all_workloads[0]))

struct plan {
	struct options options;
	bool           workload[WORKLOADS];
	bool           one_commit;
	const struct driver *peers[DRIVERS];
	uint32_t       peer_count, base;
	bool           failed[DRIVERS];
	uint32_t      *generation[DRIVERS];
	struct result *results[BENCH_MAX_ROUNDS];       /* of a round: one a peer */
};

static volatile sig_atomic_t interrupted;
static _Thread_local char message[512];

int driver_fail(const char *format, ...)
{
	char text[sizeof(message)];     /* an argument may be the last message */
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	memcpy(message, text, sizeof(message));
	return -1;
}

const char *driver_message(void)
{
	return message[0] ? message : "failed without a message";
}

/* ---- Jobs ---- */

static void job_child(struct job *j, const struct workload *w)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	if (w->run(j))
		snprintf(j->result->error, sizeof(j->result->error), "%s", driver_message());
	else
		j->result->done = true;
	_exit(0);
}

static int job_process(struct job *j, const struct workload *w)
{
	int status = 0;
	pid_t pid;

	j->result->done = false;
	j->result->error[0] = '\0';
	if (mkdir(j->scratch, 0700))
		return driver_fail("%s: %s", j->scratch, strerror(errno));
	pid = fork();
	if (pid < 0)
		return driver_fail("fork: %s", strerror(errno));
	if (pid == 0)
		job_child(j, w);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	place_remove(j->scratch);
	if (j->result->done)
		return 0;
	if (WIFSIGNALED(status))
		return driver_fail("%s: killed by signal %d", j->driver->name, WTERMSIG(status));
	return driver_fail("%s", j->result->error);
}

/* Whether it was not cut off. What fails is told, left out of the report, and fails the run. */
static bool run_job(struct plan *p, uint32_t round, uint32_t w, uint32_t peer)
{
	const struct workload *work = &all_workloads[w];
	struct result spare;    /* of a load that nobody asked for */
	struct job j = { .options = &p->options, .driver = p->peers[peer], .round = round };

	if (p->failed[peer] || (work->own && p->peers[peer] != &driver_duramen))
		return true;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[Kround %u of %u: %s %s", round + 1, p->options.rounds,
		        work->name, p->peers[peer]->name);
	data_init(&j.data, p->options.entries, p->options.seed + round);
	j.random = data_mix(p->options.seed + round * 100 + w);
	j.generation = p->generation[peer];
	j.result = &p->results[round][peer];
	spare = *j.result;
	snprintf(j.table, sizeof(j.table), "%s/%s", p->options.dir, j.driver->name);
	snprintf(j.scratch, sizeof(j.scratch), "%s/%s.scratch", p->options.dir, j.driver->name);
	if (work->loads && mkdir(j.table, 0700))
		driver_fail("%s: %s", j.table, strerror(errno));
	else if (job_process(&j, work) == 0) {
		if (!p->workload[w])
			memcpy(j.result->m, spare.m, sizeof(spare.m));
		return !interrupted;
	}
	if (interrupted)
		return false;
	memcpy(j.result->m, spare.m, sizeof(spare.m));
	fprintf(stderr, "\nFAILED: %s, %s, round %u: %s\n", work->name, j.driver->name, round + 1,
	        driver_message());
	p->failed[peer] = true;
	return true;
}

static bool run_round(struct plan *p, uint32_t round)
{
	char table[4096];
	bool needed = false, go = true;
	uint32_t w, i;

	for (w = 0; w < WORKLOADS; w++)
		needed = needed || (p->workload[w] && !all_workloads[w].own);
	for (w = 0; w < WORKLOADS && go; w++) {
		if (!p->workload[w] && !(all_workloads[w].loads && needed))
			continue;
		for (i = 0; i < p->peer_count && go; i++)
			go = run_job(p, round, w, (i + round + w) % p->peer_count);
	}
	for (i = 0; i < p->peer_count; i++) {
		snprintf(table, sizeof(table), "%s/%s", p->options.dir, p->peers[i]->name);
		place_remove(table);
	}
	return go;
}

/* ---- Options ---- */

static void usage(FILE *out)
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
	      out);
	for (i = 0; i < WORKLOADS; i++)
		fprintf(out, "  %-18s %s\n", all_workloads[i].name, all_workloads[i].about);
	fprintf(out, "  %-18s %s\n\npeers:\n", "one-commit",
	        "only by name: one durable commit between two marks, for strace");
	for (i = 0; i < DRIVERS; i++)
		fprintf(out, "  %-18s %s%s\n", all_drivers[i]->name,
		        all_drivers[i]->keep ? "keeps " : "", all_drivers[i]->keep ? all_drivers[i]->keep : "");
	fputs("\nExit status: 0, 1 after a wrong answer or a failure, 2 for wrong options.\n", out);
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
		fprintf(stderr, "duramen-bench: %s: %s is not a number from %llu to %llu\n", what, text,
		        (unsigned long long)least, (unsigned long long)most);
		return -1;
	}
	*n = value;
	return 0;
}

static int add_workload(struct plan *p, const char *name)
{
	uint32_t w;

	for (w = 0; w < WORKLOADS; w++)
		if (strcmp(name, all_workloads[w].name) == 0) {
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

	for (i = 0; i < DRIVERS; i++) {
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
	for (i = 0; !p->peer_count && i < DRIVERS; i++)
		p->peers[i] = all_drivers[i];
	if (!p->peer_count)
		p->peer_count = DRIVERS;
	for (i = 0; !any_workload && i < WORKLOADS; i++)
		p->workload[i] = true;
	if (!p->options.entries)
		p->options.entries = p->options.quick ? 100000 : 1000000;
	if (!p->options.rounds)
		p->options.rounds = p->options.quick ? 3 : 5;
	return find_base(p, base);
}

/* 0, 1: done already, -1: wrong. */
static int parse(struct plan *p, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "workload", required_argument, NULL, 'w' }, { "peer", required_argument, NULL, 'p' },
		{ "entries", required_argument, NULL, 'e' }, { "rounds", required_argument, NULL, 'r' },
		{ "dir", required_argument, NULL, 'd' }, { "seed", required_argument, NULL, 's' },
		{ "base", required_argument, NULL, 'b' }, { "json", no_argument, NULL, 'j' },
		{ "quick", no_argument, NULL, 'q' }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	const char *dir = getenv("TMPDIR"), *base = NULL;
	bool any_workload = false;
	uint64_t n;
	int c, rc = 0;

	while (!rc && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'w': rc = each(p, optarg, add_workload); any_workload = true; break;
		case 'p': rc = each(p, optarg, add_peer); break;
		case 'e':
			rc = parse_number("--entries", optarg, 1000, 400000000, &p->options.entries);
			break;
		case 'r':
			rc = parse_number("--rounds", optarg, 1, BENCH_MAX_ROUNDS, &n);
			p->options.rounds = rc ? 0 : (uint32_t)n;
			break;
		case 's': rc = parse_number("--seed", optarg, 0, UINT64_MAX, &p->options.seed); break;
		case 'd': dir = optarg; break;
		case 'b': base = optarg; break;
		case 'j': p->options.json = true; break;
		case 'q': p->options.quick = true; break;
		case 'h': usage(stdout); return 1;
		default: return wrong("not an option", argv[optind - 1]);
		}
	}
	if (rc || optind < argc)
		return rc ? rc : wrong("not an option", argv[optind]);
	snprintf(p->options.dir, sizeof(p->options.dir), "%s/duramen-bench-XXXXXX",
	         dir && *dir ? dir : "/var/tmp");
	return complete(p, any_workload, base);
}

/* ---- The run ---- */

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static int prepare(struct plan *p)
{
	size_t size = p->options.entries * sizeof(uint32_t);
	uint32_t i;

	for (i = 0; i < p->peer_count; i++) {
		p->generation[i] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		                        -1, 0);
		if (p->generation[i] == MAP_FAILED)
			return driver_fail("out of memory");
	}
	for (i = 0; i < p->options.rounds; i++) {
		p->results[i] = mmap(NULL, sizeof(struct result) * DRIVERS, PROT_READ | PROT_WRITE,
		                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (p->results[i] == MAP_FAILED)
			return driver_fail("out of memory");
	}
	if (!mkdtemp(p->options.dir))
		return driver_fail("%s: %s", p->options.dir, strerror(errno));
	return 0;
}

/* A file system in memory makes durable commits free: their rows would say nothing. */
static int check_place(const struct plan *p)
{
	char device[64];
	uint32_t w;

	if (!place_in_memory(p->options.dir)) {
		if (!place_device(p->options.dir, device, sizeof(device)))
			fprintf(stderr, "duramen-bench: %s is not there: no rows for device bytes\n",
			        device);
		return 0;
	}
	for (w = 0; w < WORKLOADS; w++)
		if (p->workload[w] && all_workloads[w].durable)
			return driver_fail("%s is in memory, where %s measures nothing: choose another "
			                   "folder with --dir", p->options.dir,
			                   all_workloads[w].name);
	return 0;
}

static void introduce(const struct plan *p)
{
	char version[64], device[64];
	uint32_t i;

	printf("seed %llu; folder %s", (unsigned long long)p->options.seed, p->options.dir);
	if (place_device(p->options.dir, device, sizeof(device)))
		printf("; device bytes from %s (of everybody on this machine)", device);
	printf("\npeers:");
	for (i = 0; i < p->peer_count; i++) {
		p->peers[i]->version(version, sizeof(version));
		printf(" %s %s%s", p->peers[i]->name, version, i + 1 < p->peer_count ? "," : "\n");
	}
	printf("%.0f MB of data: what fits into the processor's cache is measured in it\n",
	       (double)p->options.entries * (DATA_KEY + DATA_VALUE) / 1e6);
	fflush(stdout);
}

static int run(struct plan *p)
{
	bool failed = false;
	uint32_t r, i;

	if (p->one_commit)
		return own_one_commit(p->peers[0], p->options.dir);
	if (check_place(p))
		return -1;
	if (!p->options.json)
		introduce(p);
	for (r = 0; r < p->options.rounds; r++)
		if (!run_round(p, r))
			return driver_fail("interrupted");
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	(p->options.json ? report_json : report_table)(&p->options, p->peers, p->peer_count, p->base,
	                                               p->results);
	for (i = 0; i < p->peer_count; i++)
		failed = failed || p->failed[i];
	return failed ? driver_fail("a peer failed: see above") : 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	static struct plan p;
	int rc;

	p.options.seed = (uint64_t)time(NULL);
	rc = parse(&p, argc, argv);
	if (rc)
		return rc > 0 ? 0 : 2;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	rc = prepare(&p);
	if (!rc) {
		rc = run(&p);
		place_remove(p.options.dir);
	}
	if (rc)
		fprintf(stderr, "duramen-bench: %s\n", driver_message());
	return rc ? 1 : 0;
}
