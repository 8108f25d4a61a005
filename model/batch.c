/* SPDX-License-Identifier: Apache-2.0 */
/* Until all cells are there their bytes may move: a cell has its offset, one up, for an address. */
#include "model/batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char what[] = "making cells";

int batch_open(struct batch *b, uint64_t n)
{
	*b = (struct batch){ 0 };
	if (n <= SIZE_MAX / sizeof *b->cells)
		b->cells = calloc(n ? n : 1, sizeof *b->cells);
	if (!b->cells)
		return error_system(ENOMEM, "%s", what);
	b->n = n;
	return 0;
}

static int room_for(struct batch *b, size_t len)
{
	size_t cap = b->cap ? b->cap : 256;
	uint8_t *grown;

	while (cap < b->len + len)
		cap *= 2;
	if (cap == b->cap)
		return 0;
	grown = realloc(b->bytes, cap);
	if (!grown)
		return error_system(ENOMEM, "%s", what);
	b->bytes = grown;
	b->cap = cap;
	return 0;
}

int batch_put(struct batch *b, size_t i, const struct made_cell *m)
{
	int rc = room_for(b, m->len);

	if (rc < 0)
		return rc;
	memcpy(b->bytes + b->len, m->bytes, m->len);
	b->cells[i].bytes = (const uint8_t *)(uintptr_t)(b->len + 1);
	b->cells[i].len = (uint32_t)m->len;
	b->len += m->len;
	return 0;
}

void batch_done(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->cells[i].bytes)
			b->cells[i].bytes = b->bytes + (uintptr_t)b->cells[i].bytes - 1;
}

void batch_close(dur_view *v, struct batch *b, bool failed)
{
	for (size_t i = 0; i < b->n && failed; i++) {
		struct made_cell m = { .len = b->cells[i].len };
		if (!b->cells[i].bytes)
			continue;
		memcpy(m.bytes, b->cells[i].bytes, m.len);
		cell_unmake(v, &m);
	}
	free(b->cells);
	free(b->bytes);
	*b = (struct batch){ 0 };
}
