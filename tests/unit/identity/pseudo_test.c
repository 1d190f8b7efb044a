/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo-IPv4 addresses with their store, in a folder of the test's own. */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "identity/pseudo.h"
#include "identity/pseudo_journal.h"
#include "wire/bytes.h"

#define CLIENTS 20000u

static char folder[64], path[96], journal_path[128];
static struct pseudo_settings settings;
static struct pseudo *pseudo;
static struct error err;
static _Atomic uint64_t clock_ms;

static uint64_t now_ms(void)
{
	return clock_ms;
}

static int setup(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/fairlead-pseudo-XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/pseudo.db", folder);
	(void)snprintf(journal_path, sizeof(journal_path), "%s.journal", path);
	clock_ms = UINT64_C(1764000000000);
	settings = (struct pseudo_settings){ .client_length = 128,
					     .lease_s = 3600,
					     .history_s = 86400,
					     .store = path,
					     .now_ms = now_ms };
	assert_int_equal(prefix_parse("240.0.0.0/4", &settings.pool), 0);
	pseudo = NULL;
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	if (pseudo)
		pseudo_close(pseudo);
	(void)snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static void open_it(void)
{
	pseudo = pseudo_open(&settings, &err);
	if (!pseudo)
		fail_msg("%s", err.text);
}

static void reopen(void)
{
	pseudo_close(pseudo);
	open_it();
}

static struct address client_of(uint32_t number)
{
	struct address client = address_of("2001:db8::", 0);

	bytes_put32(client.ip + 12, number);
	return client;
}

static uint32_t take(uint32_t number, uint32_t *ret_pseudo)
{
	struct address client = client_of(number), address;
	uint32_t lease;

	assert_int_equal(pseudo_take(pseudo, &client, &address, &lease), 0);
	assert_int_not_equal(lease, 0);
	if (ret_pseudo)
		*ret_pseudo = bytes_get32(address.ip);
	return lease;
}

static uint32_t pseudo_of(uint32_t number)
{
	struct address client = client_of(number);
	struct pseudo_assignment found;

	return pseudo_find(pseudo, &client, &found) == 0 ? bytes_get32(found.pseudo.ip) : 0;
}

static void assignments_survive_a_restart(void **state)
{
	uint32_t before[100];

	(void)state;
	open_it();
	for (uint32_t i = 0; i < COUNT_OF(before); i++)
		pseudo_give(pseudo, take(i, &before[i]));
	reopen();
	for (uint32_t i = 0; i < COUNT_OF(before); i++)
		assert_int_equal(pseudo_of(i), before[i]);
}

/* A process that tells what it was given, and is killed in the middle of giving more. */
static void tell_until_killed(int to)
{
	for (uint32_t i = 0;; i++) {
		uint32_t given[2] = { i, 0 };

		take(i, &given[1]);
		if (write(to, given, sizeof(given)) != sizeof(given))
			_exit(1);
	}
}

static void what_was_given_survives_a_kill(void **state)
{
	uint32_t given[2], count = 0;
	int ends[2], status;
	pid_t child;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		open_it();
		tell_until_killed(ends[1]);
	}
	close(ends[1]);
	while (count < CLIENTS && read(ends[0], given, sizeof(given)) == sizeof(given))
		count++;
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	open_it();
	do { /* the pipe has the last ones */
		assert_int_equal(pseudo_of(given[0]), given[1]);
		count++;
	} while (read(ends[0], given, sizeof(given)) == sizeof(given));
	assert_in_range(count, CLIENTS, UINT32_MAX);
	for (uint32_t i = 0; i < CLIENTS; i++)
		assert_int_not_equal(pseudo_of(i), 0);
	close(ends[0]);
}

