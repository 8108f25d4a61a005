/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No code of an item is ff, so all keys that start with a tuple lie below the tuple's bytes and ff.
 * A stem is a tuple cut off within its last item: there the last byte that can be raised is raised
 * by one.
 */
#include "engine/key.h"

#include "engine/key_codes.h"
#include "include/internal/bytes.h"
#include "include/internal/error.h"

/*
 * The first bytes that come after everything that starts with the n bytes in buf; false: there are
 * none.
 */
static bool step_over(uint8_t *buf, size_t *n)
{
	while (*n > 0 && buf[*n - 1] == 0xff)
		--*n;
	if (*n == 0)
		return false;
	buf[*n - 1]++;
	return true;
}

static int encode_bound(const dur_value *key, bool raw, uint8_t *buf, size_t *len)
{
	return raw ? key_encode_raw(key, buf, DUR_MAX_KEY, len)
	           : key_encode(key, buf, DUR_MAX_KEY, len);
}

/*
 * Goes past the key in buf, which has room for one byte more: all that start with it, or itself if
 * raw.
 */
static void pass(bool raw, uint8_t *buf, size_t *len)
{
	buf[(*len)++] = raw ? 0 : KEY_ESCAPE;
}

static int range_of_stem(const dur_value *stem, bool raw, struct key_range *r)
{
	int rc = encode_bound(stem, raw, r->lo, &r->lo_len);
	bool text = stem->type == DUR_STR || stem->type == DUR_BYTES;

	if (rc < 0)
		return rc;
	if (!raw && text)
		r->lo_len--; /* the 00 that ends it */
	memcpy(r->hi, r->lo, r->lo_len);
	r->hi_len = r->lo_len;
	r->open = (raw || text) && !step_over(r->hi, &r->hi_len);
	if (!raw && !text)
		pass(false, r->hi, &r->hi_len);
	return 0;
}

int key_range(const dur_value *from, const dur_value *to, uint32_t flags, bool raw,
              struct key_range *range)
{
	int rc;

	range->lo_len = range->hi_len = 0;
	range->open = !to;
	if (flags & DUR_STARTS) {
		if (!from || to || (flags & (DUR_AFTER_FROM | DUR_WITH_TO)))
			return error_set(
				DUR_E_MISUSE,
				"DUR_STARTS takes from, and neither to nor DUR_AFTER_FROM nor"
				" DUR_WITH_TO");
		return range_of_stem(from, raw, range);
	}
	if (from) {
		rc = encode_bound(from, raw, range->lo, &range->lo_len);
		if (rc < 0)
			return rc;
		if (flags & DUR_AFTER_FROM)
			pass(raw, range->lo, &range->lo_len);
	}
	if (to) {
		rc = encode_bound(to, raw, range->hi, &range->hi_len);
		if (rc < 0)
			return rc;
		if (flags & DUR_WITH_TO)
			pass(raw, range->hi, &range->hi_len);
	}
	return 0;
}
