/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cells that are all made before the first of them is put: so all of them find a place or none, and
 * they may be of what the transaction reaches now and will have removed by then (I3).
 */
#ifndef DURAMEN_MODEL_BATCH_H
#define DURAMEN_MODEL_BATCH_H

#include "model/write.h"

struct batch {
	uint8_t *bytes;                 /* of all cells, one after the other */
	size_t len, cap;
	struct cell *cells;             /* bytes NULL: not made yet, or put by now */
	size_t n;
};

int batch_open(struct batch *b, uint64_t n);
/* The i-th cell; where it lies is known when all are there. */
int batch_put(struct batch *b, size_t i, const struct made_cell *m);
/* All are there. */
void batch_done(struct batch *b);
/* failed: what the cells name that are still in it has found no place. After batch_done(). */
void batch_close(dur_view *v, struct batch *b, bool failed);

#endif