static void past_is_known(void **state)
{
	struct address address;
	struct pseudo_assignment found;
	uint64_t began_s = clock_ms / 1000;
	uint32_t first;

	(void)state;
	assert_int_equal(prefix_parse("192.0.2.0/29", &settings.pool), 0);
	open_it();
	for (uint32_t i = 0; i < 6; i++)
		pseudo_give(pseudo, take(i, i == 0 ? &first : NULL));
	clock_ms += 3600 * 1000;
	pseudo_give(pseudo, take(6, NULL)); /* in the place of the first */
	reopen();			    /* so that all is stored */
	address = (struct address){ .family = AF_INET };
	bytes_put32(address.ip, first);
	assert_int_equal(pseudo_find(pseudo, &address, &found), 0);
	assert_int_equal(found.client.ip[15], 6);
	assert_true(found.is_current);
	assert_int_equal(pseudo_find_at(pseudo, &address, began_s + 10, &found, &err), 0);
	assert_int_equal(found.client.ip[15], 0);
	assert_false(found.is_current);
	assert_int_equal(pseudo_find_at(pseudo, &address, began_s + 3600, &found, &err), 0);
	assert_int_equal(found.client.ip[15], 6);
	address = client_of(0);
	assert_int_equal(pseudo_find(pseudo, &address, &found), -ENOENT);
	assert_int_equal(pseudo_find_at(pseudo, &address, began_s + 1, &found, &err), 0);
	assert_int_equal(bytes_get32(found.pseudo.ip), first);
	assert_int_equal(pseudo_find_at(pseudo, &address, began_s - 1, &found, &err), -ENOENT);
	/* another one's by then */
	assert_int_equal(pseudo_find_at(pseudo, &address, began_s + 3600, &found, &err), -ENOENT);
}

static void full_pool_refuses_and_takes_from_nobody(void **state)
{
	struct address client = client_of(6), address;
	struct pseudo_counts counts;
	uint32_t lease, before[6];

	(void)state;
	assert_int_equal(prefix_parse("192.0.2.0/29", &settings.pool), 0);
	open_it();
	for (uint32_t i = 0; i < 6; i++)
		take(i, &before[i]);
	clock_ms += 24 * 3600 * 1000;
	assert_int_equal(pseudo_take(pseudo, &client, &address, &lease), -ENOSPC);
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(pseudo_of(i), before[i]);
	pseudo_count(pseudo, &counts);
	assert_int_equal(counts.refused_full_total, 1);
	assert_int_equal(counts.in_use, 6);
}

static void another_pool_begins_anew_and_remembers(void **state)
{
	struct address client = client_of(1);
	struct pseudo_assignment found;
	uint32_t before;

	(void)state;
	open_it();
	take(1, &before);
	pseudo_close(pseudo);
	assert_int_equal(prefix_parse("198.18.0.0/15", &settings.pool), 0);
	open_it();
	assert_int_equal(pseudo_of(1), 0);
	assert_int_equal(pseudo_find_at(pseudo, &client, clock_ms / 1000, &found, &err), 0);
	assert_int_equal(bytes_get32(found.pseudo.ip), before);
	assert_false(found.is_current);
	client = (struct address){ .family = AF_INET };
	bytes_put32(client.ip, before);
	assert_int_equal(pseudo_find_at(pseudo, &client, clock_ms / 1000, &found, &err), 0);
	assert_int_equal(found.client.ip[15], 1);
}

static void networks_of_another_length_are_remembered(void **state)
{
	struct address client = client_of(0x10001);
	struct pseudo_assignment found;
	uint64_t began_s = clock_ms / 1000;
	uint32_t before, after;

	(void)state;
	settings.client_length = 64;
	open_it();
	pseudo_give(pseudo, take(0x10001, &before));
	pseudo_close(pseudo);
	settings.client_length = 128;
	clock_ms += 60 * 1000;
	open_it();
	pseudo_give(pseudo, take(0x10001, &after));
	reopen();
	assert_int_equal(pseudo_find_at(pseudo, &client, began_s, &found, &err), 0);
	assert_int_equal(bytes_get32(found.pseudo.ip), before);
	assert_int_equal(found.client.length, 64);
	assert_int_equal(pseudo_find_at(pseudo, &client, began_s + 60, &found, &err), 0);
	assert_int_equal(bytes_get32(found.pseudo.ip), after);
	assert_int_equal(found.client.length, 128);
}

