/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cloning a large map: in the transaction that made it, in a later one, and from an old state; and going
 * back to that.
 */
#include <stdio.h>
#include <stdlib.h>
#include "nested.h"

enum { CLONES = 200 };

/* Median of many; *first: the first one, which finds nothing in the caches. */
static double clones(dur_view *txn, dur_coll map, const char *what, double *first)
{
	double took[CLONES];
	char name[64];

	for (unsigned i = 0; i < CLONES; i++) {
		double start;
		snprintf(name, sizeof(name), "%s %u", what, i);
		start = seconds();
		NEED(dur_put(dur_root(txn), &DUR_STR(name), &DUR_COLL(map)));
		took[i] = seconds() - start;
	}
	*first = took[0] * 1e6;
	return median(took, CLONES) * 1e6;
}

static void measure(dur_workspace *ws, const char *name, uint64_t entries)
{
	char row[80];
	dur_prefix *p;
	dur_view *txn;
	dur_coll map;
	uint64_t n;
	double us, first;

	NEED(dur_attach(ws, name, DUR_CREATE, &(dur_attach_options){ .keep = "last:1" }, &p));
	NEED(dur_begin(p, NULL, &txn));
	NEED(dur_make(dur_root(txn), &DUR_STR("map"), DUR_MAP, &map));
	for (uint64_t i = 0; i < entries; i++)
		NEED(dur_put(map, &DUR_INT((int64_t)i), &DUR_INT((int64_t)(i * i))));
	us = clones(txn, map, "young", &first);
	snprintf(row, sizeof(row), "clone of %llu entries, same transaction",
	         (unsigned long long)entries);
	report(&(struct limit){ row, "us", us, 10, false });
	report(&(struct limit){ "  the first one", "us", first, 10, false });
	NEED(dur_commit(txn, NULL, NULL));
	dur_close(txn);
	NEED(dur_begin(p, NULL, &txn));
	NEED(dur_enter(dur_root(txn), &DUR_STR("map"), &map));
	us = clones(txn, map, "old", &first);
	snprintf(row, sizeof(row), "clone of %llu entries, later",
	         (unsigned long long)entries);
	report(&(struct limit){ row, "us", us, 10, false });
	report(&(struct limit){ "  the first one", "us", first, 10, false });
	NEED(dur_del(map, &DUR_INT(0)));
	NEED(dur_enter(dur_root(txn), &DUR_STR("old 7"), &map));
	NEED(dur_count(map, NULL, &n));
	SURE(n == entries, "a clone is not its source");
	NEED(dur_commit(txn, NULL, NULL));
	dur_close(txn);
	NEED(dur_detach(p));
}

/* Commits, and tells what was done since start. */
static void old_row(dur_view *txn, const char *row, double start)
{
	double took = seconds() - start;
	dur_view_cost cost;

	NEED(dur_commit(txn, NULL, NULL));
	NEED(dur_cost(txn, &cost));
	report(&(struct limit){ row, "ms", took * 1e3, 0, false });
	report(&(struct limit){ "  pages written", "", (double)cost.written_bytes / 4096, 0, false });
	dur_close(txn);
}

static void change_some(dur_prefix *p, uint64_t entries)
{
	enum { CHANGES = 10 };
	dur_coll map;
	dur_view *txn;

	NEED(dur_begin(p, NULL, &txn));
	NEED(dur_enter(dur_root(txn), &DUR_PATH("/in/map"), &map));
	for (uint64_t i = 0; i < CHANGES; i++)
		NEED(dur_put(map, &DUR_INT((int64_t)(i * entries / CHANGES)), &DUR_INT(-1)));
	NEED(dur_commit(txn, NULL, NULL));
	dur_close(txn);
}

static int64_t first_of(dur_view *v, const char *path)
{
	dur_value value;

	NEED(dur_get(dur_root(v), &DUR_PATH(path), &value));
	return value.i;
}

/* A map within another one, of an old state. */
static void measure_old(dur_workspace *ws, uint64_t entries)
{
	dur_view *txn, *snap;
	dur_coll map, old;
	dur_prefix *p;
	uint64_t state;
	double start;

	NEED(dur_attach(ws, "old", DUR_CREATE, NULL, &p));
	NEED(dur_begin(p, NULL, &txn));
	NEED(dur_make(dur_root(txn), &DUR_STR("in"), DUR_MAP, &map));
	NEED(dur_make(map, &DUR_STR("map"), DUR_MAP, &map));
	for (uint64_t i = 0; i < entries; i++)
		NEED(dur_put(map, &DUR_INT((int64_t)i), &DUR_INT((int64_t)i + 7)));
	NEED(dur_commit(txn, NULL, &state));
	dur_close(txn);
	change_some(p, entries);
	NEED(dur_snapshot(p, state, NULL, &snap));
	NEED(dur_enter(dur_root(snap), &DUR_PATH("/in/map"), &old));
	NEED(dur_begin(p, NULL, &txn));
	start = seconds();
	NEED(dur_put(dur_root(txn), &DUR_STR("old"), &DUR_COLL(old)));
	SURE(first_of(txn, "/old/~i0") == 7, "a clone is not its source");
	old_row(txn, "clone from an old state, 10 entries differ", start);
	NEED(dur_begin(p, NULL, &txn));
	start = seconds();
	NEED(dur_restore(txn, snap));
	SURE(first_of(txn, "/in/map/~i0") == 7, "what was restored is not what was");
	old_row(txn, "restore of a nested map, 10 entries differ", start);
	dur_close(snap);
	NEED(dur_detach(p));
}

void section_clones(dur_workspace *ws, const struct settings *o)
{
	measure(ws, "clones", o->entries);
	measure(ws, "big clones", o->big);
	measure_old(ws, o->entries);
}
