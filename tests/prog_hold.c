/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prog_hold write|read ROOT PREFIX: keeps a transaction or a snapshot open until standard input
 * ends. Prints its state once it is open. For tests that need a second process in their way.
 */
#include <duramen.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	dur_workspace *ws = NULL;
	dur_prefix *p = NULL;
	dur_view *view = NULL;

	if (argc != 4)
		return 2;
	int rc = dur_workspace_open(argv[2], NULL, &ws);
	if (rc == 0)
		rc = dur_attach(ws, argv[3], 0, NULL, &p);
	if (rc == 0)
		rc = strcmp(argv[1], "write") == 0 ? dur_begin(p, NULL, &view)
		                                   : dur_snapshot(p, DUR_LATEST, NULL, &view);
	if (rc < 0) {
		fprintf(stderr, "prog_hold: %s\n", dur_message());
		return 1;
	}
	printf("%llu\n", (unsigned long long)dur_state(view));
	fflush(stdout);
	while (getchar() != EOF)
		;
	dur_close(view);
	dur_detach(p);
	dur_workspace_close(ws);
	return 0;
}
