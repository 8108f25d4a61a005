/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The collections of a stream, in a map of its own: maps in a map, a copy of them that changes too, a
 * list, a rope. What a commit does to them follows from its number; what must be there is found by
 * doing the same to plain arrays.
 */
#include "stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	GROUPS = 6, GROUP_KEYS = 90,
	ITEMS_MAX = 400,
	ROPE_MAX = 20000, ROPE_CUT = 7000,
	PIECE_MAX = 60,
	COPY_EVERY = 11, FORGET_EVERY = 37, /* commits */
};

struct group {
	bool there;
	uint64_t of[GROUP_KEYS]; /* the commit that put it; 0: nothing */
};

struct nest {
	uint64_t seed, commits;
	bool copied;
	struct group maps[2][GROUPS]; /* the second: the copy */
	uint64_t items[ITEMS_MAX];
	size_t n_items, len;
	uint8_t rope[ROPE_MAX + PIECE_MAX];
};

/* What a commit does. */
struct plan {
	unsigned map, group, key, n_keys;
	bool in_copy, removes, removes_group, removes_item, copies, forgets;
	uint64_t item_at, item_gone, rope_at, cut_at;
	uint8_t piece[PIECE_MAX];
	size_t piece_len;
};

static struct plan plan_of(const struct board *board, unsigned s, uint64_t commit)
{
	uint64_t random = board->seed ^ (uint64_t)s << 56 ^ commit << 8, r = kit_random(&random);
	struct plan plan = {
		.group = (unsigned)(r % GROUPS),
		.key = (unsigned)(r >> 8) % GROUP_KEYS,
		.n_keys = 1 + (unsigned)(r >> 16) % (r >> 20 & 7 ? 3 : GROUP_KEYS),
		.in_copy = r >> 24 & 1,
		.removes = (r >> 25 & 7) == 0,
		.removes_group = (r >> 28) % 40 == 0,
		.removes_item = r >> 36 & 1,
		.copies = commit % COPY_EVERY == 0,
		.forgets = commit % FORGET_EVERY == 0,
		.item_at = kit_random(&random),
		.item_gone = kit_random(&random),
		.rope_at = kit_random(&random),
		.cut_at = kit_random(&random),
		.piece_len = 1 + (size_t)(r >> 40) % (PIECE_MAX - 1),
	};

	for (size_t i = 0; i < plan.piece_len; i++)
		plan.piece[i] = (uint8_t)kit_random(&random);
	return plan;
}

static const char *nest_key(unsigned s, char text[16])
{
	snprintf(text, 16, "nest%u", s);
	return text;
}

/* ---- Writing ---- */

static void keys_apply(dur_coll maps, const struct plan *plan, uint64_t commit)
{
	dur_value at = DUR_INT(plan->group);
	dur_coll group;

	if (plan->removes_group) {
		MUST(dur_del(maps, &at));
		return;
	}
	EXPECT(0, dur_make(maps, &at, DUR_MAP, &group));
	for (unsigned i = 0; i < plan->n_keys; i++) {
		dur_value key = DUR_INT((plan->key + i) % GROUP_KEYS);
		if (plan->removes)
			MUST(dur_del(group, &key));
		else
			EXPECT(0, dur_put(group, &key, &DUR_INT((int64_t)commit)));
	}
}

static void list_apply(dur_coll list, const struct plan *plan, uint64_t commit)
{
	uint64_t n;

	EXPECT(0, dur_count(list, NULL, &n));
	if (n == ITEMS_MAX || (n && plan->removes_item)) {
		EXPECT(0, dur_del(list, &DUR_INT((int64_t)(plan->item_gone % n))));
		n--;
	}
	EXPECT(0, dur_insert(list, (int64_t)(plan->item_at % (n + 1)), &DUR_INT((int64_t)commit), 1));
}

static void rope_apply(dur_coll rope, const struct plan *plan)
{
	uint64_t n, cut = 0;

	EXPECT(0, dur_count(rope, NULL, &n));
	if (n > ROPE_MAX) {
		EXPECT(0, dur_clear(rope, &(dur_range){ .skip = plan->cut_at % (n - ROPE_CUT),
		                                        .limit = ROPE_CUT }, &cut));
		n -= cut;
	}
	EXPECT(0, dur_insert(rope, (int64_t)(plan->rope_at % (n + 1)),
	                     &DUR_BYTES(plan->piece, plan->piece_len), 1));
}

void stream_nest_step(dur_view *txn, const struct board *board, unsigned s, uint64_t commit)
{
	const struct plan plan = plan_of(board, s, commit);
	dur_coll nest, maps, copy, c;
	dur_value value;
	char text[16];
	bool copied;

	EXPECT(0, dur_make(dur_root(txn), &DUR_STR(nest_key(s, text)), DUR_MAP, &nest));
	EXPECT(0, dur_make(nest, &DUR_STR("maps"), DUR_MAP, &maps));
	copied = MUST(dur_enter(nest, &DUR_STR("copy"), &copy)) == 0;
	keys_apply(plan.in_copy && copied ? copy : maps, &plan, commit);
	EXPECT(0, dur_make(nest, &DUR_STR("list"), DUR_LIST, &c));
	list_apply(c, &plan, commit);
	EXPECT(0, dur_make(nest, &DUR_STR("rope"), DUR_ROPE, &c));
	rope_apply(c, &plan);
	if (plan.forgets)
		EXPECT(copied ? 0 : DUR_NONE, dur_del(nest, &DUR_STR("copy")));
	if (plan.copies) {
		EXPECT(0, dur_get(nest, &DUR_STR("maps"), &value));
		EXPECT(0, dur_put(nest, &DUR_STR("copy"), &value));
	}
}

/* ---- The same to arrays ---- */

