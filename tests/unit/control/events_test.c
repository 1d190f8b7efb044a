/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdlib.h>

#include "control/events.h"

static struct events events;
static struct events_subscriber subscriber;
static int woken;

static void wake(void *context)
{
	assert_ptr_equal(context, &subscriber);
	woken++;
}

static int setup(void **state)
{
	(void)state;
	woken = 0;
	events_init(&events);
	events_subscribe(&events, &subscriber, EVENT_RULE | EVENT_SESSION, wake, &subscriber);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	events_unsubscribe(&subscriber);
	events_fini(&events);
	return 0;
}

static void tell(unsigned int number)
{
	events_tell(&events, EVENT_RULE, "add", json_pack("{s:i}", "number", (int)number));
}

static json_t *take(void)
{
	char *line = events_take(&subscriber);
	json_t *event;

	assert_non_null(line);
	assert_int_equal(line[strlen(line) - 1], '\n');
	event = json_loads(line, 0, NULL);
	assert_non_null(event);
	free(line);
	return event;
}

static void assert_takes_number(int number)
{
	json_t *event = take();

	assert_int_equal(json_integer_value(json_object_get(event, "number")), number);
	assert_string_equal(json_string_value(json_object_get(event, "type")), "rule");
	assert_string_equal(json_string_value(json_object_get(event, "action")), "add");
	json_decref(event);
}

static void events_come_in_their_order(void **state)
{
	(void)state;
	assert_null(events_take(&subscriber));
	tell(1);
	tell(2);
	assert_int_equal(woken, 1); /* the queue was empty once */
	assert_takes_number(1);
	assert_takes_number(2);
	assert_null(events_take(&subscriber));
	tell(3);
	assert_int_equal(woken, 2);
	assert_takes_number(3);
}

static void other_types_are_not_told(void **state)
{
	(void)state;
	assert_true(events_are_wanted(&events, EVENT_RULE));
	assert_true(events_are_wanted(&events, EVENT_SESSION));
	assert_false(events_are_wanted(&events, EVENT_DAEMON));
	events_tell(&events, EVENT_DAEMON, "reload", NULL);
	assert_null(events_take(&subscriber));
	assert_int_equal(woken, 0);
}

static void slow_one_loses_the_oldest_and_is_told_how_many(void **state)
{
	json_t *event;

	(void)state;
	for (unsigned int i = 0; i < EVENTS_QUEUED_MAX + 10; i++)
		tell(i);
	event = take();
	assert_string_equal(json_string_value(json_object_get(event, "action")), "events-lost");
	assert_int_equal(json_integer_value(json_object_get(event, "count")), 10);
	json_decref(event);
	assert_takes_number(10);
}

static void nobody_is_told_who_has_gone(void **state)
{
	struct events_subscriber *other = calloc(1, sizeof(*other));

	(void)state;
	events_subscribe(&events, other, EVENT_DAEMON, wake, &subscriber);
	assert_true(events_are_wanted(&events, EVENT_DAEMON));
	events_tell(&events, EVENT_DAEMON, "reload", NULL);
	events_unsubscribe(other); /* with one in its queue */
	assert_false(events_are_wanted(&events, EVENT_DAEMON));
	free(other);
}

int main(void)
{
#define SUBSCRIBED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		SUBSCRIBED(events_come_in_their_order),
		SUBSCRIBED(other_types_are_not_told),
		SUBSCRIBED(slow_one_loses_the_oldest_and_is_told_how_many),
		SUBSCRIBED(nobody_is_told_who_has_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
