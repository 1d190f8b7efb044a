/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that send something small and wait for the answer. */
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 128
#define TICK_MS 20

struct request {
	int fd;
	bool sent;
	size_t missing; /* of the answer, in bytes */
	uint64_t begin_ns;
};

/* Sockets that block, as nothing else is to be done meanwhile. */
static void echo(struct worker *worker)
{
	size_t size = (size_t)worker->options->size;
	int fd = connect_to(worker->options, SOCK_STREAM);
	char *message = allocate(1, size);
	uint64_t now = now_ns();

	message[0] = ECHO;
	while (now < worker->end_ns) {
		uint64_t before = now;

		send_whole(fd, message, size);
		receive_whole(fd, message, size);
		now = now_ns();
		worker_count(worker, now, now - before);
	}
	close(fd);
	free(message);
}

int echo_run(const struct options *options)
{
	return workers_run(options, echo);
}

static void watch(int epoll, struct request *request, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = request };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, request->fd, &event) != 0)
		fail("epoll_ctl");
}

static void begin_request(struct request *request)
{
	request->missing = RESPONSE_BYTES;
	request->begin_ns = now_ns();
	send_whole(request->fd, REQUEST_KEEP, sizeof(REQUEST_KEEP) - 1);
}

static void continue_request(struct worker *worker, struct request *request)
{
	char data[RESPONSE_BYTES];
	ssize_t got = recv(request->fd, data, request->missing, 0);
	uint64_t now;

	if (got == 0)
		refuse("the connection ended before the answer");
	if (got < 0 && errno != EAGAIN)
		fail("recv");
	if (got < 0)
		return;
	request->missing -= (size_t)got;
	if (request->missing > 0)
		return;
	now = now_ns();
	worker_count(worker, now, now - request->begin_ns);
	begin_request(request);
}

static void http(struct worker *worker)
{
	struct request *requests = allocate((size_t)worker->connections, sizeof(*requests));
	struct epoll_event events[EVENTS];
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	for (long i = 0; i < worker->connections; i++) {
		requests[i].fd = connect_to(worker->options, SOCK_STREAM);
		set_nonblocking(requests[i].fd);
		watch(epoll, &requests[i], EPOLLIN);
		begin_request(&requests[i]);
	}
	while (now_ns() < worker->end_ns) {
		int count = epoll_wait(epoll, events, EVENTS, TICK_MS);

		for (int i = 0; i < count; i++)
			continue_request(worker, events[i].data.ptr);
	}
	free(requests);
}

int http_run(const struct options *options)
{
	return workers_run(options, http);
}

static void open_connection(struct worker *worker, int epoll, struct request *request)
{
	struct sockaddr_storage address;
	socklen_t length;

	request->fd = open_socket(worker->options, SOCK_STREAM | SOCK_NONBLOCK, &address, &length);
	request->sent = false;
	request->missing = RESPONSE_BYTES;
	request->begin_ns = now_ns();
	set_option(request->fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (connect(request->fd, (struct sockaddr *)&address, length) != 0 && errno != EINPROGRESS)
		fail("connect");
	watch(epoll, request, EPOLLIN | EPOLLOUT | EPOLLET);
}

/* True: it is over, well or not. The backend closes after its answer, which it sends first. */
static bool continue_connection(struct worker *worker, struct request *request)
{
	const size_t bytes = sizeof(REQUEST_CLOSE) - 1;
	char data[RESPONSE_BYTES + 1];
	uint64_t now;
	ssize_t got;

	if (!request->sent) {
		if (send(request->fd, REQUEST_CLOSE, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) {
			if (errno == EAGAIN)
				return false;
			worker->result->failed++;
			return true;
		}
		request->sent = true;
	}
	while ((got = recv(request->fd, data, sizeof(data), 0)) > 0)
		request->missing -= (size_t)got;
	if (got < 0 && errno == EAGAIN)
		return false;
	if (got < 0 || request->missing != 0) {
		worker->result->failed++;
		return true;
	}
	now = now_ns();
	worker_count(worker, now, now - request->begin_ns);
	return true;
}

static void connect_again_and_again(struct worker *worker)
{
	struct request *requests = allocate((size_t)worker->connections, sizeof(*requests));
	struct epoll_event events[EVENTS];
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	for (long i = 0; i < worker->connections; i++)
		open_connection(worker, epoll, &requests[i]);
	while (now_ns() < worker->end_ns) {
		int count = epoll_wait(epoll, events, EVENTS, TICK_MS);

		for (int i = 0; i < count; i++) {
			struct request *request = events[i].data.ptr;

			if (!continue_connection(worker, request))
				continue;
			close(request->fd);
			open_connection(worker, epoll, request);
		}
	}
	free(requests);
}

int connect_run(const struct options *options)
{
	return workers_run(options, connect_again_and_again);
}

/* Each connection has carried an echo, so it reaches the backend; it stays open until the end. */
int hold_run(const struct options *options)
{
	char message = ECHO;

	for (long i = 0; i < options->connections; i++) {
		int fd = connect_to(options, SOCK_STREAM);

		send_whole(fd, &message, 1);
		receive_whole(fd, &message, 1);
	}
	hold();
	return 0;
}
