/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <fcntl.h>
#include <poll.h>

#include "net/socket.h"
#include "relay/dial.h"

static const struct address anywhere;

static void errors_have_their_reasons(void **state)
{
	static const struct {
		int error;
		enum end_reason reason;
	} cases[] = {
		{ -ECONNREFUSED, END_REFUSED },	     { -ECONNRESET, END_BACKEND_RESET },
		{ -ETIMEDOUT, END_CONNECT_TIMEOUT }, { -EADDRNOTAVAIL, END_NO_SOURCE_PORT },
		{ -EAGAIN, END_NO_SOURCE_PORT },     { -EMFILE, END_NO_DESCRIPTOR },
		{ -ENFILE, END_NO_DESCRIPTOR },	     { -ENOMEM, END_NO_MEMORY },
		{ -ENOBUFS, END_NO_MEMORY },	     { -EHOSTUNREACH, END_UNREACHABLE },
		{ -ENETUNREACH, END_UNREACHABLE },   { -EACCES, END_UNREACHABLE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(dial_end_reason(cases[i].error), cases[i].reason);
}

/* Others give descriptors and memory back; ports that are used up are no such thing. */
static void shortages_are_what_others_give_back(void **state)
{
	(void)state;
	assert_true(dial_is_shortage(-EMFILE));
	assert_true(dial_is_shortage(-ENFILE));
	assert_true(dial_is_shortage(-ENOMEM));
	assert_true(dial_is_shortage(-ENOBUFS));
	assert_false(dial_is_shortage(-ECONNREFUSED));
	assert_false(dial_is_shortage(-EADDRNOTAVAIL));
	assert_false(dial_is_shortage(0));
}

static uint32_t events_of(int fd)
{
	struct pollfd entry = { .fd = fd, .events = POLLOUT };

	assert_int_equal(poll(&entry, 1, COMES_MS), 1);
	return (uint32_t)entry.revents; /* EPOLL* and POLL* are the same numbers */
}

static void connects_without_blocking(void **state)
{
	struct address target;
	int listener = listen_on(PROTOCOL_TCP, "127.0.0.1", &target), fd;

	(void)state;
	assert_int_equal(dial_start(PROTOCOL_TCP, &target, &anywhere, false, &fd), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(dial_finish(fd, PROTOCOL_TCP, &target, events_of(fd)), 0);
	close(accept_from(listener, 0));
	close(fd);
	close(listener);
}

static void refusal_is_told(void **state)
{
	struct address target;
	int listener = listen_on(PROTOCOL_TCP, "::1", &target), fd = -1, r;

	(void)state;
	close(listener);
	r = dial_start(PROTOCOL_TCP, &target, &anywhere, false, &fd);
	if (r == 0)
		r = dial_finish(fd, PROTOCOL_TCP, &target, events_of(fd));
	assert_int_equal(r, -ECONNREFUSED);
	if (fd >= 0)
		close(fd);
}

/* TCP's simultaneous open, with itself: nobody is there, and all that is sent would come back. */
static void connection_to_itself_is_a_refusal(void **state)
{
	struct address self = address_of("127.0.0.1", 0);
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(&self, AF_INET, &storage);
	int fd = socket_open(PROTOCOL_TCP, AF_INET);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&storage, length), 0);
	socket_local_address(fd, &self);
	address_to_sockaddr(&self, AF_INET, &storage);
	if (connect(fd, (struct sockaddr *)&storage, length) < 0)
		assert_int_equal(errno, EINPROGRESS);
	assert_int_equal(events_of(fd), POLLOUT);
	assert_int_equal(dial_finish(fd, PROTOCOL_TCP, &self, POLLOUT), -ECONNREFUSED);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_have_their_reasons),
		cmocka_unit_test(shortages_are_what_others_give_back),
		cmocka_unit_test(connects_without_blocking),
		cmocka_unit_test(refusal_is_told),
		cmocka_unit_test(connection_to_itself_is_a_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
