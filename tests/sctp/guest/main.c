/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Black-box tests of a proxy for SCTP. Usage: sctp-test PROXY
 *
 * Prints the Test Anything Protocol. Each test runs in a process of its own, with a time limit, so
 * that one that hangs or dies is one failure and no more.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend.h"
#include "message.h"
#include "proxy.h"

#define TEST_SECONDS 60

/* A PPID whose bytes all differ, so that a swapped order shows. */
#define PPID 0x01020304u

/* A client's receive that must give a message. */
static struct message receive(int fd)
{
	struct message message;
	enum ending ending;

	if (!message_receive(fd, &message, &ending))
		fail("a message was expected, but the association ended %s",
		     ending == ENDED_BY_RESET ? "by a reset" : "in order");
	return message;
}

/* A client's receive that must show the end. */
static enum ending receive_ending(int fd)
{
	struct message message;
	enum ending ending;

	if (message_receive(fd, &message, &ending))
		fail("an end was expected, but a message of %zu bytes came", message.length);
	return ending;
}

static void echo_one(int fd, uint16_t stream, uint32_t ppid, bool unordered, size_t length,
		     uint32_t seed)
{
	struct message message;

	message_send(fd, stream, ppid, unordered, length, seed);
	message = receive(fd);
	message_expect(&message, stream, ppid, unordered, length, seed);
}

/* The tests' own parts work: no proxy is in between. */
static void harness_without_proxy(void)
{
	struct backend backend = backend_start(serve_echo);
	int fd = sctp_connect("127.0.0.1", backend.port);
	struct report report;

	echo_one(fd, 3, PPID, false, 5, 1);
	echo_one(fd, 0, 0, true, 200000, 2);
	close(fd);
	report = backend_report(&backend);
	if (report.messages != 2 || report.ending != ENDED_IN_ORDER)
		fail("the backend saw %u messages", report.messages);
	backend_stop(&backend);
}

/* Stream number, PPID and the unordered flag are those of the sender, both ways. */
static void echo_keeps_all(const char *host, enum listener listener)
{
	struct backend backend = backend_start(serve_echo);
	struct proxy proxy = proxy_start(host, listener, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);

	for (uint16_t stream = 0; stream < 10; stream++) {
		echo_one(fd, stream, PPID + stream, false, 10, stream);
		echo_one(fd, stream, 0, true, 10, stream);
	}
	close(fd);
	backend_stop(&backend);
	proxy_stop(&proxy);
}

static void echo_own_sctp4(void)
{
	echo_keeps_all("0.0.0.0", OWN_LISTENER);
}

static void echo_own_sctp6(void)
{
	echo_keeps_all("::", OWN_LISTENER);
}

static void echo_passed_sctp4(void)
{
	echo_keeps_all("0.0.0.0", PASSED_LISTENER);
}

static void echo_passed_sctp6(void)
{
	echo_keeps_all("::", PASSED_LISTENER);
}

/* Messages that were sent at once arrive as as many, not joined. */
static void boundaries_are_kept(void)
{
	enum { COUNT = 50 };
	struct backend backend = backend_start(serve_echo);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);

	for (uint32_t i = 0; i < COUNT; i++)
		message_send(fd, 1, i, false, 1 + i, i);
	for (uint32_t i = 0; i < COUNT; i++) {
		struct message message = receive(fd);

		message_expect(&message, 1, i, false, 1 + i, i);
	}
	close(fd);
	backend_stop(&backend);
	proxy_stop(&proxy);
}

/* One message stays one, also beyond a buffer of 32 KiB, at which the original docker-proxy
 * splits. */
static void large_messages_stay_whole(void)
{
	static const size_t lengths[] = {
		1, 1400, 32 * 1024 - 32, 40000, 100000, 200000, 256 * 1024
	};
	struct backend backend = backend_start(serve_echo);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		echo_one(fd, 2, PPID, false, lengths[i], (uint32_t)i);
		echo_one(fd, 2, PPID, true, lengths[i], (uint32_t)i);
	}
	close(fd);
	backend_stop(&backend);
	proxy_stop(&proxy);
}

/* What is larger than the proxy's bound comes in several messages, but all of it and in its
 * order. */
