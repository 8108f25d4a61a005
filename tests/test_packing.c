/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing: every retained state reads as it was, whatever is packed, dropped, killed or pinned meanwhile;
 * the rules for raw pages and bases (I2, I7), each in the smallest situation that breaks without it.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "duramen.h"
#include "engine/history.h"
#include "engine/unpack.h"
#include "internal/bytes.h"
#include "internal/error.h"
#include "tests/ipc_kit.h"
#include "tests/scratch.h"
#include "tests/store_kit.h"

#define ok(call) ck_assert_msg((call) == 0, "%s: %s", #call, error_text())

enum { STATES = 8192, READERS = 3 };

static struct machine m;
static struct process p;
static struct values *made[STATES];     /* by number: what a commit left behind; NULL: it made nothing */
static struct values now;

static void start(const char *keep)
{
	machine_make(&m, kit_seed(), keep);
	ok(process_attach(&m, &p));
	memset(&now, 0, sizeof now);
}

static void end(void)
{
	if (p.store)
		ok(process_detach(&p));
	machine_free(&m);
	for (unsigned i = 0; i < STATES; i++) {
		free(made[i]);
		made[i] = NULL;
	}
}

static void note(uint64_t number)
{
	ck_assert_uint_lt(number, STATES);
	made[number] = malloc(sizeof now);
	ck_assert_ptr_nonnull(made[number]);
	*made[number] = now;
}

static uint64_t put_keys(const unsigned *keys, unsigned n, uint32_t value, bool async)
{
	struct commit_options options = { .async = async };
	struct state state;
	struct txn *txn;
	uint64_t number;

	ok(store_begin(p.store, 1000, 0, &txn));
	number = txn->number;
	for (unsigned i = 0; i < n; i++) {
		ok(values_put(txn, keys[i], value));
		now.of[keys[i]] = value;
	}
	ok(store_commit(txn, &options, &state));
	if (state.number == number) /* else nothing was changed */
		note(number);
	return state.number;
}

static uint64_t put(unsigned key, uint32_t value)
{
	return put_keys(&key, 1, value, false);
}

static void fill(uint32_t value)
{
	unsigned keys[KIT_RUN_KEYS];

	for (unsigned i = 0; i < KIT_RUN_KEYS; i++)
		keys[i] = i;
	put_keys(keys, KIT_RUN_KEYS, value, false);
}

static uint64_t pack(void)
{
	uint64_t pages;
	int rc = store_pack(p.store, STORE_PACK_ALL, 1000, -1, &pages);

	ck_assert_msg(rc == 0, "%s", rc < 0 ? error_text() : "there is more");
	return pages;
}

static void keep(const char *policy)
{
	struct commit_options options = { .keep = policy };
	struct state state;
	struct txn *txn;

	ok(store_begin(p.store, 1000, 0, &txn));
	ok(store_commit(txn, &options, &state));
}

/* ---- Readers ---- */

struct reader {
	uint64_t state;                 /* 0: closed */
	struct state newest, then;
	struct unpack *unpack;
	uint64_t moved;
	struct pager pager;
	unsigned pin;
};

/* As dur_snapshot() does it: S is pinned, then the newest anew. 0 or DUR_E_GONE. */
static int reader_open(struct reader *r, unsigned pin, uint64_t state)
{
	int rc;

	*r = (struct reader){ .state = state, .pin = pin };
	m.pins[2 * pin] = state;
	m.pins[2 * pin + 1] = m.words.visible;
	ok(store_state(p.store, m.words.visible, m.words.record, &r->newest));
	rc = store_find(p.store, &r->newest, state, &r->then);
	if (rc == 0)
		ok(store_pager(p.store, &r->newest, state, &r->moved, &r->unpack, &r->pager));
	else
		m.pins[2 * pin] = m.pins[2 * pin + 1] = r->state = 0;
	return rc;
}

static void reader_close(struct reader *r)
{
	if (r->state)
		m.pins[2 * r->pin] = m.pins[2 * r->pin + 1] = 0;
	unpack_free(r->unpack);
	*r = (struct reader){ 0 };
}

static uint32_t value_at(struct reader *r, unsigned key)
{
	uint8_t name[8] = { 'k', 'e', 'y', '.', 0, 0, (uint8_t)(key >> 8), (uint8_t)key };
	struct cell cell;
	int rc = tree_get(&r->pager, &r->then.catalog, name, sizeof name, &cell);

	ck_assert_msg(rc >= 0, "state %llu: %s", (unsigned long long)r->state, error_text());
	return rc ? 0 : get_u32(cell.bytes + 1);
}

