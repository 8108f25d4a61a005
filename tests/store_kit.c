/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/store_kit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "duramen.h"
#include "engine/refs.h"
#include "engine/run.h"
#include "internal/bytes.h"
#include "internal/error.h"
#include "tests/ipc_kit.h"
#include "tests/scratch.h"

enum { CELL_PLAIN = DUR_BYTES, RUN_BYTES = 5000, KEY_BYTES = 8, MAP_CELL = 1800 };

uint64_t machine_random(struct machine *machine, uint64_t below)
{
	return kit_random(&machine->random) % below;
}

/* ---- The host ---- */

/* One call of a process to shared memory; false: it is dead, so nothing happens. */
static bool alive(struct process *process)
{
	if (process->kill_at_call && --process->kill_at_call == 0) {
		fault_kill_at(process->io, 1);
		process->dead = true;
	}
	if (fault_killed(process->io))
		process->dead = true;
	return !process->dead;
}

static int host_lock(void *ctx, int timeout_ms, struct store_shared *found)
{
	struct process *process = ctx;
	struct machine *m = process->machine;
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += timeout_ms % 1000 * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&m->mutex);
	m->wanted++;
	while (m->holder && rc == 0)
		rc = timeout_ms < 0 ? pthread_cond_wait(&m->unlocked, &m->mutex)
		                    : pthread_cond_timedwait(&m->unlocked, &m->mutex, &until);
	m->wanted--;
	rc = m->holder || !alive(process) ? error_set(DUR_E_LOCKED, "another process has the lock")
	                                  : 0;
	if (rc == 0) {
		m->holder = process;
		*found = m->words;
		found->ours = m->unlocked_last == process;
		m->words.clean = false;
	}
	pthread_mutex_unlock(&m->mutex);
	return rc;
}

static void host_unlock(void *ctx, const struct store_shared *words)
{
	struct process *process = ctx;
	struct machine *m = process->machine;

	pthread_mutex_lock(&m->mutex);
	if (alive(process)) {
		m->words.clean = words->clean;
		m->words.next = words->next;
		m->words.epoch = words->epoch;
		m->unlocked_last = process;
	}
	if (m->holder == process)
		m->holder = NULL;
	pthread_cond_broadcast(&m->unlocked);
	pthread_mutex_unlock(&m->mutex);
}

static bool host_wanted(void *ctx)
{
	struct machine *m = ((struct process *)ctx)->machine;

	pthread_mutex_lock(&m->mutex);
	bool wanted = m->wanted > 0;
	pthread_mutex_unlock(&m->mutex);
	return wanted;
}

static void host_publish(void *ctx, uint64_t state, uint64_t record, bool durable)
{
	struct process *process = ctx;
	struct machine *m = process->machine;

	pthread_mutex_lock(&m->mutex);
	if (alive(process)) {
		m->went_back |= state < m->published_max;
		m->published_max = state;
		m->words.visible = state;
		m->words.record = record;
		if (durable)
			m->words.durable = state;
	}
	pthread_mutex_unlock(&m->mutex);
}

