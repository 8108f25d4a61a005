/* SPDX-License-Identifier: Apache-2.0 */
/* A prefix with a history that is known: which commit put which value where. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "history.h"

static void put(const struct past *past, dur_view *txn, uint32_t entry)
{
	unsigned char key[DATA_KEY], value[DATA_VALUE];

	data_key(&past->data, entry, key);
	data_value(&past->data, entry, past->generation[entry], value);
	NEED(dur_put(dur_root(txn), &DUR_BYTES(key, DATA_KEY), &DUR_BYTES(value, DATA_VALUE)));
}

void past_open(struct past *past, dur_workspace *ws, const char *name, const char *keep,
               uint64_t entries, uint64_t commits, uint64_t seed)
{
	dur_view *txn;

	*past = (struct past){ .random = seed, .wanted = commits };
	data_init(&past->data, entries, seed);
	past->generation = calloc(entries, sizeof(*past->generation));
	past->entry = calloc(commits + 1, sizeof(*past->entry));
	past->state = calloc(commits + 1, sizeof(*past->state));
	SURE(past->generation && past->entry && past->state, "there is enough memory");
	NEED(dur_attach(ws, name, DUR_CREATE | DUR_EXCLUSIVE | DUR_RAW,
	                &(dur_attach_options){ .keep = keep }, &past->prefix));
	NEED(dur_begin(past->prefix, NULL, &txn));
	for (uint32_t i = 0; i < entries; i++)
		put(past, txn, i);
	NEED(dur_commit(txn, NULL, &past->state[0]));
	dur_close(txn);
}

void past_close(struct past *past)
{
	NEED(dur_detach(past->prefix));
	free(past->generation);
	free(past->entry);
	free(past->state);
}

void past_commit(struct past *past, uint32_t flags)
{
	uint32_t entry = 1 + (uint32_t)data_below(&past->random, past->data.entries - 1);
	uint64_t rare = past->wanted / PAST_RARE;
	dur_view *txn;

	if (rare && past->commits % rare == rare / 2 && past->commits < rare * PAST_RARE)
		entry = 0;

	past->generation[entry]++;
	past->entry[++past->commits] = entry;
	NEED(dur_begin(past->prefix, NULL, &txn));
	put(past, txn, entry);
	NEED(dur_commit(txn, &(dur_commit_options){ .flags = flags },
	                &past->state[past->commits]));
	dur_close(txn);
}

uint32_t past_generation(const struct past *past, uint32_t entry, uint64_t commits)
{
	uint32_t generation = past->generation[entry];

	for (uint64_t i = past->commits; i > commits; i--)
		generation -= past->entry[i] == entry;
	return generation;
}

double past_scan(const struct past *past, uint64_t commits)
{
	struct data_scan scan = { .data = &past->data };
	dur_value key, value;
	dur_view *v;
	dur_iter *it;
	double start, took;
	int rc;

	NEED(dur_snapshot(past->prefix, past->state[commits], NULL, &v));
	start = seconds();
	NEED(dur_scan(dur_root(v), NULL, &it));
	while ((rc = dur_next(it, &key, &value)) == 0)
		data_row(&scan, key.ptr, key.len, value.ptr, value.len);
	NEED(rc);
	took = seconds() - start;
	dur_close(v);
	SURE(scan.wrong == 0 && scan.rows == past->data.entries, "every entry of a state is right");
	SURE(scan.generations == commits, "the state is the one that was asked for");
	return took;
}

double past_get(struct past *past, uint64_t commits)
{
	uint32_t entry = (uint32_t)data_below(&past->random, past->data.entries);
	unsigned char key[DATA_KEY];
	uint32_t generation;
	dur_value value;
	dur_view *v;
	double start, took;
	bool right;

	data_key(&past->data, entry, key);
	start = seconds();
	NEED(dur_snapshot(past->prefix, past->state[commits], NULL, &v));
	SURE(dur_get(dur_root(v), &DUR_BYTES(key, DATA_KEY), &value) == 0, "the entry is there");
	right = data_is(entry, value.ptr, value.len);
	generation = data_generation(value.ptr);
	dur_close(v);
	took = seconds() - start;
	SURE(right && generation == past_generation(past, entry, commits),
	     "an entry of an old state is right");
	return took;
}

uint64_t past_disk_bytes(const struct past *past, const char *dir)
{
	dur_prefix_stat s;
	char path[4400];
	int fd;

	NEED(dur_sync(past->prefix, DUR_LATEST, -1));
	NEED(dur_stat(past->prefix, &s));
	snprintf(path, sizeof(path), "%s/%s.dur", dir, s.name);
	/* blocks are given out when data is written back */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	SURE(fd >= 0 && fsync(fd) == 0, "the page file can be opened and flushed");
	close(fd);
	NEED(dur_stat(past->prefix, &s));
	return s.disk_bytes;
}
