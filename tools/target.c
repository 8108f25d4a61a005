/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library is asked for what is at the path of the parent first: what it says of a put that
 * cannot be is said to those who write C.
 */
#include "target.h"

#include <string.h>

#include "message.h"

/* ---- The way ---- */

static dur_value path_of(const char *path, size_t len)
{
	return (dur_value){ .type = DUR_PATH, .len = len, .str = path };
}

/* Where a path that leads to no collection ends. Returns an exit status after a message. */
static int explain(dur_coll root, const char *path, size_t len)
{
	for (size_t end = 1; end <= len; end++) {
		dur_value there, part = path_of(path, end);
		if (end < len && path[end] != '/')
			continue;
		int rc = dur_get(root, &part, &there);
		if (rc < 0)
			return fail(rc);
		if (rc == DUR_NONE)
			return refuse(EXIT_FAILED,
			              "there is nothing at %.*s: --parents makes it a map, and "
			              "those on the way to it",
			              (int)end, path);
		if (there.type < DUR_MAP)
			return refuse(EXIT_FAILED,
			              "%.*s is a single value, not a collection: nothing can be "
			              "put into it",
			              (int)end, path);
	}
	return refuse(EXIT_FAILED, "there is no collection at %.*s", (int)len, path);
}

/* The collection at the first len bytes of a path. */
static int enter(dur_coll root, const char *path, size_t len, bool parents, dur_coll *c)
{
	dur_value there, part = path_of(path, len);
	int rc = dur_get(root, &part, &there);

	if (rc == 0 && there.type >= DUR_MAP)
		rc = dur_enter(root, &part, c);
	else if (rc == DUR_NONE && parents)
		rc = dur_make(root, &part, DUR_MAP, c);
	else if (rc == DUR_NONE || rc == 0 || rc == DUR_E_TYPE)
		return explain(root, path, len);
	return rc < 0 ? fail(rc) : 0;
}

int target_find(struct target *t, dur_view *txn, const char *path, bool parents)
{
	const char *last = strrchr(path, '/');
	dur_coll root = dur_root(txn);
	int rc = dur_get(root, &DUR_PATH(path), NULL);

	if (rc < 0 && rc != DUR_E_TYPE) /* no path: said here, as it counts bytes from its start */
		return fail(rc);
	*t = (struct target){ .path = path, .into = root, .key = path_of(path, 0) };
	if (last == NULL)
		return 0;
	t->key = path_of(last, strlen(last));
	if (last == path)
		return 0;
	return enter(root, path, (size_t)(last - path), parents, &t->into);
}

int target_collection(dur_view *txn, const char *path, bool parents, dur_coll *c)
{
	*c = dur_root(txn);
	return path == NULL || *path == '\0' ? 0 : enter(*c, path, strlen(path), parents, c);
}

/* ---- Putting ---- */

static bool is_set(uint32_t kind)
{
	return kind == DUR_SET || kind == DUR_RAW_SET;
}

static bool is_text(const dur_value *v)
{
	return (v->type == DUR_STR || v->type == DUR_BYTES) && v->tag == 0;
}

/* Whether a value is the member itself, as a set gives it. In raw sets text is its bytes. */
static bool same_member(const dur_value *member, const dur_value *value)
{
	if (member->type == DUR_BYTES && is_text(value))
		return member->len == value->len &&
		       (value->len == 0 || memcmp(member->ptr, value->ptr, value->len) == 0);
	return value->type < DUR_MAP && value->tag == 0 && dur_compare(member, value) == 0;
}

/* value NULL: the member goes in, whatever it is. */
static int put_member(dur_coll c, const dur_value *key, const dur_value *value, const char **why)
{
	dur_value member;
	int rc = dur_put(c, key, NULL);

	if (rc == 0 && value != NULL)
		rc = dur_get(c, key, &member);
	*why = dur_message();
	if (rc != 0 || value == NULL || same_member(&member, value))
		return rc;
	*why = "a set's members have no values: give the member alone, or itself as its value";
	return DUR_E_TYPE;
}

static int put_piece(dur_coll rope, const dur_value *offset, const dur_value *piece,
                     const char **why)
{
	int rc = DUR_E_TYPE;

	if (!is_text(piece)) {
		*why = "a rope takes strings and bytes";
	} else if (offset == NULL) {
		rc = dur_append(rope, piece);
		*why = dur_message();
	} else if (offset->type != DUR_INT || offset->i < 0) {
		*why = "the keys of a rope are offsets, numbers from 0 on";
	} else {
		rc = dur_write(rope, (uint64_t)offset->i, piece->ptr, piece->len);
		*why = dur_message();
	}
	return rc;
}

int target_entry(dur_coll c, const dur_value *key, const dur_value *value, const char **why)
{
	if (is_set(c.kind))
		return put_member(c, key, value, why);
	if (c.kind == DUR_ROPE)
		return put_piece(c, key, value, why);
	int rc = dur_put(c, key, value);
	*why = dur_message();
	return rc;
}

/* The catalog holds what the map does, and nothing else. */
static int replace(dur_coll root, const dur_value *map)
{
	int rc;

	if (map->type != (DUR_MAP | DUR_LITERAL) && map->type != (DUR_RAW_MAP | DUR_LITERAL))
		return refuse(EXIT_USAGE, "a prefix as a whole is a map: VALUE must be an object");
	if (map->type == (DUR_RAW_MAP | DUR_LITERAL) && root.kind == DUR_MAP)
		return refuse(EXIT_USAGE,
		              "VALUE is a map with raw keys; those of the prefix are typed");
	rc = dur_clear(root, NULL, NULL);
	for (uint64_t i = 0; i < map->len && rc >= 0; i += 2)
		rc = dur_put(root, &map->items[i], &map->items[i + 1]);
	return rc < 0 ? fail(rc) : 0;
}

int target_put(const struct target *t, const dur_value *value)
{
	bool rope = t->into.kind == DUR_ROPE;
	const char *why;

	if (value == NULL && !is_set(t->into.kind))
		return refuse(EXIT_USAGE,
		              "put: VALUE is missing: only a member of a set is put without");
	if (t->key.len == 0)
		return replace(t->into, value);
	if (rope && (t->key.len != 2 || t->key.str[1] != '-'))
		return refuse(EXIT_FAILED,
		              "%s leads into a rope, which has no entries: the step - puts a "
		              "piece at its end",
		              t->path);
	int rc = target_entry(t->into, rope ? NULL : &t->key, value, &why);
	return rc < 0 ? fail_saying(rc, why) : 0;
}

int target_begin(const struct target *t, dur_coll *c, const dur_value **key)
{
	int rc = 0;

	if (t->into.kind == DUR_ROPE || is_set(t->into.kind))
		return refuse(EXIT_FAILED, "a set or a rope takes no arrays and objects");
	*c = t->into;
	*key = t->key.len == 0 ? NULL : &t->key;
	if (*key == NULL)
		rc = dur_clear(t->into, NULL, NULL);
	return rc < 0 ? fail(rc) : 0;
}
