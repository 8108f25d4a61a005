/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of one key: `key_log site/hits /index.html` prints its changes, newest first: the
 * state that made each, the count before and the count since. Of a million states it looks at those
 * in which something near the key was written.
 */
#include <duramen.h>
#include <stdio.h>

static void print_count(const char *before, const dur_value *v)
{
	if (v->type == DUR_INT)
		printf("%s%lld", before, (long long)v->i);
	else
		printf("%snothing", before);
}

int main(int argc, char **argv)
{
	dur_workspace *ws = NULL;
	dur_prefix *hits = NULL;
	dur_iter *it = NULL;
	dur_change c;
	int rc;

	if (argc != 3) {
		fprintf(stderr, "usage: key_log PREFIX KEY\n");
		return 2;
	}
	if ((rc = dur_workspace_open("app-data", NULL, &ws)) < 0 ||
	    (rc = dur_attach(ws, argv[1], DUR_READ_ONLY, NULL, &hits)) < 0 ||
	    (rc = dur_log(hits, &DUR_STR(argv[2]), NULL, 0, &it)) < 0) {
		fprintf(stderr, "%s\n", dur_message());
	} else {
		while ((rc = dur_next_change(it, &c)) == 0) {
			printf("state %llu: ", (unsigned long long)c.state);
			print_count("", &c.old);
			print_count(" -> ", &c.now);
			printf("\n");
		}
		if (rc < 0)
			fprintf(stderr, "%s\n", dur_message());
	}
	dur_iter_close(it); /* before the prefix is detached: a log has no view to end with */
	dur_detach(hits);
	dur_workspace_close(ws);
	return rc < 0;
}
