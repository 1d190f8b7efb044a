/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How sessions end. Both ends of many sessions through a proxy are here, each with a script of its
 * own, drawn at random: how much it sends, in which pieces, when it begins to read and whether it
 * ever stops, and how it ends. What must arrive follows from the two scripts, and from what the
 * kernel had confirmed to each end. Then:
 *
 * - what was confirmed to an end before it left, in order or by a reset, arrives at one that reads
 *   on, and is what was sent;
 * - where both end in order, none sees a reset;
 * - a reset, or a close with bytes unread, is never a clean end for one that reads on;
 * - no end waits longer than END_LIMIT_NS.
 *
 * What an end sends begins with its number and how much it will be, so that the other knows whom it
 * met. A client that resets may have left before its container was connected to; that is no fault,
 * as no server has met it.
 *
 * Prints each fault with the options that run its scripts again, and one line of JSON. Exit status:
 * 0 good, 1 not, 2 wrong options.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "ends.h"
#include "options.h"
#include "stream.h"

#define NS_PER_US UINT64_C(1000)

#define CLIENTS_AT_ONCE 32
/* Servers may outlast their clients. */
#define ENDS_AT_ONCE (4 * CLIENTS_AT_ONCE)

/* An end that will reset waits for what it sent to be confirmed; if the other end has stopped
 * reading, that is never, and it resets when nothing has moved for this long. */
#define STUCK_NS (1 * NS_PER_S)

/* Without faults, a session with small buffers takes up to 8 s, as acknowledgements are delayed; a
 * proxy's own waits for ends that are gone are 30 s and more. */
#define END_LIMIT_NS (20 * NS_PER_S)

/* SIOCOUTQ is asked, as nothing tells when all is confirmed. */
#define CONFIRM_POLL_NS (300 * NS_PER_US)

/* Less than that, and the proxy does not let sessions through. */
#define CHECKED_LEAST 200

static struct options {
	uint16_t connect_port, listen_port;
	uint64_t seed;
	uint64_t sessions_max;
	uint64_t seconds;
	uint64_t scripts[SIDES]; /* 0: drawn from the seed, for each session */
} options = {
	.sessions_max = 100000,
	.seconds = 6,
};

static struct run run;
static struct end *active[ENDS_AT_ONCE];	/* those that have not ended */
static struct pollfd entries[ENDS_AT_ONCE + 1]; /* theirs, and the listener's behind them */
static size_t active_count, active_clients;

static uint8_t buffer[CHUNK_BYTES_MAX], expected[CHUNK_BYTES_MAX];

__attribute__((noreturn)) static void fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* Beginning. */

static void set_option(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		fail("setsockopt");
}

static struct end *new_end(int side)
{
	uint64_t number = 2 * run.begun[side]++ + (uint64_t)side;
	uint64_t seed = options.scripts[side];
	struct end *end = &run.ends[number];

	end->number = number;
	/* were it both sides, they would wait for each other: the whole run decides which */
	roll_script(&end->script, seed ? seed : stream_word(options.seed, number),
		    (options.seed & 1) == (uint64_t)side);
	return end;
}

static void begin(struct end *end, int fd)
{
	const struct script *script = &end->script;

	if (script->receive_buffer)
		set_option(fd, SOL_SOCKET, SO_RCVBUF, script->receive_buffer);
	if (script->send_buffer)
		set_option(fd, SOL_SOCKET, SO_SNDBUF, script->send_buffer);
	if (script->no_delay)
		set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	end->fd = fd;
	end->begun_ns = end->moved_ns = clock_now_ns();
	end->read_after_ns = end->begun_ns + script->read.start_ns;
	end->write_after_ns = end->begun_ns + script->write.start_ns;
	active[active_count++] = end;
}

