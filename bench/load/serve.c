/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backend. Each process has a listener and a UDP socket of its own at the same port, among
 * which the kernel shares clients out, and a loop over epoll.
 */
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENTS 128
#define BACKLOG 4096
/* So that datagrams are lost in the proxy, if any are, and not here. */
#define UDP_BUFFER_BYTES (8 * 1024 * 1024)

struct server {
	int epoll, listener, udp;
	char *kinds;		/* by descriptor: what the client wants; 0: not said yet */
	unsigned char *matched; /* by descriptor: how much of an empty line has come */
	struct counters *counters;
	char *chunk;
	char response[RESPONSE_BYTES];
	struct mmsghdr messages[BATCH];
	struct iovec parts[BATCH];
	struct sockaddr_storage senders[BATCH];
	char datagrams[BATCH][DATAGRAM_MAX_BYTES];
};

static size_t descriptors_max(void)
{
	return (size_t)sysconf(_SC_OPEN_MAX);
}

static void watch(struct server *server, int operation, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (epoll_ctl(server->epoll, operation, fd, &event) != 0)
		fail("epoll_ctl");
}

static int listen_at(const struct options *options, int kind)
{
	struct sockaddr_storage address;
	socklen_t length;
	int fd = open_socket(options, kind | SOCK_NONBLOCK, &address, &length);

	set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (kind == SOCK_DGRAM)
		set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, UDP_BUFFER_BYTES);
	if (bind(fd, (struct sockaddr *)&address, length) != 0)
		fail("bind");
	if (kind == SOCK_STREAM && listen(fd, BACKLOG) != 0)
		fail("listen");
	return fd;
}

static void accept_all(struct server *server)
{
	int fd;

	while ((fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		server->kinds[fd] = 0;
		server->matched[fd] = 0;
		watch(server, EPOLL_CTL_ADD, fd, EPOLLIN);
	}
	if (errno != EAGAIN && errno != ECONNABORTED)
		fail("accept");
}

/* An answer to each empty line, which ends a request. False: the connection is to be closed. */
static bool answer_requests(struct server *server, int fd, const char *data, size_t bytes)
{
	static const char empty_line[] = "\r\n\r\n";
	bool once = bytes >= 10 && memcmp(data, "GET /close", 10) == 0;
	unsigned int matched = server->matched[fd];

	for (size_t i = 0; i < bytes; i++) {
		matched = data[i] == empty_line[matched] ? matched + 1 : data[i] == '\r';
		if (matched < sizeof(empty_line) - 1)
			continue;
		matched = 0;
		if (send(fd, server->response, RESPONSE_BYTES, MSG_NOSIGNAL) != RESPONSE_BYTES)
			return false;
		if (once)
			return false;
	}
	server->matched[fd] = (unsigned char)matched;
	return true;
}

static bool send_chunk(struct server *server, int fd)
{
	ssize_t sent = send(fd, server->chunk, CHUNK_BYTES, MSG_NOSIGNAL);

	return sent > 0 || (sent < 0 && errno == EAGAIN);
}

static void count_bytes(struct server *server, ssize_t bytes)
{
	atomic_fetch_add_explicit(&server->counters->bytes, (uint64_t)bytes, memory_order_relaxed);
}

/* False: the connection is to be closed. */
static bool receive_any(struct server *server, int fd)
{
	char data[4096];
	ssize_t got = recv(fd, data, sizeof(data), 0);

	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	if (server->kinds[fd] == 0)
		server->kinds[fd] = data[0];
	switch (server->kinds[fd]) {
	case SINK:
		count_bytes(server, got);
		return true;
	case SOURCE:
		watch(server, EPOLL_CTL_MOD, fd, EPOLLOUT);
		return true;
	case ECHO:
		return send(fd, data, (size_t)got, MSG_NOSIGNAL) == got;
	default:
		return answer_requests(server, fd, data, (size_t)got);
	}
}

/* With MSG_TRUNC, TCP drops what it has received and copies nothing. */
static bool discard(struct server *server, int fd)
{
	ssize_t got = recv(fd, NULL, 4 * CHUNK_BYTES, MSG_TRUNC);

	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	count_bytes(server, got);
	return true;
}

static void attend(struct server *server, int fd, uint32_t events)
{
	bool open;

	if (server->kinds[fd] == SINK)
		open = discard(server, fd);
	else if (server->kinds[fd] == SOURCE && (events & EPOLLOUT))
		open = send_chunk(server, fd);
	else
		open = receive_any(server, fd);
	if (!open)
		close(fd);
}

static void receive_datagrams(struct server *server)
{
	struct mmsghdr *messages = server->messages;
	unsigned int echoes = 0;
	int got;

	for (size_t i = 0; i < BATCH; i++) {
		server->parts[i] = (struct iovec){ server->datagrams[i], DATAGRAM_MAX_BYTES };
		messages[i].msg_hdr = (struct msghdr){ .msg_name = &server->senders[i],
						       .msg_namelen = sizeof(server->senders[i]),
						       .msg_iov = &server->parts[i],
						       .msg_iovlen = 1 };
	}
	got = recvmmsg(server->udp, messages, BATCH, 0, NULL);
	if (got <= 0)
		return;
	atomic_fetch_add_explicit(&server->counters->datagrams, (uint64_t)got,
				  memory_order_relaxed);
	for (int i = 0; i < got; i++) {
		server->parts[i].iov_len = messages[i].msg_len;
		if (messages[i].msg_len > 0 && server->datagrams[i][0] == ECHO)
			messages[echoes++].msg_hdr = messages[i].msg_hdr;
	}
	if (echoes > 0)
		sendmmsg(server->udp, messages, echoes, 0);
}

static _Noreturn void serve(const struct options *options, struct counters *counters)
{
	struct server *server = allocate(1, sizeof(*server));
	struct epoll_event events[EVENTS];

	server->counters = counters;
	server->kinds = allocate(descriptors_max(), 1);
	server->matched = allocate(descriptors_max(), 1);
	server->chunk = allocate(1, CHUNK_BYTES);
	memset(server->response, 'x', RESPONSE_BYTES);
	memcpy(server->response, RESPONSE_HEAD, sizeof(RESPONSE_HEAD) - 1);
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	server->listener = listen_at(options, SOCK_STREAM);
	server->udp = listen_at(options, SOCK_DGRAM);
	watch(server, EPOLL_CTL_ADD, server->listener, EPOLLIN);
	watch(server, EPOLL_CTL_ADD, server->udp, EPOLLIN);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int count = epoll_wait(server->epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == server->listener)
				accept_all(server);
			else if (fd == server->udp)
				receive_datagrams(server);
			else
				attend(server, fd, events[i].events);
		}
	}
}

int serve_run(const struct options *options)
{
	struct counters *counters;

	if (!options->counters)
		refuse("serve needs counters=FILE");
	counters = counters_map(options->counters, true);
	for (long i = 0; i < options->workers; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(options, &counters[i]);
		}
	}
	/* None ends by itself. */
	wait(NULL);
	return 1;
}
