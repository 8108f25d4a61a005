/* SPDX-License-Identifier: Apache-2.0 */
/* All that is in a collection, at any depth, as bytes: to be kept and compared. */
#ifndef DURAMEN_TESTS_DUMP_KIT_H
#define DURAMEN_TESTS_DUMP_KIT_H

#include <duramen.h>
#include <stdbool.h>
#include <stddef.h>

struct dump {
	char *at;               /* free() it */
	size_t n, cap;
};

/* Of integers, strings, nulls and collections of them. */
struct dump dump_of(dur_coll c);
/* What is there is what was kept; keep: for another time, else it is freed. */
void dump_same(dur_coll c, struct dump *kept, bool keep);

#endif
