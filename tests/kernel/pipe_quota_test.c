/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large a pipe may be. The relay's pool of splice pipes asks for larger ones than the default
 * and must live with less: the kernel limits the sum of all pipe pages of an unprivileged user
 * (fs.pipe-user-pages-soft), and rootless engines are such users.
 */
#include "support.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { SLOT = 4096, DEFAULT_BYTES = 16 * SLOT };

static long read_setting(const char *path)
{
	long value = -1;
	FILE *file = fopen(path, "re");

	if (file == NULL)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

static int pipe_size(int fd)
{
	return fcntl(fd, F_GETPIPE_SZ);
}

/* What a child that used up its quota saw; crosses to the parent through a pipe. */
struct outcome {
	int pipes; /* opened at `large_bytes` */
	int large_bytes;
	int resize_error; /* of F_SETPIPE_SZ beyond the quota */
	int later_bytes;  /* size of a pipe opened beyond it */
	int grow_error;	  /* of growing that one to the default */
	int read_back;	  /* bytes that passed through it all the same */
};

static struct outcome use_up_the_quota(int large_bytes, int limit)
{
	struct outcome outcome = { .large_bytes = large_bytes };
	int ends[2];
	char byte = 'x';

	while (outcome.resize_error == 0 && outcome.pipes < limit) {
		if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
			return outcome;
		if (fcntl(ends[0], F_SETPIPE_SZ, large_bytes) < 0)
			outcome.resize_error = errno;
		else
			outcome.pipes++;
	}
	/* The default-sized pipes that the loop ended with count as well: use up the remainder. */
	do {
		if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
			return outcome;
		outcome.later_bytes = pipe_size(ends[0]);
	} while (outcome.later_bytes == DEFAULT_BYTES && outcome.pipes++ < limit);
	if (fcntl(ends[0], F_SETPIPE_SZ, DEFAULT_BYTES) < 0)
		outcome.grow_error = errno;
	if (write(ends[1], &byte, 1) == 1)
		outcome.read_back = (int)read(ends[0], &byte, 1);
	return outcome;
}

static struct outcome as_unprivileged_user(int large_bytes, int limit)
{
	struct outcome outcome = { 0 };
	int report[2], status = 0;
	pid_t child = -1;

	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* A user id of no one, so that no other process shares its quota. */
		if (geteuid() == 0 && setuid((uid_t)(1000000 + getpid())) != 0)
			_exit(1);
		outcome = use_up_the_quota(large_bytes, limit);
		_exit(write(report[1], &outcome, sizeof(outcome)) == sizeof(outcome) ? 0 : 1);
	}
	close(report[1]);
	assert_int_equal(read(report[0], &outcome, sizeof(outcome)), sizeof(outcome));
	close(report[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return outcome;
}

static int quota_pages, largest_bytes;

/* Beyond the quota F_SETPIPE_SZ fails with EPERM, and new pipes have two slots (one before 5.14)
 * instead of 16. They still work: the pool takes the size that it gets. */
static void beyond_the_quota_pipes_are_small_but_work(void **state)
{
	(void)state;
	struct outcome outcome = as_unprivileged_user(largest_bytes,
						      quota_pages / (largest_bytes / SLOT) + 2);

	print_message("# quota %d pages: then pipes of %d bytes\n", quota_pages,
		      outcome.later_bytes);
	assert_int_equal(outcome.resize_error, EPERM);
	assert_in_range(outcome.later_bytes, SLOT, 2 * SLOT);
	assert_int_equal(outcome.grow_error, EPERM);
	assert_int_equal(outcome.read_back, 1);
}

/* A size is rounded up to a power of two of pages, and given back by the call. */
static void sizes_are_rounded_up_and_told(void **state)
{
	(void)state;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[0], F_SETPIPE_SZ, 3 * SLOT), 4 * SLOT);
	assert_int_equal(pipe_size(ends[1]), 4 * SLOT);
	close(ends[0]);
	close(ends[1]);
}

/* A pipe that holds more than the new size is not shrunk, and loses nothing. */
static void a_pipe_is_not_shrunk_below_its_content(void **state)
{
	(void)state;
	char data[3 * SLOT] = { 0 };
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], data, sizeof(data)), sizeof(data));
	assert_fails(fcntl(ends[0], F_SETPIPE_SZ, SLOT), EBUSY);
	assert_int_equal(read(ends[0], data, sizeof(data)), sizeof(data));
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beyond_the_quota_pipes_are_small_but_work),
		cmocka_unit_test(sizes_are_rounded_up_and_told),
		cmocka_unit_test(a_pipe_is_not_shrunk_below_its_content),
	};
	struct rlimit descriptors;

	quota_pages = (int)read_setting("/proc/sys/fs/pipe-user-pages-soft");
	largest_bytes = (int)read_setting("/proc/sys/fs/pipe-max-size");
	if (quota_pages <= 0 || largest_bytes < DEFAULT_BYTES)
		return skip_all("fs.pipe-user-pages-soft or fs.pipe-max-size sets no limit here");
	if (sysconf(_SC_PAGESIZE) != SLOT)
		return skip_all("written for pages of 4096 bytes");
	if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0 ||
	    descriptors.rlim_cur < (rlim_t)(2 * quota_pages / (largest_bytes / SLOT) + 64))
		return skip_all("too few descriptors to use up fs.pipe-user-pages-soft");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
