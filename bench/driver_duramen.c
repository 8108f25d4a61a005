/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Duramen through duramen.h alone, with default options: a prefix whose catalog has raw keys. It
 * appears twice, with retention "last:1" (like the others, which keep no history) and "all". A load
 * in the order of keys is put many at a time, with a copy of each entry, as a program would do that
 * loads a file.
 */
#include <duramen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "driver.h"

struct driver_handle {
	dur_workspace *workspace;
	dur_prefix    *prefix;
	dur_view      *view;    /* the transaction or snapshot that is open */
	dur_coll       root;    /* of that view */
	bool           lazy;
	uint64_t       newest;  /* the last state committed here */
	uint32_t       waiting; /* entries of a load that are not put yet */
	dur_value      keys[DRIVER_BATCH], values[DRIVER_BATCH];
	unsigned char  bytes[DRIVER_BATCH][DATA_KEY + DATA_VALUE];
};

static int duramen_fail(const char *call, int rc)
{
	return driver_fail("duramen: %s: %s: %s", call, dur_strerror(rc), dur_message());
}

static void duramen_version(char *text, size_t size)
{
	snprintf(text, size, "%s", dur_version());
}

static int duramen_close(driver_handle *h)
{
	int rc;

	dur_close(h->view);
	rc = dur_detach(h->prefix);
	if (!rc)
		rc = dur_workspace_close(h->workspace);
	if (rc)
		return duramen_fail("dur_detach", rc);
	free(h);
	return 0;
}

static int duramen_open(const struct driver *self, const char *dir, unsigned mode,
                        driver_handle **out)
{
	driver_handle *h = calloc(1, sizeof(*h));
	dur_attach_options options = { .keep = self->keep };
	uint32_t flags = 0;
	int rc;

	if (!h)
		return driver_fail("duramen: out of memory");
	h->lazy = (mode & DRIVER_LAZY) != 0;
	if (mode & DRIVER_CREATE)
		flags = DUR_CREATE | DUR_EXCLUSIVE | DUR_RAW;
	else if (mode & DRIVER_READER)
		flags = DUR_READ_ONLY;
	rc = dur_workspace_open(dir, NULL, &h->workspace);
	if (rc) {
		free(h);
		return duramen_fail("dur_workspace_open", rc);
	}
	rc = dur_attach(h->workspace, "bench", flags, &options, &h->prefix);
	if (rc) {
		duramen_fail("dur_attach", rc);
		dur_workspace_close(h->workspace);
		free(h);
		return -1;
	}
	*out = h;
	return 0;
}

static int duramen_settle(driver_handle *h)
{
	int rc = h->newest ? dur_sync(h->prefix, h->newest, -1) : 0;

	return rc ? duramen_fail("dur_sync", rc) : 0;
}

static int duramen_begin(driver_handle *h)
{
	int rc = dur_begin(h->prefix, NULL, &h->view);

	if (rc)
		return duramen_fail("dur_begin", rc);
	h->root = dur_root(h->view);
	return 0;
}

static int put_waiting(driver_handle *h)
{
	int rc = dur_put_many(h->root, h->keys, h->values, h->waiting);

	h->waiting = 0;
	return rc ? duramen_fail("dur_put_many", rc) : 0;
}

static int put_later(driver_handle *h, const unsigned char *key, const unsigned char *value)
{
	unsigned char *copy = h->bytes[h->waiting];

	memcpy(copy, key, DATA_KEY);
	memcpy(copy + DATA_KEY, value, DATA_VALUE);
	h->keys[h->waiting] = DUR_BYTES(copy, DATA_KEY);
	h->values[h->waiting] = DUR_BYTES(copy + DATA_KEY, DATA_VALUE);
	return ++h->waiting == DRIVER_BATCH ? put_waiting(h) : 0;
}

static int duramen_put(driver_handle *h, const unsigned char *key, const unsigned char *value,
                       bool ascending)
{
	int rc;

	if (ascending)
		return put_later(h, key, value);
	rc = dur_put(h->root, &DUR_BYTES(key, DATA_KEY), &DUR_BYTES(value, DATA_VALUE));
	return rc ? duramen_fail("dur_put", rc) : 0;
}

static int duramen_end(driver_handle *h)
{
	dur_close(h->view);
	h->view = NULL;
	return 0;
}

static int duramen_commit(driver_handle *h)
{
	dur_commit_options options = { .flags = h->lazy ? DUR_ASYNC : 0 };
	int rc;

	if (h->waiting && put_waiting(h))
		return -1;
	rc = dur_commit(h->view, &options, &h->newest);
	if (rc)
		return duramen_fail("dur_commit", rc);
	return duramen_end(h);
}

static int duramen_snap(driver_handle *h)
{
	int rc = dur_snapshot(h->prefix, DUR_LATEST, NULL, &h->view);

	if (rc)
		return duramen_fail("dur_snapshot", rc);
	h->root = dur_root(h->view);
	return 0;
}

static int duramen_value(const dur_value *v, const unsigned char **value)
{
	if (v->type != DUR_BYTES || v->len != DATA_VALUE)
		return driver_fail("duramen: a value of type %u with %llu bytes", v->type,
		                   (unsigned long long)v->len);
	*value = v->ptr;
	return 0;
}

static int duramen_get(driver_handle *h, const unsigned char *key, const unsigned char **value)
{
	dur_value v;
	int rc = dur_get(h->root, &DUR_BYTES(key, DATA_KEY), &v);

	return rc ? duramen_fail("dur_get", rc) : duramen_value(&v, value);
}

static int duramen_get_many(driver_handle *h, const unsigned char *keys, uint32_t n,
                            const unsigned char **values)
{
	uint32_t i;
	int rc;

	if (n == 0 || n > DRIVER_BATCH)
		return driver_fail("duramen: %u keys at once", n);
	for (i = 0; i < n; i++)
		h->keys[i] = DUR_BYTES(keys + (size_t)i * DATA_KEY, DATA_KEY);
	rc = dur_get_many(h->root, h->keys, n, h->values);
	if (rc)
		return duramen_fail("dur_get_many", rc);
	for (i = 0; i < n; i++)
		if (duramen_value(&h->values[i], &values[i]))
			return -1;
	return 0;
}

static int duramen_scan(driver_handle *h, struct data_scan *s)
{
	const dur_range all = { .from = NULL };
	dur_value key, value;
	dur_iter *it;
	int rc = dur_scan(h->root, &all, &it);

	if (rc)
		return duramen_fail("dur_scan", rc);
	while ((rc = dur_next(it, &key, &value)) == DUR_OK)
		data_row(s, key.ptr, key.type == DUR_BYTES ? key.len : 0, value.ptr,
		         value.type == DUR_BYTES ? value.len : 0);
	if (rc != DUR_NONE)
		duramen_fail("dur_next", rc);
	dur_iter_close(it);
	return rc == DUR_NONE ? 0 : -1;
}

#define DURAMEN_CALLS                                                               \
	.version = duramen_version, .open = duramen_open, .close = duramen_close,   \
	.settle = duramen_settle, .begin = duramen_begin, .put = duramen_put,       \
	.commit = duramen_commit, .snap = duramen_snap, .get = duramen_get,         \
	.get_many = duramen_get_many, .scan = duramen_scan, .end = duramen_end

const struct driver driver_duramen = { .name = "duramen", .keep = "last:1", DURAMEN_CALLS };
const struct driver driver_duramen_all = { .name = "duramen-all", .keep = "all", DURAMEN_CALLS };