/* Values in runs are never packed: other tests look at them. */
static void reader_check(struct reader *r)
{
	const struct values *want = made[r->state];

	ck_assert_ptr_nonnull(want);
	for (unsigned key = 0; key < KIT_RUN_KEYS; key++) {
		uint32_t value = value_at(r, key);
		if (value != want->of[key])
			ck_abort_msg("state %llu, key %u: %u, not %u", (unsigned long long)r->state, key,
			             value, want->of[key]);
	}
}

static void state_check(uint64_t state)
{
	struct reader r;

	ok(reader_open(&r, READERS, state));
	reader_check(&r);
	reader_close(&r);
}

/* Every state of the range is there; those before it are right if they are there. Gives how many. */
static uint64_t states_check(void)
{
	struct reader r = { 0 };
	struct state newest;
	uint64_t n = 0;

	ok(store_state(p.store, m.words.visible, m.words.record, &newest));
	for (uint64_t s = 1; s <= newest.number; s++) {
		int rc = made[s] ? reader_open(&r, READERS, s) : DUR_E_GONE;
		ck_assert(rc == 0 || rc == DUR_E_GONE);
		ck_assert_msg(rc == 0 || !made[s] || s < newest.oldest, "%s", error_text());
		if (rc == 0)
			reader_check(&r);
		reader_close(&r);
		n += rc == 0;
	}
	ck_assert_uint_eq(n, newest.states - (made[1] == NULL && newest.oldest == 1));
	return n;
}

static uint64_t pack_pages(void)
{
	struct state newest;
	uint64_t packed, pages;

	ok(store_state(p.store, m.words.visible, m.words.record, &newest));
	ok(history_packed(store_file(p.store), &newest.system, &packed, &pages));
	return pages;
}

static uint64_t packed_up_to(void)
{
	struct state newest;
	uint64_t packed, pages;

	ok(store_state(p.store, m.words.visible, m.words.record, &newest));
	ok(history_packed(store_file(p.store), &newest.system, &packed, &pages));
	return packed;
}

/* ---- States come back ---- */

START_TEST(packed_states_read_as_they_were)
{
	start("all");
	fill(1);
	for (uint32_t i = 0; i < 700; i++)
		put((unsigned)machine_random(&m, KIT_RUN_KEYS), 100 + i);
	ck_assert_uint_gt(pack(), 1000);
	ok(process_check(&p));
	ck_assert_uint_eq(states_check(), 701);
	uint64_t first = packed_up_to();
	for (uint32_t i = 0; i < 300; i++)
		put((unsigned)machine_random(&m, KIT_RUN_KEYS), 1000 + i);
	ck_assert_uint_gt(pack(), 300);
	ck_assert_uint_gt(packed_up_to(), first);
	ck_assert_uint_eq(states_check(), 1001);
	ck_assert_uint_eq(pack(), 0);
	ok(process_detach(&p));
	ok(process_attach(&m, &p));
	ck_assert_uint_eq(states_check(), 1001);
	ok(process_check(&p));
	end();
}
END_TEST

START_TEST(their_raw_pages_are_used_again)
{
	struct state before, after;

	start("all");
	fill(1);
	for (uint32_t i = 0; i < 600; i++)
		put((unsigned)machine_random(&m, KIT_RUN_KEYS), 100 + i);
	ok(store_state(p.store, m.words.visible, m.words.record, &before));
	pack();
	ok(store_state(p.store, m.words.visible, m.words.record, &after));
	ck_assert_uint_ge(before.retained_pages, 1200); /* two pages a commit */
	ck_assert_uint_eq(after.retained_pages, 0);
	ck_assert_uint_lt(after.live_pages, before.retained_pages / 4);
	/* as many again fit into them */
	for (uint32_t i = 0; i < 300; i++)
		put((unsigned)machine_random(&m, KIT_RUN_KEYS), 1000 + i);
	ok(store_state(p.store, m.words.visible, m.words.record, &after));
	ck_assert_uint_eq(after.file_pages, before.file_pages);
	states_check();
	end();
}
END_TEST

