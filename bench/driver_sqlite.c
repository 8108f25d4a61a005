/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite in WAL mode: a WITHOUT ROWID table, prepared statements, the file mapped, and a page cache
 * that a transaction of a million entries fits in. Durable commits use synchronous=FULL, others
 * synchronous=OFF. Checkpoints run as SQLite does by itself.
 */
#if !__has_include(<sqlite3.h>)
#error "sqlite3.h is missing: apt-get install libsqlite3-dev"
#endif
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include "driver.h"

enum { SQL_BEGIN, SQL_BEGIN_WRITE, SQL_COMMIT, SQL_PUT, SQL_GET, SQL_SCAN, SQL_COUNT };

struct driver_handle {
	sqlite3      *db;
	sqlite3_stmt *stmt[SQL_COUNT];
};

static int sql_fail(driver_handle *h, const char *call)
{
	return driver_fail("sqlite: %s: %s", call, h->db ? sqlite3_errmsg(h->db) : "out of memory");
}

static void sql_version(char *text, size_t size)
{
	snprintf(text, size, "%s", sqlite3_libversion());
}

static int sql_close(driver_handle *h)
{
	int i, rc;

	for (i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(h->stmt[i]);
	rc = sqlite3_close(h->db);
	free(h);
	return rc == SQLITE_OK ? 0 : driver_fail("sqlite: sqlite3_close: %s", sqlite3_errstr(rc));
}

static int sql_exec(driver_handle *h, const char *text)
{
	return sqlite3_exec(h->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : sql_fail(h, text);
}

static int sql_setup(driver_handle *h, unsigned mode)
{
	static const char *const text[SQL_COUNT] = {
		"BEGIN", "BEGIN IMMEDIATE", "COMMIT", "INSERT OR REPLACE INTO kv VALUES (?, ?)",
		"SELECT v FROM kv WHERE k = ?", "SELECT k, v FROM kv ORDER BY k"
	};
	int i;

	if (sqlite3_busy_timeout(h->db, 10000) != SQLITE_OK)
		return sql_fail(h, "sqlite3_busy_timeout");
	if (sql_exec(h, "PRAGMA journal_mode = WAL") ||
	    sql_exec(h, mode & DRIVER_LAZY ? "PRAGMA synchronous = OFF"
	                                   : "PRAGMA synchronous = FULL") ||
	    sql_exec(h, "PRAGMA mmap_size = 2147418112") ||
	    sql_exec(h, "PRAGMA cache_size = -1048576"))
		return -1;
	if ((mode & DRIVER_CREATE) &&
	    sql_exec(h, "CREATE TABLE kv (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID"))
		return -1;
	for (i = 0; i < SQL_COUNT; i++)
		if (sqlite3_prepare_v3(h->db, text[i], -1, SQLITE_PREPARE_PERSISTENT, &h->stmt[i],
		                       NULL) != SQLITE_OK)
			return sql_fail(h, text[i]);
	return 0;
}

static int sql_open(const struct driver *self, const char *dir, unsigned mode, driver_handle **out)
{
	driver_handle *h = calloc(1, sizeof(*h));
	char path[4096];
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;

	(void)self;
	if (!h)
		return driver_fail("sqlite: out of memory");
	snprintf(path, sizeof(path), "%s/bench.sqlite", dir);
	if (mode & DRIVER_CREATE)
		flags |= SQLITE_OPEN_CREATE;
	if (sqlite3_open_v2(path, &h->db, flags, NULL) != SQLITE_OK) {
		sql_fail(h, path);
		sql_close(h);
		return -1;
	}
	if (sql_setup(h, mode)) {
		sql_close(h);
		return -1;
	}
	*out = h;
	return 0;
}

static int sql_settle(driver_handle *h)
{
	return sql_exec(h, "PRAGMA wal_checkpoint(TRUNCATE)");
}

/* Runs a statement that gives no rows. */
static int sql_run(driver_handle *h, int which)
{
	int rc = sqlite3_step(h->stmt[which]);

	sqlite3_reset(h->stmt[which]);
	return rc == SQLITE_DONE ? 0 : sql_fail(h, sqlite3_sql(h->stmt[which]));
}

static int sql_begin(driver_handle *h)
{
	return sql_run(h, SQL_BEGIN_WRITE);
}

static int sql_put(driver_handle *h, const unsigned char *key, const unsigned char *value,
                   bool ascending)
{
	sqlite3_stmt *put = h->stmt[SQL_PUT];

	(void)ascending;
	if (sqlite3_bind_blob(put, 1, key, (int)DATA_KEY, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_bind_blob(put, 2, value, (int)DATA_VALUE, SQLITE_STATIC) != SQLITE_OK)
		return sql_fail(h, "sqlite3_bind_blob");
	return sql_run(h, SQL_PUT);
}

static int sql_commit(driver_handle *h)
{
	return sql_run(h, SQL_COMMIT);
}

static int sql_snap(driver_handle *h)
{
	return sql_run(h, SQL_BEGIN);
}

static int sql_get(driver_handle *h, const unsigned char *key, const unsigned char **value)
{
	sqlite3_stmt *get = h->stmt[SQL_GET];

	sqlite3_reset(get);
	if (sqlite3_bind_blob(get, 1, key, (int)DATA_KEY, SQLITE_STATIC) != SQLITE_OK)
		return sql_fail(h, "sqlite3_bind_blob");
	if (sqlite3_step(get) != SQLITE_ROW)
		return driver_fail("sqlite: an entry is missing: %s", sqlite3_errmsg(h->db));
	*value = sqlite3_column_blob(get, 0);
	if (sqlite3_column_bytes(get, 0) != (int)DATA_VALUE)
		return driver_fail("sqlite: a value of %d bytes", sqlite3_column_bytes(get, 0));
	return 0;
}

static int sql_scan(driver_handle *h, struct data_scan *s)
{
	sqlite3_stmt *scan = h->stmt[SQL_SCAN];
	int rc;

	while ((rc = sqlite3_step(scan)) == SQLITE_ROW) {
		const void *key = sqlite3_column_blob(scan, 0);
		const void *value = sqlite3_column_blob(scan, 1);

		data_row(s, key, (size_t)sqlite3_column_bytes(scan, 0), value,
		         (size_t)sqlite3_column_bytes(scan, 1));
	}
	sqlite3_reset(scan);
	return rc == SQLITE_DONE ? 0 : sql_fail(h, "scan");
}

static int sql_end(driver_handle *h)
{
	sqlite3_reset(h->stmt[SQL_GET]);
	return sql_run(h, SQL_COMMIT);
}

const struct driver driver_sqlite = {
	.name = "sqlite", .version = sql_version,
	.open = sql_open, .close = sql_close, .settle = sql_settle,
	.begin = sql_begin, .put = sql_put, .commit = sql_commit,
	.snap = sql_snap, .get = sql_get, .scan = sql_scan, .end = sql_end,
};
