/* SPDX-License-Identifier: Apache-2.0 */
/* A writer service: counts how often each line of standard input came, a hundred lines a commit. */
#include <duramen.h>
#include <stdio.h>
#include <string.h>

static int count(dur_coll hits, const char *line)
{
	dur_value key = DUR_STRN(line, strcspn(line, "\n")), n;
	int rc = dur_get(hits, &key, &n);

	if (rc < 0)
		return rc;
	return dur_put(hits, &key, &DUR_INT(rc == DUR_NONE ? 1 : n.i + 1));
}

int main(void)
{
	dur_attach_options options = { .keep = "last:1000", .lock_ms = 5000 };
	dur_workspace *ws = NULL;
	dur_prefix *hits = NULL;
	dur_view *txn = NULL;
	char line[1000];
	int rc, eof = 0;

	if ((rc = dur_workspace_open("app-data", NULL, &ws)) == 0)
		rc = dur_attach(ws, "site/hits", DUR_CREATE | DUR_HOLD_LOCK, &options, &hits);
	while (rc == 0 && !eof && (rc = dur_begin(hits, NULL, &txn)) == 0) {
		for (int i = 0; rc == 0 && i < 100 && !(eof = !fgets(line, sizeof line, stdin)); i++)
			rc = count(dur_root(txn), line);
		if (rc == 0)
			rc = dur_commit(txn, NULL, NULL);
		dur_close(txn);
	}
	if (rc < 0) /* such as "locked by process 4711 (hitd) since ..." */
		fprintf(stderr, "%s\n", dur_message());
	dur_detach(hits);
	dur_workspace_close(ws);
	return rc != 0;
}
