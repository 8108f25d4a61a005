/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Duramen: data in prefixes, one writer and any number of readers each, every commit a state that
 * stays readable. This header is the manual; it needs nothing but a C11 or C++17 compiler.
 *
 * FIVE THINGS
 *
 *   type             made by                ended by                 lives           threads
 *   dur_workspace *  dur_workspace_open()   dur_workspace_close()    past its        any, together
 *                                                                    prefixes
 *   dur_prefix *     dur_attach()           dur_detach()             past its views  any, together
 *   dur_view *       dur_snapshot(),        dur_close(), once, on    until closed    one at a time
 *                    dur_begin()            every path
 *   dur_coll         dur_root()             nothing to free          as its view     its view's
 *   dur_iter *       dur_scan(), ...        dur_iter_close(), or     until then      its view's
 *                                           its view's close
 *   dur_value        you, or a read         nothing to free          BORROWING       copyable
 *
 * A workspace is a folder of prefixes. A prefix is one partition: a page file with its history of
 * states. A view is something to read from: a snapshot of one state, or a transaction, which sees
 * its own writes too. A collection in a view holds values; an iterator gives them in order. Calls
 * that read take any view and do not care which it is; calls that write answer DUR_E_READ_ONLY in a
 * snapshot. After a successful dur_commit() the transaction is a snapshot of the state it made: so
 * every view is closed once, on every path.
 *
 * RESULTS
 *
 * 0 (DUR_OK) is done. 1 (DUR_NONE) is a plain no: not there, at the end, nothing newer; it is no
 * error and sets no message. A negative result is an error: -errno for the system's, DUR_E_* for
 * ours; dur_message() then says for this thread what went wrong and what to do next. After an error
 * data and handles are as before the call; pointers and collections it would have given are NULL
 * and {0}, other outputs are not touched. A NULL or {0} handle, a NULL output that must be given, a
 * flag that the call does not take and a reserved field that is not zero answer DUR_E_MISUSE. These
 * hold for every call and are not repeated below, nor are -ENOMEM, -EIO and DUR_E_CORRUPT, which
 * any call that reads may give.
 *
 * A failed write bars the commit: dur_commit() returns that first error until the transaction is
 * closed, or rolled back past it by dur_rollback() (DUR_LENIENT turns that off). So a run of writes
 * needs one check, at its end.
 *
 * OPTIONS
 *
 * Zero, or NULL for the whole struct, is the default; reserved must be zero. An argument timeout_ms
 * is as in poll(2), in milliseconds: -1 for ever, 0 not at all. Text is UTF-8.
 *
 * BORROWING
 *
 * In: the library copies what it needs before it returns and keeps no pointer of yours. Out: you
 * never free what a read gave you. What is borrowed lasts
 *   1. from a snapshot of DUR_LATEST (and what a commit left): until dur_close();
 *   2. from a transaction: until the next writing call in it, its commit or its close;
 *   3. from a snapshot opened by number, or with memory_bytes: until the next call on that view;
 *   4. keys from an iterator: until its next step (they are assembled, not stored whole); from
 *      dur_nth(): until the view's next dur_nth().
 * "Use it or copy it before your next call" satisfies all four.
 *
 * THREADS AND PROCESSES
 *
 * Share workspaces and prefixes among threads freely. A view, its collections and its iterators are
 * used by one thread at a time and may be handed over. Any number of processes attach the same
 * prefix; one of them at a time has a transaction open, others wait their turn in dur_begin().
 * Snapshots never wait for the writer, nor it for them. Durable commits of several threads share
 * flushes. The library installs no signal handler, prints nothing, never exits, and calls you back
 * only from the calls that say so, and under no lock. No call may be made from a signal handler.
 *
 * FORK
 *
 * In a forked child every handle of the parent is dead: calls answer DUR_E_FORKED, closing it frees
 * memory only, and bytes that it lent are not mapped there. The child opens its own workspace and
 * attaches anew. Nothing is inherited across exec.
 *
 * CAVEATS: what not to do, and what then happens
 *
 *   - Keep bytes beyond their time (BORROWING): reading them is undefined. A dur_coll kept beyond
 *     its view is found out (DUR_E_STALE) while its prefix is attached; a dur_view or dur_iter
 *     pointer is not.
 *   - Put a workspace on a network file system: locks and mappings do not hold between machines,
 *     and a prefix written from two of them is damaged.
 *   - Write to, truncate or replace a page file that is attached: damage is reported when it is
 *     read (DUR_E_CORRUPT), but a truncated mapping kills its readers with SIGBUS. A writer that
 *     finds another file at the path refuses to go on.
 *   - Copy a page file while a writer has it attached: the copy may be torn, and is then refused or
 *     recovered as after a power cut. A folder that nobody has attached may be copied and moved as
 *     it is.
 *   - Open or close a coordination file (NAME.dur-coord) in a process that has its prefix attached:
 *     the kernel then drops the process's record locks, and its snapshots may be taken for those of
 *     a dead reader.
 *   - Give readers no write access to the folder: a reader must be able to write its pins into the
 *     coordination file, else dur_attach() answers -EACCES.
 *   - Keep a snapshot open for long under "last:N": the pages only it still needs cannot be used
 *     again. duramen readers shows who holds how much.
 *   - Hold a transaction open for long: every other writer waits for it.
 *   - Trust ASYNC commits before dur_sync(): a power cut takes back those that are not on disk yet,
 *     newest first. Killing the process does not.
 */
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

/* ======== Values ========
 *
 * A value is a type, a length and a union; its layout is public and its size 40 bytes. Make it with
 * the macros below, pass it by address. What a read gives is filled in the same way.
 *
 *	dur_value name = DUR_STR("Alice"), pair[] = { DUR_STR("de"), DUR_INT(49) };
 *	dur_put(dur_root(txn), &name, &DUR_DOUBLE(0.5));
 *	dur_put(dur_root(txn), &DUR_TUPLE(pair, 2), &DUR_BYTES("\0\1", 2));
 *	if (dur_get(dur_root(txn), &name, &value) == 0 && value.type == DUR_DOUBLE)
 *		printf("%g\n", value.f);
 *
 * Numbers that no C type can hold travel as their text. The catalog of a prefix is a map: its keys
 * are scalars or tuples, in the order of dur_compare() (a tag is no part of a key), or, where the
 * prefix was created with DUR_RAW, plain byte strings. A value may be a collection, in which others
 * are, without limit. This release makes maps and sets, of typed or raw keys, lists and ropes;
 * objects are declared for those to come, and making one is refused with DUR_E_TYPE.
 *
 * COLLECTIONS
 *
 * One small enough is kept within its parent's page, a larger one has pages of its own; it grows out
 * and back as it is written to, and nobody sees which. Putting a collection that is somewhere already
 * puts a clone of it: the two never see each other's later changes. A literal puts a whole one at once,
 * others in it too:
 *
 *	dur_value name[] = { DUR_STR("first"), DUR_STR("Alice") };
 *	dur_value user[] = { DUR_STR("name"), DUR_NEW(DUR_MAP, name, 2), DUR_STR("age"), DUR_INT(25) };
 *	dur_put(dur_root(txn), &DUR_STR("alice"), &DUR_NEW(DUR_MAP, user, 4));
 *	dur_get(dur_root(txn), &DUR_PATH("/alice/name/first"), &value);
 *	dur_put(dur_root(txn), &DUR_STR("backup"), &DUR_COLL(dur_root(txn)));
 *
 * A handle from dur_root(), dur_make() or dur_enter() is good for the life of its view, through writes
 * around it and in it, and through commit. Once its collection is removed or replaced it answers
 * DUR_E_STALE. One that came within a value (dur_get(), dur_next(), ...) is to be read; in a snapshot it
 * lasts as long as the view, in a transaction until the next writing call, and then answers DUR_E_STALE.
 *
 * A call that takes a key takes a path too: DUR_PATH("/users/alice") is a JSON Pointer (RFC
 * 6901) from the collection, DUR_STEPS(keys, n) the same with typed steps. A step in text is a string key; ~
 * and a letter make it another type: ~i42, ~x00ff (bytes), ~u<uuid>. Strings are never parsed as
 * paths.
 */