static void host_durable(void *ctx, uint64_t state)
{
	struct process *process = ctx;
	struct machine *m = process->machine;

	pthread_mutex_lock(&m->mutex);
	if (alive(process))
		m->words.durable = state;
	pthread_mutex_unlock(&m->mutex);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int host_pins(void *ctx, struct store_pins *pins)
{
	struct process *process = ctx;
	struct machine *m = process->machine;

	*pins = (struct store_pins){ .states = process->scan, .from = UINT64_MAX };
	pthread_mutex_lock(&m->mutex);
	m->pin_scans++;
	for (int i = 0; i < KIT_PINS; i++)
		if (m->pins[i])
			process->scan[pins->n++] = m->pins[i];
	pins->everything = m->pin_everything;
	pthread_mutex_unlock(&m->mutex);
	qsort(process->scan, pins->n, sizeof *process->scan, compare);
	return 0;
}

static void host_log(void *ctx, int level, const char *text)
{
	struct process *process = ctx;
	struct machine *m = process->machine;

	pthread_mutex_lock(&m->mutex);
	if (!process->dead && !fault_killed(process->io)) {
		m->logged[level & 7]++;
		snprintf(m->last_log, sizeof m->last_log, "%s", text);
		if (getenv("KIT_VERBOSE"))
			fprintf(stderr, "log %d: %s\n", level, text);
	}
	pthread_mutex_unlock(&m->mutex);
}

/* ---- Gates ---- */

static int gate_write(struct io *io, const struct io_write *write)
{
	struct io *inner = ((struct gate *)io)->inner;

	return inner->ops->write(inner, write);
}

static int gate_write_sync(struct io *io, const struct io_write *writes, unsigned n,
                           void (*written)(void *ctx), void *ctx)
{
	struct gate *gate = (struct gate *)io;
	struct io *inner = gate->inner;
	int rc = 0;

	for (unsigned i = 0; i < n && rc == 0; i++)
		rc = inner->ops->write(inner, &writes[i]);
	if (rc < 0)
		return rc;
	if (written)
		written(ctx);
	pthread_mutex_lock(&gate->mutex);
	gate->held++;
	pthread_cond_broadcast(&gate->changed);
	while (gate->closed && !gate->passes)
		pthread_cond_wait(&gate->changed, &gate->mutex);
	gate->held--;
	gate->passes -= gate->passes > 0;
	pthread_mutex_unlock(&gate->mutex);
	return inner->ops->write_sync(inner, NULL, 0, NULL, NULL);
}

static void gate_start(struct io *io, uint64_t offset, uint64_t len)
{
	struct io *inner = ((struct gate *)io)->inner;

	inner->ops->start(inner, offset, len);
}

static int gate_punch(struct io *io, uint64_t offset, uint64_t len)
{
	struct io *inner = ((struct gate *)io)->inner;

	return inner->ops->punch(inner, offset, len);
}

static int gate_reserve(struct io *io, uint64_t offset, uint64_t len)
{
	struct io *inner = ((struct gate *)io)->inner;

	return inner->ops->reserve(inner, offset, len);
}

static void gate_no_close(struct io *io)
{
	(void)io; /* lives as long as the machine */
}

static const struct io_ops gate_ops = {
	.name = "gate",
	.write = gate_write,
	.write_sync = gate_write_sync,
	.start = gate_start,
	.punch = gate_punch,
	.reserve = gate_reserve,
	.close = gate_no_close,
};

static struct gate *gate_new(struct machine *machine, struct io *inner)
{
	struct gate *gate = calloc(1, sizeof *gate);

	ck_assert_ptr_nonnull(gate);
	gate->io = (struct io){ &gate_ops, inner->fd };
	gate->inner = inner;
	pthread_mutex_init(&gate->mutex, NULL);
	pthread_cond_init(&gate->changed, NULL);
	gate->next = machine->gates;
	machine->gates = gate;
	return gate;
}

static void gates_free(struct machine *machine)
{
	for (struct gate *g = machine->gates, *next; g; g = next) {
		next = g->next;
		pthread_mutex_destroy(&g->mutex);
		pthread_cond_destroy(&g->changed);
		free(g);
	}
	machine->gates = NULL;
}

static void gate_set(struct gate *gate, bool closed)
{
	pthread_mutex_lock(&gate->mutex);
	gate->closed = closed;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->mutex);
}

void gate_close(struct process *process)
{
	gate_set(process->gate, true);
}

void gate_open(struct process *process)
{
	gate_set(process->gate, false);
}

void gate_pass(struct process *process)
{
	struct gate *gate = process->gate;

	pthread_mutex_lock(&gate->mutex);
	gate->passes++;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->mutex);
}

void gate_wait_held(struct process *process)
{
	struct gate *gate = process->gate;

	pthread_mutex_lock(&gate->mutex);
	while (!gate->held)
		pthread_cond_wait(&gate->changed, &gate->mutex);
	pthread_mutex_unlock(&gate->mutex);
}

/* ---- Machines ---- */

static int64_t machine_clock(void *ctx)
{
	return ((struct machine *)ctx)->now_ns;
}

void machine_make(struct machine *machine, uint64_t seed, const char *keep)
{
	machine_make_at(machine, seed, keep, 0);
}

