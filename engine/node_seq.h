/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laying entries out anew: a sequence in key order, put together from parts of nodes and single
 * entries, from which a range is written into a page under some prefix. Splits, merges, sharing and
 * changes of prefix are all this.
 *
 * In a branch the first entry of a range written has no separator: what it had goes up to the
 * parent.
 */
#ifndef DURAMEN_ENGINE_NODE_SEQ_H
#define DURAMEN_ENGINE_NODE_SEQ_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/node.h"

enum { NODE_SEQ_MAX = 2 * NODE_MAX + 1, NODE_SEQ_PARTS = 4 };

struct node_part {
	const struct page *page;        /* NULL: a single entry */
	const uint8_t *key, *data;      /* of a single entry */
	unsigned first;                 /* its first entry's place in the sequence */
	unsigned from;                  /* and in the page */
};

struct node_seq {
	bool branch;
	unsigned n, n_parts;
	struct node_part part[NODE_SEQ_PARTS];
	uint16_t key_len[NODE_SEQ_MAX], data_len[NODE_SEQ_MAX];
};

/*
 * Pages and bytes that are added must stay as they are until the last write; empty ranges are fine.
 */
void node_seq_open(struct node_seq *s, bool branch);
void node_seq_page(struct node_seq *s, const struct page *page, unsigned from, unsigned to);
void node_seq_entry(struct node_seq *s, const uint8_t *key, size_t len, const void *data,
                    size_t data_len);

/* The key of entry i into buf (TREE_KEY_MAX bytes); returns its length. */
unsigned node_seq_key(const struct node_seq *s, unsigned i, uint8_t *buf);
const uint8_t *node_seq_data(const struct node_seq *s, unsigned i);

/* Bytes that a node of entries [from, to) takes under a prefix of this length, header and all. */
unsigned node_seq_used(const struct node_seq *s, unsigned from, unsigned to, unsigned prefix_len);
/*
 * Where to cut so that both sides take about as many bytes and fit their pages, keys as they are
 * under a prefix of this length. 0: there is no such place.
 */
unsigned node_seq_middle(const struct node_seq *s, unsigned prefix_len);
/*
 * The prefix for [from, to) between the separators low and high (NULL: there is none; then the
 * outermost key takes its place). Its bytes are the first of the range's last key. Never longer
 * than what the keys share.
 */
unsigned node_seq_prefix(const struct node_seq *s, unsigned from, unsigned to, const uint8_t *low,
                         unsigned low_len, const uint8_t *high, unsigned high_len);
/* Writes [from, to) as the whole contents of page, whose identity stays. It must fit. */
void node_seq_write(const struct node_seq *s, unsigned from, unsigned to, unsigned prefix_len,
                    struct page *page);

#endif
