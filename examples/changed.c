/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has changed: `changed site/hits 2026-11-20T10:00:00Z` prints what was added, removed and
 * changed since a state, given by number, as -3 or by time. Its time depends on how much that is,
 * not on how much is there.
 */
#include <duramen.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	dur_workspace *ws = NULL;
	dur_prefix *p = NULL;
	dur_view *old = NULL, *now = NULL;
	dur_iter *it = NULL;
	dur_change c;
	uint64_t then;
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: changed PREFIX STATE\n");
		return 2;
	}
	if ((rc = dur_workspace_open("app-data", NULL, &ws)) < 0 ||
	    (rc = dur_attach(ws, argv[1], DUR_READ_ONLY, NULL, &p)) < 0 ||
	    (rc = dur_resolve(p, argv[2], &then)) != 0 ||
	    (rc = dur_snapshot(p, then, NULL, &old)) < 0 ||
	    (rc = dur_snapshot(p, DUR_LATEST, NULL, &now)) < 0 ||
	    (rc = dur_diff(dur_root(old), dur_root(now), NULL, &it)) < 0) {
		fprintf(stderr, "%s\n", rc == DUR_NONE ? "no such state" : dur_message());
	} else {
		while ((rc = dur_next_change(it, &c)) == 0)
			printf("%c %.*s\n", "?+-~"[c.kind], (int)c.path.len, c.path.str);
		if (rc < 0)
			fprintf(stderr, "%s\n", dur_message());
		rc = rc < 0; /* that there is no more is a plain no, not an error */
	}
	dur_iter_close(it);
	dur_close(now);
	dur_close(old);
	dur_detach(p);
	dur_workspace_close(ws);
	return rc != 0;
}
