/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One writer with durable commits of one put, and two readers that do random gets, a fresh snapshot
 * for each hundred. Readers are processes, or threads of the writer's process for peers that cannot
 * share a table between processes.
 *
 * Every other commit writes entry 0, the clock. Its generation must never go back for a reader, and
 * a snapshot opened after the last commit must show the last one: a reader that looks at old data
 * would be fast and wrong.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>
#include "bench.h"

#define READERS 2u
#define GETS_A_SNAPSHOT 100u

enum stage { STAGE_WAIT, STAGE_OPEN, STAGE_READ, STAGE_STOP };

struct reader {
	_Atomic uint32_t ready, done;
	uint64_t gets;
	int64_t  ns;
	uint32_t clocks;        /* how often the clock had moved on */
	char     error[512];
};

struct shared {
	_Atomic uint32_t stage;
	_Atomic uint32_t last_clock;
	struct reader reader[READERS];
};

struct thread {
	struct job     job;     /* a copy: with its own random sequence */
	struct shared *shared;
	struct reader *me;
	driver_handle *writer;
	pthread_t      id;
	bool           started;
};

static void wait_for(const _Atomic uint32_t *word, uint32_t at_least)
{
	while (atomic_load(word) < at_least)
		usleep(200);
}

static int read_clock(struct job *j, driver_handle *h, uint32_t *clock)
{
	unsigned char key[DATA_KEY];
	const unsigned char *value;

	data_key(&j->data, 0, key);
	if (j->driver->get(h, key, &value))
		return -1;
	if (!data_is(0, value, DATA_VALUE))
		return driver_fail("%s: a reader got a wrong value", j->driver->name);
	if (data_generation(value) < *clock)
		return driver_fail("%s: a reader's snapshot is older than its last one",
		                   j->driver->name);
	*clock = data_generation(value);
	return 0;
}

static int read_snapshot(struct job *j, driver_handle *h, struct reader *me, uint32_t *clock)
{
	unsigned char key[DATA_KEY];
	const unsigned char *value;
	uint32_t g, before = *clock;

	if (j->driver->snap(h) || read_clock(j, h, clock))
		return -1;
	me->clocks += *clock != before;
	for (g = 1; g < GETS_A_SNAPSHOT; g++) {
		uint64_t i = data_below(&j->random, j->data.entries);

		data_key(&j->data, i, key);
		if (j->driver->get(h, key, &value))
			return -1;
		if (!data_is(i, value, DATA_VALUE))
			return driver_fail("%s: a reader got a wrong value", j->driver->name);
	}
	me->gets += GETS_A_SNAPSHOT;
	return j->driver->end(h);
}

static int read_all(struct job *j, driver_handle *h, struct shared *s, struct reader *me)
{
	uint32_t clock = 0;
	int64_t start;
	int n;

	for (n = 0; n < 1000; n++)
		if (read_snapshot(j, h, me, &clock))
			return -1;
	atomic_store(&me->ready, 1);
	wait_for(&s->stage, STAGE_READ);
	me->gets = 0;
	me->clocks = 0;
	start = place_now();
	while (atomic_load_explicit(&s->stage, memory_order_relaxed) != STAGE_STOP)
		if (read_snapshot(j, h, me, &clock))
			return -1;
	me->ns = place_now() - start;
	if (read_snapshot(j, h, me, &clock))
		return -1;
	if (clock != atomic_load(&s->last_clock))
		return driver_fail("%s: a new snapshot does not show the last commit",
		                   j->driver->name);
	return 0;
}

static void reader_run(struct job *j, driver_handle *writer, struct shared *s, struct reader *me)
{
	driver_handle *h = NULL;
	int rc;

	wait_for(&s->stage, STAGE_OPEN);
	rc = writer ? j->driver->join(writer, &h)
	            : j->driver->open(j->driver, j->table, DRIVER_READER, &h);
	if (!rc)
		rc = read_all(j, h, s, me);
	if (!rc)
		rc = j->driver->close(h);
	if (rc)
		snprintf(me->error, sizeof(me->error), "%s", driver_message());
	atomic_store(&me->ready, 1);
	atomic_store(&me->done, 1);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	reader_run(&t->job, t->writer, t->shared, t->me);
	return NULL;
}