static void huge_messages_lose_no_byte(void)
{
	static uint8_t wanted[MESSAGE_BYTES_MAX];
	struct backend backend = backend_start(serve_echo);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);
	const size_t length = 700000;
	size_t received = 0;
	int parts = 0;

	message_send(fd, 2, PPID, false, length, 7);
	message_fill(wanted, length, 7);
	while (received < length) {
		struct message message = receive(fd);

		if (received + message.length > length ||
		    memcmp(message.bytes, wanted + received, message.length) != 0)
			fail("part %d has other content", parts);
		if (message.stream != 2 || message.ppid != PPID)
			fail("part %d lost its stream or PPID", parts);
		received += message.length;
		parts++;
	}
	printf("# a message of %zu bytes came in %d\n", length, parts);
	echo_one(fd, 5, 1, false, 10, 1);
	close(fd);
	backend_stop(&backend);
	proxy_stop(&proxy);
}

static size_t varied_length(uint32_t i)
{
	return 1 + (i * 2654435761u >> 8) % 5000;
}

/* Thousands of messages, while both directions are busy: none lost, repeated or out of order in
 * its stream. */
static void many_messages_in_a_row(void)
{
	enum { COUNT = 4000, STREAMS_USED = 4 };
	struct backend backend = backend_start(serve_echo);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);
	uint32_t next[STREAMS_USED] = { 0 };
	uint64_t bytes = 0;
	pid_t sender;
	int status;

	sender = fork();
	if (sender == 0) {
		for (uint32_t i = 0; i < COUNT; i++)
			message_send(fd, i % STREAMS_USED, i, false, varied_length(i), i);
		_exit(0);
	}
	for (uint32_t i = 0; i < COUNT; i++) {
		struct message message = receive(fd);
		uint16_t stream = message.stream;
		uint32_t wanted;

		if (stream >= STREAMS_USED)
			fail("a message came on stream %u", stream);
		wanted = next[stream]++ * STREAMS_USED + stream;
		message_expect(&message, stream, wanted, false, varied_length(wanted), wanted);
		bytes += message.length;
	}
	if (waitpid(sender, &status, 0) != sender || status != 0)
		fail("the sender failed");
	printf("# %d messages, %llu bytes, each way\n", COUNT, (unsigned long long)bytes);
	close(fd);
	backend_stop(&backend);
	proxy_stop(&proxy);
}

/* A client that sends and ends at once, before the proxy has reached the backend: everything
 * arrives, then the end, in order. */
static void end_of_client_comes_after_its_messages(void)
{
	enum { COUNT = 30, LENGTH = 1000 };
	struct backend backend = backend_start(serve_sink);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);
	struct report report;

	for (uint32_t i = 0; i < COUNT; i++)
		message_send(fd, 1, PPID, false, LENGTH, i);
	close(fd);
	report = backend_report(&backend);
	if (report.messages != COUNT || report.bytes != COUNT * LENGTH)
		fail("the backend saw %u messages of %d", report.messages, COUNT);
	if (report.ending != ENDED_IN_ORDER)
		fail("the backend saw a reset");
	backend_stop(&backend);
	proxy_stop(&proxy);
}

/* The same while answers wait everywhere on the way back, which nobody reads: they must not turn
 * the end into an abort, which would also cost the backend messages. */
static void end_of_client_is_in_order_in_spite_of_answers(void)
{
	enum { COUNT = 75, LENGTH = 20000 };
	struct backend backend = backend_start(serve_echo);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);
	struct report report;

	for (uint32_t i = 0; i < COUNT; i++)
		message_send(fd, 1, PPID, false, LENGTH, i);
	if (shutdown(fd, SHUT_WR) < 0)
		fail("shutdown: %s", strerror(errno));
	report = backend_report(&backend);
	if (report.messages != COUNT)
		fail("the backend saw %u messages of %d", report.messages, COUNT);
	if (report.ending != ENDED_IN_ORDER)
		fail("the backend saw a reset");
	close(fd);
	backend_stop(&backend);
	proxy_stop(&proxy);
}

enum { FAREWELL_COUNT = 30, FAREWELL_BYTES = 1000 };

