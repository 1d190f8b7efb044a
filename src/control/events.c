/* SPDX-License-Identifier: Apache-2.0 */
#include "control/events.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timestamp.h"
#include "control/shown.h"

static const char *type_name(enum event_type type)
{
	switch (type) {
	case EVENT_RULE:
		return "rule";
	case EVENT_DAEMON:
		return "daemon";
	default:
		return "session";
	}
}

void events_init(struct events *events)
{
	pthread_mutex_init(&events->mutex, NULL);
	list_init(&events->subscribers);
	events->wanted = 0;
}

void events_fini(struct events *events)
{
	pthread_mutex_destroy(&events->mutex);
}

bool events_are_wanted(const struct events *events, enum event_type type)
{
	return atomic_load_explicit(&events->wanted, memory_order_relaxed) & type;
}

/* With the mutex held. */
static void put(struct events_subscriber *subscriber, const char *line)
{
	size_t place = (subscriber->first + subscriber->count) % EVENTS_QUEUED_MAX;
	char *copy = strdup(line);

	if (!copy) {
		subscriber->lost++;
		return;
	}
	if (subscriber->count == EVENTS_QUEUED_MAX) {
		free(subscriber->lines[subscriber->first]);
		subscriber->first = (subscriber->first + 1) % EVENTS_QUEUED_MAX;
		subscriber->count--;
		subscriber->lost++;
	}
	subscriber->lines[place] = copy;
	if (subscriber->count++ == 0)
		subscriber->wake(subscriber->context);
}

static void put_to_all(struct events *events, enum event_type type, const char *line)
{
	pthread_mutex_lock(&events->mutex);
	for (struct list *node = events->subscribers.next; node != &events->subscribers;
	     node = node->next) {
		struct events_subscriber *subscriber = container_of(node, struct events_subscriber,
								    node);

		if (subscriber->types & type)
			put(subscriber, line);
	}
	pthread_mutex_unlock(&events->mutex);
}

/* {"time": ..., "type": ..., "action": ..., and what it is about}, with a line feed. */
static char *make_line(enum event_type type, const char *action, json_t *about)
{
	char time[TIMESTAMP_MAX];
	json_t *event = json_pack("{s:s, s:s, s:s}", "time", timestamp_now(time), "type",
				  type_name(type), "action", action);
	char *text = NULL, *line = NULL;

	if (event && (!about || json_object_update(event, about) == 0))
		text = json_dumps(event, SHOWN_FLAGS);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	json_decref(event);
	return line;
}

void events_tell(struct events *events, enum event_type type, const char *action, json_t *about)
{
	char *line = events_are_wanted(events, type) ? make_line(type, action, about) : NULL;

	json_decref(about);
	if (line)
		put_to_all(events, type, line);
	free(line);
}

/* With the mutex held. */
static void sum_up_wanted(struct events *events)
{
	unsigned int wanted = 0;

	for (struct list *node = events->subscribers.next; node != &events->subscribers;
	     node = node->next)
		wanted |= container_of(node, struct events_subscriber, node)->types;
	events->wanted = wanted;
}

void events_subscribe(struct events *events, struct events_subscriber *subscriber,
		      unsigned int types, void (*wake)(void *context), void *context)
{
	subscriber->events = events;
	subscriber->types = types;
	subscriber->first = subscriber->count = subscriber->lost = 0;
	subscriber->wake = wake;
	subscriber->context = context;
	pthread_mutex_lock(&events->mutex);
	list_append(&events->subscribers, &subscriber->node);
	sum_up_wanted(events);
	pthread_mutex_unlock(&events->mutex);
}

void events_unsubscribe(struct events_subscriber *subscriber)
{
	struct events *events = subscriber->events;

	pthread_mutex_lock(&events->mutex);
	list_remove(&subscriber->node);
	sum_up_wanted(events);
	for (; subscriber->count > 0; subscriber->count--) {
		free(subscriber->lines[subscriber->first]);
		subscriber->first = (subscriber->first + 1) % EVENTS_QUEUED_MAX;
	}
	pthread_mutex_unlock(&events->mutex);
}

static char *lost_line(size_t lost)
{
	json_t *about = json_pack("{s:I}", "count", (json_int_t)lost);
	char *line = make_line(EVENT_DAEMON, "events-lost", about);

	json_decref(about);
	return line;
}

char *events_take(struct events_subscriber *subscriber)
{
	char *line = NULL;

	pthread_mutex_lock(&subscriber->events->mutex);
	if (subscriber->lost > 0) {
		line = lost_line(subscriber->lost);
		subscriber->lost = 0;
	} else if (subscriber->count > 0) {
		line = subscriber->lines[subscriber->first];
		subscriber->first = (subscriber->first + 1) % EVENTS_QUEUED_MAX;
		subscriber->count--;
	}
	pthread_mutex_unlock(&subscriber->events->mutex);
	return line;
}
