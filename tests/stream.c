/* SPDX-License-Identifier: Apache-2.0 */
/* A value is a head, which says what put it there, and filling that follows from the head. */
#include "stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { OPS_MAX = 200, BIG_BYTES = 100 * 1024, MIDDLE_BYTES = 6000, SMALL_BYTES = 120 };

struct head {
	uint64_t commit;
	uint32_t key, len; /* len: of the whole value */
};

struct op {
	uint32_t key;
	uint32_t len; /* 0: delete */
};

struct board *board_open(const char *path, uint64_t seed)
{
	struct board *board = shared_memory(path, sizeof *board);

	if (seed)
		board->seed = seed;
	return board;
}

/* ---- What a commit does ---- */

static uint64_t mix(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t state = a;

	state = kit_random(&state) ^ b;
	state = kit_random(&state) ^ c;
	return kit_random(&state);
}

static unsigned commit_ops(const struct board *board, unsigned s, uint64_t commit,
                           struct op ops[OPS_MAX])
{
	uint64_t random = mix(board->seed, s, commit);
	unsigned n = 1 + (unsigned)(kit_random(&random) % (kit_random(&random) % 2 ? 10 : OPS_MAX));

	for (unsigned i = 0; i < n; i++) {
		uint64_t r = kit_random(&random), size = kit_random(&random) % 400;

		ops[i].key = s * STREAM_KEYS + (uint32_t)(r % STREAM_KEYS);
		if (r >> 32 & 1 && r >> 33 & 1)
			ops[i].len = 0;
		else if (size < 2)
			ops[i].len = BIG_BYTES;
		else
			ops[i].len =
				(uint32_t)(sizeof(struct head) + 1 +
			                   (r >> 40) % (size < 20 ? MIDDLE_BYTES : SMALL_BYTES));
	}
	return n;
}

static void value_fill(const struct board *board, const struct head *head, uint8_t *bytes)
{
	uint64_t random = mix(board->seed ^ head->commit, head->key, head->len), word;

	memcpy(bytes, head, sizeof *head);
	for (uint32_t at = sizeof *head; at < head->len; at += 8) {
		word = kit_random(&random);
		memcpy(bytes + at, &word, head->len - at < 8 ? head->len - at : 8);
	}
}

static uint64_t head_sum(const struct head *head)
{
	return mix(head->commit, head->key, head->len);
}

static struct head value_head(const dur_value *value)
{
	struct head head;

	HOLDS(value->type == DUR_BYTES && value->len > sizeof head, "type %u, %" PRIu64 " bytes",
	      value->type, value->len);
	memcpy(&head, value->ptr, sizeof head);
	HOLDS(head.len == value->len, "%" PRIu64 " bytes for %u", value->len, head.len);
	return head;
}

/* ---- Writing ---- */

static const char *word_key(const char *word, unsigned s, char key[32])
{
	snprintf(key, 32, "%s%u", word, s);
	return key;
}

/* Keeps the sum up to date from what the transaction itself says was there before. */
static void op_apply(dur_view *txn, const struct board *board, uint64_t commit, const struct op *op,
                     uint64_t *sum)
{
	static __thread uint8_t bytes[BIG_BYTES + 8];
	struct head head = { commit, op->key, op->len }, old;
	dur_value key = DUR_INT(op->key), value;
	int was = MUST(dur_get(dur_root(txn), &key, &value));

	if (was == 0) {
		old = value_head(&value);
		*sum -= head_sum(&old);
	}
	if (op->len == 0) {
		EXPECT(was, dur_del(dur_root(txn), &key));
		return;
	}
	value_fill(board, &head, bytes);
	EXPECT(0, dur_put(dur_root(txn), &key, &DUR_BYTES(bytes, op->len)));
	*sum += head_sum(&head);
}

bool stream_step(dur_prefix *p, struct board *board, unsigned s, unsigned mode, uint64_t *random)
{
	struct board_stream *stream = &board->streams[s];
	struct op ops[OPS_MAX];
	char commits_key[32], sum_key[32], label[64];
	uint64_t choice = kit_random(random), sum, commit, state, number;
	dur_view_options vo = { .memory_bytes = choice % 8 ? 0 : 1 };
	dur_commit_options co = { .label = label };
	dur_view *txn;
	unsigned n;

	word_key("commits", s, commits_key);
	word_key("sum", s, sum_key);
	EXPECT(0, dur_begin(p, &vo, &txn));
	number = dur_state(txn);
	commit = (uint64_t)view_int(txn, commits_key, 0) + 1;
	HOLDS(commit > atomic_load(&stream->acked),
	      "stream %u: commit %" PRIu64 " again after %" PRIu64, s, commit,
	      atomic_load(&stream->acked));
	atomic_store(&stream->begun, commit);
	sum = (uint64_t)view_int(txn, sum_key, 0);
	n = commit_ops(board, s, commit, ops);
	for (unsigned i = 0; i < n; i++)
		op_apply(txn, board, commit, &ops[i], &sum);
	if (mode & STREAM_NESTED)
		stream_nest_step(txn, board, s, commit);
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR(commits_key), &DUR_INT((int64_t)commit)));
	EXPECT(0, dur_put(dur_root(txn), &DUR_STR(sum_key), &DUR_INT((int64_t)sum)));
	if (choice >> 8 & 1 && choice >> 9 & 1 && choice >> 10 & 1 && choice >> 11 & 1) {
		dur_close(txn);
		return false;
	}
	if (mode & STREAM_ASYNC && choice >> 12 & 1)
		co.flags = DUR_ASYNC;
	snprintf(label, sizeof label, "%u:%" PRIu64, s, commit);
	EXPECT(0, dur_commit(txn, &co, &state));
	HOLDS(state == number && state > atomic_load(&stream->state),
	      "stream %u: state %" PRIu64 " for number %" PRIu64 " after %" PRIu64, s, state,
	      number, atomic_load(&stream->state));
	HOLDS(prefix_newest_state(p) >= state, "state %" PRIu64 " is not visible", state);
	atomic_store(&stream->state, state);
	atomic_store(&stream->acked, commit);
	dur_close(txn);
	return true;
}