static void begin_client(void)
{
	struct sockaddr_in6 front = { .sin6_family = AF_INET6,
				      .sin6_port = htons(options.connect_port),
				      .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	begin(new_end(CLIENT), fd);
	active_clients++;
	if (connect(fd, (struct sockaddr *)&front, sizeof(front)) < 0)
		fail("connect to the proxy");
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* What is accepted from it has its SO_OOBINLINE, before the first byte comes. */
static int listen_as_server(void)
{
	struct sockaddr_in back = { .sin_family = AF_INET,
				    .sin_port = htons(options.listen_port),
				    .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		fail("socket");
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1);
	if (bind(fd, (struct sockaddr *)&back, sizeof(back)) < 0 || listen(fd, 1024) < 0)
		fail("listen");
	return fd;
}

static void accept_servers(int listener)
{
	while (active_count < ENDS_AT_ONCE) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
			return;
		if (fd < 0)
			fail("accept");
		if (run.begun[SERVER] == run.begun[CLIENT]) {
			(void)fprintf(stderr, "more sessions have come out than went in\n");
			exit(EXIT_FAILURE);
		}
		begin(new_end(SERVER), fd);
	}
}

/* Sending. */

static void fill(const struct end *end, size_t length)
{
	struct header header = { .number = end->number, .total = end->script.total };

	stream_fill(end->number, end->sent, buffer, length);
	for (size_t i = 0; i < length && end->sent + i < sizeof(header); i++)
		buffer[i] = ((const uint8_t *)&header)[end->sent + i];
}

/* How much is sent next: up to the next urgent byte, or that one. */
static size_t next_bytes(const struct end *end, int *ret_flags)
{
	const struct script *script = &end->script;
	uint64_t bytes = least(script->write.chunk_bytes, script->total - end->sent);

	bytes = least(bytes, sizeof(buffer));
	for (unsigned int i = 0; i < script->urgents; i++) {
		if (script->urgent[i] == end->sent) {
			*ret_flags |= MSG_OOB;
			return 1;
		}
		if (script->urgent[i] > end->sent)
			bytes = least(bytes, script->urgent[i] - end->sent);
	}
	return bytes;
}

static uint64_t next_time(const struct pace *pace, uint64_t chunks, uint64_t now_ns)
{
	return pace->pause_ns > 0 && chunks % pace->pause_every == 0 ? now_ns + pace->pause_ns : 0;
}

static bool wants_to_write(const struct end *end)
{
	return end->sent < end->script.total && !end->write_error;
}

static void write_some(struct end *end, uint64_t now_ns)
{
	int flags = MSG_NOSIGNAL;
	size_t bytes = next_bytes(end, &flags);
	ssize_t sent;

	fill(end, bytes);
	sent = send(end->fd, buffer, bytes, flags);
	if (sent < 0 && errno == EAGAIN)
		return;
	if (sent < 0) {
		end->write_error = errno;
		return;
	}
	end->sent += (uint64_t)sent;
	end->moved_ns = now_ns;
	end->write_after_ns = next_time(&end->script.write, ++end->writes, now_ns);
}

/* Receiving. */

static void check(struct end *end, size_t length)
{
	size_t head = 0;

	for (; head < length && end->received + head < sizeof(end->met); head++)
		((uint8_t *)&end->met)[end->received + head] = buffer[head];
	length -= head;
	stream_fill(end->met.number, end->received + head, expected, length);
	if (memcmp(buffer + head, expected, length) != 0)
		end->mangled = true;
}

static bool has_read_all(const struct end *end)
{
	return end->eof || end->read_error;
}

static bool wants_to_read(const struct end *end)
{
	return !has_read_all(end) && end->received < end->script.read_stop;
}

static void read_some(struct end *end, uint64_t now_ns)
{
	const struct script *script = &end->script;
	uint64_t room = least(script->read.chunk_bytes, script->read_stop - end->received);
	ssize_t got = recv(end->fd, buffer, least(room, sizeof(buffer)), 0);

	if (got < 0 && errno == EAGAIN)
		return;
	if (got < 0)
		end->read_error = errno;
	if (got == 0)
		end->eof = true;
	end->moved_ns = now_ns;
	if (got <= 0)
		return;
	check(end, (size_t)got);
	end->received += (uint64_t)got;
	end->read_after_ns = next_time(&script->read, ++end->reads, now_ns);
}

/* Ending. */

static bool is_to_shut(const struct end *end)
{
	switch (end->script.ending) {
	case ENDING_FIN:
	case ENDING_FIN_RESET:
		return !end->shut;
	case ENDING_FIN_SECOND:
		return !end->shut && has_read_all(end);
	default:
		return false;
	}
}

static void end_sending(struct end *end, uint64_t now_ns)
{
	int unconfirmed = 0;

	if (wants_to_write(end) || end->write_error)
		return;
	if (is_to_shut(end)) {
		(void)shutdown(end->fd, SHUT_WR); /* fails after a reset, which is then read */
		end->shut = true;
		end->moved_ns = now_ns;
	}
	if (!leaves(&end->script))
		return;
	(void)ioctl(end->fd, SIOCOUTQ, &unconfirmed);
	if (unconfirmed != end->unconfirmed)
		end->moved_ns = now_ns;
	end->unconfirmed = unconfirmed;
	if (unconfirmed == 0 && end->leave_ns == 0)
		end->leave_ns = now_ns + end->script.end_delay_ns;
	end->confirmed = end->leave_ns > 0 && now_ns >= end->leave_ns;
}

static bool is_over(struct end *end, uint64_t now_ns)
{
	if (end->confirmed || end->read_error)
		return true;
	if (now_ns - end->begun_ns > END_LIMIT_NS) {
		end->hung = true;
		return true;
	}
	if (leaves(&end->script))
		return end->write_error || now_ns - end->moved_ns > STUCK_NS;
	return end->eof && (end->shut || end->write_error);
}

static void leave(struct end *end)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (!has_read_all(end))
		(void)ioctl(end->fd, FIONREAD, &end->unread);
	if (end->script.ending == ENDING_RESET || end->script.ending == ENDING_FIN_RESET)
		(void)setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(end->fd);
	end->fd = -1;
	if (end->number % SIDES == CLIENT)
		active_clients--;
}

