/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batches take turns: the thread fills one while the caller has the other. Signals are the
 * thread's, so that they end a read that waits for a pipe; so does SIGUSR1, should the caller want
 * to end.
 */
#include "batches.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "message.h"
#include "stop.h"

#define BATCH_BYTES ((size_t)64 << 20) /* a batch of large values ends here */

static void mask_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(how, &set, NULL);
}

/* ---- The thread ---- */

static void make_room(struct batch *b)
{
	if (b->n < b->cap)
		return;
	b->cap = b->cap ? 2 * b->cap : 1024;
	b->keys = realloc(b->keys, b->cap * sizeof *b->keys);
	b->values = realloc(b->values, b->cap * sizeof *b->values);
	b->places = realloc(b->places, b->cap * sizeof *b->places);
	if (b->keys == NULL || b->values == NULL || b->places == NULL)
		out_of_memory();
}

static struct batch *at_hand(struct batches *s)
{
	return &s->batch[s->read % 2];
}

/* What stands before the value is to be there first: all batches before this one are put. */
static int begin_value(void *ctx, dur_coll *c, const dur_value **key)
{
	struct batches *s = ctx;
	struct batch *b = at_hand(s);

	pthread_mutex_lock(&s->mutex);
	while (s->put < s->read && !s->stop)
		pthread_cond_wait(&s->changed, &s->mutex);
	pthread_mutex_unlock(&s->mutex);
	if (s->stop)
		return EXIT_FAILED; /* the caller has said why */
	*key = s->reader.key;
	struct batch_place at = { s->reader.line, s->reader.column };
	int status = s->begin(s->ctx, b, at, c, key);
	b->stored = status == 0;
	return status;
}

static enum batch_end fail_batch(struct batches *s, struct batch *b)
{
	if (stop_requested())
		snprintf(b->error, sizeof b->error, "interrupted");
	else if (s->reader.builder.status == 0)
		memcpy(b->error, s->reader.error, sizeof b->error);
	return BATCH_WRONG;
}

static enum batch_end read_batch(struct batches *s, struct batch *b)
{
	arena_reset(&b->arena);
	b->stored = false;
	b->error[0] = '\0';
	for (b->n = 0; b->n < s->most && b->arena.total < BATCH_BYTES && !b->stored; b->n++) {
		make_room(b);
		int rc = entry_read(&s->reader, &b->arena, &b->keys[b->n], &b->values[b->n]);
		if (rc < 0 || s->stop || stop_requested())
			return fail_batch(s, b);
		b->bytes = s->reader.bytes;
		if (rc == 1)
			return BATCH_LAST;
		b->places[b->n] = (struct batch_place){ s->reader.line, s->reader.column };
	}
	return BATCH_MORE;
}

static void *read_all(void *ctx)
{
	struct batches *s = ctx;
	enum batch_end end = BATCH_MORE;

	mask_signals(SIG_UNBLOCK);
	while (end == BATCH_MORE && !s->stop) {
		struct batch *b = at_hand(s);
		end = b->end = read_batch(s, b);
		pthread_mutex_lock(&s->mutex);
		s->read++;
		pthread_cond_signal(&s->changed);
		while (s->read - s->put == 2 && !s->stop)
			pthread_cond_wait(&s->changed, &s->mutex);
		pthread_mutex_unlock(&s->mutex);
	}
	pthread_mutex_lock(&s->mutex);
	s->ended = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

/* ---- The caller ---- */

static void wake(int number)
{
	(void)number;
}

int batches_start(struct batches *s, FILE *file, enum format format)
{
	struct sigaction action = { .sa_handler = wake };

	sigaction(SIGUSR1, &action, NULL);
	entry_reader_init(&s->reader, file, format);
	s->reader.builder.begin = begin_value;
	s->reader.builder.ctx = s;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->changed, NULL);
	mask_signals(SIG_BLOCK);
	int rc = pthread_create(&s->thread, NULL, read_all, s);
	if (rc == 0)
		return 0;
	mask_signals(SIG_UNBLOCK);
	entry_reader_free(&s->reader);
	return refuse(EXIT_FAILED, "cannot start a thread: %s", strerror(rc));
}

struct batch *batches_next(struct batches *s)
{
	pthread_mutex_lock(&s->mutex);
	s->put += s->taken;
	s->taken = true;
	pthread_cond_signal(&s->changed);
	while (s->read == s->put)
		pthread_cond_wait(&s->changed, &s->mutex);
	pthread_mutex_unlock(&s->mutex);
	return &s->batch[s->put % 2];
}

void batches_end(struct batches *s)
{
	pthread_mutex_lock(&s->mutex);
	s->stop = true;
	pthread_cond_signal(&s->changed);
	while (!s->ended) {
		struct timespec soon;
		pthread_kill(s->thread, SIGUSR1); /* it may have come just before a read: again */
		clock_gettime(CLOCK_REALTIME, &soon);
		soon.tv_nsec += 10000000;
		if (soon.tv_nsec >= 1000000000) {
			soon.tv_sec++;
			soon.tv_nsec -= 1000000000;
		}
		pthread_cond_timedwait(&s->changed, &s->mutex, &soon);
	}
	pthread_mutex_unlock(&s->mutex);
	pthread_join(s->thread, NULL);
	mask_signals(SIG_UNBLOCK);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->mutex);
	entry_reader_free(&s->reader);
	for (int i = 0; i < 2; i++) {
		arena_free(&s->batch[i].arena);
		free(s->batch[i].keys);
		free(s->batch[i].values);
		free(s->batch[i].places);
	}
}
