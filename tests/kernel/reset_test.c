/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends and errors of TCP connections: what makes a reset, and what its receiver sees.
 *
 * The relay carries a reset of one side to the other. For that it must be able to make one, and to
 * tell one from a clean end, also when data or a FIN came first.
 */
#include "support.h"

#include <netinet/tcp.h>
#include <signal.h>

/* relay/flow resets a peer by closing with a linger time of zero. The peer still gets what it had
 * received, then the error once, then what looks like a clean end: who drops the error has lost
 * it. */
static void linger_zero_close_resets_and_received_data_stays_readable(void **state)
{
	(void)state;
	struct tcp_pair pair = tcp_pair_open();
	char byte;

	send_all(pair.client, "hello", 5);
	wait_for(pair.server, POLLIN);
	close_with_reset(pair.client);
	wait_for(pair.server, POLLRDHUP);
	assert_receives(pair.server, "hello");
	assert_fails(recv(pair.server, &byte, 1, 0), ECONNRESET);
	assert_int_equal(recv(pair.server, &byte, 1, 0), 0);
	close(pair.server);
}

/* ... but what the peer had not yet received is dropped. So the relay resets only when it means it:
 * data on its way to a healthy peer does not survive. */
static void linger_zero_close_drops_what_was_not_delivered(void **state)
{
	(void)state;
	struct tcp_pair pair = tcp_pair_open();
	size_t sent = fill(pair.client);
	int error = 0;

	close_with_reset(pair.client);
	assert_true(drain(pair.server, &error) < sent);
	assert_int_equal(error, ECONNRESET);
	close(pair.server);
}

/* close() with unread input resets by itself, and so drops output that is still on its way: a flow
 * that ends cleanly must have read to the end first. */
static void close_with_unread_input_resets(void **state)
{
	(void)state;
	struct tcp_pair pair = tcp_pair_open();
	char byte;

	send_all(pair.server, "unread", 6);
	wait_for(pair.client, POLLIN);
	close(pair.client);
	wait_for(pair.server, POLLRDHUP);
	assert_fails(recv(pair.server, &byte, 1, 0), ECONNRESET);
	close(pair.server);
}

/* With MSG_TRUNC and no buffer, recv() drops input: the close is in order again, and output that is
 * on its way arrives. So a flow ends where the client was told the end, and still speaks. */
static void close_after_input_was_dropped_does_not_reset(void **state)
{
	(void)state;
	struct tcp_pair pair = tcp_pair_open();

	send_all(pair.server, "unread", 6);
	wait_for(pair.client, POLLIN);
	send_all(pair.client, "answer", 6);
	assert_int_equal(recv(pair.client, NULL, 1 << 20, MSG_TRUNC | MSG_DONTWAIT), 6);
	close(pair.client);
	wait_for(pair.server, POLLRDHUP);
	assert_receives(pair.server, "answer");
	assert_int_equal(take_socket_error(pair.server), 0);
	close(pair.server);
}

/* Unread input after shutdown(SHUT_WR): the FIN is out, then a reset overtakes the peaceful end. */
static void close_with_unread_input_resets_even_after_shutdown(void **state)
{
	(void)state;
	struct tcp_pair pair = tcp_pair_open();

	send_all(pair.server, "unread", 6);
	wait_for(pair.client, POLLIN);
	shutdown(pair.client, SHUT_WR);
	wait_for(pair.server, POLLRDHUP);
	close(pair.client);
	assert_true(wait_for(pair.server, 0) & POLLERR);
	assert_int_equal(take_socket_error(pair.server), EPIPE);
	close(pair.server);
}

/* A reset after a FIN does not show in recv(), which keeps saying 0. It is there as EPOLLERR and in
 * SO_ERROR, as EPIPE: the relay must look there or it reports success for a broken session. */
static void a_reset_after_a_fin_is_seen_only_in_the_socket_error(void **state)
{
	(void)state;
	struct tcp_pair pair = tcp_pair_open();
	char byte;

	shutdown(pair.client, SHUT_WR);
	wait_for(pair.server, POLLRDHUP);
	close_with_reset(pair.client);
	assert_true(wait_for(pair.server, 0) & POLLERR);
	assert_int_equal(recv(pair.server, &byte, 1, 0), 0);
	assert_int_equal(take_socket_error(pair.server), EPIPE);
	assert_int_equal(take_socket_error(pair.server), 0);
	close(pair.server);
}

/* Writing to a peer that closed both ways (it cannot be told from one that shut one way) draws a
 * reset: the first write still succeeds. */
