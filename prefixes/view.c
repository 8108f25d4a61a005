/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views. Closed ones are kept in a pool of their prefix, so that opening a snapshot allocates nothing: a
 * thread looks first where it put one back last. A view's stamp changes when it closes; collections carry
 * the stamp, so that one kept too long is found out.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "engine/unpack.h"
#include "engine/utf8.h"
#include "prefixes/prefix.h"

enum { DURABLE_TRIES = 1000 };  /* each of them means a flush by the writer in the meantime */

/* ---- The pool ---- */

static _Atomic uint32_t threads_seen;
static __thread uint32_t thread_place; /* 0: not told yet */

static uint32_t my_place(void)
{
	if (unlikely(thread_place == 0))
		thread_place = atomic_fetch_add(&threads_seen, 1) + 1;
	return thread_place % VIEW_POOL;
}

static dur_view *view_make(dur_prefix *p)
{
	dur_view *v;

	pthread_mutex_lock(&p->views_mutex);
	v = p->spare;
	if (v) {
		p->spare = v->next_spare;
	} else if ((v = calloc(1, sizeof *v))) {
		v->prefix = p;
		v->stamp = v->last_stamp = 1;
		v->raw = p->raw;
		v->next_made = p->views;
		p->views = v;
	}
	pthread_mutex_unlock(&p->views_mutex);
	return v;
}

static inline dur_view *view_take(dur_prefix *p)
{
	_Atomic(dur_view *) *place = &p->pool[my_place()];
	dur_view *v = NULL;

	if (atomic_load_explicit(place, memory_order_relaxed))
		v = atomic_exchange_explicit(place, NULL, memory_order_acquire);
	if (unlikely(!v))
		v = view_make(p);
	if (likely(v))
		v->generation = p->generation;
	return v;
}

static inline void view_give(dur_view *v)
{
	dur_prefix *p = v->prefix;
	dur_view *none = NULL;

	v->kind = VIEW_CLOSED;
	v->stamp = ++v->last_stamp;
	v->lent_stamp = 0;
	v->near.n = 0;
	if (unlikely(v->pager.unpack != NULL)) {
		unpack_rest(v->unpack);
		v->pager.unpack = NULL;
	}
	if (likely(atomic_compare_exchange_strong_explicit(&p->pool[my_place()], &none, v,
	                                                   memory_order_release, memory_order_relaxed)))
		return;
	pthread_mutex_lock(&p->views_mutex);
	v->next_spare = p->spare;
	p->spare = v;
	pthread_mutex_unlock(&p->views_mutex);
}

int views_busy(dur_prefix *p)
{
	unsigned open = 0;

	pthread_mutex_lock(&p->views_mutex);
	for (dur_view *v = p->views; v; v = v->next_made)
		open += v->kind != VIEW_CLOSED;
	pthread_mutex_unlock(&p->views_mutex);
	return open ? error_set(-EBUSY, "%u views, watches or logs of prefix %s are open: close them before you "
	                        "detach it", open, p->name) : 0;
}

int view_anchor(dur_prefix *p, dur_view **out)
{
	dur_view *v = view_take(p);

	*out = v;
	if (!v)
		return error_system(ENOMEM, "opening an iterator");
	v->kind = VIEW_ANCHOR;
	v->txn = NULL;
	v->tree = (struct tree){ 0 };
	v->catalog = &v->tree;
	return 0;
}

void views_free(dur_prefix *p)
{
	/* in the child of a fork some may be open, and what they end looks at other views */
	for (dur_view *v = p->views; v; v = v->next_made)
		if (v->model_end)
			v->model_end(v, true);
	for (dur_view *v = p->views, *next; v; v = next) {
		next = v->next_made;
		key_arena_free(&v->arena);
		unpack_free(v->unpack);
		free(v->nth);
		free(v);
	}
}

int view_check(const dur_view *v)
{
	if (!v)
		return error_set(DUR_E_MISUSE, "the view is NULL: dur_snapshot() or dur_begin() one first");
	if (v->generation != registry_generation)
		return error_set(DUR_E_FORKED, "this view belongs to the parent process: attach anew after a "
		                 "fork");
	if (v->kind == VIEW_CLOSED)
		return error_set(DUR_E_MISUSE, "this view has been closed");
	return 0;
}

/* ---- Snapshots ---- */

