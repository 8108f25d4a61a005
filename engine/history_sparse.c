/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages that kept states hold. A retired page of life [birth, death) that the range has let go of
 * and kept states lie in stands under 'K' {h, birth, page}, h being the youngest of them. A state m
 * is dropped by taking it out of the index; nothing is rewritten, for an entry of a dropped h is
 * held by the youngest state below h, if that is at or after its birth. So what m alone held are
 * the entries with h in [m, next kept) and birth in (previous kept, m]: two bounds of the key, and
 * each is found where it stands. They go to 'L' in slices, each in a fold: so a crash finds either
 * before or after; and are free once that fold is durable and published (drop_gate) and no pin is
 * in their life.
 *
 * Only folds change what is here, in the transaction; memory follows when the commit stands.
 */
#include "engine/history_private.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

enum {
	THIN_STATES = 1024,   /* kept states looked at in one fold after a change of policy */
	LOOSE_ENTRIES = 4096, /* pages' entries let go of in one fold */
	KEPT_KEY = 25,
};

static size_t kept_key(uint8_t *to, uint64_t holder, uint64_t birth, uint64_t no)
{
	history_key(to, KEY_KEPT, holder);
	put_be64(to + 9, birth);
	put_be64(to + 17, no);
	return KEPT_KEY;
}

static int kept_decode(const void *key, size_t len, const struct cell *cell, uint64_t *holder,
                       struct pending *out)
{
	const uint8_t *k = key, *at = cell->bytes + 1, *end = cell->bytes + cell->len;
	uint64_t n, age;

	if (len != KEPT_KEY || cell->len < 2 || !(at = get_varint(at, end, &n)) ||
	    !get_varint(at, end, &age) || n == 0 || n > UINT32_MAX)
		return history_damaged("a page that a kept state holds");
	*holder = get_be64(k + 1);
	*out = (struct pending){ .birth = get_be64(k + 9),
		                 .no = get_be64(k + 17),
		                 .n = (uint32_t)n,
		                 .death = *holder + age,
		                 .class = CLASS_DATA,
		                 .persisted = true };
	if (out->birth > *holder || age == 0 || age > UINT64_MAX - *holder ||
	    out->no < PAGE_FIRST || out->no > PAGE_NUMBER_MAX)
		return history_damaged("a page that a kept state holds");
	return 0;
}

int history_each_kept(const struct pager *pager, const struct tree *tree,
                      const struct kept_range *range,
                      int (*visit)(void *ctx, uint64_t holder, const struct pending *entry),
                      void *ctx)
{
	struct cursor *c = malloc(sizeof *c);
	uint8_t seek[KEPT_KEY];
	int rc;

	if (!c)
		return error_system(ENOMEM, "reading the system tree");
	cursor_open(c, pager, tree);
	rc = cursor_seek(c, seek, kept_key(seek, range->holder_from, range->born_after + 1, 0));
	while (rc == 0) {
		struct pending entry;
		struct cell cell;
		uint64_t holder = 0;
		const void *key;
		size_t len;
		cursor_entry(c, &key, &len, &cell);
		if (*(const uint8_t *)key != KEY_KEPT)
			break;
		rc = kept_decode(key, len, &cell, &holder, &entry);
		if (rc < 0 || holder >= range->holder_to)
			break;
		if (entry.birth <= range->born_after || entry.birth > range->born_until) {
			holder += entry.birth > range->born_until;
			rc = cursor_seek(c, seek, kept_key(seek, holder, range->born_after + 1, 0));
			continue;
		}
		rc = visit(ctx, holder, &entry);
		if (rc == 0)
			rc = cursor_next(c);
	}
	free(c);
	return rc == 1 ? 0 : rc;
}

/* ---- States of the index as the transaction has it ---- */