/* Commits until the time is over or a reader has failed. */
static int write_all(struct job *j, driver_handle *h, struct shared *s)
{
	int64_t length = j->options->quick ? 250000000 : 3000000000, start = place_now();
	uint64_t commits = 0;

	atomic_store(&s->stage, STAGE_READ);
	while (place_now() - start < length && !atomic_load(&s->reader[0].done) &&
	       !atomic_load(&s->reader[1].done)) {
		uint64_t i = commits % 2 == 0 ? 0 : data_below(&j->random, j->data.entries);

		if (j->driver->begin(h) || job_put_fresh(j, h, i) || j->driver->commit(h))
			return -1;
		commits++;
	}
	job_measured(j, M_COMMITS, (double)commits * 1e9 / (double)(place_now() - start));
	atomic_store(&s->last_clock, j->generation[0]);
	return 0;
}

static int collect(struct job *j, const struct shared *s)
{
	double reads = 0;
	uint32_t r;

	for (r = 0; r < READERS; r++) {
		const struct reader *one = &s->reader[r];

		if (one->error[0])
			return driver_fail("%s", one->error);
		if (one->clocks == 0)
			return driver_fail("%s: a reader never saw a commit", j->driver->name);
		reads += (double)one->gets * 1e9 / (double)(one->ns > 0 ? one->ns : 1);
	}
	job_measured(j, M_READS, reads);
	return 0;
}

static void fork_readers(struct job *j, struct shared *s, pid_t pid[READERS])
{
	uint32_t r;

	for (r = 0; r < READERS; r++) {
		pid[r] = fork();
		if (pid[r] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			j->random += r + 1;
			reader_run(j, NULL, s, &s->reader[r]);
			_exit(0);
		}
		if (pid[r] < 0) {
			snprintf(s->reader[r].error, sizeof(s->reader[r].error), "fork failed");
			atomic_store(&s->reader[r].ready, 1);
			atomic_store(&s->reader[r].done, 1);
		}
	}
}

static void start_threads(struct job *j, driver_handle *h, struct shared *s,
                          struct thread thread[READERS])
{
	uint32_t r;

	for (r = 0; r < READERS; r++) {
		struct thread *t = &thread[r];

		*t = (struct thread){ .job = *j, .shared = s, .me = &s->reader[r], .writer = h };
		t->job.random += r + 1;
		t->started = pthread_create(&t->id, NULL, thread_main, t) == 0;
		if (!t->started) {
			snprintf(t->me->error, sizeof(t->me->error), "pthread_create failed");
			atomic_store(&t->me->ready, 1);
			atomic_store(&t->me->done, 1);
		}
	}
}

/* The readers are told to stop whatever happened to the writer. */
static int write_beside(struct job *j, driver_handle *h, struct shared *s)
{
	uint32_t r;
	int rc;

	atomic_store(&s->stage, STAGE_OPEN);
	for (r = 0; r < READERS; r++)
		wait_for(&s->reader[r].ready, 1);
	rc = write_all(j, h, s);
	atomic_store(&s->stage, STAGE_STOP);
	return rc;
}

int job_readers2(struct job *j)
{
	struct shared *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
	                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct thread thread[READERS];
	pid_t pid[READERS];
	driver_handle *h = NULL;
	uint32_t r;
	int rc;

	if (s == MAP_FAILED)
		return driver_fail("out of memory");
	if (!j->driver->threads)
		fork_readers(j, s, pid);        /* before anything is open here */
	if (j->driver->open(j->driver, j->table, 0, &h) || job_verify(j, h))
		return -1;
	if (j->driver->threads)
		start_threads(j, h, s, thread);
	rc = write_beside(j, h, s);
	for (r = 0; r < READERS; r++) {
		if (j->driver->threads && thread[r].started)
			pthread_join(thread[r].id, NULL);
		else if (!j->driver->threads && pid[r] > 0)
			waitpid(pid[r], NULL, 0);
	}
	if (!rc)
		rc = collect(j, s);
	if (!rc)
		rc = job_verify(j, h);
	if (j->driver->close(h))
		rc = -1;
	munmap(s, sizeof(*s));
	return rc;
}
