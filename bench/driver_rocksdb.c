/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RocksDB through its C interface: a write batch a transaction, a snapshot a view. The values
 * cannot be compressed, so compression is off; the block cache holds the whole table and Bloom
 * filters are on. settle() flushes the memtable and compacts, so that reads find one sorted run:
 * the best case.
 * Several processes cannot share a RocksDB, so its readers are threads.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE     /* dladdr */
#endif
#if !__has_include(<rocksdb/c.h>)
#error "rocksdb/c.h is missing: apt-get install librocksdb-dev"
#endif
#include <dlfcn.h>
#include <limits.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "driver.h"

struct driver_handle {
	bool                     shared;        /* the database belongs to another handle */
	rocksdb_t               *db;
	rocksdb_options_t       *options;
	rocksdb_block_based_table_options_t *table;
	rocksdb_cache_t         *cache;
	rocksdb_writeoptions_t  *write;
	rocksdb_readoptions_t   *read;
	rocksdb_writebatch_t    *batch;
	const rocksdb_snapshot_t *snapshot;
	rocksdb_pinnableslice_t *value;         /* what the last get() pinned */
};

static int rocks_fail(const char *call, char *error)
{
	driver_fail("rocksdb: %s: %s", call, error ? error : "?");
	rocksdb_free(error);
	return -1;
}

/* The C interface does not tell its version; the shared library's file name does. */
static void rocks_version(char *text, size_t size)
{
	char path[PATH_MAX];
	const char *dot = NULL;
	Dl_info info;

	if (dladdr((const void *)(uintptr_t)rocksdb_open, &info) && realpath(info.dli_fname, path))
		dot = strstr(path, ".so.");
	snprintf(text, size, "%s", dot ? dot + 4 : "unknown");
}

static int rocks_close(driver_handle *h)
{
	rocksdb_pinnableslice_destroy(h->value);
	rocksdb_writebatch_destroy(h->batch);
	rocksdb_readoptions_destroy(h->read);
	rocksdb_writeoptions_destroy(h->write);
	if (!h->shared) {
		if (h->db)
			rocksdb_close(h->db);
		rocksdb_options_destroy(h->options);
		rocksdb_block_based_options_destroy(h->table);
		rocksdb_cache_destroy(h->cache);
	}
	free(h);
	return 0;
}

static void rocks_private(driver_handle *h, unsigned mode)
{
	h->write = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(h->write, !(mode & DRIVER_LAZY));
	h->read = rocksdb_readoptions_create();
	h->batch = rocksdb_writebatch_create();
}

static int rocks_open(const struct driver *self, const char *dir, unsigned mode,
                      driver_handle **out)
{
	driver_handle *h = calloc(1, sizeof(*h));
	char *error = NULL;

	(void)self;
	if (!h)
		return driver_fail("rocksdb: out of memory");
	rocks_private(h, mode);
	h->options = rocksdb_options_create();
	h->table = rocksdb_block_based_options_create();
	h->cache = rocksdb_cache_create_lru((size_t)1 << 30);
	rocksdb_block_based_options_set_block_cache(h->table, h->cache);
	rocksdb_block_based_options_set_filter_policy(h->table,
	                                              rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_options_set_block_based_table_factory(h->options, h->table);
	rocksdb_options_set_compression(h->options, rocksdb_no_compression);
	rocksdb_options_increase_parallelism(h->options, 2);
	rocksdb_options_set_create_if_missing(h->options, (mode & DRIVER_CREATE) != 0);
	h->db = rocksdb_open(h->options, dir, &error);
	if (!h->db) {
		rocks_close(h);
		return rocks_fail("open", error);
	}
	*out = h;
	return 0;
}

static int rocks_join(driver_handle *shared, driver_handle **out)
{
	driver_handle *h = calloc(1, sizeof(*h));

	if (!h)
		return driver_fail("rocksdb: out of memory");
	h->shared = true;
	h->db = shared->db;
	rocks_private(h, 0);
	*out = h;
	return 0;
}

static int rocks_settle(driver_handle *h)
{
	rocksdb_flushoptions_t *o = rocksdb_flushoptions_create();
	char *error = NULL;

	rocksdb_flushoptions_set_wait(o, 1);
	rocksdb_flush(h->db, o, &error);
	rocksdb_flushoptions_destroy(o);
	if (error)
		return rocks_fail("flush", error);
	rocksdb_compact_range(h->db, NULL, 0, NULL, 0);
	return 0;
}

static int rocks_begin(driver_handle *h)
{
	rocksdb_writebatch_clear(h->batch);
	return 0;
}

static int rocks_put(driver_handle *h, const unsigned char *key, const unsigned char *value,
                     bool ascending)
{
	(void)ascending;
	rocksdb_writebatch_put(h->batch, (const char *)key, DATA_KEY, (const char *)value,
	                       DATA_VALUE);
	return 0;
}

static int rocks_commit(driver_handle *h)
{
	char *error = NULL;

	rocksdb_write(h->db, h->write, h->batch, &error);
	return error ? rocks_fail("write", error) : 0;
}

static int rocks_snap(driver_handle *h)
{
	h->snapshot = rocksdb_create_snapshot(h->db);
	rocksdb_readoptions_set_snapshot(h->read, h->snapshot);
	return 0;
}

static int rocks_get(driver_handle *h, const unsigned char *key, const unsigned char **value)
{
	char *error = NULL;
	size_t length = 0;

	rocksdb_pinnableslice_destroy(h->value);
	h->value = rocksdb_get_pinned(h->db, h->read, (const char *)key, DATA_KEY, &error);
	if (error)
		return rocks_fail("get", error);
	if (!h->value)
		return driver_fail("rocksdb: an entry is missing");
	*value = (const unsigned char *)rocksdb_pinnableslice_value(h->value, &length);
	return length == DATA_VALUE ? 0 : driver_fail("rocksdb: a value of %zu bytes", length);
}

static int rocks_scan(driver_handle *h, struct data_scan *s)
{
	rocksdb_iterator_t *it = rocksdb_create_iterator(h->db, h->read);
	char *error = NULL;

	for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
		size_t key_length, value_length;
		const char *key = rocksdb_iter_key(it, &key_length);
		const char *value = rocksdb_iter_value(it, &value_length);

		data_row(s, key, key_length, value, value_length);
	}
	rocksdb_iter_get_error(it, &error);
	rocksdb_iter_destroy(it);
	return error ? rocks_fail("scan", error) : 0;
}

static int rocks_end(driver_handle *h)
{
	rocksdb_pinnableslice_destroy(h->value);
	h->value = NULL;
	rocksdb_readoptions_set_snapshot(h->read, NULL);
	rocksdb_release_snapshot(h->db, h->snapshot);
	h->snapshot = NULL;
	return 0;
}

const struct driver driver_rocksdb = {
	.name = "rocksdb", .threads = true, .version = rocks_version,
	.open = rocks_open, .join = rocks_join, .close = rocks_close, .settle = rocks_settle,
	.begin = rocks_begin, .put = rocks_put, .commit = rocks_commit,
	.snap = rocks_snap, .get = rocks_get, .scan = rocks_scan, .end = rocks_end,
};
