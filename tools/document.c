/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A map is an object if all its keys are strings: they stand side by side in the order of keys, so
 * the first and the last one tell. An object of one member whose name begins with ~ would be read
 * as a form, so such a map is written like one with other keys, in pairs.
 */
#include "document.h"

#include <stdlib.h>

#include "json_read.h"
#include "message.h"

enum shape { SHAPE_LIST, SHAPE_OBJECT, SHAPE_PAIRS, SHAPE_SET, SHAPE_PIECES };

/* A collection that is open. */
struct level {
	dur_iter *it;
	enum shape shape;
	bool raw, form;
	bool in_pair; /* a pair has begun, its value may have been a collection */
};

struct levels {
	struct level *open;
	size_t n, cap;
};

dur_value document_key(const dur_value *key, bool raw)
{
	dur_value readable = *key;
	if (raw && key->type == DUR_BYTES && utf8_length(key->ptr, key->len) == key->len)
		readable.type = DUR_STR;
	return readable;
}

/* Of a typed map. */
static int map_shape(dur_coll c, enum shape *shape)
{
	dur_value first, last;
	uint64_t n;
	int rc = dur_count(c, NULL, &n);

	*shape = SHAPE_OBJECT;
	if (rc < 0 || n == 0)
		return rc;
	rc = dur_nth(c, 0, &first, NULL);
	if (rc == 0 && (first.type != DUR_STR || (n == 1 && first.len > 0 && first.str[0] == '~')))
		*shape = SHAPE_PAIRS;
	if (rc == 0)
		rc = dur_nth(c, -1, &last, NULL);
	if (rc == 0 && last.type != DUR_STR)
		*shape = SHAPE_PAIRS;
	return rc;
}

static int shape_of(dur_coll c, struct level *l, const char **form)
{
	*form = NULL;
	l->raw = c.kind == DUR_RAW_MAP || c.kind == DUR_RAW_SET;
	switch (c.kind) {
	case DUR_LIST: l->shape = SHAPE_LIST; return 0;
	case DUR_SET:
	case DUR_RAW_SET:
		l->shape = SHAPE_SET;
		*form = l->raw ? "~S" : "~s";
		return 0;
	case DUR_ROPE:
		l->shape = SHAPE_PIECES;
		*form = "~l";
		return 0;
	case DUR_RAW_MAP:
		l->shape = SHAPE_PAIRS;
		*form = "~K";
		return 0;
	default: break;
	}
	int rc = map_shape(c, &l->shape);
	if (l->shape == SHAPE_PAIRS)
		*form = "~k";
	return rc;
}

static int begin(struct json_writer *w, struct levels *all, dur_coll c)
{
	struct level l = { .it = NULL };
	const char *form;
	int rc = shape_of(c, &l, &form);

	if (rc == 0)
		rc = dur_scan(c, NULL, &l.it);
	if (rc < 0)
		return rc;
	if (all->n == all->cap) {
		all->cap = all->cap ? 2 * all->cap : 16;
		all->open = realloc(all->open, all->cap * sizeof *all->open);
		if (all->open == NULL)
			out_of_memory();
	}
	l.form = form != NULL;
	if (l.form) {
		json_begin(w, '{');
		json_name(w, form);
	}
	json_begin(w, l.shape == SHAPE_OBJECT ? '{' : '[');
	all->open[all->n++] = l;
	return 0;
}

static void end(struct json_writer *w, struct levels *all)
{
	struct level *l = &all->open[--all->n];

	json_end(w, l->shape == SHAPE_OBJECT ? '}' : ']');
	if (l->form)
		json_end(w, '}');
	dur_iter_close(l->it);
}

static int put(struct json_writer *w, struct levels *all, const dur_value *v)
{
	if (v->type >= DUR_MAP)
		return begin(w, all, v->coll);
	json_value(w, v);
	return 0;
}

/* The next entry of the innermost collection, or its end. */
static int step(struct json_writer *w, struct levels *all)
{
	struct level *l = &all->open[all->n - 1];
	dur_value key, value;
	int rc = dur_next(l->it, &key, &value);

	if (l->in_pair)
		json_end(w, ']');
	l->in_pair = false;
	if (rc == DUR_NONE) {
		end(w, all);
		return 0;
	}
	if (rc < 0)
		return rc;
	switch (l->shape) {
	case SHAPE_OBJECT:
		json_string(w, key.str, key.len);
		json_colon(w);
		return put(w, all, &value);
	case SHAPE_PAIRS:
		json_begin(w, '[');
		key = document_key(&key, l->raw);
		json_value(w, &key);
		l->in_pair = true;
		return put(w, all, &value);
	case SHAPE_SET:
		key = document_key(&key, l->raw);
		json_value(w, &key);
		return 0;
	case SHAPE_PIECES:
		value = document_key(&value, true);
		json_value(w, &value);
		return 0;
	default: return put(w, all, &value);
	}
}

int document_write(struct json_writer *w, const dur_value *v)
{
	struct levels all = { .open = NULL };
	int rc = put(w, &all, v);

	while (rc == 0 && all.n > 0 && !ferror(w->file))
		rc = step(w, &all);
	while (all.n > 0)
		dur_iter_close(all.open[--all.n].it);
	free(all.open);
	return rc;
}

void document_print(const dur_value *v)
{
	int rc = document_write(&(struct json_writer){ .file = stdout }, v);
	if (rc < 0)
		exit(fail(rc));
}