/* All of them. */

static void turn(struct end *end, short events, uint64_t now_ns)
{
	const short gone = POLLERR | POLLHUP;

	if (events & (POLLIN | gone) && wants_to_read(end) && now_ns >= end->read_after_ns)
		read_some(end, now_ns);
	if (events & (POLLOUT | gone) && wants_to_write(end) && now_ns >= end->write_after_ns)
		write_some(end, now_ns);
	end_sending(end, now_ns);
	if (is_over(end, now_ns))
		leave(end);
}

/* When to look at it again, if nothing happens before. */
static uint64_t wake_ns(const struct end *end, uint64_t now_ns)
{
	uint64_t wake = now_ns + 100 * NS_PER_MS;

	if (wants_to_read(end) && end->read_after_ns > now_ns)
		wake = least(wake, end->read_after_ns);
	if (wants_to_write(end)) {
		if (end->write_after_ns > now_ns)
			wake = least(wake, end->write_after_ns);
	} else if (leaves(&end->script)) {
		wake = least(wake, end->leave_ns ? end->leave_ns : now_ns + CONFIRM_POLL_NS);
	}
	return wake;
}

static struct pollfd entry_of(const struct end *end, uint64_t now_ns)
{
	struct pollfd entry = { .fd = end->fd };

	if (wants_to_read(end) && now_ns >= end->read_after_ns)
		entry.events |= POLLIN;
	if (wants_to_write(end) && now_ns >= end->write_after_ns)
		entry.events |= POLLOUT;
	if (entry.events == 0) /* else its HUP would make this spin */
		entry.fd = -1;
	return entry;
}

