/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

/*
 * systemd's native protocol, systemd.io/JOURNAL_NATIVE_PROTOCOL: one datagram of NAME=value lines.
 */
#define JOURNAL_SOCKET "/run/systemd/journal/socket"
/* RFC 3164 text, as syslog(3) sends it. */
#define SYSLOG_SOCKET "/dev/log"
#define SYSLOG_FACILITY_DAEMON (3 << 3)

static struct {
	enum log_target target;
	const char *identifier;
	int fd;
} state = { .target = LOG_TARGET_OFF, .identifier = "", .fd = -1 };

static bool stderr_is_null(void)
{
	struct stat info;

	if (fstat(STDERR_FILENO, &info) < 0)
		return true;
	return S_ISCHR(info.st_mode) && major(info.st_rdev) == 1 && minor(info.st_rdev) == 3;
}

void log_open(enum log_target target, const char *identifier)
{
	fd_close(&state.fd);
	state.identifier = identifier;
	if (target == LOG_TARGET_AUTO && !stderr_is_null())
		target = LOG_TARGET_STDERR;
	if (target == LOG_TARGET_AUTO)
		target = access(JOURNAL_SOCKET, W_OK) == 0 ? LOG_TARGET_JOURNAL : LOG_TARGET_SYSLOG;
	state.target = target;
}

static int connect_datagram(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	OWNED_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return fd_take(&fd);
}

/* Tries once more with a new socket: journald may have been restarted since the last message. */
static void send_datagram(const char *path, const char *bytes, int length)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		if (state.fd < 0)
			state.fd = connect_datagram(path);
		if (state.fd < 0)
			return;
		if (send(state.fd, bytes, (size_t)length, MSG_NOSIGNAL) >= 0 || errno == EAGAIN)
			return;
		fd_close(&state.fd);
	}
}

void log_write(enum log_level level, const char *format, ...)
{
	char text[512], message[640];
	va_list args;
	int length = 0;

	if (state.target == LOG_TARGET_OFF)
		return;
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *newline = text; (newline = strchr(newline, '\n'));)
		*newline =
			' '; /* one message, one line: nothing met on the way may forge a field */

	switch (state.target) {
	case LOG_TARGET_JOURNAL:
		length = snprintf(message, sizeof(message),
				  "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE=%s\n", level,
				  state.identifier, text);
		send_datagram(JOURNAL_SOCKET, message, length);
		break;
	case LOG_TARGET_SYSLOG:
		length = snprintf(message, sizeof(message), "<%d>%s[%d]: %s",
				  SYSLOG_FACILITY_DAEMON | level, state.identifier, (int)getpid(),
				  text);
		send_datagram(SYSLOG_SOCKET, message, length);
		break;
	default:
		length = snprintf(message, sizeof(message), "%s: %s\n", state.identifier, text);
		(void)!write(STDERR_FILENO, message, (size_t)length);
		break;
	}
}