/* The pool has room for six: the seventh has the first one's. */
static void clock_that_is_set_back_keeps_the_order(void **state)
{
	struct address address = { .family = AF_INET };
	struct pseudo_assignment found;
	uint32_t first;

	(void)state;
	settings.lease_s = 0;
	assert_int_equal(prefix_parse("192.0.2.0/29", &settings.pool), 0);
	open_it();
	for (uint32_t i = 0; i < 6; i++) {
		pseudo_give(pseudo, take(i, i == 0 ? &first : NULL));
		clock_ms += 1000;
	}
	clock_ms -= 600 * 1000;
	reopen(); /* it is remembered, too */
	pseudo_give(pseudo, take(6, NULL));
	clock_ms += 3600 * 1000;
	reopen();
	bytes_put32(address.ip, first);
	assert_int_equal(pseudo_find_at(pseudo, &address, clock_ms / 1000, &found, &err), 0);
	assert_int_equal(found.client.ip[15], 6);
}

static void clock_that_was_wrong_by_far_is_believed_when_set(void **state)
{
	struct address address = { .family = AF_INET };
	struct pseudo_assignment found;
	uint32_t before[6], after;

	(void)state;
	assert_int_equal(prefix_parse("192.0.2.0/29", &settings.pool), 0);
	open_it();
	for (uint32_t i = 0; i < 6; i++)
		pseudo_give(pseudo, take(i, &before[i]));
	clock_ms -= UINT64_C(1000) * 86400 * 365;
	bytes_put32(address.ip, before[5]);
	/* who has it now is told, though it is his only in a year */
	assert_int_equal(pseudo_find_at(pseudo, &address, clock_ms / 1000, &found, &err), 0);
	assert_int_equal(found.client.ip[15], 5);
	/* and nobody holds an address for a year and an hour */
	pseudo_give(pseudo, take(6, &after));
	assert_int_equal(after, before[0]);
	bytes_put32(address.ip, after);
	assert_int_equal(pseudo_find(pseudo, &address, &found), 0);
	assert_int_equal(found.since_s, clock_ms / 1000);
}

static uint32_t assignments(void)
{
	struct pseudo_counts counts;

	pseudo_count(pseudo, &counts);
	return (uint32_t)counts.assignments;
}

static void history_has_an_end(void **state)
{
	struct address client = client_of(1);
	struct pseudo_assignment found;
	uint64_t began_s = clock_ms / 1000;

	(void)state;
	open_it();
	for (uint32_t i = 1; i <= 3000; i++) /* more than go at once */
		pseudo_give(pseudo, take(i, NULL));
	pseudo_close(pseudo);
	clock_ms += UINT64_C(1000) * (86400 + 10);
	open_it();
	for (int i = 0; i < 200 && assignments() != 0; i++)
		usleep(20000); /* which its thread does at once after the start */
	assert_int_equal(assignments(), 0);
	reopen();
	assert_int_equal(assignments(), 0);
	assert_int_equal(pseudo_find_at(pseudo, &client, began_s, &found, &err), -ENOENT);
}

static void private_one_leaves_nothing(void **state)
{
	uint32_t lease;

	(void)state;
	settings.store = NULL;
	open_it();
	lease = take(1, NULL);
	assert_int_not_equal(pseudo_of(1), 0);
	pseudo_give(pseudo, lease);
	assert_int_equal(access(path, F_OK), -1);
}

