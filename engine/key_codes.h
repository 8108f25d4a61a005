/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte of each item of a key; engine/key.h says what follows it. */
#ifndef DURAMEN_ENGINE_KEY_CODES_H
#define DURAMEN_ENGINE_KEY_CODES_H

enum {
	KEY_NULL = 0x00,
	KEY_BYTES = 0x01,
	KEY_STR = 0x02,
	KEY_TUPLE = 0x05,
	KEY_BIG_NEGATIVE = 0x0b,
	KEY_INT_FIRST = 0x0c, /* eight bytes, negative */
	KEY_INT_ZERO = 0x14,
	KEY_INT_LAST = 0x1c, /* eight bytes, positive */
	KEY_BIG_POSITIVE = 0x1d,
	KEY_DOUBLE = 0x21,
	KEY_FALSE = 0x26,
	KEY_TRUE = 0x27,
	KEY_UUID = 0x30,
	KEY_DECIMAL = 0x40, /* from here on: codes left to users */
	KEY_TIME = 0x41,
	KEY_REF = 0x42,
	KEY_WEAK = 0x43,
	KEY_ESCAPE = 0xff /* never a code: 00 ff stands for a 00 that ends nothing */
};

#endif