static void writing_to_a_closed_peer_succeeds_once_then_fails(void **state)
{
	(void)state;
	struct tcp_pair pair = tcp_pair_open();

	close(pair.client);
	wait_for(pair.server, POLLRDHUP);
	send_all(pair.server, "x", 1);
	assert_true(wait_for(pair.server, 0) & POLLERR);
	assert_fails(send(pair.server, "x", 1, MSG_NOSIGNAL), EPIPE);
	close(pair.server);
}

/* The send pump gets the reset's own error once, and EPIPE ever after. */
static void send_on_a_reset_socket_reports_the_error_once_then_epipe(void **state)
{
	(void)state;
	struct tcp_pair pair = tcp_pair_open();

	close_with_reset(pair.client);
	wait_for(pair.server, POLLRDHUP);
	assert_fails(send(pair.server, "x", 1, MSG_NOSIGNAL), ECONNRESET);
	assert_fails(send(pair.server, "x", 1, MSG_NOSIGNAL), EPIPE);
	assert_fails(send(pair.server, "x", 1, MSG_NOSIGNAL), EPIPE);
	close(pair.server);
}

/* The error belongs to the socket, not to a direction: the pump that asks first takes it, and the
 * other direction's pump sees a plain end. The flow decides once, for both. */
static void the_error_of_a_reset_is_taken_by_whoever_asks_first(void **state)
{
	(void)state;
	struct tcp_pair pair = tcp_pair_open();
	char byte;

	close_with_reset(pair.client);
	wait_for(pair.server, POLLRDHUP);
	assert_fails(send(pair.server, "x", 1, MSG_NOSIGNAL), ECONNRESET);
	assert_int_equal(recv(pair.server, &byte, 1, 0), 0);
	close(pair.server);
}

/* relay/dial: a refused connect is ECONNREFUSED in SO_ERROR. */
static void a_refused_connect_says_so(void **state)
{
	(void)state;
	int closed = socket_bound(SOCK_STREAM, "127.0.0.1");
	union address address = address_of(closed);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_fails(connect(fd, &address.any, address_length(&address)), EINPROGRESS);
	wait_for(fd, POLLOUT);
	assert_int_equal(take_socket_error(fd), ECONNREFUSED);
	close(fd);
	close(closed);
}

/* A client may reset while it waits in the backlog. accept() still hands the connection out, with
 * what it sent, and the error shows only when it is used. */
static void a_connection_reset_in_the_backlog_is_still_accepted(void **state)
{
	(void)state;
	int listener = tcp_listen();
	int client = tcp_connect(listener);
	int server = -1;
	char byte;

	send_all(client, "hello", 5);
	close_with_reset(client);
	wait_for(listener, POLLIN);
	server = accept(listener, NULL, NULL);
	assert_true(server >= 0);
	assert_true(wait_for(server, POLLIN) & POLLERR);
	assert_receives(server, "hello");
	assert_fails(recv(server, &byte, 1, 0), ECONNRESET);
	close(server);
	close(listener);
}

/* A session whose one direction has ended goes on in the other, whichever side ends first. */
static void half_close_works_both_ways(void **state)
{
	(void)state;

	for (int turn = 0; turn < 2; turn++) {
		struct tcp_pair pair = tcp_pair_open();
		int first = turn == 0 ? pair.client : pair.server;
		int second = turn == 0 ? pair.server : pair.client;
		char byte;

		send_all(first, "question", 8);
		shutdown(first, SHUT_WR);
		assert_receives(second, "question");
		assert_int_equal(recv(second, &byte, 1, 0), 0);
		send_all(second, "answer", 6);
		assert_receives(first, "answer");
		send_all(second, "more", 4);
		shutdown(second, SHUT_WR);
		assert_receives(first, "more");
		assert_int_equal(recv(first, &byte, 1, 0), 0);
		assert_int_equal(take_socket_error(first), 0);
		assert_int_equal(take_socket_error(second), 0);
		tcp_pair_close(pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linger_zero_close_resets_and_received_data_stays_readable),
		cmocka_unit_test(linger_zero_close_drops_what_was_not_delivered),
		cmocka_unit_test(close_with_unread_input_resets),
		cmocka_unit_test(close_after_input_was_dropped_does_not_reset),
		cmocka_unit_test(close_with_unread_input_resets_even_after_shutdown),
		cmocka_unit_test(a_reset_after_a_fin_is_seen_only_in_the_socket_error),
		cmocka_unit_test(writing_to_a_closed_peer_succeeds_once_then_fails),
		cmocka_unit_test(send_on_a_reset_socket_reports_the_error_once_then_epipe),
		cmocka_unit_test(the_error_of_a_reset_is_taken_by_whoever_asks_first),
		cmocka_unit_test(a_refused_connect_says_so),
		cmocka_unit_test(a_connection_reset_in_the_backlog_is_still_accepted),
		cmocka_unit_test(half_close_works_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