/* ---- Reading ---- */

static dur_iter *stream_scan(dur_view *v, unsigned s)
{
	dur_value from = DUR_INT((int64_t)s * STREAM_KEYS);
	dur_value to = DUR_INT((int64_t)(s + 1) * STREAM_KEYS);
	dur_iter *it;

	EXPECT(0, dur_scan(dur_root(v), &(dur_range){ .from = &from, .to = &to }, &it));
	return it;
}

static struct head value_right(const struct board *board, const dur_value *key,
                               const dur_value *value, uint64_t commits)
{
	static __thread uint8_t bytes[BIG_BYTES + 8];
	struct head head = value_head(value);

	HOLDS(key->type == DUR_INT && key->i == head.key && head.commit <= commits &&
	              head.len <= BIG_BYTES,
	      "key %" PRId64 " holds key %u of commit %" PRIu64 " of %" PRIu64, key->i, head.key,
	      head.commit, commits);
	value_fill(board, &head, bytes);
	HOLDS(memcmp(bytes, value->ptr, head.len) == 0, "key %u of commit %" PRIu64, head.key,
	      head.commit);
	return head;
}

struct stream_look stream_look(dur_view *v, const struct board *board, unsigned s)
{
	struct stream_look look = { 0 };
	dur_value key, value;
	char name[32];
	dur_iter *it;
	uint64_t sum;

	look.commits = (uint64_t)view_int(v, word_key("commits", s, name), 0);
	sum = (uint64_t)view_int(v, word_key("sum", s, name), 0);
	it = stream_scan(v, s);
	while (MUST(dur_next(it, &key, &value)) == 0) {
		struct head head = value_right(board, &key, &value, look.commits);

		look.sum += head_sum(&head);
		look.entries++;
	}
	dur_iter_close(it);
	HOLDS(look.sum == sum, "stream %u after commit %" PRIu64 " in state %" PRIu64, s,
	      look.commits, dur_state(v));
	stream_nest_compare(v, board, s, look.commits);
	return look;
}

uint64_t stream_compare(dur_view *v, const struct board *board, unsigned s)
{
	struct head expect[STREAM_KEYS] = { 0 };
	struct stream_look look = stream_look(v, board, s);
	struct op ops[OPS_MAX];
	dur_value key, value;
	dur_iter *it;

	for (uint64_t c = 1; c <= look.commits; c++) {
		unsigned n = commit_ops(board, s, c, ops);

		for (unsigned i = 0; i < n; i++)
			expect[ops[i].key % STREAM_KEYS] =
				(struct head){ c, ops[i].key, ops[i].len };
	}
	it = stream_scan(v, s);
	for (unsigned i = 0; i < STREAM_KEYS; i++) {
		struct head head;

		if (expect[i].len == 0)
			continue;
		EXPECT(0, dur_next(it, &key, &value));
		head = value_head(&value);
		HOLDS(memcmp(&head, &expect[i], sizeof head) == 0,
		      "key %u of commit %" PRIu64 ", not key %u of commit %" PRIu64, head.key,
		      head.commit, expect[i].key, expect[i].commit);
	}
	EXPECT(DUR_NONE, dur_next(it, &key, &value));
	dur_iter_close(it);
	return look.commits;
}

void stream_history(dur_prefix *p, unsigned streams)
{
	enum { PAGE = 100 };
	dur_state_info info[PAGE];
	uint64_t commits[STREAMS_MAX] = { 0 }, last = 0, from = 0;
	uint32_t n;

	do {
		EXPECT(0, dur_states(p, from, DUR_REVERSE, info, PAGE, &n));
		for (uint32_t i = 0; i < n; i++) {
			unsigned s;
			uint64_t commit;

			if (info[i].state == from)
				continue;
			HOLDS(info[i].state > last, "state %" PRIu64 " after %" PRIu64,
			      info[i].state, last);
			last = info[i].state;
			if (sscanf(info[i].label, "%u:%" SCNu64, &s, &commit) != 2)
				continue; /* the empty prefix */
			HOLDS(s < streams && commit == commits[s] + 1,
			      "state %" PRIu64 " is %s, after %" PRIu64, last, info[i].label,
			      commits[s % STREAMS_MAX]);
			commits[s] = commit;
		}
		from = last;
	} while (n == PAGE);
}
