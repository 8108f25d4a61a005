/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `duramen load` of NDJSON, all of it, beside parsing the same file alone: with jansson, which
 * makes a tree of values of each line; with the command's own reader, which makes those that are
 * put; and with what is below that, events that only tell what stands there. Each in a process of
 * its own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench/data.h"
#include "nested.h"
#include "parse.h"

enum way { LOAD, JANSSON, VALUES, EVENTS, WAYS };
enum { MB = 1000000 };

struct text {
	char path[4100], duramen[4096];
	uint64_t lines, bytes;
};

struct took {
	double wall, cpu;
};

/* An account as an API might give it: some 200 bytes, with an object and an array in it. */
static int write_line(FILE *f, uint64_t i)
{
	static const char *const cities[] = { "Z\u00fcrich", "Genève", "Basel", "Lausanne",
		                              "Bern" };
	static const char *const tags[] = { "", "\"new\"", "\"new\",\"paid\"",
		                            "\"paid\",\"team\",\"beta\"" };
	uint64_t random = data_mix(i + 1);

	return fprintf(f,
	               "{\"key\":\"user-%09llu\",\"value\":{\"id\":%llu,\"name\":\"user %08x\","
	               "\"email\":\"u%llu@example.org\",\"active\":%s,\"balance\":%d.%02u,"
	               "\"address\":{\"city\":\"%s\",\"zip\":\"%05u\"},\"tags\":[%s]}}\n",
	               (unsigned long long)i, (unsigned long long)i, (unsigned)random,
	               (unsigned long long)i, random & 1 ? "true" : "false",
	               (int)(random >> 8 & 0xffff) - 0x8000, (unsigned)(random >> 24) % 100,
	               cities[(random >> 32) % 5], (unsigned)(random >> 40) % 100000,
	               tags[(random >> 60) & 3]);
}

static void make_text(struct text *t, const struct settings *o)
{
	ssize_t n = readlink("/proc/self/exe", t->duramen, sizeof(t->duramen) - 1);
	char *name;
	FILE *f;

	SURE(n > 0, "this program has a path");
	t->duramen[n] = '\0';
	name = strrchr(t->duramen, '/') + 1;
	snprintf(name, sizeof(t->duramen) - (size_t)(name - t->duramen), "duramen");
	SURE(access(t->duramen, X_OK) == 0, "the duramen command lies beside this program");
	snprintf(t->path, sizeof(t->path), "%s/text.ndjson", limits_dir);
	f = fopen(t->path, "w");
	SURE(f, "a file of text can be made");
	while (t->bytes < o->text * MB) {
		int len = write_line(f, t->lines++);
		SURE(len > 0, "the text can be written");
		t->bytes += (uint64_t)len;
	}
	SURE(fflush(f) == 0 && fdatasync(fileno(f)) == 0 && fclose(f) == 0,
	     "the text can be written");
}

static bool (*const parse[WAYS])(const char *path, uint64_t lines) = {
	[JANSSON] = parse_jansson, [VALUES] = parse_values, [EVENTS] = parse_events,
};

static _Noreturn void child(const struct text *t, enum way way)
{
	if (way == LOAD) {
		execl(t->duramen, "duramen", "--root", limits_dir, "load", "load", t->path,
		      (char *)NULL);
		_exit(127);
	}
	_exit(parse[way](t->path, t->lines) ? 0 : 1);
}

static struct took run(const struct text *t, enum way way)
{
	double start = seconds();
	pid_t pid = fork();
	struct rusage u;
	struct took took;
	int status = 0, waited;

	if (pid == 0)
		child(t, way);
	do
		waited = wait4(pid, &status, 0, &u);
	while (waited < 0 && errno == EINTR);
	took.wall = seconds() - start;
	SURE(waited == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0,
	     "the text is read whole");
	took.cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
	return took;
}

static struct took load(dur_workspace *ws, const struct text *t)
{
	struct took took;
	dur_prefix *p;
	dur_view *snap;
	uint64_t n;

	NEED(dur_attach(ws, "load", DUR_CREATE, &(dur_attach_options){ .keep = "last:1" }, &p));
	took = run(t, LOAD);
	NEED(dur_snapshot(p, DUR_LATEST, NULL, &snap));
	NEED(dur_count(dur_root(snap), NULL, &n));
	SURE(n == t->lines, "every line is an entry");
	dur_close(snap);
	NEED(dur_detach(p));
	NEED(dur_drop(ws, "load"));
	return took;
}

void section_load(dur_workspace *ws, const struct settings *o)
{
	/* The rate; then of each way of parsing its time, processor time too, through the load's. */
	enum { ROWS = 1 + 2 * (WAYS - 1) };
	static const struct limit rows[ROWS] = {
		{ "load of NDJSON, 1000 entries a durable commit", "MB/s", 0, 0, true },
		{ "load : parsing alone, jansson", "x", 0, 0.5, true },
		{ "  in processor time", "x", 0, 0, true },
		{ "load : parsing alone, own values", "x", 0, 0.5, true },
		{ "  in processor time", "x", 0, 0, true },
		{ "load : parsing alone, own events", "x", 0, 0, true },
		{ "  in processor time", "x", 0, 0, true },
	};
	double *got[ROWS];
	struct text t = { .lines = 0 };
	struct took took[WAYS];

	for (int i = 0; i < ROWS; i++)
		SURE(got[i] = calloc(o->rounds, sizeof(double)), "there is enough memory");
	make_text(&t, o);
	for (uint64_t i = 0; i < o->rounds; i++) {
		for (unsigned j = 0; j < WAYS; j++) {
			enum way way = (enum way)((i + j) % WAYS);
			took[way] = way == LOAD ? load(ws, &t) : run(&t, way);
		}
		got[0][i] = (double)t.bytes / MB / took[LOAD].wall;
		for (int way = JANSSON; way < WAYS; way++) {
			got[2 * way - 1][i] = took[way].wall / took[LOAD].wall;
			got[2 * way][i] = took[way].cpu / took[LOAD].cpu;
		}
	}
	for (int i = 0; i < ROWS; i++) {
		report_rounds(rows[i], got[i], o->rounds);
		free(got[i]);
	}
}
