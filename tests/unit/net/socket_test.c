/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>

#include "base/error.h"
#include "net/socket.h"

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
	return value;
}

static void assert_sentence(const struct error *err, const char *part)
{
	if (!strstr(err->text, part))
		fail_msg("\"%s\" is not in: %s", part, err->text);
}

static void listening_socket_is_set_up(void **state)
{
	struct address address;
	int fd = listen_on(PROTOCOL_TCP, "::", &address);

	(void)state;
	assert_int_equal(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	assert_int_equal(option(fd, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	assert_int_equal(option(fd, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(socket_family(fd), AF_INET6);
	assert_true(address.port != 0);
	close(fd);
}

static void udp_socket_tells_local_addresses(void **state)
{
	struct address address;
	int fd4 = listen_on(PROTOCOL_UDP, "0.0.0.0", &address);
	int fd6 = listen_on(PROTOCOL_UDP, "::", &address);

	(void)state;
	assert_int_equal(option(fd4, IPPROTO_IP, IP_PKTINFO), 1);
	assert_int_equal(option(fd4, SOL_SOCKET, SO_BROADCAST), 1);
	assert_int_equal(option(fd6, IPPROTO_IPV6, IPV6_RECVPKTINFO), 1);
	close(fd4);
	close(fd6);
}

/* Docker's scripts look for the words of the first part; the rest says what to do. */
static void busy_port_is_told_with_its_name(void **state)
{
	struct address address;
	int fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &address);
	struct error err;
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	assert_int_equal(socket_listen(PROTOCOL_TCP, &address, &err), -EADDRINUSE);
	assert_int_equal(err.code, -EADDRINUSE);
	assert_sentence(&err, "listen tcp4 ");
	assert_sentence(&err, address_format(&address, text));
	assert_sentence(&err, "bind: address already in use");
	assert_sentence(&err, "another program holds this port");
	close(fd);
}

static void foreign_address_is_told(void **state)
{
	struct address address = address_of("2001:db8::dead", 8080);
	struct error err;

	(void)state;
	assert_int_equal(socket_listen(PROTOCOL_UDP, &address, &err), -EADDRNOTAVAIL);
	assert_sentence(&err, "listen udp6 [2001:db8::dead]:8080");
	assert_sentence(&err, "no interface of this host has that address");
}

static void missing_sctp_is_told_with_a_remedy(void **state)
{
	struct address address = address_of("127.0.0.1", 0);
	struct error err;
	int fd = socket_listen(PROTOCOL_SCTP, &address, &err);

	(void)state;
	if (fd >= 0) { /* a kernel that has it */
		close(fd);
		return;
	}
	assert_int_equal(fd, -EPROTONOSUPPORT);
	assert_sentence(&err, "modprobe sctp");
}

static void passed_listener_is_adopted(void **state)
{
	struct address address;
	int fd = listen_on(PROTOCOL_TCP, "127.0.0.1", &address);
	struct error err;

	(void)state;
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
	assert_int_equal(socket_adopt(fd, PROTOCOL_TCP, &err), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

static void assert_not_adopted(int fd, enum protocol protocol, const char *part)
{
	int before = fcntl(fd, F_GETFL);
	struct error err;

	assert_true(socket_adopt(fd, protocol, &err) < 0);
	assert_sentence(&err, part);
	assert_int_equal(fcntl(fd, F_GETFL), before); /* untouched, and still open */
	close(fd);
}

static void what_is_no_listener_is_not_adopted(void **state)
{
	int pipes[2], unix_pair[2];
	struct error err;
	struct address address;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, unix_pair), 0);
	assert_not_adopted(pipes[0], PROTOCOL_TCP, "is no socket");
	assert_not_adopted(pipes[1], PROTOCOL_UDP, "is no socket");
	assert_not_adopted(unix_pair[0], PROTOCOL_TCP, "unexpected socket type");
	close(unix_pair[1]);
	assert_not_adopted(socket(AF_INET, SOCK_STREAM, 0), PROTOCOL_TCP, "does not listen");
	assert_not_adopted(listen_on(PROTOCOL_UDP, "127.0.0.1", &address), PROTOCOL_TCP,
			   "is not a tcp socket");
	assert_not_adopted(listen_on(PROTOCOL_TCP, "127.0.0.1", &address), PROTOCOL_UDP,
			   "is not a udp socket");
	assert_int_equal(socket_adopt(9999, PROTOCOL_TCP, &err), -EBADF);
	assert_sentence(&err, "descriptor 9999");
}

static void stream_is_tuned(void **state)
{
	int pair[2];

	(void)state;
	stream_pair(pair);
	socket_tune_stream(pair[0], PROTOCOL_TCP);
	assert_true(option(pair[0], IPPROTO_TCP, TCP_NODELAY));
	assert_true(option(pair[0], SOL_SOCKET, SO_OOBINLINE));
	assert_false(option(pair[0], SOL_SOCKET, SO_KEEPALIVE));
	close(pair[0]);
	close(pair[1]);
}

static void stream_is_kept_alive(void **state)
{
	int pair[2];

	(void)state;
	stream_pair(pair);
	socket_keep_alive(pair[0], PROTOCOL_TCP, 15);
	assert_true(option(pair[0], SOL_SOCKET, SO_KEEPALIVE));
	assert_int_equal(option(pair[0], IPPROTO_TCP, TCP_KEEPIDLE), 15);
	assert_int_equal(option(pair[0], IPPROTO_TCP, TCP_KEEPINTVL), 15);
	assert_int_equal(option(pair[0], IPPROTO_TCP, TCP_KEEPCNT), 9);
	socket_keep_alive(pair[1], PROTOCOL_TCP, 0);
	assert_false(option(pair[1], SOL_SOCKET, SO_KEEPALIVE));
	close(pair[0]);
	close(pair[1]);
}

static void reset_is_seen_by_the_peer(void **state)
{
	int pair[2];

	(void)state;
	stream_pair(pair);
	socket_reset(&pair[0]);
	assert_int_equal(pair[0], -1);
	assert_was_reset(pair[1]);
	socket_reset(&pair[0]); /* harmless */
	close(pair[1]);
}

static void error_is_taken_once(void **state)
{
	int pair[2];

	(void)state;
	stream_pair(pair);
	assert_int_equal(socket_take_error(pair[1]), 0);
	socket_reset(&pair[0]);
	assert_true(wait_for(pair[1], POLLERR, COMES_MS));
	assert_int_equal(socket_take_error(pair[1]), ECONNRESET);
	assert_int_equal(socket_take_error(pair[1]), 0);
	close(pair[1]);
	assert_int_equal(socket_take_error(9999), EBADF);
}

static void unconfirmed_bytes_are_those_the_peer_has_no_room_for(void **state)
{
	int pair[2];
	size_t filled;

	(void)state;
	stream_pair(pair);
	assert_int_equal(socket_unconfirmed_bytes(pair[0]), 0);
	filled = fill(pair[0]);
	assert_true(socket_unconfirmed_bytes(pair[0]) > 0);
	assert_true(socket_unconfirmed_bytes(pair[0]) <= filled);
	assert_int_equal(drain(pair[1]), filled);
	assert_int_equal(socket_unconfirmed_bytes(pair[0]), 0);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(socket_unconfirmed_bytes(9999), 0);
}

static void limit_is_raised_to_the_hard_one(void **state)
{
	struct rlimit before, lower, after;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	lower = before;
	lower.rlim_cur = before.rlim_max / 2;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lower), 0);
	assert_int_equal(socket_raise_limit(), before.rlim_max);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
	assert_true(after.rlim_cur == before.rlim_max);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listening_socket_is_set_up),
		cmocka_unit_test(udp_socket_tells_local_addresses),
		cmocka_unit_test(busy_port_is_told_with_its_name),
		cmocka_unit_test(foreign_address_is_told),
		cmocka_unit_test(missing_sctp_is_told_with_a_remedy),
		cmocka_unit_test(passed_listener_is_adopted),
		cmocka_unit_test(what_is_no_listener_is_not_adopted),
		cmocka_unit_test(stream_is_tuned),
		cmocka_unit_test(stream_is_kept_alive),
		cmocka_unit_test(reset_is_seen_by_the_peer),
		cmocka_unit_test(error_is_taken_once),
		cmocka_unit_test(unconfirmed_bytes_are_those_the_peer_has_no_room_for),
		cmocka_unit_test(limit_is_raised_to_the_hard_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