/* Keys come and go: nodes split, merge and change their levels; large values stay raw. */
START_TEST(trees_that_grow_and_shrink)
{
	start("all");
	for (uint32_t i = 0; i < 900; i++) {
		bool shrinks = i / 150 % 2;
		unsigned key = (unsigned)machine_random(&m, i % 7 ? KIT_RUN_KEYS : KIT_KEYS);
		put(key, machine_random(&m, 10) < (shrinks ? 8 : 1) ? 0 : 100 + i);
		if (i % 200 == 150)
			pack();
	}
	pack();
	states_check();
	ok(process_check(&p));
	end();
}
END_TEST

/* ---- Crashes ---- */

static void after_crash(uint64_t newest)
{
	ok(process_attach(&m, &p));
	ck_assert_uint_ge(m.words.visible, newest);
	ok(process_check(&p));
	states_check();
	put(3, 77);
	pack();
	ok(process_check(&p));
	states_check();
}

/* Packing dies at each of its operations; the machine stays up, or loses what it likes. */
START_TEST(killed_at_each_operation)
{
	bool died = true;

	for (unsigned op = 1; died; op++)
		for (unsigned how = FAULT_LOSE_ALL; how <= FAULT_TORN + 1; how++) {
			uint64_t pages;
			start("all");
			fill(1);
			for (uint32_t i = 0; i < 60; i++)
				put((unsigned)machine_random(&m, KIT_RUN_KEYS), 100 + i);
			uint64_t newest = m.words.visible;
			fault_kill_at(p.io, op);
			died = store_pack(p.store, STORE_PACK_ALL, 1000, -1, &pages) < 0;
			process_kill(&p);
			if (how <= FAULT_TORN)
				machine_power_cut(&m, (enum fault_cut)how);
			after_crash(newest);
			end();
		}
}
END_TEST

/* ---- Pins ---- */

/*
 * A leaf's version X is packed as a patch against Y, which is alive and raw. Then Y dies, a reader opens a
 * state of X, and Y is packed too: the reader's index still leads through raw Y, though neither of its pins
 * lies in Y's life. It is held from the birth of Y to the state that packed it.
 */
START_TEST(i2_a_raw_base_stays_for_who_decodes_through_it)
{
	struct reader r;

	start("all");
	fill(1);
	uint64_t old = put(5, 2); /* X */
	put(5, 3);                /* Y */
	for (uint32_t i = 0; i < 10; i++)
		put(190, 10 + i); /* another leaf */
	pack();
	put(5, 4); /* Y dies */
	put(190, 99);
	ok(reader_open(&r, 0, old));
	pack(); /* Y is packed, its raw page free but for the reader */
	for (uint32_t i = 0; i < 400; i++)
		put((unsigned)machine_random(&m, KIT_RUN_KEYS), 1000 + i);
	reader_check(&r);
	reader_close(&r);
	state_check(old);
	end();
}
END_TEST

/* The same, but retention lets go of Y: it is held up to the state that gave it up. */
START_TEST(i2_a_base_that_retention_gives_up_stays_for_who_decodes_through_it)
{
	struct reader r, gone;

	start("all");
	fill(1);
	uint64_t old = put(5, 2);
	put(5, 3);
	for (uint32_t i = 0; i < 10; i++)
		put(190, 10 + i);
	pack();
	put(5, 4);
	put(190, 99);
	ok(reader_open(&r, 0, old));
	keep("last:1");
	for (uint32_t i = 0; i < 600; i++)
		put((unsigned)machine_random(&m, KIT_RUN_KEYS), 1000 + i);
	reader_check(&r);
	ck_assert_int_eq(reader_open(&gone, 1, old), DUR_E_GONE);
	reader_close(&gone);
	reader_close(&r);
	ok(process_check(&p));
	end();
}
END_TEST

