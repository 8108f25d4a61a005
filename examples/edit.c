/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit [insert AT TEXT | cut FROM TO | copy FROM TO]: a text of any length that is edited in place,
 * in ./app-data. Prints it. AT, FROM and TO count bytes; what is copied goes to the end.
 */
#include <duramen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int change(dur_coll text, char **how)
{
	dur_value from = DUR_INT(atoll(how[1])), to = DUR_INT(atoll(how[2]));
	dur_range range = { .from = &from, .to = &to };
	uint64_t end;

	if (strcmp(how[0], "insert") == 0)
		return dur_insert(text, from.i, &DUR_STR(how[2]), 1);
	if (strcmp(how[0], "cut") == 0)
		return dur_clear(text, &range, NULL);
	int rc = dur_count(text, NULL, &end);
	return rc < 0 ? rc : dur_splice(text, (int64_t)end, text, &range);
}

/* Piece by piece, each read where it lies. */
static int print(dur_coll text)
{
	dur_value piece;
	dur_iter *it;
	int rc = dur_scan(text, NULL, &it);

	while (rc == 0 && (rc = dur_next(it, NULL, &piece)) == 0)
		fwrite(piece.ptr, 1, piece.len, stdout);
	dur_iter_close(it);
	puts("");
	return rc == DUR_NONE ? 0 : rc;
}

int main(int argc, char **argv)
{
	dur_workspace *ws = NULL;
	dur_prefix *p = NULL;
	dur_view *txn = NULL;
	dur_coll text;
	int rc = dur_workspace_open("app-data", NULL, &ws);

	if (rc == 0)
		rc = dur_attach(ws, "texts", DUR_CREATE, NULL, &p);
	if (rc == 0)
		rc = dur_begin(p, NULL, &txn);
	if (rc == 0)
		rc = dur_make(dur_root(txn), &DUR_STR("draft"), DUR_ROPE, &text);
	if (rc == 0 && argc == 4)
		rc = change(text, argv + 1);
	if (rc == 0)
		rc = dur_commit(txn, NULL, NULL);
	if (rc == 0)
		rc = print(text);
	if (rc < 0)
		fprintf(stderr, "%s\n", dur_message());
	dur_close(txn);
	dur_detach(p);
	dur_workspace_close(ws);
	return rc != 0;
}