static struct report serve_farewell(int fd)
{
	struct report report = { 0 };

	for (uint32_t i = 0; i < FAREWELL_COUNT; i++)
		message_send(fd, 1, PPID, false, FAREWELL_BYTES, i);
	close(fd);
	return report;
}

static void receive_farewell(int fd)
{
	for (uint32_t i = 0; i < FAREWELL_COUNT; i++) {
		struct message message = receive(fd);

		message_expect(&message, 1, PPID, false, FAREWELL_BYTES, i);
	}
	if (receive_ending(fd) != ENDED_IN_ORDER)
		fail("the client saw a reset");
	close(fd);
}

/* A backend that sends and ends at once. */
static void end_of_backend_comes_after_its_messages(void)
{
	struct backend backend = backend_start(serve_farewell);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);

	receive_farewell(sctp_connect(proxy.client_host, proxy.port));
	backend_stop(&backend);
	proxy_stop(&proxy);
}

static void abort_of_client_reaches_the_backend(void)
{
	struct backend backend = backend_start(serve_echo);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);
	struct report report;

	echo_one(fd, 1, PPID, false, 10, 1);
	sctp_abort(fd);
	report = backend_report(&backend);
	if (report.ending != ENDED_BY_RESET)
		fail("the backend saw an end in order");
	backend_stop(&backend);
	proxy_stop(&proxy);
}

static struct report serve_one_and_abort(int fd)
{
	struct report report = { 0 };
	struct message message;
	enum ending ending;

	if (!message_receive(fd, &message, &ending))
		fail("the backend got no message");
	sctp_abort(fd);
	return report;
}

static void abort_of_backend_reaches_the_client(void)
{
	struct backend backend = backend_start(serve_one_and_abort);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);

	message_send(fd, 1, PPID, false, 10, 1);
	if (receive_ending(fd) != ENDED_BY_RESET)
		fail("the client saw an end in order");
	close(fd);
	backend_stop(&backend);
	proxy_stop(&proxy);
}

/* The proxy takes in more streams than this backend does. What is sent on one that the backend lacks
 * cannot be passed on: both sides are told. */
static void stream_that_the_backend_lacks_aborts(void)
{
	struct backend backend = backend_start(serve_echo);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);

	echo_one(fd, 60, PPID, false, 10, 1);
	message_send(fd, 150, PPID, false, 10, 1);
	if (receive_ending(fd) != ENDED_BY_RESET)
		fail("the client saw an end in order");
	if (backend_report(&backend).ending != ENDED_BY_RESET)
		fail("the backend saw an end in order");
	close(fd);
	backend_stop(&backend);
	proxy_stop(&proxy);
}

/* A container whose service is not up. The abort may even be there before connect() has
 * returned. */
static void refusing_backend_aborts_the_client(void)
{
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend_refusing_port());
	int fd = sctp_try_connect(proxy.client_host, proxy.port);

	if (fd < 0 && fd != -ECONNREFUSED && fd != -ECONNRESET)
		fail("connect: %s", strerror(-fd));
	if (fd >= 0 && receive_ending(fd) != ENDED_BY_RESET)
		fail("the client saw an end in order");
	if (fd >= 0)
		close(fd);
	proxy_stop(&proxy);
}

static void many_associations_at_once(void)
{
	enum { CLIENTS = 30, ROUNDS = 5 };
	struct backend backend = backend_start(serve_echo);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fds[CLIENTS];

	for (int i = 0; i < CLIENTS; i++)
		fds[i] = sctp_connect(proxy.client_host, proxy.port);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		for (uint32_t i = 0; i < CLIENTS; i++)
			message_send(fds[i], 1, i, false, 100 * (i + 1), i + round);
		for (uint32_t i = 0; i < CLIENTS; i++) {
			struct message message = receive(fds[i]);

			message_expect(&message, 1, i, false, 100 * (i + 1), i + round);
		}
	}
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	backend_stop(&backend);
	proxy_stop(&proxy);
}

