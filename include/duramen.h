/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DURAMEN_H
#define DURAMEN_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)    /* the library hides all else */
#endif

typedef struct dur_workspace dur_workspace;
typedef struct dur_prefix    dur_prefix;
typedef struct dur_view      dur_view;
typedef struct dur_iter      dur_iter;

/* ======== Values and errors ======== */
/* A collection or an object in a view. Copy it freely; {0} is "no collection". Look at kind only. */
typedef struct dur_coll {
	dur_view *view;
	uint64_t  at;           /* private */
	uint32_t  stamp;        /* private */
	uint32_t  kind;         /* DUR_MAP ... DUR_OBJECT; 0 for none */
} dur_coll;

enum dur_type {
	DUR_ABSENT  = 0,        /* nothing there; never stored */
	DUR_NULL    = 1,
	DUR_BOOL    = 2,        /* i: 0 or 1 */
	DUR_INT     = 3,        /* i */
	DUR_BIGINT  = 4,        /* str: an integer beyond int64, in decimal digits */
	DUR_DOUBLE  = 5,        /* f; every bit pattern is kept */
	DUR_DECIMAL = 6,        /* str: "-12.50"; trailing zeros are kept */
	DUR_STR     = 7,        /* str, len: checked UTF-8, not NUL-terminated */
	DUR_BYTES   = 8,        /* ptr, len */
	DUR_TIME    = 9,        /* time, zone_min */
	DUR_UUID    = 10,       /* id */
	DUR_REF     = 11,       /* id: an object, of this prefix or another; keeps it alive */
	DUR_WEAK    = 12,       /* id: the same, but does not keep it alive */
	DUR_TUPLE   = 13,       /* items, len: scalars and tuples */

	DUR_MAP     = 32,       /* typed keys, in order -> values */
	DUR_RAW_MAP = 33,       /* byte-string keys; a string key means its bytes, comes back as bytes */
	DUR_SET     = 34,       /* typed members */
	DUR_RAW_SET = 35,
	DUR_LIST    = 36,       /* values by position */
	DUR_ROPE    = 37,       /* a byte string of any length, edited in place */
	DUR_OBJECT  = 38,       /* fields by name, with an identity: dur_new() */

	/* in arguments only; DUR_PATH also in dur_change */
	DUR_PATH    = 64,       /* str: a JSON Pointer */
	DUR_STEPS   = 65,       /* items: the typed steps of a path */
	DUR_COLL    = 66,       /* coll: any collection */
	DUR_VAR     = 67,       /* str: a variable's name in a pattern */
	DUR_LITERAL = 128       /* or-ed to a kind. items: what the new collection holds */
};

#define DUR_NO_ZONE INT16_MIN   /* zone_min of a local time with no zone */
#define DUR_MAX_KEY 1024        /* bytes of an encoded key; the format settles it */

typedef struct dur_value {
	uint32_t type;          /* enum dur_type */
	uint16_t tag;           /* two bytes of your own that travel with a scalar; 0: none. Not in keys. */
	int16_t  zone_min;      /* DUR_TIME: minutes east of UTC */
	uint64_t len;           /* bytes of str and ptr; elements of items; entries of a collection */
	union {
		int64_t     i;
		double      f;
		const char *str;
		const void *ptr;
		const struct dur_value *items;
		uint8_t     id[16];
		struct { int64_t sec; uint32_t nsec; uint32_t pad; } time;  /* since 1970, UTC */
		dur_coll    coll;
	};
} dur_value;

/* A type's name with parentheses makes a value of it: &DUR_INT(42) as an argument, DUR_INT(42) in an array.
 * Nothing is copied. Bindings fill the struct; reads set only the fields that their type uses. */
