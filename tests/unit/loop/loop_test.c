/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "loop/timeout.h"

struct item {
	struct slot slot;
	uint32_t seen;
};

static struct {
	uint32_t events;
	struct loop_ref ref;
	uint32_t calls, stale, works;
} seen;

static struct slots slots;
static int pair[2];

static int setup(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	slots_init(&slots, sizeof(struct item), sizeof(struct item));
	loop_setup();
	stream_pair(pair);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	slots_fini(&slots);
	loop_teardown();
	return 0;
}

static bool was_called(void)
{
	return seen.calls > 0;
}

static void on_event(void *context, struct loop_ref ref, uint32_t events)
{
	struct item *item = slots_find(&slots, ref.index, ref.generation);

	assert_ptr_equal(context, &seen);
	seen.calls++;
	seen.ref = ref;
	seen.events = events;
	if (!item)
		seen.stale++;
	else
		item->seen++;
}

static void never_called(void *context, struct loop_ref ref, uint32_t events)
{
	(void)context;
	(void)ref;
	(void)events;
	fail();
}

/* The kind chooses the handler; index and generation come back as they were given. */
static void event_finds_its_handler(void **state)
{
	uint8_t other = loop_add_kind(&loop, never_called, NULL);
	uint8_t kind = loop_add_kind(&loop, on_event, &seen);
	struct item *item = slots_take(&slots);

	(void)state;
	assert_true(other != kind);
	assert_int_equal(loop_watch(&loop, pair[0], EPOLLIN | EPOLLET,
				    loop_ref_to(kind, &item->slot)),
			 0);
	assert_int_equal(send(pair[1], "x", 1, 0), 1);
	run_until(was_called);
	assert_int_equal(seen.events, EPOLLIN);
	assert_int_equal(seen.ref.kind, kind);
	assert_int_equal(seen.ref.index, item->slot.index);
	assert_int_equal(seen.ref.generation, item->slot.generation);
	assert_int_equal(item->seen, 1);
}

static void largest_index_and_generation_come_back(void **state)
{
	struct slot slot = { .index = SLOTS_MAX - 1, .generation = UINT32_MAX };
	uint8_t kind = loop_add_kind(&loop, on_event, &seen);

	(void)state;
	assert_int_equal(loop_watch(&loop, pair[0], EPOLLOUT | EPOLLET, loop_ref_to(kind, &slot)),
			 0);
	run_until(was_called);
	assert_int_equal(seen.ref.index, SLOTS_MAX - 1);
	assert_true(seen.ref.generation == UINT32_MAX);
}

/* A descriptor that outlives its session, and a new session in the same slot. */
static void stale_event_does_not_reach_the_next_session(void **state)
{
	uint8_t kind = loop_add_kind(&loop, on_event, &seen);
	struct item *item = slots_take(&slots), *next;
	uint32_t index = item->slot.index;

	(void)state;
	assert_int_equal(loop_watch(&loop, pair[0], EPOLLIN | EPOLLET,
				    loop_ref_to(kind, &item->slot)),
			 0);
	slots_give(&slots, item);
	next = slots_take(&slots);
	assert_int_equal(next->slot.index, index);
	assert_int_equal(send(pair[1], "x", 1, 0), 1);
	run_until(was_called);
	assert_int_equal(seen.stale, seen.calls);
	assert_int_equal(next->seen, 0);
}

static void rewatching_changes_what_is_told(void **state)
{
	uint8_t kind = loop_add_kind(&loop, on_event, &seen);
	struct item *item = slots_take(&slots);
	struct loop_ref ref = loop_ref_to(kind, &item->slot);

	(void)state;
	assert_int_equal(loop_watch(&loop, pair[0], EPOLLIN, ref), 0);
	assert_int_equal(loop_rewatch(&loop, pair[0], 0, ref), 0);
	assert_int_equal(send(pair[1], "x", 1, 0), 1);
	run_turns();
	assert_int_equal(seen.calls, 0);
	assert_int_equal(loop_rewatch(&loop, pair[0], EPOLLIN, ref), 0);
	run_until(was_called);
}

static void failures_are_told(void **state)
{
	struct loop_ref ref = { .generation = 1 };

	(void)state;
	assert_int_equal(loop_watch(&loop, 9999, EPOLLIN, ref), -EBADF);
	assert_int_equal(loop_rewatch(&loop, pair[0], EPOLLIN, ref), -ENOENT);
}

/* More often than any timeout of this program ends a wait. */
#define WORKS 5000

static bool work_on(void *context)
{
	assert_ptr_equal(context, &seen);
	return ++seen.works < WORKS;
}

static bool has_worked(void)
{
	return seen.works >= WORKS;
}

/* It is called in the next turns without any event, as long as it wants to. */
static void work_goes_on_without_events(void **state)
{
	(void)state;
	loop_add_work(&loop, work_on, &seen);
	run_until(has_worked);
}

static void stop_at_timeout(void *context, struct timeout *timeout)
{
	(void)timeout;
	loop_stop(context);
}

static void timeout_ends_the_wait(void **state)
{
	struct timeout_queue queue;
	struct timeout timeout;
	uint64_t begin_ns = clock_now_ns();

	(void)state;
	timeout_queue_init(&queue, &loop, 20 * NS_PER_MS, stop_at_timeout, &loop);
	timeout_init(&timeout);
	loop.now_ns = begin_ns;
	timeout_start(&timeout, &queue, &loop);
	assert_int_equal(loop_run(&loop), 0);
	assert_true(clock_now_ns() - begin_ns >= 20 * NS_PER_MS);
	list_remove(&queue.node);
}

static struct timeout silence;

static void on_silence(void *context, struct timeout *timeout)
{
	(void)context;
	(void)timeout;
	seen.stale++;
}

static void on_sign_of_life(void *context, struct loop_ref ref, uint32_t events)
{
	(void)context;
	(void)ref;
	(void)events;
	timeout_stop(&silence);
	seen.calls++;
}

/* Stops the process of the test until the timeout is due, and says something meanwhile. */
static void stop_and_say_something(void)
{
	pid_t stopped = getppid();

	(void)usleep(50 * 1000);
	(void)kill(stopped, SIGSTOP);
	(void)!write(pair[1], "x", 1);
	(void)usleep(500 * 1000);
	(void)kill(stopped, SIGCONT);
	_exit(0);
}

static void who_was_heard_of_while_the_process_was_stopped_is_not_silent(void **state)
{
	struct loop_ref ref = { .kind = loop_add_kind(&loop, on_sign_of_life, NULL),
				.generation = 1 };
	struct timeout_queue queue;
	pid_t child;

	(void)state;
	assert_int_equal(loop_watch(&loop, pair[0], EPOLLIN | EPOLLET, ref), 0);
	timeout_queue_init(&queue, &loop, 300 * NS_PER_MS, on_silence, NULL);
	timeout_init(&silence);
	loop.now_ns = clock_now_ns();
	timeout_start(&silence, &queue, &loop);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		stop_and_say_something();
	run_until(was_called);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(seen.stale, 0);
}

int main(void)
{
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_LOOP(event_finds_its_handler),
		WITH_LOOP(largest_index_and_generation_come_back),
		WITH_LOOP(stale_event_does_not_reach_the_next_session),
		WITH_LOOP(rewatching_changes_what_is_told),
		WITH_LOOP(failures_are_told),
		WITH_LOOP(work_goes_on_without_events),
		WITH_LOOP(timeout_ends_the_wait),
		WITH_LOOP(who_was_heard_of_while_the_process_was_stopped_is_not_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
