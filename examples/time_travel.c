/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time travel: `time_travel site/hits 2026-11-20T10:00:00Z` prints the counts of an earlier state,
 * given by number, as -3 (three states back) or by time, with those of now beside them.
 */
#include <duramen.h>
#include <stdio.h>

static int print_both(dur_coll old, dur_coll now)
{
	dur_iter *it = NULL;
	dur_value key, then, today;
	int rc = dur_scan(old, NULL, &it);

	while (rc == 0 && (rc = dur_next(it, &key, &then)) == 0) {
		if ((rc = dur_get(now, &key, &today)) < 0)
			break;
		printf("%.*s\t%lld", (int)key.len, key.str, (long long)then.i);
		if (rc == DUR_NONE)
			printf("\tgone\n");
		else
			printf("\t%lld\n", (long long)today.i);
		rc = 0;
	}
	dur_iter_close(it);
	return rc < 0 ? rc : 0;
}

int main(int argc, char **argv)
{
	dur_workspace *ws = NULL;
	dur_prefix *hits = NULL;
	dur_view *old = NULL, *now = NULL;
	uint64_t state;
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: time_travel PREFIX STATE\n");
		return 2;
	}
	if ((rc = dur_workspace_open("app-data", NULL, &ws)) < 0 ||
	    (rc = dur_attach(ws, argv[1], DUR_READ_ONLY, NULL, &hits)) < 0 ||
	    (rc = dur_resolve(hits, argv[2], &state)) != 0 ||
	    (rc = dur_snapshot(hits, state, NULL, &old)) < 0 ||
	    (rc = dur_snapshot(hits, DUR_LATEST, NULL, &now)) < 0 ||
	    (rc = print_both(dur_root(old), dur_root(now))) < 0)
		fprintf(stderr, "%s\n", rc == DUR_NONE ? "no such state" : dur_message());
	dur_close(now);
	dur_close(old);
	dur_detach(hits);
	dur_workspace_close(ws);
	return rc != 0;
}
