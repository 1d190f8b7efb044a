/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens in the daemon, for those who want to be told as it happens.
 *
 * An event is one line of JSON. Each subscriber has a queue of its own, which is bounded: who is
 * too slow loses the oldest, and is told how many. Any thread may tell; a subscriber is woken by a
 * function of its own.
 */
#ifndef FAIRLEAD_CONTROL_EVENTS_H
#define FAIRLEAD_CONTROL_EVENTS_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"

enum event_type {
	EVENT_RULE = 1 << 0,	/* added, changed, removed */
	EVENT_DAEMON = 1 << 1,	/* reloaded, ends */
	EVENT_SESSION = 1 << 2, /* ended; only to those who ask for it */
};

#define EVENT_TYPES_USUAL (EVENT_RULE | EVENT_DAEMON)

/* As many as a burst of a reload may bring. */
#define EVENTS_QUEUED_MAX 4096

struct events {
	pthread_mutex_t mutex;
	struct list subscribers;
	_Atomic unsigned int wanted; /* types that somebody wants */
};

struct events_subscriber {
	struct list node;
	struct events *events;
	unsigned int types;
	char *lines[EVENTS_QUEUED_MAX];
	size_t first, count;
	size_t lost;
	void (*wake)(void *context);
	void *context;
};

void events_init(struct events *events);
void events_fini(struct events *events);

/* Whether anybody wants to be told of that: whoever tells may save the work. */
bool events_are_wanted(const struct events *events, enum event_type type);

/*
 * Tells all who want it: an object whose "time", "type" and "action" are added. Takes the reference
 * to `about`, which may be NULL.
 */
void events_tell(struct events *events, enum event_type type, const char *action, json_t *about);

/* Begins to collect. `wake` is called, on any thread, when a line comes to an empty queue. */
void events_subscribe(struct events *events, struct events_subscriber *subscriber,
		      unsigned int types, void (*wake)(void *context), void *context);
void events_unsubscribe(struct events_subscriber *subscriber);

/* The next line, with its line feed, which the caller frees; NULL if there is none. */
char *events_take(struct events_subscriber *subscriber);

#endif
