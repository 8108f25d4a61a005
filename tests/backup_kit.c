/* SPDX-License-Identifier: Apache-2.0 */
#include "backup_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/hash.h"

enum { KEYS = 300, SMALL = 40, LEAF = 1500, LARGE = 300000 };

static dur_value random_key(uint64_t *random, char text[32])
{
	uint64_t n = kit_random(random) % KEYS;

	if (n % 3 == 0)
		return DUR_INT((int64_t)n - 100);
	snprintf(text, 32, "key %" PRIu64, n);
	return DUR_STR(text);
}

static void put_random(dur_view *txn, uint64_t *random, const dur_value *key)
{
	static char bytes[LARGE];
	uint64_t how = kit_random(random);
	size_t len = how % 16 == 0  ? how / 16 % LARGE
	             : how % 4 == 0 ? how / 16 % LEAF
	                            : how / 16 % SMALL;
	dur_value pair[] = { DUR_INT((int64_t)(how >> 20)), DUR_STR("x") }, value;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)('a' + (how >> i % 50) % 26);
	switch (how / 64 % 8) {
	case 0: value = DUR_INT((int64_t)(how >> 8)); break;
	case 1: value = DUR_TUPLE(pair, 2); break;
	case 2: value = DUR_STRN(bytes, len); break;
	case 3: value = DUR_DOUBLE((double)how / 3); break;
	default: value = DUR_BYTES(bytes, len); break;
	}
	value.tag = (uint16_t)(how % 5 == 0 ? how >> 40 : 0);
	EXPECT(0, dur_put(dur_root(txn), key, &value));
}

uint64_t backup_change(dur_prefix *p, uint64_t *random, unsigned n, const char *label)
{
	dur_commit_options o = { .label = label };
	char text[32];
	dur_view *txn;
	uint64_t state;

	EXPECT(0, dur_begin(p, NULL, &txn));
	for (unsigned i = 0; i < n; i++) {
		dur_value key = random_key(random, text);
		if (kit_random(random) % 4 == 0)
			MUST(dur_del(dur_root(txn), &key));
		else
			put_random(txn, random, &key);
	}
	for (unsigned i = 0; i < n; i += 2)
		backup_change_nested(txn, random);
	EXPECT(0, dur_commit(txn, &o, &state));
	dur_close(txn);
	return state;
}

void backup_to(dur_prefix *p, uint64_t state, uint64_t since, uint32_t flags, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	dur_view *snap;

	HOLDS(fd >= 0, "%s: %s", path, strerror(errno));
	EXPECT(0, dur_snapshot(p, state, NULL, &snap));
	EXPECT(0, dur_backup(snap, since, flags, fd, NULL));
	dur_close(snap);
	close(fd);
}

int backup_from(dur_workspace *ws, const char *name, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	HOLDS(fd >= 0, "%s: %s", path, strerror(errno));
	rc = dur_receive(ws, name, fd, NULL);
	close(fd);
	return rc;
}

void backup_same_value(const dur_value *a, const dur_value *b)
{
	HOLDS(a->type == b->type && a->tag == b->tag, "types %u and %u", a->type, b->type);
	if (a->type >= DUR_MAP && a->type <= DUR_ROPE)
		backup_same_coll(a->coll, b->coll);
	else if (a->type == DUR_STR || a->type == DUR_BYTES)
		HOLDS(a->len == b->len && memcmp(a->ptr, b->ptr, a->len) == 0, "bytes differ");
	else
		HOLDS(dur_compare(a, b) == 0, "values differ");
}

void backup_same_state(dur_prefix *a, uint64_t state_a, dur_prefix *b, uint64_t state_b)
{
	dur_view *v[2];

	EXPECT(0, dur_snapshot(a, state_a, NULL, &v[0]));
	EXPECT(0, dur_snapshot(b, state_b, NULL, &v[1]));
	backup_same_coll(dur_root(v[0]), dur_root(v[1]));
	for (int i = 0; i < 2; i++)
		dur_close(v[i]);
}

unsigned backup_same_states(dur_prefix *p, dur_prefix *copy)
{
	dur_state_info there, here;
	uint64_t from = 0;
	unsigned states = 0;
	uint32_t n;

	for (;; states++) {
		EXPECT(0, dur_states(copy, from, DUR_REVERSE, &here, 1, &n));
		if (n == 0)
			return states;
		EXPECT(0, dur_states(p, here.state, DUR_REVERSE, &there, 1, &n));
		HOLDS(n == 1 && there.state == here.state, "state %" PRIu64 " is not the source's",
		      here.state);
		HOLDS(there.time_ns == here.time_ns && there.entries == here.entries &&
		              strcmp(there.label, here.label) == 0,
		      "state %" PRIu64, here.state);
		backup_same_state(p, here.state, copy, here.state);
		from = here.state + 1;
	}
}

void backup_same_names(dur_prefix *p, dur_prefix *copy)
{
	dur_state_name there, here;
	uint32_t n, m;

	for (uint64_t skip = 0;; skip++) {
		EXPECT(0, dur_names(p, skip, &there, 1, &n));
		EXPECT(0, dur_names(copy, skip, &here, 1, &m));
		HOLDS(n == m, "one has more names");
		if (n == 0)
			return;
		HOLDS(there.state == here.state && strcmp(there.name, here.name) == 0,
		      "%s of %" PRIu64 ", %s of %" PRIu64, there.name, there.state, here.name,
		      here.state);
	}
}

static uint64_t digest_state(dur_prefix *p, uint64_t state, uint64_t sum)
{
	uint8_t number[8];
	dur_view *v;

	EXPECT(0, dur_snapshot(p, state, NULL, &v));
	sum = backup_digest_coll(dur_root(v), sum);
	dur_close(v);
	memcpy(number, &state, 8);
	return hash64(number, 8, sum);
}

uint64_t backup_digest(dur_workspace *ws, const char *name)
{
	dur_prefix_stat stat;
	dur_state_info info;
	uint64_t sum = 0, from = 0;
	dur_prefix *p;
	uint32_t n;

	EXPECT(0, dur_attach(ws, name, 0, NULL, &p));
	for (;; from = info.state + 1) {
		EXPECT(0, dur_states(p, from, DUR_REVERSE, &info, 1, &n));
		if (n == 0)
			break;
		sum = digest_state(p, info.state, sum);
		sum = hash64(info.label, strlen(info.label), sum);
	}
	EXPECT(0, dur_stat(p, &stat));
	sum = hash64(stat.keep, strlen(stat.keep), sum);
	sum = hash64(&stat.newest, 8, sum);
	EXPECT(0, dur_detach(p));
	return sum;
}

uint8_t *backup_bytes(const char *path, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *bytes = malloc(file_bytes(path) + 1);

	*n = file_bytes(path);
	HOLDS(fd >= 0 && bytes && read(fd, bytes, *n) == (ssize_t)*n, "%s: %s", path,
	      strerror(errno));
	close(fd);
	return bytes;
}

void backup_write(const char *path, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	HOLDS(fd >= 0 && write(fd, bytes, n) == (ssize_t)n, "%s: %s", path, strerror(errno));
	close(fd);
}

static unsigned files_found;

static int count_file(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)path, (void)st, (void)ftw;
	files_found += kind != FTW_D && kind != FTW_DP;
	return 0;
}

unsigned backup_files(const char *dir)
{
	files_found = 0;
	HOLDS(nftw(dir, count_file, 8, FTW_PHYS) == 0, "%s: %s", dir, strerror(errno));
	return files_found;
}
