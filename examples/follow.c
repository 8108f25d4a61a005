/* SPDX-License-Identifier: Apache-2.0 */
/* A reader that waits: `follow LINE [COUNT]` prints how often the line came, at each new state. */
#include <duramen.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	const char *line = argc > 1 ? argv[1] : "/index.html";
	long long left = argc > 2 ? atoll(argv[2]) : -1; /* states to print; -1: no end */
	dur_workspace *ws = NULL;
	dur_prefix *hits = NULL;
	dur_view *snap = NULL;
	dur_value n;
	uint64_t state = 0;
	int rc;

	if ((rc = dur_workspace_open("app-data", NULL, &ws)) == 0)
		rc = dur_attach(ws, "site/hits", DUR_READ_ONLY, NULL, &hits);
	while (rc == 0 && left-- != 0 && (rc = dur_wait(hits, state, -1, &state)) == 0 &&
	       (rc = dur_snapshot(hits, DUR_LATEST, NULL, &snap)) == 0) {
		state = dur_state(snap);
		if ((rc = dur_get(dur_root(snap), &DUR_STR(line), &n)) == 0)
			printf("state %llu: %lld hits\n", (unsigned long long)state, (long long)n.i);
		if (rc == DUR_NONE) /* a plain no, not an error */
			rc = printf("state %llu: none yet\n", (unsigned long long)state) < 0;
		fflush(stdout);
		dur_close(snap);
	}
	if (rc < 0)
		fprintf(stderr, "%s\n", dur_message());
	dur_detach(hits);
	dur_workspace_close(ws);
	return rc != 0;
}
