/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "base/fd.h"

static int new_fd(void)
{
	int fd = dup(STDOUT_FILENO);

	assert_true(fd >= 0);
	return fd;
}

static void assert_closed(int fd)
{
	assert_int_equal(close(fd), -1);
	assert_int_equal(errno, EBADF);
}

static int leave_by_taking(void)
{
	OWNED_FD fd = new_fd();

	return fd_take(&fd);
}

static int leave_by_closing(void)
{
	OWNED_FD fd = new_fd();

	return fd; /* the number only */
}

static void scope_closes_what_it_owns(void **state)
{
	(void)state;
	assert_closed(leave_by_closing());
}

static void taken_descriptor_outlives_the_scope(void **state)
{
	(void)state;
	assert_int_equal(close(leave_by_taking()), 0);
}

static void closing_marks_closed_and_keeps_errno(void **state)
{
	int fd = new_fd(), number = fd;

	(void)state;
	errno = ECONNRESET;
	fd_close(&fd);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(fd, -1);
	assert_closed(number);
	fd_close(&fd); /* harmless */
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scope_closes_what_it_owns),
		cmocka_unit_test(taken_descriptor_outlives_the_scope),
		cmocka_unit_test(closing_marks_closed_and_keeps_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
