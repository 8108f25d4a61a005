/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patches: what of a page differs from another one, its *base*. A patch is a list of byte ranges, each
 * varint bytes to skip since the range before, varint length (at least 1), and the page's bytes there; all
 * else is as in the base. Nodes overwrite in place and append, so two versions of a page differ in few
 * ranges.
 *
 * Sum, birth and number, the first PATCH_FROM bytes of a page, take no part: who decodes a page knows them
 * or computes them.
 */
#ifndef DURAMEN_ENGINE_PATCH_H
#define DURAMEN_ENGINE_PATCH_H

#include <stddef.h>
#include <stdint.h>

#include "engine/page.h"

enum {
	PATCH_FROM = 22,                /* the first byte of a page that a patch may change */
	PATCH_GAP = 2,                  /* equal bytes between two ranges that are not worth a third */
};

/*
 * The patch that makes `page` of `base`, at most `cap` bytes to `to`. Returns its length, 0 if the pages
 * are equal, or SIZE_MAX if it is longer than cap.
 */
size_t patch_make(const uint8_t *page, const uint8_t *base, uint8_t *to, size_t cap);
/*
 * Makes the page of its base, in place. 0, or 1: it is no patch; the page's contents are then undefined.
 * Reads nothing beyond `len`, writes nothing but the page.
 */
int patch_apply(uint8_t *page, const uint8_t *patch, size_t len);

#endif
