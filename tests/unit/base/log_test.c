/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where messages go and what they look like. The sockets of journald and syslog are made in a mount
 * namespace of our own, for which root is needed.
 */
#include "support.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "base/log.h"

#define JOURNAL "/run/systemd/journal/socket"
#define SYSLOG "/dev/log"

static int output;

/* Standard error becomes a pipe that we read. */
static int setup(void **state)
{
	(void)state;
	output = capture_stderr();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_open(LOG_TARGET_OFF, "");
	release_stderr();
	return 0;
}

static void assert_written(const char *text)
{
	char buffer[1024];
	ssize_t got = read(output, buffer, sizeof(buffer) - 1);

	assert_true(got > 0);
	buffer[got] = '\0';
	assert_string_equal(buffer, text);
}

static void assert_nothing_written(void)
{
	char byte;

	assert_int_equal(read(output, &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);
}

static void bind_to_null(void)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	assert_true(null >= 0);
	assert_int_equal(dup2(null, STDERR_FILENO), STDERR_FILENO);
	close(null);
}

static void message_is_one_line_after_the_identifier(void **state)
{
	(void)state;
	log_open(LOG_TARGET_STDERR, "proxy");
	log_write(LOG_LEVEL_WARNING, "port %d is busy", 80);
	assert_written("proxy: port 80 is busy\n");
}

static void newline_in_a_message_forges_no_line(void **state)
{
	(void)state;
	log_open(LOG_TARGET_STDERR, "proxy");
	log_write(LOG_LEVEL_ERROR, "%s", "first\nPRIORITY=0\n");
	assert_written("proxy: first PRIORITY=0 \n");
}

static void long_message_is_cut(void **state)
{
	char longer[2000], buffer[2000];
	ssize_t got;

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	log_open(LOG_TARGET_STDERR, "proxy");
	log_write(LOG_LEVEL_INFO, "%s", longer);
	got = read(output, buffer, sizeof(buffer));
	assert_int_equal(got, strlen("proxy: ") + 511 + 1);
	assert_int_equal(buffer[got - 1], '\n');
}

static void off_is_silent(void **state)
{
	(void)state;
	log_open(LOG_TARGET_OFF, "proxy");
	log_write(LOG_LEVEL_ERROR, "nobody reads this");
	assert_nothing_written();
}

static void automatic_target_is_a_usable_stderr(void **state)
{
	(void)state;
	log_open(LOG_TARGET_AUTO, "proxy");
	log_write(LOG_LEVEL_NOTICE, "here");
	assert_written("proxy: here\n");
}

/* A receiver, as journald or syslogd is. */
static int receiver(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	(void)unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void receiver_close(int fd, const char *path)
{
	close(fd);
	(void)unlink(path);
}

static void null_stderr_leads_to_the_journal(void **state)
{
	int journal = receiver(JOURNAL);

	(void)state;
	bind_to_null();
	log_open(LOG_TARGET_AUTO, "proxy");
	log_write(LOG_LEVEL_WARNING, "lost?\nPRIORITY=0");
	assert_receives(journal, "PRIORITY=4\nSYSLOG_IDENTIFIER=proxy\nMESSAGE=lost? PRIORITY=0\n");
	receiver_close(journal, JOURNAL);
}

static void without_a_journal_it_leads_to_syslog(void **state)
{
	int syslog = receiver(SYSLOG);
	char expected[64];

	(void)state;
	bind_to_null();
	log_open(LOG_TARGET_AUTO, "proxy");
	log_write(LOG_LEVEL_ERROR, "lost?");
	(void)snprintf(expected, sizeof(expected), "<27>proxy[%d]: lost?", (int)getpid());
	assert_receives(syslog, expected);
	receiver_close(syslog, SYSLOG);
}

/* journald closes its socket and makes a new one when it is restarted. */
static void restarted_journal_is_found_again(void **state)
{
	int journal = receiver(JOURNAL);

	(void)state;
	log_open(LOG_TARGET_JOURNAL, "proxy");
	log_write(LOG_LEVEL_INFO, "before");
	receiver_close(journal, JOURNAL);
	journal = receiver(JOURNAL);
	log_write(LOG_LEVEL_INFO, "at once");
	assert_receives(journal, "PRIORITY=6\nSYSLOG_IDENTIFIER=proxy\nMESSAGE=at once\n");

	receiver_close(journal, JOURNAL);
	log_write(LOG_LEVEL_INFO, "meanwhile"); /* lost, and nothing more */
	journal = receiver(JOURNAL);
	log_write(LOG_LEVEL_INFO, "after");
	assert_receives(journal, "PRIORITY=6\nSYSLOG_IDENTIFIER=proxy\nMESSAGE=after\n");
	receiver_close(journal, JOURNAL);
}

/* A journal that does not read its messages loses them and holds nobody up. */
static void full_journal_does_not_block(void **state)
{
	int journal = receiver(JOURNAL);

	(void)state;
	log_open(LOG_TARGET_JOURNAL, "proxy");
	for (int i = 0; i < 5000; i++)
		log_write(LOG_LEVEL_INFO, "message %d", i);
	assert_receives(journal, "PRIORITY=6\nSYSLOG_IDENTIFIER=proxy\nMESSAGE=message 0\n");
	receiver_close(journal, JOURNAL);
}

/* /run and /dev of our own, with /dev/null in the latter. */
static bool enter_own_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", "/run", "tmpfs", 0, NULL) == 0 && mkdir("/run/systemd", 0755) == 0 &&
	       mkdir("/run/systemd/journal", 0755) == 0 &&
	       mount("none", "/dev", "tmpfs", 0, NULL) == 0 &&
	       mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)) == 0;
}

int main(void)
{
#define WITH_STDERR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_STDERR(message_is_one_line_after_the_identifier),
		WITH_STDERR(newline_in_a_message_forges_no_line),
		WITH_STDERR(long_message_is_cut),
		WITH_STDERR(off_is_silent),
		WITH_STDERR(automatic_target_is_a_usable_stderr),
		WITH_STDERR(null_stderr_leads_to_the_journal),
		WITH_STDERR(without_a_journal_it_leads_to_syslog),
		WITH_STDERR(restarted_journal_is_found_again),
		WITH_STDERR(full_journal_does_not_block),
	};

	if (!enter_own_mounts())
		return skip_all("needs a mount namespace of its own, for the sockets of the log");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