int history_state_before(const struct pager *pager, const struct tree *tree, uint64_t number,
                         uint64_t *out)
{
	struct cursor *c = malloc(sizeof *c);
	uint8_t key[SYSTEM_KEY_MAX];
	const void *at;
	size_t len;
	int rc;

	*out = 0;
	if (!c)
		return error_system(ENOMEM, "looking up a state");
	cursor_open(c, pager, tree);
	rc = cursor_seek_before(c, key, history_key(key, KEY_STATE, number));
	if (rc == 0) {
		cursor_entry(c, &at, &len, NULL);
		if (len == 9 && *(const uint8_t *)at == KEY_STATE)
			*out = get_be64((const uint8_t *)at + 1);
	}
	free(c);
	return rc < 0 ? rc : 0;
}

struct some_states {
	struct {
		uint64_t number;
		int64_t time_ns;
	} of[THIN_STATES + 1];
	size_t n, cap;
};

static int some_state(void *ctx, uint64_t number, const struct cell *cell)
{
	struct some_states *some = ctx;

	if (cell->len < 9)
		return history_damaged("an entry of the state index");
	some->of[some->n].number = number;
	some->of[some->n].time_ns = (int64_t)get_u64(cell->bytes + 1);
	return ++some->n == some->cap ? 2 : 0;
}

/* The first n from a number on. */
static int states_from(const struct pager *pager, const struct tree *tree, uint64_t from, size_t n,
                       struct some_states *some)
{
	int rc;

	some->n = 0;
	some->cap = n;
	rc = history_each(pager, tree, KEY_STATE, from, UINT64_MAX - 1, some_state, some);
	return rc < 0 ? rc : 0;
}

/* ---- Dropping states ---- */

static int drop(struct history *history, struct txn *txn, uint64_t number)
{
	static const uint8_t empty = DUR_BYTES;
	uint8_t key[SYSTEM_KEY_MAX];
	int rc = tree_del(&txn->dirty, &txn->system, key, history_key(key, KEY_STATE, number));

	if (rc == 0)
		rc = history_put(txn, key, history_key(key, KEY_DROPPED, number), &empty, 1);
	if (rc == 0) {
		history->sparse.dropped++;
		history->sparse.n_dropped++;
	}
	return rc < 0 ? rc : 0;
}

/*
 * Looks at up to n kept states from a number on; *next: where to go on, UINT64_MAX: they are
 * through.
 */
static int look_at(struct history *history, struct txn *txn, const struct retention *r,
                   uint64_t from, size_t n, uint64_t *next)
{
	struct some_states *some = malloc(sizeof *some);
	int rc;

	if (!some)
		return error_system(ENOMEM, "looking at kept states");
	*next = UINT64_MAX;
	rc = states_from(&r->pager, &txn->system, from, n + 1, some);
	for (size_t i = 0; rc == 0 && i < some->n && some->of[i].number < r->kept_below; i++) {
		bool kept = true;
		if (i == n) {
			*next = some->of[i].number;
			break;
		}
		if (i + 1 <
		    some->n) /* the newest of the index is in the range: it is not looked at */
			rc = history_keeps(r, some->of[i].number, some->of[i].time_ns,
			                   some->of[i + 1].time_ns, &kept);
		if (rc == 0 && !kept)
			rc = drop(history, txn, some->of[i].number);
	}
	free(some);
	return rc;
}

/* ---- Pages ---- */

/*
 * What came to be held since the last fold goes under 'K'; what a drop has freed meanwhile does
 * not.
 */
static int hold(struct history *history, struct txn *txn)
{
	const struct pager pager = { .file = txn->dirty.file, .dirty = &txn->dirty };
	uint8_t key[KEPT_KEY], cell[32];
	struct queue *q = &history->kept;
	uint64_t holder;
	int rc = 0;

	for (size_t i = q->head; i < q->n && rc == 0; i++) {
		struct pending *e = &q->items[i];
		rc = history_state_before(&pager, &txn->system, e->death, &holder);
		e->held = rc == 0 && holder >= e->birth;
		if (!e->held)
			continue;
		history->sparse.kept_pages += e->n;
		cell[0] = DUR_BYTES;
		uint8_t *to = put_varint(put_varint(cell + 1, e->n), e->death - holder);
		rc = history_put(txn, key, kept_key(key, holder, e->birth, e->no), cell,
		                 (size_t)(to - cell));
		if (rc == 0 && e->persisted)
			rc = tree_del(&txn->dirty, &txn->system, key,
			              history_key(key, KEY_LIMBO, e->no));
		rc = rc < 0 ? rc : 0;
	}
	return rc;
}

