/* SPDX-License-Identifier: Apache-2.0 */
/* Durable commits of one key: at the top, and five small maps deep. */
#include <stdio.h>
#include <stdlib.h>
#include "nested.h"

enum { WAYS = 2, BLOCK = 50, FILL = 20 };

static const char *const path[WAYS] = { "/top%llu", "/a/b/c/d/e/deep%llu" };

/* A block of commits one way; seconds, and what they wrote. */
static double block(dur_prefix *p, unsigned way, uint64_t *next, uint64_t *bytes)
{
	char text[64];
	dur_state_info info;
	dur_view *txn;
	double start = seconds();
	uint64_t state;
	uint32_t n;

	for (unsigned i = 0; i < BLOCK; i++, ++*next) {
		snprintf(text, sizeof(text), path[way], (unsigned long long)(*next % FILL));
		NEED(dur_begin(p, NULL, &txn));
		NEED(dur_put(dur_root(txn), &DUR_PATH(text), &DUR_INT((int64_t)*next)));
		NEED(dur_commit(txn, NULL, &state));
		dur_close(txn);
	}
	start = seconds() - start;
	for (unsigned i = 0; i < BLOCK; i++) {
		NEED(dur_states(p, i ? info.state - 1 : 0, 0, &info, 1, &n));
		SURE(n == 1, "every state is there");
		*bytes += info.written_bytes;
	}
	return start;
}

void section_commits(dur_workspace *ws, const struct settings *o)
{
	uint64_t blocks = (o->commits + BLOCK - 1) / BLOCK, next[WAYS] = { 0 }, bytes[WAYS] = { 0 };
	double *ratio = calloc(blocks, sizeof(double)), took[WAYS];
	dur_prefix *p;
	dur_view *txn;
	dur_coll deep;

	SURE(ratio, "there is enough memory");
	NEED(dur_attach(ws, "depth", DUR_CREATE, NULL, &p));
	NEED(dur_begin(p, NULL, &txn));
	NEED(dur_make(dur_root(txn), &DUR_PATH("/a/b/c/d/e"), DUR_MAP, &deep));
	NEED(dur_commit(txn, NULL, NULL));
	dur_close(txn);
	for (uint64_t i = 0; i < blocks; i++) {
		for (unsigned j = 0; j < WAYS; j++) {
			unsigned way = (unsigned)((i + j) % WAYS);
			took[way] = block(p, way, &next[way], &bytes[way]);
		}
		ratio[i] = took[1] / took[0];
	}
	report_rounds((struct limit){ "time of a one-key commit 5 maps deep", "x", 0, 1.3, false },
	              ratio, blocks);
	report(&(struct limit){ "bytes written by it", "x", (double)bytes[1] / (double)bytes[0], 1.3,
	                        false });
	NEED(dur_detach(p));
	free(ratio);
}
