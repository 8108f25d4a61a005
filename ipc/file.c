/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the coordination file in a state fit for use.
 *
 * Whoever opens it holds the "opening" lock while it looks at the stamp, so the stamp never
 * changes under anybody's eyes. A file with the right stamp is joined: shared claim, map, done.
 * Any other is reset:
 *
 * - Nobody else has a claim on it (a reboot, a copied folder, a power cut that left zeros): it is
 *   zeroed and stamped in place. Nobody has it mapped, so it may shrink and change; and in place
 *   needs no permission on the folder.
 * - Somebody has a claim, and the stamp is sound but names another page file: the page file was
 *   replaced under a living process. That process goes on with the old pair of files, among its
 *   like, so its coordination file must stay as it is, pins and all, and must not shrink (SIGBUS).
 *   So a new file is made and renamed over the old one. (coord_lock() tells the process when it
 *   next wants to write.)
 * - Somebody has a claim, and the stamp is damaged, or of another boot or an older layout: that
 *   process may well be using the very page file that we are about to use. A new coordination file
 *   would hide its pins from us and ours from it; so this is an error.
 *
 * A process may be killed anywhere in here: the stamp is written last, and locks die with their
 * process.
 */
#include "coord_private.h"

#include "internal/error.h"

#include "duramen.h"
#include "futex_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Opening takes about a millisecond; who holds the lock for this long is stopped or stuck. */
enum { OPENING_WAIT_MS = 10000 };

enum verdict { FILE_GOOD, FILE_EMPTY, FILE_DAMAGED, FILE_OLDER, FILE_OTHER_BOOT, FILE_OTHER_PAGES };

/*
 * What an attempt says when it shall be made again: the file was replaced or is busy. Not an errno.
 */
enum { AGAIN = 1 };

struct attempt {
	struct coord *coord;
	const char *path;
	unsigned mode;
	struct layout_stamp want;
	const char *pages; /* path of the page file that want is of; NULL: not known */
	int fd;
	bool fresh;
	uint32_t busy_pid; /* who was in the way */
};

/* ---- Locks ---- */

int coord_file_lock(int fd, int64_t offset, int type)
{
	struct flock lock = {
		.l_type = (short)type,
		.l_whence = SEEK_SET,
		.l_start = offset,
		.l_len = 1,
	};

	while (fcntl(fd, F_SETLK, &lock) != 0) {
		if (errno == EACCES || errno == EAGAIN)
			return 1;
		if (errno != EINTR)
			return error_system(errno, "record lock in the coordination file; use a "
			                           "file system that has fcntl locks");
	}
	return 0;
}

int coord_file_locked(int fd, int64_t offset, uint32_t *pid)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = offset,
		.l_len = 1,
	};

	while (fcntl(fd, F_GETLK, &lock) != 0)
		if (errno != EINTR)
			return error_system(errno, "record lock in the coordination file");
	if (pid)
		*pid = lock.l_type == F_UNLCK || lock.l_pid < 0 ? 0 : (uint32_t)lock.l_pid;
	return lock.l_type != F_UNLCK;
}

static int not_regular(const struct attempt *a)
{
	return error_set(DUR_E_FORMAT,
	                 "the coordination file %s is not a regular file; move it away", a->path);
}

/* ---- Stamp ---- */

static int boot_id(uint8_t out[16])
{
	char text[64];
	ssize_t got;
	unsigned digits = 0;
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return error_system(errno, "cannot read /proc/sys/kernel/random/boot_id; "
		                           "mount /proc");
	got = read(fd, text, sizeof text);
	close(fd);
	memset(out, 0, 16);
	for (ssize_t i = 0; i < got && digits < 32; i++) {
		static const char hex[] = "0123456789abcdef";
		const char *at = memchr(hex, text[i], 16);

		if (!at)
			continue; /* a dash */
		out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | (at - hex));
		digits++;
	}
	if (digits != 32)
		return error_set(-EIO, "/proc/sys/kernel/random/boot_id holds no boot id");
	return 0;
}

static int stamp_make(const struct coord_identity *identity, struct layout_stamp *stamp)
{
	memset(stamp, 0, sizeof *stamp);
	memcpy(stamp->magic, LAYOUT_MAGIC, sizeof stamp->magic);
	stamp->version = LAYOUT_VERSION;
	stamp->bytes = LAYOUT_BYTES;
	memcpy(stamp->uuid, identity->uuid, sizeof stamp->uuid);
	stamp->device = identity->device;
	stamp->inode = identity->inode;
	return boot_id(stamp->boot);
}

