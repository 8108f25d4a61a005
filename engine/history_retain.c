/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which states are retained: all of a range [oldest, newest], which all, last: and for: bound, and
 * below it those *kept* by a name or by every:. The range only ever moves on. A state that leaves
 * it is looked at once: it is kept if it has a name or is the last of its interval, which is
 * certain by then, for the next one is there. So a commit costs what leaves with it, whatever is
 * kept.
 *
 * The state index is the set of kept states: as of the fold, what 'S' holds below kept_below. Of
 * the states that left since (the gap) each is decided by what stands in the tree and the records,
 * so any reader comes to the same answer; the writer remembers them in history->gap. A change of
 * names or of the policy folds.
 */
#include "engine/history_private.h"

#include <errno.h>
#include <stdlib.h>

#include "duramen.h"
#include "internal/bytes.h"
#include "internal/error.h"

/* Leave the range in one commit, where each is looked at. */
enum { LEAVE_STATES = 4096 };

static const int64_t SECOND = 1000000000;

int history_numbers_push(struct numbers *numbers, uint64_t number)
{
	if (numbers->n == numbers->cap) {
		size_t cap = numbers->cap ? numbers->cap * 2 : 64;
		uint64_t *grown = realloc(numbers->of, cap * sizeof *grown);
		if (!grown)
			return error_system(ENOMEM, "noting kept states");
		numbers->of = grown;
		numbers->cap = cap;
	}
	numbers->of[numbers->n++] = number;
	return 0;
}

