/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdio.h>
#include <sys/stat.h>

#include "api/drop_in.h"

static int pair[2];
static struct rule rule;

static int setup(void **state)
{
	(void)state;
	rule = (struct rule){ .protocol = PROTOCOL_UDP,
			      .origin = RULE_FROM_DROP_IN,
			      .host = address_of("2001:db8::2", 53),
			      .container = address_of("172.17.0.2", 5353) };
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair);
}

static int teardown(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static void offer_arrives_with_its_socket(void **state)
{
	struct address address;
	struct stat sent, got;
	int listener = listen_on(PROTOCOL_UDP, "127.0.0.1", &address), received = -1;
	struct rule offered;

	(void)state;
	assert_int_equal(drop_in_offer(pair[0], &rule, listener), 0);
	assert_int_equal(drop_in_receive_offer(pair[1], &offered, &received), 0);
	assert_int_equal(rule_compare_keys(&rule, &offered), 0);
	assert_true(rule_same_effect(&rule, &offered));
	assert_int_equal(offered.origin, RULE_FROM_DROP_IN);
	assert_int_equal(fstat(listener, &sent), 0);
	assert_int_equal(fstat(received, &got), 0);
	assert_true(sent.st_ino == got.st_ino);
	close(listener);
	close(received);
}

static void answer_arrives(void **state)
{
	struct drop_in_answer answer = { .accepted = false, .holds = true }, received;

	(void)state;
	(void)snprintf(answer.reason, sizeof(answer.reason), "there is no room");
	assert_int_equal(drop_in_receive_answer(pair[0], &received), -EAGAIN);
	assert_int_equal(drop_in_answer(pair[1], &answer), 0);
	assert_int_equal(drop_in_receive_answer(pair[0], &received), 0);
	assert_false(received.accepted);
	assert_true(received.holds);
	assert_string_equal(received.reason, "there is no room");
}

static void end_is_told_to_both(void **state)
{
	struct drop_in_answer answer;
	struct rule offered;
	int received;

	(void)state;
	assert_int_equal(drop_in_receive_offer(pair[1], &offered, &received), -EAGAIN);
	assert_int_equal(shutdown(pair[0], SHUT_RDWR), 0);
	assert_int_equal(drop_in_receive_offer(pair[1], &offered, &received), -ECONNRESET);
	assert_int_equal(drop_in_receive_answer(pair[0], &answer), -ECONNRESET);
}

static void other_messages_are_refused(void **state)
{
	struct drop_in_answer answer;
	struct rule offered;
	int received = -1;

	(void)state;
	assert_int_equal(send(pair[0], "hello", 5, 0), 5);
	assert_int_equal(drop_in_receive_offer(pair[1], &offered, &received), -EBADMSG);
	assert_int_equal(received, -1);
	assert_int_equal(send(pair[1], "hello", 5, 0), 5);
	assert_int_equal(drop_in_receive_answer(pair[0], &answer), -EBADMSG);
}

static void daemon_that_is_not_there_is_told_at_once(void **state)
{
	(void)state;
	assert_int_equal(drop_in_connect("/nowhere/drop-in.sock"), -ENOENT);
}

int main(void)
{
#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_PAIR(offer_arrives_with_its_socket),
		WITH_PAIR(answer_arrives),
		WITH_PAIR(end_is_told_to_both),
		WITH_PAIR(other_messages_are_refused),
		cmocka_unit_test(daemon_that_is_not_there_is_told_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