/* Compares the file with what we want of it. A verdict or an error. */
static int stamp_judge(const struct attempt *a)
{
	struct layout_stamp is;
	struct stat st;
	ssize_t got;

	if (fstat(a->fd, &st) != 0)
		return error_system(errno, "coordination file %s", a->path);
	if (!S_ISREG(st.st_mode))
		return not_regular(a);
	if (st.st_size == 0)
		return FILE_EMPTY;
	got = pread(a->fd, &is, sizeof is, 0);
	if (got < 0)
		return error_system(errno, "cannot read the coordination file %s", a->path);
	if (got < (ssize_t)sizeof is || memcmp(is.magic, a->want.magic, sizeof is.magic) != 0)
		return FILE_DAMAGED;
	if (is.version > LAYOUT_VERSION)
		return error_set(DUR_E_FORMAT,
		                 "the coordination file %s was made by a newer version "
		                 "(layout %u, this one knows %d): use that version, or remove the "
		                 "file when no process has the prefix attached",
		                 a->path, is.version, LAYOUT_VERSION);
	if (is.version < LAYOUT_VERSION)
		return is.version == 0 ? FILE_DAMAGED : FILE_OLDER;
	if (is.bytes != LAYOUT_BYTES || st.st_size != LAYOUT_BYTES)
		return FILE_DAMAGED;
	if (memcmp(is.boot, a->want.boot, sizeof is.boot) != 0)
		return FILE_OTHER_BOOT;
	if (memcmp(&is, &a->want, sizeof is) != 0)
		return FILE_OTHER_PAGES;
	return FILE_GOOD;
}

/* ---- Contents ---- */

