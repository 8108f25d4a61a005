/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc_kit.h"

#include "internal/error.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char scratch[PATH_MAX];
static bool in_peer; /* libcheck's assertions are only for the test's own process */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

void kit_clean(void)
{
	if (scratch[0])
		nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	scratch[0] = '\0';
}

const char *kit_path(const char *name)
{
	static char paths[4][PATH_MAX + 64];
	static unsigned turn;
	const char *top = getenv("TMPDIR");
	char *path = paths[turn++ % 4];

	if (!scratch[0]) {
		snprintf(scratch, sizeof scratch, "%s/ipc.XXXXXX", top ? top : "/tmp");
		ck_assert_ptr_nonnull(mkdtemp(scratch));
	}
	snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
	return path;
}

struct coord_identity kit_identity(unsigned n)
{
	struct coord_identity id = { .device = 40 + n, .inode = 4000 + n };

	memset(id.uuid, (int)(n + 1), sizeof id.uuid);
	return id;
}

struct coord *kit_open(const char *path, unsigned n)
{
	struct coord_identity id = kit_identity(n);
	struct coord *coord = NULL;
	bool fresh;
	int rc = coord_open(path, 0600, &id, &coord, &fresh);

	if (in_peer && rc != 0) {
		fprintf(stderr, "peer: %s\n", error_text());
		_exit(3);
	}
	if (!in_peer)
		ck_assert_msg(rc == 0, "%d: %s", rc, error_text());
	return coord;
}

void peer_start(struct peer *peer, const char *role, ...)
{
	const char *argv[16] = { "peer", "--role", role };
	int n = 3, in[2], out[2];
	va_list args;

	va_start(args, role);
	while (n < 15 && (argv[n] = va_arg(args, const char *)))
		n++;
	va_end(args);
	argv[n] = NULL;
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	fflush(NULL);
	peer->pid = fork();
	ck_assert_int_ge(peer->pid, 0);
	if (peer->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* none outlives a test that failed */
		dup2(in[0], 0);
		dup2(out[1], 1);
		execv("/proc/self/exe", (char **)(uintptr_t)argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	peer->in = in[1];
	peer->out = out[0];
}

void peer_say(const struct peer *peer, char c)
{
	ck_assert_int_eq(write(peer->in, &c, 1), 1);
}

char peer_hear(const struct peer *peer)
{
	char c = 0;
	ssize_t got;

	while ((got = read(peer->out, &c, 1)) < 0 && errno == EINTR)
		;
	ck_assert_msg(got == 1, "peer %d has ended", (int)peer->pid);
	return c;
}

void peer_kill(struct peer *peer)
{
	kill(peer->pid, SIGKILL);
	ck_assert_int_eq(waitpid(peer->pid, NULL, 0), peer->pid);
	close(peer->in);
	close(peer->out);
}

int peer_end(struct peer *peer)
{
	int status = 0;

	close(peer->in);
	ck_assert_int_eq(waitpid(peer->pid, &status, 0), peer->pid);
	close(peer->out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void test_say(char c)
{
	if (write(1, &c, 1) != 1)
		_exit(2);
}

char test_hear(void)
{
	char c;
	ssize_t got;

	while ((got = read(0, &c, 1)) < 0 && errno == EINTR)
		;
	if (got != 1)
		_exit(0);
	return c;
}

uint64_t kit_seed(void)
{
	static uint64_t seed;
	const char *given = getenv("SEED");

	if (!seed) {
		seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
		fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
	}
	return seed;
}

/* splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators). */
uint64_t kit_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

unsigned kit_rounds(unsigned often)
{
	return getenv("DURAMEN_SLOW") ? often * 10 : getenv("DURAMEN_BRIEF") ? often / 10 + 1 : often;
}

void kit_sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 }, NULL);
}

int kit_main(int argc, char **argv, const struct role *roles, Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	if (argc >= 3 && strcmp(argv[1], "--role") == 0) {
		srunner_free(runner);
		in_peer = true;
		for (const struct role *role = roles; role && role->name; role++)
			if (strcmp(role->name, argv[2]) == 0)
				return role->run(argc - 3, argv + 3);
		fprintf(stderr, "no role %s\n", argv[2]);
		return 2;
	}
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