void machine_make_at(struct machine *machine, uint64_t seed, const char *keep, int64_t now_ns)
{
	struct store_options options = { .keep = keep, .file_flags = FILE_RAW,
		.clock = now_ns ? machine_clock : NULL, .clock_ctx = machine };

	*machine = (struct machine){ .random = seed, .fd = scratch_open(), .now_ns = now_ns };
	pthread_mutex_init(&machine->mutex, NULL);
	pthread_cond_init(&machine->unlocked, NULL);
	ck_assert_msg(store_create(machine->fd, &options) == 0, "%s", error_text());
	machine->disk = fault_disk_new(machine->fd, seed + 1);
}

void machine_free(struct machine *machine)
{
	fault_disk_free(machine->disk);
	gates_free(machine);
	close(machine->fd);
	pthread_cond_destroy(&machine->unlocked);
	pthread_mutex_destroy(&machine->mutex);
}

struct store_shared machine_words(struct machine *machine)
{
	pthread_mutex_lock(&machine->mutex);
	struct store_shared words = machine->words;
	pthread_mutex_unlock(&machine->mutex);
	return words;
}

void machine_power_cut(struct machine *machine, enum fault_cut how)
{
	int image = scratch_open();

	ck_assert(machine->holder == NULL);
	ck_assert_int_eq(fault_cut(machine->disk, how, image), 0);
	fault_disk_free(machine->disk);
	gates_free(machine);
	close(machine->fd);
	machine->fd = image;
	machine->disk = fault_disk_new(image, machine_random(machine, UINT64_MAX));
	machine->words = (struct store_shared){ 0 };
	machine->published_max = 0;
	memset(machine->pins, 0, sizeof machine->pins);
}

int process_attach(struct machine *machine, struct process *process)
{
	struct store_host host = { process,      host_lock,    host_unlock, host_wanted,
		                   host_publish, host_durable, host_pins,   host_log };
	struct store_options options = { .async_ms = 60000,
		.clock = machine->now_ns ? machine_clock : NULL, .clock_ctx = machine };
	int rc;

	if (machine->unlocked_last == process)
		machine->unlocked_last = NULL; /* that was another one */
	*process = (struct process){ .machine = machine, .io = fault_io(machine->disk) };
	options.io = process->io;
	if (machine->gated) {
		process->gate = gate_new(machine, process->io);
		options.io = &process->gate->io;
	}
	rc = store_open(dup(machine->fd), false, &options, &host, &process->store);
	fault_kill_at(process->io, machine->kill_attach);
	machine->kill_attach = 0;
	if (rc == 0 && (machine->words.visible == 0 || !machine->words.clean) && !machine->holder) {
		rc = store_recover(process->store, 1000);
		if (rc < 0) {
			store_close(process->store);
			process->store = NULL;
			if (machine->holder == process)
				machine->holder = NULL;
		}
	}
	fault_kill_at(process->io, 0);
	return rc;
}

int process_detach(struct process *process)
{
	int rc = store_close(process->store);

	process->store = NULL;
	return rc;
}

void process_kill(struct process *process)
{
	struct machine *m = process->machine;

	/*
	 * dies before its next operation: an empty one takes the blow, so that closing writes no
	 * part of it
	 */
	fault_kill_at(process->io, 1);
	process->io->ops->write(process->io, &(struct io_write){ 0 });
	process->dead = true;
	if (process->store)
		store_close(process->store);
	process->store = NULL;
	if (m->holder == process)
		m->holder = NULL;
}

/* ---- Values ---- */

static void key_make(unsigned key, uint8_t bytes[KEY_BYTES])
{
	memcpy(bytes, "key.", 4);
	bytes[4] = (uint8_t)(key >> 24);
	bytes[5] = (uint8_t)(key >> 16);
	bytes[6] = (uint8_t)(key >> 8);
	bytes[7] = (uint8_t)key;
}

