/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Few states kept: what the file comes to after many one-key commits, beside the same one compacted,
 * with and without a snapshot held since the start; and LMDB's, which keeps no history at all.
 */
#include <stdio.h>
#include <sys/stat.h>
#include "bench/bench.h"
#include "history.h"

enum { SLACK = 16 << 20 };

static double mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

struct sizes {
	uint64_t file, live, compacted;
};

static struct sizes churn(dur_workspace *ws, const struct settings *o, bool held)
{
	struct sizes sizes;
	struct data_scan scan;
	dur_value key, value;
	dur_prefix_stat s;
	dur_view *old = NULL;
	struct past past;
	dur_iter *it;

	past_open(&past, ws, "space", "last:100", o->entries, o->space_commits, o->seed);
	if (held)
		NEED(dur_snapshot(past.prefix, DUR_LATEST, NULL, &old));
	for (uint64_t i = 0; i < o->space_commits; i++)
		past_commit(&past, DUR_ASYNC);
	sizes.file = past_disk_bytes(&past, limits_dir);
	NEED(dur_stat(past.prefix, &s));
	sizes.live = s.live_bytes;
	past_scan(&past, past.commits);
	if (held) {
		scan = (struct data_scan){ .data = &past.data };
		NEED(dur_scan(dur_root(old), NULL, &it));
		while (NEED(dur_next(it, &key, &value)) == 0)
			data_row(&scan, key.ptr, key.len, value.ptr, value.len);
		SURE(scan.wrong == 0 && scan.rows == o->entries && scan.generations == 0,
		     "the state held since the start is what it was");
		dur_close(old);
	}
	NEED(dur_compact(past.prefix, DUR_HISTORY, NULL));
	sizes.compacted = past_disk_bytes(&past, limits_dir);
	past_scan(&past, past.commits);
	past_close(&past);
	NEED(dur_drop(ws, "space"));
	return sizes;
}

static uint64_t lmdb(const struct settings *o)
{
	const struct driver *d = &driver_lmdb;
	unsigned char key[DATA_KEY], value[DATA_VALUE];
	uint64_t random = o->seed, bytes;
	driver_handle *h;
	struct data data;
	char dir[4096];

	snprintf(dir, sizeof(dir), "%s/lmdb", limits_dir);
	SURE(mkdir(dir, 0700) == 0, "a folder can be made");
	data_init(&data, o->entries, o->seed);
	NEED(d->open(d, dir, DRIVER_LAZY, &h));
	NEED(d->begin(h));
	for (uint64_t i = 0; i < o->entries; i++) {
		data_key(&data, i, key);
		data_value(&data, i, 0, value);
		NEED(d->put(h, key, value, true));
	}
	NEED(d->commit(h));
	for (uint64_t i = 0; i < o->space_commits; i++) {
		uint64_t entry = data_below(&random, o->entries);

		data_key(&data, entry, key);
		data_value(&data, entry, (uint32_t)i + 1, value);
		NEED(d->begin(h));
		NEED(d->put(h, key, value, false));
		NEED(d->commit(h));
	}
	NEED(d->settle(h));
	NEED(place_size(dir, &bytes));
	NEED(d->close(h));
	place_remove(dir);
	return bytes;
}

void section_space(dur_workspace *ws, const struct settings *o)
{
	struct sizes plain = churn(ws, o, false), held = churn(ws, o, true);
	double limit = mib(plain.compacted * 3 / 2 + SLACK);

	report(&(struct limit){ "last:100, file", "MiB", mib(plain.file), limit, false });
	report(&(struct limit){ "last:100, file, compacted with its history", "MiB",
		mib(plain.compacted), 0, false });
	report(&(struct limit){ "last:100, file, a snapshot held since the start", "MiB",
		mib(held.file), limit + mib(2 * held.live), false });
	report(&(struct limit){ "LMDB, file", "MiB", mib(lmdb(o)), 0, false });
}