struct find_loose {
	struct queue *loose;
	struct numbers *holders;
};

static int add_loose(void *ctx, uint64_t holder, const struct pending *entry)
{
	struct find_loose *found = ctx;
	int rc = history_queue_push(found->loose, entry);

	if (rc == 0)
		rc = history_numbers_push(found->holders, holder);
	return rc < 0 ? rc : found->loose->n == LOOSE_ENTRIES ? 2 : 0;
}

/* Moves the entries found from 'K' to 'L'. */
static int let_go(struct history *history, struct txn *txn, size_t from,
                  const struct numbers *holders)
{
	uint8_t key[KEPT_KEY], cell[48];
	int rc = 0;

	for (size_t i = from; i < history->sparse.loose.n && rc == 0; i++) {
		const struct pending *e = &history->sparse.loose.items[i];
		rc = tree_del(&txn->dirty, &txn->system, key,
		              kept_key(key, holders->of[i - from], e->birth, e->no));
		if (rc == 0)
			rc = history_put(txn, key, history_key(key, KEY_LIMBO, e->no), cell,
			                 history_limbo_encode(e, cell));
	}
	return rc < 0 ? rc : 0;
}

/* One dropped state, as far as the slice goes. */
static int settle_dropped(struct history *history, struct txn *txn, uint64_t number)
{
	const struct pager pager = { .file = txn->dirty.file, .dirty = &txn->dirty };
	size_t from = history->sparse.loose.n;
	struct numbers holders = { 0 };
	struct some_states next;
	uint8_t key[SYSTEM_KEY_MAX];
	uint64_t previous;
	int rc = history_state_before(&pager, &txn->system, number, &previous);

	if (rc == 0)
		rc = states_from(&pager, &txn->system, number, 1, &next);
	if (rc == 0) {
		struct find_loose found = { &history->sparse.loose, &holders };
		const struct kept_range around = { .holder_from = number,
			                           .holder_to =
			                                   next.n ? next.of[0].number : UINT64_MAX,
			                           .born_after = previous,
			                           .born_until = UINT64_MAX };
		rc = history_each_kept(&pager, &txn->system, &around, add_loose, &found);
	}
	if (rc >= 0)
		rc = let_go(history, txn, from, &holders);
	free(holders.of);
	if (rc == 0 && history->sparse.loose.n < LOOSE_ENTRIES) {
		rc = tree_del(&txn->dirty, &txn->system, key,
		              history_key(key, KEY_DROPPED, number));
		history->sparse.n_dropped--;
	}
	return rc < 0 ? rc : 0;
}

struct first {
	uint64_t number;
	bool found;
};

static int note_dropped(void *ctx, uint64_t number, const struct cell *cell)
{
	(void)cell;
	*(struct first *)ctx = (struct first){ number, true };
	return 2;
}

static int settle_all(struct history *history, struct txn *txn)
{
	const struct pager pager = { .file = txn->dirty.file, .dirty = &txn->dirty };
	struct first first;
	int rc = 0;

	while (rc == 0 && history->sparse.n_dropped && history->sparse.loose.n < LOOSE_ENTRIES) {
		first.found = false;
		rc = history_each(&pager, &txn->system, KEY_DROPPED, 0, UINT64_MAX, note_dropped,
		                  &first);
		if (rc >= 0)
			rc = first.found ? settle_dropped(history, txn, first.number)
			                 : history_damaged("dropped states are missing");
	}
	return rc;
}

/* ---- The fold ---- */

