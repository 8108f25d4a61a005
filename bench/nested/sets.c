/* SPDX-License-Identifier: Apache-2.0 */
/* What a large set has in common with a small one: beside scanning both. */
#include <stdlib.h>
#include "bench/data.h"
#include "nested.h"

/* Of every two members of the small set the large one, of all even numbers, has one. */
static void fill(dur_coll large, dur_coll small, const struct settings *o)
{
	uint64_t random = 1;

	for (uint64_t i = 0; i < o->entries; i++)
		NEED(dur_add(large, &DUR_INT((int64_t)(2 * i))));
	for (uint64_t n = 0; n < o->few;)
		n += dur_add(small, &DUR_INT((int64_t)data_below(&random, 2 * o->entries))) == 0;
}

static double combine(const dur_coll sets[2], uint64_t *n)
{
	double start = seconds();
	dur_value member;
	dur_iter *it;

	*n = 0;
	NEED(dur_combine(DUR_INTERSECTION, sets, 2, NULL, &it));
	while (NEED(dur_next(it, &member, NULL)) == 0)
		++*n;
	dur_iter_close(it);
	return seconds() - start;
}

/* Step by step through both, as one would without dur_combine(). */
static double scan(const dur_coll sets[2], uint64_t *n)
{
	double start = seconds();
	dur_value member[2];
	dur_iter *it[2];
	int rc = 0;

	*n = 0;
	for (int i = 0; i < 2; i++) {
		NEED(dur_scan(sets[i], NULL, &it[i]));
		rc += NEED(dur_next(it[i], &member[i], NULL));
	}
	while (rc == 0) {
		int64_t a = member[0].i, b = member[1].i;
		*n += a == b;
		if (a <= b)
			rc = NEED(dur_next(it[0], &member[0], NULL));
		if (b <= a && rc == 0)
			rc = NEED(dur_next(it[1], &member[1], NULL));
	}
	for (int i = 0; i < 2; i++)
		dur_iter_close(it[i]);
	return seconds() - start;
}

void section_sets(dur_workspace *ws, const struct settings *o)
{
	double *faster = calloc(o->rounds, sizeof(double));
	double *took = calloc(o->rounds, sizeof(double));
	dur_coll sets[2];
	dur_prefix *p;
	dur_view *txn;

	SURE(faster && took, "there is enough memory");
	NEED(dur_attach(ws, "sets", DUR_CREATE, &(dur_attach_options){ .keep = "last:1" }, &p));
	NEED(dur_begin(p, NULL, &txn));
	NEED(dur_make(dur_root(txn), &DUR_STR("large"), DUR_SET, &sets[0]));
	NEED(dur_make(dur_root(txn), &DUR_STR("small"), DUR_SET, &sets[1]));
	fill(sets[0], sets[1], o);
	NEED(dur_commit(txn, NULL, NULL));
	dur_close(txn);
	NEED(dur_snapshot(p, DUR_LATEST, NULL, &txn));
	NEED(dur_enter(dur_root(txn), &DUR_STR("large"), &sets[0]));
	NEED(dur_enter(dur_root(txn), &DUR_STR("small"), &sets[1]));
	for (uint64_t i = 0; i < o->rounds; i++) {
		uint64_t n, m;
		took[i] = combine(sets, &n) * 1e6;
		faster[i] = scan(sets, &m) * 1e6 / took[i];
		SURE(n == m && n < o->few, "both find the same members");
	}
	dur_close(txn);
	report_rounds((struct limit){ "intersection with a small set : scanning both", "x", 0, 20,
	                              true },
	              faster, o->rounds);
	report_rounds((struct limit){ "  the intersection", "us", 0, 0, false }, took, o->rounds);
	NEED(dur_detach(p));
	free(faster);
	free(took);
}
