/* SPDX-License-Identifier: Apache-2.0 */
#include "prefix_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

_Noreturn void prefix_fail(const char *what, const char *file, int line, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	fprintf(stderr, "%s:%d: process %d: %s: %s\n", file, line, (int)getpid(), what, text);
	abort();
}

int prefix_must(int result, int low, int high, const char *call, const char *file, int line)
{
	if (result < low || result > high)
		prefix_fail(call, file, line, "%d (%s)%s%s", result, dur_strerror(result),
		            result < 0 ? ": " : "", result < 0 ? dur_message() : "");
	return result;
}

dur_workspace *prefix_workspace(const char *dir)
{
	dur_workspace *ws;

	EXPECT(0, dur_workspace_open(dir, NULL, &ws));
	return ws;
}

dur_prefix *prefix_attach(dur_workspace *ws, const char *name, const char *keep)
{
	dur_prefix *p;

	EXPECT(0, dur_attach(ws, name, DUR_CREATE, &(dur_attach_options){ .keep = keep }, &p));
	return p;
}

uint64_t prefix_put(dur_prefix *p, const char *key, int64_t n, bool async)
{
	dur_commit_options o = { .flags = async ? DUR_ASYNC : 0 };
	dur_view *txn;
	uint64_t state;

	EXPECT(0, dur_begin(p, NULL, &txn));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR(key), &DUR_INT(n)));
	EXPECT(0, dur_commit(txn, &o, &state));
	dur_close(txn);
	return state;
}

int64_t view_int(dur_view *v, const char *key, int64_t fallback)
{
	dur_value value;

	if (MUST(dur_get(dur_root(v), &DUR_STR(key), &value)) == DUR_NONE)
		return fallback;
	HOLDS(value.type == DUR_INT, "%s has type %u", key, value.type);
	return value.i;
}

int64_t prefix_int(dur_prefix *p, uint64_t state, const char *key, int64_t fallback)
{
	dur_view *snap;
	int64_t n;

	EXPECT(0, dur_snapshot(p, state, NULL, &snap));
	n = view_int(snap, key, fallback);
	dur_close(snap);
	return n;
}

uint64_t prefix_newest_state(dur_prefix *p)
{
	dur_view *snap;
	uint64_t state;
	char text[24];
	int rc;

	EXPECT(0, dur_snapshot(p, DUR_LATEST, NULL, &snap));
	state = dur_state(snap);
	dur_close(snap);
	snprintf(text, sizeof text, "%" PRIu64, state);
	rc = dur_resolve(p, text, &state); /* not that of packing */
	HOLDS(rc == 0 || rc == DUR_NONE, "resolving %s: %s", text, dur_message()); /* others may have let it go */
	return state;
}

static void say_problem(void *ctx, const dur_problem *problem)
{
	fprintf(stderr, "%s: page %" PRIu64 ", state %" PRIu64 ": %s\n", (const char *)ctx,
	        problem->page, problem->state, problem->text);
}

void prefix_check_sound(dur_workspace *ws, const char *name, uint32_t flags)
{
	EXPECT(0, dur_check(ws, name, flags, say_problem, (void *)(uintptr_t)name, NULL));
}

void prefix_end_case(dur_workspace *ws, dur_prefix *p, const char *name)
{
	EXPECT(0, dur_detach(p));
	prefix_check_sound(ws, name, DUR_HISTORY);
	EXPECT(0, dur_workspace_close(ws));
	kit_clean();
}

void *shared_memory(const char *path, size_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *at;

	HOLDS(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0, "%s: %s", path, strerror(errno));
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	HOLDS(at != MAP_FAILED, "%s: %s", path, strerror(errno));
	close(fd);
	return at;
}

bool mount_memory(const char *dir, uint64_t bytes)
{
	char options[64];

	HOLDS(mkdir(dir, 0700) == 0 || errno == EEXIST, "%s: %s", dir, strerror(errno));
	snprintf(options, sizeof options, "mode=0700,size=%" PRIu64, bytes);
	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", dir, "tmpfs", 0, options) == 0;
}

uint64_t file_bytes(const char *path)
{
	struct stat st;

	HOLDS(stat(path, &st) == 0, "%s: %s", path, strerror(errno));
	return (uint64_t)st.st_size;
}

void file_copy(const char *from, const char *to)
{
	static char buffer[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t got;

	HOLDS(in >= 0 && out >= 0, "%s to %s: %s", from, to, strerror(errno));
	while ((got = read(in, buffer, sizeof buffer)) > 0)
		HOLDS(write(out, buffer, (size_t)got) == got, "%s: %s", to, strerror(errno));
	HOLDS(got == 0, "%s: %s", from, strerror(errno));
	close(in);
	close(out);
}