#define DUR_CSTR         UINT64_MAX     /* len of an argument: str ends at its NUL */
#define DUR_NULL()       ((dur_value){ .type = DUR_NULL })
#define DUR_BOOL(x)      ((dur_value){ .type = DUR_BOOL,    .i = (x) ? 1 : 0 })
#define DUR_INT(x)       ((dur_value){ .type = DUR_INT,     .i = (x) })
#define DUR_DOUBLE(x)    ((dur_value){ .type = DUR_DOUBLE,  .f = (x) })
#define DUR_BIGINT(s)    ((dur_value){ .type = DUR_BIGINT,  .len = DUR_CSTR, .str = (s) })
#define DUR_DECIMAL(s)   ((dur_value){ .type = DUR_DECIMAL, .len = DUR_CSTR, .str = (s) })
#define DUR_STR(s)       ((dur_value){ .type = DUR_STR,     .len = DUR_CSTR, .str = (s) })
#define DUR_STRN(s, n)   ((dur_value){ .type = DUR_STR,     .len = (n), .str = (s) })
#define DUR_BYTES(p, n)  ((dur_value){ .type = DUR_BYTES,   .len = (n), .ptr = (p) })
#define DUR_TIME(s, ns, zone) ((dur_value){ .type = DUR_TIME, .zone_min = (zone), .time = { (s), (ns), 0 } })
#define DUR_TUPLE(v, n)  ((dur_value){ .type = DUR_TUPLE,   .len = (n), .items = (v) })
#define DUR_PATH(s)      ((dur_value){ .type = DUR_PATH,    .len = DUR_CSTR, .str = (s) })
#define DUR_STEPS(v, n)  ((dur_value){ .type = DUR_STEPS,   .len = (n), .items = (v) })
#define DUR_COLL(c)      ((dur_value){ .type = DUR_COLL,    .coll = (c) })      /* put: a clone; an object: a reference */
#define DUR_NEW(kind, v, n) ((dur_value){ .type = (kind) | DUR_LITERAL, .len = (n), .items = (v) }) /* map: keys and values in turn */

/* -1, 0, 1: the order of typed keys, over all scalar types. */
int dur_compare(const dur_value *a, const dur_value *b);

enum dur_result {
	DUR_OK           = 0,
	DUR_NONE         = 1,      /* a plain no: absent, at the end, timed out, not equal */
	DUR_E_MISUSE     = -5001,  /* a handle or argument that cannot be; nothing was done */
	DUR_E_TYPE       = -5002,  /* something of another type is there */
	DUR_E_PATH       = -5003,  /* not a JSON Pointer, or a step that cannot be */
	DUR_E_PARENT     = -5004,  /* the collection to write into is not there: dur_make() it */
	DUR_E_RANGE      = -5005,  /* position or number out of range */
	DUR_E_LIMIT      = -5006,  /* key too long, nested too deep, too big for the memory limit */
	DUR_E_NAME       = -5007,  /* not a valid prefix, state or class name */
	DUR_E_READ_ONLY  = -5008,  /* a write in a snapshot, or to a prefix attached read-only */
	DUR_E_STALE      = -5009,  /* the collection is gone, or was borrowed and kept too long */
	DUR_E_FORKED     = -5010,  /* a handle of the parent process: attach anew */
	DUR_E_LOCKED     = -5011,  /* another writer holds the lock; the message says which process */
	DUR_E_CONFLICT   = -5012,  /* optimistic: something read has changed since: close, run again */
	DUR_E_GONE       = -5013,  /* the state is no longer retained */
	DUR_E_REFERENCED = -5014,  /* references to the object remain */
	DUR_E_CONSTRAINT = -5015,  /* a required or unique field, a singleton, an immutable object */
	DUR_E_CORRUPT    = -5016,  /* a checksum or structure is wrong; the message names the page */
	DUR_E_FORMAT     = -5017,  /* not a page file or backup stream, or one of a newer version */
	DUR_E_FAILED     = -5018,  /* a flush failed earlier: detach and attach before you commit again */
	DUR_E_PEER       = -5019   /* attach: a group commit was cut off and its peer named in the message is missing */
};

const char *dur_strerror(int result);   /* fixed text for any result; static */
const char *dur_message(void);          /* this thread's last failed call, and what to do; until its next */
const char *dur_version(void);          /* "0.1.0" */

