/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths: JSON Pointers (RFC 6901) whose steps are typed keys. A path is empty, or "/" and a step,
 * again and again. A step that does not begin with "~" and a letter is a string; else the letter
 * gives its type:
 *
 *   step             key                 what follows the letter
 *   alice, 0, -, ""  string              (a list takes 0 for its first position, - for its end)
 *   ~n               null                nothing
 *   ~bfalse ~btrue   bool
 *   ~i-42            integer, any size   digits without leading zeros
 *   ~d0.1 ~d-0       double              the fewest digits that read back as these bits,
 *   ~dinf ~d-inf                         or infinity,
 *   ~dnan7ff8000000000000                or any NaN, by its bits
 *   ~m-12.50         decimal             as DUR_DECIMAL
 *   ~x00ff           bytes               two digits a byte
 *   ~t2026-11-20T10:00:00.5+01:00  time  as prefixes/time.h; no zone: a local time
 *   ~u ~r ~w         uuid, ref, weak     01234567-89ab-cdef-0123-456789abcdef
 *   ~pa,~i1,~p~q     tuple               its items, with "," between them; a tuple within a
 *                                        tuple ends in ~q. Here: "a", 1 and an empty tuple.
 *   ~e               ""                  only as an item of a tuple
 *
 * Within a string "~" and a digit stand for characters that cannot be there as they are:
 *
 *   ~0  ~      ~1  /      ~3  ,  (where it would end an item of a tuple)
 *   ~2 and two hexadecimal digits: a control character, 00 to 1f and 7f, so that a path is one line
 *
 * path_format_key() gives each key its one text: lower-case digits, no escape that need not be.
 * Reading takes a little more: upper-case digits, other spellings of doubles and times, control
 * characters as they are. A tuple of one scalar is that scalar's key and has its text.
 */
#ifndef DURAMEN_MODEL_PATH_H
#define DURAMEN_MODEL_PATH_H

#include "engine/key.h"

struct path {
	const char *start, *at, *end;
};

/*
 * Reads a DUR_PATH from its beginning. DUR_E_PATH: not UTF-8 or not begun with "/"; DUR_E_MISUSE.
 */
int path_open(struct path *path, const dur_value *v);
/*
 * The next step; 1 at the end. It borrows from the path's text and from scratch, which is not reset
 * here. DUR_E_PATH: no step; the message names the byte.
 */
int path_next(struct path *path, struct key_arena *scratch, dur_value *step);

/*
 * The text of one key, without "/" before it. *len is what it takes, without a NUL, which is not
 * written; -ENOSPC if cap is less. DUR_E_TYPE, DUR_E_LIMIT, ...: what can be no key.
 */
int path_format_key(const dur_value *key, char *buf, size_t cap, size_t *len);

#endif
