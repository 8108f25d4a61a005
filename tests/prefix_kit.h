/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of whole prefixes through the public header: one workspace a test case, what must not
 * fail, small readings. Works in the test's own process and in its peers (ipc_kit.h): what must not
 * fail says where it did on stderr and aborts.
 */
#ifndef DURAMEN_TESTS_PREFIX_KIT_H
#define DURAMEN_TESTS_PREFIX_KIT_H

#include <duramen.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipc_kit.h"

/* The call's result, which is not negative. */
#define MUST(call) prefix_must((call), 0, 1, #call, __FILE__, __LINE__)
/* The call's result is exactly this one. */
#define EXPECT(result, call) prefix_must((call), (result), (result), #call, __FILE__, __LINE__)
/* Something that holds; the rest is a message as for printf. */
#define HOLDS(truth, ...) ((truth) ? (void)0 : prefix_fail(#truth, __FILE__, __LINE__, __VA_ARGS__))

int prefix_must(int result, int low, int high, const char *call, const char *file, int line);
_Noreturn void prefix_fail(const char *what, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The workspace in dir, and a prefix of it; a prefix that is not there is made. */
dur_workspace *prefix_workspace(const char *dir);
dur_prefix *prefix_attach(dur_workspace *ws, const char *name, const char *keep);

/* One commit that sets key to n; the new state. async: with DUR_ASYNC. */
uint64_t prefix_put(dur_prefix *p, const char *key, int64_t n, bool async);
/* What key is in a view, in the newest state, in an old one; fallback where it is not there. */
int64_t view_int(dur_view *v, const char *key, int64_t fallback);
int64_t prefix_int(dur_prefix *p, uint64_t state, const char *key, int64_t fallback);
uint64_t prefix_newest_state(dur_prefix *p);

/* dur_check() finds nothing wrong; every problem goes to stderr. */
void prefix_check_sound(dur_workspace *ws, const char *name, uint32_t flags);
/* A teardown: detaches the prefix, all of whose states are sound, and removes the workspace. */
void prefix_end_case(dur_workspace *ws, dur_prefix *p, const char *name);
/* Memory that all who open the file at path share; zeros at first. */
void *shared_memory(const char *path, size_t bytes);
/*
 * Makes dir and mounts a tmpfs of so many bytes there that only this process and its children see,
 * gone with them. False where that is not permitted; dir is a plain folder then.
 */
bool mount_memory(const char *dir, uint64_t bytes);
/* The bytes of a file; fails if it is not there. */
uint64_t file_bytes(const char *path);
/* Copies what is in a file to another, which is made or replaced in place. */
void file_copy(const char *from, const char *to);

#endif
