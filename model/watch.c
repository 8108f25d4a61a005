/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dur_watch(): the states after one, in order (prefixes/follow.h), and of each what differs from
 * the one before, at or below a path. Two snapshots are open while a difference is read, one of the
 * last state seen otherwise: so from there on nothing that the watch has reached can be lost to it.
 */
#include <errno.h>
#include <stdlib.h>

#include "model/changes.h"
#include "model/iter.h"
#include "prefixes/follow.h"

struct watch {
	struct follow follow;
	bool coalesce;
	dur_view *seen;                 /* the last state all of whose changes were given */
	dur_view *next;                 /* the one whose changes are being given; NULL: none */
	bool begun;                     /* with that */
	int64_t time_ns;                /* its */
	struct where where;
	struct changes changes;
};

static int watch_next(void *ctx, dur_change *change)
{
	struct watch *w = ctx;
	struct nest_change step;
	int rc;

	for (;;) {
		if (!w->next) {
			rc = follow_next(&w->follow, w->coalesce, &w->next, &w->time_ns);
			if (rc != 0)
				return rc;
		}
		if (!w->begun) {
			rc = changes_open_at(&w->changes, w->seen, w->next, &w->where, NULL);
			if (rc < 0)
				return rc;
			w->begun = true;
		}
		rc = changes_step(&w->changes, &step);
		if (rc <= 0)
			break;
		dur_close(w->seen);
		w->seen = w->next;
		w->next = NULL;
		w->begun = false;
	}
	if (rc == 0)
		rc = changes_row(&w->changes, &step, change);
	change->state = dur_state(w->next);
	change->time_ns = w->time_ns;
	return rc;
}

static void watch_end(void *ctx)
{
	struct watch *w = ctx;

	changes_end(&w->changes);
	where_free(&w->where);
	dur_close(w->next);
	dur_close(w->seen);
	free(w);
}

static const struct change_kind watch_kind = { watch_next, watch_end };

int dur_watch(dur_prefix *p, const dur_value *path, uint64_t after, uint32_t flags, dur_iter **it)
{
	dur_view *anchor;
	struct watch *w;
	int rc = prefix_check(p);

	if (it)
		*it = NULL;
	if (rc < 0)
		return rc;
	if (!it)
		return error_set(DUR_E_MISUSE, "dur_watch() needs a place for the iterator");
	if (path && path->type != DUR_PATH && path->type != DUR_STEPS)
		return error_set(DUR_E_MISUSE, "dur_watch() takes a path: DUR_PATH() or DUR_STEPS()");
	if (flags & ~(uint32_t)DUR_COALESCE)
		return error_set(DUR_E_MISUSE, "dur_watch() takes no flag but DUR_COALESCE");
	w = calloc(1, sizeof *w);
	if (!w)
		return error_system(ENOMEM, "opening a watch");
	w->coalesce = flags & DUR_COALESCE;
	rc = follow_start(&w->follow, p, after, &w->seen);
	if (rc == 0)
		rc = where_open(&w->where, path, p->raw);
	if (rc == 0)
		rc = view_anchor(p, &anchor);
	if (rc < 0) {
		watch_end(w);
		return rc;
	}
	return iter_open_changes(anchor, true, &watch_kind, w, it);
}
