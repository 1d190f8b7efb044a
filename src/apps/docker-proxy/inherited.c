/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/docker-proxy/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

int inherited_init(void)
{
	struct stat info;

	(void)fcntl(INHERITED_LISTEN_FD, F_SETFD, FD_CLOEXEC);
	if (fcntl(INHERITED_STATUS_FD, F_SETFD, FD_CLOEXEC) < 0)
		return -1;
	if (fstat(INHERITED_STATUS_FD, &info) < 0 || !S_ISFIFO(info.st_mode))
		return -1;
	if ((fcntl(INHERITED_STATUS_FD, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return -1; /* somebody else's, as that of make's job server */
	return INHERITED_STATUS_FD;
}

int inherited_report_ready(int *status_fd)
{
	ssize_t written = 2;

	if (*status_fd >= 0)
		written = write(*status_fd, "0\n", 2); /* one write: dockerd reads once */
	fd_close(status_fd);
	return written == 2 ? 0 : -errno;
}

void inherited_report_failure(int *status_fd, const char *message)
{
	char report[ERROR_TEXT_MAX + 2];
	int length = snprintf(report, sizeof(report), "1\n%s", message);

	if (*status_fd >= 0 && length > 0)
		(void)!write(*status_fd, report, strlen(report));
	fd_close(status_fd);
}
