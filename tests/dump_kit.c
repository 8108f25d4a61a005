/* SPDX-License-Identifier: Apache-2.0 */
#include "dump_kit.h"

#include <stdlib.h>
#include <string.h>

#include "prefix_kit.h"

static void add(struct dump *d, const void *bytes, size_t n)
{
	if (d->n + n > d->cap) {
		d->cap = 2 * (d->n + n) + 64;
		d->at = realloc(d->at, d->cap);
	}
	if (n)
		memcpy(d->at + d->n, bytes, n);
	d->n += n;
}

static void dump_coll(struct dump *d, dur_coll c);

static void dump_value(struct dump *d, const dur_value *v)
{
	add(d, &v->type, sizeof v->type);
	if (v->type == DUR_INT)
		add(d, &v->i, sizeof v->i);
	else if (v->type == DUR_STR)
		add(d, &v->len, sizeof v->len), add(d, v->str, v->len);
	else if (v->type >= DUR_MAP && v->type <= DUR_ROPE)
		dump_coll(d, v->coll);
	else
		HOLDS(v->type == DUR_NULL, "a value of type %u", v->type);
}

static void dump_rope(struct dump *d, dur_coll c, uint64_t n)
{
	char bytes[4096];
	uint64_t got;

	for (uint64_t at = 0; at < n; at += got) {
		EXPECT(0, dur_read(c, at, bytes, sizeof bytes, &got));
		HOLDS(got > 0, "a rope ended early");
		add(d, bytes, got);
	}
}

static void dump_coll(struct dump *d, dur_coll c)
{
	dur_value key, value;
	dur_iter *it;
	uint64_t n;

	EXPECT(0, dur_count(c, NULL, &n));
	add(d, &c.kind, sizeof c.kind);
	add(d, &n, sizeof n);
	if (c.kind == DUR_ROPE) {
		dump_rope(d, c, n);
		return;
	}
	EXPECT(0, dur_scan(c, NULL, &it));
	while (MUST(dur_next(it, &key, &value)) == 0) {
		dump_value(d, &key);
		if (c.kind != DUR_SET)
			dump_value(d, &value);
	}
	dur_iter_close(it);
}

struct dump dump_of(dur_coll c)
{
	struct dump d = { 0 };

	dump_coll(&d, c);
	return d;
}

void dump_same(dur_coll c, struct dump *kept, bool keep)
{
	struct dump now = dump_of(c);

	HOLDS(now.n == kept->n && memcmp(now.at, kept->at, now.n) == 0,
	      "a collection of kind %u is not what it is to be", c.kind);
	free(now.at);
	if (!keep)
		free(kept->at);
}