static void wait_for_events(int listener)
{
	uint64_t now_ns = clock_now_ns(), wake = now_ns + 100 * NS_PER_MS;
	struct timespec timeout;

	for (size_t i = 0; i < active_count; i++) {
		entries[i] = entry_of(active[i], now_ns);
		wake = least(wake, wake_ns(active[i], now_ns));
	}
	entries[active_count] = (struct pollfd){
		.fd = active_count < ENDS_AT_ONCE ? listener : -1,
		.events = POLLIN,
	};
	timeout = clock_timespec(wake > now_ns ? wake - now_ns : 0);
	if (ppoll(entries, active_count + 1, &timeout, NULL) < 0)
		fail("ppoll");
}

static void turn_all(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < active_count; i++) {
		turn(active[i], entries[i].revents, clock_now_ns());
		if (active[i]->fd >= 0)
			active[kept++] = active[i];
	}
	active_count = kept;
}

/* A new client has its first turn at once: it may have left before the proxy knows of it. */
static bool add_clients(uint64_t stop_ns)
{
	bool may_add = run.begun[CLIENT] < options.sessions_max && clock_now_ns() < stop_ns;

	while (may_add && run.begun[CLIENT] < options.sessions_max &&
	       active_clients < CLIENTS_AT_ONCE && active_count < ENDS_AT_ONCE) {
		begin_client();
		turn(active[active_count - 1], POLLOUT, clock_now_ns());
		if (active[active_count - 1]->fd < 0)
			active_count--;
	}
	return may_add;
}

static void run_all(void)
{
	int listener = listen_as_server();
	uint64_t stop_ns = clock_now_ns() + options.seconds * NS_PER_S;

	while (add_clients(stop_ns) || active_count > 0) {
		bool connected;

		wait_for_events(listener);
		connected = entries[active_count].revents != 0;
		turn_all();
		if (connected)
			accept_servers(listener);
	}
	(void)close(listener);
}

/* Options. */

static void parse_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "connect", required_argument, NULL, 'p' },
		{ "listen", required_argument, NULL, 'l' },
		{ "seed", required_argument, NULL, 's' },
		{ "sessions", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 't' },
		{ "client-script", required_argument, NULL, 'c' },
		{ "server-script", required_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (option) {
		case 'p':
			options.connect_port = (uint16_t)option_number(optarg);
			break;
		case 'l':
			options.listen_port = (uint16_t)option_number(optarg);
			break;
		case 's':
			options.seed = option_number(optarg);
			break;
		case 'n':
			options.sessions_max = option_number(optarg);
			break;
		case 't':
			options.seconds = option_number(optarg);
			break;
		case 'c':
			options.scripts[CLIENT] = option_number(optarg);
			break;
		case 'b':
			options.scripts[SERVER] = option_number(optarg);
			break;
		default:
			exit(2);
		}
	}
	if (options.connect_port == 0 || options.listen_port == 0) {
		(void)fprintf(stderr, "--connect PORT and --listen PORT are needed\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct results results = { .checked = 0 };
	uint64_t checked_least;

	parse_options(argc, argv);
	run.ends = calloc(SIDES * options.sessions_max, sizeof(*run.ends));
	if (!run.ends)
		fail("memory");
	run.seed = options.seed;
	run_all();
	judge(&run, &results);
	printf("{\"sessions\": %" PRIu64 ", \"checked\": %" PRIu64 ", \"unmatched\": %" PRIu64
	       ", \"bytes\": %" PRIu64 ", \"faults\": %" PRIu64 ", \"hangs\": %" PRIu64 "}\n",
	       run.begun[CLIENT], results.checked, results.unmatched, results.bytes, results.faults,
	       results.hangs);
	/* a few sessions that were asked for may all be of the kind that nothing can be said of */
	checked_least = options.sessions_max < CHECKED_LEAST ? 0 : CHECKED_LEAST;
	if (results.faults > 0 || results.hangs > 0 || results.checked < checked_least)
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
