/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value that outgrows its memory goes to the store before it ends: what is open is made there,
 * from the outermost on, with the items that there are, and what follows is put into it. Forms are
 * known at their end only, so what stands in one waits; it is the one thing that has to fit.
 */
#include <string.h>

#include "json_frame.h"
#include "message.h"

static bool failed(struct json_builder *b, int rc)
{
	b->status = fail(rc);
	return false;
}

/* Whether an object may turn out to be a form when it ends: it has one member, or none yet. */
static bool may_be_form(const struct json_builder *b, size_t i)
{
	const struct json_frame *f = &b->open[i];
	size_t n = (i + 1 < b->depth ? b->open[i + 1].base : b->n) - f->base;

	return f->object && !f->made && (n == 0 || (n <= 2 && f->form.line != 0));
}

/* How many frames can be made: those around the first that may be a form. */
static size_t solid_frames(const struct json_builder *b)
{
	size_t n = 0;

	while (n < b->depth && !may_be_form(b, n))
		n++;
	return n;
}

bool spill_items(struct json_builder *b, struct json_reader *r, struct json_frame *f, size_t n)
{
	const dur_value *items = b->items + f->base;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i += f->object ? 2 : 1) {
		if (!f->object) {
			rc = dur_put(f->coll, &DUR_PATH("/-"), &items[i]);
			continue;
		}
		rc = dur_get(f->coll, &items[i], NULL);
		if (rc == 0)
			return json_twice(b, r, &items[i]);
		if (rc == DUR_NONE)
			rc = dur_put(f->coll, &items[i], &items[i + 1]);
	}
	return rc == 0 || failed(b, rc);
}

/* Makes frame i, under a key of the one around it. */
static bool make(struct json_builder *b, struct json_reader *r, size_t i, size_t n)
{
	struct json_frame *f = &b->open[i], *outer = i > 0 ? &b->open[i - 1] : NULL;
	dur_value literal = DUR_NEW(f->object ? DUR_MAP : DUR_LIST, b->items + f->base, n);
	const dur_value *name = b->items + f->base - 1; /* the last item of an object around it */
	dur_coll c = outer != NULL ? outer->coll : b->coll;
	int rc;

	if (f->unordered && !json_keys_differ(b, r, literal.items, n))
		return false;
	f->made = true;
	if (outer == NULL && b->key == NULL) {
		f->coll = b->coll;
		if (f->object)
			return spill_items(b, r, f, n);
		json_refuse(r, &b->fault, "a prefix as a whole is a map");
		return false;
	}
	if (outer != NULL && !outer->object) {
		rc = dur_put(c, &DUR_PATH("/-"), &literal);
		if (rc == 0)
			rc = dur_enter(c, &DUR_INT(-1), &f->coll);
	} else {
		const dur_value *key = outer != NULL ? name : b->key;
		rc = dur_put(c, key, &literal);
		if (rc == 0)
			rc = dur_enter(c, key, &f->coll);
	}
	return rc == 0 || failed(b, rc);
}

/* Takes the items that were stored from the stack; the last solid frame keeps a name. */
static void forget(struct json_builder *b, size_t solid, struct arena *a)
{
	struct json_frame *last = &b->open[solid - 1];
	size_t end = solid < b->depth ? b->open[solid].base : b->n, from = end;

	if (solid < b->depth && last->object)
		from--;
	memmove(b->items, b->items + from, (b->n - from) * sizeof *b->items);
	memmove(b->heads, b->heads + from, (b->n - from) * sizeof *b->heads);
	b->n -= from;
	for (size_t i = solid; i < b->depth; i++) {
		b->open[i].base -= from;
		b->open[i].largest -= from;
	}
	for (size_t i = 0; i < solid; i++) {
		b->open[i].base = b->open[i].largest = 0;
		b->open[i].unordered = false;
	}
	if (b->n == 0)
		arena_reset(a);
}

bool spill(struct json_builder *b, struct json_reader *r, struct arena *a)
{
	size_t solid = solid_frames(b);

	if (solid > 0 && !b->spilled) {
		b->status = b->begin(b->ctx, &b->coll, &b->key);
		b->spilled = b->status == 0;
		if (!b->spilled)
			return false;
	}
	for (size_t i = 0; i < solid; i++) {
		struct json_frame *f = &b->open[i];
		size_t n = (i + 1 < b->depth ? b->open[i + 1].base : b->n) - f->base;
		bool good;
		if (f->object)
			n -= n % 2;
		good = f->made ? spill_items(b, r, f, n) : make(b, r, i, n);
		if (!good)
			return false;
	}
	if (solid > 0)
		forget(b, solid, a);
	b->limit = a->total + b->memory;
	return true;
}
