/* SPDX-License-Identifier: Apache-2.0 */
#include "net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "net/datagram.h"
#include "net/sctp.h"

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int get_option(int fd, int level, int option)
{
	int value = -1;
	socklen_t length = sizeof(value);

	if (getsockopt(fd, level, option, &value, &length) < 0)
		return -errno;
	return value;
}

bool socket_has_ipv6(void)
{
	OWNED_FD fd = socket_open(PROTOCOL_TCP, AF_INET6);

	return fd != -EAFNOSUPPORT;
}

int socket_open(enum protocol protocol, int family)
{
	int fd = socket(family, protocol_socket_type(protocol) | SOCK_NONBLOCK | SOCK_CLOEXEC,
			protocol_ip_number(protocol));

	if (fd < 0)
		return -errno;
	if (protocol == PROTOCOL_SCTP)
		sctp_set_streams(fd);
	return fd;
}

static int open_error(enum protocol protocol, int code, struct error *err)
{
	if (protocol == PROTOCOL_SCTP && (code == -EPROTONOSUPPORT || code == -ESOCKTNOSUPPORT))
		return error_set(
			err, code,
			"this kernel has no SCTP (%s): load its module with `modprobe sctp`, "
			"or publish the port as tcp or udp",
			error_name(code));
	if (code == -EAFNOSUPPORT)
		return error_set(
			err, code,
			"this kernel has no such address family (%s): is IPv6 switched off?",
			error_name(code));
	if (code == -EMFILE)
		return error_set(err, code,
				 "socket: %s: raise the limit (ulimit -n, or LimitNOFILE= of the "
				 "unit), or publish fewer ports",
				 error_name(code));
	return error_set(err, code, "socket: %s", error_name(code));
}

static const char *bind_remedy(int code)
{
	switch (code) {
	case -EADDRINUSE:
		return " (another program holds this port: end it, or choose another)";
	case -EADDRNOTAVAIL:
		return " (no interface of this host has that address: `ip address` lists them)";
	case -EACCES:
		return " (ports below net.ipv4.ip_unprivileged_port_start need "
		       "CAP_NET_BIND_SERVICE)";
	default:
		return "";
	}
}

int socket_listen(enum protocol protocol, const struct address *address, struct error *err)
{
	OWNED_FD fd = socket_open(protocol, address->family);
	char text[ADDRESS_TEXT_MAX];
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(address, address->family, &storage);
	const char *digit = address->family == AF_INET6 ? "6" : "4";

	if (fd < 0)
		return open_error(protocol, fd, err);
	address_format(address, text);
	if (address->family == AF_INET6)
		(void)set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (protocol == PROTOCOL_UDP) {
		(void)set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
		datagram_want_local_address(fd, address->family);
	} else {
		/*
		 * a port whose last owner left connections in TIME_WAIT can be published again at
		 * once
		 */
		(void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	}
	if (bind(fd, (struct sockaddr *)&storage, length) < 0 ||
	    (protocol != PROTOCOL_UDP && listen(fd, INT_MAX) < 0)) {
		int code = -errno;

		return error_set(err, code, "listen %s%s %s: bind: %s%s", protocol_name(protocol),
				 digit, text, error_name(code), bind_remedy(code));
	}
	return fd_take(&fd);
}

int socket_adopt(int fd, enum protocol protocol, struct error *err)
{
	int type = get_option(fd, SOL_SOCKET, SO_TYPE);
	int number = get_option(fd, SOL_SOCKET, SO_PROTOCOL);

	if (type < 0)
		return error_set(err, type, "descriptor %d is no socket (%s)", fd,
				 error_name(type));
	if (type != protocol_socket_type(protocol) || number != protocol_ip_number(protocol))
		return error_set(
			err, -EPROTOTYPE,
			"unexpected socket type for listener fd: descriptor %d is not a %s socket",
			fd, protocol_name(protocol));
	if (protocol != PROTOCOL_UDP && get_option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
		return error_set(err, -EINVAL, "descriptor %d is a %s socket that does not listen",
				 fd, protocol_name(protocol));
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set(err, -errno, "descriptor %d: fcntl: %s", fd, error_name(errno));
	return 0;
}

static int bind_to(int fd, const struct address *address)
{
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(address, address->family, &storage);

	if (bind(fd, (struct sockaddr *)&storage, length) == 0)
		return 0;
	return errno == EADDRNOTAVAIL ? -ENONET : -errno;
}

/*
 * The first that the kernel gives out by itself (net.ipv4.ip_local_port_range). Below are ports of
 * services; one that is held here, at a client's wish, could not be bound on all addresses.
 */
#define EPHEMERAL_PORT_LEAST 32768

int socket_bind_source(int fd, const struct address *source)
{
	struct address any_port = *source;
	int r;

	if (source->port >= EPHEMERAL_PORT_LEAST) {
		/*
		 * Several connections may share it, to several containers. Of UDP, nothing would
		 * keep two from having the same container, and the answers of both.
		 */
		if (get_option(fd, SOL_SOCKET, SO_TYPE) != SOCK_DGRAM)
			(void)set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		r = bind_to(fd, source);
		if (r != -EADDRINUSE && r != -EACCES)
			return r;
	}
	any_port.port = 0;
	(void)set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	return bind_to(fd, &any_port);
}

void socket_tune_stream(int fd, enum protocol protocol)
{
	if (protocol == PROTOCOL_SCTP) {
		sctp_tune(fd);
		return;
	}
	(void)set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	(void)set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
}

void socket_keep_alive(int fd, enum protocol protocol, uint32_t keepalive_s)
{
	if (protocol != PROTOCOL_TCP || keepalive_s == 0)
		return;
	(void)set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	(void)set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)keepalive_s);
	(void)set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)keepalive_s);
}