static int check_options(const dur_view_options *o, uint32_t flags, const char *call)
{
	if (o->reserved[0] | o->reserved[1] | o->reserved[2] | o->reserved[3])
		return error_set(DUR_E_MISUSE, "reserved fields of dur_view_options must be zero");
	if (o->flags & ~flags)
		return error_set(DUR_E_MISUSE, "%s does not take the flags 0x%x", call, o->flags & ~flags);
	if (o->lock_ms > INT_MAX)
		return error_set(DUR_E_MISUSE, "lock_ms is more than %d", INT_MAX);
	return 0;
}

static void unpin(dur_view *v)
{
	struct coord *coord = v->prefix->shared->coord;

	if (v->pin.kind)
		coord_unpin(coord, &v->pin);
	if (v->old_pin.kind)
		coord_unpin(coord, &v->old_pin);
}

/*
 * Pins a state of the past, then the newest anew, in which it must be retained (DESIGN, Readers).
 * known, if not NULL, is what state known_in said of it: good if that is the newest still.
 */
static int pin_old(dur_view *v, uint64_t state, const struct state *known, uint64_t known_in,
                   struct state *now, struct state *then)
{
	struct shared *s = v->prefix->shared;
	struct coord_published newest;
	int rc = coord_pin_state(s->coord, &v->old_pin, state);

	if (rc == 0)
		rc = pin_newest(s, &v->pin, &newest);
	if (rc == 0)
		rc = store_state(s->store, newest.state, newest.record, now);
	if (rc < 0)
		return rc;
	v->newest = newest.state;
	v->newest_record = newest.record;
	if (known && now->number == known_in) {
		*then = *known;
		return 0;
	}
	return store_find_before(s->store, now, state, then);
}

/*
 * A number that no data was committed under shows the state before it. That one is then pinned itself:
 * the pin of a later number does not keep it in the lists.
 */
static int open_old(dur_view *v, uint64_t state, const struct state *known, uint64_t known_in)
{
	struct shared *s = v->prefix->shared;
	struct state now, then;
	int rc;

	if (state == UINT64_MAX) /* means something else in shared memory */
		return error_set(DUR_E_GONE, "state %llu does not exist", (unsigned long long)state);
	rc = pin_old(v, state, known, known_in, &now, &then);
	if (rc == 0 && then.number != state) {
		unpin(v);
		state = then.number;
		rc = pin_old(v, state, NULL, 0, &now, &then);
	}
	if (rc == 0)
		rc = store_pager(s->store, &now, state, &v->writes, &v->unpack, &v->pager);
	if (rc < 0)
		return rc;
	v->tree = then.catalog;
	v->state = state;
	return 0;
}

/*
 * The newest state that is on disk; retention may have left it behind already, in newer states that are only
 * visible. While it is the durable one its pages stay (I1), and from the pin on they stay for us: if it is
 * durable still after the pin, whoever makes another one so finds the pin before anything is freed.
 */
static int open_durable(dur_view *v)
{
	struct shared *s = v->prefix->shared;
	struct coord_published before, after;
	uint64_t record;
	int rc = 0;

	for (unsigned tries = 0; rc == 0 && tries < DURABLE_TRIES; tries++) {
		coord_load(s->coord, &before);
		rc = coord_pin_state(s->coord, &v->pin, before.durable);
		if (rc < 0)
			break;
		coord_load(s->coord, &after);
		if (after.durable == before.durable &&
		    store_durable(s->store, before.durable, &record) == 0) {
			v->state = v->newest = before.durable;
			v->newest_record = record;
			return store_catalog(s->store, v->state, record, &v->tree);
		}
		unpin(v);
	}
	return rc < 0 ? rc : error_set(DUR_E_CORRUPT, "no commit slot names state %llu, which is said to be "
	                               "on disk", (unsigned long long)before.durable);
}

static int open_latest(dur_view *v)
{
	struct shared *s = v->prefix->shared;
	struct coord_published newest;
	int rc = pin_newest(s, &v->pin, &newest);

	if (likely(rc == 0))
		rc = store_catalog(s->store, newest.state, newest.record, &v->tree);
	v->state = v->newest = newest.state;
	v->newest_record = newest.record;
	return rc;
}

static int check_snapshot(dur_prefix *p, const dur_view_options *o, dur_view **snap)
{
	if (!snap)
		return error_set(DUR_E_MISUSE, "dur_snapshot() needs a place for the view");
	*snap = NULL;
	int rc = prefix_check(p);
	if (rc == 0 && o)
		rc = check_options(o, DUR_ON_DISK, "dur_snapshot()");
	if (rc == 0 && o && o->memory_bytes)
		rc = error_set(DUR_E_MISUSE, "snapshots within a bound of memory are not available in this "
		               "version: leave memory_bytes zero");
	return rc;
}

