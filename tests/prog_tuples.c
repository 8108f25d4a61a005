/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prog_tuples make N: N random tuples of the types that all implementations of the encoding have,
 * in the order of dur_compare(). prog_tuples read: the tuples whose encodings, in hexadecimal, stand
 * on standard input, one a line. Either way a line is an encoding, a tab, and the items as a JSON
 * array. prog_tuples order STEP: of every STEP-th of such encodings and any other one of them, the
 * bytes are in the order that dur_compare() gives the items; prints how many tuples that were.
 *
 *	null true false, and [LETTER, ...]: i an integer's digits, d a double's bits, s a string's and
 *	b bytes' and u a UUID's bytes, all as strings; t items of a tuple
 */
#include "tests/random_values.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 1 << 16, MAX_ITEMS = 1 << 14 };

static void print_hex(const void *bytes, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		printf("%02x", ((const uint8_t *)bytes)[i]);
}

static void print_item(const dur_value *v)
{
	const uint8_t *text = NULL;
	uint64_t bits;
	size_t len = 0;

	if (v->type == DUR_STR || v->type == DUR_BYTES || v->type == DUR_BIGINT)
		key_text(v, &text, &len);
	switch (v->type) {
	case DUR_NULL: printf("null"); break;
	case DUR_BOOL: printf(v->i ? "true" : "false"); break;
	case DUR_INT: printf("[\"i\",\"%" PRId64 "\"]", v->i); break;
	case DUR_BIGINT: printf("[\"i\",\"%.*s\"]", (int)len, (const char *)text); break;
	case DUR_DOUBLE:
		memcpy(&bits, &v->f, sizeof bits);
		printf("[\"d\",\"%016" PRIx64 "\"]", bits);
		break;
	case DUR_UUID:
		printf("[\"u\",\"");
		print_hex(v->id, 16);
		printf("\"]");
		break;
	case DUR_TUPLE:
		printf("[\"t\"");
		for (uint64_t i = 0; i < v->len; i++) {
			printf(",");
			print_item(&v->items[i]);
		}
		printf("]");
		break;
	default:
		printf("[\"%c\",\"", v->type == DUR_STR ? 's' : 'b');
		print_hex(text, len);
		printf("\"]");
		break;
	}
}

static void print_tuple(const void *bytes, uint64_t len, const dur_value *items, uint64_t n)
{
	print_hex(bytes, len);
	printf("\t[");
	for (uint64_t i = 0; i < n; i++) {
		printf(i > 0 ? "," : "");
		print_item(&items[i]);
	}
	printf("]\n");
}

static dur_value common_scalar(uint64_t *state, struct key_arena *arena)
{
	for (;;) {
		dur_value v = random_scalar(state, arena);
		if (v.type != DUR_DECIMAL && v.type != DUR_TIME && v.type != DUR_REF &&
		    v.type != DUR_WEAK)
			return v;
	}
}

static dur_value common_tuple(uint64_t *state, struct key_arena *arena, unsigned depth)
{
	uint64_t n = random_below(state, 5);
	dur_value *items = key_arena_take(arena, n * sizeof *items);

	for (uint64_t i = 0; i < n; i++)
		items[i] = depth > 0 && random_below(state, 3) == 0
		                   ? common_tuple(state, arena, depth - 1)
		                   : common_scalar(state, arena);
	return DUR_TUPLE(items, n);
}

static int by_value(const void *a, const void *b)
{
	return dur_compare(a, b);
}

static int make(uint64_t n)
{
	static uint8_t bytes[MAX_BYTES];
	struct key_arena arena = { 0 };
	dur_value *tuples = malloc((n + 1) * sizeof *tuples);
	const char *given = getenv("SEED");
	uint64_t state = given ? strtoull(given, NULL, 10) : 1, len;

	for (uint64_t i = 0; i < n; i++)
		tuples[i] = common_tuple(&state, &arena, 4);
	qsort(tuples, n, sizeof *tuples, by_value);
	for (uint64_t i = 0; i < n; i++) {
		if (dur_pack(tuples[i].items, (uint32_t)tuples[i].len, bytes, sizeof bytes, &len) <
		    0) {
			fprintf(stderr, "dur_pack: %s\n", dur_message());
			return 1;
		}
		print_tuple(bytes, len, tuples[i].items, tuples[i].len);
	}
	free(tuples);
	key_arena_free(&arena);
	return 0;
}