/* Waits until the proxy has no more descriptors open than these. */
static void await_descriptors(const struct proxy *proxy, int wanted)
{
	enum { PATIENCE_MS = 5000, STEP_MS = 20 };
	int left = proxy_descriptors(proxy);

	for (int waited = 0; left > wanted && waited < PATIENCE_MS; waited += STEP_MS) {
		usleep(STEP_MS * 1000);
		left = proxy_descriptors(proxy);
	}
	if (left > wanted)
		fail("%d descriptors were open before, %d are left", wanted, left);
}

/* Whichever side ends, and however: both of an association's sockets are closed soon after. */
static void ended_associations_leave_no_descriptor(void)
{
	enum { ROUNDS = 5 };
	struct backend echo = backend_start(serve_echo), farewell = backend_start(serve_farewell);
	struct proxy to_echo = proxy_start("::", OWN_LISTENER, echo.port);
	struct proxy to_farewell = proxy_start("::", OWN_LISTENER, farewell.port);
	int before_echo = proxy_descriptors(&to_echo);
	int before_farewell = proxy_descriptors(&to_farewell);

	for (uint32_t i = 0; i < ROUNDS; i++) {
		int closing = sctp_connect(to_echo.client_host, to_echo.port);
		int aborting = sctp_connect(to_echo.client_host, to_echo.port);

		echo_one(closing, 1, PPID, false, 10, i);
		close(closing);
		echo_one(aborting, 1, PPID, false, 10, i);
		sctp_abort(aborting);
		receive_farewell(sctp_connect(to_farewell.client_host, to_farewell.port));
	}
	await_descriptors(&to_echo, before_echo);
	await_descriptors(&to_farewell, before_farewell);
	backend_stop(&echo);
	backend_stop(&farewell);
	proxy_stop(&to_echo);
	proxy_stop(&to_farewell);
}

/* Clients that were in the backlog of a passed listener before the proxy could set anything on
 * it. */
static void clients_in_the_backlog_are_served(void)
{
	enum { CLIENTS = 3 };
	struct backend backend = backend_start(serve_farewell);
	int listener = sctp_listen("::", 0);
	struct proxy proxy;
	int fds[CLIENTS], idle;

	/* What a proxy without clients has open is seen on another one. */
	proxy = proxy_start("::", PASSED_LISTENER, backend.port);
	idle = proxy_descriptors(&proxy);
	proxy_stop(&proxy);

	for (int i = 0; i < CLIENTS; i++)
		fds[i] = sctp_connect("::1", sctp_port(listener));
	proxy = proxy_start_with(listener, "::", backend.port);
	for (int i = 0; i < CLIENTS; i++)
		receive_farewell(fds[i]);
	await_descriptors(&proxy, idle);
	backend_stop(&backend);
	proxy_stop(&proxy);
}

enum { FLOOD_COUNT = 1600, FLOOD_BYTES = 20000 };

/* Sends 32 MB, which block in their way until the client reads. */
static struct report serve_flood(int fd)
{
	struct report report = { 0 };

	for (uint32_t i = 0; i < FLOOD_COUNT; i++)
		message_send(fd, 1, i, false, FLOOD_BYTES, i);
	close(fd);
	return report;
}

/* A client that does not read stops its backend, not this host: what is under way is bounded, and
 * nothing of it is lost when the client reads on. */
static void slow_reader_stays_bounded(void)
{
	enum { MOST_KIB = 4096, PAUSE_MS = 3000 };
	struct backend backend = backend_start(serve_flood);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);
	struct pollfd done = { .fd = backend.report, .events = POLLIN };
	long kib;

	if (poll(&done, 1, PAUSE_MS) != 0)
		fail("the backend could send all of it though nobody read");
	kib = proxy_resident_kib(&proxy);
	printf("# resident while the client does not read: %ld KiB\n", kib);
	if (kib > MOST_KIB)
		fail("more than %d KiB", MOST_KIB);
	for (uint32_t i = 0; i < FLOOD_COUNT; i++) {
		struct message message = receive(fd);

		message_expect(&message, 1, i, false, FLOOD_BYTES, i);
	}
	if (receive_ending(fd) != ENDED_IN_ORDER)
		fail("the client saw a reset");
	close(fd);
	backend_stop(&backend);
	proxy_stop(&proxy);
}