/* Dropped packs give their space and their index back, but not below a reader. */
START_TEST(packs_are_dropped_with_the_last_state_that_needs_them)
{
	struct reader r;
	struct state before, after;

	start("all");
	fill(1);
	for (uint32_t i = 0; i < 600; i++)
		put((unsigned)machine_random(&m, KIT_RUN_KEYS), 100 + i);
	uint64_t old = m.words.visible - 400;
	while (!made[old])
		old--;
	pack();
	ok(store_state(p.store, m.words.visible, m.words.record, &before));
	ok(reader_open(&r, 0, old));
	keep("last:10");
	put(1, 1);
	for (int i = 0; i < 8; i++) {
		pack();
		for (uint32_t k = 0; k < 50; k++)
			put((unsigned)machine_random(&m, KIT_RUN_KEYS), 2000 + k);
		reader_check(&r);
	}
	ok(store_state(p.store, m.words.visible, m.words.record, &after));
	uint64_t packed, pages;
	ok(history_packed(store_file(p.store), &after.system, &packed, &pages));
	ck_assert_uint_eq(pages, 0);
	ok(process_check(&p));
	ck_assert_uint_eq(states_check(), 10);
	reader_close(&r);
	end();
}
END_TEST

static void name(const char *text, uint64_t state)
{
	struct commit_options options = { .name = text, .state = state, .unname = state == 0 };
	struct state made_state;
	struct txn *txn;

	ok(store_begin(p.store, 1000, 0, &txn));
	ok(store_commit(txn, &options, &made_state));
}

/*
 * A named state outlives those around it. Its leaf X is packed against Y, which is raw, dies, and is held by
 * no state any more: it stays as long as X decodes through it, and so do packs.
 */
START_TEST(i7_what_kept_states_decode_through_stays)
{
	start("all");
	fill(1);
	uint64_t old = put(5, 2);
	put(5, 3);
	for (uint32_t i = 0; i < 10; i++)
		put(190, 10 + i);
	name("kept", old);
	pack();
	put(5, 4); /* Y dies */
	for (uint32_t i = 0; i < 20; i++)
		put((unsigned)machine_random(&m, KIT_RUN_KEYS), 100 + i);
	keep("last:1");
	for (uint32_t i = 0; i < 600; i++) {
		put((unsigned)machine_random(&m, KIT_RUN_KEYS), 1000 + i);
		if (i % 100 == 50) {
			pack();
			state_check(old);
		}
	}
	state_check(old);
	ok(process_check(&p));
	ok(process_detach(&p));
	ok(process_attach(&m, &p));
	state_check(old);
	name("kept", 0); /* then all of it goes */
	for (uint32_t i = 0; i < 400; i++) {
		put((unsigned)machine_random(&m, KIT_RUN_KEYS), 3000 + i);
		if (i % 100 == 50)
			pack();
	}
	ok(process_check(&p));
	struct state newest;
	uint64_t packed, pages;
	ok(store_state(p.store, m.words.visible, m.words.record, &newest));
	ok(history_packed(store_file(p.store), &newest.system, &packed, &pages));
	ck_assert_uint_eq(pages, 0);
	end();
}
END_TEST

/* Commits, so that the range moves on, and packing goes along. */
static void move_on(unsigned commits, uint32_t value)
{
	for (uint32_t i = 0; i < commits; i++) {
		put((unsigned)machine_random(&m, KIT_RUN_KEYS), value + i);
		if (i % 100 == 50)
			pack();
	}
}

static uint64_t some_made(uint64_t from)
{
	while (!made[from])
		from++;
	return from;
}

/* What kept states need of packs is rescued; the rest is given back, however many states they lie in. */
START_TEST(i7_kept_states_hold_their_own_pages)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	uint64_t states[5], all, rescued;

	start("all");
	fill(1);
	move_on(2500, 100);
	all = pack_pages();
	for (unsigned i = 0; i < 5; i++) {
		states[i] = some_made(200 + 500 * i);
		name(names[i], states[i]);
	}
	keep("last:20");
	move_on(600, 5000);
	for (unsigned i = 0; i < 5; i++)
		state_check(states[i]);
	ck_assert_uint_eq(states_check(), 25);
	rescued = pack_pages();
	ck_assert_uint_gt(rescued, 0);
	ck_assert_uint_lt(rescued, all / 4);
	ok(process_check(&p));
	/* half of them go: so does what they held */
	name("a", 0);
	name("b", 0);
	name("d", 0);
	move_on(200, 7000);
	ck_assert_uint_lt(pack_pages(), rescued);
	ck_assert_uint_eq(states_check(), 22);
	ok(process_detach(&p));
	ok(process_attach(&m, &p));
	ck_assert_uint_eq(states_check(), 22);
	name("c", 0);
	name("e", 0);
	move_on(200, 9000);
	ck_assert_uint_eq(pack_pages(), 0);
	ok(process_check(&p));
	end();
}
END_TEST