/* A collection in a view. Copy it freely; {0} is "no collection". Look at kind only. */
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
	DUR_RAW_MAP = 33,       /* byte-string keys; a string key means its bytes, comes back so */
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
	uint16_t tag;           /* two bytes of yours, kept with a value; 0: none. Not in keys, nor
	                           in the items of a tuple. */
	int16_t  zone_min;      /* DUR_TIME: minutes east of UTC */
	uint64_t len;           /* bytes of str and ptr; elements of items; entries of a coll */
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

/* A type's name with parentheses makes a value of it: &DUR_INT(42) as an argument, DUR_INT(42) in
 * an array. Nothing is copied. Bindings fill the struct; reads set only the fields that their type
 * uses. */
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
#define DUR_TIME(s, ns, zone) \
	((dur_value){ .type = DUR_TIME, .zone_min = (zone), .time = { (s), (ns), 0 } })
#define DUR_TUPLE(v, n)  ((dur_value){ .type = DUR_TUPLE,   .len = (n), .items = (v) })
#define DUR_PATH(s)      ((dur_value){ .type = DUR_PATH,    .len = DUR_CSTR, .str = (s) })
#define DUR_STEPS(v, n)  ((dur_value){ .type = DUR_STEPS,   .len = (n), .items = (v) })
/* Put: a clone; of an object, a reference. */
#define DUR_COLL(c)      ((dur_value){ .type = DUR_COLL,    .coll = (c) })
/* A whole collection, written down; of a map, keys and values in turn. */
#define DUR_NEW(kind, v, n) ((dur_value){ .type = (kind) | DUR_LITERAL, .len = (n), .items = (v) })

/*
 * Compares two scalars or tuples in the order of typed keys: null < bytes < strings < tuples <
 * integers < doubles < bools < uuids < decimals < times < references < weak ones; a scalar is the
 * tuple of itself alone, a tuple that begins another stands before it.
 * Returns -1, 0 or 1: *a stands before, at or after *b. What is neither scalar nor tuple, NULL too,
 * is equal to all of its like and stands before all others. Values are not checked: of malformed
 * ones (a string that is not UTF-8, digits that are no number) the order means nothing.
 * Threads: any. Cost: as memcmp of their encodings, no allocation.
 */
int dur_compare(const dur_value *a, const dur_value *b);

/*
 * Encodes items[0 .. n), scalars and tuples, in FoundationDB's tuple encoding, byte for byte:
 * memcmp gives the bytes of two tuples the order of dur_compare(), a tuple that begins another
 * gives bytes that begin the other's. Decimals, times and references, which FoundationDB lacks,
 * take codes that it leaves to users; tags are left out. Bytes without limit; a key has at most
 * DUR_MAX_KEY.
 * buf takes at most cap bytes; *len is how many the encoding has. NULL and 0 only measure.
 * Errors: -ENOSPC (cap is too small; *len is set, buf is spoilt), DUR_E_TYPE (an item that is
 * neither), DUR_E_LIMIT (nested deeper than 32, an integer beyond 255 bytes, a decimal beyond 2,048
 * characters), DUR_E_MISUSE (a string that is not UTF-8, digits that are no number), DUR_E_RANGE (a
 * time's nanoseconds or zone).
 * Threads: any. Cost: a pass over the items, no allocation.
 * The encoding: github.com/apple/foundationdb, design/tuple.md.
 */
int dur_pack(const dur_value *items, uint32_t n, void *buf, uint64_t cap, uint64_t *len);
/*
 * The items that len bytes encode: the *n outermost ones in items[0 .. *n), those of tuples in
 * them behind these, cap in all. A big integer comes back as DUR_INT if it fits one.
 * Lives: what items point to is in src, in items and in scratch, and yours. Strings and bytes need
 * scratch for as many bytes as they have if a 00 is among them, numbers beyond int64 and decimals
 * for their text; so 3 * len always does where there are no decimals, each of which may take 2,048.
 * Errors: -ENOSPC (cap or scratch_bytes is too small: *n is how many items there are in all, the
 * message has the bytes), DUR_E_CORRUPT (not what dur_pack() makes: cut off, a second form of a
 * number, or a type that only FoundationDB has, such as its versionstamps and 4-byte floats).
 * Threads: any. Cost: two passes over the bytes; takes memory and frees it.
 */
int dur_unpack(const void *src, uint64_t len, dur_value *items, uint32_t cap, uint32_t *n,
               void *scratch, uint64_t scratch_bytes);

/* ======== Errors ========
 *
 *	if ((rc = dur_attach(ws, "my-org/settings", 0, NULL, &p)) == -ENOENT)
 *		rc = dur_attach(ws, "my-org/settings", DUR_CREATE, NULL, &p);
 *	if (rc < 0)
 *		fprintf(stderr, "%s (%s)\n", dur_message(), dur_strerror(rc));
 */
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
	DUR_E_LOCKED     = -5011,  /* another writer holds the lock; the message says which */
	DUR_E_CONFLICT   = -5012,  /* something read has changed, or a stream does not fit a copy */
	DUR_E_GONE       = -5013,  /* the state is no longer retained */
	DUR_E_REFERENCED = -5014,  /* references to the object remain */
	DUR_E_CONSTRAINT = -5015,  /* a required or unique field, a singleton, an immutable */
	DUR_E_CORRUPT    = -5016,  /* a checksum or structure is wrong; the message says where */
	DUR_E_FORMAT     = -5017,  /* not a page file or backup stream, or one of a newer version */
	DUR_E_FAILED     = -5018,  /* a flush failed earlier: detach, attach, go on */
	DUR_E_PEER       = -5019   /* a group commit was cut off, the peer in the message missing */
};

/* A fixed text for any result, -errno too. Static, never NULL. Threads: any. */
const char *dur_strerror(int result);
/* What this thread's last failed call said: what went wrong, and what to do next. "" before the
 * first. Valid until the thread's next failed call. Threads: each has its own. */
const char *dur_message(void);
/* The library's version, "0.1.0". Static. */
const char *dur_version(void);

/* Each call lists the flags it takes and refuses others. Those that no entry below takes belong to
 * calls that later releases add. */
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

/* Long work calls it about ten times a second, in the calling thread; nonzero cancels the work,
 * which then returns -ECANCELED. done and total are in bytes, unless the call says otherwise; total 0:
 * nobody knows yet. */
typedef struct dur_progress {
	int (*call)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
} dur_progress;

/* ======== Workspace and prefix ========
 *
 *	rc = dur_workspace_open("app-data", NULL, &ws);
 *	if (rc == 0)
 *		rc = dur_attach(ws, "my-org/settings", DUR_CREATE, NULL, &p);
 *	dur_detach(p);
 *	dur_workspace_close(ws);
 *
 * A prefix's name has parts joined by "/", each of 1 to 240 bytes of printable UTF-8 without
 * backslash, none of them "." or "..", none ending in ".dur" or ".dur-coord", at most 255 bytes in
 * all. Below the workspace's folder NAME.dur is its page file and NAME.dur-coord the coordination
 * file, which holds nothing that a prefix that is not attached needs.
 */
typedef struct dur_workspace_options {
	uint32_t mode, pad;     /* permission of new files; 0: 0600 */
	void   (*log)(void *ctx, int syslog_level, const char *text);   /* takeovers, recoveries */
	void    *log_ctx;
	uint64_t reserved[4];
} dur_workspace_options;

