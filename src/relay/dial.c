/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/dial.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "net/socket.h"

static bool is_self_connected(int fd, const struct address *target)
{
	struct address local;

	/* Only a target of this very host can be met by its own client. */
	if (!(target->family == AF_INET && target->ip[0] == 127) &&
	    !(target->family == AF_INET6 && target->ip[0] == 0))
		return false;
	socket_local_address(fd, &local);
	return address_equal(&local, target);
}

static int start(enum protocol protocol, const struct address *target, const struct address *source,
		 bool data_follows, int *ret_fd)
{
	OWNED_FD fd = socket_open(protocol, target->family);
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(target, target->family, &storage);
	int r = fd;

	if (r >= 0 && source->family != AF_UNSPEC)
		r = socket_bind_source(fd, source);
	if (r < 0)
		return r;
	socket_tune_stream(fd, protocol);
	if (data_follows)
		socket_delay_ack(fd, true);
	if (connect(fd, (struct sockaddr *)&storage, length) < 0 && errno != EINPROGRESS)
		return -errno;
	*ret_fd = fd_take(&fd);
	return 0;
}

int dial_start(enum protocol protocol, const struct address *target, const struct address *source,
	       bool data_follows, int *ret_fd)
{
	struct address any_port = *source;
	int r = start(protocol, target, source, data_follows, ret_fd);

	/* the same client's port leads to the same container already, or did so a moment ago */
	if (r != -EADDRNOTAVAIL || source->port == 0)
		return r;
	any_port.port = 0;
	return start(protocol, target, &any_port, data_follows, ret_fd);
}

/*
 * The error of a socket that may have been connected, have brought bytes and have failed before
 * epoll told of any of it: then 0, since the bytes come first, and whoever reads them meets the
 * error. SCTP's notifications are no such bytes.
 */
static int failure(int fd, enum protocol protocol)
{
	char byte;
	ssize_t got = protocol == PROTOCOL_TCP ? recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 0;

	if (got > 0)
		return 0;
	if (got < 0 && errno != EAGAIN)
		return -errno; /* with it, SO_ERROR has been cleared */
	return -socket_take_error(fd);
}

int dial_finish(int fd, enum protocol protocol, const struct address *target, uint32_t events)
{
	/* a connect that failed shows as EPOLLERR, so the good case needs no system call */
	int r = events & (EPOLLERR | EPOLLHUP) ? failure(fd, protocol) : 0;

	if (r < 0)
		return r;
	return is_self_connected(fd, target) ? -ECONNREFUSED : 0;
}

bool dial_is_shortage(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOBUFS || error == -ENOMEM;
}

enum end_reason dial_end_reason(int error)
{
	switch (error) {
	case -ECONNREFUSED:
		return END_REFUSED;
	case -ECONNRESET: /* it was connected, and had been reset before epoll told of it */
	case -EPIPE:	  /* ... and had ended before that */
		return END_BACKEND_RESET;
	case -ETIMEDOUT:
		return END_CONNECT_TIMEOUT;
	case -EADDRNOTAVAIL:
	case -EAGAIN:
		return END_NO_SOURCE_PORT;
	case -ENONET:
		return END_NO_IDENTITY;
	case -EMFILE:
	case -ENFILE:
		return END_NO_DESCRIPTOR;
	case -ENOBUFS:
	case -ENOMEM:
		return END_NO_MEMORY;
	default:
		return END_UNREACHABLE;
	}
}