int values_put(struct txn *txn, unsigned key, uint32_t value)
{
	uint8_t name[KEY_BYTES], cell[64] = { 0 };
	int rc = 0;

	key_make(key, name);
	if (value == 0) {
		rc = tree_del(&txn->dirty, &txn->catalog, name, sizeof name);
		return rc == 1 ? 0 : rc;
	}
	cell[0] = CELL_PLAIN;
	put_u32(cell + 1, value);
	if (key >= KIT_RUN_KEYS) {
		uint8_t data[RUN_BYTES];
		struct page_ptr ptr;
		for (size_t i = 0; i + 4 <= sizeof data; i += 4)
			put_u32(data + i, value);
		rc = run_write(&txn->dirty, data, sizeof data, &ptr);
		cell[0] = CELL_PLAIN | CELL_RUN;
		put_u64(cell + 1, ptr.birth);
		put_u48(cell + 9, ptr.no);
		put_u64(cell + 15, sizeof data);
		if (rc == 0)
			rc = tree_put(&txn->dirty, &txn->catalog, name, sizeof name, cell, 23,
			              NULL);
	} else {
		rc = tree_put(&txn->dirty, &txn->catalog, name, sizeof name, cell, 50, NULL);
	}
	return rc < 0 ? rc : dirty_relieve(&txn->dirty);
}

/* ---- Nested maps ---- */

static void map_make(unsigned map, uint8_t bytes[KEY_BYTES])
{
	memcpy(bytes, "map.0000", KEY_BYTES);
	bytes[7] = (uint8_t)('0' + map);
}

static struct tree map_tree(const uint8_t *cell)
{
	struct nest_tree nest;

	nest_tree_read(cell, &nest);
	return (struct tree){ .root = nest.root, .count = nest.count, .depth = nest.depth };
}

/* The catalog learns where the map is now. cell: where it stood, NULL: nowhere. */
static int map_tell(struct txn *txn, const uint8_t name[KEY_BYTES], const struct tree *tree,
                    uint8_t *cell)
{
	struct nest_tree nest = { .kind = DUR_RAW_MAP, .depth = tree->depth, .placed = txn->number,
		                  .root = tree->root, .count = tree->count };
	uint8_t fresh[NEST_TREE_CELL];

	if (!tree->count)
		return cell ? tree_del_moved(&txn->dirty, &txn->catalog, name, KEY_BYTES) : 0;
	nest_tree_write(fresh, &nest);
	if (!cell)
		return tree_put(&txn->dirty, &txn->catalog, name, KEY_BYTES, fresh, sizeof fresh,
		                NULL);
	memcpy(cell, fresh, sizeof fresh);
	return 0;
}

int maps_put(struct txn *txn, unsigned map, unsigned from, unsigned n, uint32_t value)
{
	uint8_t name[KEY_BYTES], key[KEY_BYTES], data[MAP_CELL] = { CELL_PLAIN }, *cell = NULL;
	struct tree tree = { 0 };
	size_t len;
	int rc;

	map_make(map, name);
	rc = tree_own(&txn->dirty, &txn->catalog, name, sizeof name, &cell, &len);
	if (rc == 0)
		tree = map_tree(cell);
	put_u32(data + 1, value);
	for (unsigned i = from; i < from + n && rc >= 0; i++) {
		key_make(i, key);
		if (value)
			rc = tree_put(&txn->dirty, &tree, key, sizeof key, data, sizeof data, NULL);
		else
			rc = tree_del(&txn->dirty, &tree, key, sizeof key);
	}
	if (rc >= 0)
		rc = map_tell(txn, name, &tree, cell);
	return rc < 0 ? rc : dirty_relieve(&txn->dirty);
}

int maps_remove(struct txn *txn, unsigned map)
{
	uint8_t name[KEY_BYTES];

	map_make(map, name);
	int rc = tree_del(&txn->dirty, &txn->catalog, name, sizeof name);
	return rc < 0 ? rc : 0;
}

int maps_copy(struct txn *txn, unsigned to, unsigned from)
{
	struct pager pager = { .file = txn->dirty.file, .dirty = &txn->dirty };
	uint8_t name[KEY_BYTES], copy[NEST_TREE_CELL];
	struct cell cell;
	int rc;

	map_make(from, name);
	rc = tree_get(&pager, &txn->catalog, name, sizeof name, &cell);
	if (rc)
		return rc < 0 ? rc : maps_remove(txn, to);
	rc = ref_share_cell(&txn->dirty, cell.bytes, cell.len);
	if (rc < 0)
		return rc;
	memcpy(copy, cell.bytes, sizeof copy);
	map_make(to, name);
	rc = tree_put(&txn->dirty, &txn->catalog, name, sizeof name, copy, sizeof copy, NULL);
	return rc < 0 ? rc : dirty_relieve(&txn->dirty);
}

