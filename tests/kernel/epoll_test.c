/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edge-triggered epoll, as the loop uses it: one registration for a socket's whole life, and pumps
 * that remember what an edge said until they have acted on it.
 */
#include "support.h"

#include <sys/epoll.h>

struct fixture {
	struct tcp_pair pair; /* the relay's end is `server` */
	int epoll;
};

static const uint32_t ALL_EDGES = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

static int setup(void **state)
{
	static struct fixture f;

	f.pair = tcp_pair_open();
	set_nonblocking(f.pair.server);
	f.epoll = epoll_create1(EPOLL_CLOEXEC);
	assert_true(f.epoll >= 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->pair.client >= 0)
		close(f->pair.client);
	if (f->pair.server >= 0)
		close(f->pair.server);
	close(f->epoll);
	return 0;
}

static void watch(struct fixture *f, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	assert_int_equal(epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

/* The events of the next edge, or 0 if none comes within the time. */
static uint32_t next_edge(struct fixture *f, int timeout_ms)
{
	struct epoll_event event = { 0 };
	int n = epoll_wait(f->epoll, &event, 1, timeout_ms);

	assert_true(n >= 0);
	return n == 0 ? 0 : event.events;
}

/* A pump takes a short recv() for "drained" and saves the call that would say EAGAIN. That is sound
 * because bytes that come later make an edge of their own. */
static void bytes_after_a_short_read_make_a_new_edge(void **state)
{
	struct fixture *f = *state;
	char buffer[4096];

	watch(f, f->pair.server, EPOLLIN | EPOLLRDHUP | EPOLLET);
	send_all(f->pair.client, "hello", 5);
	assert_true(next_edge(f, COMES_MS) & EPOLLIN);
	assert_int_equal(recv(f->pair.server, buffer, sizeof(buffer), 0), 5);
	assert_int_equal(next_edge(f, STAYS_AWAY_MS), 0);
	send_all(f->pair.client, "again", 5);
	assert_true(next_edge(f, COMES_MS) & EPOLLIN);
}

/* Bytes that were left unread make no edge: the pump that stops at its budget must come back by
 * itself. New bytes do make one, though the socket was never empty. */
static void bytes_left_unread_make_no_edge_but_new_ones_do(void **state)
{
	struct fixture *f = *state;
	char buffer[2];

	watch(f, f->pair.server, EPOLLIN | EPOLLRDHUP | EPOLLET);
	send_all(f->pair.client, "hello", 5);
	assert_true(next_edge(f, COMES_MS) & EPOLLIN);
	assert_int_equal(recv(f->pair.server, buffer, sizeof(buffer), 0), 2);
	assert_int_equal(next_edge(f, STAYS_AWAY_MS), 0);
	send_all(f->pair.client, "again", 5);
	assert_true(next_edge(f, COMES_MS) & EPOLLIN);
}

/* A FIN that comes later than the data makes its own edge, with EPOLLRDHUP. */
static void end_of_file_after_data_makes_its_own_edge(void **state)
{
	struct fixture *f = *state;
	char buffer[4096];

	watch(f, f->pair.server, EPOLLIN | EPOLLRDHUP | EPOLLET);
	send_all(f->pair.client, "hello", 5);
	assert_int_equal(next_edge(f, COMES_MS), EPOLLIN);
	assert_int_equal(recv(f->pair.server, buffer, sizeof(buffer), 0), 5);
	shutdown(f->pair.client, SHUT_WR);
	assert_int_equal(next_edge(f, COMES_MS), EPOLLIN | EPOLLRDHUP);
	assert_int_equal(recv(f->pair.server, buffer, sizeof(buffer), 0), 0);
}

/* A FIN that is there together with the data shares the data's edge. A pump that takes the short
 * read for "drained" would wait forever: after EPOLLRDHUP it must read on until it gets 0. */
static void end_of_file_together_with_data_makes_no_second_edge(void **state)
{
	struct fixture *f = *state;
	char buffer[4096];

	send_all(f->pair.client, "hello", 5);
	shutdown(f->pair.client, SHUT_WR);
	wait_for(f->pair.server, POLLRDHUP);
	watch(f, f->pair.server, EPOLLIN | EPOLLRDHUP | EPOLLET);
	assert_int_equal(next_edge(f, COMES_MS), EPOLLIN | EPOLLRDHUP);
	assert_int_equal(recv(f->pair.server, buffer, sizeof(buffer), 0), 5);
	assert_int_equal(next_edge(f, STAYS_AWAY_MS), 0);
	assert_int_equal(recv(f->pair.server, buffer, sizeof(buffer), 0), 0);
}

/* The dialler may register its socket after connect(): what became ready before is reported. */
static void add_reports_a_connect_that_is_already_done(void **state)
{
	struct fixture *f = *state;
	int listener = tcp_listen();
	union address address = address_of(listener);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (connect(fd, &address.any, address_length(&address)) != 0)
		assert_int_equal(errno, EINPROGRESS);
	assert_true(wait_for(fd, POLLOUT) & POLLOUT);
	watch(f, fd, ALL_EDGES);
	assert_int_equal(next_edge(f, COMES_MS), EPOLLOUT);
	assert_int_equal(take_socket_error(fd), 0);
	close(fd);
	close(listener);
}

/* The same for a refusal: an error edge, and SO_ERROR says which. */
static void add_reports_a_connect_that_was_already_refused(void **state)
{
	struct fixture *f = *state;
	int closed = socket_bound(SOCK_STREAM, "127.0.0.1"); /* bound, not listening: refuses */
	union address address = address_of(closed);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_fails(connect(fd, &address.any, address_length(&address)), EINPROGRESS);
	wait_for(fd, POLLOUT);
	watch(f, fd, ALL_EDGES);
	assert_int_equal(next_edge(f, COMES_MS) & (EPOLLERR | EPOLLHUP), EPOLLERR | EPOLLHUP);
	assert_int_equal(take_socket_error(fd), ECONNREFUSED);
	close(fd);
	close(closed);
}

/* EPOLL_CTL_MOD looks again and reports what is ready now, even if an edge told it before. */
static void modify_reports_readiness_again(void **state)
{
	struct fixture *f = *state;
	struct epoll_event event = { .events = ALL_EDGES, .data.fd = f->pair.server };

	watch(f, f->pair.server, ALL_EDGES);
	assert_int_equal(next_edge(f, COMES_MS), EPOLLOUT);
	assert_int_equal(next_edge(f, STAYS_AWAY_MS), 0);
	assert_int_equal(epoll_ctl(f->epoll, EPOLL_CTL_MOD, f->pair.server, &event), 0);
	assert_int_equal(next_edge(f, COMES_MS), EPOLLOUT);
}

/* A pump that met a full sink waits for this edge. */
static void a_full_socket_makes_an_edge_when_its_reader_catches_up(void **state)
{
	struct fixture *f = *state;
	char buffer[65536];

	watch(f, f->pair.server, EPOLLOUT | EPOLLET);
	assert_int_equal(next_edge(f, COMES_MS), EPOLLOUT);
	for (size_t left = fill(f->pair.server); left > 0;) {
		ssize_t n = recv(f->pair.client, buffer, sizeof(buffer), 0);

		assert_true(n > 0);
		left -= (size_t)n;
	}
	assert_int_equal(next_edge(f, COMES_MS), EPOLLOUT);
}

/* EPOLLHUP means that both directions have ended, EPOLLRDHUP that the peer's has: a half-closed
 * session shows only the second. */
static void hangup_means_that_both_directions_have_ended(void **state)
{
	struct fixture *f = *state;

	shutdown(f->pair.client, SHUT_WR);
	wait_for(f->pair.server, POLLRDHUP);
	watch(f, f->pair.server, ALL_EDGES);
	assert_int_equal(next_edge(f, COMES_MS), EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	shutdown(f->pair.server, SHUT_WR);
	assert_true(next_edge(f, COMES_MS) & EPOLLHUP);
}

/* The only descriptor of a socket takes its registration along; a duplicate keeps it alive, and
 * then events come for a flow that is gone. The loop therefore checks a generation, and no
 * descriptor of the relay is ever duplicated. */
static void close_unregisters_unless_a_duplicate_is_left(void **state)
{
	struct fixture *f = *state;
	int copy = dup(f->pair.server);

	watch(f, f->pair.server, EPOLLIN | EPOLLET);
	close(f->pair.server);
	f->pair.server = -1;
	send_all(f->pair.client, "hello", 5);
	assert_int_equal(next_edge(f, COMES_MS), EPOLLIN);
	close(copy);
	assert_int_equal(next_edge(f, STAYS_AWAY_MS), 0);
}

int main(void)
{
#define WITH_EPOLL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_EPOLL(bytes_after_a_short_read_make_a_new_edge),
		WITH_EPOLL(bytes_left_unread_make_no_edge_but_new_ones_do),
		WITH_EPOLL(end_of_file_after_data_makes_its_own_edge),
		WITH_EPOLL(end_of_file_together_with_data_makes_no_second_edge),
		WITH_EPOLL(add_reports_a_connect_that_is_already_done),
		WITH_EPOLL(add_reports_a_connect_that_was_already_refused),
		WITH_EPOLL(modify_reports_readiness_again),
		WITH_EPOLL(a_full_socket_makes_an_edge_when_its_reader_catches_up),
		WITH_EPOLL(hangup_means_that_both_directions_have_ended),
		WITH_EPOLL(close_unregisters_unless_a_duplicate_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
