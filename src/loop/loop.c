/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "loop/timeout.h"

#define EVENTS_PER_WAIT 64

/*
 * Turns for which timeouts wait at the most, after the process was stopped (SIGSTOP, a frozen control
 * group): all is late then, and whoever has been heard of meanwhile, if not by us, is not silent.
 */
#define BEHIND_TURNS 256

_Static_assert(sizeof(struct loop_ref) == sizeof(uint64_t), "loop: a ref must fit epoll_data");

int loop_init(struct loop *loop)
{
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->stopping = false;
	loop->now_ns = clock_now_ns();
	loop->turn = 0;
	loop->kinds_used = 0;
	loop->works_used = 0;
	loop->busy_ns = 0;
	list_init(&loop->timeout_queues);
	return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_fini(struct loop *loop)
{
	fd_close(&loop->epoll_fd);
}

uint8_t loop_add_kind(struct loop *loop, loop_event_fn *event, void *context)
{
	assert(loop->kinds_used < LOOP_KINDS_MAX);
	loop->kinds[loop->kinds_used].event = event;
	loop->kinds[loop->kinds_used].context = context;
	return (uint8_t)loop->kinds_used++;
}

void loop_add_work(struct loop *loop, loop_work_fn *work, void *context)
{
	assert(loop->works_used < LOOP_WORKS_MAX);
	loop->works[loop->works_used].work = work;
	loop->works[loop->works_used].context = context;
	loop->works_used++;
}

static int control(struct loop *loop, int operation, int fd, uint32_t events, struct loop_ref ref)
{
	struct epoll_event event = { .events = events };

	memcpy(&event.data.u64, &ref, sizeof(ref));
	return epoll_ctl(loop->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, struct loop_ref ref)
{
	return control(loop, EPOLL_CTL_ADD, fd, events, ref);
}

int loop_rewatch(struct loop *loop, int fd, uint32_t events, struct loop_ref ref)
{
	return control(loop, EPOLL_CTL_MOD, fd, events, ref);
}

int loop_unwatch(struct loop *loop, int fd)
{
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL) < 0 ? -errno : 0;
}

uint64_t loop_busy_ns(const struct loop *loop)
{
	return atomic_load_explicit(&loop->busy_ns, memory_order_relaxed);
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}

static void dispatch(struct loop *loop, const struct epoll_event *event)
{
	struct loop_ref ref;

	memcpy(&ref, &event->data.u64, sizeof(ref));
	assert(ref.kind < loop->kinds_used);
	loop->kinds[ref.kind].event(loop->kinds[ref.kind].context, ref, event->events);
}

/* Rounded up, so that a timeout is due when the wait for it ends. */
static int wait_ms(uint64_t next_ns)
{
	uint64_t ms;

	if (next_ns == UINT64_MAX)
		return -1;
	ms = (next_ns + NS_PER_MS - 1) / NS_PER_MS;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* Each is called; true if any has more to do. */
static bool do_works(struct loop *loop)
{
	bool more = false;

	for (uint32_t i = 0; i < loop->works_used; i++)
		more |= loop->works[i].work(loop->works[i].context);
	return more;
}

static void count_busy(struct loop *loop)
{
	uint64_t busy_ns = loop_busy_ns(loop) + clock_now_ns() - loop->now_ns;

	atomic_store_explicit(&loop->busy_ns, busy_ns, memory_order_relaxed);
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[EVENTS_PER_WAIT];
	uint32_t behind = BEHIND_TURNS;
	bool more = false;

	loop->now_ns = clock_now_ns();
	while (!loop->stopping) {
		uint64_t next_ns = 0;
		int count;

		if (behind == 0)
			next_ns = timeout_expire(&loop->timeout_queues, loop->now_ns);
		if (loop->stopping)
			break;
		count_busy(loop);
		count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT,
				   more ? 0 : wait_ms(next_ns));
		if (count < 0 && errno != EINTR)
			return -errno;
		if (count < 0)
			behind = BEHIND_TURNS;
		else if (behind > 0)
			behind = count < EVENTS_PER_WAIT ? 0 : behind - 1;
		loop->now_ns = clock_now_ns();
		loop->turn++;
		for (int i = 0; i < count; i++)
			dispatch(loop, &events[i]);
		more = do_works(loop);
	}
	return 0;
}
