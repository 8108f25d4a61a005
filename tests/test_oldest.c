/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing the oldest of very many states costs no more than adding one, in pages: those that a
 * commit reads, each once, and those that it writes. What it reads is counted by the processor: the
 * file's mapping is closed before each commit, and a page that is touched opens with a fault.
 *
 * Quick runs keep 6,000 states, with DURAMEN_SLOW=1 it is 100,000.
 */
#include "store_kit.h"
#include "ipc_kit.h"

#include "engine/store_private.h"
#include "internal/error.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Two folds lie between two measurements of so many commits, and more than one in each. */
enum { MEASURED = 1024, SETTLING = 600 };

static struct machine m;
static struct process process;
static uint64_t rng;

/* ---- Pages that are read ---- */

static uint8_t *mapped; /* NULL: nothing is counted */
static uint64_t mapped_bytes;
static volatile sig_atomic_t touched;

static void on_fault(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr, base = (uintptr_t)mapped;

	(void)context;
	if (!mapped || at < base || at >= base + mapped_bytes) {
		signal(number, SIG_DFL); /* a true one: it comes again */
		return;
	}
	touched++;
	mprotect(mapped + ((at - base) & ~(uint64_t)(PAGE_SIZE - 1)), PAGE_SIZE, PROT_READ);
}

static void mapping_close(void)
{
	struct file *file = store_file(process.store);

	mapped = (uint8_t *)(uintptr_t)file->windows[0].base;
	mapped_bytes = atomic_load(&file->pages) << PAGE_SHIFT;
	ck_assert_int_eq(mprotect(mapped, mapped_bytes, PROT_NONE), 0);
}

static void mapping_open(void)
{
	ck_assert_int_eq(mprotect(mapped, mapped_bytes, PROT_READ), 0);
	mapped = NULL;
}

/* ---- Commits ---- */

static void ok(int rc)
{
	ck_assert_msg(rc == 0, "%d: %s", rc, error_text());
}

static void commit(struct state *state)
{
	/* not the large values: adding one of these is dear, and removing it is not */
	unsigned key = (unsigned)(kit_random(&rng) % KIT_RUN_KEYS);

	ok(process_commit(&process, key, 1 + (uint32_t)(kit_random(&rng) % 1000000), true, state));
}

static void commits(unsigned n)
{
	struct state state;

	while (n-- > 0) {
		commit(&state);
		if (n % 64 == 0) /* what is retired waits for that */
			ok(store_sync(process.store));
	}
}

struct cost {
	uint64_t read, written, read_most; /* pages, of all commits and of one */
	uint64_t states;        /* retained afterwards */
};

static struct cost measure(void)
{
	struct cost cost = { 0 };
	struct state state;

	for (unsigned i = 0; i < MEASURED; i++) {
		uint64_t before = (uint64_t)touched;
		mapping_close();
		commit(&state);
		mapping_open();
		before = (uint64_t)touched - before;
		cost.read += before;
		cost.read_most = before > cost.read_most ? before : cost.read_most;
		cost.written += state.written_bytes >> PAGE_SHIFT;
		cost.states = state.states;
		if (i % 64 == 0)
			ok(store_sync(process.store));
	}
	return cost;
}

static void keep(const char *policy)
{
	struct commit_options options = { .keep = policy };
	struct state state;
	struct txn *txn;

	ok(store_begin(process.store, 0, 0, &txn));
	ok(store_commit(txn, &options, &state));
}

START_TEST(the_oldest_goes)
{
	uint64_t states = getenv("DURAMEN_SLOW") ? 100000 : 6000;
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	struct cost adding, both;
	char policy[32];

	rng = kit_seed();
	ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
	machine_make(&m, kit_random(&rng), "all");
	ok(process_attach(&m, &process));
	commits((unsigned)(states - MEASURED - SETTLING - 1));
	adding = measure();
	snprintf(policy, sizeof policy, "last:%" PRIu64, states);
	keep(policy);
	commits(SETTLING);
	both = measure();
	ck_assert_uint_lt(adding.states, states);
	ck_assert_uint_eq(both.states, states); /* each commit took the oldest away */
	ck_assert_uint_gt(adding.read, MEASURED); /* it does count */
	ck_assert_msg(both.read + both.written <= 2 * (adding.read + adding.written),
	              "adding: %" PRIu64 " pages read, %" PRIu64 " written; with removing: %" PRIu64
	              ", %" PRIu64, adding.read, adding.written, both.read, both.written);
	ck_assert_msg(both.read_most <= 2 * adding.read_most, "at most %" PRIu64 ", %" PRIu64,
	              adding.read_most, both.read_most);
	ok(process_check(&process));
	ok(process_detach(&process));
	machine_free(&m);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("oldest");
	TCase *t = tcase_create("oldest");

	tcase_add_test(t, the_oldest_goes);
	suite_add_tcase(s, t);
	return s;
}

int main(int argc, char **argv)
{
	return kit_main(argc, argv, NULL, suite());
}
