/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the benchmark asks of a store: one table of entries (bench/data.h), transactions that write,
 * snapshots that read. One file driver_<name>.c a store; nothing outside it knows the store.
 *
 * A handle is used by one thread and has at most one transaction or one snapshot open. All calls
 * return 0, or -1 after driver_fail() with a text that says what went wrong; an entry that is
 * absent is a failure, because the benchmark only asks for entries that it has put.
 */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H
#include <stdbool.h>
#include <stdint.h>
#include "data.h"

enum driver_mode {
	DRIVER_CREATE = 1,      /* make the table in an empty folder */
	DRIVER_LAZY   = 2,      /* commits need not be on disk when they return */
	DRIVER_READER = 4       /* only snapshots, in a process beside the one that writes */
};

#define DRIVER_BATCH 64u        /* the most that get_many is given at once */

typedef struct driver_handle driver_handle;     /* each driver has its own */

struct driver {
	const char *name;
	const char *keep;       /* Duramen's retention; NULL for the others: no history */
	bool        threads;    /* one process only: readers join() it from threads */
	bool        slow_start; /* a process's first open() takes long: done before jobs fork */

	void (*version)(char *text, size_t size);
	int (*open)(const struct driver *self, const char *dir, unsigned mode, driver_handle **h);
	int (*join)(driver_handle *shared, driver_handle **own);        /* NULL unless threads */
	int (*close)(driver_handle *h);
	/* Puts what was committed on disk and folds logs into the table: before sizes are taken. */
	int (*settle)(driver_handle *h);

	int (*begin)(driver_handle *h);
	/* ascending: a hint that keys come in order into an empty table. */
	int (*put)(driver_handle *h, const unsigned char *key, const unsigned char *value,
	           bool ascending);
	int (*commit)(driver_handle *h);

	int (*snap)(driver_handle *h);
	/* *value (DATA_VALUE bytes, checked) may be read until the next call on h. */
	int (*get)(driver_handle *h, const unsigned char *key, const unsigned char **value);
	/* n keys that stand one after the other; NULL: the store has no such call. */
	int (*get_many)(driver_handle *h, const unsigned char *keys, uint32_t n,
	                const unsigned char **values);
	int (*scan)(driver_handle *h, struct data_scan *s);     /* hands each row to data_row() */
	int (*end)(driver_handle *h);
};

extern const struct driver driver_duramen;      /* keep "last:1": nobody else keeps history */
extern const struct driver driver_duramen_all;  /* keep "all" */
extern const struct driver driver_lmdb;
extern const struct driver driver_sqlite;
extern const struct driver driver_rocksdb;
extern const struct driver driver_wiredtiger;

/* Sets the text of this thread's last failure; returns -1. */
int driver_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *driver_message(void);

#endif /* BENCH_DRIVER_H */
