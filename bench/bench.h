/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness of duramen-bench. A round runs every workload; a workload runs every peer once, in an
 * order that rotates, each as a job in a process of its own that opens the peer's folder anew. So
 * what disturbs the machine meets all peers alike, no peer inherits another's memory, and one that
 * crashes takes nothing with it. Only ratios within a round are compared: see docs/performance.md.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "data.h"
#include "driver.h"

#define BENCH_MAX_ROUNDS 99u

/* What is measured: a row of the report. */
enum metric {
	M_SEQLOAD, M_SEQSIZE, M_RANDLOAD, M_RANDSIZE, M_GET, M_GETMANY, M_SCAN, M_SNAP, M_SNAPHOT,
	M_COMMIT1, M_DEVICE1, M_COMMIT100, M_DEVICE100, M_READS, M_COMMITS, M_WAKE, M_WAKEDURABLE,
	M_ATTACHSMALL, M_ATTACHBIG, M_ATTACHRATIO, M_LISTAPPEND, M_LISTGET, M_LISTRANDGET,
	M_LISTINSERT, M_LISTSLICE, M_LISTCONCAT, METRICS
};

struct metric_info {
	const char *name, *unit;
	bool        less;       /* less is better */
};
extern const struct metric_info metric_info[METRICS];

struct measured {
	bool   set, latencies;
	double value;
	double p50, p99;        /* us, if latencies */
};

/* In memory that the job's process shares with the harness. */
struct result {
	bool            done;
	struct measured m[METRICS];
	char            error[512];
};

struct options {
	uint64_t entries;
	uint64_t seed;
	uint32_t rounds;
	bool     quick, json;
	char     dir[4000];     /* a folder made for this run, removed at its end */
};

/* One workload, one peer, one round. */
struct job {
	const struct options *options;
	const struct driver  *driver;
	uint32_t              round;    /* 0.. */
	struct data           data;
	uint32_t             *generation;       /* of each entry in this peer's table */
	uint64_t              random;           /* state of the sequence that picks entries */
	char                  table[4096];      /* the peer's folder: the table that seqload made */
	char                  scratch[4096];    /* an empty folder, removed after the job */
	struct result        *result;
};

struct workload {
	const char *name, *about;
	int       (*run)(struct job *j);        /* 0, or -1 after driver_fail() */
	bool        own;        /* Duramen only: under "last:1" */
	bool        durable;    /* says nothing on a file system in memory */
	bool        loads;      /* makes the table that others need */
};

#define PLAN_DRIVERS   6u
#define PLAN_WORKLOADS 12u

/* What the command line asks for, and what came of it. */
struct plan {
	struct options options;
	bool           workload[PLAN_WORKLOADS];
	bool           one_commit;
	const struct driver *peers[PLAN_DRIVERS];
	uint32_t       peer_count;
	uint32_t       base;            /* the peer that the others are compared with */
	bool           failed[PLAN_DRIVERS];
	uint32_t      *generation[PLAN_DRIVERS];
	struct result *results[BENCH_MAX_ROUNDS];       /* of a round: one a peer */
};

extern const struct workload plan_workloads[PLAN_WORKLOADS];

/* options.c. 0; 1: nothing more to do; -1: wrong, and the user was told. */
int plan_parse(struct plan *p, int argc, char **argv);

/* jobs.c */
int job_seqload(struct job *j);
int job_randload(struct job *j);
int job_get(struct job *j);
int job_get_many(struct job *j);
int job_scan(struct job *j);
int job_snap(struct job *j);
int job_commit1(struct job *j);
int job_commit100(struct job *j);
/* Scans everything in a snapshot and compares it with what was put. */
int job_verify(struct job *j, driver_handle *h);
/* Puts entry i with a fresh value, as the next generation, into the open transaction. */
int job_put_fresh(struct job *j, driver_handle *h, uint64_t i);
void job_measured(struct job *j, enum metric m, double value);
/* Sets p50 and p99 from n latencies in ns; sorts them. */
void job_latencies(struct job *j, enum metric m, int64_t *ns, size_t n);

/* readers.c: one writer, two readers */
int job_readers2(struct job *j);

/* own.c: what only Duramen has */
int job_wake(struct job *j);
int job_attach(struct job *j);
/* One durable commit of one key between two write(2) calls to no descriptor: for strace. */
int own_one_commit(const struct driver *d, const char *dir);

/* lists.c */
int job_list(struct job *j);

/* place.c: the folder, its file system, its device */
int64_t place_now(void);                                /* monotonic, in ns */
bool place_in_memory(const char *dir);                  /* tmpfs or the like */
bool place_device(const char *dir, char *name, size_t size);    /* can its writes be counted? */
bool place_written(const char *dir, uint64_t *bytes);   /* by the device, since it started */
int place_size(const char *dir, uint64_t *bytes);       /* of all files, flushed first */
int place_remove(const char *dir);                      /* a folder with all that is in it */

/* report.c */
void report_table(const struct plan *p);
void report_json(const struct plan *p);

#endif /* BENCH_BENCH_H */