/* The bytes of the next line; false at the end. */
static bool next_line(uint8_t *bytes, uint64_t *len)
{
	static char line[2 * MAX_BYTES + 2];

	if (!fgets(line, sizeof line, stdin))
		return false;
	*len = strcspn(line, "\n") / 2;
	for (uint64_t i = 0; i < *len; i++) {
		unsigned byte;
		if (sscanf(line + 2 * i, "%2x", &byte) != 1)
			exit(2);
		bytes[i] = (uint8_t)byte;
	}
	return true;
}

static uint32_t unpack(const uint8_t *bytes, uint64_t len, dur_value *items, uint64_t room,
                       void *scratch)
{
	uint32_t n;

	if (dur_unpack(bytes, len, items, (uint32_t)room, &n, scratch, 3 * len) < 0) {
		fprintf(stderr, "dur_unpack: %s\n", dur_message());
		exit(1);
	}
	return n;
}

static int read_all(void)
{
	static uint8_t bytes[MAX_BYTES], scratch[3 * MAX_BYTES];
	static dur_value items[MAX_ITEMS];
	uint64_t len;

	while (next_line(bytes, &len)) {
		uint32_t n = unpack(bytes, len, items, MAX_ITEMS, scratch);
		print_tuple(bytes, len, items, n);
	}
	return 0;
}

/* ---- All pairs ---- */

struct packed {
	uint8_t *bytes; /* and behind them room for what was unpacked */
	uint64_t len;
	dur_value tuple;
};

static struct packed keep(const uint8_t *bytes, uint64_t len)
{
	struct packed p = { .bytes = malloc(4 * len + 1), .len = len };
	dur_value *items = malloc((len + 1) * sizeof *items); /* each has a byte at least */
	uint32_t n;

	memcpy(p.bytes, bytes, len);
	n = unpack(p.bytes, len, items, len + 1, p.bytes + len);
	p.tuple = DUR_TUPLE(items, n);
	return p;
}

static int sign(int64_t n)
{
	return (n > 0) - (n < 0);
}

static int byte_order(const struct packed *a, const struct packed *b)
{
	int order = memcmp(a->bytes, b->bytes, a->len < b->len ? a->len : b->len);

	return sign(order != 0 ? order : (int64_t)a->len - (int64_t)b->len);
}

static int order(uint64_t step)
{
	static uint8_t bytes[MAX_BYTES];
	struct packed *all = NULL;
	uint64_t lines = 0, n = 0, len;

	for (; next_line(bytes, &len); lines++) {
		if (lines % step != 0)
			continue;
		all = realloc(all, (n + 1) * sizeof *all);
		all[n++] = keep(bytes, len);
	}
	for (uint64_t i = 0; i < n; i++) {
		for (uint64_t j = 0; j < n; j++) {
			int by_items = sign(dur_compare(&all[i].tuple, &all[j].tuple));
			if (by_items == byte_order(&all[i], &all[j]))
				continue;
			fprintf(stderr, "lines %" PRIu64 " and %" PRIu64 ": dur_compare() gives %d\n",
			        i * step + 1, j * step + 1, by_items);
			return 1;
		}
	}
	printf("%" PRIu64 "\n", n);
	for (uint64_t i = 0; i < n; i++) {
		free(all[i].bytes);
		free((void *)all[i].tuple.items);
	}
	free(all);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "make") == 0)
		return make(strtoull(argv[2], NULL, 10));
	if (argc == 2 && strcmp(argv[1], "read") == 0)
		return read_all();
	if (argc == 3 && strcmp(argv[1], "order") == 0)
		return order(strtoull(argv[2], NULL, 10));
	return 2;
}
