/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integers in pages and packets: little-endian at any alignment, and big-endian where bytes must sort.
 * memcpy is the only portable unaligned access; compilers make one instruction of it.
 */
#ifndef DURAMEN_INTERNAL_BYTES_H
#define DURAMEN_INTERNAL_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Duramen's files are little-endian and so must the machine be"
#endif

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static inline uint16_t get_u16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint32_t get_u32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline uint64_t get_u64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

/* Six bytes. Reads only those six. */
static inline uint64_t get_u48(const void *p)
{
	return get_u32(p) | (uint64_t)get_u16((const uint8_t *)p + 4) << 32;
}

static inline void put_u16(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof v);
}

static inline void put_u32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof v);
}

static inline void put_u64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof v);
}

static inline void put_u48(void *p, uint64_t v)
{
	put_u32(p, (uint32_t)v);
	put_u16((uint8_t *)p + 4, (uint16_t)(v >> 32));
}

static inline uint64_t get_be64(const void *p)
{
	return __builtin_bswap64(get_u64(p));
}

static inline void put_be64(void *p, uint64_t v)
{
	put_u64(p, __builtin_bswap64(v));
}

/* LEB128: seven bits a byte, at most 10 bytes. put returns the end. */
static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

/* Returns the end, or NULL if it does not end before `end` or does not fit 64 bits. */
static inline const uint8_t *get_varint(const uint8_t *p, const uint8_t *end, uint64_t *v)
{
	uint64_t r = 0;
	if (likely(p < end && !(*p & 0x80))) {
		*v = *p;
		return p + 1;
	}
	for (unsigned shift = 0; p < end && shift < 64; shift += 7) {
		uint8_t b = *p++;
		if (shift == 63 && b > 1)
			return NULL;
		r |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*v = r;
			return p;
		}
	}
	return NULL;
}

#endif
