/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of transfers through a proxy, in one process: clients that connect to it, and the
 * backend that it connects to. Each direction carries a stream of its own (stream.h), and every
 * byte that arrives is held against it, so what arrives is a prefix of what was sent, or this
 * fails.
 *
 * A transfer is good when each end has sent all, and received all and then a clean end; or, where
 * one end was told to reset, when the other has seen a reset and no clean end.
 *
 * Prints one line of JSON. Exit status: 0 good, 1 not, 2 wrong options.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "options.h"
#include "stream.h"

#define CHUNK_BYTES_MAX (256 * 1024)

/* --phases: so many small messages, each sent when the last has arrived, and then so much at once.
 */
#define SMALL_MESSAGES 40
#define SMALL_BYTES 200
#define BULK_BYTES (1024 * 1024)

enum { CLIENT, BACKEND, ENDS };

/* At most `bytes` at a time, and then a pause. */
struct pace {
	size_t bytes;
	uint64_t pause_ns;
};

static struct options {
	uint16_t connect_port, listen_port;
	uint32_t sessions;
	uint64_t bytes[ENDS]; /* that this end sends */
	size_t chunk_bytes;
	bool random_chunks;
	bool phases;
	int first; /* the other end sends only after this one has ended; -1: both at once */
	struct pace read[ENDS], write[ENDS];
	int resets; /* the end that resets, -1: none */
	uint64_t reset_bytes;
	uint64_t seed;
	uint32_t limit_s;
} options = {
	.sessions = 1,
	.chunk_bytes = 64 * 1024,
	.first = -1,
	.resets = -1,
	.limit_s = 60,
};

struct end {
	struct end *peer;
	int fd;
	int side;
	uint64_t seed; /* of what it sends */
	uint64_t sent, received;
	uint64_t phase_end, small_left; /* --phases */
	uint64_t read_after_ns, write_after_ns;
	bool shut;  /* has sent its end */
	bool eof;   /* has received the other's */
	bool reset; /* has reset the connection */
	int error;  /* has seen a reset */
};

struct session {
	struct end ends[ENDS];
};

static struct session *sessions;
static uint8_t out[CHUNK_BYTES_MAX], in[CHUNK_BYTES_MAX], expected[CHUNK_BYTES_MAX];
static unsigned int random_state;

static const char *side_name(const struct end *end)
{
	return end->side == CLIENT ? "client" : "backend";
}

static long session_number(const struct end *end)
{
	return (const struct session *)(const void *)(end - end->side) - sessions;
}

__attribute__((noreturn, format(printf, 2, 3))) static void fail(const struct end *end,
								 const char *format, ...)
{
	va_list args;

	if (end)
		(void)fprintf(stderr,
			      "session %ld, %s (sent %" PRIu64 ", received %" PRIu64
			      "; the other sent %" PRIu64 ", received %" PRIu64 "): ",
			      session_number(end), side_name(end), end->sent, end->received,
			      end->peer->sent, end->peer->received);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

/* Setting up: one session after the other, so that each client's backend is the one that comes. */

static int connect_client(void)
{
	struct sockaddr_in6 front = { .sin6_family = AF_INET6,
				      .sin6_port = htons(options.connect_port),
				      .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&front, sizeof(front)) < 0)
		fail(NULL, "connect to [::1]:%u: %s", options.connect_port, strerror(errno));
	return fd;
}

static int listen_as_backend(void)
{
	struct sockaddr_in back = { .sin_family = AF_INET,
				    .sin_port = htons(options.listen_port),
				    .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&back, sizeof(back)) < 0 || listen(fd, 128) < 0)
		fail(NULL, "listen on 127.0.0.1:%u: %s", options.listen_port, strerror(errno));
	return fd;
}

static int accept_backend(int listener)
{
	struct pollfd entry = { .fd = listener, .events = POLLIN };
	int fd = -1;

	if (poll(&entry, 1, (int)options.limit_s * 1000) == 1)
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		fail(NULL, "the proxy did not connect to the backend");
	return fd;
}

