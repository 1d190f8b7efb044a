/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "apps/docker-proxy/inherited.h"

static int dockerd; /* the end that dockerd reads */

/* A status pipe at descriptor 3, as dockerd leaves it: without FD_CLOEXEC. */
static int setup(void **state)
{
	int pipes[2], writer;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	dockerd = fcntl(pipes[0], F_DUPFD_CLOEXEC, 10);
	writer = fcntl(pipes[1], F_DUPFD, 10);
	assert_true(dockerd >= 0 && writer >= 0);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(dup2(writer, INHERITED_STATUS_FD), INHERITED_STATUS_FD);
	close(writer);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)close(INHERITED_STATUS_FD);
	if (dockerd >= 0)
		close(dockerd);
	return 0;
}

/* All that dockerd reads until end of file, which comes only if nothing holds the pipe open. */
static void assert_reported(const char *text)
{
	char buffer[512];
	ssize_t length = read(dockerd, buffer, sizeof(buffer) - 1), more;
	char byte;

	assert_true(length >= 0);
	buffer[length] = '\0';
	assert_string_equal(buffer, text);
	more = read(dockerd, &byte, 1);
	assert_int_equal(more, 0);
}

static void pipe_is_found_and_kept_from_children(void **state)
{
	(void)state;
	assert_int_equal(inherited_init(), INHERITED_STATUS_FD);
	assert_int_equal(fcntl(INHERITED_STATUS_FD, F_GETFD), FD_CLOEXEC);
}

static void success_is_two_bytes_and_an_end(void **state)
{
	int fd = inherited_init();

	(void)state;
	assert_int_equal(inherited_report_ready(&fd), 0);
	assert_int_equal(fd, -1);
	assert_reported("0\n");
}

static void failure_is_told_with_its_message(void **state)
{
	int fd = inherited_init();

	(void)state;
	inherited_report_failure(&fd, "bind: address already in use");
	assert_int_equal(fd, -1);
	assert_reported("1\nbind: address already in use");
}

static void dockerd_that_has_died_is_noticed(void **state)
{
	int fd = inherited_init();

	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	close(dockerd);
	dockerd = -1;
	assert_int_equal(inherited_report_ready(&fd), -EPIPE);
	assert_int_equal(fd, -1);
}

/* Started by hand: whatever else it is, it is left alone. */
static void other_descriptor_is_left_alone(void **state)
{
	int fd;

	(void)state;
	close(INHERITED_STATUS_FD);
	assert_int_equal(open("/dev/null", O_WRONLY), INHERITED_STATUS_FD);
	fd = inherited_init();
	assert_int_equal(fd, -1);
	assert_int_equal(inherited_report_ready(&fd), 0);
	inherited_report_failure(&fd, "nobody reads this");
	assert_true(fcntl(INHERITED_STATUS_FD, F_GETFD) >= 0);
}

static void missing_descriptor_is_no_pipe(void **state)
{
	int fd;

	(void)state;
	close(INHERITED_STATUS_FD);
	fd = inherited_init();
	assert_int_equal(fd, -1);
	assert_int_equal(inherited_report_ready(&fd), 0);
}

int main(void)
{
#define WITH_PIPE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_PIPE(pipe_is_found_and_kept_from_children),
		WITH_PIPE(success_is_two_bytes_and_an_end),
		WITH_PIPE(failure_is_told_with_its_message),
		WITH_PIPE(dockerd_that_has_died_is_noticed),
		WITH_PIPE(other_descriptor_is_left_alone),
		WITH_PIPE(missing_descriptor_is_no_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
