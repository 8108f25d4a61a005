/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A remote: a peer that has one prefix attached and makes the public calls that it is asked for,
 * one at a time, so that a test tells in one function what several processes do in turn. It has one
 * transaction and up to REMOTE_SNAPS snapshots.
 */
#ifndef DURAMEN_TESTS_REMOTE_H
#define DURAMEN_TESTS_REMOTE_H

#include "prefix_kit.h"

enum { REMOTE_SNAPS = 32 };

/* Answers are the call's result where it is not 0, else what is said here. */
enum remote_op {
	REMOTE_ATTACH, /* dur_attach(), flags: arg */
	REMOTE_DETACH,
	REMOTE_SNAPSHOT, /* of state arg: its number */
	REMOTE_READ,     /* what "n" is in the last snapshot; -1: not there */
	REMOTE_CLOSE,    /* the last snapshot */
	REMOTE_BEGIN,    /* arg: milliseconds to wait, -1 for ever, 0 not at all */
	REMOTE_PUT,      /* sets "n" to arg in the transaction */
	REMOTE_FILL,     /* sets "fill" to arg bytes */
	REMOTE_COMMIT,   /* flags: arg; the new state; the transaction is closed */
	REMOTE_ABORT,
	REMOTE_WAIT, /* dur_wait() after arg, for ever: the newest state */
	REMOTE_POLL, /* the same through dur_poll_fd() */
	REMOTE_SAID, /* whether the last message has the number arg in it: 1 or 0 */
	REMOTE_FORK, /* a child that does nothing but sleep: its pid */
};

/* Starts it, attached with flags. */
void remote_start(struct peer *peer, const char *dir, const char *name, uint32_t flags);
/* Asks without waiting for the answer; hears an answer. */
void remote_ask(const struct peer *peer, enum remote_op op, int64_t arg);
int64_t remote_hear(const struct peer *peer);
int64_t remote_do(const struct peer *peer, enum remote_op op, int64_t arg);
/* Whether the answer to what was asked is there already. */
bool remote_answered(const struct peer *peer);

/* The role, by this name, that programs with remotes have in their list. */
#define REMOTE_ROLE "remote"
int remote_role(int argc, char **argv);

#endif