static void nest_keys(struct group *maps, const struct plan *plan, uint64_t commit)
{
	struct group *group = &maps[plan->group];

	if (plan->removes_group) {
		*group = (struct group){ 0 };
		return;
	}
	group->there = true;
	for (unsigned i = 0; i < plan->n_keys; i++)
		group->of[(plan->key + i) % GROUP_KEYS] = plan->removes ? 0 : commit;
}

static void nest_list(struct nest *nest, const struct plan *plan, uint64_t commit)
{
	size_t at;

	if (nest->n_items == ITEMS_MAX || (nest->n_items && plan->removes_item)) {
		at = plan->item_gone % nest->n_items--;
		memmove(nest->items + at, nest->items + at + 1,
		        (nest->n_items - at) * sizeof *nest->items);
	}
	at = plan->item_at % (nest->n_items + 1);
	memmove(nest->items + at + 1, nest->items + at, (nest->n_items - at) * sizeof *nest->items);
	nest->items[at] = commit;
	nest->n_items++;
}

static void nest_rope(struct nest *nest, const struct plan *plan)
{
	size_t at;

	if (nest->len > ROPE_MAX) {
		at = plan->cut_at % (nest->len - ROPE_CUT);
		nest->len -= ROPE_CUT;
		memmove(nest->rope + at, nest->rope + at + ROPE_CUT, nest->len - at);
	}
	at = plan->rope_at % (nest->len + 1);
	memmove(nest->rope + at + plan->piece_len, nest->rope + at, nest->len - at);
	memcpy(nest->rope + at, plan->piece, plan->piece_len);
	nest->len += plan->piece_len;
}

/* As after so many commits. The last one of each stream is kept: mostly a later one comes next. */
static const struct nest *nest_after(const struct board *board, unsigned s, uint64_t commits)
{
	static __thread struct nest nests[STREAMS_MAX];
	struct nest *nest = &nests[s];

	if (nest->seed != board->seed || nest->commits > commits)
		*nest = (struct nest){ .seed = board->seed };
	while (nest->commits < commits) {
		const struct plan plan = plan_of(board, s, ++nest->commits);
		nest_keys(nest->maps[plan.in_copy && nest->copied], &plan, nest->commits);
		nest_list(nest, &plan, nest->commits);
		nest_rope(nest, &plan);
		if (plan.forgets || plan.copies)
			nest->copied = plan.copies;
		if (plan.copies)
			memcpy(nest->maps[1], nest->maps[0], sizeof nest->maps[1]);
	}
	return nest;
}

/* ---- Reading ---- */

static void same_group(dur_coll maps, unsigned g, const struct group *want)
{
	dur_value key, value;
	dur_coll group;
	dur_iter *it;

	if (MUST(dur_enter(maps, &DUR_INT(g), &group)) == DUR_NONE) {
		HOLDS(!want->there, "group %u is gone", g);
		return;
	}
	HOLDS(want->there, "group %u is there", g);
	EXPECT(0, dur_scan(group, NULL, &it));
	for (unsigned k = 0; k < GROUP_KEYS; k++) {
		if (!want->of[k])
			continue;
		EXPECT(0, dur_next(it, &key, &value));
		HOLDS(key.i == k && value.i == (int64_t)want->of[k], "key %" PRId64 " is of commit %"
		      PRId64 ", not key %u of %" PRIu64, key.i, value.i, k, want->of[k]);
	}
	EXPECT(DUR_NONE, dur_next(it, &key, &value));
	dur_iter_close(it);
}

static void same_maps(dur_coll nest, const char *name, const struct group *want, bool there)
{
	dur_coll maps;

	EXPECT(there ? 0 : DUR_NONE, dur_enter(nest, &DUR_STR(name), &maps));
	for (unsigned g = 0; there && g < GROUPS; g++)
		same_group(maps, g, &want[g]);
}

static void same_list(dur_coll nest, const struct nest *want)
{
	dur_value value;
	dur_coll list;
	dur_iter *it;

	EXPECT(0, dur_enter(nest, &DUR_STR("list"), &list));
	EXPECT(0, dur_scan(list, NULL, &it));
	for (size_t i = 0; i < want->n_items; i++) {
		EXPECT(0, dur_next(it, NULL, &value));
		HOLDS(value.i == (int64_t)want->items[i], "item %zu is %" PRId64 ", not %" PRIu64, i,
		      value.i, want->items[i]);
	}
	EXPECT(DUR_NONE, dur_next(it, NULL, &value));
	dur_iter_close(it);
}

static void same_rope(dur_coll nest, const struct nest *want)
{
	static __thread uint8_t bytes[sizeof want->rope + 1];
	dur_coll rope;
	uint64_t got;

	EXPECT(0, dur_enter(nest, &DUR_STR("rope"), &rope));
	EXPECT(0, dur_read(rope, 0, bytes, sizeof bytes, &got));
	HOLDS(got == want->len && memcmp(bytes, want->rope, got) == 0, "a rope of %" PRIu64 " bytes "
	      "for one of %zu", got, want->len);
}

void stream_nest_compare(dur_view *v, const struct board *board, unsigned s, uint64_t commits)
{
	const struct nest *want = nest_after(board, s, commits);
	dur_coll nest;
	char text[16];

	if (MUST(dur_enter(dur_root(v), &DUR_STR(nest_key(s, text)), &nest)) == DUR_NONE) {
		HOLDS(!board->nested || commits == 0, "stream %u has no collections in state %" PRIu64,
		      s, dur_state(v));
		return;
	}
	same_maps(nest, "maps", want->maps[0], true);
	same_maps(nest, "copy", want->maps[1], want->copied);
	same_list(nest, want);
	same_rope(nest, want);
}