static void end_init(struct session *session, int side, int fd)
{
	struct end *end = &session->ends[side];
	int on = 1;

	end->peer = &session->ends[!side];
	end->fd = fd;
	end->side = side;
	end->seed = options.seed + 2 * (uint64_t)(session - sessions) + (uint64_t)side;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void set_up(void)
{
	int listener = listen_as_backend();

	sessions = calloc(options.sessions, sizeof(*sessions));
	if (!sessions)
		fail(NULL, "no memory");
	for (uint32_t i = 0; i < options.sessions; i++) {
		end_init(&sessions[i], CLIENT, connect_client());
		end_init(&sessions[i], BACKEND, accept_backend(listener));
	}
	(void)close(listener);
}

/* Sending. */

static uint64_t to_send(const struct end *end)
{
	return options.bytes[end->side];
}

static bool may_send(const struct end *end)
{
	if (end->shut || end->reset || end->error)
		return false;
	return options.first < 0 || options.first == end->side || end->eof;
}

static size_t least(size_t a, uint64_t b)
{
	return b < a ? (size_t)b : a;
}

/* How much is sent next in --phases; 0: the last small message has not arrived yet. */
static size_t phase_bytes(struct end *end)
{
	if (end->sent < end->phase_end)
		return (size_t)(end->phase_end - end->sent);
	if (end->peer->received < end->sent)
		return 0;
	if (end->small_left == 0) {
		end->small_left = SMALL_MESSAGES;
		end->phase_end = end->sent + BULK_BYTES;
	} else {
		end->small_left--;
		end->phase_end = end->sent + 1 + (unsigned int)rand_r(&random_state) % SMALL_BYTES;
	}
	return (size_t)(end->phase_end - end->sent);
}

static size_t next_bytes(struct end *end)
{
	size_t bytes = options.chunk_bytes;

	if (options.random_chunks)
		bytes = 1 + (size_t)rand_r(&random_state) % bytes;
	if (options.write[end->side].bytes > 0)
		bytes = least(bytes, options.write[end->side].bytes);
	if (options.phases)
		bytes = least(bytes, phase_bytes(end));
	if (options.resets == end->side)
		bytes = least(bytes, options.reset_bytes - end->sent);
	return least(bytes, to_send(end) - end->sent);
}

static void see_reset(struct end *end, int error)
{
	if (error != ECONNRESET && error != EPIPE)
		fail(end, "%s", strerror(error));
	if (options.resets != end->peer->side)
		fail(end, "was reset, and nobody had asked for that");
	end->error = error;
}

/* What follows the last byte. */
static bool ended_sending(struct end *end)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (options.resets == end->side && end->sent == options.reset_bytes) {
		(void)setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		(void)close(end->fd);
		end->fd = -1;
		end->reset = true;
		return true;
	}
	if (end->sent < to_send(end))
		return false;
	if (shutdown(end->fd, SHUT_WR) < 0)
		see_reset(end, errno == ENOTCONN ? EPIPE : errno);
	end->shut = true;
	return true;
}

static void send_some(struct end *end, uint64_t now_ns)
{
	for (int turns = 0; turns < 16 && may_send(end) && !ended_sending(end); turns++) {
		size_t bytes = next_bytes(end);
		ssize_t sent;

		if (bytes == 0)
			return;
		stream_fill(end->seed, end->sent, out, bytes);
		sent = send(end->fd, out, bytes, MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN)
			return;
		if (sent < 0) {
			see_reset(end, errno);
			return;
		}
		end->sent += (uint64_t)sent;
		if (options.write[end->side].bytes > 0) {
			end->write_after_ns = now_ns + options.write[end->side].pause_ns;
			return;
		}
	}
}

/* Receiving. */

