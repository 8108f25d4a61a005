/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dur_restore(): the catalog becomes what the snapshot's is (become.h). Its pages are those of the newest
 * state from the start, so what both have stays shared, and everything else is written anew, large values
 * too: no page that was retired comes back to life (I3).
 */
#include <errno.h>

#include "model/become.h"
#include "model/collection.h"

static int check(dur_view *txn, dur_view *snap)
{
	int rc = view_check(snap);

	if (rc < 0)
		return rc;
	if (snap->kind != VIEW_SNAPSHOT)
		return error_set(DUR_E_MISUSE,
		                 "dur_restore() takes the state of a snapshot: this view is a "
		                 "transaction");
	if (txn->prefix->shared != snap->prefix->shared)
		return error_set(DUR_E_MISUSE,
		                 "the snapshot is of prefix %s, the transaction of %s: "
		                 "dur_restore() works within one prefix",
		                 snap->prefix->name, txn->prefix->name);
	return 0;
}

static int restore(dur_view *txn, dur_view *snap)
{
	struct rows *rows = rows_of(txn);
	struct place from;
	bool changed;
	int rc = rows ? place_open(dur_root(snap), &from) : -ENOMEM;

	return rc < 0 ? rc : become(txn, &rows->root, &from, true, &changed);
}

int dur_restore(dur_view *txn, dur_view *snap)
{
	int rc = view_check(txn);

	if (rc < 0)
		return rc;
	dur_coll root = dur_root(txn);
	rc = collection_begin_write(root);
	if (rc < 0)
		return rc;
	rc = check(txn, snap);
	return collection_end_write(root, rc < 0 ? rc : restore(txn, snap));
}
