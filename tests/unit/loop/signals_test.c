/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <signal.h>

#include "loop/signals.h"

static struct signals signals;
static int received[4], received_count;

static void on_signal(void *context, int signal)
{
	assert_ptr_equal(context, &signals);
	received[received_count++] = signal;
}

static bool was_received(void)
{
	return received_count > 0;
}

static int setup(void **state)
{
	(void)state;
	received_count = 0;
	loop_setup();
	assert_int_equal(signals_init(&signals, &loop, on_signal, &signals), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	signals_fini(&signals);
	loop_teardown();
	return 0;
}

static void signals_arrive_as_events(void **state)
{
	static const int asked_for[] = { SIGINT, SIGTERM, SIGHUP };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(asked_for); i++) {
		received_count = 0;
		assert_int_equal(kill(getpid(), asked_for[i]), 0);
		run_until(was_received);
		assert_int_equal(received_count, 1);
		assert_int_equal(received[0], asked_for[i]);
	}
}

/* As nohup(1) has it. */
static void ignored_hangup_stays_ignored(void **state)
{
	sigset_t set;

	teardown(state);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	assert_int_equal(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
	assert_true(signal(SIGHUP, SIG_IGN) != SIG_ERR);
	setup(state);
	assert_int_equal(kill(getpid(), SIGHUP), 0);
	run_turns();
	assert_int_equal(received_count, 0);
	assert_true(signal(SIGHUP, SIG_DFL) != SIG_ERR);
}

/* splice(2) raises it whatever the flags of the socket. */
static void broken_pipe_does_not_end_the_process(void **state)
{
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	close(pipes[0]);
	assert_int_equal(write(pipes[1], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	close(pipes[1]);
}

int main(void)
{
#define WITH_SIGNALS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_SIGNALS(signals_arrive_as_events),
		WITH_SIGNALS(ignored_hangup_stays_ignored),
		WITH_SIGNALS(broken_pipe_does_not_end_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
