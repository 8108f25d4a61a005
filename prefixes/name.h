/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of prefixes: "my-org/my-app/settings". A name is a path of files below the workspace's
 * root, so what would lead out of it, or cannot be told from the files that go with a prefix, is no
 * name.
 *
 * It is UTF-8 of at most 255 bytes: parts with "/" between them, each of 1 to 240 bytes, none of
 * them "." or "..". No part ends in ".dur" or ".dur-coord". There are no control characters, no
 * backslash, and no characters that are not seen (line separators, direction marks, ...).
 */
#ifndef DURAMEN_PREFIXES_NAME_H
#define DURAMEN_PREFIXES_NAME_H

enum { NAME_BYTES_MAX = 255, NAME_PART_MAX = 240 };

/* DUR_E_NAME if it is no name of a prefix: the message says what is wrong, and where. */
int name_check(const char *name);

#endif
