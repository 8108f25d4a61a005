/* SPDX-License-Identifier: Apache-2.0 */
/* Names of states. Each change is a commit of its own that holds nothing else. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/utf8.h"
#include "prefixes/prefix.h"

/* A name must never be taken for another way to say which state. */
int state_name_check(const char *name)
{
	size_t len = strlen(name);
	const char *at = name;

	if (len == 0 || len > STATE_NAME_MAX)
		return error_set(DUR_E_NAME, "a state's name has 1 to %d bytes, this one has %zu",
		                 STATE_NAME_MAX, len);
	if (utf8_valid(name, len) != len)
		return error_set(DUR_E_NAME, "a state's name is text, this one is not UTF-8");
	if (strchr("0123456789-+@", *name))
		return error_set(
			DUR_E_NAME,
			"\"%s\" is no name for a state: one that begins with %c is taken for "
			"a number or a time; begin it with a letter",
			name, *name);
	if (strcasecmp(name, "latest") == 0)
		return error_set(
			DUR_E_NAME,
			"\"latest\" means the newest state and cannot be given to another");
	while (*at) {
		uint32_t c = utf8_next(&at);
		if (c <= 0x20 || (c >= 0x7f && c <= 0xa0) || c == 0x2028 || c == 0x2029)
			return error_set(DUR_E_NAME,
			                 "a state's name has no blanks and no control characters: "
			                 "join its words with - or _");
	}
	return 0;
}

/* A commit of the options alone, in a transaction that was begun. */
static int commit(dur_prefix *p, struct txn *txn, const struct commit_options *options)
{
	struct state state;
	int rc = store_commit(txn, options, &state);

	if (rc < 0 && rc != DUR_E_FAILED)
		store_abort(txn);
	keeper_wake(p->shared, false);
	return rc;
}

static int begin(dur_prefix *p, const char *what, const char *name, struct txn **txn)
{
	int rc = prefix_check(p);

	if (rc < 0)
		return rc;
	if (!name)
		return error_set(DUR_E_MISUSE, "%s() needs a name", what);
	rc = state_name_check(name);
	if (rc < 0)
		return rc;
	if (p->read_only)
		return error_set(DUR_E_READ_ONLY, "prefix %s is attached read-only", p->name);
	return store_begin(p->shared->store, p->lock_ms, p->memory_bytes, txn);
}

int dur_name(dur_prefix *p, const char *name, uint64_t state)
{
	struct commit_options options = { .name = name, .state = state };
	struct state shown;
	struct store *store;
	struct txn *txn;
	int rc = begin(p, "dur_name", name, &txn);

	if (rc < 0)
		return rc;
	store = p->shared->store;
	/* a number that changed nothing shows the state before it */
	if (state == DUR_LATEST) {
		rc = store_back(store, &txn->base, 0, &options.state);
	} else if ((rc = store_find_before(store, &txn->base, state, &shown)) == 0) {
		options.state = shown.number;
	}
	if (rc == 0)
		return commit(p, txn, &options);
	store_abort(txn);
	return rc < 0 ? rc : error_set(DUR_E_GONE, "there is no state to be named");
}

int dur_unname(dur_prefix *p, const char *name)
{
	struct commit_options options = { .name = name, .unname = true };
	uint64_t state;
	struct txn *txn;
	int rc = begin(p, "dur_unname", name, &txn);

	if (rc < 0)
		return rc;
	rc = store_name_find(p->shared->store, &txn->base, name, &state);
	if (rc == 0)
		return commit(p, txn, &options);
	store_abort(txn);
	return rc;
}

int dur_names(dur_prefix *p, uint64_t skip, dur_state_name *out, uint32_t cap, uint32_t *n)
{
	struct coord_pin pin;
	struct state newest;
	struct state_name *list;
	uint64_t *held;
	uint32_t found = 0;
	int rc = prefix_newest(p, &pin, &newest);

	if (rc < 0)
		return rc;
	list = malloc((cap ? cap : 1) * sizeof *list);
	held = malloc((cap ? cap : 1) * sizeof *held);
	if (!n || (cap && !out))
		rc = error_set(DUR_E_MISUSE, "dur_names() needs room for what it finds");
	else if (!list || !held)
		rc = error_system(ENOMEM, "listing names");
	if (rc == 0)
		rc = store_names(p->shared->store, &newest, skip, list, cap, &found);
	if (rc == 0)
		rc = store_names_held(p->shared->store, &newest, list, found, held);
	for (uint32_t i = 0; i < found && rc == 0; i++) {
		out[i] = (dur_state_name){ .state = list[i].state,
			.held_bytes = held[i] << PAGE_SHIFT };
		memcpy(out[i].name, list[i].name, sizeof out[i].name);
	}
	if (rc == 0)
		*n = found;
	free(list);
	free(held);
	coord_unpin(p->shared->coord, &pin);
	return rc;
}