static inline int finish_snapshot(dur_view *v, int rc, dur_view **snap)
{
	if (unlikely(rc < 0)) {
		unpin(v);
		view_give(v);
		return rc;
	}
	v->kind = VIEW_SNAPSHOT;
	if (likely(!v->pager.unpack))
		v->pager = (struct pager){ .file = store_file(v->prefix->shared->store) };
	v->catalog = &v->tree;
	v->txn = NULL;
	*snap = v;
	return 0;
}

int view_open_known(dur_prefix *p, const struct state *known, uint64_t known_in, dur_view **snap)
{
	dur_view *v = view_take(p);

	*snap = NULL;
	if (!v)
		return error_system(ENOMEM, "opening a snapshot");
	return finish_snapshot(v, open_old(v, known->number, known, known_in), snap);
}

int dur_snapshot(dur_prefix *p, uint64_t state, const dur_view_options *o, dur_view **snap)
{
	dur_view *v;
	int rc;

	if (unlikely(!p || !snap || o || p->generation != registry_generation)) {
		rc = check_snapshot(p, o, snap);
		if (rc < 0)
			return rc;
	}
	*snap = NULL;
	v = view_take(p);
	if (unlikely(!v))
		return error_system(ENOMEM, "opening a snapshot");
	rc = state != DUR_LATEST ? open_old(v, state, NULL, 0) :
		unlikely(o && o->flags & DUR_ON_DISK) ? open_durable(v) : open_latest(v);
	return finish_snapshot(v, rc, snap);
}

/* ---- Transactions ---- */

static int check_begin(dur_prefix *p, const dur_view_options *o, dur_view **txn)
{
	if (!txn)
		return error_set(DUR_E_MISUSE, "dur_begin() needs a place for the view");
	*txn = NULL;
	int rc = prefix_check(p);
	if (rc == 0 && o && o->flags & DUR_OPTIMISTIC)
		rc = error_set(DUR_E_MISUSE, "optimistic transactions are not available in this version");
	if (rc == 0 && o)
		rc = check_options(o, DUR_NO_WAIT | DUR_LENIENT, "dur_begin()");
	if (rc == 0 && p->read_only)
		rc = error_set(DUR_E_READ_ONLY, "prefix %s is attached read-only: attach it without "
		               "DUR_READ_ONLY to write", p->name);
	return rc;
}

int dur_begin(dur_prefix *p, const dur_view_options *o, dur_view **txn)
{
	int rc = check_begin(p, o, txn), timeout;
	uint64_t memory;
	dur_view *v;

	if (rc < 0)
		return rc;
	timeout = o && o->flags & DUR_NO_WAIT ? 0 : o && o->lock_ms ? (int)o->lock_ms : p->lock_ms;
	memory = o && o->memory_bytes ? o->memory_bytes : p->memory_bytes;
	v = view_take(p);
	if (!v)
		return error_system(ENOMEM, "opening a transaction");
	rc = store_begin(p->shared->store, timeout, memory, &v->txn);
	if (rc < 0) {
		view_give(v);
		return rc;
	}
	v->kind = VIEW_TXN;
	v->pager = (struct pager){ .file = store_file(p->shared->store), .dirty = &v->txn->dirty };
	v->catalog = &v->txn->catalog;
	v->state = v->txn->number;
	v->failed = 0;
	v->lenient = o && o->flags & DUR_LENIENT;
	v->written_bytes = v->peak_bytes = 0;
	*txn = v;
	return 0;
}

static int check_commit(dur_view *v, const dur_commit_options *o)
{
	int rc = view_check(v);

	if (rc < 0)
		return rc;
	if (v->kind != VIEW_TXN)
		return error_set(DUR_E_READ_ONLY, "a snapshot cannot be committed: dur_begin() a transaction");
	if (!o)
		return 0;
	if (o->reserved[0] | o->reserved[1] | o->reserved[2] | o->reserved[3] | o->pad)
		return error_set(DUR_E_MISUSE, "reserved fields of dur_commit_options must be zero");
	if (o->flags & ~(uint32_t)DUR_ASYNC)
		return error_set(DUR_E_MISUSE, "dur_commit() does not take the flags 0x%x",
		                 o->flags & ~(uint32_t)DUR_ASYNC);
	if (o->label && strlen(o->label) > 63)
		return error_set(DUR_E_LIMIT, "a label has at most 63 bytes, this one has %zu",
		                 strlen(o->label));
	if (o->label && utf8_valid(o->label, strlen(o->label)) != strlen(o->label))
		return error_set(DUR_E_MISUSE, "a label is text, this one is not UTF-8");
	return o->name ? state_name_check(o->name) : 0;
}