/* Each call lists the flags it takes and refuses others. */
enum dur_flag {
	DUR_CREATE     = 1 << 0,   DUR_EXCLUSIVE = 1 << 1,   DUR_READ_ONLY  = 1 << 2,
	DUR_MEMORY     = 1 << 3,   DUR_RAW       = 1 << 4,   DUR_HOLD_LOCK  = 1 << 5,
	DUR_NO_WAIT    = 1 << 6,   DUR_OPTIMISTIC = 1 << 7,  DUR_LENIENT    = 1 << 8,
	DUR_ASYNC      = 1 << 9,   DUR_ON_DISK   = 1 << 10,  DUR_REVERSE    = 1 << 11,
	DUR_AFTER_FROM = 1 << 12,  DUR_WITH_TO   = 1 << 13,  DUR_STARTS     = 1 << 14,
	DUR_COALESCE   = 1 << 15,  DUR_HISTORY   = 1 << 16,  DUR_NULLS_LAST = 1 << 17,
	DUR_SINGLETON  = 1 << 18,  DUR_COUNTED   = 1 << 19,  DUR_IMMUTABLE  = 1 << 20,
	DUR_REQUIRED   = 1 << 21,  DUR_INDEXED   = 1 << 22,  DUR_UNIQUE     = 1 << 23,
	DUR_KEEP_GROUP = 1 << 24,  DUR_UNDO_GROUP = 1 << 25
};

typedef struct dur_progress {   /* long work calls it about ten times a second; nonzero cancels (-ECANCELED) */
	int (*call)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
} dur_progress;

/* ======== Workspace and prefix ======== */
typedef struct dur_workspace_options {
	uint32_t mode, pad;     /* permission of new files; 0: 0600 */
	void   (*log)(void *ctx, int syslog_level, const char *text);  /* takeovers, recoveries; may be NULL */
	void    *log_ctx;
	uint64_t reserved[4];
} dur_workspace_options;

typedef struct dur_attach_options {
	const char *keep;       /* new prefix: retention, as dur_keep(); NULL: "all" */
	uint64_t    memory_bytes;     /* unwritten pages a transaction may hold before it spills; 0: 64 MiB */
	uint32_t    async_ms;         /* an async commit is on disk after this; 0: 100 */
	uint32_t    lock_ms;          /* wait for the writer lock; 0: no limit */
	uint64_t    reserved[4];
} dur_attach_options;

typedef struct dur_prefix_info {
	char     name[256];
	uint8_t  uuid[16];
	uint64_t newest, file_bytes;    /* newest: a state */
	uint32_t flags, pad;            /* MEMORY */
} dur_prefix_info;

/* Opens the folder dir, making it if needed. Attaches nothing. */
int dur_workspace_open(const char *dir, const dur_workspace_options *o, dur_workspace **ws);
/* Frees it. -EBUSY while prefixes are attached. NULL is fine. */
int dur_workspace_close(dur_workspace *ws);
/* Prefixes in name order, after skipping some; *n < cap: that was the end. */
int dur_prefixes(dur_workspace *ws, uint64_t skip, dur_prefix_info *out, uint32_t cap, uint32_t *n);
/* Attaches "my-org/app/settings"; ws NULL: name is a file path. Cost does not grow with the file.
 * CREATE (EXCLUSIVE, MEMORY, RAW: the catalog has raw keys), READ_ONLY, HOLD_LOCK, KEEP_GROUP or UNDO_GROUP
 * (the answer to DUR_E_PEER). -ENOENT, -EEXIST, DUR_E_NAME, _FORMAT, _LOCKED. MEMORY, name NULL: private. */
int dur_attach(dur_workspace *ws, const char *name, uint32_t flags, const dur_attach_options *o,
               dur_prefix **p);
/* Ends it. -EBUSY while views, logs or watches are open. NULL is fine. */
int dur_detach(dur_prefix *p);
/* Deletes a prefix and all its states. -EBUSY while any process has it attached. */
int dur_drop(dur_workspace *ws, const char *name);

/* ======== Views: snapshot, begin, commit, close ======== */
#define DUR_LATEST 0u           /* state numbers start at 1: the empty prefix */

typedef struct dur_view_options {
	uint64_t memory_bytes;  /* snapshot: 0 mapped, else read through a private pool of at most this, ON_DISK
	                           implied; transaction: as in dur_attach_options */
	uint32_t flags;         /* snapshot: ON_DISK; begin: NO_WAIT, OPTIMISTIC, LENIENT */
	uint32_t lock_ms;       /* begin: 0: as attached */
	uint64_t reserved[4];
} dur_view_options;