static int map_read(const struct pager *pager, const struct tree *catalog, unsigned map,
                    uint32_t of[KIT_MAP_KEYS])
{
	uint8_t name[KEY_BYTES];
	struct cell cell;
	int rc;

	map_make(map, name);
	rc = tree_get(pager, catalog, name, sizeof name, &cell);
	if (rc)
		return rc < 0 ? rc : 0;
	struct tree tree = map_tree(cell.bytes);
	for (unsigned key = 0; key < KIT_MAP_KEYS && rc >= 0; key++) {
		key_make(key, name);
		rc = tree_get(pager, &tree, name, sizeof name, &cell);
		of[key] = rc == 0 ? get_u32(cell.bytes + 1) : 0;
	}
	return rc < 0 ? rc : 0;
}

static int run_value(struct file *file, const struct cell *cell, uint32_t *value)
{
	struct page_ptr ptr = { get_u48(cell->bytes + 9), get_u64(cell->bytes + 1) };
	const uint8_t *data;
	int rc = run_read(file, ptr, get_u64(cell->bytes + 15), (const void **)&data);

	if (rc == 0)
		*value = get_u32(data);
	bool same = true; /* one assertion a run: each costs a write to libcheck's pipe */
	for (size_t i = 0; i + 4 <= RUN_BYTES && rc == 0; i += 4)
		same &= get_u32(data + i) == *value;
	ck_assert_msg(same, "a large value is not what was put");
	return rc;
}

int values_read(struct process *process, uint64_t state, uint64_t record, struct values *values)
{
	struct tree catalog;
	int rc = store_catalog(process->store, state, record, &catalog);

	return rc < 0 ? rc : values_read_tree(process, &catalog, values);
}

int values_read_tree(struct process *process, const struct tree *catalog, struct values *values)
{
	struct pager pager = { .file = store_file(process->store) };
	int rc = 0;

	memset(values, 0, sizeof *values);
	for (unsigned key = 0; key < KIT_KEYS && rc == 0; key++) {
		uint8_t name[KEY_BYTES];
		struct cell cell;
		key_make(key, name);
		rc = tree_get(&pager, catalog, name, sizeof name, &cell);
		if (rc == 0 && key >= KIT_RUN_KEYS)
			rc = run_value(pager.file, &cell, &values->of[key]);
		else if (rc == 0)
			values->of[key] = get_u32(cell.bytes + 1);
		rc = rc == 1 ? 0 : rc;
	}
	for (unsigned map = 0; map < KIT_MAPS && rc == 0; map++)
		rc = map_read(&pager, catalog, map, values->map[map]);
	return rc;
}

int process_commit(struct process *process, unsigned key, uint32_t value, bool async,
                   struct state *state)
{
	struct commit_options options = { .async = async };
	struct state made;
	struct txn *txn;
	int rc = store_begin(process->store, 1000, 0, &txn);

	if (rc < 0)
		return rc;
	rc = values_put(txn, key, value);
	if (rc < 0) {
		store_abort(txn);
		return rc;
	}
	rc = store_commit(txn, &options, &made);
	if (rc < 0 && rc != DUR_E_FAILED)
		store_abort(txn);
	if (rc == 0 && state)
		*state = made;
	return rc;
}

static void report(void *ctx, const struct store_problem *problem)
{
	(void)ctx;
	fprintf(stderr, "page %llu, state %llu: %s\n", (unsigned long long)problem->page,
	        (unsigned long long)problem->state, problem->text);
}

int process_check(struct process *process)
{
	struct machine *m = process->machine;
	struct check_options options = { .history = true, .report = report };
	struct state newest;
	int rc = store_state(process->store, m->words.visible, m->words.record, &newest);

	return rc < 0 ? rc : store_check(process->store, &newest, &options);
}
