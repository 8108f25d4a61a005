/* SPDX-License-Identifier: Apache-2.0 */
/* Cloning a large map: in the transaction that made it, and in a later one. */
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

void section_clones(dur_workspace *ws, const struct settings *o)
{
	measure(ws, "clones", o->entries);
	measure(ws, "big clones", o->big);
}