/* The engine has aborted the transaction: what it wrote cannot be read any more either. */
static void view_fail(dur_view *v, int rc)
{
	v->txn = NULL;
	v->failed = rc;
	v->tree = (struct tree){ 0 };
	v->catalog = &v->tree;
	v->pager.dirty = NULL;
	v->stamp = ++v->last_stamp;
}

int dur_commit(dur_view *v, const dur_commit_options *o, uint64_t *state)
{
	struct commit_options co = { .async = o && o->flags & DUR_ASYNC, .label = o ? o->label : NULL,
		.name = o ? o->name : NULL };
	struct coord_pin pin = { 0 };
	uint64_t state_kept;
	struct shared *s;
	struct state made;
	int rc = check_commit(v, o);

	if (rc < 0)
		return rc;
	if (v->failed && (!v->lenient || !v->txn))
		return error_set(v->failed, "a write in this transaction failed (%s): close it and begin again, "
		                 "or roll back to a mark before that",
		                 dur_strerror(v->failed));
	s = v->prefix->shared;
	v->peak_bytes = (uint64_t)v->txn->dirty.peak << PAGE_SHIFT;
	/* pinned before it exists: once published, the next commit may retire its pages at any time; the
	 * base is the newest state while we have the turn */
	state_kept = store_is_empty(v->txn, &co) ? v->txn->base.number : v->txn->number;
	rc = coord_pin_state(s->coord, &pin, state_kept);
	if (rc < 0)
		return rc;
	rc = store_commit(v->txn, &co, &made);
	if (rc < 0) {
		coord_unpin(s->coord, &pin);
		if (rc == DUR_E_FAILED)
			view_fail(v, rc);
		return rc;
	}
	v->txn = NULL;
	v->kind = VIEW_SNAPSHOT;
	v->tree = made.catalog;
	v->catalog = &v->tree;
	v->pager.dirty = NULL;
	v->pin = pin;
	v->writes++;
	v->written_bytes = made.number == v->state ? made.written_bytes : 0;
	v->state = v->newest = made.number;
	v->newest_record = made.record;
	if (state)
		*state = made.number;
	keeper_wake(s, co.async);
	return 0;
}

void dur_close(dur_view *v)
{
	if (unlikely(!v || v->kind == VIEW_CLOSED))
		return;
	if (unlikely(v->generation != registry_generation)) {
		v->kind = VIEW_CLOSED; /* its memory goes with the prefix's handle */
		return;
	}
	if (unlikely(v->iters != NULL || v->rows_used || v->kept || v->marks))
		v->model_end(v, false);
	if (v->kind == VIEW_TXN && v->txn)
		store_abort(v->txn);
	v->txn = NULL;
	if (unlikely(v->written_bytes | v->peak_bytes | v->pages_read)) /* the next has cost nothing yet */
		v->written_bytes = v->peak_bytes = v->pages_read = 0;
	unpin(v);
	view_give(v);
}

uint64_t dur_state(const dur_view *v)
{
	return v && v->generation == registry_generation && v->kind != VIEW_CLOSED ? v->state : 0;
}

int dur_cost(const dur_view *v, dur_view_cost *out)
{
	int rc = view_check(v);

	if (rc < 0)
		return rc;
	if (!out)
		return error_set(DUR_E_MISUSE, "dur_cost() needs a place for the figures");
	*out = (dur_view_cost){
		.pages_read = v->pages_read,
		.pages_unpacked = v->pager.unpack ? unpack_decoded(v->pager.unpack) : 0,
		.written_bytes = v->written_bytes,
		.memory_peak_bytes = v->peak_bytes,
	};
	if (v->txn) {
		out->memory_bytes = (uint64_t)v->txn->dirty.live << PAGE_SHIFT;
		out->memory_peak_bytes = (uint64_t)v->txn->dirty.peak << PAGE_SHIFT;
		out->written_bytes = v->txn->dirty.spilled_bytes;
	}
	return 0;
}
