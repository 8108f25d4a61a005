/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of ipc/: other processes. A peer is this very program run again (fork and exec) in
 * a named role; test and peer speak in single bytes, a peer's standard input and output being the
 * pipes. Peers are killed, never asked to end, unless the test wants them to: a peer whose input
 * ends exits by itself.
 */
#ifndef DURAMEN_TESTS_IPC_KIT_H
#define DURAMEN_TESTS_IPC_KIT_H

#include "ipc/coord.h"

#include <check.h>
#include <stdint.h>
#include <sys/types.h>

struct peer {
	pid_t pid;
	int in, out; /* the ends of the test, which writes to `in` and reads from `out` */
};

struct role {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the first argument after the role's name */
};

/* For main(): runs a role if asked to, else the suite. roles NULL: none. The result is the exit status. */
int kit_main(int argc, char **argv, const struct role *roles, Suite *suite);

/*
 * A path in a scratch folder of this test case, removed by kit_clean(). Static storage, four in
 * turn.
 */
const char *kit_path(const char *name);
void kit_clean(void);

/* The identity number n; its UUID, device and inode are made from it. */
struct coord_identity kit_identity(unsigned n);
/* Opens the file of identity n; fails the test (or ends the peer) if that fails. */
struct coord *kit_open(const char *path, unsigned n);

/* Starts this program as `role` with arguments up to NULL. */
void peer_start(struct peer *peer, const char *role, ...) __attribute__((sentinel));
void peer_say(const struct peer *peer, char c);
/* The next byte from the peer; fails the test if it ended. */
char peer_hear(const struct peer *peer);
/* SIGKILL, and waits until it is gone. */
void peer_kill(struct peer *peer);
/* Closes its input and waits; its exit status, or 128 and the signal. */
int peer_end(struct peer *peer);

/* In a peer. */
void test_say(char c);
char test_hear(void); /* ends the peer when the test is gone */

/* From $SEED or the clock; printed once. */
uint64_t kit_seed(void);
uint64_t kit_random(uint64_t *state);
/* `often` in quick runs, ten times as many in slow ones, a tenth with DURAMEN_BRIEF (valgrind). */
unsigned kit_rounds(unsigned often);

void kit_sleep_ms(unsigned ms);
#endif
