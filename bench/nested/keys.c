/* SPDX-License-Identifier: Apache-2.0 */
/* Typed keys beside raw ones: the same keys in two nested maps, put and read in random order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bench/data.h"
#include "nested.h"

enum { KEY = 16, VALUE = 100, KINDS = 2, BATCH = 1000 };

static const uint32_t kind[KINDS] = { DUR_RAW_MAP, DUR_MAP };

struct keys {
	dur_prefix *prefix;
	uint64_t    n;
	uint32_t   *order;
	char      (*key)[KEY];
};

/* Made beforehand: making one takes as long as getting it. */
static char (*make_keys(uint64_t n))[KEY]
{
	char (*list)[KEY] = malloc(n * KEY + 1);

	SURE(list, "there is enough memory");
	for (uint64_t i = 0; i < n; i++)
		snprintf(list[i], KEY + 1, "%016llx", (unsigned long long)data_mix(i + 1));
	return list;
}

/* Puts all into the map of one kind, in one transaction; seconds. */
static double put_all(const struct keys *k, const char *name, uint32_t of)
{
	char value[VALUE] = { 0 };
	dur_view *txn;
	dur_coll map;
	double start;

	NEED(dur_begin(k->prefix, NULL, &txn));
	NEED(dur_make(dur_root(txn), &DUR_STR(name), of, &map));
	start = seconds();
	for (uint64_t i = 0; i < k->n; i++) {
		memcpy(value, &k->order[i], sizeof(k->order[i]));
		NEED(dur_put(map, &DUR_STRN(k->key[k->order[i]], KEY), &DUR_BYTES(value, VALUE)));
	}
	start = seconds() - start;
	NEED(dur_commit(txn, &(dur_commit_options){ .flags = DUR_ASYNC }, NULL));
	dur_close(txn);
	return start;
}

static double get_all(const struct keys *k, const char *name)
{
	dur_value value;
	dur_view *snap;
	dur_coll map;
	double start;

	NEED(dur_snapshot(k->prefix, DUR_LATEST, NULL, &snap));
	NEED(dur_enter(dur_root(snap), &DUR_STR(name), &map));
	start = seconds();
	for (uint64_t i = 0; i < k->n; i++) {
		SURE(dur_get(map, &DUR_STRN(k->key[k->order[i]], KEY), &value) == 0,
		     "every key is there");
		SURE(memcmp(value.ptr, &k->order[i], sizeof(k->order[i])) == 0,
		     "a value is its key's");
	}
	start = seconds() - start;
	dur_close(snap);
	return start;
}

static void shuffle(uint32_t *order, uint64_t n, uint64_t seed)
{
	for (uint64_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (uint64_t i = n; i > 1; i--) {
		uint64_t j = data_below(&seed, i);
		uint32_t t = order[i - 1];
		order[i - 1] = order[j];
		order[j] = t;
	}
}

void section_keys(dur_workspace *ws, const struct settings *o)
{
	double *put = calloc(o->rounds, sizeof(double)), *get = calloc(o->rounds, sizeof(double));
	struct keys k = { .n = o->entries, .order = malloc(o->entries * sizeof(uint32_t)),
		          .key = make_keys(o->entries) };
	double p[KINDS], g[KINDS];

	SURE(put && get && k.order, "there is enough memory");
	NEED(dur_attach(ws, "keys", DUR_CREATE, &(dur_attach_options){ .keep = "last:1" },
	                &k.prefix));
	for (uint32_t round = 0; round < o->rounds; round++) {
		char name[KINDS][32];
		shuffle(k.order, k.n, round + 1);
		for (unsigned i = 0; i < KINDS; i++) {
			unsigned which = (i + round) % KINDS;
			snprintf(name[which], sizeof(name[which]), "map %u of %u", which, round);
			p[which] = put_all(&k, name[which], kind[which]);
		}
		shuffle(k.order, k.n, round + 1001);
		for (unsigned i = 0; i < KINDS; i++)
			g[(i + round) % KINDS] = get_all(&k, name[(i + round) % KINDS]);
		put[round] = p[0] / p[1];
		get[round] = g[0] / g[1];
	}
	report_rounds((struct limit){ "puts of typed keys beside raw ones", "x", 0, 0.8, true }, put,
	              o->rounds);
	report_rounds((struct limit){ "gets of typed keys beside raw ones", "x", 0, 0.8, true }, get,
	              o->rounds);
	NEED(dur_detach(k.prefix));
	free(k.order);
	free(k.key);
	free(put);
	free(get);
}
