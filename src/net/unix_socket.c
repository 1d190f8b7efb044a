/* SPDX-License-Identifier: Apache-2.0 */
#include "net/unix_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

#define BACKLOG 4096

/* The last folder of the path, if it is missing; those above must be there. */
static void make_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return;
	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	(void)mkdir(folder, 0755); /* what is wrong with it, bind(2) tells */
}

static bool is_socket(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* Whether somebody listens there. */
static bool is_alive(const struct sockaddr_un *address, int type)
{
	OWNED_FD fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return true; /* not known: leave it alone */
	return connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	       errno != ECONNREFUSED;
}

static int bind_at(int fd, const struct sockaddr_un *address, int type)
{
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return 0;
	if (errno != EADDRINUSE || !is_socket(address->sun_path) || is_alive(address, type))
		return -errno;
	(void)unlink(address->sun_path);
	return bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
}

int unix_socket_listen(const char *path, int type, mode_t mode, gid_t group, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	OWNED_FD fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mode_t before;
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(err, -ENAMETOOLONG,
				 "%.120s: a socket's path has %zu characters at most", path,
				 sizeof(address.sun_path) - 1);
	if (fd < 0)
		return error_set(err, -errno, "%.120s: socket: %s", path, error_name(errno));
	memcpy(address.sun_path, path, strlen(path) + 1);
	make_folder(path);
	before = umask(0177); /* nobody else may connect before the mode is what it shall be */
	r = bind_at(fd, &address, type);
	(void)umask(before);
	if (r == -EADDRINUSE)
		return error_set(err, r, "%.120s: %s", path,
				 is_socket(path) ? "another program listens there"
						 : "a file that is no socket is there");
	if (r < 0)
		return error_set(err, r, "%.120s: bind: %s", path, error_name(r));
	if ((group != (gid_t)-1 && chown(path, (uid_t)-1, group) < 0) || chmod(path, mode) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		r = -errno;
		(void)unlink(path);
		return error_set(err, r, "%.120s: %s", path, error_name(r));
	}
	return fd_take(&fd);
}
