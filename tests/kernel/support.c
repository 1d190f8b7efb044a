/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>

union address address_parse(const char *host, uint16_t port)
{
	union address address = { 0 };

	if (inet_pton(AF_INET, host, &address.in.sin_addr) == 1) {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons(port);
	} else {
		assert_int_equal(inet_pton(AF_INET6, host, &address.in6.sin6_addr), 1);
		address.in6.sin6_family = AF_INET6;
		address.in6.sin6_port = htons(port);
	}
	return address;
}

socklen_t address_length(const union address *address)
{
	return address->any.sa_family == AF_INET ? sizeof(address->in) : sizeof(address->in6);
}

union address address_of(int fd)
{
	union address address = { 0 };
	socklen_t length = sizeof(address);

	assert_int_equal(getsockname(fd, &address.any, &length), 0);
	return address;
}

int socket_bound(int type, const char *host)
{
	union address address = address_parse(host, 0);
	int fd = socket(address.any.sa_family, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (type == SOCK_STREAM)
		set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	assert_int_equal(bind(fd, &address.any, address_length(&address)), 0);
	return fd;
}

int tcp_listen(void)
{
	int fd = socket_bound(SOCK_STREAM, "127.0.0.1");

	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

int tcp_connect(int listener)
{
	union address address = address_of(listener);
	int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &address.any, address_length(&address)), 0);
	return fd;
}

struct tcp_pair tcp_pair_open(void)
{
	int listener = tcp_listen();
	struct tcp_pair pair = { .client = tcp_connect(listener) };

	pair.server = accept(listener, NULL, NULL);
	assert_true(pair.server >= 0);
	set_int_option(pair.client, IPPROTO_TCP, TCP_NODELAY, 1);
	set_int_option(pair.server, IPPROTO_TCP, TCP_NODELAY, 1);
	close(listener);
	return pair;
}

void tcp_pair_close(struct tcp_pair pair)
{
	close(pair.client);
	close(pair.server);
}

void close_with_reset(int fd)
{
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	assert_int_equal(close(fd), 0);
}

void set_nonblocking(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

int get_int_option(int fd, int level, int option)
{
	int value = 0;
	socklen_t length = sizeof(value);

	assert_int_equal(getsockopt(fd, level, option, &value, &length), 0);
	return value;
}

void set_int_option(int fd, int level, int option, int value)
{
	assert_int_equal(setsockopt(fd, level, option, &value, sizeof(value)), 0);
}

int take_socket_error(int fd)
{
	return get_int_option(fd, SOL_SOCKET, SO_ERROR);
}

short wait_for(int fd, short events)
{
	struct pollfd entry = { .fd = fd, .events = events };

	assert_int_equal(poll(&entry, 1, COMES_MS), 1);
	return entry.revents;
}

bool stays_quiet(int fd, short events)
{
	struct pollfd entry = { .fd = fd, .events = events };

	return poll(&entry, 1, STAYS_AWAY_MS) == 0;
}

void send_all(int fd, const void *data, size_t length)
{
	assert_int_equal(send(fd, data, length, MSG_NOSIGNAL), length);
}

void assert_receives(int fd, const char *text)
{
	char buffer[256];
	size_t wanted = strlen(text), got = 0;

	assert_true(wanted < sizeof(buffer));
	while (got < wanted) {
		ssize_t n = 0;

		wait_for(fd, POLLIN);
		n = recv(fd, buffer + got, wanted - got, 0);
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_memory_equal(buffer, text, wanted);
}

size_t fill(int fd)
{
	static const char zeros[65536];
	size_t sent = 0;

	for (;;) {
		ssize_t n = send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			return sent;
		}
		sent += (size_t)n;
	}
}

size_t drain(int fd, int *ret_error)
{
	char buffer[65536];
	size_t received = 0;

	for (;;) {
		ssize_t n = 0;

		wait_for(fd, POLLIN);
		n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n <= 0) {
			*ret_error = n < 0 ? errno : 0;
			return received;
		}
		received += (size_t)n;
	}
}

bool enter_own_network(int loopback_mtu)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = -1;

	if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return false;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	request.ifr_mtu = loopback_mtu;
	bool ok = ioctl(fd, SIOCSIFMTU, &request) == 0;
	request.ifr_flags = IFF_UP;
	ok = ok && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
	close(fd);
	return ok;
}

int skip_all(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	return 0;
}
