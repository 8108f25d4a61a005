/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What check looks at in packs: that each entry is a page that is found there, that directories have nothing
 * else; and, while it walks old states, which packed pages it has met.
 */
#ifndef DURAMEN_ENGINE_CHECK_PACKS_H
#define DURAMEN_ENGINE_CHECK_PACKS_H

#include "engine/record.h"
#include "engine/unpack.h"

struct check_packs {
	struct file *file;
	const struct tree *system;
	struct unpack *unpack;
	uint64_t packed;                /* the horizon */
	uint64_t moved, pages;
	struct page_ptr *met;           /* an open-addressing hash; number 0: an empty place */
	size_t   n_met, cap_met;
	void   (*problem)(void *ctx, uint64_t page, const char *text);
	void    *ctx;
};

/* system stays with the caller. -ENOMEM; what is wrong is told by problem. */
int  check_packs_open(struct check_packs *packs, struct file *file, const struct tree *system,
                      void (*problem)(void *ctx, uint64_t page, const char *text), void *ctx);
void check_packs_close(struct check_packs *packs);
/* Every pack, and what is found in it. */
int  check_packs_all(struct check_packs *packs);
/* How a state is walked. */
struct pager check_packs_pager(const struct check_packs *packs, uint64_t state);
/* Whether a page of such a state is packed, and whether it was met before; notes it then. */
bool check_packs_has(struct check_packs *packs, struct page_ptr ptr);
bool check_packs_met(struct check_packs *packs, struct page_ptr ptr, bool note);

#endif
