/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transaction's marks: what the engine remembers of the data (dirty.h), what the view does of handles
 * and of failed writes. Marks are told by numbers that no other one of this process has.
 */
#ifndef DURAMEN_MODEL_MARK_H
#define DURAMEN_MODEL_MARK_H

#include "prefixes/prefix.h"

/* Frees what a view remembers; of the engine's part nothing. */
void marks_end(dur_view *v);

#endif