/* Who looked its state up before the rescue reads on through the old packs, and what was base to them. */
START_TEST(i2_rescue_does_not_pull_pages_from_under_readers)
{
	struct reader r;
	uint64_t old;

	start("all");
	fill(1);
	move_on(300, 100);
	old = some_made(100);
	name("kept", old);
	put(5, 1);
	ok(reader_open(&r, 0, old));
	keep("last:5");
	move_on(400, 1000);
	reader_check(&r);
	state_check(old);
	name("kept", 0);
	move_on(400, 3000);
	reader_check(&r);
	reader_close(&r);
	ck_assert_uint_eq(pack_pages(), 0);
	ok(process_check(&p));
	end();
}
END_TEST

/*
 * I7, I2: what a kept state needs of its pack is rescued by a commit that is not on disk yet. Until it
 * is, a power cut brings the old pack back, and what that decodes through has to be there: a raw page
 * that nothing else holds.
 */
START_TEST(i7_a_base_stays_until_the_rescue_is_on_disk)
{
	for (unsigned round = 0; round < kit_rounds(10); round++) {
		const struct commit_options maintain = { .maintain = true };
		uint64_t old, durable;
		struct state state;
		struct txn *txn;

		start("all");
		m.random += round;
		fill(1);
		old = put(5, 2);
		put(5, 3);
		for (uint32_t i = 0; i < 10; i++)
			put(190, 10 + i);
		name("kept", old);
		pack();
		put(5, 4); /* the base of the packed leaf dies, the state before it is let go */
		keep("last:1");
		for (uint32_t i = 0; i < 20 + round; i++)
			put((unsigned)machine_random(&m, KIT_RUN_KEYS), 100 + i);
		for (unsigned i = 0; i < 8; i++) { /* all that was let go is so on disk */
			ok(store_begin(p.store, 1000, 0, &txn));
			ok(store_commit(txn, &maintain, &state));
		}
		durable = put(190, 999);
		ck_assert_uint_eq(m.words.durable, durable);
		put_keys((unsigned[]){ 190 }, 1, 1000, true);
		uint64_t before = m.words.visible, pages;
		/* packing all would bring it to disk */
		ck_assert_int_ge(store_pack(p.store, STORE_PACK_DUE, 1000, -1, &pages), 0);
		ck_assert_uint_gt(m.words.visible, before); /* that was the rescue, */
		ck_assert_uint_eq(m.words.durable, durable); /* and is not on disk */
		for (uint32_t i = 0; i < 120; i++) {
			unsigned keys[20], n = 1 + (unsigned)machine_random(&m, 20);
			for (unsigned k = 0; k < n; k++)
				keys[k] = (unsigned)machine_random(&m, KIT_RUN_KEYS);
			put_keys(keys, n, 2000 + i, true);
		}
		ck_assert_uint_eq(m.words.durable, durable);
		process_kill(&p);
		machine_power_cut(&m, FAULT_KEEP_ALL);
		ok(process_attach(&m, &p));
		ck_assert_uint_eq(m.words.visible, durable);
		state_check(old);
		state_check(durable);
		ok(process_check(&p));
		end();
	}
}
END_TEST

START_TEST(killed_at_each_operation_of_a_rescue)
{
	bool died = true;

	for (unsigned op = 1; died; op++)
		for (unsigned how = FAULT_LOSE_ALL; how <= FAULT_TORN + 1; how++) {
			uint64_t pages, old;
			start("all");
			fill(1);
			for (uint32_t i = 0; i < 60; i++)
				put((unsigned)machine_random(&m, KIT_RUN_KEYS), 100 + i);
			pack();
			old = some_made(30);
			name("kept", old);
			keep("last:5");
			for (uint32_t i = 0; i < 10; i++)
				put((unsigned)machine_random(&m, KIT_RUN_KEYS), 1000 + i);
			uint64_t newest = m.words.visible;
			fault_kill_at(p.io, op);
			died = store_pack(p.store, STORE_PACK_ALL, 1000, -1, &pages) < 0;
			process_kill(&p);
			if (how <= FAULT_TORN)
				machine_power_cut(&m, (enum fault_cut)how);
			after_crash(newest);
			move_on(60, 2000);
			state_check(old);
			ok(process_check(&p));
			end();
		}
}
END_TEST

/* ---- All of it ---- */