typedef struct dur_commit_options {
	uint32_t    flags, pad; /* ASYNC: visible at once, on disk soon: dur_sync() */
	const char *label;      /* kept with the state, at most 63 bytes; NULL: none */
	const char *name;       /* names the new state, as dur_name() */
	uint64_t    reserved[4];
} dur_commit_options;

/* Opens a state to read; nobody waits for anybody. DUR_E_GONE. About 10 ns mapped. */
int dur_snapshot(dur_prefix *p, uint64_t state, const dur_view_options *o, dur_view **snap);
/* Opens a transaction on the newest state: takes the writer lock, in turn. DUR_E_LOCKED, -EDEADLK if
 * this thread has it. OPTIMISTIC: no lock until commit; what is read is remembered and checked then. */
int dur_begin(dur_prefix *p, const dur_view_options *o, dur_view **txn);
/* Makes the transaction the newest state and wakes its readers; on success txn is a snapshot of it. On
 * failure txn is as before (close it, or mend it and retry). *state may be NULL. One flush. */
int dur_commit(dur_view *txn, const dur_commit_options *o, uint64_t *state);
/* Ends a view; a transaction that is not committed leaves no trace. NULL is fine. */
void dur_close(dur_view *v);
/* A snapshot's state; a transaction's: the number it will get if it commits (optimistic: its base). */
uint64_t dur_state(const dur_view *v);
/* ======== Waiting and notification ======== */
/* Sleeps until there is a state newer than after; *state is then the newest. DUR_NONE: timed out. */
int dur_wait(dur_prefix *p, uint64_t after, int timeout_ms, uint64_t *state);
/* The same over n prefixes; seen[i] goes in as after and comes out as the newest of each. */
int dur_wait_any(dur_prefix *const *p, uint64_t *seen, uint32_t n, int timeout_ms);
/* Sleeps until state is on disk. DUR_E_FAILED: it never will be. */
int dur_sync(dur_prefix *p, uint64_t state, int timeout_ms);
/* A descriptor for poll: readable when a newer state exists than dur_wait() last returned on p; a
 * dur_wait() quiets it. The prefix owns it: do not close it. */
int dur_poll_fd(dur_prefix *p, int *fd);

/* ======== Elements: the same calls for the catalog, maps, sets, lists, objects ======== */
/* The catalog of a view: the map at the top. {0} for NULL. */
dur_coll dur_root(dur_view *v);

/* The value at key (of a set: the member itself), borrowed; value NULL: only ask. DUR_NONE: nothing there. */
int dur_get(dur_coll c, const dur_value *key, dur_value *value);
/* n at a time, interleaved, several times faster than one by one. Absent ones get DUR_ABSENT. */
int dur_get_many(dur_coll c, const dur_value *keys, uint32_t n, dur_value *values);
/* Sets the value at key (list: at an existing position, or "/-"). DUR_E_PARENT, _TYPE, _RANGE, _LIMIT. */
int dur_put(dur_coll c, const dur_value *key, const dur_value *value);
/* n at a time, in any order; a set takes values NULL. All or none. */
int dur_put_many(dur_coll c, const dur_value *keys, const dur_value *values, uint32_t n);
/* Puts only if the value is expected; NULL: only if nothing is there. DUR_NONE: it was not. */
int dur_swap(dur_coll c, const dur_value *key, const dur_value *expected, const dur_value *value);
/* Removes an element, a collection in O(1). A list closes up. DUR_NONE: nothing was there. */
int dur_del(dur_coll c, const dur_value *key);
/* ======== Order: ranges, iterators, counts, sets ======== */
/* Zero: everything, upward. Bounds first, then the part, then direction, then skip and limit. As a bound a
 * shorter tuple stands for all that start with it. */
typedef struct dur_range {
	const dur_value *from;  /* key or position; NULL: the first */
	const dur_value *to;    /* left out, unless WITH_TO; NULL: past the last */
	uint32_t flags;         /* REVERSE, AFTER_FROM (leave from out), WITH_TO,
	                           STARTS (keys that start with from: string, bytes or tuple; to is NULL) */
	uint32_t part, parts;   /* the part-th (0..) of parts pieces with equal counts; parts 0: whole */
	uint32_t pad;
	uint64_t skip;          /* leave out the first; O(log n) */
	uint64_t limit;         /* at most this many; 0: no limit */
} dur_range;

