/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workloads that every peer runs. Each one checks what it got, outside the clock where that
 * costs more than touching the bytes. Loads run once; all else runs for a given time.
 */
#include <stdlib.h>
#include <string.h>
#include "bench.h"

#define HOT_KEYS 64u

static double seconds(int64_t from, int64_t to)
{
	return (double)(to > from ? to - from : 1) / 1e9;
}

void job_measured(struct job *j, enum metric m, double value)
{
	j->result->m[m].value = value;
	j->result->m[m].set = true;
}

static int latency_order(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

void job_latencies(struct job *j, enum metric m, int64_t *ns, size_t n)
{
	if (n == 0)
		return;
	qsort(ns, n, sizeof(*ns), latency_order);
	j->result->m[m].p50 = (double)ns[n / 2] / 1e3;
	j->result->m[m].p99 = (double)ns[n * 99 / 100] / 1e3;
	j->result->m[m].latencies = true;
}

/* ---- Checks ---- */

static uint64_t generations_put(const struct job *j)
{
	uint64_t i, sum = 0;

	for (i = 0; i < j->data.entries; i++)
		sum += j->generation[i];
	return sum;
}

static int scan_once(struct job *j, driver_handle *h, uint64_t generations)
{
	struct data_scan s = { .data = &j->data };

	if (j->driver->scan(h, &s))
		return -1;
	if (s.rows != j->data.entries)
		return driver_fail("%s: a scan gave %llu entries instead of %llu", j->driver->name,
		                   (unsigned long long)s.rows,
		                   (unsigned long long)j->data.entries);
	if (s.wrong != 0)
		return driver_fail("%s: a scan gave %llu wrong entries", j->driver->name,
		                   (unsigned long long)s.wrong);
	if (s.generations != generations)
		return driver_fail("%s: a scan gave values that were overwritten", j->driver->name);
	return 0;
}

int job_verify(struct job *j, driver_handle *h)
{
	if (j->driver->snap(h) || scan_once(j, h, generations_put(j)) || j->driver->end(h))
		return -1;
	return 0;
}

static int wrong_value(const struct job *j, uint64_t i)
{
	return driver_fail("%s: entry %llu has a wrong value", j->driver->name,
	                   (unsigned long long)i);
}

/* ---- Loads ---- */

static int put_one(struct job *j, driver_handle *h, uint64_t i, bool ascending)
{
	unsigned char key[DATA_KEY], value[DATA_VALUE];

	data_key(&j->data, i, key);
	data_value(&j->data, i, j->generation[i], value);
	return j->driver->put(h, key, value, ascending);
}

int job_put_fresh(struct job *j, driver_handle *h, uint64_t i)
{
	j->generation[i]++;
	return put_one(j, h, i, false);
}

static int load_finish(struct job *j, driver_handle *h, const char *dir, enum metric size)
{
	uint64_t bytes;

	if (job_verify(j, h) || j->driver->settle(h) || j->driver->close(h) ||
	    place_size(dir, &bytes))
		return -1;
	job_measured(j, size, (double)bytes / (double)j->data.entries);
	return 0;
}

int job_seqload(struct job *j)
{
	driver_handle *h;
	int64_t start;
	uint64_t i;

	memset(j->generation, 0, j->data.entries * sizeof(*j->generation));
	if (j->driver->open(j->driver, j->table, DRIVER_CREATE, &h))
		return -1;
	start = place_now();
	if (j->driver->begin(h))
		return -1;
	for (i = 0; i < j->data.entries; i++)
		if (put_one(j, h, i, true))
			return -1;
	if (j->driver->commit(h))
		return -1;
	job_measured(j, M_SEQLOAD, (double)i / seconds(start, place_now()));
	return load_finish(j, h, j->table, M_SEQSIZE);
}

/* All entries in random order. */
static uint32_t *shuffled(struct job *j)
{
	uint32_t *order = malloc(j->data.entries * sizeof(*order));
	uint64_t i;

	if (!order)
		return NULL;
	for (i = 0; i < j->data.entries; i++) {
		uint64_t other = data_below(&j->random, i + 1);

		order[i] = order[other];
		order[other] = (uint32_t)i;
	}
	return order;
}

int job_randload(struct job *j)
{
	uint32_t *order = shuffled(j);
	driver_handle *h;
	int64_t start;
	uint64_t i, n = j->data.entries;
	uint32_t *mine = calloc(n, sizeof(*mine));      /* this table is not the others' */

	if (!order || !mine)
		return driver_fail("out of memory");
	j->generation = mine;
	if (j->driver->open(j->driver, j->scratch, DRIVER_CREATE | DRIVER_LAZY, &h))
		return -1;
	start = place_now();
	for (i = 0; i < n; i++) {
		if (i % 1000 == 0 && j->driver->begin(h))
			return -1;
		if (put_one(j, h, order[i], false))
			return -1;
		if ((i % 1000 == 999 || i + 1 == n) && j->driver->commit(h))
			return -1;
	}
	job_measured(j, M_RANDLOAD, (double)n / seconds(start, place_now()));
	if (load_finish(j, h, j->scratch, M_RANDSIZE))
		return -1;
	free(order);
	free(mine);
	return 0;
}

/* ---- Reads ---- */

#define CHUNK 1024u     /* operations between two looks at the clock; batches fit */

static int64_t read_length(const struct job *j)
{
	return j->options->quick ? 60000000 : 1000000000;
}

/* Opens the table and scans it once, so that no peer is measured while its memory fills. */
static int open_warm(struct job *j, driver_handle **h)
{
	if (j->driver->open(j->driver, j->table, 0, h))
		return -1;
	return job_verify(j, *h);
}

/* n random gets in one snapshot. */
static int get_some(struct job *j, driver_handle *h, uint64_t n)
{
	unsigned char key[DATA_KEY];
	const unsigned char *value;
	uint64_t done, i;

	for (done = 0; done < n; done++) {
		i = data_below(&j->random, j->data.entries);
		data_key(&j->data, i, key);
		if (j->driver->get(h, key, &value))
			return -1;
		if (!data_is(i, value, DATA_VALUE) || data_generation(value) != j->generation[i])
			return wrong_value(j, i);
	}
	return 0;
}

/* Operations of one kind, a chunk at a time, for as long as reads are measured. */
static int timed(struct job *j, driver_handle *h, enum metric m,
                 int (*chunk)(struct job *j, driver_handle *h))
{
	int64_t start, now;
	uint64_t n = 0;

	if (chunk(j, h))
		return -1;
	start = place_now();
	do {
		if (chunk(j, h))
			return -1;
		n += CHUNK;
		now = place_now();
	} while (now - start < read_length(j));
	job_measured(j, m, (double)n / seconds(start, now));
	return 0;
}

static int get_chunk(struct job *j, driver_handle *h)
{
	return get_some(j, h, CHUNK);
}

int job_get(struct job *j)
{
	driver_handle *h;

	if (open_warm(j, &h) || j->driver->snap(h) || timed(j, h, M_GET, get_chunk))
		return -1;
	return j->driver->end(h) || j->driver->close(h) ? -1 : 0;
}

static int get_batch(struct job *j, driver_handle *h)
{
	unsigned char keys[DRIVER_BATCH * DATA_KEY];
	const unsigned char *values[DRIVER_BATCH];
	uint64_t which[DRIVER_BATCH];
	uint32_t b;

	for (b = 0; b < DRIVER_BATCH; b++) {
		which[b] = data_below(&j->random, j->data.entries);
		data_key(&j->data, which[b], keys + b * DATA_KEY);
	}
	if (j->driver->get_many(h, keys, DRIVER_BATCH, values))
		return -1;
	for (b = 0; b < DRIVER_BATCH; b++)
		if (!data_is(which[b], values[b], DATA_VALUE) ||
		    data_generation(values[b]) != j->generation[which[b]])
			return wrong_value(j, which[b]);
	return 0;
}

static int get_many_chunk(struct job *j, driver_handle *h)
{
	uint32_t done;

	for (done = 0; done < CHUNK; done += DRIVER_BATCH)
		if (get_batch(j, h))
			return -1;
	return 0;
}

/* A peer that cannot get many at once gets them one by one. */
int job_get_many(struct job *j)
{
	driver_handle *h;

	if (open_warm(j, &h) || j->driver->snap(h) ||
	    timed(j, h, M_GETMANY, j->driver->get_many ? get_many_chunk : get_chunk))
		return -1;
	return j->driver->end(h) || j->driver->close(h) ? -1 : 0;
}

int job_scan(struct job *j)
{
	uint64_t generations = generations_put(j), rows = 0;
	driver_handle *h;
	int64_t start, now;

	if (open_warm(j, &h) || j->driver->snap(h))
		return -1;
	start = place_now();
	do {
		if (scan_once(j, h, generations))
			return -1;
		rows += j->data.entries;
		now = place_now();
	} while (now - start < read_length(j));
	job_measured(j, M_SCAN, (double)rows / seconds(start, now));
	return j->driver->end(h) || j->driver->close(h) ? -1 : 0;
}

static int snap_some(struct job *j, driver_handle *h, uint64_t keys)
{
	uint64_t step = j->data.entries / keys, done, i;
	unsigned char key[DATA_KEY];
	const unsigned char *value;

	for (done = 0; done < CHUNK; done++) {
		i = data_below(&j->random, keys) * step;
		data_key(&j->data, i, key);
		if (j->driver->snap(h) || j->driver->get(h, key, &value))
			return -1;
		if (!data_is(i, value, DATA_VALUE) || data_generation(value) != j->generation[i])
			return wrong_value(j, i);
		if (j->driver->end(h))
			return -1;
	}
	return 0;
}

static int snap_chunk(struct job *j, driver_handle *h)
{
	return snap_some(j, h, j->data.entries);
}

static int snap_hot_chunk(struct job *j, driver_handle *h)
{
	return snap_some(j, h, HOT_KEYS);
}

int job_snap(struct job *j)
{
	driver_handle *h;

	if (open_warm(j, &h) || timed(j, h, M_SNAP, snap_chunk) ||
	    timed(j, h, M_SNAPHOT, snap_hot_chunk))
		return -1;
	return j->driver->close(h);
}

/* ---- Durable commits ---- */

static int commit_one(struct job *j, driver_handle *h, uint32_t puts)
{
	uint32_t p;

	if (j->driver->begin(h))
		return -1;
	for (p = 0; p < puts; p++)
		if (job_put_fresh(j, h, data_below(&j->random, j->data.entries)))
			return -1;
	return j->driver->commit(h);
}

static int commit_loop(struct job *j, uint32_t puts, enum metric rate, enum metric device)
{
	const size_t most = 200000, warm = 20;
	int64_t *ns = malloc(most * sizeof(*ns));
	int64_t length = j->options->quick ? 150000000 : 2000000000, start, before, now;
	uint64_t written = 0, after = 0;
	driver_handle *h;
	bool counted;
	size_t n;

	if (!ns)
		return driver_fail("out of memory");
	if (open_warm(j, &h))
		return -1;
	for (n = 0; n < warm; n++)
		if (commit_one(j, h, puts))
			return -1;
	counted = place_written(j->table, &written);
	start = now = place_now();
	for (n = 0; n < most && now - start < length; n++) {
		before = now;
		if (commit_one(j, h, puts))
			return -1;
		now = place_now();
		ns[n] = now - before;
	}
	counted = counted && place_written(j->table, &after);
	job_measured(j, rate, (double)n / seconds(start, now));
	job_latencies(j, rate, ns, n);
	if (counted)
		job_measured(j, device, (double)(after - written) / (double)n);
	free(ns);
	if (j->driver->close(h))
		return -1;
	/* Opened again: what was acknowledged is there. */
	return open_warm(j, &h) || j->driver->close(h) ? -1 : 0;
}

int job_commit1(struct job *j)
{
	return commit_loop(j, 1, M_COMMIT1, M_DEVICE1);
}

int job_commit100(struct job *j)
{
	return commit_loop(j, 100, M_COMMIT100, M_DEVICE100);
}
