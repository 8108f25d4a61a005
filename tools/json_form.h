/* SPDX-License-Identifier: Apache-2.0 */
/* The forms for what JSON lacks: what stands in one becomes the value that it means. */
#ifndef DURAMEN_TOOLS_JSON_FORM_H
#define DURAMEN_TOOLS_JSON_FORM_H

#include <duramen.h>
#include <stdbool.h>

#include "arena.h"

/*
 * {NAME:INNER} to *v. Memory comes from the arena, and what inner points
 * to is kept. NULL, or what is wrong.
 */
const char *form_value(struct arena *a, const dur_value *name, const dur_value *inner,
                       dur_value *v);

#endif