/* Entries in order; a list's keys are positions, a rope's offsets (its values: pieces read in place).
 * No allocation beyond the view's pool; a step is a few ns. */
int dur_scan(dur_coll c, const dur_range *r, dur_iter **it);
/* The next entry; key or value may be NULL. DUR_NONE: at the end. */
int dur_next(dur_iter *it, dur_value *key, dur_value *value);
/* The next step gives the first entry at or after key (in reverse: at or before). */
int dur_seek(dur_iter *it, const dur_value *key);
/* How many are left; O(log n) for a scan, else by counting ahead. */
int dur_left(dur_iter *it, uint64_t *n);
void dur_iter_close(dur_iter *it);                      /* NULL is fine */

/* Exact, O(log n). r NULL: all, O(1). */
int dur_count(dur_coll c, const dur_range *r, uint64_t *n);
/* How many entries stand before key. DUR_NONE: key itself is not there (*rank is set all the same). */
int dur_rank(dur_coll c, const dur_value *key, uint64_t *rank);
/* The n-th entry; -1 is the last. DUR_NONE: not that many. */
int dur_nth(dur_coll c, int64_t n, dur_value *key, dur_value *value);
/* Removes a range (NULL: all). *n, if not NULL: how many. O(log n); pages are given back later. */
int dur_clear(dur_coll c, const dur_range *r, uint64_t *n);

/* ======== History ======== */
typedef struct dur_state_info {
	uint64_t state;
	int64_t  time_ns;       /* since 1970; never goes back within a prefix */
	uint64_t entries;       /* of the catalog */
	uint64_t written_bytes; /* by this commit, its record included */
	uint32_t flags, names;  /* ON_DISK; how many names it has */
	char     label[64];
} dur_state_info;

/* Text to a state: "1234", "-3" (three states back), a name, "2026-11-20T10:00:00Z" (the last commit at
 * or before it), "latest". DUR_NONE: no such state, or no longer. */
int dur_resolve(dur_prefix *p, const char *at, uint64_t *state);
/* Retained states from one on (0: the newest), downward; upward with REVERSE. *n < cap: the end. */
int dur_states(dur_prefix *p, uint64_t from, uint32_t flags, dur_state_info *out, uint32_t cap, uint32_t *n);
/* Retention: "all", "last:100", "for:30d", "every:1h", joined by commas: kept if any part keeps it. */
int dur_keep(dur_prefix *p, const char *policy);

/* ======== Looking inside ======== */
typedef struct dur_prefix_stat {
	char     name[256], keep[64], io[16];           /* io: "io_uring" or "pwritev" */
	uint8_t  uuid[16];
	uint64_t oldest, newest, durable, states;       /* state numbers; how many are retained */
	uint64_t file_bytes, live_bytes, retained_bytes, packed_bytes, free_bytes;
	uint64_t commits, flushes, epoch;
	uint32_t writer_pid;                            /* 0: none */
	uint32_t readers;
	uint64_t reserved[8];
} dur_prefix_stat;
typedef struct dur_reader {
	uint32_t pid, views;
	uint64_t oldest, age_ms, held_bytes;            /* the state it pins, since when, what only it holds back */
} dur_reader;
typedef struct dur_view_cost {                          /* since the view was opened */
	uint64_t pages_read, pages_unpacked, memory_bytes, memory_peak_bytes, written_bytes, reserved[3];
} dur_view_cost;
typedef struct dur_problem { uint64_t page, state; const char *text; } dur_problem;

int dur_stat(dur_prefix *p, dur_prefix_stat *out);              /* O(1) */
int dur_readers(dur_prefix *p, uint64_t skip, dur_reader *out, uint32_t cap, uint32_t *n);
int dur_cost(const dur_view *v, dur_view_cost *out);
/* Reads every page of a prefix, attached or not, repairs nothing, calls report (may be NULL) for each
 * problem. 0: sound; DUR_E_CORRUPT: not. HISTORY: every retained state too. */
int dur_check(dur_workspace *ws, const char *name, uint32_t flags,
              void (*report)(void *ctx, const dur_problem *problem), void *ctx,
              const dur_progress *progress);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif /* DURAMEN_H */
