/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors on UDP sockets. The relay has one connected socket for each client towards the backend; a
 * backend that is down, or restarts, answers with ICMP errors that must not end the session.
 */
#include "support.h"

static int socket_connected(int from, const union address *to)
{
	assert_int_equal(connect(from, &to->any, address_length(to)), 0);
	return from;
}

/* Waits until the ICMP error of a send has arrived. */
static void wait_for_error(int fd)
{
	assert_true(wait_for(fd, 0) & POLLERR);
}

static void refusal_costs_one_datagram_on(const char *host)
{
	int backend = socket_bound(SOCK_DGRAM, host);
	union address address = address_of(backend);
	int fd = socket_connected(socket_bound(SOCK_DGRAM, host), &address);

	close(backend);
	assert_int_equal(send(fd, "one", 3, 0), 3);
	wait_for_error(fd);

	backend = socket(address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(backend, &address.any, address_length(&address)), 0);
	assert_fails(send(fd, "two", 3, 0), ECONNREFUSED);
	assert_int_equal(send(fd, "three", 5, 0), 5);
	assert_receives(backend, "three");
	close(fd);
	close(backend);
}

/* The error of an earlier datagram is reported by the next send, which then sends nothing: the
 * relay must send that datagram again, or a backend that came back misses the first one after. */
static void a_refusal_is_reported_by_the_next_send_which_is_not_sent(void **state)
{
	(void)state;
	refusal_costs_one_datagram_on("127.0.0.1");
	refusal_costs_one_datagram_on("::1");
}

/* Replies that wait in the queue survive an error; it is reported first. */
static void an_error_does_not_lose_queued_datagrams(void **state)
{
	(void)state;
	int backend = socket_bound(SOCK_DGRAM, "127.0.0.1");
	int fd = socket_bound(SOCK_DGRAM, "127.0.0.1");
	union address backend_address = address_of(backend), address = address_of(fd);
	char buffer[16];

	socket_connected(fd, &backend_address);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sendto(backend, "reply", 5, 0, &address.any, sizeof(address.in)),
				 5);
	wait_for(fd, POLLIN);
	close(backend);
	assert_int_equal(send(fd, "ask", 3, 0), 3);
	wait_for_error(fd);

	assert_fails(recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT), ECONNREFUSED);
	for (int i = 0; i < 3; i++)
		assert_int_equal(recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT), 5);
	assert_fails(recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT), EAGAIN);
	close(fd);
}

/* The published socket is not connected, and hears of no client that has gone: it goes on sending
 * to the others. */
static void an_unconnected_socket_is_told_no_refusal(void **state)
{
	(void)state;
	int gone = socket_bound(SOCK_DGRAM, "127.0.0.1");
	union address address = address_of(gone);
	int fd = socket_bound(SOCK_DGRAM, "127.0.0.1");

	close(gone);
	for (int i = 0; i < 3; i++)
		assert_int_equal(sendto(fd, "x", 1, 0, &address.any, sizeof(address.in)), 1);
	assert_true(stays_quiet(fd, 0));
	assert_int_equal(take_socket_error(fd), 0);
	close(fd);
}

/* Datagrams that came between bind() and connect() stay, from whomever they are. So the relay
 * connects its backend sockets without binding them first, or checks the sender. */
static void datagrams_queued_before_connect_stay_whoever_sent_them(void **state)
{
	(void)state;
	int stranger = socket_bound(SOCK_DGRAM, "127.0.0.1");
	int backend = socket_bound(SOCK_DGRAM, "127.0.0.1");
	int fd = socket_bound(SOCK_DGRAM, "127.0.0.1");
	union address address = address_of(fd), backend_address = address_of(backend);

	assert_int_equal(sendto(stranger, "early", 5, 0, &address.any, sizeof(address.in)), 5);
	wait_for(fd, POLLIN);
	socket_connected(fd, &backend_address);
	assert_int_equal(sendto(stranger, "late", 4, 0, &address.any, sizeof(address.in)), 4);
	assert_int_equal(sendto(backend, "reply", 5, 0, &address.any, sizeof(address.in)), 5);
	assert_receives(fd, "early");
	assert_receives(fd, "reply"); /* "late" was not for a connected socket */
	close(stranger);
	close(backend);
	close(fd);
}

/* 0 from recv() is a datagram without data here, not an end of file. */
static void an_empty_datagram_is_received_as_zero(void **state)
{
	(void)state;
	int fd = socket_bound(SOCK_DGRAM, "127.0.0.1");
	union address address = address_of(fd);
	char buffer[16];

	assert_int_equal(sendto(fd, "", 0, 0, &address.any, sizeof(address.in)), 0);
	assert_int_equal(sendto(fd, "x", 1, 0, &address.any, sizeof(address.in)), 1);
	wait_for(fd, POLLIN);
	assert_int_equal(recv(fd, buffer, sizeof(buffer), 0), 0);
	assert_int_equal(recv(fd, buffer, sizeof(buffer), 0), 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refusal_is_reported_by_the_next_send_which_is_not_sent),
		cmocka_unit_test(an_error_does_not_lose_queued_datagrams),
		cmocka_unit_test(an_unconnected_socket_is_told_no_refusal),
		cmocka_unit_test(datagrams_queued_before_connect_stay_whoever_sent_them),
		cmocka_unit_test(an_empty_datagram_is_received_as_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
