/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pool_host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "identity/pool_route.h"

/* The lock: a file for each network namespace, which has the inode's number in its name. */

static int open_lock(const char *run_directory)
{
	char path[PATH_MAX];
	struct stat net, directory;
	OWNED_FD fd = -1;

	if (stat("/proc/self/ns/net", &net) < 0)
		return -errno;
	(void)mkdir(run_directory, 0755);
	if (snprintf(path, sizeof(path), "%s/pool-%llu.lock", run_directory,
		     (unsigned long long)net.st_ino) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	/* nobody else may hold it: without a right to open it, there is none to lock it */
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* made by root, and still one the daemon's user can open */
	if (geteuid() == 0 && stat(run_directory, &directory) == 0)
		(void)fchown(fd, directory.st_uid, directory.st_gid);
	return fd_take(&fd);
}

static int refuse_second(int fd, struct error *err)
{
	char pid[16];
	ssize_t length = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[length > 0 ? length : 0] = '\0';
	return error_set(err, -EBUSY,
			 "pseudo-IPv4 addresses of this host are another fairlead's%s%s: publish "
			 "with that one, or end it first",
			 length > 0 ? ", process " : "", pid);
}

static void write_pid(int fd)
{
	char pid[16];
	int length = snprintf(pid, sizeof(pid), "%d", (int)getpid());

	if (ftruncate(fd, 0) == 0)
		(void)!pwrite(fd, pid, (size_t)length, 0);
}

/* *ret is -1 where no file can be written, which is no failure. */
static int take_lock(const char *run_directory, int *ret, struct error *err)
{
	OWNED_FD fd = open_lock(run_directory);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return refuse_second(fd, err);
	if (fd >= 0)
		write_pid(fd);
	*ret = fd >= 0 ? fd_take(&fd) : -1;
	return 0;
}

/*
 * systemd removes the directory when the unit that it belongs to stops, though a command may hold a
 * lock in it.
 */
static void keep_lock(struct pool_host *host)
{
	struct stat file;
	struct error ignored;
	int lock = -1;

	if (host->lock >= 0 && fstat(host->lock, &file) == 0 && file.st_nlink > 0)
		return;
	if (take_lock(host->run_directory, &lock, &ignored) < 0 || lock < 0)
		return;
	fd_close(&host->lock);
	host->lock = lock;
}

/* Route and guard. */

/* The guard comes first, so that no packet finds a route without it. */
static int put_in_place(struct pool_host *host, struct error *err)
{
	int r = pool_route_check_free(&host->pool, err);

	if (r == 0)
		r = pool_route_remove_others(&host->pool, err);
	if (r >= 0)
		r = pool_guard_open(&host->guard, &host->pool, POOL_GUARD_SOCKETS, err);
	if (r < 0)
		return r;
	r = pool_route_add(&host->pool, err);
	if (r < 0 && r != -EEXIST) {
		pool_guard_close(&host->guard);
		return r;
	}
	return 0;
}

int pool_host_open(struct pool_host *host, const struct prefix *pool, const char *run_directory,
		   struct error *err)
{
	int r;

	host->pool = *pool;
	host->run_directory = run_directory;
	r = take_lock(run_directory, &host->lock, err);
	if (r < 0)
		return r;
	r = put_in_place(host, err);
	if (r < 0)
		fd_close(&host->lock);
	return r;
}

void pool_host_close(struct pool_host *host)
{
	struct error ignored;

	(void)pool_route_remove_others(NULL, &ignored);
	pool_guard_close(&host->guard);
	fd_close(&host->lock);
}

int pool_host_check(struct pool_host *host, struct error *err)
{
	int guard = pool_guard_check(&host->guard, err), route;

	if (guard < 0)
		return guard;
	route = pool_route_add(&host->pool, err);
	if (route < 0 && route != -EEXIST)
		return route;
	keep_lock(host);
	if (guard == 0 && route == -EEXIST)
		return 0;
	return error_set(err, -EAGAIN,
			 "pseudo-IPv4 addresses: others had changed the host's %s%s%s, and what "
			 "was there for the pool did not fit any more: it is set anew",
			 route == 0 ? "routes" : "", route == 0 && guard ? " and " : "",
			 guard ? "nftables" : "");
}

int pool_host_cleanup(const char *run_directory, struct error *err)
{
	OWNED_FD lock = -1;
	int r = take_lock(run_directory, &lock, err), guard;

	if (r < 0)
		return r;
	r = pool_route_remove_others(NULL, err);
	if (r < 0)
		return r;
	guard = pool_guard_remove(err);
	return guard < 0 ? guard : r + guard;
}
