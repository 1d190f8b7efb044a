/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk data. What comes from the client is counted by the backend, what comes from the backend by
 * the client. Both discard it without copying it, to leave the processors to the proxy.
 */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 64
/* No wait is longer, for the end of the window to be seen. */
#define TICK_MS 20

static void begin(struct worker *worker, int epoll)
{
	const struct options *options = worker->options;
	struct epoll_event event = { .events = options->reverse ? EPOLLIN : EPOLLOUT };
	const char kind = options->reverse ? SOURCE : SINK;

	for (long i = 0; i < worker->connections; i++) {
		event.data.fd = connect_to(options, SOCK_STREAM);
		send_whole(event.data.fd, &kind, 1);
		set_nonblocking(event.data.fd);
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) != 0)
			fail("epoll_ctl");
	}
}

static void send_some(int fd, const char *chunk)
{
	if (send(fd, chunk, CHUNK_BYTES, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
		fail("send");
}

static void receive_some(struct worker *worker, int fd)
{
	ssize_t got = recv(fd, NULL, 4 * CHUNK_BYTES, MSG_TRUNC);
	uint64_t now;

	if (got == 0)
		refuse("the connection ended");
	if (got < 0 && errno != EAGAIN)
		fail("recv");
	if (got < 0)
		return;
	now = now_ns();
	worker->result->total += (uint64_t)got;
	if (now >= worker->begin_ns && now < worker->end_ns)
		worker->result->counted += (uint64_t)got;
}

static void stream(struct worker *worker)
{
	struct epoll_event events[EVENTS];
	char *chunk = allocate(1, CHUNK_BYTES);
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	begin(worker, epoll);
	while (now_ns() < worker->end_ns) {
		int count = epoll_wait(epoll, events, EVENTS, TICK_MS);

		for (int i = 0; i < count; i++) {
			if (worker->options->reverse)
				receive_some(worker, events[i].data.fd);
			else
				send_some(events[i].data.fd, chunk);
		}
	}
	free(chunk);
}

int stream_run(const struct options *options)
{
	return workers_run(options, stream);
}
