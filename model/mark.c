/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks are a stack: the engine counts them from 1, so does this. Those that a failed commit ended are
 * dropped here when the next one is made: its number in the engine tells how many there are.
 */
#include "model/mark.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/grow.h"
#include "model/iter.h"
#include "model/rows.h"

struct mark {
	uint64_t id;
	int failed;             /* the view's first failed write then */
	struct txn_mark data;
	struct rows_mark rows;
};

struct marks {
	struct mark *mark;
	size_t n, cap;
};

static _Atomic uint64_t last_id;

static void marks_cut(struct marks *marks, size_t n)
{
	while (marks->n > n)
		free(marks->mark[--marks->n].rows.row);
}

void marks_end(dur_view *v)
{
	if (!v->marks)
		return;
	marks_cut(v->marks, 0);
	free(v->marks->mark);
	free(v->marks);
	v->marks = NULL;
}

static int check(const dur_view *v)
{
	int rc = view_check(v);

	if (rc < 0)
		return rc;
	if (v->kind != VIEW_TXN)
		return error_set(DUR_E_READ_ONLY, "marks are places in a transaction, from dur_begin(); this "
		                 "view is a snapshot");
	if (!v->txn)
		return error_set(DUR_E_FAILED, "this transaction failed to commit: close it, detach the "
		                 "prefix and attach it anew");
	return 0;
}

/* What reads lent lies in pages that are no more. */
static void moved(dur_view *v)
{
	v->writes++;
	key_arena_reset(&v->arena);
}

static struct marks *marks_of(dur_view *v)
{
	if (!v->marks) {
		v->marks = calloc(1, sizeof *v->marks);
		v->model_end = model_end;
	}
	if (!v->marks)
		error_system(ENOMEM, "making a mark");
	return v->marks;
}

int dur_mark(dur_view *v, uint64_t *id)
{
	struct mark mark;
	struct marks *marks;
	int rc = check(v);

	if (rc < 0)
		return rc;
	if (!id)
		return error_set(DUR_E_MISUSE, "dur_mark() needs a place for the mark");
	marks = marks_of(v);
	if (!marks)
		return -ENOMEM;
	rc = grow_array(&marks->mark, &marks->cap, marks->n + 1, sizeof *marks->mark, "making a mark");
	if (rc == 0)
		rc = rows_save(v, &mark.rows);
	if (rc < 0)
		return rc;
	rc = store_mark(v->txn, &mark.data);
	moved(v);
	if (rc < 0) {
		free(mark.rows.row);
		return rc;
	}
	marks_cut(marks, mark.data.number - 1);
	mark.failed = v->failed;
	mark.id = *id = atomic_fetch_add(&last_id, 1) + 1;
	marks->mark[marks->n++] = mark;
	return 0;
}

int dur_rollback(dur_view *v, uint64_t id)
{
	const struct mark *mark;
	size_t n = 0;
	int rc = check(v);

	if (rc < 0)
		return rc;
	if (id == 0)
		return error_set(DUR_E_MISUSE, "the mark is 0: take it from dur_mark()");
	if (v->marks)
		for (n = v->marks->n; n > 0 && v->marks->mark[n - 1].id != id; n--)
			;
	if (n == 0)
		return error_set(DUR_E_STALE, "this is no mark of this transaction, or it ended with a "
		                 "rollback to an older one");
	mark = &v->marks->mark[n - 1];
	rc = store_rollback(v->txn, &mark->data);
	if (rc < 0)
		return rc;
	rows_restore(v, &mark->rows);
	v->failed = mark->failed;
	moved(v);
	marks_cut(v->marks, n);
	return 0;
}
