/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries every peer is given: keys of 16 bytes, values of 100 bytes.
 *
 * Key i is 8 big-endian bytes that grow with i and are spread over the whole range, then 8 bytes
 * mixed from i: the order of keys is the order of i, and neighbours share few leading bytes, so
 * that nobody gains by cutting common prefixes. A value belongs to an entry and a generation
 * (how often the entry was written in this round); it is random and cannot be compressed. Its
 * first four bytes are the generation, and all its 32-bit words together come to a number that
 * only this entry has. A reader can therefore tell in a few ns whether a value is whole and
 * whether it is the right one, without making it again: that is how wrong answers are failures.
 */
#ifndef BENCH_DATA_H
#define BENCH_DATA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DATA_KEY   16u
#define DATA_VALUE 100u

struct data {
	uint64_t entries;
	uint64_t stride;        /* between the first eight bytes of two neighbours */
	uint64_t seed;          /* of the values: another in every round */
};

/* What a full scan saw. */
struct data_scan {
	const struct data *data;
	uint64_t rows;          /* so far: also the number of the entry that must come next */
	uint64_t wrong;         /* rows that were not the entry they had to be */
	uint64_t generations;   /* the sum over all rows */
};

static inline uint64_t data_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* The next number of a sequence that *state remembers. */
static inline uint64_t data_random(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return data_mix(*state);
}

/* A number below n without a division. */
static inline uint64_t data_below(uint64_t *state, uint64_t n)
{
	return ((data_random(state) >> 32) * n) >> 32;
}

static inline void data_init(struct data *d, uint64_t entries, uint64_t seed)
{
	d->entries = entries;
	d->stride = UINT64_MAX / entries;
	d->seed = data_mix(seed + 1);
}

static inline void data_key(const struct data *d, uint64_t i, unsigned char key[DATA_KEY])
{
	uint64_t high = __builtin_bswap64(i * d->stride);
	uint64_t low = data_mix(i + 1);

	memcpy(key, &high, 8);
	memcpy(key + 8, &low, 8);
}

/* All 25 32-bit words of a value, exclusive-or. */
static inline uint32_t data_fold(const unsigned char *value)
{
	uint64_t x = 0, w;
	uint32_t last;
	int j;

	for (j = 0; j < 12; j++) {
		memcpy(&w, value + 8 * j, 8);
		x ^= w;
	}
	memcpy(&last, value + 96, 4);
	return (uint32_t)x ^ (uint32_t)(x >> 32) ^ last;
}

static inline void data_value(const struct data *d, uint64_t i, uint32_t generation,
                              unsigned char value[DATA_VALUE])
{
	uint64_t base = data_mix(d->seed ^ data_mix(i) ^ ((uint64_t)generation << 32));
	uint64_t w;
	uint32_t last = 0;
	int j;

	for (j = 0; j < 12; j++) {
		w = data_mix(base + (uint64_t)j * UINT64_C(0x9e3779b97f4a7c15));
		memcpy(value + 8 * j, &w, 8);
	}
	memcpy(value, &generation, 4);
	memcpy(value + 96, &last, 4);
	last = data_fold(value) ^ (uint32_t)data_mix(i + 1);
	memcpy(value + 96, &last, 4);
}

static inline bool data_is(uint64_t i, const unsigned char *value, size_t length)
{
	return length == DATA_VALUE && data_fold(value) == (uint32_t)data_mix(i + 1);
}

static inline uint32_t data_generation(const unsigned char *value)
{
	uint32_t generation;

	memcpy(&generation, value, 4);
	return generation;
}

/* Every driver's scan hands each row to this: it touches all bytes of the key and of the value. */
static inline void data_row(struct data_scan *s, const void *key, size_t key_length,
                            const void *value, size_t value_length)
{
	unsigned char want[DATA_KEY];

	data_key(s->data, s->rows, want);
	if (key_length != DATA_KEY || memcmp(key, want, DATA_KEY) != 0 ||
	    !data_is(s->rows, value, value_length))
		s->wrong++;
	else
		s->generations += data_generation(value);
	s->rows++;
}

#endif /* BENCH_DATA_H */