static void check(struct end *end, size_t length)
{
	stream_fill(end->peer->seed, end->received, expected, length);
	if (memcmp(in, expected, length) == 0)
		return;
	for (size_t i = 0; i < length; i++)
		if (in[i] != expected[i])
			fail(end, "byte %" PRIu64 " is not what was sent", end->received + i);
}

static void see_eof(struct end *end)
{
	if (options.resets == end->peer->side)
		fail(end, "saw a clean end after a reset");
	if (end->received < to_send(end->peer))
		fail(end, "saw an end too early");
	end->eof = true;
}

static void receive_some(struct end *end, uint64_t now_ns)
{
	const struct pace *pace = &options.read[end->side];
	size_t room = pace->bytes > 0 ? least(sizeof(in), pace->bytes) : sizeof(in);

	for (int turns = 0; turns < 16 && !end->eof; turns++) {
		ssize_t got = recv(end->fd, in, room, 0);

		if (got < 0 && errno == EAGAIN)
			return;
		if (got == 0 && end->error)
			break;
		if (got == 0) {
			see_eof(end);
			return;
		}
		if (got < 0) {
			see_reset(end, errno);
			break;
		}
		check(end, (size_t)got);
		end->received += (uint64_t)got;
		if (pace->bytes > 0) {
			end->read_after_ns = now_ns + pace->pause_ns;
			return;
		}
	}
	if (end->error) /* all that came before it has been read */
		end->eof = true;
}

/* All sessions. */

static bool is_finished(const struct end *end)
{
	if (end->reset)
		return true;
	return end->eof && (end->shut || end->error);
}

static short wanted_events(struct end *end, uint64_t now_ns)
{
	short events = 0;

	if (!end->eof && now_ns >= end->read_after_ns)
		events |= POLLIN;
	/* one that waits for its small message to arrive is looked at in every turn */
	if (may_send(end) && now_ns >= end->write_after_ns && !options.phases)
		events |= POLLOUT;
	return events;
}

static void turn(struct end *end, short events, uint64_t now_ns)
{
	if (events & (POLLIN | POLLHUP | POLLERR) && end->fd >= 0 && !end->eof &&
	    now_ns >= end->read_after_ns)
		receive_some(end, now_ns);
	if ((events & POLLOUT || options.phases) && now_ns >= end->write_after_ns)
		send_some(end, now_ns);
}

static bool is_paced(void)
{
	for (int side = CLIENT; side < ENDS; side++)
		if (options.read[side].bytes > 0 || options.write[side].bytes > 0)
			return true;
	return options.phases;
}

/* Lists the ends that are not finished and what they wait for; returns how many there are. */
static uint32_t list_unfinished(struct pollfd *entries, struct end **ends, uint64_t now_ns)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < ENDS * options.sessions; i++) {
		struct end *end = &sessions[i / ENDS].ends[i % ENDS];

		if (is_finished(end))
			continue;
		entries[count] = (struct pollfd){ .fd = end->fd,
						  .events = wanted_events(end, now_ns) };
		if (entries[count].events == 0) /* else its HUP would make this spin */
			entries[count].fd = -1;
		ends[count++] = end;
	}
	return count;
}

static void transfer(void)
{
	uint32_t count, ends_count = ENDS * options.sessions;
	struct pollfd *entries = calloc(ends_count, sizeof(*entries));
	struct end **ends = calloc(ends_count, sizeof(*ends));
	uint64_t limit_ns = clock_now_ns() + options.limit_s * NS_PER_S;

	if (!entries || !ends)
		fail(NULL, "no memory");
	while ((count = list_unfinished(entries, ends, clock_now_ns())) > 0) {
		uint64_t now_ns;

		(void)poll(entries, count, is_paced() ? 1 : 1000);
		now_ns = clock_now_ns();
		if (now_ns > limit_ns)
			fail(ends[0], "is not done after %u s", options.limit_s);
		for (uint32_t i = 0; i < count; i++)
			turn(ends[i], entries[i].revents, now_ns);
	}
	free(entries);
	free(ends);
}