/* The first at or after number. */
static size_t numbers_at(const struct numbers *numbers, uint64_t number)
{
	size_t low = 0, high = numbers->n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (numbers->of[mid] < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool history_numbers_have(const struct numbers *numbers, uint64_t number)
{
	size_t at = numbers_at(numbers, number);

	return at < numbers->n && numbers->of[at] == number;
}

/* ---- Deciding ---- */

static int policy_of(const char *keep, struct policy *policy)
{
	return policy_parse(keep, policy) < 0 ? history_damaged("its retention policy") : 0;
}

uint64_t history_keep_last(const char *keep)
{
	struct policy policy;

	if (policy_parse(keep, &policy) < 0 || policy.all || policy.for_seconds)
		return 0;
	return policy.last ? policy.last : 1;
}

bool history_lets_go(const char *keep, uint32_t flush_ms)
{
	struct policy policy;

	if (policy_parse(keep, &policy) < 0 || policy.all)
		return false;
	return !policy.for_seconds || policy.for_seconds * 1000 <= flush_ms;
}

int history_retention(struct file *file, const struct record *newest, struct retention *r)
{
	uint8_t key[SYSTEM_KEY_MAX];
	struct cell cell;
	int rc;

	*r = (struct retention){ .pager = { .file = file },
		                 .system = &newest->state.system,
		                 .oldest = newest->state.oldest };
	rc = policy_of(newest->state.keep, &r->policy);
	if (rc < 0 || r->system->depth == 0)
		return rc;
	rc = tree_get(&r->pager, r->system, key, history_key(key, KEY_HEADER, 0), &cell);
	if (rc != 0 || cell.len != HEADER_CELL)
		return rc < 0 ? rc : history_damaged("its header");
	r->kept_below = get_u64(cell.bytes + 25);
	return 0;
}

/* Whether both times lie in one interval of every:. */
static bool same_interval(uint64_t every_seconds, int64_t a, int64_t b)
{
	__int128 span = (__int128)every_seconds * SECOND;
	__int128 x = a / span - (a % span < 0), y = b / span - (b % span < 0);

	return x == y;
}

int history_keeps(const struct retention *r, uint64_t state, int64_t time_ns, int64_t next_ns,
                  bool *kept)
{
	uint32_t names;
	int rc;

	*kept = r->policy.all || (r->policy.every_seconds &&
	                          !same_interval(r->policy.every_seconds, time_ns, next_ns));
	if (*kept)
		return 0;
	rc = history_named(&r->pager, r->system, state, r->change, &names);
	*kept = names > 0;
	return rc;
}

int history_holds(struct file *file, const struct record *newest, uint64_t number, int64_t time_ns,
                  int64_t next_ns, bool *retained)
{
	struct retention r;
	uint8_t key[SYSTEM_KEY_MAX];
	struct cell cell;
	int rc;

	*retained = number >= newest->state.oldest;
	if (*retained)
		return 0;
	rc = history_retention(file, newest, &r);
	if (rc < 0)
		return rc;
	if (number >= r.kept_below)
		return history_keeps(&r, number, time_ns, next_ns, retained);
	rc = tree_get(&r.pager, r.system, key, history_key(key, KEY_STATE, number), &cell);
	*retained = rc == 0;
	return rc < 0 ? rc : 0;
}

/*
 * ---- The states from one on, in order: of the tree, since the fold, and the one being made ----
 */

struct sequence {
	struct history *history;
	const struct state *fresh; /* NULL: none */
	struct cursor *cursor;     /* of the tree, at rank `low` + i for entry i */
	uint64_t from, low, n_tree, n;
	bool is_range;
};

/* Those since the fold from a number on. */
static uint64_t recent_count(const struct history *history, uint64_t from)
{
	uint64_t n = 0;

	for (size_t i = 0; i < history->n_recent; i++)
		n += history->recent[i].number >= from &&
		     !(history->recent[i].flags & STATE_MAINTENANCE);
	return n;
}

static int state_rank(const struct history *history, unsigned kind, uint64_t number, uint64_t *rank)
{
	const struct pager pager = { .file = history->file };
	uint8_t key[SYSTEM_KEY_MAX];
	int rc = tree_rank(&pager, &history->tree, key, history_key(key, kind, number), rank);

	return rc < 0 ? rc : 0;
}

static int sequence_open(struct history *history, uint64_t from, struct sequence *seq)
{
	uint64_t high;
	int rc = 0;

	*seq = (struct sequence){ .history = history, .from = from };
	if (history->tree.depth) {
		rc = state_rank(history, KEY_STATE, from, &seq->low);
		if (rc == 0)
			rc = state_rank(history, KEY_STATE + 1, 0, &high);
		if (rc < 0)
			return rc;
		seq->n_tree = high - seq->low;
	}
	seq->n = seq->n_tree + recent_count(history, from);
	return 0;
}

/* The range, which is counted: nothing is read before an entry is asked for. */
static void sequence_range(struct history *history, uint64_t oldest, const struct state *fresh,
                           struct sequence *seq)
{
	*seq = (struct sequence){ .history = history,
		                  .from = oldest,
		                  .fresh = fresh,
		                  .n_tree = history->n_range - recent_count(history, oldest),
		                  .n = history->n_range + (fresh != NULL),
		                  .is_range = true };
}

static int tree_entry(struct sequence *seq, struct moment *out)
{
	struct cell cell;
	const void *key;
	size_t len;

	cursor_entry(seq->cursor, &key, &len, &cell);
	if (len != 9 || *(const uint8_t *)key != KEY_STATE || cell.len < 9)
		return history_damaged("an entry of the state index");
	*out = (struct moment){ get_be64((const uint8_t *)key + 1),
		                (int64_t)get_u64(cell.bytes + 1) };
	return 0;
}

static int tree_at(struct sequence *seq, uint64_t i, struct moment *out)
{
	const struct pager pager = { .file = seq->history->file };
	int rc = 0;

	if (!seq->cursor) {
		seq->cursor = malloc(sizeof *seq->cursor);
		if (!seq->cursor)
			return error_system(ENOMEM, "looking up a state");
		cursor_open(seq->cursor, &pager, &seq->history->tree);
		if (seq->is_range)
			rc = state_rank(seq->history, KEY_STATE, seq->from, &seq->low);
	}
	if (rc == 0)
		rc = cursor_nth(seq->cursor, seq->low + i);
	if (rc != 0)
		return rc < 0 ? rc : history_damaged("the state index");
	return tree_entry(seq, out);
}

/* The first entries of the range, which leave it commit by commit, are read many at a time. */
static int oldest_at(struct sequence *seq, uint64_t i, struct moment *out)
{
	struct oldest *ahead = &seq->history->oldest;
	int rc = 0;

	while (ahead->at < ahead->n && ahead->of[ahead->at].number < seq->from)
		ahead->at++;
	if (i < ahead->n - ahead->at) {
		*out = ahead->of[ahead->at + i];
		return 0;
	}
	if (i >= OLDEST_AHEAD)
		return tree_at(seq, i, out);
	ahead->at = ahead->n = 0;
	rc = tree_at(seq, 0, &ahead->of[0]);
	ahead->n = rc == 0;
	for (unsigned n = 1; rc == 0 && n < OLDEST_AHEAD && n < seq->n_tree; n++) {
		rc = cursor_next(seq->cursor);
		rc = rc ? (rc < 0 ? rc : history_damaged("the state index"))
		        : tree_entry(seq, &ahead->of[n]);
		ahead->n = n + 1;
	}
	if (rc < 0)
		ahead->n = 0;
	if (rc == 0)
		*out = ahead->of[i];
	return rc;
}

static int sequence_at(struct sequence *seq, uint64_t i, uint64_t *number, int64_t *time_ns)
{
	const struct history *h = seq->history;
	struct moment found = { 0 };
	int rc;

	if (i < seq->n_tree) {
		rc = seq->is_range ? oldest_at(seq, i, &found) : tree_at(seq, i, &found);
		*number = found.number;
		*time_ns = found.time_ns;
		return rc;
	}
	i -= seq->n_tree;
	for (size_t k = 0; k < h->n_recent; k++) {
		const struct state *s = &h->recent[k];
		if (s->number >= seq->from && !(s->flags & STATE_MAINTENANCE) && i-- == 0) {
			*number = s->number;
			*time_ns = s->time_ns;
			return 0;
		}
	}
	if (i > 0 || !seq->fresh)
		return history_damaged("the state index is shorter than it must be");
	*number = seq->fresh->number;
	*time_ns = seq->fresh->time_ns;
	return 0;
}

/* ---- How the range moves on ---- */

/*
 * How many states of the range are older than the last one at or before the window's start: that
 * one stays, it is what the world was like when the window begins.
 */
static int before_window(struct sequence *seq, uint64_t for_seconds, uint64_t *n)
{
	uint64_t low = 0, high = seq->n - 1, number;
	int64_t newest, time;
	__int128 start;
	int rc = sequence_at(seq, seq->n - 1, &number, &newest);

	*n = 0;
	start = (__int128)newest - (__int128)for_seconds * SECOND;
	if (rc == 0 && seq->n > 1) { /* nearly always nothing or little leaves */
		rc = sequence_at(seq, 1, &number, &time);
		if (rc < 0 || time > start)
			return rc;
	}
	while (low < high && rc == 0) { /* the last at or before it */
		uint64_t mid = low + (high - low + 1) / 2;
		rc = sequence_at(seq, mid, &number, &time);
		if (time <= start)
			low = mid;
		else
			high = mid - 1;
	}
	*n = low;
	return rc;
}

static int leaving_count(struct sequence *seq, const struct policy *policy, uint64_t *n, bool *more)
{
	uint64_t last = policy->last, outside;
	int rc = 0;

	*n = 0;
	if (policy->all || seq->n <= 1)
		return 0;
	if (!last && !policy->for_seconds)
		last = 1;
	*n = last && seq->n > last ? seq->n - last : last ? 0 : seq->n;
	if (policy->for_seconds && *n) {
		rc = before_window(seq, policy->for_seconds, &outside);
		*n = outside < *n ? outside : *n;
	}
	*more = policy->every_seconds && *n > LEAVE_STATES;
	if (*more)
		*n = LEAVE_STATES;
	return rc;
}

/* Of the states that leave, those that stay: with every: each is looked at. */
static int leave_thinned(struct history *history, struct sequence *seq, const struct retention *r)
{
	uint64_t number, next;
	int64_t time, next_time;
	bool kept;
	int rc = sequence_at(seq, 0, &number, &time);

	for (uint64_t i = 0; i < history->n_leaving && rc == 0; i++) {
		rc = sequence_at(seq, i + 1, &next, &next_time);
		if (rc == 0)
			rc = history_keeps(r, number, time, next_time, &kept);
		if (rc == 0 && kept)
			rc = history_numbers_push(&history->leaving, number);
		number = next;
		time = next_time;
	}
	return rc;
}

struct leave_named {
	struct history *history;
	const struct retention *retention;
};

static int leave_mark(void *ctx, uint64_t state, const struct cell *cell)
{
	struct leave_named *l = ctx;
	struct numbers *leaving = &l->history->leaving;
	uint32_t names;
	int rc;

	(void)cell;
	if (leaving->n && leaving->of[leaving->n - 1] == state)
		return 0;
	rc = history_named(&l->retention->pager, l->retention->system, state, l->retention->change,
	                   &names);
	return rc < 0 || !names ? rc : history_numbers_push(leaving, state);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int leave_once(struct history *history, uint64_t state)
{
	struct numbers *leaving = &history->leaving;
	int rc;

	for (size_t i = 0; i < leaving->n; i++)
		if (leaving->of[i] == state)
			return 0;
	rc = history_numbers_push(leaving, state);
	if (rc == 0)
		qsort(leaving->of, leaving->n, sizeof *leaving->of, by_number);
	return rc;
}

/* Without every: only names keep: those between are looked at, however many states leave. */
static int leave_named(struct history *history, uint64_t from, uint64_t to,
                       const struct retention *r)
{
	struct leave_named l = { history, r };
	const struct history_change *c = r->change;
	int rc = r->system->depth ? history_each(&r->pager, r->system, KEY_MARK, from, to - 1,
	                                         leave_mark, &l)
	                          : 0;

	for (size_t i = 0; rc == 0 && c && i < c->n_names; i++)
		if (c->names[i].state >= from && c->names[i].state < to)
			rc = leave_once(history, c->names[i].state);
	return rc;
}

int history_advance(struct history *history, struct state *s)
{
	const struct state *fresh = s->flags & STATE_MAINTENANCE ? NULL : s;
	uint64_t oldest = history->recent[history->n_recent - 1].oldest, dropped = 0;
	struct retention r = { .pager = { .file = history->file }, .system = &history->tree };
	struct sequence seq = { 0 };
	int64_t time;
	int rc = policy_of(s->keep, &r.policy);

	history->leaving.n = 0;
	history->n_leaving = 0;
	history->more_leaving = false;
	/* the first one in a file that was made for states of another begins the range */
	s->oldest = fresh && history->n_range == 0 ? s->number : oldest;
	if (history->is_folding) {
		r.change = &history->sparse.change;
		dropped = history->sparse.dropped;
	}
	if (rc == 0 && !r.policy.all) {
		sequence_range(history, oldest, fresh, &seq);
		rc = leaving_count(&seq, &r.policy, &history->n_leaving, &history->more_leaving);
		if (rc == 0 && history->n_leaving)
			rc = sequence_at(&seq, history->n_leaving, &s->oldest, &time);
		if (rc == 0 && history->n_leaving)
			rc = r.policy.every_seconds ? leave_thinned(history, &seq, &r)
			                            : leave_named(history, oldest, s->oldest, &r);
		free(seq.cursor);
	}
	s->states = history->n_range + (fresh != NULL) - history->n_leaving + history->n_low +
	            history->gap.n - dropped + history->leaving.n;
	return rc;
}

/* The record that history_advance() was called for stands. */
void history_leave(struct history *history, const struct state *s)
{
	history->n_range += !(s->flags & STATE_MAINTENANCE);
	history->n_range -= history->n_leaving;
	history->more_leave = history->more_leaving;
	for (size_t i = 0; i < history->leaving.n; i++)
		if (history_numbers_push(&history->gap, history->leaving.of[i]) < 0)
			history->loaded = false; /* the next turn replays */
	history->leaving.n = 0;
	history->n_leaving = 0;
}

/* ---- Loading ---- */

int history_load_kept(struct history *history, const struct record *newest)
{
	struct retention r;
	struct sequence seq = { 0 };
	uint64_t i = 0, number = 0, next = 0, oldest = newest->state.oldest;
	int64_t time = 0, next_time = 0;
	uint8_t key[SYSTEM_KEY_MAX];
	bool kept;
	int rc = history_retention(history->file, newest, &r);

	history->gap.n = history->leaving.n = 0;
	history->n_leaving = history->n_low = 0;
	history->oldest.at = history->oldest.n = 0;
	history->more_leave = false; /* the next commit finds out */
	if (rc == 0) {
		history->policy = r.policy;
		history->kept_below = r.kept_below;
		rc = sequence_open(history, r.kept_below, &seq);
	}
	if (rc == 0 && history->tree.depth) {
		rc = tree_rank(&r.pager, &history->tree, key, history_key(key, KEY_STATE, 0),
		               &history->n_low);
		history->n_low = rc < 0 ? 0 : seq.low - history->n_low;
	}
	rc = rc < 0 ? rc : seq.n ? sequence_at(&seq, 0, &number, &time) : 0;
	for (; rc == 0 && i < seq.n && number < oldest; i++) {
		if (i + 1 < seq.n)
			rc = sequence_at(&seq, i + 1, &next, &next_time);
		else
			rc = history_damaged("the oldest retained state");
		if (rc == 0)
			rc = history_keeps(&r, number, time, next_time, &kept);
		if (rc == 0 && kept)
			rc = history_numbers_push(&history->gap, number);
		number = next;
		time = next_time;
	}
	free(seq.cursor);
	history->n_range = seq.n - i;
	if (rc == 0 && newest->state.states != history->n_range + history->n_low + history->gap.n)
		rc = history_damaged("the number of its states");
	return rc;
}

/* ---- Asking ---- */

struct first_kept {
	uint64_t number;
};

static int note_state(void *ctx, uint64_t number, const struct cell *cell)
{
	(void)cell;
	((struct first_kept *)ctx)->number = number;
	return 2; /* one is enough */
}

int history_kept_in(struct history *history, uint64_t birth, uint64_t death, bool *kept)
{
	const struct pager pager = { .file = history->file };
	struct first_kept first = { 0 };
	uint64_t end = death < history->kept_below ? death : history->kept_below;
	size_t at = numbers_at(&history->gap, birth);
	int rc = 0;

	*kept = at < history->gap.n && history->gap.of[at] < death;
	if (*kept || !history->n_low || birth >= end)
		return 0;
	rc = history_each(&pager, &history->tree, KEY_STATE, birth, end - 1, note_state, &first);
	*kept = first.number != 0;
	return rc < 0 ? rc : 0;
}

int history_kept_beside(struct history *history, uint64_t state, uint64_t *previous, uint64_t *next)
{
	const struct pager pager = { .file = history->file };
	struct first_kept first = { 0 };
	const struct numbers *gap = &history->gap;
	uint64_t end = state < history->kept_below ? state : history->kept_below;
	size_t at = numbers_at(gap, state), after = numbers_at(gap, state + 1);
	int rc = 0;

	*previous = at ? gap->of[at - 1] : 0;
	*next = after < gap->n ? gap->of[after] : history->recent[history->n_recent - 1].oldest;
	if (!at && history->n_low)
		rc = history_state_before(&pager, &history->tree, end, previous);
	if (rc == 0 && history->n_low && state + 1 < history->kept_below)
		rc = history_each(&pager, &history->tree, KEY_STATE, state + 1,
		                  history->kept_below - 1, note_state, &first);
	if (first.number)
		*next = first.number;
	return rc < 0 ? rc : 0;
}

int history_retained_between(struct history *history, uint64_t birth, uint64_t death,
                             bool *retained)
{
	const struct state *newest = &history->recent[history->n_recent - 1];

	*retained = birth < death && birth <= newest->number && death > newest->oldest;
	return *retained || birth >= death ? 0 : history_kept_in(history, birth, death, retained);
}

int history_retained(struct history *history, uint64_t state, bool *retained)
{
	return history_retained_between(history, state, state + 1, retained);
}
