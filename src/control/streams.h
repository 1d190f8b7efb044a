/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of events, to clients of one HTTP server.
 *
 * A stream is a response whose reader finds nothing most of the time: it suspends its connection,
 * and the subscriber's wake function resumes it.
 */
#ifndef FAIRLEAD_CONTROL_STREAMS_H
#define FAIRLEAD_CONTROL_STREAMS_H

#include <microhttpd.h>
#include <pthread.h>

#include "base/list.h"
#include "control/events.h"

struct streams {
	struct events *events;
	pthread_mutex_t mutex; /* of what follows, and of which are suspended */
	struct list open;
	bool ending;
};

void streams_init(struct streams *streams, struct events *events);

/* All have ended. */
void streams_fini(struct streams *streams);

/* A response with events of these types, from now on; it ends itself. NULL without memory. */
struct MHD_Response *streams_open(struct streams *streams, struct MHD_Connection *connection,
				  unsigned int types);

/* Has all of them end, and those that are still to be opened: a connection that sleeps cannot be. */
void streams_end(struct streams *streams);

#endif
