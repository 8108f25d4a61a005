/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follower ROOT PREFIX OUT: sleeps until there is a new state, opens a snapshot of it, counts all
 * packages and adds up their sizes, and compares both with the totals that the loader stored in
 * that same state; until it has seen the last one. Writes to the file OUT, which it makes once it
 * is attached:
 *
 *	wake STATE SLEPT AWAKE      when it went to sleep and awoke, in ns, and for which state
 *	seen STATES ENTRIES WRONG   snapshots checked, entries in them, how many were inconsistent
 */
#include "demo.h"

#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#define PATIENCE_MS 60000

struct follower {
	dur_prefix *prefix;
	FILE *out;
	uint64_t state; /* the newest it has seen */
	uint64_t states, entries, wrong;
	bool last;
};

struct sums {
	int64_t packages, size;
};

/* The totals as stored and as counted. An empty prefix has neither. */
static int add_up(dur_view *snap, struct sums *stored, struct sums *counted, bool *last)
{
	dur_iter *it;
	dur_value key, value;
	int rc = dur_scan(dur_root(snap), NULL, &it);
	if (rc < 0)
		return rc;
	while ((rc = dur_next(it, &key, &value)) == 0) {
		uint64_t fields = key.type == DUR_NULL ? TOTALS : PACKAGE_FIELDS;
		if (value.type != DUR_TUPLE || value.len != fields) {
			stored->packages = -1; /* not what a loader wrote: nothing agrees with it */
		} else if (key.type == DUR_NULL) {
			stored->packages = value.items[TOTAL_PACKAGES].i;
			stored->size = value.items[TOTAL_SIZE].i;
			*last = value.items[TOTAL_LAST].i != 0;
		} else {
			counted->packages++;
			counted->size += value.items[PACKAGE_SIZE].i;
		}
	}
	dur_iter_close(it);
	return rc < 0 ? rc : 0;
}

static int check_snapshot(struct follower *f)
{
	dur_view *snap;
	struct sums stored = { 0, 0 }, counted = { 0, 0 };
	int rc = dur_snapshot(f->prefix, DUR_LATEST, NULL, &snap);
	if (rc < 0)
		return rc;
	rc = add_up(snap, &stored, &counted, &f->last);
	/* Later than what woke it, perhaps; never earlier. */
	bool wrong = dur_state(snap) < f->state || stored.packages != counted.packages ||
	             stored.size != counted.size;
	if (rc == 0 && wrong) {
		fprintf(stderr,
		        "follower: state %" PRIu64 " has %" PRId64 " packages of %" PRId64
		        " KiB, its totals say %" PRId64 " of %" PRId64 "\n",
		        dur_state(snap), counted.packages, counted.size, stored.packages,
		        stored.size);
		f->wrong++;
	}
	f->state = dur_state(snap);
	f->states++;
	f->entries += (uint64_t)counted.packages;
	dur_close(snap);
	return rc;
}

static int follow(struct follower *f)
{
	while (!f->last) {
		uint64_t state;
		int64_t slept = now_ns();
		int rc = dur_wait(f->prefix, f->state, PATIENCE_MS, &state);
		int64_t awake = now_ns();
		if (rc == DUR_NONE)
			fprintf(stderr, "follower: nothing new for a minute\n");
		if (rc != 0)
			return rc;
		fprintf(f->out, "wake %" PRIu64 " %" PRId64 " %" PRId64 "\n", state, slept, awake);
		/* Where processors are few, the other readers wake up before this one counts. */
		sched_yield();
		rc = check_snapshot(f);
		if (rc < 0)
			return rc;
	}
	fprintf(f->out, "seen %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", f->states, f->entries,
	        f->wrong);
	return 0;
}

int main(int argc, char **argv)
{
	struct follower f = { .prefix = NULL };
	dur_workspace *ws = NULL;
	int failed = 1;

	if (argc != 4) {
		fprintf(stderr, "usage: follower ROOT PREFIX OUT\n");
		return 2;
	}
	if (demo_attach(argv[1], argv[2], DUR_READ_ONLY, &ws, &f.prefix) == 0) {
		f.out = fopen(argv[3], "w");
		if (f.out == NULL) {
			perror(argv[3]);
		} else {
			int rc = follow(&f);
			if (rc < 0)
				fprintf(stderr, "follower: %s\n", dur_message());
			failed = rc != 0 || f.wrong != 0;
			if (fclose(f.out) != 0)
				failed = 1;
		}
	}
	dur_detach(f.prefix);
	dur_workspace_close(ws);
	return failed;
}
