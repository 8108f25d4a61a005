/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LMDB, as its documentation advises: one read transaction that is reset and renewed, MDB_APPEND
 * for keys in order. Durable commits use the default flags; commits that need not be on disk use
 * MDB_NOSYNC with MDB_WRITEMAP, which is twice as fast there (and gains nothing for durable ones).
 */
#if !__has_include(<lmdb.h>)
#error "lmdb.h is missing: apt-get install liblmdb-dev"
#endif
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include "driver.h"

struct driver_handle {
	MDB_env *env;
	MDB_dbi  dbi;
	MDB_txn *write;         /* NULL between transactions */
	MDB_txn *read;          /* made once, then renewed and reset */
};

static int lmdb_fail(const char *call, int rc)
{
	return driver_fail("lmdb: %s: %s", call, mdb_strerror(rc));
}

static void lmdb_version(char *text, size_t size)
{
	snprintf(text, size, "%d.%d.%d", MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH);
}

static int lmdb_close(driver_handle *h)
{
	if (h->read)
		mdb_txn_abort(h->read);
	if (h->write)
		mdb_txn_abort(h->write);
	mdb_env_close(h->env);
	free(h);
	return 0;
}

static int lmdb_open_table(driver_handle *h, unsigned mode)
{
	bool reader = (mode & DRIVER_READER) != 0;
	MDB_txn *txn;
	int rc = mdb_txn_begin(h->env, NULL, reader ? MDB_RDONLY : 0, &txn);

	if (rc)
		return lmdb_fail("mdb_txn_begin", rc);
	rc = mdb_dbi_open(txn, NULL, 0, &h->dbi);
	if (rc) {
		mdb_txn_abort(txn);
		return lmdb_fail("mdb_dbi_open", rc);
	}
	rc = mdb_txn_commit(txn);
	if (rc)
		return lmdb_fail("mdb_txn_commit", rc);
	rc = mdb_txn_begin(h->env, NULL, MDB_RDONLY, &h->read);
	if (rc)
		return lmdb_fail("mdb_txn_begin", rc);
	mdb_txn_reset(h->read);
	return 0;
}

static int lmdb_open(const struct driver *self, const char *dir, unsigned mode, driver_handle **out)
{
	driver_handle *h = calloc(1, sizeof(*h));
	unsigned flags = 0;
	int rc;

	(void)self;
	if (!h)
		return driver_fail("lmdb: out of memory");
	if (mode & DRIVER_LAZY)
		flags |= MDB_NOSYNC | MDB_WRITEMAP;
	if (mode & DRIVER_READER)
		flags |= MDB_RDONLY;
	rc = mdb_env_create(&h->env);
	if (rc) {
		free(h);
		return lmdb_fail("mdb_env_create", rc);
	}
	rc = mdb_env_set_mapsize(h->env, (size_t)64 << 30);
	if (!rc)
		rc = mdb_env_open(h->env, dir, flags, 0600);
	if (rc) {
		lmdb_close(h);
		return lmdb_fail("mdb_env_open", rc);
	}
	if (lmdb_open_table(h, mode)) {
		lmdb_close(h);
		return -1;
	}
	*out = h;
	return 0;
}

static int lmdb_settle(driver_handle *h)
{
	int rc = mdb_env_sync(h->env, 1);

	return rc ? lmdb_fail("mdb_env_sync", rc) : 0;
}

static int lmdb_begin(driver_handle *h)
{
	int rc = mdb_txn_begin(h->env, NULL, 0, &h->write);

	return rc ? lmdb_fail("mdb_txn_begin", rc) : 0;
}

static int lmdb_put(driver_handle *h, const unsigned char *key, const unsigned char *value,
                    bool ascending)
{
	MDB_val k = { DATA_KEY, (void *)(uintptr_t)key };
	MDB_val v = { DATA_VALUE, (void *)(uintptr_t)value };
	int rc = mdb_put(h->write, h->dbi, &k, &v, ascending ? MDB_APPEND : 0);

	return rc ? lmdb_fail("mdb_put", rc) : 0;
}

static int lmdb_commit(driver_handle *h)
{
	int rc = mdb_txn_commit(h->write);

	h->write = NULL;
	return rc ? lmdb_fail("mdb_txn_commit", rc) : 0;
}

static int lmdb_snap(driver_handle *h)
{
	int rc = mdb_txn_renew(h->read);

	return rc ? lmdb_fail("mdb_txn_renew", rc) : 0;
}

static int lmdb_get(driver_handle *h, const unsigned char *key, const unsigned char **value)
{
	MDB_val k = { DATA_KEY, (void *)(uintptr_t)key }, v;
	int rc = mdb_get(h->read, h->dbi, &k, &v);

	if (rc)
		return lmdb_fail("mdb_get", rc);
	if (v.mv_size != DATA_VALUE)
		return driver_fail("lmdb: a value of %zu bytes", v.mv_size);
	*value = v.mv_data;
	return 0;
}

static int lmdb_scan(driver_handle *h, struct data_scan *s)
{
	MDB_cursor *cursor;
	MDB_val k, v;
	int rc = mdb_cursor_open(h->read, h->dbi, &cursor);

	if (rc)
		return lmdb_fail("mdb_cursor_open", rc);
	while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0)
		data_row(s, k.mv_data, k.mv_size, v.mv_data, v.mv_size);
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : lmdb_fail("mdb_cursor_get", rc);
}

static int lmdb_end(driver_handle *h)
{
	mdb_txn_reset(h->read);
	return 0;
}

const struct driver driver_lmdb = {
	.name = "lmdb", .version = lmdb_version,
	.open = lmdb_open, .close = lmdb_close, .settle = lmdb_settle,
	.begin = lmdb_begin, .put = lmdb_put, .commit = lmdb_commit,
	.snap = lmdb_snap, .get = lmdb_get, .scan = lmdb_scan, .end = lmdb_end,
};
