/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine asks of shared memory (engine/store.h), answered by the coordination file. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>

#include "prefixes/prefix.h"

/*
 * The path may lead elsewhere by now: a file that was replaced must not be written to. Its times are
 * not asked for, as file_refresh() explains.
 */
static int still_here(const struct shared *s)
{
	struct statx st;

	if (!s->path)
		return 0;
	if (statx(AT_FDCWD, s->path, 0, STATX_INO, &st) == 0 &&
	    makedev(st.stx_dev_major, st.stx_dev_minor) == s->device && st.stx_ino == s->inode)
		return 0;
	return error_set(-ESTALE, "%s is not the file that was attached any more (it was replaced, moved or "
	                 "removed): detach it and attach it anew", s->path);
}

static int host_lock(void *ctx, int timeout_ms, struct store_shared *found)
{
	struct shared *s = ctx;
	struct coord_published published;
	struct coord_writer words;
	int fd = store_file(s->store)->fd, rc;

	rc = coord_lock(s->coord, fd, timeout_ms);
	if (rc < 0)
		return rc;
	rc = still_here(s);
	if (rc < 0) {
		coord_unlock(s->coord, fd);
		return rc;
	}
	coord_load(s->coord, &published);
	coord_writer_get(s->coord, &words);
	*found = (struct store_shared){
		.visible = published.state,
		.record = published.record,
		.durable = published.durable,
		.next = words.next,
		.epoch = words.epoch,
		.clean = !words.unclean,
		.ours = coord_lock_was_ours(s->coord),
	};
	words.unclean = true; /* I6 */
	coord_writer_set(s->coord, &words);
	return 0;
}

static void host_unlock(void *ctx, const struct store_shared *words)
{
	struct shared *s = ctx;

	coord_writer_set(s->coord, &(struct coord_writer){ .next = words->next, .epoch = words->epoch,
		.unclean = !words->clean });
	coord_unlock(s->coord, store_file(s->store)->fd);
}

static bool host_wanted(void *ctx)
{
	struct shared *s = ctx;

	return coord_wanted(s->coord);
}

static void host_publish(void *ctx, uint64_t state, uint64_t record, bool durable)
{
	struct shared *s = ctx;

	coord_publish(s->coord, state, record, durable);
}

static void host_durable(void *ctx, uint64_t state)
{
	struct shared *s = ctx;

	coord_set_durable(s->coord, state);
}

static int host_pins(void *ctx, struct store_pins *pins)
{
	struct shared *s = ctx;
	int rc = coord_scan(s->coord, &s->pins);

	if (rc == 0)
		*pins = (struct store_pins){ .states = s->pins.states, .n = s->pins.n,
			.everything = s->pins.everything, .from = s->pins.from };
	return rc;
}

static void host_log(void *ctx, int level, const char *text)
{
	struct shared *s = ctx;

	if (s->log)
		s->log(s->log_ctx, level, text);
}

void host_init(struct shared *shared)
{
	shared->host = (struct store_host){
		.ctx = shared,
		.lock = host_lock,
		.unlock = host_unlock,
		.wanted = host_wanted,
		.publish = host_publish,
		.durable = host_durable,
		.pins = host_pins,
		.log = host_log,
	};
}