static void report(uint64_t begin_ns, uint64_t set_up_ns)
{
	uint64_t received[ENDS] = { 0 };

	for (uint32_t i = 0; i < options.sessions; i++)
		for (int side = CLIENT; side < ENDS; side++)
			received[side] += sessions[i].ends[side].received;
	printf("{\"sessions\": %u, \"up\": %" PRIu64 ", \"down\": %" PRIu64
	       ", \"set_up_s\": %.3f, \"transfer_s\": %.3f}\n",
	       options.sessions, received[BACKEND], received[CLIENT],
	       (double)(set_up_ns - begin_ns) / NS_PER_S,
	       (double)(clock_now_ns() - set_up_ns) / NS_PER_S);
}

/* Options. */

static int side(const char *text)
{
	if (strcmp(text, "client") == 0)
		return CLIENT;
	if (strcmp(text, "backend") == 0)
		return BACKEND;
	(void)fprintf(stderr, "'%s' is neither client nor backend\n", text);
	exit(2);
}

/* END:BYTES:MS */
static void set_pace(struct pace paces[ENDS], char *text)
{
	struct pace *pace = &paces[side(strsep(&text, ":"))];

	pace->bytes = option_number(text ? strsep(&text, ":") : "");
	pace->pause_ns = option_number(text ? text : "") * NS_PER_MS;
}

/* END:BYTES */
static void set_reset(char *text)
{
	options.resets = side(strsep(&text, ":"));
	options.reset_bytes = option_number(text ? text : "");
}

static void parse_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "connect", required_argument, NULL, 'p' },
		{ "listen", required_argument, NULL, 'l' },
		{ "sessions", required_argument, NULL, 'n' },
		{ "up", required_argument, NULL, 'u' },
		{ "down", required_argument, NULL, 'd' },
		{ "chunk", required_argument, NULL, 'c' },
		{ "random-chunks", no_argument, NULL, 'r' },
		{ "phases", no_argument, NULL, 'P' },
		{ "first", required_argument, NULL, 'f' },
		{ "slow-reader", required_argument, NULL, 'R' },
		{ "slow-writer", required_argument, NULL, 'W' },
		{ "reset", required_argument, NULL, 'x' },
		{ "seed", required_argument, NULL, 's' },
		{ "limit", required_argument, NULL, 't' },
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
		case 'n':
			options.sessions = (uint32_t)option_number(optarg);
			break;
		case 'u':
			options.bytes[CLIENT] = option_number(optarg);
			break;
		case 'd':
			options.bytes[BACKEND] = option_number(optarg);
			break;
		case 'c':
			options.chunk_bytes = least(CHUNK_BYTES_MAX, option_number(optarg));
			break;
		case 'r':
			options.random_chunks = true;
			break;
		case 'P':
			options.phases = true;
			break;
		case 'f':
			options.first = side(optarg);
			break;
		case 'R':
			set_pace(options.read, optarg);
			break;
		case 'W':
			set_pace(options.write, optarg);
			break;
		case 'x':
			set_reset(optarg);
			break;
		case 's':
			options.seed = option_number(optarg);
			break;
		case 't':
			options.limit_s = (uint32_t)option_number(optarg);
			break;
		default:
			exit(2);
		}
	}
	if (options.connect_port == 0 || options.listen_port == 0 || options.chunk_bytes == 0) {
		(void)fprintf(stderr, "--connect PORT and --listen PORT are needed\n");
		exit(2);
	}
}

static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	uint64_t begin_ns = clock_now_ns(), set_up_ns;

	parse_options(argc, argv);
	random_state = (unsigned int)options.seed;
	raise_limit();
	set_up();
	set_up_ns = clock_now_ns();
	transfer();
	report(begin_ns, set_up_ns);
	return EXIT_SUCCESS;
}
