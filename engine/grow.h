/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays that grow. */
#ifndef DURAMEN_ENGINE_GROW_H
#define DURAMEN_ENGINE_GROW_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal/error.h"

/*
 * realloc for the pointer at `array` to hold `need` elements; doubles. 0, or -ENOMEM with a message
 * that says what for.
 */
static inline int grow_array(void *array, size_t *cap, size_t need, size_t size, const char *what)
{
	void *old, *fresh;
	size_t cap_new = *cap ? *cap : 32;
	if (need <= *cap)
		return 0;
	while (cap_new < need)
		cap_new *= 2;
	memcpy(&old, array, sizeof old);
	fresh = realloc(old, cap_new * size);
	if (!fresh)
		return error_system(ENOMEM, "%s", what);
	memcpy(array, &fresh, sizeof fresh);
	*cap = cap_new;
	return 0;
}

#endif
