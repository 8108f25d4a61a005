/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything kept: what a commit adds to the file, and what it costs to read the past. A cold read
 * is one by a new process after the file has left the page cache; no other process has it mapped
 * then, for what is mapped does not leave.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "history.h"

enum { COLD = 20, SCANS = 5, BLOCK = 1000 };

/* Back from the newest by half the history, give or take a twentieth. */
static uint64_t some_old(struct past *past)
{
	uint64_t n = past->commits;

	return n / 2 - n / 20 + data_below(&past->random, n / 10 + 1);
}

/* A block of commits, timed one by one. */
static void commit_block(struct past *past, double *took, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		double start = seconds();
		past_commit(past, 0);
		took[i] = (seconds() - start) * 1e6;
	}
}

/*
 * All commits, a block at a time, and of each block as many to another prefix of the same entries that keeps so
 * few states that nothing of it is packed: what packing beside them costs commits.
 */
static void commit_all(dur_workspace *ws, struct past *past, const struct settings *o)
{
	double *took = calloc(o->commits, sizeof(*took)), *other = calloc(o->commits, sizeof(*other));
	double packed, raw;
	struct past few;

	SURE(took && other, "there is enough memory");
	past_open(&few, ws, "few", "last:4000", o->entries, o->commits, o->seed);
	for (uint64_t i = 0, n; i < o->commits; i += n) {
		n = o->commits - i < BLOCK ? o->commits - i : BLOCK;
		commit_block(past, took + i, n);
		commit_block(&few, other + i, n);
	}
	past_close(&few);
	NEED(dur_drop(ws, "few"));
	packed = median(took, o->commits);
	raw = median(other, o->commits);
	free(took);
	free(other);
	report(&(struct limit){ "durable commit, all kept, p50", "us", packed, 0, false });
	report(&(struct limit){ "the same : where nothing is packed", "x", packed / raw, 1.1, false });
}

static void report_reads(struct past *past, const struct settings *o)
{
	double *took = calloc(o->samples, sizeof(*took)), old[SCANS], newest[SCANS];

	SURE(took, "there is enough memory");
	for (uint32_t i = 0; i < o->samples; i++)
		took[i] = past_get(past, some_old(past)) * 1e6;
	report(&(struct limit){ "open half the history back and get, warm, p50", "us",
		median(took, o->samples), 50, false });
	free(took);
	for (int i = 0; i < SCANS; i++) {
		newest[i] = past_scan(past, past->commits);
		old[i] = past_scan(past, some_old(past));
	}
	report(&(struct limit){ "full scan, newest", "ms", median(newest, SCANS) * 1e3, 0, false });
	report(&(struct limit){ "full scan, old : newest", "x",
		median(newest, SCANS) / median(old, SCANS), 0.25, true });
}

/* What entry 0 was, newest first. */
static double log_once(const struct past *past)
{
	unsigned char key[DATA_KEY];
	dur_change c;
	dur_iter *it;
	uint32_t n = 0;
	double start = seconds();

	data_key(&past->data, 0, key);
	NEED(dur_log(past->prefix, &DUR_BYTES(key, DATA_KEY), NULL, DUR_LATEST, &it));
	while (NEED(dur_next_change(it, &c)) == 0) {
		n++; /* the last row is the load's */
		SURE(data_generation(c.now.ptr) == PAST_RARE + 1 - n, "a log has every change");
	}
	dur_iter_close(it);
	SURE(n == PAST_RARE + 1, "a log ends where the entry was made");
	return seconds() - start;
}

static void report_log(const struct past *past)
{
	double took[SCANS];

	for (int i = 0; i < SCANS; i++)
		took[i] = log_once(past) * 1e3;
	report(&(struct limit){ "log of a key that changed 5 times in all commits", "ms",
		median(took, SCANS), 10, false });
}

/* ---- Cold ---- */

static void leave_cache(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	SURE(fd >= 0 && fsync(fd) == 0, "the page file can be opened and flushed");
	SURE(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "the file leaves the page cache");
	close(fd);
}

/* In a child: attaches, and then opens an old state and gets from it. */
static void cold_child(struct past *past, uint64_t commits, int to)
{
	dur_workspace *ws;
	double took;

	NEED(dur_workspace_open(limits_dir, NULL, &ws));
	NEED(dur_attach(ws, "past", DUR_READ_ONLY, NULL, &past->prefix));
	took = past_get(past, commits);
	SURE(write(to, &took, sizeof(took)) == sizeof(took), "the parent is there");
	_exit(0);
}

/* The prefix is detached. */
static double cold_get(struct past *past)
{
	char path[4096];
	uint64_t commits = some_old(past);
	double took;
	int pipes[2], status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/past.dur", limits_dir);
	leave_cache(path);
	SURE(pipe(pipes) == 0, "there is a pipe");
	past->random++;
	pid = fork();
	SURE(pid >= 0, "there is a process");
	if (pid == 0)
		cold_child(past, commits, pipes[1]);
	close(pipes[1]);
	SURE(read(pipes[0], &took, sizeof(took)) == sizeof(took), "the child has measured");
	close(pipes[0]);
	waitpid(pid, &status, 0);
	return took;
}

static void report_cold(dur_workspace *ws, struct past *past)
{
	double took[COLD];

	NEED(dur_detach(past->prefix));
	for (int i = 0; i < COLD; i++)
		took[i] = cold_get(past) * 1e6;
	report(&(struct limit){ "the same, cold", "us", median(took, COLD), 1000, false });
	NEED(dur_attach(ws, "past", 0, NULL, &past->prefix));
}

/* By the time the last commit is made most is packed; the rest is asked for. */
static void report_packing(struct past *past, const struct settings *o, uint64_t before)
{
	double start = seconds();

	report(&(struct limit){ "file before the last is packed, a commit", "bytes",
		(double)(past_disk_bytes(past, limits_dir) - before) / (double)o->commits, 0, false });
	NEED(dur_pack_history(past->prefix, -1));
	report(&(struct limit){ "packing what was left", "ms", (seconds() - start) * 1e3, 0, false });
	report(&(struct limit){ "file, a commit", "bytes",
		(double)(past_disk_bytes(past, limits_dir) - before) / (double)o->commits, 400, false });
}

void section_past(dur_workspace *ws, const struct settings *o)
{
	uint64_t before;
	struct past past;

	past_open(&past, ws, "past", "all", o->entries, o->commits, o->seed);
	before = past_disk_bytes(&past, limits_dir);
	commit_all(ws, &past, o);
	report_packing(&past, o, before);
	report_reads(&past, o);
	report_log(&past);
	report_cold(ws, &past);
	past_close(&past);
	NEED(dur_drop(ws, "past"));
}
