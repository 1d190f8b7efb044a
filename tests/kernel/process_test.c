/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process inherits: the parent-death signal and the flags of the descriptors that the engine
 * hands to our drop-in.
 */
#include "support.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const char *self;

static int exit_status_of(pid_t child)
{
	int status = 0;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int death_signal(void)
{
	int signal = -1;

	return prctl(PR_GET_PDEATHSIG, &signal) == 0 ? signal : -1;
}

/* The engine asks for SIGTERM at its own death before it executes us, and exec keeps that. */
static void the_parent_death_signal_survives_exec(void **state)
{
	(void)state;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl(self, self, "tell-death-signal", (char *)NULL);
		_exit(125);
	}
	assert_int_equal(exit_status_of(child), SIGTERM);
}

/* ... but not a fork: a drop-in that put itself into the background would outlive its engine. */
static void the_parent_death_signal_does_not_survive_fork(void **state)
{
	(void)state;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		pid_t grandchild = -1;
		int status = 0;

		prctl(PR_SET_PDEATHSIG, SIGTERM);
		grandchild = fork();
		if (grandchild == 0)
			_exit(death_signal());
		waitpid(grandchild, &status, 0);
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 125);
	}
	assert_int_equal(exit_status_of(child), 0);
}

/* O_NONBLOCK belongs to the open file, which a passed listener shares with whoever keeps a copy;
 * the engine closes its own after the start, so we may set it. FD_CLOEXEC belongs to the
 * descriptor. */
static void nonblock_is_shared_by_duplicates_and_cloexec_is_not(void **state)
{
	(void)state;
	int fd = tcp_listen();
	int copy = dup(fd);

	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(copy, F_GETFD) & FD_CLOEXEC, 0);
	assert_int_equal(fcntl(copy, F_GETFL) & O_NONBLOCK, 0);
	set_nonblocking(fd);
	assert_int_equal(fcntl(copy, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	close(fd);
	close(copy);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parent_death_signal_survives_exec),
		cmocka_unit_test(the_parent_death_signal_does_not_survive_fork),
		cmocka_unit_test(nonblock_is_shared_by_duplicates_and_cloexec_is_not),
	};

	if (argc == 2 && strcmp(argv[1], "tell-death-signal") == 0)
		return death_signal();
	self = argv[0];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
