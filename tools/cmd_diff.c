/* SPDX-License-Identifier: Apache-2.0 */
/* diff: what leads from one state to another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "changes.h"
#include "commands.h"
#include "context.h"
#include "json_write.h"
#include "message.h"

/* ---- What stands at a path ---- */

/* DUR_ABSENT: nothing can be there. A path that is none is an error. */
static int look(dur_view *v, const char *path, dur_value *there)
{
	int rc = dur_get(dur_root(v), &DUR_PATH(path), there);

	if (rc == DUR_NONE || rc == DUR_E_TYPE || rc == DUR_E_PATH)
		there->type = DUR_ABSENT;
	return rc;
}

static bool same_rope(dur_coll a, dur_coll b)
{
	static char block[2][64 << 10];
	uint64_t n = 1, m = 1;

	for (uint64_t at = 0; n == m && n > 0; at += n) {
		int rc = dur_read(a, at, block[0], sizeof block[0], &n);
		if (rc == 0)
			rc = dur_read(b, at, block[1], sizeof block[1], &m);
		if (rc < 0)
			exit(fail(rc));
		if (n == m && memcmp(block[0], block[1], n) != 0)
			return false;
	}
	return n == m;
}

static char *text_of(const dur_value *v, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	if (f == NULL)
		out_of_memory();
	json_write_value(f, v);
	if (fclose(f) != 0)
		out_of_memory();
	return text;
}

/* The text of a scalar is that of no other. */
static bool same_scalar(const dur_value *a, const dur_value *b)
{
	size_t n, m;
	char *one = text_of(a, &n), *other = text_of(b, &m);
	bool same = n == m && memcmp(one, other, n) == 0;

	free(one);
	free(other);
	return same;
}

/* ---- Rows ---- */

/* Returns an exit status: whether there was any. Their paths begin at a path. */
static int print_rows(dur_iter *it, const char *path)
{
	struct arena arena = { 0 };
	size_t len = strlen(path);
	int status = EXIT_DONE, rc;
	dur_change c;

	while ((rc = dur_next_change(it, &c)) == 0 && !ferror(stdout)) {
		char *whole = arena_alloc(&arena, len + c.path.len + 1);
		memcpy(whole, path, len);
		memcpy(whole + len, c.path.str, c.path.len);
		c.path.str = whole;
		c.path.len += len;
		print_change(&c, true);
		arena_reset(&arena);
		status = EXIT_NO;
	}
	arena_free(&arena);
	return rc < 0 ? fail(rc) : status;
}

static int print_within(dur_coll old, dur_coll now, const char *path)
{
	dur_iter *it;
	int rc = dur_diff(old, now, NULL, &it);

	if (rc < 0)
		return fail(rc);
	int status = print_rows(it, path);
	dur_iter_close(it);
	return status;
}

static int print_diff(dur_view *old, dur_view *now, const char *path)
{
	dur_change c = { .path = DUR_STR(path), .kind = DUR_CHANGED };
	int was = look(old, path, &c.old), is = look(now, path, &c.now);

	/* No position of a list may well be a key of the map that was in its place. */
	if ((was < 0 && was == is) || (was < 0 && c.old.type != DUR_ABSENT))
		return fail(was);
	if (is < 0 && c.now.type != DUR_ABSENT)
		return fail(is);
	if (c.old.type == DUR_ABSENT && c.now.type == DUR_ABSENT)
		return EXIT_DONE;
	if (c.old.type == c.now.type && c.old.type == DUR_ROPE) {
		if (same_rope(c.old.coll, c.now.coll))
			return EXIT_DONE;
	} else if (c.old.type == c.now.type && c.old.type >= DUR_MAP) {
		return print_within(c.old.coll, c.now.coll, path);
	} else if (c.old.type == c.now.type && same_scalar(&c.old, &c.now)) {
		return EXIT_DONE;
	}
	if (c.old.type == DUR_ABSENT || c.now.type == DUR_ABSENT)
		c.kind = c.old.type == DUR_ABSENT ? DUR_ADDED : DUR_REMOVED;
	c.path.len = strlen(path);
	print_change(&c, true);
	return EXIT_NO;
}

static int run(const struct args *args)
{
	struct context s;
	dur_view *old = NULL;
	const char *now = args->operand[2], *path = args->operand[3];

	int status = context_open(&s, args, DUR_READ_ONLY);
	if (status == 0)
		status = context_past(&s, args->operand[1], &old);
	if (status == 0)
		status = context_past(&s, now != NULL ? now : "latest", &s.view);
	if (status == 0)
		status = print_diff(old, s.view, path != NULL ? path : "");
	dur_close(old);
	return context_close(&s, status);
}

static const struct option_row options[] = { OPTIONS_END };

const struct command cmd_diff = {
	.name = "diff",
	.summary = "print what differs between two states",
	.operands = { "PREFIX", "OLD", "NEW", "PATH" },
	.required = 2,
	.about = "Prints what leads from state OLD to state NEW (default: the newest), in key\n"
		 "order, one JSON object a line: kind (added, removed or changed), path, the old\n"
		 "value and the one now. OLD and NEW are what --at takes, and either may be the\n"
		 "older one. With PATH only what is there and below is compared. Its time depends\n"
		 "on what differs, not on what is there. The exit status is 1 if anything differs.",
	.options = options,
	.examples = "  duramen diff demo -1\n"
		    "  duramen diff demo 2026-11-20T10:00:00Z latest\n"
		    "  duramen diff demo 12 15 /alice || echo 'not the same'",
	.run = run,
};