static int write_at(int fd, const void *data, size_t n, off_t at)
{
	while (n) {
		ssize_t put = pwrite(fd, data, n, at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return put < 0 ? -errno : -EIO;
		data = (const char *)data + put;
		n -= (size_t)put;
		at += put;
	}
	return 0;
}

/*
 * Zeroes (the stamp first) and stamps (last). Every byte is written: a hole in a mapped file would
 * be a SIGBUS when the disk is full. On failure the space is given back; nobody has the file
 * mapped.
 */
static int contents_reset(int fd, const struct layout_stamp *stamp, const char *path)
{
	static const char zeros[16384];
	int rc = 0;

	for (off_t at = 0; at < LAYOUT_BYTES && rc == 0;) {
		off_t left = LAYOUT_BYTES - at;
		size_t n = left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros;

		rc = write_at(fd, zeros, n, at);
		at += (off_t)n;
	}
	if (rc == 0 && ftruncate(fd, LAYOUT_BYTES) != 0)
		rc = -errno;
	if (rc == 0)
		rc = write_at(fd, stamp, sizeof *stamp, 0);
	if (rc == 0)
		return 0;
	if (ftruncate(fd, 0) != 0 && rc == 0)
		rc = -errno;
	return error_system(-rc, "cannot write the coordination file %s (%d bytes)", path,
	                    LAYOUT_BYTES);
}

static int file_map(struct coord *coord, int fd)
{
	void *p = mmap(NULL, LAYOUT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return error_system(errno, "cannot map the coordination file");
	coord->shared = p;
	return 0;
}

/* ---- Descriptors ---- */

/*
 * Descriptors 0 to 2 may be closed at the start of a program; what is printed must not land in
 * here.
 */
static int above_stdio(int fd)
{
	int other;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	other = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return other;
}

static int open_failed(const struct attempt *a, int e)
{
	if (e == EACCES || e == EPERM || e == EROFS)
		return error_set(-EACCES,
		                 "no permission to write the coordination file %s: readers "
		                 "need it too, they announce their snapshots in it",
		                 a->path);
	return error_system(e, "cannot open the coordination file %s", a->path);
}

/*
 * Opens or makes the file. Closing any descriptor of a file drops all record locks that the
 * process has on it, so one that is open here already must not even be opened to find that out: an
 * O_PATH descriptor tells its inode and may be closed without harm.
 */
static int descriptor_open(struct attempt *a)
{
	char again[32];
	struct stat st;
	int look = above_stdio(open(a->path, O_PATH | O_CLOEXEC)), e;

	if (look < 0 && errno == ENOENT) {
		a->fd = above_stdio(open(a->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, a->mode));
		if (a->fd >= 0)
			return 0;
		return errno == EEXIST ? AGAIN : open_failed(a, errno);
	}
	if (look < 0)
		return open_failed(a, errno);
	if (fstat(look, &st) != 0) {
		e = errno;
		close(look);
		return open_failed(a, e);
	}
	if (coord_list_has(st.st_dev, st.st_ino)) {
		close(look);
		return error_set(DUR_E_MISUSE,
		                 "the coordination file %s is open in this process already; "
		                 "use that one",
		                 a->path);
	}
	if (!S_ISREG(st.st_mode)) { /* opening a device or a FIFO may have effects */
		close(look);
		return not_regular(a);
	}
	snprintf(again, sizeof again, "/proc/self/fd/%d", look);
	a->fd = above_stdio(open(again, O_RDWR | O_CLOEXEC));
	e = errno;
	close(look);
	return a->fd >= 0 ? 0 : open_failed(a, e);
}

/* Whether the path still leads to the open file. */
static bool still_there(const struct attempt *a)
{
	struct stat named, opened;

	return stat(a->path, &named) == 0 && fstat(a->fd, &opened) == 0 &&
	       named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

/* ---- Joining and resetting ---- */

/*
 * The name of a file that is about to replace the one at path; left there by who is killed at it.
 */
static int new_path(const struct attempt *a, char path[PATH_MAX])
{
	if (snprintf(path, PATH_MAX, "%s.new", a->path) >= PATH_MAX)
		return error_set(-ENAMETOOLONG, "coordination file %s", a->path);
	return 0;
}

/* A new file in place of the one at path, which others go on using. a->fd is the new one then. */
static int file_replace(struct attempt *a)
{
	char path[PATH_MAX];
	struct stat st;
	int fd, rc = new_path(a, path);

	if (rc)
		return rc;
	if (fstat(a->fd, &st) != 0)
		return error_system(errno, "coordination file %s", a->path);
	unlink(path);
	fd = above_stdio(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, a->mode));
	if (fd < 0)
		return error_system(errno,
		                    "cannot make %s; the old coordination file is still in use "
		                    "by processes that have the replaced page file",
		                    path);
	rc = contents_reset(fd, &a->want, path);
	if (rc == 0 && fchmod(fd, st.st_mode & 0777) != 0)
		rc = error_system(errno, "cannot set the permission of %s", path);
	if (rc == 0)
		rc = coord_file_lock(fd, LAYOUT_LOCK_OPENING, F_WRLCK);
	if (rc == 0)
		rc = coord_file_lock(fd, LAYOUT_LOCK_CLAIM, F_RDLCK);
	if (rc == 0 && rename(path, a->path) != 0)
		rc = error_system(errno, "cannot rename %s", path);
	if (rc != 0) {
		unlink(path);
		close(fd);
		return rc;
	}
	close(a->fd);
	a->fd = fd;
	/*
	 * Two that opened different files may have met at the name "new": then this is the other
	 * one's.
	 */
	return still_there(a) ? 0 : AGAIN;
}

static int refuse_reset(const struct attempt *a, int verdict)
{
	uint32_t pid = 0;
	const char *why = verdict == FILE_OTHER_BOOT ? "of another boot"
	                  : verdict == FILE_OLDER    ? "of an older version"
	                                             : "damaged";

	coord_file_locked(a->fd, LAYOUT_LOCK_CLAIM, &pid);
	return error_set(-EBUSY,
	                 "the coordination file %s is %s, and other processes (%u) have it "
	                 "open: stop them, then try again",
	                 a->path, why, pid);
}

/*
 * Whose page file was replaced after it was opened must not take the coordination file from those
 * who have the new one. Who replaces a page file bars the coordination file meanwhile, and we hold
 * the opening lock: so this stays true for as long as it matters.
 */
static int check_pages(const struct attempt *a)
{
	struct stat st;

	if (!a->pages || (stat(a->pages, &st) == 0 && st.st_dev == a->want.device &&
	                  st.st_ino == a->want.inode))
		return 0;
	return error_set(-ESTALE, "%s was replaced or removed while it was being attached: try again",
	                 a->pages);
}

/* Under the opening lock: makes the file fit and takes the shared claim. */
static int file_join(struct attempt *a)
{
	char leftover[PATH_MAX];
	int verdict = stamp_judge(a), rc;

	if (verdict < 0)
		return verdict;
	if (verdict == FILE_GOOD) {
		rc = coord_file_lock(a->fd, LAYOUT_LOCK_CLAIM, F_RDLCK);
		if (rc == 1) /* claimed alone: it is being dropped */
			coord_file_locked(a->fd, LAYOUT_LOCK_CLAIM, &a->busy_pid);
		return rc == 1 ? AGAIN : rc;
	}
	rc = check_pages(a);
	if (rc)
		return rc;
	rc = coord_file_lock(a->fd, LAYOUT_LOCK_CLAIM, F_WRLCK);
	if (rc < 0)
		return rc;
	a->fresh = true;
	if (rc == 1)
		return verdict == FILE_OTHER_PAGES ? file_replace(a) : refuse_reset(a, verdict);
	rc = new_path(a, leftover);
	if (rc)
		return rc;
	unlink(leftover);
	rc = contents_reset(a->fd, &a->want, a->path);
	return rc ? rc : coord_file_lock(a->fd, LAYOUT_LOCK_CLAIM, F_RDLCK);
}

static int file_attempt(struct attempt *a)
{
	struct stat st;
	int rc;

	a->fd = -1;
	a->fresh = false;
	rc = descriptor_open(a);
	if (rc == 0)
		rc = coord_file_lock(a->fd, LAYOUT_LOCK_OPENING, F_WRLCK);
	if (rc == 1 && a->fd >= 0)
		coord_file_locked(a->fd, LAYOUT_LOCK_OPENING, &a->busy_pid);
	if (rc == 0 && !still_there(a))
		rc = AGAIN;
	if (rc == 0)
		rc = file_join(a);
	if (rc == 0)
		rc = file_map(a->coord, a->fd);
	if (rc == 0 && fstat(a->fd, &st) != 0)
		rc = error_system(errno, "coordination file %s", a->path);
	if (rc == 0)
		rc = coord_file_lock(a->fd, LAYOUT_LOCK_OPENING, F_UNLCK);
	if (rc == 0) {
		a->coord->fd = a->fd;
		a->coord->device = st.st_dev;
		a->coord->inode = st.st_ino;
		return 0;
	}
	if (a->coord->shared) {
		munmap(a->coord->shared, LAYOUT_BYTES);
		a->coord->shared = NULL;
	}
	if (a->fd >= 0)
		close(a->fd); /* with all locks on it */
	return rc;
}

int coord_file_open(struct coord *coord, const char *path, unsigned mode,
                    const struct coord_identity *identity, bool *fresh)
{
	struct attempt a = {
		.coord = coord, .path = path, .mode = mode ? mode : 0600, .pages = identity->pages
	};
	int64_t deadline = clock_deadline(OPENING_WAIT_MS);
	int rc = stamp_make(identity, &a.want);

	if (rc)
		return rc;
	while ((rc = file_attempt(&a)) == AGAIN) {
		if (clock_left(deadline) == 0)
			return error_set(-EBUSY,
			                 "process %u keeps the coordination file %s for itself "
			                 "for %d s: it drops the prefix, or is stopped; end it, "
			                 "then try again",
			                 a.busy_pid, path, OPENING_WAIT_MS / 1000);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	*fresh = a.fresh;
	return rc;
}

int coord_file_open_anonymous(struct coord *coord, const struct coord_identity *identity)
{
	struct layout_stamp stamp;
	struct stat st;
	int fd, rc = stamp_make(identity, &stamp);

	if (rc)
		return rc;
	fd = above_stdio(memfd_create("duramen", MFD_CLOEXEC));
	if (fd < 0)
		return error_system(errno, "memory for the coordination file");
	rc = contents_reset(fd, &stamp, "in memory");
	if (rc == 0 && fstat(fd, &st) != 0)
		rc = error_system(errno, "coordination file in memory");
	if (rc == 0)
		rc = coord_file_lock(fd, LAYOUT_LOCK_CLAIM, F_RDLCK);
	if (rc == 0)
		rc = file_map(coord, fd);
	if (rc != 0) {
		close(fd);
		return rc;
	}
	coord->fd = fd;
	coord->device = st.st_dev;
	coord->inode = st.st_ino;
	return 0;
}

int coord_bar(struct coord *coord)
{
	int64_t deadline = clock_deadline(OPENING_WAIT_MS);
	uint32_t pid = 0;
	int rc;

	while ((rc = coord_file_lock(coord->fd, LAYOUT_LOCK_OPENING, F_WRLCK)) == 1) {
		coord_file_locked(coord->fd, LAYOUT_LOCK_OPENING, &pid);
		if (clock_left(deadline) == 0)
			return error_set(-EBUSY, "process %u is at the coordination file for %d s: it is "
			                 "stopped; end it, then try again", pid, OPENING_WAIT_MS / 1000);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return rc;
}

void coord_unbar(struct coord *coord)
{
	coord_file_lock(coord->fd, LAYOUT_LOCK_OPENING, F_UNLCK);
}