void socket_delay_ack(int fd, bool delay)
{
	(void)set_option(fd, IPPROTO_TCP, TCP_QUICKACK, !delay);
}

/* forced: the name of the option that goes beyond what the system allows all. */
static void set_buffer(int fd, int forced, int name, uint32_t bytes)
{
	int half = (int)(bytes / 2); /* which the kernel doubles, for its own overhead: socket(7) */

	if (set_option(fd, SOL_SOCKET, forced, half) < 0)
		(void)set_option(fd, SOL_SOCKET, name, half);
}

void socket_set_receive_buffer(int fd, uint32_t bytes)
{
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, bytes);
}

void socket_raise_buffers(int fd, uint32_t receive_bytes, uint32_t send_bytes)
{
	if (get_option(fd, SOL_SOCKET, SO_RCVBUF) < (int)receive_bytes)
		set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, receive_bytes);
	if (get_option(fd, SOL_SOCKET, SO_SNDBUF) < (int)send_bytes)
		set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, send_bytes);
}

void socket_reset(int *fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (*fd >= 0)
		(void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	fd_close(fd);
}

int socket_take_error(int fd)
{
	int error = get_option(fd, SOL_SOCKET, SO_ERROR);

	return error < 0 ? -error : error;
}

uint32_t socket_unconfirmed_bytes(int fd)
{
	int bytes = 0;

	if (ioctl(fd, SIOCOUTQ, &bytes) < 0 || bytes < 0)
		return 0;
	return (uint32_t)bytes;
}

int socket_discard(int fd, size_t most)
{
	while (most > 0) {
		/* not recv(), of which sanitizers believe that it writes to the buffer */
		long got = syscall(SYS_recvfrom, fd, NULL, most, MSG_TRUNC | MSG_DONTWAIT, NULL,
				   NULL);

		if (got < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (got == 0)
			return 0;
		most -= (size_t)got;
	}
	return 1;
}

void socket_local_address(int fd, struct address *ret)
{
	struct sockaddr_storage storage = { .ss_family = AF_UNSPEC };
	socklen_t length = sizeof(storage);

	(void)getsockname(fd, (struct sockaddr *)&storage, &length);
	address_from_sockaddr(&storage, ret);
}

void socket_peer_address(int fd, struct address *ret)
{
	struct sockaddr_storage storage = { .ss_family = AF_UNSPEC };
	socklen_t length = sizeof(storage);

	(void)getpeername(fd, (struct sockaddr *)&storage, &length);
	address_from_sockaddr(&storage, ret);
}

int socket_family(int fd)
{
	return get_option(fd, SOL_SOCKET, SO_DOMAIN);
}

enum protocol socket_protocol(int fd)
{
	int number = get_option(fd, SOL_SOCKET, SO_PROTOCOL);

	for (int protocol = PROTOCOL_TCP; protocol <= PROTOCOL_SCTP; protocol++)
		if (protocol_ip_number((enum protocol)protocol) == number)
			return (enum protocol)protocol;
	return PROTOCOL_TCP;
}

uint32_t socket_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	if (limit.rlim_cur != limit.rlim_max) {
		rlim_t before = limit.rlim_cur;

		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			limit.rlim_cur = before;
	}
	return limit.rlim_cur > UINT32_MAX ? UINT32_MAX : (uint32_t)limit.rlim_cur;
}
