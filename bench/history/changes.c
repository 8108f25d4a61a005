/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between states: the time of a diff with few and with many changes in a large prefix,
 * and of making the newest state what an old one was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "history.h"

enum { DIFFS = 11, FEW = 10, MANY = 10000, FAR_BACK = 10000 };

/* A commit of so many entries, each once. Its number is the number of the last one put. */
static void change(struct past *past, uint64_t n, uint64_t *state)
{
	unsigned char key[DATA_KEY], value[DATA_VALUE];
	uint64_t step = past->data.entries / n;
	dur_view *txn;

	NEED(dur_begin(past->prefix, NULL, &txn));
	for (uint64_t i = 0; i < n; i++) {
		uint64_t entry = i * step + data_below(&past->random, step);

		data_key(&past->data, entry, key);
		data_value(&past->data, entry, ++past->generation[entry], value);
		NEED(dur_put(dur_root(txn), &DUR_BYTES(key, DATA_KEY),
		             &DUR_BYTES(value, DATA_VALUE)));
	}
	NEED(dur_commit(txn, NULL, state));
	dur_close(txn);
}

/* Runs a diff and counts. Seconds. */
static double diff(dur_prefix *p, uint64_t a, uint64_t b, uint64_t *n, uint64_t *pages)
{
	dur_view *old, *now;
	dur_view_cost cost[2];
	dur_change c;
	dur_iter *it;
	double start, took;

	NEED(dur_snapshot(p, a, NULL, &old));
	NEED(dur_snapshot(p, b, NULL, &now));
	*n = 0;
	start = seconds();
	NEED(dur_diff(dur_root(old), dur_root(now), NULL, &it));
	while (NEED(dur_next_change(it, &c)) == 0) {
		SURE(c.kind == DUR_CHANGED && c.old.len == DATA_VALUE && c.now.len == DATA_VALUE,
		     "a change is one of a value");
		++*n;
	}
	dur_iter_close(it);
	took = seconds() - start;
	NEED(dur_cost(old, &cost[0]));
	NEED(dur_cost(now, &cost[1]));
	*pages = cost[0].pages_read + cost[1].pages_read;
	dur_close(now);
	dur_close(old);
	return took;
}

static void report_diff(struct past *past, uint64_t changes, double limit_ms, double limit_pages)
{
	double took[DIFFS];
	uint64_t before = past->state[0], after, n, pages = 0;
	char name[64];

	change(past, changes, &after);
	past->state[0] = after;
	for (int i = 0; i < DIFFS; i++) {
		took[i] = diff(past->prefix, before, after, &n, &pages) * 1e3;
		SURE(n == changes, "a diff has every change");
	}
	snprintf(name, sizeof(name), "diff with %llu changes", (unsigned long long)changes);
	report(&(struct limit){ name, "ms", median(took, DIFFS), limit_ms, false });
	snprintf(name, sizeof(name), "diff with %llu changes, read", (unsigned long long)changes);
	report(&(struct limit){ name, "pages", (double)pages, limit_pages, false });
}

/* ---- Restore ---- */

/* Puts what a diff says into a transaction that comes to nothing: what writing alone costs. */
static double write_again(dur_prefix *p, uint64_t from, uint64_t to)
{
	struct kept { unsigned char key[DATA_KEY], value[DATA_VALUE]; } *list = NULL;
	size_t n = 0, cap = 0;
	dur_view *old, *now, *txn;
	dur_value key, value;
	double start, took;
	dur_iter *a, *b;
	dur_value was;

	NEED(dur_snapshot(p, to, NULL, &old));
	NEED(dur_snapshot(p, from, NULL, &now));
	NEED(dur_scan(dur_root(old), NULL, &a));
	NEED(dur_scan(dur_root(now), NULL, &b));
	while (NEED(dur_next(a, &key, &value)) == 0) {
		NEED(dur_next(b, NULL, &was));
		if (memcmp(value.ptr, was.ptr, DATA_VALUE) == 0)
			continue;
		if (n == cap) {
			cap = cap ? cap * 2 : 1024;
			list = realloc(list, cap * sizeof(*list));
			SURE(list, "there is enough memory");
		}
		memcpy(list[n].key, key.ptr, DATA_KEY);
		memcpy(list[n++].value, value.ptr, DATA_VALUE);
	}
	dur_close(now);
	dur_close(old);
	NEED(dur_begin(p, NULL, &txn));
	start = seconds();
	for (size_t i = 0; i < n; i++)
		NEED(dur_put(dur_root(txn), &DUR_BYTES(list[i].key, DATA_KEY),
		             &DUR_BYTES(list[i].value, DATA_VALUE)));
	took = seconds() - start;
	dur_close(txn);
	free(list);
	return took;
}

static double restore(dur_prefix *p, uint64_t to, uint64_t *made, double *commit)
{
	dur_view *txn, *snap;
	double start, took;

	NEED(dur_snapshot(p, to, NULL, &snap));
	NEED(dur_begin(p, NULL, &txn));
	start = seconds();
	NEED(dur_restore(txn, snap));
	took = seconds() - start;
	start = seconds();
	NEED(dur_commit(txn, NULL, made));
	*commit = seconds() - start;
	dur_close(txn);
	dur_close(snap);
	return took;
}

static void report_restore(dur_workspace *ws, const struct settings *o)
{
	uint64_t commits = o->commits < FAR_BACK ? o->commits : FAR_BACK, n, pages, made;
	double compare, writing, took, commit;
	struct past past;

	past_open(&past, ws, "restored", "all", o->entries, commits, o->seed);
	for (uint64_t i = 0; i < commits; i++)
		past_commit(&past, DUR_ASYNC);
	NEED(dur_sync(past.prefix, DUR_LATEST, -1));
	uint64_t then = past.state[0], newest = past.state[commits];
	compare = diff(past.prefix, then, newest, &n, &pages);
	writing = write_again(past.prefix, newest, then);
	took = restore(past.prefix, then, &made, &commit);
	report(&(struct limit){ "diff over 10,000 commits", "ms", compare * 1e3, 0, false });
	report(&(struct limit){ "restore over them", "ms", took * 1e3, 0, false });
	report(&(struct limit){ "its commit", "ms", commit * 1e3, 0, false });
	report(&(struct limit){ "restore 10,000 commits back : 3 diffs and the puts", "x",
		took / (3 * compare + writing), 1, false });
	diff(past.prefix, then, made, &n, &pages);
	SURE(n == 0, "what was restored is what was");
	past_scan(&past, commits);      /* history before it is intact */
	past_scan(&past, commits / 2);
	past.state[0] = made;
	past_scan(&past, 0);
	past_close(&past);
	NEED(dur_drop(ws, "restored"));
}

void section_changes(dur_workspace *ws, const struct settings *o)
{
	struct past past;

	past_open(&past, ws, "big", "all", o->big, 0, o->seed);
	report_diff(&past, FEW, 1, 100);
	report_diff(&past, MANY < o->big / 3 ? MANY : o->big / 3, 50, 0);
	past_close(&past);
	NEED(dur_drop(ws, "big"));
	report_restore(ws, o);
}
