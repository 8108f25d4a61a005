/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where writing commands put values: into whatever collection a path leads. A map takes a value at
 * a key, a list at a position or behind its last item, a set a member without a value, a rope a
 * piece at its end. Messages say what to do about it at the shell.
 */
#ifndef DURAMEN_TOOLS_TARGET_H
#define DURAMEN_TOOLS_TARGET_H

#include <duramen.h>
#include <stdbool.h>

struct target {
	const char *path;
	dur_coll into; /* the collection that the entry is in */
	dur_value key; /* the path's last step; without one (len 0) it is the catalog itself */
};

/*
 * Finds it in a transaction. parents: the maps on the way that are missing are made. 0, or an exit
 * status after a message.
 */
int target_find(struct target *t, dur_view *txn, const char *path, bool parents);
/* value NULL: none, as members of sets have. The same. */
int target_put(const struct target *t, const dur_value *value);
/*
 * Gets ready for a value that is stored while it is read: an array or object, at *key of *c. NULL:
 * *c itself takes its entries.
 */
int target_begin(const struct target *t, dur_coll *c, const dur_value **key);

/* The collection at path, with parents one that is made. 0, or an exit status after a message. */
int target_collection(dur_view *txn, const char *path, bool parents, dur_coll *c);
/*
 * Puts an entry as `dump` gives it: of a list the key is a position, at most the one behind its
 * last item, of a rope an offset (NULL: its end), of a set the value is the member again (or NULL).
 * Returns the library's result; *why is what is wrong then.
 */
int target_entry(dur_coll c, const dur_value *key, const dur_value *value, const char **why);

#endif
