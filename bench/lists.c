/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of integers, through the public header, in transactions that are committed without a flush: what
 * is timed is the work in memory. Duramen only: none of the peers has lists.
 */
#include <duramen.h>
#include <stdio.h>
#include "bench.h"

enum { SPLICES = 101 };

static int failed(const char *what, int rc)
{
	return driver_fail("duramen: %s: %s", what, rc < 0 ? dur_message() : "a wrong result");
}

static uint64_t pick(struct job *j, uint64_t n)
{
	j->random ^= j->random << 13;
	j->random ^= j->random >> 7;
	j->random ^= j->random << 17;
	return j->random % n;
}

static void rate(struct job *j, enum metric m, uint64_t n, int64_t start)
{
	job_measured(j, m, (double)n * 1e9 / (double)(place_now() - start));
}

/* Two lists, each in a transaction of its own. */
static int append(struct job *j, dur_prefix *p, uint64_t n)
{
	static const char *const names[2] = { "a", "b" };
	int rc = 0;

	for (unsigned k = 0; k < 2 && !rc; k++) {
		dur_view *txn;
		dur_coll list;

		rc = dur_begin(p, NULL, &txn);
		if (rc)
			break;
		rc = dur_make(dur_root(txn), &DUR_STR(names[k]), DUR_LIST, &list);
		int64_t start = place_now();
		for (uint64_t i = 0; i < n && !rc; i++)
			rc = dur_append(list, &DUR_INT((int64_t)i));
		rate(j, M_LISTAPPEND, n, start);
		if (!rc)
			rc = dur_commit(txn, &(dur_commit_options){ .flags = DUR_ASYNC }, NULL);
		dur_close(txn);
	}
	return rc ? failed("appending to a list", rc) : 0;
}

static int get(struct job *j, dur_prefix *p, uint64_t n)
{
	dur_view *snap;
	dur_coll list;
	dur_value v;
	int rc = dur_snapshot(p, DUR_LATEST, NULL, &snap);

	if (rc)
		return failed("dur_snapshot", rc);
	rc = dur_enter(dur_root(snap), &DUR_STR("a"), &list);
	for (unsigned turn = 0; turn < 2 && !rc; turn++) {      /* the first time pages are met */
		int64_t start = place_now();
		for (uint64_t i = 0; i < n && !rc; i++) {
			rc = dur_get(list, &DUR_INT((int64_t)i), &v);
			if (!rc && v.i != (int64_t)i)
				rc = 1;
		}
		rate(j, M_LISTGET, n, start);
	}
	int64_t start = place_now();
	for (uint64_t i = 0; i < n && !rc; i++) {
		uint64_t at = pick(j, n);
		rc = dur_get(list, &DUR_INT((int64_t)at), &v);
		if (!rc && v.i != (int64_t)at)
			rc = 1;
	}
	rate(j, M_LISTRANDGET, n, start);
	dur_close(snap);
	return rc ? failed("reading a list", rc) : 0;
}

static int insert(struct job *j, dur_prefix *p, uint64_t n)
{
	dur_view *txn;
	dur_coll list;
	int rc = dur_begin(p, NULL, &txn);

	if (rc)
		return failed("dur_begin", rc);
	rc = dur_make(dur_root(txn), &DUR_STR("a"), DUR_LIST, &list);
	int64_t start = place_now();
	for (uint64_t i = 0; i < n / 3 && !rc; i++)
		rc = dur_insert(list, (int64_t)pick(j, n), &DUR_INT((int64_t)i), 1);
	rate(j, M_LISTINSERT, n / 3, start);
	dur_close(txn);
	return rc ? failed("inserting into a list", rc) : 0;
}

/* Half of a list into an empty one, and one list behind the other; each in a fresh transaction. */
static int splice(struct job *j, dur_prefix *p, uint64_t n, bool slice)
{
	int64_t ns[SPLICES];
	int rc = 0;

	for (unsigned k = 0; k < SPLICES && !rc; k++) {
		dur_value from = DUR_INT((int64_t)pick(j, n / 2));
		dur_range half = { .from = &from, .limit = n / 2 };
		dur_coll a, b, to;
		dur_view *txn;

		rc = dur_begin(p, NULL, &txn);
		if (rc)
			break;
		rc = dur_make(dur_root(txn), &DUR_STR("a"), DUR_LIST, &a);
		if (!rc)
			rc = dur_make(dur_root(txn), &DUR_STR("b"), DUR_LIST, &b);
		if (!rc)
			rc = dur_make(dur_root(txn), &DUR_STR("c"), DUR_LIST, &to);
		int64_t start = place_now();
		if (!rc)
			rc = slice ? dur_splice(to, 0, a, &half) : dur_splice(a, (int64_t)n, b, NULL);
		ns[k] = place_now() - start;
		dur_close(txn);
	}
	if (rc)
		return failed("dur_splice", rc);
	enum metric m = slice ? M_LISTSLICE : M_LISTCONCAT;
	job_latencies(j, m, ns, SPLICES);
	job_measured(j, m, j->result->m[m].p50);
	return 0;
}

int job_list(struct job *j)
{
	uint64_t n = j->options->entries;
	dur_workspace *ws;
	dur_prefix *p;
	int rc = dur_workspace_open(j->scratch, NULL, &ws);

	if (!rc)
		rc = dur_attach(ws, "lists", DUR_CREATE | DUR_EXCLUSIVE, NULL, &p);
	if (rc)
		return failed("dur_attach", rc);
	rc = append(j, p, n);
	if (!rc)
		rc = get(j, p, n);
	if (!rc)
		rc = insert(j, p, n);
	if (!rc)
		rc = splice(j, p, n, true);
	if (!rc)
		rc = splice(j, p, n, false);
	dur_detach(p);
	dur_workspace_close(ws);
	return rc;
}
