/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WiredTiger: a B-tree table, transactions with snapshot isolation, the log on. Durable commits
 * sync the log with fsync, others leave it in the log's buffer. The cache holds the whole table,
 * because a transaction's changes cannot leave it. Log files are small, because they are part of
 * the size of the table and made in full length. The library calibrates its clock for a second in
 * each process, which is no workload here: slow_start. One process only, so its readers
 * are threads.
 */
#if !__has_include(<wiredtiger.h>)
#error "wiredtiger.h is missing: apt-get install libwiredtiger-dev"
#endif
#include <stdio.h>
#include <stdlib.h>
#include <wiredtiger.h>
#include "driver.h"

#define WIRED_TABLE "table:bench"

struct driver_handle {
	bool           shared;  /* the connection belongs to another handle */
	WT_CONNECTION *connection;
	WT_SESSION    *session;
	WT_CURSOR     *cursor;
};

static int wired_fail(const char *call, int rc)
{
	return driver_fail("wiredtiger: %s: %s", call, wiredtiger_strerror(rc));
}

static void wired_version(char *text, size_t size)
{
	int major, minor, patch;

	wiredtiger_version(&major, &minor, &patch);
	snprintf(text, size, "%d.%d.%d", major, minor, patch);
}

static int wired_close(driver_handle *h)
{
	int rc = 0;

	if (h->session)
		rc = h->session->close(h->session, NULL);
	if (h->connection && !h->shared)
		rc = h->connection->close(h->connection, NULL);
	free(h);
	return rc ? wired_fail("close", rc) : 0;
}

static int wired_session(driver_handle *h, bool create)
{
	int rc = h->connection->open_session(h->connection, NULL, "isolation=snapshot",
	                                     &h->session);

	if (rc)
		return wired_fail("open_session", rc);
	if (create)
		rc = h->session->create(h->session, WIRED_TABLE, "key_format=u,value_format=u");
	if (rc)
		return wired_fail("create", rc);
	rc = h->session->open_cursor(h->session, WIRED_TABLE, NULL, NULL, &h->cursor);
	return rc ? wired_fail("open_cursor", rc) : 0;
}

static int wired_open(const struct driver *self, const char *dir, unsigned mode,
                      driver_handle **out)
{
	driver_handle *h = calloc(1, sizeof(*h));
	char config[256];
	int rc;

	(void)self;
	if (!h)
		return driver_fail("wiredtiger: out of memory");
	snprintf(config, sizeof(config),
	         "%scache_size=2GB,log=(enabled=true,file_max=16MB,prealloc=false),"
	         "transaction_sync=(enabled=%s,method=fsync)",
	         mode & DRIVER_CREATE ? "create," : "", mode & DRIVER_LAZY ? "false" : "true");
	rc = wiredtiger_open(dir, NULL, config, &h->connection);
	if (rc) {
		free(h);
		return wired_fail("wiredtiger_open", rc);
	}
	if (wired_session(h, (mode & DRIVER_CREATE) != 0)) {
		wired_close(h);
		return -1;
	}
	*out = h;
	return 0;
}

static int wired_join(driver_handle *shared, driver_handle **out)
{
	driver_handle *h = calloc(1, sizeof(*h));

	if (!h)
		return driver_fail("wiredtiger: out of memory");
	h->shared = true;
	h->connection = shared->connection;
	if (wired_session(h, false)) {
		wired_close(h);
		return -1;
	}
	*out = h;
	return 0;
}

static int wired_settle(driver_handle *h)
{
	int rc = h->session->checkpoint(h->session, NULL);

	return rc ? wired_fail("checkpoint", rc) : 0;
}

static int wired_begin(driver_handle *h)
{
	int rc = h->session->begin_transaction(h->session, NULL);

	return rc ? wired_fail("begin_transaction", rc) : 0;
}

static int wired_put(driver_handle *h, const unsigned char *key, const unsigned char *value,
                     bool ascending)
{
	WT_ITEM k = { .data = key, .size = DATA_KEY }, v = { .data = value, .size = DATA_VALUE };
	int rc;

	(void)ascending;
	h->cursor->set_key(h->cursor, &k);
	h->cursor->set_value(h->cursor, &v);
	rc = h->cursor->insert(h->cursor);
	return rc ? wired_fail("insert", rc) : 0;
}

static int wired_commit(driver_handle *h)
{
	int rc = h->session->commit_transaction(h->session, NULL);

	return rc ? wired_fail("commit_transaction", rc) : 0;
}

static int wired_get(driver_handle *h, const unsigned char *key, const unsigned char **value)
{
	WT_ITEM k = { .data = key, .size = DATA_KEY }, v;
	int rc;

	h->cursor->set_key(h->cursor, &k);
	rc = h->cursor->search(h->cursor);
	if (!rc)
		rc = h->cursor->get_value(h->cursor, &v);
	if (rc)
		return wired_fail("search", rc);
	if (v.size != DATA_VALUE)
		return driver_fail("wiredtiger: a value of %zu bytes", v.size);
	*value = v.data;
	return 0;
}

static int wired_scan(driver_handle *h, struct data_scan *s)
{
	WT_ITEM k, v;
	int rc = h->cursor->reset(h->cursor);

	if (rc)
		return wired_fail("reset", rc);
	while ((rc = h->cursor->next(h->cursor)) == 0) {
		rc = h->cursor->get_key(h->cursor, &k);
		if (!rc)
			rc = h->cursor->get_value(h->cursor, &v);
		if (rc)
			return wired_fail("next", rc);
		data_row(s, k.data, k.size, v.data, v.size);
	}
	return rc == WT_NOTFOUND ? 0 : wired_fail("next", rc);
}

static int wired_end(driver_handle *h)
{
	int rc = h->cursor->reset(h->cursor);

	if (!rc)
		rc = h->session->rollback_transaction(h->session, NULL);
	return rc ? wired_fail("rollback_transaction", rc) : 0;
}

const struct driver driver_wiredtiger = {
	.name = "wiredtiger", .threads = true, .slow_start = true, .version = wired_version,
	.open = wired_open, .join = wired_join, .close = wired_close, .settle = wired_settle,
	.begin = wired_begin, .put = wired_put, .commit = wired_commit,
	.snap = wired_begin, .get = wired_get, .scan = wired_scan, .end = wired_end,
};
