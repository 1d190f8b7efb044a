/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "relay/pipe_pool.h"

enum { PIPES_MOST = 512, PIPES_IDLE_MOST = 32, NOBODY = 65534 };

static struct budget budget;
static struct pipe_pool pool;
static struct pipe *pipes[PIPES_MOST + 1];

static int setup(void **state)
{
	(void)state;
	budget = (struct budget){ .most = 4096 };
	pipe_pool_init(&pool, &budget);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pipe_pool_fini(&pool);
	assert_int_equal(budget.used, 0);
	return 0;
}

/* Returns how many could be taken. */
static uint32_t take(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		pipes[i] = pipe_pool_take(&pool);
		if (!pipes[i])
			return i;
	}
	return count;
}

static void give(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		pipe_pool_give(&pool, pipes[i], 0);
}

static void pipe_is_large_and_does_not_block(void **state)
{
	char byte;

	(void)state;
	assert_int_equal(take(1), 1);
	assert_true(pipes[0]->capacity_bytes >= 64 * 1024);
	assert_int_equal(fcntl(pipes[0]->read_fd, F_GETPIPE_SZ), pipes[0]->capacity_bytes);
	assert_int_equal(read(pipes[0]->read_fd, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(budget.used, 2);
	give(1);
}

static void empty_pipe_is_kept_for_the_next(void **state)
{
	(void)state;
	assert_int_equal(take(1), 1);
	give(1);
	assert_int_equal(budget.used, 2);
	assert_ptr_equal(pipe_pool_take(&pool), pipes[0]);
	assert_int_equal(budget.used, 2);
	give(1);
}

/* Bytes of one session must never come out in another. */
static void pipe_with_bytes_is_closed(void **state)
{
	(void)state;
	assert_int_equal(take(1), 1);
	assert_int_equal(write(pipes[0]->write_fd, "secret", 6), 6);
	pipe_pool_give(&pool, pipes[0], 6);
	assert_int_equal(budget.used, 0);
	assert_int_equal(pool.idle_count, 0);
}

static void only_some_are_kept(void **state)
{
	(void)state;
	assert_int_equal(take(40), 40);
	give(40);
	assert_int_equal(pool.idle_count, PIPES_IDLE_MOST);
	assert_int_equal(budget.used, 2 * PIPES_IDLE_MOST);
	pipe_pool_trim(&pool);
	assert_int_equal(budget.used, 0);
	assert_int_equal(take(1), 1); /* and on it goes */
	give(1);
}

static void what_all_may_hold_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(take(PIPES_MOST + 1), PIPES_MOST);
	give(PIPES_MOST);
}

/* Sessions need descriptors, pipes only speed them up. */
static void last_eighth_of_the_budget_is_not_for_pipes(void **state)
{
	(void)state;
	budget.most = 16;
	assert_int_equal(take(16), 7);
	assert_int_equal(budget.used, 14);
	give(7);
	budget.used += 1; /* past seven eighths, none is kept either */
	assert_int_equal(take(1), 1);
	pipe_pool_trim(&pool);
	budget.used += 13;
	pipe_pool_give(&pool, pipes[0], 0);
	assert_int_equal(pool.idle_count, 0);
	budget.used -= 14;
}

static void process_without_descriptors_gets_none(void **state)
{
	struct rlimit before, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(take(1), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(budget.used, 0);
}

/* In a child: how many pipes an ordinary user gets; exit code 0 if that is as it must be. */
static int try_as_nobody(void)
{
	uint32_t got;

	if (setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return 2;
	got = take(PIPES_MOST);
	for (uint32_t i = 0; i < got; i++)
		if (pipes[i]->capacity_bytes < 64 * 1024)
			return 3;
	if (budget.used != 2 * got) /* those that were too small are closed again */
		return 4;
	return got > 0 && got < PIPES_MOST ? 0 : 5;
}

/* pipe(7): past pipe-user-pages-soft, users get pipes of a page or two, which are not used. */
static void small_pipes_of_a_user_at_the_quota_are_refused(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0)
		_exit(try_as_nobody());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static bool raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < 2 * PIPES_MOST + 32)
		return false;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

int main(void)
{
#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_POOL(pipe_is_large_and_does_not_block),
		WITH_POOL(empty_pipe_is_kept_for_the_next),
		WITH_POOL(pipe_with_bytes_is_closed),
		WITH_POOL(only_some_are_kept),
		WITH_POOL(what_all_may_hold_is_bounded),
		WITH_POOL(last_eighth_of_the_budget_is_not_for_pipes),
		WITH_POOL(process_without_descriptors_gets_none),
		WITH_POOL(small_pipes_of_a_user_at_the_quota_are_refused),
	};

	if (geteuid() != 0)
		return skip_all("needs root: to be another user, and beyond the quota of pipes");
	if (!raise_limit())
		return skip_all("needs 1056 file descriptors");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