typedef struct dur_attach_options {
	const char *keep;       /* new prefix: retention, as dur_keep(); NULL: "all" */
	uint64_t    memory_bytes;     /* pages a transaction holds before it spills; 0: 64 MiB */
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

/*
 * Opens the folder dir as a workspace, making it if needed (its parent must be there). Attaches
 * nothing. dir is copied. log, if given, is called from any thread in the middle of other calls: it
 * must not call the library.
 * Lives: until dur_workspace_close().
 * Errors: -ENOTDIR, -EACCES, -ENOENT (the parent).
 * Threads: any; the workspace is shared freely. Cost: a few system calls.
 */
int dur_workspace_open(const char *dir, const dur_workspace_options *o, dur_workspace **ws);
/*
 * Frees the workspace. NULL is fine.
 * Errors: -EBUSY while prefixes of it are attached; it then stays open.
 * Threads: any, while no other uses it.
 */
int dur_workspace_close(dur_workspace *ws);
/*
 * Lists prefixes in name order: fills out[0 .. *n) with those after the first skip. *n < cap: that
 * was the end. In-memory ones are listed too, until they are dropped or the machine restarts.
 * Errors: the system's for a folder that cannot be read; a file that is no page file is left out.
 * Threads: any. Cost: a walk of the folder, and a page read from each file.
 */
int dur_prefixes(dur_workspace *ws, uint64_t skip, dur_prefix_info *out, uint32_t cap, uint32_t *n);
/*
 * Attaches the prefix called name, such as "my-org/app/settings". ws NULL: name is a path of a
 * file. After a crash, recovers it (the workspace's log is told).
 * flags: CREATE makes it if it is not there, with EXCLUSIVE it must not be; READ_ONLY refuses
 * transactions and goes with neither CREATE nor HOLD_LOCK; HOLD_LOCK takes the writer lock now and
 * keeps it until dur_detach(). For a new one: MEMORY keeps it in memory only, where others find it
 * by its name until a reboot or dur_drop() (name NULL: private to this handle, gone with it); RAW
 * gives its catalog raw keys. KEEP_GROUP and UNDO_GROUP, answers to DUR_E_PEER, come with group
 * commits.
 * o: keep counts for a new prefix only. memory_bytes bounds the memory of transactions, in bytes;
 * lock_ms, the default wait of dur_begin() and the wait of HOLD_LOCK, and async_ms are
 * milliseconds. Attaching a prefix twice gives two handles that share file, mapping and locks.
 * Lives: until dur_detach(); the workspace must live longer.
 * Errors: -ENOENT, -EEXIST (EXCLUSIVE), -EACCES (also: the coordination file cannot be written),
 * -ENOSPC, DUR_E_NAME, DUR_E_FORMAT (no page file, or a newer version), DUR_E_LOCKED, DUR_E_CORRUPT
 * (damage that recovery must not paper over; nothing was changed).
 * Threads: any; the prefix is shared freely. Cost: some system calls, one recovery at most; not
 * dependent on the file's size.
 */
int dur_attach(dur_workspace *ws, const char *name, uint32_t flags, const dur_attach_options *o,
               dur_prefix **p);
/*
 * Ends an attachment: makes its async commits durable and lets the writer lock go. NULL is fine.
 * Errors: -EBUSY while views of it are open, it then stays attached. The flush's errors: it is
 * detached all the same, commits not yet on disk may be lost.
 * Threads: any, while no other uses it. Cost: a flush if it wrote, else some system calls.
 */
int dur_detach(dur_prefix *p);
/*
 * Deletes a prefix, all its states, and folders that become empty. There is no way back.
 * Errors: -EBUSY while any process has it attached, this one too; -ENOENT, DUR_E_NAME.
 * Threads: any.
 */
int dur_drop(dur_workspace *ws, const char *name);

/* ======== Views: snapshot, begin, commit, close ========
 *
 *	rc = dur_begin(p, NULL, &txn);
 *	dur_put(dur_root(txn), &DUR_STR("theme"), &DUR_STR("dark"));
 *	if (rc == 0)
 *		rc = dur_commit(txn, &(dur_commit_options){ .label = "night" }, &state);
 *	dur_close(txn);
 */
#define DUR_LATEST 0u           /* state numbers start at 1: the empty prefix */

typedef struct dur_view_options {
	uint64_t memory_bytes;  /* snapshot: 0 mapped, else read through a private pool of at
	                           most this, ON_DISK implied; transaction: as in
	                           dur_attach_options */
	uint32_t flags;         /* snapshot: ON_DISK; begin: NO_WAIT, OPTIMISTIC, LENIENT */
	uint32_t lock_ms;       /* begin: 0: as attached */
	uint64_t reserved[4];
} dur_view_options;

typedef struct dur_commit_options {
	uint32_t    flags, pad; /* ASYNC: visible at once, on disk soon: dur_sync() */
	const char *label;      /* kept with the state, at most 63 bytes; NULL: none */
	const char *name;       /* names the new state, as dur_name(); a commit that fails with one
	                           cannot be tried again */
	uint64_t    reserved[4];
} dur_commit_options;

/*
 * Opens a state to read, DUR_LATEST or one by its number; a number no data was committed under (a
 * commit that changed nothing may tell one, and upkeep takes some) opens the state before it, which
 * dur_state() tells. Nobody waits for anybody, and the state stays whole until it is closed,
 * whatever the writer does.
 * o: flags ON_DISK takes the newest state that is on disk (retained or not), where DUR_LATEST may
 * be one an async commit has only made visible; memory_bytes must be 0 in this release.
 * Lives: until dur_close(); the prefix must live longer. Pins the state in shared memory until
 * then.
 * Errors: DUR_E_GONE (not retained, or still to come), -EUSERS (too many processes read this
 * prefix).
 * Threads: any may open one; it is then used by one at a time. Cost: no system call (but for a
 * process's first); of the latest some tens of ns, of an old one a look-up in the history, O(log
 * states).
 */
int dur_snapshot(dur_prefix *p, uint64_t state, const dur_view_options *o, dur_view **snap);
/*
 * Opens a transaction on the newest state: takes the writer lock, in turn with other threads and
 * processes.
 * o: memory_bytes, bytes of unwritten pages before it spills to the file, 0 as attached; lock_ms,
 * milliseconds to wait for the lock, 0 as attached; flags NO_WAIT does not wait at all, LENIENT
 * lets dur_commit() go on after a failed write; OPTIMISTIC comes later.
 * Lives: until dur_close(), on every path; the prefix must live longer.
 * Errors: DUR_E_LOCKED (the message names the holder), -EDEADLK (this thread already has a
 * transaction open on this prefix), DUR_E_READ_ONLY, DUR_E_FAILED, -ESTALE (another file lies at
 * the path now), DUR_E_CORRUPT (a killed writer's tail could not be recovered).
 * Threads: used by one at a time, committed or closed by any. Cost: the lock, one system call or
 * two; with HOLD_LOCK none.
 */
int dur_begin(dur_prefix *p, const dur_view_options *o, dur_view **txn);
/*
 * Makes the transaction the newest state and wakes those who wait for it. On success txn is a
 * snapshot of the new state and its handles stay good. When it returns the state is on disk
 * (default), or with ASYNC visible at once and on disk within async_ms. Without a write or a label
 * it makes no state: txn is then a snapshot of the state that it began on, *state its number.
 * o: label is text of at most 63 bytes, copied; name must be NULL in this release. *state, if state
 * is not NULL, is the new state's number. On failure txn is a transaction as before: close it, or
 * try again.
 * Errors: the first error of a write in it (see RESULTS); -ENOSPC, -EDQUOT, -EFBIG (the file cannot
 * grow: nothing was changed); -EIO and DUR_E_FAILED (a flush failed: whether the commit is on disk
 * is known only after detach, attach and a dur_begin(), which recovers; close txn); DUR_E_LIMIT
 * (label); DUR_E_READ_ONLY (a snapshot).
 * Threads: the view's. Cost: one contiguous write, and one flush, which it shares with other
 * threads' commits; with ASYNC no flush.
 */
int dur_commit(dur_view *txn, const dur_commit_options *o, uint64_t *state);
/*
 * Makes a place in a transaction to come back to. Marks nest: each is good until a rollback to an older
 * one, a commit (one that fails ends them, too) or the transaction's close; none need be ended.
 * *mark: its number, never 0, which no other mark of this process has.
 * Counts as a write for what reads have lent, but a mark that fails bars nothing.
 * Errors: DUR_E_READ_ONLY (a snapshot); the error of a write before that stopped half-way (roll back to
 * an older mark, or close txn); DUR_E_LIMIT (65,535 marks at once); -ENOSPC, -EDQUOT, -EFBIG.
 * Threads: the view's. Cost: writes the transaction's pages that are in memory to the file, without a
 * flush, as spilling does; so a mark takes no memory of memory_bytes, but each page that changes after
 * it is written once more, and takes room in the file until the transaction ends. Open handles, and what
 * the transaction has cloned or removed, are noted beside: O(those).
 */
int dur_mark(dur_view *txn, uint64_t *mark);
/*
 * Takes back all writes since a mark, and keeps the mark: it may be come back to again; newer ones end.
 * Writes that failed since then bar nothing any more, also those that stopped half-way. Handles that
 * were open at the mark are as they were then, also to collections that were removed since, but for
 * those given to dur_leave(). Those opened since are stale, or good where their collection was there
 * at the mark and the view knew it already; open them anew. Iterators go on behind the key they gave
 * last.
 * Errors: DUR_E_STALE (no mark of this transaction, or one that has ended), DUR_E_READ_ONLY (a
 * snapshot), DUR_E_FAILED; nothing was changed then.
 * Threads: the view's. Cost: O(pages of the transaction in memory + open handles + what it had cloned
 * and removed at the mark), no input or output.
 */
int dur_rollback(dur_view *txn, uint64_t mark);
/*
 * Ends a view, its iterators with it, and lets the writer lock go, or the pin. A transaction that
 * is not committed leaves no trace, but its number is not used again. NULL is fine. Cannot fail.
 * Threads: any, while no other uses it. Cost: a few stores for a snapshot.
 */
void dur_close(dur_view *v);
/*
 * A snapshot's state; of a transaction the number it will get if it commits. 0 for NULL or a handle
 * of the parent process. Threads: the view's. Cost: a load.
 */
uint64_t dur_state(const dur_view *v);

/* ======== Waiting and notification ========
 *
 *	while (dur_wait(p, state, -1, &state) == 0) {
 *		if (dur_snapshot(p, DUR_LATEST, NULL, &snap) < 0)
 *			break;
 *		state = dur_state(snap);
 *		if (dur_get(dur_root(snap), &DUR_STR("theme"), &value) == 0)
 *			printf("state %llu\n", (unsigned long long)state);
 *		dur_close(snap);
 *	}
 *
 * Who waits sees the newest state, not each one on the way. Signals do not end a wait. A prefix
 * whose writer was killed wakes nobody until its next writer comes, and then everybody.
 */

/*
 * Sleeps until there is a state with a number above after. *state is then the newest, and on a
 * time-out the newest too. after 0: returns at once.
 * DUR_NONE: timed out.
 * Threads: any number on one prefix. Cost: no system call where there is one; else a short spin and
 * a futex wait. About 30 us from the writer's store to the return of a sleeping waiter.
 */
int dur_wait(dur_prefix *p, uint64_t after, int timeout_ms, uint64_t *state);
/*
 * The same over n prefixes (at most 128): returns when any has a newer state than seen[i]. On
 * return seen[i] is the newest of each, so that the next call waits for what comes then.
 * DUR_NONE: timed out. Errors: DUR_E_LIMIT (more than 128). Threads: any. Cost: as dur_wait(),
 * O(n).
 */
int dur_wait_any(dur_prefix *const *p, uint64_t *seen, uint32_t n, int timeout_ms);
/*
 * Sleeps until state (DUR_LATEST: the newest) is on disk, of an async commit by any process. If
 * this process holds the writer lock it flushes now; another one does so within its async_ms.
 * DUR_NONE: timed out. Errors: DUR_E_FAILED (it never will be: a flush of this process failed),
 * DUR_E_RANGE (no such state yet).
 * Threads: any. Cost: none if it is on disk; else a flush, shared.
 */
int dur_sync(dur_prefix *p, uint64_t state, int timeout_ms);
/*
 * A descriptor for poll, epoll and their kind: *fd is readable when a newer state exists than
 * dur_wait() last returned on p; a dur_wait() with timeout 0 quiets it. Do not read, write or close
 * it.
 * Lives: as long as p, which owns it.
 * Threads: any; the attachments of one prefix in a process share it, and what quiets it. Cost: the
 * first call starts a thread of the library.
 */
int dur_poll_fd(dur_prefix *p, int *fd);

/* ======== Elements ========
 *
 *	coll = dur_root(txn);
 *	dur_put(coll, &DUR_STR("theme"), &DUR_STR("dark"));
 *	if (dur_swap(coll, &DUR_STR("theme"), &DUR_STR("dark"), &DUR_STR("light")) == DUR_NONE)
 *		printf("somebody else changed it\n");
 *	dur_del(coll, &DUR_STR("theme"));
 *
 * Common errors: DUR_E_TYPE (the collection takes no such key; a path leads through a scalar),
 * DUR_E_PATH (a path that is not well-formed), DUR_E_STALE (c's view is closed, c is gone or was kept
 * too long); of those that write DUR_E_READ_ONLY (in a snapshot, or c came within a value),
 * DUR_E_PARENT (the collection that a path leads into is not there), DUR_E_LIMIT
 * (a key of more than DUR_MAX_KEY bytes, a value over the format's limit of 1 TiB), -ENOSPC (a
 * large transaction spills to a file that cannot grow). A write that failed changed nothing, and
 * bars the commit. Threads: the view's.
 */

/*
 * The catalog of a view: the map at the top, DUR_MAP or DUR_RAW_MAP. {0} for NULL.
 * Lives: as the view, through its commit too. Cost: none.
 */
dur_coll dur_root(dur_view *v);

/*
 * Gives the value at key, of a set the member; value NULL only asks. The path "" is the collection
 * itself. A collection comes as a value of its kind: coll is its handle, len its entries. DUR_NONE:
 * nothing is there.
 * Lives: *value borrows (see BORROWING); values of a page and more are read in place, without a
 * copy.
 * Cost: O(log n), no system call, no allocation.
 */
int dur_get(dur_coll c, const dur_value *key, dur_value *value);
/*
 * Gives values[i] for keys[i], n of them; absent ones get the type DUR_ABSENT. All borrow as from
 * dur_get(). On an error values are undefined.
 * Cost: look-ups are interleaved, which is faster than one by one where pages are not in the
 * processor's cache.
 */
int dur_get_many(dur_coll c, const dur_value *keys, uint32_t n, dur_value *values);
/*
 * Sets the value at key, whether or not one is there. The value's tag is kept with it. value may be
 * a literal (DUR_NEW(): of equal keys the last one counts) or a collection of this or another view,
 * which is cloned. For a set value is NULL: key is put.
 * Errors: DUR_E_TYPE (a value that cannot be stored), DUR_E_MISUSE (a malformed one: a string that
 * is not UTF-8, digits that are no number), DUR_E_RANGE (a time's nanoseconds or zone). A failure
 * to read a collection that is copied bars the commit, with DUR_LENIENT too.
 * Cost: O(log n); pages are copied once per transaction. Large values are written early. A literal
 * costs what is in it; a collection of this view nothing more, whatever its size. One of an old state of
 * the same prefix costs what it differs from what the transaction has in its place: that is cloned and
 * changed. Where nothing is there, or mostly other things, and from another prefix, it is copied.
 */
int dur_put(dur_coll c, const dur_value *key, const dur_value *value);
/*
 * Sets values[i] at keys[i], n of them, in any order; of equal keys the last one wins. All or none. Of
 * a set values is NULL.
 * Cost: keys in ascending order beyond the last one of the map are appended, leaving full pages.
 */
int dur_put_many(dur_coll c, const dur_value *keys, const dur_value *values, uint32_t n);
/*
 * Sets the value at key only if it now is equal to expected (type, tag and content; a collection or a
 * literal: kind and all entries); expected NULL: only if nothing is there. DUR_NONE: it was not,
 * nothing was changed; this does not bar the commit.
 * Cost: a get and a put; of collections, both are read.
 */
int dur_swap(dur_coll c, const dur_value *key, const dur_value *expected, const dur_value *value);
/* What dur_apply() does; the value's type and the operand's must allow it. */
enum dur_op {
	DUR_ADD = 1,    /* integers of any size, exactly; doubles. The two may be mixed: a double. */
	DUR_MIN,        /* the lower, DUR_MAX the higher of two integers, or two of one type, in the */
	DUR_MAX,        /* order of dur_compare(); not of tuples */
	DUR_AND,        /* of two DUR_INT, bit by bit (two's complement), or of two DUR_BOOL */
	DUR_OR,
	DUR_XOR,
	DUR_APPEND      /* strings, or bytes: the operand goes behind the value */
};
/*
 * Changes the value at key: it becomes op of itself and operand, with its own tag. Where nothing is,
 * it becomes operand. *result, if result is not NULL: the new value.
 * Lives: *result borrows, as from dur_get().
 * Errors: DUR_E_TYPE (the types do not allow it, or a collection is there), DUR_E_MISUSE (no such op).
 * Cost: a get and a put; DUR_APPEND writes the whole value anew.
 */
int dur_apply(dur_coll c, const dur_value *key, uint32_t op, const dur_value *operand,
              dur_value *result);
/*
 * Removes the entry at key. DUR_NONE: nothing was there; this does not bar the commit.
 * Cost: O(log n).
 */
int dur_del(dur_coll c, const dur_value *key);
/*
 * Puts a member into a set. DUR_NONE: it was there; this does not bar the commit.
 * Errors: DUR_E_TYPE (not a set). Cost: O(log n).
 */
int dur_add(dur_coll set, const dur_value *member);

/*
 * Opens the collection at key, or at the end of a path; "" opens c again. DUR_NONE: nothing is there.
 * Lives: as the view (COLLECTIONS). Opened from a collection that came within a value in a transaction
 * it is of that sort too.
 * A string or bytes value opens as a rope of its bytes, to be read (writing: DUR_E_READ_ONLY); in a
 * transaction until the next write.
 * Errors: DUR_E_TYPE (something else is there).
 * Cost: a get; in a transaction also some memory of the view's, until dur_leave() or its close.
 */
int dur_enter(dur_coll c, const dur_value *key, dur_coll *out);
/*
 * The same, for writing: made empty if nothing is there, and the missing maps (DUR_MAP) on the way to
 * it. kind: DUR_MAP, DUR_RAW_MAP, DUR_SET, DUR_RAW_SET, DUR_LIST or DUR_ROPE. out may
 * be NULL.
 * Errors: DUR_E_TYPE (something of another kind is there, or a kind that cannot be made), DUR_E_RANGE
 * (a position beyond the next one of a list).
 * Cost: as dur_enter(), and a put for each collection made.
 */
int dur_make(dur_coll c, const dur_value *key, uint32_t kind, dur_coll *out);
/*
 * Forgets a handle early; the collection is not touched. Never needed, but kind in a transaction that
 * opens millions. The handle then answers DUR_E_STALE, unless the same collection was opened more than
 * once. {0}, and handles of snapshots, are fine.
 */
void dur_leave(dur_coll c);

/* ======== Lists: by position, from either end ========
 *
 *	dur_make(dur_root(txn), &DUR_STR("fruits"), DUR_LIST, &coll);
 *	dur_append(coll, &DUR_STR("apple"));
 *	dur_insert(coll, 0, &DUR_STR("pear"), 1);
 *	dur_get(coll, &DUR_INT(-1), &value);
 *	dur_splice(coll, 2, coll, NULL);
 *
 * An item's key is its position, from 0; negative ones count from the end, -1 is the last item. The
 * calls for elements and ranges take lists, too: dur_put() sets the item that is there (the path step
 * "-" stands behind the last one), dur_del() closes the gap, iterators give positions as keys. What
 * stands behind an item that is inserted or removed moves; handles to collections in it go along.
 *
 * A rope is a byte string of any length that is edited in place:
 *
 *	dur_make(dur_root(txn), &DUR_STR("log"), DUR_ROPE, &coll);
 *	dur_append(coll, &DUR_STR("hello world\n"));
 *	dur_insert(coll, 5, &DUR_STR(","), 1);
 *	dur_write(coll, 0, "H", 1);
 *
 * It has no elements: dur_get() and the like answer DUR_E_TYPE. Its positions are offsets in bytes,
 * its entries bytes: dur_count() is its length, dur_clear() cuts a range out, dur_splice() puts one
 * in. Iterators give it in pieces, read where they are: the key is the offset of a piece's first byte,
 * the value the bytes; where pieces end is the library's business. dur_left() tells bytes, and a
 * range, its skip and limit are in bytes. A rope in a literal is its pieces.
 *
 * Common errors: DUR_E_RANGE (a position beyond the end), DUR_E_TYPE (no list, or no rope), and those
 * of elements. A write that failed changed nothing, and bars the commit. Threads: the view's.
 */

struct dur_range;

/*
 * Puts a value behind the last item, as dur_put() takes one; or a piece, a string or bytes, at the end
 * of a rope (DUR_E_TYPE: no piece, or one with a tag).
 * Cost: O(log n); one append after another needs no look-up and leaves full pages.
 */
int dur_append(dur_coll c, const dur_value *value);
/*
 * Inserts n values so that the first of them stands at position at (0 to the count; negative: in front
 * of that item). All or none. They may be borrowed from the list itself. Pieces into a rope: the first
 * byte then stands at offset at.
 * Cost: O(n + log count); those behind are not touched.
 */
int dur_insert(dur_coll c, int64_t at, const dur_value *items, uint64_t n);
/*
 * Copies a range (NULL: all) of the list src in front of position at, with all that is in its items;
 * or of a rope into a rope. src may be the collection itself. Slice: into an empty list. Concatenate: at the end.
 * Errors: DUR_E_MISUSE (a range with DUR_REVERSE). A failure after the first item is in place bars the
 * commit, with DUR_LENIENT too.
 * Cost: within a view O(log n), whatever the range: both lists share pages from then on, and neither
 * sees the other's changes. From another view, or a value opened as a rope, O(n): it is copied.
 */
int dur_splice(dur_coll c, int64_t at, dur_coll src, const struct dur_range *range);
/*
 * Copies len bytes of a rope from an offset on into buf, of which the caller has as many. *got: how
 * many there were, fewer than len at the end, 0 behind it. Without a copy: dur_scan().
 * Errors: DUR_E_TYPE (not a rope), DUR_E_MISUSE (buf or got is NULL).
 * Cost: O(len + log length).
 */
int dur_read(dur_coll rope, uint64_t offset, void *buf, uint64_t len, uint64_t *got);
/*
 * Writes len bytes over those of a rope from an offset on, at most its length; what goes beyond its end
 * makes it longer. data may be borrowed from the rope itself.
 * Errors: DUR_E_RANGE (an offset behind the end), DUR_E_TYPE (not a rope). If there is no room for the
 * part that is beyond the end, the commit is barred, with DUR_LENIENT too.
 * Cost: O(len + log length); the pages written to are copied once in a transaction.
 */
int dur_write(dur_coll rope, uint64_t offset, const void *data, uint64_t len);

/* ======== Order: ranges, iterators, counts ========
 *
 *	rc = dur_scan(dur_root(snap), &(dur_range){ .from = &DUR_STR("m"), .limit = 10 }, &it);
 *	while (rc == 0 && (rc = dur_next(it, &key, &value)) == 0)
 *		printf("%.*s\n", (int)key.len, key.str);
 *	dur_iter_close(it);
 *
 * The common errors are those of Elements. Threads: the view's.
 */

/*
 * Which entries. Zero: everything, upward. Bounds come first, then the part, then direction, then
 * skip and limit. As a bound a shorter tuple stands for all that start with it. A struct of your
 * own: it and what it points to are copied.
 */
typedef struct dur_range {
	const dur_value *from;  /* key; NULL: the first */
	const dur_value *to;    /* left out, unless WITH_TO; NULL: past the last */
	uint32_t flags;         /* REVERSE, AFTER_FROM (leave from out), WITH_TO, STARTS (keys that
	                           start with from: string, bytes or tuple; to is NULL) */
	uint32_t part, parts;   /* the part-th (0..) of parts pieces of equal count; 0: whole */
	uint32_t pad;
	uint64_t skip;          /* leave out the first; O(log n) */
	uint64_t limit;         /* at most this many; 0: no limit */
} dur_range;

/*
 * Opens an iterator over the entries of r (NULL: all), before the first of them. A range that holds
 * nothing is fine. In a transaction it goes on through writes: after the last key it gave.
 * Lives: until dur_iter_close() or its view's close.
 * Errors: DUR_E_RANGE (part not below parts), DUR_E_MISUSE (STARTS without from, or with to),
 * DUR_E_TYPE (a bound that is no key).
 * Cost: O(log n); it comes from the view's pool.
 */
int dur_scan(dur_coll c, const dur_range *r, dur_iter **it);
/*
 * Gives the next entry; key or value may be NULL. DUR_NONE: at the end, and again if asked again.
 * Lives: *key until the iterator's next step, *value as from dur_get().
 * Cost: some ns; the next leaf is fetched ahead.
 */
int dur_next(dur_iter *it, dur_value *key, dur_value *value);
/*
 * Moves: the next step gives the first entry of the range at or after key, in reverse at or before
 * it. Backwards too; limit counts on from where it was. Cost: O(log n).
 */
int dur_seek(dur_iter *it, const dur_value *key);
/* How many entries the iterator will still give. Cost: O(log n). */
int dur_left(dur_iter *it, uint64_t *n);
/* Ends it. NULL is fine. Cannot fail. */
void dur_iter_close(dur_iter *it);

/* The exact number of entries in r; NULL: of all. Cost: O(log n), of all O(1). */
int dur_count(dur_coll c, const dur_range *r, uint64_t *n);
/*
 * How many entries stand before key. DUR_NONE: key itself is not there; *rank is set all the same.
 * Cost: O(log n).
 */
int dur_rank(dur_coll c, const dur_value *key, uint64_t *rank);
/*
 * The n-th entry from 0, -1 the last, -2 the one before; key or value may be NULL. DUR_NONE: not
 * that many.
 * Lives: *key until the view's next dur_nth(), *value as from dur_get(). Cost: O(log n).
 */
int dur_nth(dur_coll c, int64_t n, dur_value *key, dur_value *value);
/*
 * Removes the entries of r; NULL: all. *n, if n is not NULL: how many they were.
 * Cost: O(log n) and the pages given back.
 */
int dur_clear(dur_coll c, const dur_range *r, uint64_t *n);

/* Which members dur_combine() gives. */
enum dur_combination {
	DUR_UNION = 1,          /* those of any */
	DUR_INTERSECTION,       /* of all */
	DUR_DIFFERENCE,         /* of the first and of no other */
	DUR_EITHER              /* of an odd number of them */
};
/*
 * Opens an iterator over members of n sets, or keys of maps, in order: dur_next() gives them as keys,
 * with the value that the first of the maps which has the key has there, of sets the member itself. The
 * collections are of any views that this thread uses, typed all of them or raw all of them, embedded or
 * not. r as for dur_scan(): its bounds are keys, its part is cut by the first one's counts, skip and
 * limit count what comes out. Through writes in a transaction it goes on behind the last key it gave.
 * dur_left() counts ahead.
 * Lives: until dur_iter_close() or the close of the first one's view; once another's view is closed its
 * steps answer DUR_E_STALE.
 * Errors: DUR_E_TYPE (a list or a rope; typed and raw ones), DUR_E_MISUSE (no such combination, n is 0
 * or more than 64), those of dur_scan().
 * Cost: a step for each member that some of them have. What does not match is leapt over, O(log n) a
 * leap: an intersection costs what its smallest collection does.
 * Source of the idea: Demaine, Lopez-Ortiz, Munro, "Adaptive set intersections, unions, and
 * differences", SODA 2000.
 */
int dur_combine(uint32_t how, const dur_coll *sets, uint32_t n, const dur_range *r, dur_iter **it);
/*
 * Puts all that an iterator over entries still gives into a collection of a transaction: keys into a set,
 * entries into a map; the iterator is then at its end. What it gives may come from the same
 * transaction, and from into itself, where it then also meets what was put, behind its place. *n, if n is
 * not NULL: how many.
 * A failure leaves what was put before it, and bars the commit.
 * Errors: those of dur_next() and dur_put().
 * Cost: as dur_put_many(): in ascending order it leaves full pages.
 */
int dur_collect(dur_iter *it, dur_coll into, uint64_t *n);

/* ======== History ========
 *
 *	if ((rc = dur_resolve(p, "2026-11-20T10:00:00Z", &state)) == 0)
 *		rc = dur_snapshot(p, state, NULL, &snap);
 *	if (rc == 0 && dur_get(dur_root(snap), &DUR_STR("theme"), &value) == 0)
 *		printf("it was %.*s\n", (int)value.len, value.str);
 *	dur_close(snap);
 */
typedef struct dur_state_info {
	uint64_t state;
	int64_t  time_ns;       /* since 1970; never goes back within a prefix */
	uint64_t entries;       /* of the catalog */
	uint64_t written_bytes; /* by this commit, its record included */
	uint32_t flags, names;  /* ON_DISK; how many names it has */
	char     label[64];
} dur_state_info;
typedef struct dur_state_name {
	char     name[64];
	uint64_t state, held_bytes;     /* what only this name holds back */
} dur_state_name;

/*
 * Finds the state that a text means: "1234", "-3" (the third retained state back from the newest),
 * "latest", a name, or "2026-11-20T10:00:00Z", an RFC 3339 time: the last retained commit at or
 * before it. A number that is not listed but was given out since the oldest state means the last one
 * before it, too: dur_wait() and dur_state() may tell of a commit that holds nothing (a name, packing).
 * DUR_NONE: no such state, or no longer. That it is retained now does not keep it: open it soon,
 * and be ready for DUR_E_GONE. Errors: DUR_E_NAME (none of these forms).
 * Threads: any. Cost: O(log states).
 */
int dur_resolve(dur_prefix *p, const char *at, uint64_t *state);
/*
 * Lists retained states from the state from on (0: the newest), downward, with REVERSE upward (0:
 * the oldest): fills out[0 .. *n). *n < cap: that was the end. To go on, ask from the last one's
 * number and leave it out.
 * Threads: any. Cost: O(log states + cap).
 */
int dur_states(dur_prefix *p, uint64_t from, uint32_t flags, dur_state_info *out, uint32_t cap,
               uint32_t *n);
/* How an entry came to be what it is. */
enum dur_change_kind { DUR_ADDED = 1, DUR_REMOVED, DUR_CHANGED };
typedef struct dur_change {
	uint64_t  state;        /* log and watch: the state that made it; diff: 0 */
	int64_t   time_ns;      /* when that state was committed; diff: 0 */
	uint32_t  kind, pad;    /* enum dur_change_kind */
	dur_value path;         /* DUR_PATH from the collections compared, of log and watch from the
	                           catalog: get and put take it as it is */
	dur_value old, now;     /* as dur_get() gives them: of a set the member; DUR_ABSENT where there
	                           is none */
} dur_change;

/*
 * Opens an iterator over what leads from old to now: two collections of one kind, of any views that
 * come from one dur_attach(), whichever is the older; {0} for one of them: an empty one.
 * dur_next_change() gives what differs in key order, DUR_NONE at the end. Where both have a collection
 * of one kind it goes into it, to any depth, and tells the innermost elements that differ, each with
 * its path; what is added or removed, or becomes another kind, is one change, and so is a rope. In a
 * list an item that was removed is told by its position in old, all others by that in now; which
 * items stand for each other is a guess from what the two share.
 * r (NULL: all) as for dur_scan(): part is cut by the counts of old (of now if old is {0}), skip and
 * limit count changes; lists take no REVERSE. A value counts as changed if its type, its tag or its
 * content is another one; one that was put again as it was does not. Through writes in a transaction,
 * and its commit, it goes on behind the last change it gave.
 * Lives: until dur_iter_close() or the close of now's view (of old's if now is {0}); if the other
 * view is closed first, its steps answer DUR_E_STALE. What a row lends also ends as what its views
 * lend (BORROWING).
 * Errors: DUR_E_TYPE (of two kinds, or ropes), DUR_E_MISUSE (of two prefixes, both {0}, a list in
 * reverse), those of dur_scan().
 * Threads: the view's, and no other may use the other view meanwhile. Cost: in proportion to what
 * differs: pages that both share are not read. dur_cost() counts those that are.
 */
int dur_diff(dur_coll old, dur_coll now, const dur_range *r, dur_iter **it);
/*
 * Opens an iterator over the changes made after the state `after` (DUR_LATEST: the newest), oldest
 * first: of each state, as dur_diff() tells it, what differs from the state before it. States without
 * changes give nothing. path: only what is there or below (DUR_PATH or DUR_STEPS, of any depth; nothing
 * need be there yet); NULL or "": all. flags: COALESCE gives, at each look, what differs between the last state seen
 * and the newest, as of that one state.
 * dur_next_change() never waits: DUR_NONE says that it is level with the newest state; sleep in
 * dur_wait() or on dur_poll_fd(), then go on:
 *
 *	rc = dur_watch(p, NULL, DUR_LATEST, 0, &it);
 *	while (rc == 0 && dur_wait(p, state, -1, &state) == 0)
 *		while ((rc = dur_next_change(it, &c)) == 0)
 *			printf("%.*s\n", (int)c.path.len, c.path.str);
 *
 * All changes of a state have been given when one of another state, or DUR_NONE, comes: its number
 * is then the `after` to resume from, without a gap or a repeat.
 * The last state seen and the one being given stay open, so that retention cannot take them; states
 * behind them it can. A watch that lags under "last:100" may so miss one: it then answers
 * DUR_E_GONE, at each step. One with COALESCE needs no other states and never does.
 * States are seen when they are visible, before they are on disk, if they are ASYNC.
 * Lives: until dur_iter_close(); dur_detach() is refused until then.
 * Errors: DUR_E_GONE (after is not retained, or is no state yet), DUR_E_PATH.
 * Threads: any, one at a time. Cost: a snapshot and a diff a state; when level, a load.
 */
int dur_watch(dur_prefix *p, const dur_value *path, uint64_t after, uint32_t flags, dur_iter **it);
/*
 * Opens an iterator over the changes at path and below, newest first, from the state `from`
 * (DUR_LATEST: the newest) downward: of each state what it made something else than it was in the
 * state before, as dur_diff() tells it. path: as of dur_watch(), or a key of the catalog; NULL or "":
 * all. r: bounds are keys of the collection that is there in the newest state (NULL: all of it), its
 * skip and limit count changes; parts and REVERSE are refused.
 * Only retained states are looked at. Where some are gone, a change comes with the oldest retained
 * state that shows it, and several may come as one. DUR_NONE ends the log at the oldest retained
 * state of all (dur_stat() tells which). What that one holds is no change, for nothing is known of
 * before; where every state is kept it is state 1, the empty prefix, and the log is complete.
 * Lives: until dur_iter_close(); dur_detach() is refused until then. Keeps two states readable from
 * step to step. States made after it was opened are not in it.
 * Errors: DUR_E_TYPE (bounds where no map or set is), DUR_E_MISUSE (REVERSE, parts), DUR_E_PATH, those
 * of Elements for a key, -EUSERS.
 * Threads: any, one at a time. Cost: of one entry O(log n) for each state that wrote its leaf; the
 * others are leapt over, a hundred thousand of them in less than a millisecond. Below a list, for each
 * state that wrote the list; in a nested map of many pages, of a key that is not there and before or
 * behind all others, for each that wrote the map. Of several entries likewise, for what has all of
 * them below it, and what differs.
 */
int dur_log(dur_prefix *p, const dur_value *path, const dur_range *r, uint64_t from, dur_iter **it);
/*
 * Gives the next change of an iterator over changes. DUR_NONE: there is none; what that means is
 * said where the iterator is opened. An iterator of either kind takes its own steps only:
 * dur_next(), dur_seek() and dur_left() on this one, and dur_next_change() on one of dur_scan(),
 * answer DUR_E_MISUSE.
 * Lives: *change and all it points to until the iterator's next step.
 * Threads: the iterator's view's; one that has no view of yours: one at a time.
 */
int dur_next_change(dur_iter *it, dur_change *change);

/*
 * The transaction becomes what the snapshot is: its own writes too give way to it. Other states,
 * labels and the retention are not touched; commit it as any other. snap: of the same prefix.
 * A failure after the first change leaves something in between, which can only be closed: its
 * commit is refused, with DUR_LENIENT too.
 * Errors: DUR_E_MISUSE (another prefix, or not a snapshot), DUR_E_READ_ONLY (txn is none), those of
 * a write. Like them all it bars the commit.
 * Collections that are in both, at the same place, are gone into, and handles to them stay good.
 * Threads: the views'. Cost: that of dur_diff(), and a write for each element that differs, at any
 * depth; a collection that has become another one for the most part is copied. Pages that the
 * transaction still has are shared, the rest is written anew.
 */
int dur_restore(dur_view *txn, dur_view *snap);

/*
 * Names a state (DUR_LATEST: the newest; or a number as dur_snapshot() takes it), which keeps it
 * readable whatever the retention; moves the name if another state has it, which then is kept by
 * its other names and the retention alone. A state may have several. name: 1 to 63 bytes of UTF-8
 * without blanks or control characters, that do not begin with a digit, + - or @, and are not
 * "latest". Durable on return, as a commit that holds nothing else and is not listed. To name a
 * state as it is made: dur_commit_options.
 * Errors: DUR_E_GONE (the state is not retained; a name never brings it back), DUR_E_NAME,
 * DUR_E_CONFLICT (p is a copy that was received and nobody has committed to), those of dur_begin()
 * and dur_commit().
 * Threads: any, not one that has a transaction open on p (-EDEADLK). Cost: a commit, and what the
 * commits since the last fold have to be put in order, at most some ms.
 */
int dur_name(dur_prefix *p, const char *name, uint64_t state);
/*
 * Takes a name away. If nothing else keeps its state that is gone for new snapshots; the pages that
 * only it held are used again in slices, by commits to come and while the writer is idle. Durable
 * on return. DUR_NONE: there is no such name. Errors, threads, cost: as dur_name().
 */
int dur_unname(dur_prefix *p, const char *name);
/*
 * Lists names in the order of their bytes, after the first skip, with their states. *n < cap: that
 * was the end. held_bytes: what could be used again if the name went and no snapshot of its state
 * were open; 0 while the retention or another name keeps that state too. Packed pages, which several
 * states share, are not in it.
 * Threads: any. Cost: O(log states + cap), and where a name alone keeps its state a look at the
 * retired pages, some ms.
 */
int dur_names(dur_prefix *p, uint64_t skip, dur_state_name *out, uint32_t cap, uint32_t *n);
/*
 * Sets the retention: parts joined by commas; a state is kept if any part keeps it, or a name, and
 * an open snapshot keeps its own.
 *   all         every state
 *   last:N      the newest N
 *   for:SPAN    those of a time: not older than SPAN before the newest commit, and the last one
 *               before those, which shows what the window begins with
 *   every:SPAN  a thinned series: of each interval of that length, counted from 1970 UTC, the last
 *               one, and the newest
 * SPAN is a number from 1 on and s, m, h, d or w: "last:100,for:30d,every:1h". What all, last and
 * for have let go of only names and every: keep from then on; a wider policy never brings a state
 * back.
 * Durable on return, as a commit that holds nothing else and is not listed. What it no longer keeps
 * is gone for new snapshots at once, of a thinned series some thousands of states a commit; its
 * pages are used again in slices, by commits to come and while the writer is idle, as soon as no
 * open snapshot needs them.
 * Errors: DUR_E_MISUSE (no policy; the message says what is wrong with it), DUR_E_CONFLICT (as with
 * dur_name()), those of dur_begin() and dur_commit().
 * Threads: any, not one that has a transaction open on p (-EDEADLK). Cost: a commit, as dur_name().
 */
int dur_keep(dur_prefix *p, const char *policy);

/*
 * Packs history now: pages that older states alone reach are rewritten as what differs from their
 * successors, at some hundred bytes a commit instead of 16 KiB, and their space is free for new
 * commits when it returns, but for what open snapshots still need; free runs of 64 KiB and more go
 * back to the file system. A writing process does the same by itself, in batches of some dozen
 * commits; so this is for what is left over: before a file is copied or measured. Reading a packed state takes some microseconds a page more. What a retention
 * of at most 4,096 states keeps is not packed, nor a copy that dur_receive() may still add states
 * to.
 *
 * budget_ms: ends after the batch in which so much time is over; -1: no limit.
 * DUR_NONE: nothing is left to pack. 0: there is more; call it again.
 * Errors: DUR_E_READ_ONLY, DUR_E_LOCKED (as dur_begin()), DUR_E_CORRUPT (a retired page is damaged),
 * -ENOSPC, those of dur_commit(). What was packed before an error stays packed.
 * Threads: any, not one that has a transaction open on p (-EDEADLK); others may read and commit
 * meanwhile. Cost: about 10 us a page, and a commit that holds nothing else for each batch.
 */
int dur_pack_history(dur_prefix *p, int budget_ms);

/* ======== Backup ========
 *
 *	if ((rc = dur_snapshot(p, DUR_LATEST, NULL, &snap)) == 0)
 *		rc = dur_backup(snap, 0, 0, fd, NULL);          // the whole state
 *	if (rc == 0)
 *		rc = dur_receive(ws, "copy", fd_there, NULL);   // in another workspace
 *	state = dur_state(snap);
 *	if (rc == 0 && (rc = dur_snapshot(p, DUR_LATEST, NULL, &later)) == 0)
 *		rc = dur_backup(later, state, 0, fd, NULL);     // later: what came since
 *
 * A stream is keys and values, compressed with LZ4 and chained by checksums; docs/format.md draws it.
 * A received prefix is a copy: it has a UUID of its own, knows which prefix it is a copy of, and its
 * states have the numbers, times, labels and names that they had there. More states are added to it for as
 * long as nobody commits to it. Until then names and retention are its origin's: a number for a change
 * of its own could be that of a state to come, so dur_name(), dur_unname() and dur_keep() answer
 * DUR_E_CONFLICT.
 */

/*
 * Writes a stream to fd: the state of snap; with HISTORY every retained state up to it. since: a
 * retained state before it, or what dur_state() said of a snapshot then; the stream holds only what changed after that one, and with HISTORY
 * each state after it; 0: all. The prefix goes on meanwhile: what is read is pinned. States that
 * retention drops before their turn comes are left out.
 * fd: anything that can be written to, a pipe too; it stays open. After a failure what was written is
 * no backup, and dur_receive() refuses it. In a program that does not ignore SIGPIPE, a pipe without
 * a reader ends the program, as usual.
 * progress: done and total are changes; total is known of a single state with since 0.
 * Errors: DUR_E_GONE (since is not retained), DUR_E_RANGE (it comes after snap), DUR_E_MISUSE (a
 * transaction), -EPIPE, -ENOSPC and what else write(2) says, -ECANCELED.
 * Threads: snap's. Cost: the entries of one state, and what changed between states; memory of some
 * blocks of 256 KiB, whatever the size of values.
 */
int dur_backup(dur_view *snap, uint64_t since, uint32_t flags, int fd, const dur_progress *progress);
/*
 * Reads one stream from fd. Whole: makes the prefix, which must not be there (-EEXIST); it appears
 * when all of it was read, verified and flushed. Increment: adds its states to a copy, durable on
 * return, if its base is the copy's newest state; the whole stream is verified before the first of
 * them. A stream that is damaged, was cut off or does not fit changes nothing, nor does a process
 * that is killed, but for this: of an increment with several states whole ones may be there already,
 * and the same stream again brings the rest.
 * fd: anything that can be read from; it stays open, behind the last byte of the stream. ws NULL:
 * name is a path. An increment is kept beside the page file, without a name, until it is verified.
 * DUR_NONE: the copy has all of it already. Errors: DUR_E_FORMAT (no stream, or of a newer version),
 * DUR_E_CORRUPT (damaged, cut off), DUR_E_CONFLICT (it does not fit: the message tells what the copy
 * has and what the stream needs), -ENOENT (an increment for a prefix that is not there), -EBUSY
 * (somebody commits to the copy meanwhile, or receives it too), -ECANCELED, those of dur_attach().
 * Threads: any. Cost: that of writing what is in it, with one flush at the end.
 */
int dur_receive(dur_workspace *ws, const char *name, int fd, const dur_progress *progress);
/*
 * Writes the page file afresh, with its pages in order and no free space between them: the newest
 * state alone, or with HISTORY every retained one. It takes the place of the old file in one step,
 * flushed; killed before that it has changed nothing. UUID and state numbers stay; numbers go on with
 * a gap. p stands on the new file afterwards; ask for its dur_poll_fd() anew.
 * Errors: -EBUSY (views of p are open, or others have the prefix attached, in this process or in
 * those that the message names: they would go on in the old file), DUR_E_MISUSE (private memory),
 * DUR_E_READ_ONLY, DUR_E_LOCKED, -ENOSPC (there must be room for both files), -ECANCELED.
 * progress: as with dur_backup().
 * Threads: none may use p meanwhile, as with dur_detach(). Others who attach it wait, up to 10 s.
 * Cost: what the states hold is read and written once, of a history what changed between them.
 */
int dur_compact(dur_prefix *p, uint32_t flags, const dur_progress *progress);

/* ======== Looking inside ========
 *
 *	dur_prefix_stat stat;
 *	if (dur_stat(p, &stat) == 0 && stat.writer_pid != 0)
 *		printf("process %u writes through %s\n", stat.writer_pid, stat.io);
 *	if (dur_check(ws, "my-org/settings", DUR_HISTORY, NULL, NULL, NULL) < 0)
 *		fprintf(stderr, "%s\n", dur_message());
 */
typedef struct dur_prefix_stat {
	char     name[256], keep[64], io[16];           /* io: "io_uring" or "pwritev" */
	uint8_t  uuid[16];
	uint64_t oldest, newest, durable, states;       /* state numbers; how many are retained */
	uint64_t file_bytes, live_bytes, retained_bytes, packed_bytes, free_bytes;
	uint64_t commits, flushes, epoch;
	uint32_t writer_pid;                            /* 0: none */
	uint32_t readers;
	uint64_t metadata_bytes, disk_bytes, kept_bytes;
	uint64_t removing;                              /* removed collections that are not free yet */
	uint64_t reserved[4];
} dur_prefix_stat;
typedef struct dur_reader {
	uint32_t pid, views;
	uint64_t oldest, age_ms;                        /* the state it pins, since when */
	uint64_t held_bytes;                            /* what only it holds back */
} dur_reader;
typedef struct dur_view_cost {                          /* since the view was opened */
	uint64_t pages_read, pages_unpacked, memory_bytes, memory_peak_bytes, written_bytes;
	uint64_t reserved[3];
} dur_view_cost;
typedef struct dur_problem { uint64_t page, state; const char *text; } dur_problem;

/*
 * Fills *out. Every byte of the file is of one kind, so live_bytes, retained_bytes, packed_bytes,
 * free_bytes and metadata_bytes add up to file_bytes exactly. live_bytes: pages of the newest
 * state; retained_bytes: pages that only older states need, or snapshots of them (dur_readers()
 * and dur_names() tell whose); kept_bytes: of them, what names and every: keep beyond the rest of
 * the policy, as of the last fold; packed_bytes: dur_pack_history() made them; free_bytes: to be
 * used again; metadata_bytes: what the library itself keeps: superblock, commit slots, the index of
 * states, state records.
 * disk_bytes: what the file takes up on the disk; free space that was given back to the file system
 * is not in it.
 * removing: large collections that were removed, or parts of them, whose pages count as the newest
 * state's still: each commit lets go of some, and so does a writer that idles.
 * commits: since it was created; flushes: by this process; epoch: how often a writer took over from
 * a killed one; readers: processes with a slot, those that have read. Threads: any. Cost: O(1).
 */
int dur_stat(dur_prefix *p, dur_prefix_stat *out);
/*
 * Lists live processes that have snapshots open on p, after the first skip. *n < cap: that was the
 * end. pid is as seen in that process's own namespace. held_bytes: what would be free but for the
 * snapshots of this process; what retention or another process's snapshots keep too is not in it.
 * Threads: any. Cost: O(slots), and a look at the retired pages, some ms.
 */
int dur_readers(dur_prefix *p, uint64_t skip, dur_reader *out, uint32_t cap, uint32_t *n);
/*
 * What a view has cost since it was opened: counts and bytes. pages_read: what diffs and restores
 * have read of it; other reads of the mapping are not counted. pages_unpacked: packed pages that were
 * decoded to read its state, by any call; a page that made room for others counts anew when it is
 * met again. 0 for the newest state, and for any that is not packed.
 * Threads: the view's. Cost: O(1).
 */
int dur_cost(const dur_view *v, dur_view_cost *out);
/*
 * Reads every page of a prefix, whether attached or not, and repairs nothing: checksums, the order
 * of keys, the counts, every page accounted for once. flags: HISTORY takes every retained state
 * too. ws NULL: name is a path.
 * report and progress may be NULL; report is called in this thread for each problem, its text lives
 * for the call.
 * 0: sound. Errors: DUR_E_CORRUPT (problems were reported), DUR_E_FORMAT, -ENOENT, -ECANCELED.
 * Threads: any. Cost: the whole file is read.
 */
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
