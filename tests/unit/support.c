/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "loop/timeout.h"
#include "net/socket.h"

#define TICK_NS (5 * NS_PER_MS)

struct loop loop;
static struct timeout_queue ticks;
static struct timeout tick;
static bool (*run_done)(void);
static uint64_t run_limit_ns;

struct address address_of(const char *ip, uint16_t port)
{
	struct address address;

	assert_int_equal(address_parse_ip(ip, &address), 0);
	address.port = port;
	return address;
}

int listen_on(enum protocol protocol, const char *ip, struct address *ret)
{
	struct address any = address_of(ip, 0);
	struct error err;
	int fd = socket_listen(protocol, &any, &err);

	assert_true(fd >= 0);
	socket_local_address(fd, ret);
	return fd;
}

int connect_to(enum protocol protocol, const struct address *address)
{
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(address, address->family, &storage);
	int fd = socket(address->family, protocol_socket_type(protocol) | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&storage, length), 0);
	return fd;
}

bool wait_for(int fd, short events, int ms)
{
	struct pollfd entry = { .fd = fd, .events = events };

	return poll(&entry, 1, ms) == 1;
}

int accept_from(int listener, int flags)
{
	int fd;

	assert_true(wait_for(listener, POLLIN, COMES_MS));
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | flags);
	assert_true(fd >= 0);
	return fd;
}

void stream_pair(int pair[2])
{
	struct address address;
	int listener = listen_on(PROTOCOL_TCP, "127.0.0.1", &address);

	pair[0] = connect_to(PROTOCOL_TCP, &address);
	assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	pair[1] = accept_from(listener, SOCK_NONBLOCK);
	close(listener);
	socket_tune_stream(pair[0], PROTOCOL_TCP);
	socket_tune_stream(pair[1], PROTOCOL_TCP);
}

void assert_receives(int fd, const char *text)
{
	char buffer[256];
	size_t length = strlen(text), got = 0;

	do {
		ssize_t part;

		assert_true(wait_for(fd, POLLIN, COMES_MS));
		part = recv(fd, buffer + got, sizeof(buffer) - got, MSG_DONTWAIT);
		assert_true(part >= 0);
		if (part == 0)
			break;
		got += (size_t)part;
	} while (got < length);
	assert_int_equal(got, length);
	assert_memory_equal(buffer, text, length);
}

void assert_was_reset(int fd)
{
	assert_true(wait_for(fd, POLLERR, COMES_MS));
	assert_int_equal(socket_take_error(fd), ECONNRESET);
}

size_t fill(int fd)
{
	static const char zeros[4096];
	size_t total = 0;
	int quiet = 0;

	/* what is on its way to the peer makes room when it has arrived, a little later */
	while (quiet < 5) {
		ssize_t sent = send(fd, zeros, sizeof(zeros), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			total += (size_t)sent;
			quiet = 0;
			continue;
		}
		assert_int_equal(errno, EAGAIN);
		quiet++;
		(void)poll(NULL, 0, 5);
	}
	return total;
}

size_t drain(int fd)
{
	char buffer[4096];
	size_t total = 0;
	ssize_t got;

	while (wait_for(fd, POLLIN, 50) &&
	       (got = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0)
		total += (size_t)got;
	return total;
}

static void ticked(void *context, struct timeout *timeout)
{
	(void)context;
	if ((run_done && run_done()) || loop.now_ns >= run_limit_ns)
		loop_stop(&loop);
	else
		timeout_start(timeout, &ticks, &loop);
}

void loop_setup(void)
{
	assert_int_equal(loop_init(&loop), 0);
	timeout_queue_init(&ticks, &loop, TICK_NS, ticked, NULL);
	timeout_init(&tick);
}

void loop_teardown(void)
{
	loop_fini(&loop);
}

static void run(bool (*done)(void), uint64_t limit_ns)
{
	loop.stopping = false;
	loop.now_ns = clock_now_ns();
	run_done = done;
	run_limit_ns = loop.now_ns + limit_ns;
	timeout_start(&tick, &ticks, &loop);
	assert_int_equal(loop_run(&loop), 0);
	timeout_stop(&tick);
}

void run_until(bool (*done)(void))
{
	if (done())
		return;
	run(done, COMES_MS * NS_PER_MS);
	assert_true(done());
}

void run_turns(void)
{
	run(NULL, 30 * NS_PER_MS);
}

static int saved_stderr, captured[2];

void end_sessions(struct relay *relay, struct relay_route *route)
{
	route->withdrawn = true;
	relay_drop_withdrawn(relay, false);
	route->withdrawn = false;
}

int capture_stderr(void)
{
	saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	assert_int_equal(pipe2(captured, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(dup2(captured[1], STDERR_FILENO), STDERR_FILENO);
	return captured[0];
}

void release_stderr(void)
{
	assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
	close(saved_stderr);
	close(captured[0]);
	close(captured[1]);
}

int skip_all(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	return 0;
}
