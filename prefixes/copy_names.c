/* SPDX-License-Identifier: Apache-2.0 */
/* A list of names; looked through in order once it was sorted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "prefixes/copy.h"

int copy_names_push(struct copy_names *names, const struct state_name *name)
{
	if (names->n == names->cap) {
		size_t cap = names->cap ? names->cap * 2 : 16;
		struct state_name *grown = realloc(names->of, cap * sizeof *grown);
		if (!grown)
			return error_system(ENOMEM, "noting the names of states");
		names->of = grown;
		names->cap = cap;
	}
	names->of[names->n++] = *name;
	return 0;
}

void copy_names_free(struct copy_names *names)
{
	free(names->of);
	*names = (struct copy_names){ 0 };
}

int copy_names_all(struct store *store, const struct state *newest, struct copy_names *names)
{
	struct state_name some[16];
	uint64_t skip = 0;
	uint32_t n;
	int rc;

	do {
		rc = store_names(store, newest, skip, some, 16, &n);
		for (uint32_t i = 0; i < n && rc == 0; i++)
			rc = copy_names_push(names, &some[i]);
		skip += n;
	} while (rc == 0 && n == 16);
	return rc;
}

static int compare(const void *a, const void *b)
{
	const struct state_name *x = a, *y = b;

	return strcmp(x->name, y->name);
}

void copy_names_sort(struct copy_names *names)
{
	if (names->n > 1)
		qsort(names->of, names->n, sizeof *names->of, compare);
}

bool copy_names_have(const struct copy_names *sorted, const struct state_name *name)
{
	return sorted->n && bsearch(name, sorted->of, sorted->n, sizeof *name, compare);
}