static void write_file(const char *where, const char *text)
{
	int fd = open(where, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void what_is_no_store_is_refused_and_kept(void **state)
{
	struct stat status;

	(void)state;
	write_file(path, "this is something else, and longer than a header of a hundred bytes, "
			 "which is what a database begins with, as everybody knows");
	assert_null(pseudo_open(&settings, &err));
	assert_non_null(strstr(err.text, path));
	assert_non_null(strstr(err.text, "move it away"));
	assert_int_equal(unlink(path), 0);
	write_file(journal_path, "no journal");
	assert_null(pseudo_open(&settings, &err));
	assert_non_null(strstr(err.text, "move it away"));
	assert_int_equal(stat(journal_path, &status), 0);
	assert_int_equal(status.st_size, 10);
}

static void nobody_else_can_read_it(void **state)
{
	struct stat status;

	(void)state;
	open_it();
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_int_equal(stat(journal_path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
}

/* Sanitizers have memory of their own for each byte. */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEMORY_MAX (1024u * 1024 * 1024)
#else
#define MEMORY_MAX (30u * 1024 * 1024)
#endif

static size_t resident_bytes(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_int_equal(fscanf(file, "%*u %lu", &pages), 1);
	(void)fclose(file);
	return pages * 4096;
}

static size_t stored_bytes(void)
{
	static const char *const ends[] = { "", "-wal", "-shm", ".journal" };
	size_t sum = 0;

	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		char name[160];
		struct stat status;

		(void)snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		if (stat(name, &status) == 0)
			sum += (size_t)status.st_size;
	}
	return sum;
}

static void hundred_thousand_clients_have_room(void **state)
{
	size_t before_bytes = resident_bytes();
	struct pseudo_assignment found;
	uint64_t longest_ns = 0;

	(void)state;
	open_it();
	for (uint32_t i = 0; i < 100000; i++) {
		struct address client = client_of(i), address;
		uint32_t lease;

		while (pseudo_take(pseudo, &client, &address, &lease) == -EAGAIN)
			usleep(1000); /* faster than any disk */
		pseudo_give(pseudo, lease);
	}
	print_message("# memory %zu kB\n", (resident_bytes() - before_bytes) / 1024);
	assert_in_range(resident_bytes() - before_bytes, 0, MEMORY_MAX);
	for (uint32_t i = 0; i < 100000; i += 97) {
		struct address client = client_of(i);
		uint64_t begin_ns = clock_now_ns();

		assert_int_equal(pseudo_find(pseudo, &client, &found), 0);
		assert_int_equal(pseudo_find(pseudo, &found.pseudo, &found), 0);
		if (clock_now_ns() - begin_ns > longest_ns)
			longest_ns = clock_now_ns() - begin_ns;
		assert_memory_equal(found.client.ip, client.ip, 16);
	}
	print_message("# longest look-up, both ways: %llu ns\n", (unsigned long long)longest_ns);
	reopen();
	print_message("# store %zu kB\n", stored_bytes() / 1024);
	assert_in_range(stored_bytes(), 1, 20 * 1024 * 1024);
	assert_int_not_equal(pseudo_of(99999), 0);
}

static void *take_and_give(void *context)
{
	uint32_t first = *(uint32_t *)context;

	for (uint32_t round = 0; round < 20; round++)
		for (uint32_t i = 0; i < 500; i++) {
			struct address client = client_of((first + i) % 700), address;
			uint32_t lease;

			if (pseudo_take(pseudo, &client, &address, &lease) == 0)
				pseudo_give(pseudo, lease);
		}
	return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
	uint32_t firsts[] = { 0, 200, 400 };
	pthread_t threads[COUNT_OF(firsts)];
	struct pseudo_counts counts;

	(void)state;
	open_it();
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &firsts[i]), 0);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		(void)pthread_join(threads[i], NULL);
	pseudo_count(pseudo, &counts);
	assert_int_equal(counts.in_use, 0);
	assert_int_equal(counts.assignments, 700);
}

/* The journal. */

static void journal_keeps_what_is_not_done(void **state)
{
	struct pseudo_journal journal;
	struct pseudo_record record = { .length = 128 }, read[8];

	(void)state;
	assert_int_equal(pseudo_journal_open(&journal, journal_path, &err), 0);
	for (uint32_t i = 1; i <= 5; i++) {
		record.pseudo = i;
		assert_int_equal(pseudo_journal_write(&journal, &record), 0);
	}
	pseudo_journal_done(&journal, 2);
	pseudo_journal_close(&journal);
	assert_int_equal(pseudo_journal_open(&journal, journal_path, &err), 0);
	assert_int_equal(pseudo_journal_read(&journal, read, COUNT_OF(read)), 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(read[i].pseudo, i + 3);
	pseudo_journal_close(&journal);
}

static void journal_that_is_full_says_so(void **state)
{
	struct pseudo_journal journal;
	struct pseudo_record record = { .pseudo = 1 };

	(void)state;
	assert_int_equal(pseudo_journal_open(&journal, journal_path, &err), 0);
	for (uint32_t i = 0; i < PSEUDO_JOURNAL_ROOM; i++)
		assert_int_equal(pseudo_journal_write(&journal, &record), 0);
	assert_int_equal(pseudo_journal_write(&journal, &record), -EAGAIN);
	pseudo_journal_done(&journal, 1);
	assert_int_equal(pseudo_journal_write(&journal, &record), 0);
	pseudo_journal_close(&journal);
}

/* As after a power cut in the middle of one. */
static void torn_record_ends_the_journal(void **state)
{
	struct pseudo_journal journal;
	struct pseudo_record record = { .pseudo = 1 }, read[8];
	int fd;

	(void)state;
	assert_int_equal(pseudo_journal_open(&journal, journal_path, &err), 0);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(pseudo_journal_write(&journal, &record), 0);
	pseudo_journal_close(&journal);
	fd = open(journal_path, O_WRONLY);
	assert_int_equal(pwrite(fd, "x", 1, 4096 + 2 * 64 + 20), 1);
	close(fd);
	assert_int_equal(pseudo_journal_open(&journal, journal_path, &err), 0);
	assert_int_equal(pseudo_journal_waiting(&journal), 2);
	record.pseudo = 2;
	assert_int_equal(pseudo_journal_write(&journal, &record), 0);
	assert_int_equal(pseudo_journal_waiting(&journal), 3);
	pseudo_journal_close(&journal);
	/* those that stood behind it, whole, do not come back */
	assert_int_equal(pseudo_journal_open(&journal, journal_path, &err), 0);
	assert_int_equal(pseudo_journal_read(&journal, read, COUNT_OF(read)), 3);
	assert_int_equal(read[1].pseudo, 1);
	assert_int_equal(read[2].pseudo, 2);
	pseudo_journal_close(&journal);
}

/* As where its making was ended midway. */
static void journal_that_was_only_begun_is_made(void **state)
{
	static const off_t sizes[] = { 0, 1, 4096, 1000000 };
	struct pseudo_journal journal;
	struct pseudo_record record = { .pseudo = 1 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		int fd = open(journal_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		assert_int_equal(ftruncate(fd, sizes[i]), 0);
		close(fd);
		assert_int_equal(pseudo_journal_open(&journal, journal_path, &err), 0);
		assert_int_equal(pseudo_journal_write(&journal, &record), 0);
		pseudo_journal_close(&journal);
	}
}

int main(void)
{
#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_STORE(assignments_survive_a_restart),
		WITH_STORE(what_was_given_survives_a_kill),
		WITH_STORE(past_is_known),
		WITH_STORE(full_pool_refuses_and_takes_from_nobody),
		WITH_STORE(another_pool_begins_anew_and_remembers),
		WITH_STORE(networks_of_another_length_are_remembered),
		WITH_STORE(clock_that_is_set_back_keeps_the_order),
		WITH_STORE(clock_that_was_wrong_by_far_is_believed_when_set),
		WITH_STORE(history_has_an_end),
		WITH_STORE(private_one_leaves_nothing),
		WITH_STORE(what_is_no_store_is_refused_and_kept),
		WITH_STORE(nobody_else_can_read_it),
		WITH_STORE(hundred_thousand_clients_have_room),
		WITH_STORE(threads_do_not_disturb_each_other),
		WITH_STORE(journal_keeps_what_is_not_done),
		WITH_STORE(journal_that_is_full_says_so),
		WITH_STORE(torn_record_ends_the_journal),
		WITH_STORE(journal_that_was_only_begun_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
