/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tasks [add TEXT | first TEXT | done N | again N]: a list of things to do, in ./app-data. Prints
 * it. What is done counts from 0, or from the end: done -1 is the last one. again copies the N-th
 * behind all others.
 */
#include <duramen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int change(dur_coll tasks, const char *how, const char *what)
{
	int64_t n = atoll(what);
	dur_value from = DUR_INT(n);
	uint64_t end;

	if (strcmp(how, "add") == 0)
		return dur_append(tasks, &DUR_STR(what));
	if (strcmp(how, "first") == 0)
		return dur_insert(tasks, 0, &DUR_STR(what), 1);
	if (strcmp(how, "done") == 0)
		return dur_del(tasks, &DUR_INT(n)); /* the gap closes */
	int rc = dur_count(tasks, NULL, &end);
	return rc < 0 ? rc : dur_splice(tasks, (int64_t)end, tasks,
	                                &(dur_range){ .from = &from, .limit = 1 });
}

static int print(dur_coll tasks)
{
	dur_value at, task;
	dur_iter *it;
	int rc = dur_scan(tasks, NULL, &it);

	while (rc == 0 && (rc = dur_next(it, &at, &task)) == 0)
		printf("%lld %.*s\n", (long long)at.i, (int)task.len, task.str);
	dur_iter_close(it);
	return rc == DUR_NONE ? 0 : rc;
}

int main(int argc, char **argv)
{
	dur_workspace *ws = NULL;
	dur_prefix *p = NULL;
	dur_view *txn = NULL;
	dur_coll tasks;
	int rc = dur_workspace_open("app-data", NULL, &ws);

	if (rc == 0)
		rc = dur_attach(ws, "tasks", DUR_CREATE, NULL, &p);
	if (rc == 0)
		rc = dur_begin(p, NULL, &txn);
	if (rc == 0)
		rc = dur_make(dur_root(txn), &DUR_STR("todo"), DUR_LIST, &tasks);
	if (rc == 0 && argc == 3 && change(tasks, argv[1], argv[2]) == DUR_NONE)
		printf("there is no task %s\n", argv[2]);
	if (rc == 0)
		rc = dur_commit(txn, NULL, NULL); /* says what went wrong on the way, too */
	if (rc == 0)
		rc = print(tasks);
	if (rc < 0)
		fprintf(stderr, "%s\n", dur_message());
	dur_close(txn);
	dur_detach(p);
	dur_workspace_close(ws);
	return rc != 0;
}