static int pending_error(int fd)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		fail("SO_ERROR: %s", strerror(errno));
	return error;
}

static struct report serve_flood_until_reset(int fd)
{
	static uint8_t bytes[FLOOD_BYTES];
	struct message message = { .length = FLOOD_BYTES, .bytes = bytes };
	struct report report = { .ending = ENDED_IN_ORDER };
	int error = 0;

	while (!error)
		error = message_send_again(fd, &message);
	/* A send that waits for room while the association goes says ESRCH; the socket knows why. */
	if (error == ESRCH)
		error = pending_error(fd);
	if (error == ECONNRESET)
		report.ending = ENDED_BY_RESET;
	close(fd);
	return report;
}

/* A client that aborts while the proxy waits to write to it. */
static void abort_of_slow_reader_reaches_the_backend(void)
{
	struct backend backend = backend_start(serve_flood_until_reset);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);
	struct report report;

	receive(fd);
	sctp_abort(fd);
	report = backend_report(&backend);
	if (report.ending != ENDED_BY_RESET)
		fail("the backend saw an end in order");
	backend_stop(&backend);
	proxy_stop(&proxy);
}

/* A busy port: exit code 1, and a sentence through descriptor 3. */
static void busy_port_is_reported(void)
{
	int fd = sctp_listen("::", 0);
	struct proxy proxy;
	int code = proxy_try("::", sctp_port(fd), &proxy);

	if (code != 1)
		fail("exit code %d", code);
	if (strncmp(proxy.status, "1\n", 2) != 0 || !strstr(proxy.status, "address already in use"))
		fail("descriptor 3 says \"%s\"", proxy.status);
	close(fd);
}

/* The port can be published again at once although an association was open. */
static void port_is_free_again_at_once(void)
{
	struct backend backend = backend_start(serve_echo);
	struct proxy proxy = proxy_start("::", OWN_LISTENER, backend.port);
	int fd = sctp_connect(proxy.client_host, proxy.port);

	echo_one(fd, 1, PPID, false, 10, 1);
	proxy_stop(&proxy);
	close(sctp_listen("::", proxy.port));
	close(fd);
	backend_stop(&backend);
}

#define TEST(function)              \
	{                           \
#function, function \
	}

static const struct {
	const char *name;
	void (*function)(void);
} tests[] = {
	TEST(harness_without_proxy),
	TEST(echo_own_sctp4),
	TEST(echo_own_sctp6),
	TEST(echo_passed_sctp4),
	TEST(echo_passed_sctp6),
	TEST(boundaries_are_kept),
	TEST(large_messages_stay_whole),
	TEST(huge_messages_lose_no_byte),
	TEST(many_messages_in_a_row),
	TEST(end_of_client_comes_after_its_messages),
	TEST(end_of_client_is_in_order_in_spite_of_answers),
	TEST(end_of_backend_comes_after_its_messages),
	TEST(abort_of_client_reaches_the_backend),
	TEST(abort_of_backend_reaches_the_client),
	TEST(stream_that_the_backend_lacks_aborts),
	TEST(refusing_backend_aborts_the_client),
	TEST(many_associations_at_once),
	TEST(ended_associations_leave_no_descriptor),
	TEST(clients_in_the_backlog_are_served),
	TEST(slow_reader_stays_bounded),
	TEST(abort_of_slow_reader_reaches_the_backend),
	TEST(busy_port_is_reported),
	TEST(port_is_free_again_at_once),
};

#define COUNT (sizeof(tests) / sizeof(tests[0]))

/* Returns whether it passed. */
static bool run(void (*function)(void))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(TEST_SECONDS);
		function();
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (WIFSIGNALED(status))
		printf("# ended by signal %d%s\n", WTERMSIG(status),
		       WTERMSIG(status) == SIGALRM ? ": the time was up" : "");
	return status == 0;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: sctp-test PROXY\n");
		return 2;
	}
	proxy_program = argv[1];
	printf("1..%zu\n", COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		bool passed = run(tests[i].function);

		printf("%s %zu - %s\n", passed ? "ok" : "not ok", i + 1, tests[i].name);
		failed += !passed;
	}
	fflush(stdout);
	return failed > 0;
}