/* A kept state that has lost a name may have to go, once all names are where they belong. */
static int rename_states(struct history *history, struct txn *txn, const struct retention *r,
                         const struct history_change *change)
{
	uint64_t *was = calloc(change->n_names, sizeof *was), next;
	int rc = was ? 0 : error_system(ENOMEM, "naming states");

	for (size_t i = 0; i < change->n_names && rc == 0; i++)
		rc = history_name_change(txn, &change->names[i], &was[i]);
	for (size_t i = 0; i < change->n_names && rc == 0; i++)
		if (was[i] && was[i] < r->kept_below && was[i] != change->names[i].state)
			rc = look_at(history, txn, r, was[i], 1, &next);
	free(was);
	return rc;
}

int history_sparse_fold(struct history *history, struct txn *txn,
                        const struct history_change *change)
{
	struct sparse_fold *fold = &history->sparse;
	struct retention r = {
		.pager = { .file = txn->dirty.file, .dirty = &txn->dirty },
		.system = &txn->system,
		.policy = history->policy,
		.kept_below = history->recent[history->n_recent - 1].oldest,
	};
	int rc = 0;

	fold->change = change ? *change : (struct history_change){ 0 };
	fold->dropped = fold->kept_pages = 0;
	fold->loose.head = fold->loose.n = 0;
	fold->n_dropped = history->n_dropped;
	fold->thin_from = history->thin_from;
	if (change && change->keep) {
		rc = policy_parse(change->keep, &r.policy);
		fold->thin_from = r.policy.all ? UINT64_MAX : 0;
	}
	if (rc == 0 && change && change->n_names)
		rc = rename_states(history, txn, &r, change);
	if (rc == 0 && fold->thin_from != UINT64_MAX)
		rc = look_at(history, txn, &r, fold->thin_from, THIN_STATES, &fold->thin_from);
	if (rc == 0)
		rc = hold(history, txn);
	return rc < 0 ? rc : settle_all(history, txn);
}

void history_sparse_undo(struct history *history)
{
	history->sparse.loose.head = history->sparse.loose.n = 0;
	history->sparse.dropped = 0;
}

int history_sparse_folded(struct history *history, uint64_t state)
{
	struct sparse_fold *fold = &history->sparse;
	struct queue *q = &history->kept;
	int rc = 0;

	if (fold->dropped || fold->loose.n)
		history->drop_gate = state;
	for (size_t i = q->head; i < q->n && rc == 0; i++) {
		struct pending *e = &q->items[i];
		if (e->held) {
			history->pending_pages -= e->n;
			history->pending_data_pages -= e->n;
			history->kept_pages += e->n;
			continue;
		}
		e->persisted = true;
		rc = history_queue_push(&history->loose, e);
		history->drop_gate = state;
	}
	q->head = q->n = 0;
	for (size_t i = 0; i < fold->loose.n && rc == 0; i++) {
		const struct pending *e = &fold->loose.items[i];
		rc = history_queue_push(&history->loose, e);
		history->pending_pages += e->n;
		history->pending_data_pages += e->n;
		history->kept_pages -= e->n < history->kept_pages ? e->n : history->kept_pages;
	}
	history->n_dropped = fold->n_dropped;
	history->thin_from = fold->thin_from;
	history_sparse_undo(history);
	return rc;
}

bool history_work_due(const struct history *history)
{
	return history_removal_due(history) || history->n_dropped ||
	       history->thin_from != UINT64_MAX || history->loose.head < history->loose.n ||
	       history->more_leave ||
	       (history->n_recent &&
	        history->dead_next <= history->recent[history->n_recent - 1].oldest);
}

uint64_t history_work_mark(const struct history *history)
{
	const uint64_t parts[] = { history->n_dropped,   history->thin_from,
		                   history->kept_pages,  history->loose.n - history->loose.head,
		                   history->n_range,     history->dead_next,
		                   history->tree.root.no };
	uint64_t mark = 0;

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		mark = (mark ^ parts[i]) * 0x9e3779b97f4a7c15;
	return mark;
}
