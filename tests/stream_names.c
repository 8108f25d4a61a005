/* SPDX-License-Identifier: Apache-2.0 */
/* What is being done to a name stands on the board before it is done, as with commits. */
#include "stream.h"

#include <inttypes.h>
#include <stdio.h>

enum { PAGE = 64 };

static const char *name_of(unsigned i, char text[16])
{
	snprintf(text, 16, "name%u", i);
	return text;
}

/* ---- Changing ---- */

static void keep_step(dur_prefix *p, uint64_t choice)
{
	/* some keep so few that nothing is packed, others so many that most is */
	static const char *const policies[] = { "last:1", "last:7", "last:40", "last:3,every:1s",
		"for:1s", "for:1s,every:2s", "last:200", "last:20000", "last:20000,every:1s",
		"last:9000", "last:9000", "last:9000" };

	EXPECT(0, dur_keep(p, policies[choice % (sizeof policies / sizeof *policies)]));
}

static void name_step(dur_prefix *p, struct board_name *name, const char *text, uint64_t choice)
{
	dur_state_info info;
	dur_prefix_stat stat;
	uint32_t n;
	int rc;

	EXPECT(0, dur_stat(p, &stat));
	EXPECT(0, dur_states(p, stat.oldest + choice % (stat.newest - stat.oldest + 1), 0, &info, 1,
	                     &n));
	if (n == 0)
		return;
	atomic_store(&name->begun, info.state);
	rc = dur_name(p, text, info.state);
	HOLDS(rc == 0 || rc == DUR_E_GONE, "%d: %s", rc, dur_message());
	atomic_store(rc == 0 ? &name->acked : &name->begun,
	             rc == 0 ? info.state : atomic_load(&name->acked));
}

void stream_name_step(dur_prefix *p, struct board *board, uint64_t *random)
{
	uint64_t choice = kit_random(random);
	unsigned i = (unsigned)(choice % STREAM_NAMES);
	struct board_name *name = &board->names[i];
	char text[16];

	if (choice >> 8 & 1) {
		name_step(p, name, name_of(i, text), choice >> 16);
	} else if (choice >> 9 & 1) {
		atomic_store(&name->begun, 0);
		EXPECT(atomic_load(&name->acked) ? 0 : DUR_NONE, dur_unname(p, name_of(i, text)));
		atomic_store(&name->acked, 0);
	} else {
		keep_step(p, choice >> 16);
	}
}

void stream_names_settle(dur_prefix *p, struct board *board)
{
	uint64_t state;
	dur_view *txn;
	char text[16];

	EXPECT(0, dur_begin(p, NULL, &txn));
	dur_close(txn);
	for (unsigned i = 0; i < STREAM_NAMES; i++) {
		struct board_name *name = &board->names[i];
		state = 0;
		MUST(dur_resolve(p, name_of(i, text), &state));
		HOLDS(state == atomic_load(&name->begun) || state == atomic_load(&name->acked),
		      "%s is state %" PRIu64 ", not %" PRIu64 " or, if it was being moved, %" PRIu64,
		      text, state, atomic_load(&name->acked), atomic_load(&name->begun));
		atomic_store(&name->acked, state);
		atomic_store(&name->begun, state);
	}
}

/* ---- Verifying ---- */

/* What maintenance drops meanwhile is not listed any more. */
static bool is_listed(dur_prefix *p, uint64_t state)
{
	dur_state_info info;
	uint32_t n;

	EXPECT(0, dur_states(p, state, 0, &info, 1, &n));
	return n == 1 && info.state == state;
}

static void state_verify(dur_prefix *p, struct board *board, uint64_t state, unsigned streams)
{
	dur_view_cost cost;
	dur_view *v;
	int rc = dur_snapshot(p, state, NULL, &v);

	if (rc == DUR_E_GONE && !is_listed(p, state))
		return;
	MUST(rc);
	for (unsigned s = 0; s < streams; s++)
		stream_look(v, board, s);
	EXPECT(0, dur_cost(v, &cost));
	atomic_fetch_add(&board->packed, cost.pages_unpacked != 0);
	dur_close(v);
}

static void name_verify(dur_prefix *p, struct board_name *name, const struct board *board,
                        const char *text, unsigned streams)
{
	uint64_t begun = atomic_load(&name->begun), acked = atomic_load(&name->acked), state = 0;
	dur_view *v;

	MUST(dur_resolve(p, text, &state));
	HOLDS(state == begun || state == acked, "%s is state %" PRIu64 ", not %" PRIu64
	      " or, if it was being moved, %" PRIu64, text, state, acked, begun);
	atomic_store(&name->acked, state); /* what was begun may come yet: the next writer recovers */
	if (!state)
		return;
	EXPECT(0, dur_snapshot(p, state, NULL, &v));
	for (unsigned s = 0; s < streams; s++)
		stream_compare(v, board, s);
	dur_close(v);
}

void stream_names_verify(dur_prefix *p, struct board *board, unsigned streams)
{
	dur_state_info info[PAGE];
	uint64_t from = 0;
	char text[16];
	uint32_t n;

	for (unsigned i = 0; i < STREAM_NAMES; i++)
		name_verify(p, &board->names[i], board, name_of(i, text), streams);
	do {
		EXPECT(0, dur_states(p, from, DUR_REVERSE, info, PAGE, &n));
		for (uint32_t i = 0; i < n; i++)
			if (info[i].state != from)
				state_verify(p, board, info[i].state, streams);
		from = n ? info[n - 1].state : from;
	} while (n == PAGE);
}
