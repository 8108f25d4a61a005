/* SPDX-License-Identifier: Apache-2.0 */
/* Hello, world: makes a prefix, commits one setting, reads it back. */
#include <duramen.h>
#include <stdio.h>

int main(void)
{
	dur_workspace *ws = NULL;
	dur_prefix *settings = NULL;
	dur_view *txn = NULL;
	dur_value theme;
	int rc;

	if ((rc = dur_workspace_open("app-data", NULL, &ws)) < 0 ||
	    (rc = dur_attach(ws, "my-org/settings", DUR_CREATE, NULL, &settings)) < 0 ||
	    (rc = dur_begin(settings, NULL, &txn)) < 0 ||
	    (rc = dur_put(dur_root(txn), &DUR_STR("theme"), &DUR_STR("dark"))) < 0 ||
	    (rc = dur_commit(txn, NULL, NULL)) < 0 || /* on disk; readers are woken */
	    (rc = dur_get(dur_root(txn), &DUR_STR("theme"), &theme)) < 0)
		fprintf(stderr, "%s\n", dur_message());
	else
		printf("state %llu: %.*s\n", (unsigned long long)dur_state(txn), (int)theme.len,
		       theme.str);
	dur_close(txn);
	dur_detach(settings);
	dur_workspace_close(ws);
	return rc != 0;
}
