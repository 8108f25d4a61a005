/* SPDX-License-Identifier: Apache-2.0 */
/* States by number, distance, time and name, their list, and retention. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/policy.h"
#include "prefixes/prefix.h"
#include "prefixes/time.h"

int prefix_newest(dur_prefix *p, struct coord_pin *pin, struct state *newest)
{
	struct coord_published published;
	int rc = prefix_check(p);

	*pin = (struct coord_pin){ 0 };
	if (rc == 0)
		rc = pin_newest(p->shared, pin, &published);
	if (rc == 0)
		rc = store_state(p->shared->store, published.state, published.record, newest);
	if (rc < 0 && pin->kind)
		coord_unpin(p->shared->coord, pin);
	return rc;
}

/* Digits alone. What is beyond 64 bits is beyond every state: UINT64_MAX stands for it. */
static bool number(const char *text, uint64_t *n)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*n = strtoull(text, &end, 10);
	return *end == '\0';
}

static int resolve(dur_prefix *p, const struct state *newest, const char *at, uint64_t *state)
{
	struct store *store = p->shared->store;
	struct time_stamp time;
	struct state found;
	uint64_t n;
	int64_t ns;
	int rc;

	if (strcmp(at, "latest") == 0)
		return store_back(store, newest, 0, state);
	if (*at == '-' && number(at + 1, &n))
		return store_back(store, newest, n, state);
	if (number(at, &n)) {
		rc = store_find_before(store, newest, n, &found);
		if (rc == DUR_E_GONE)
			return DUR_NONE;
		if (rc == 0)
			*state = found.number;
		return rc;
	}
	if (*at < '0' || *at > '9') {
		if (state_name_check(at) < 0)
			return error_set(DUR_E_NAME, "\"%s\" is no state: give a number, -N (N states back), latest, "
			                 "a name, or a time such as 2026-11-20T10:00:00Z", at);
		return store_name_find(store, newest, at, state);
	}
	rc = time_parse(at, strlen(at), &time);
	if (rc == 0 && time.zone_min == DUR_NO_ZONE)
		rc = error_set(DUR_E_NAME, "the time \"%s\" has no zone: end it with Z or an offset", at);
	if (rc == 0 && time_to_ns(&time, &ns) < 0) /* before or after all that can be */
		ns = time.sec < 0 ? INT64_MIN : INT64_MAX;
	if (rc < 0)
		return error_set(DUR_E_NAME, "\"%s\" is no state: %s", at, error_text());
	return store_find_time(store, newest, ns, state);
}

int dur_resolve(dur_prefix *p, const char *at, uint64_t *state)
{
	struct coord_pin pin;
	struct state newest;
	int rc = prefix_newest(p, &pin, &newest);

	if (rc < 0)
		return rc;
	if (!at || !state)
		rc = error_set(DUR_E_MISUSE, "dur_resolve() needs a text and a place for the state");
	else
		rc = resolve(p, &newest, at, state);
	coord_unpin(p->shared->coord, &pin);
	return rc;
}

int dur_states(dur_prefix *p, uint64_t from, uint32_t flags, dur_state_info *out, uint32_t cap, uint32_t *n)
{
	struct coord_published published;
	struct coord_pin pin;
	struct state newest, *list;
	uint32_t found = 0;
	int rc = prefix_newest(p, &pin, &newest);

	if (rc < 0)
		return rc;
	list = malloc((cap ? cap : 1) * sizeof *list);
	if (!n || (cap && !out))
		rc = error_set(DUR_E_MISUSE, "dur_states() needs room for what it finds");
	else if (flags & ~(uint32_t)DUR_REVERSE)
		rc = error_set(DUR_E_MISUSE, "dur_states() takes no flag but DUR_REVERSE");
	else if (!list)
		rc = error_system(ENOMEM, "listing states");
	if (rc == 0)
		rc = store_states(p->shared->store, &newest, from, flags & DUR_REVERSE, list, cap, &found);
	coord_load(p->shared->coord, &published);
	for (uint32_t i = 0; i < found && rc == 0; i++) {
		out[i] = (dur_state_info){
			.state = list[i].number,
			.time_ns = list[i].time_ns,
			.entries = list[i].catalog.count,
			.written_bytes = list[i].written_bytes,
			.flags = list[i].number <= published.durable ? DUR_ON_DISK : 0,
			.names = list[i].names,
		};
		memcpy(out[i].label, list[i].label, sizeof out[i].label);
	}
	if (rc == 0)
		*n = found;
	free(list);
	coord_unpin(p->shared->coord, &pin);
	return rc;
}

int dur_keep(dur_prefix *p, const char *text)
{
	struct commit_options options = { 0 };
	char canonical[POLICY_TEXT];
	struct policy policy;
	struct state state;
	struct txn *txn;
	int rc = prefix_check(p);

	if (rc < 0)
		return rc;
	if (!text)
		return error_set(DUR_E_MISUSE, "dur_keep() needs a policy, such as \"all\" or \"last:100\"");
	if (p->read_only)
		return error_set(DUR_E_READ_ONLY, "prefix %s is attached read-only", p->name);
	rc = policy_parse(text, &policy);
	if (rc < 0)
		return rc;
	policy_format(&policy, canonical);
	options.keep = canonical;
	rc = store_begin(p->shared->store, p->lock_ms, p->memory_bytes, &txn);
	if (rc < 0)
		return rc;
	rc = store_commit(txn, &options, &state);
	if (rc < 0 && rc != DUR_E_FAILED)
		store_abort(txn);
	keeper_wake(p->shared, false);
	return rc;
}