static void random_commit(void)
{
	unsigned keys[20], n = machine_random(&m, 5) ? 1 : 1 + (unsigned)machine_random(&m, 20);

	for (unsigned i = 0; i < n; i++)
		keys[i] = (unsigned)machine_random(&m, KIT_RUN_KEYS);
	put_keys(keys, n, machine_random(&m, 20) ? 1 + (uint32_t)machine_random(&m, 1 << 30) : 0,
	         machine_random(&m, 3) == 0);
}

static void random_reader(struct reader *r, unsigned i)
{
	uint64_t state;

	if (r->state) {
		reader_check(r);
		if (machine_random(&m, 3) == 0)
			reader_close(r);
		return;
	}
	state = 1 + machine_random(&m, m.words.visible);
	if (made[state] && reader_open(r, i, state) < 0)
		reader_close(r);
}

/* A state that is there gets a name, or one loses it. */
static void random_name(void)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	uint64_t state = 1 + machine_random(&m, m.words.visible);
	struct commit_options options = { .name = names[machine_random(&m, 4)], .state = state };
	struct state newest, found;
	struct txn *txn;

	ok(store_state(p.store, m.words.visible, m.words.record, &newest));
	options.unname = machine_random(&m, 4) == 0;
	if (!options.unname && (!made[state] || store_find(p.store, &newest, state, &found) != 0))
		return;
	ok(store_begin(p.store, 1000, 0, &txn));
	if (store_commit(txn, &options, &found) < 0)
		store_abort(txn);
}

static void forget_unpublished(void)
{
	for (uint64_t s = m.words.visible + 1; s < STATES; s++) {
		free(made[s]);
		made[s] = NULL;
	}
	for (uint64_t s = m.words.visible; s > 0; s--)
		if (made[s]) {
			now = *made[s];
			return;
		}
}

static void random_crash(struct reader *readers)
{
	for (unsigned i = 0; i < READERS; i++)
		reader_close(&readers[i]);
	process_kill(&p);
	if (machine_random(&m, 2))
		machine_power_cut(&m, (enum fault_cut)machine_random(&m, FAULT_TORN + 1));
	ok(process_attach(&m, &p));
	forget_unpublished();
}

START_TEST(random_histories)
{
	static const char *const policies[] = { "last:30", "last:200", "all", "all", "all" };
	struct reader readers[READERS] = { 0 };

	for (unsigned round = 0; round < kit_rounds(6); round++) {
		start("all");
		fill(1);
		for (unsigned i = 0; i < 1200 && m.words.visible < STATES - 3000; i++) {
			uint64_t what = machine_random(&m, 1000);
			if (what < 8)
				pack();
			else if (what < 11)
				keep(policies[machine_random(&m, 5)]);
			else if (what < 13)
				random_crash(readers);
			else if (what < 20)
				random_name();
			else if (what < 60)
				random_reader(&readers[what % READERS], (unsigned)(what % READERS));
			else
				random_commit();
		}
		for (unsigned i = 0; i < READERS; i++)
			reader_close(&readers[i]);
		ok(store_sync(p.store));
		ok(process_check(&p));
		states_check();
		end();
	}
}
END_TEST

static Suite *packing_suite(void)
{
	Suite *suite = suite_create("packing");
	TCase *c = tcase_create("states");

	tcase_add_test(c, packed_states_read_as_they_were);
	tcase_add_test(c, their_raw_pages_are_used_again);
	tcase_add_test(c, trees_that_grow_and_shrink);
	tcase_add_test(c, killed_at_each_operation);
	tcase_add_test(c, i2_a_raw_base_stays_for_who_decodes_through_it);
	tcase_add_test(c, i2_a_base_that_retention_gives_up_stays_for_who_decodes_through_it);
	tcase_add_test(c, packs_are_dropped_with_the_last_state_that_needs_them);
	tcase_add_test(c, i7_what_kept_states_decode_through_stays);
	tcase_add_test(c, i7_kept_states_hold_their_own_pages);
	tcase_add_test(c, i2_rescue_does_not_pull_pages_from_under_readers);
	tcase_add_test(c, i7_a_base_stays_until_the_rescue_is_on_disk);
	tcase_add_test(c, killed_at_each_operation_of_a_rescue);
	tcase_add_test(c, random_histories);
	tcase_set_timeout(c, 600);
	suite_add_tcase(suite, c);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(packing_suite());

	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
