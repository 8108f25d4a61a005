/* SPDX-License-Identifier: Apache-2.0 */
/*
 * duramen-bench: rounds, the order within them, and the process of each job. bench.h says how they
 * fit together.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench.h"

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
	const struct workload *work = &plan_workloads[w];
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

	for (w = 0; w < PLAN_WORKLOADS; w++)
		needed = needed || (p->workload[w] && !plan_workloads[w].own);
	for (w = 0; w < PLAN_WORKLOADS && go; w++) {
		if (!p->workload[w] && !(plan_workloads[w].loads && needed))
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

/* ---- The run ---- */

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

/* What a library does once a process, jobs inherit when they fork. */
static int start_peers(const struct plan *p)
{
	char dir[4096];
	driver_handle *h;
	uint32_t i;

	snprintf(dir, sizeof(dir), "%s/start", p->options.dir);
	for (i = 0; i < p->peer_count; i++) {
		if (!p->peers[i]->slow_start)
			continue;
		if (mkdir(dir, 0700))
			return driver_fail("%s: %s", dir, strerror(errno));
		if (p->peers[i]->open(p->peers[i], dir, DRIVER_CREATE, &h) || p->peers[i]->close(h))
			return -1;
		place_remove(dir);
	}
	return 0;
}

static int prepare(struct plan *p)
{
	size_t size = p->options.entries * sizeof(uint32_t);
	uint32_t i;

	for (i = 0; i < p->peer_count; i++) {
		p->generation[i] = mmap(NULL, size, PROT_READ | PROT_WRITE,
		                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (p->generation[i] == MAP_FAILED)
			return driver_fail("out of memory");
	}
	for (i = 0; i < p->options.rounds; i++) {
		p->results[i] = mmap(NULL, sizeof(struct result) * PLAN_DRIVERS,
		                     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
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
			fprintf(stderr, "duramen-bench: no %s: no rows for device bytes\n", device);
		return 0;
	}
	for (w = 0; w < PLAN_WORKLOADS; w++)
		if (p->workload[w] && plan_workloads[w].durable)
			return driver_fail("%s is in memory, where %s measures nothing: choose "
			                   "another folder with --dir",
			                   p->options.dir, plan_workloads[w].name);
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
	if (start_peers(p))
		return -1;
	if (!p->options.json)
		introduce(p);
	for (r = 0; r < p->options.rounds; r++)
		if (!run_round(p, r))
			return driver_fail("interrupted");
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	(p->options.json ? report_json : report_table)(p);
	for (i = 0; i < p->peer_count; i++)
		failed = failed || p->failed[i];
	return failed ? driver_fail("a peer failed: see above") : 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	static struct plan p;
	int rc;

	rc = plan_parse(&p, argc, argv);
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
