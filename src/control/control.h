/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon is asked and told: its rules, whoever changes them, and all that it has to show.
 *
 * Ports and sessions belong to the thread of the loop (publish/publisher.h). HTTP is spoken on
 * threads of its own (control/server.h), which have the loop's thread do what they were asked for
 * (control_call()), in pieces that keep the sessions' data waiting for a millisecond or so; what
 * they have been given copies of, they turn into text by themselves.
 */
#ifndef FAIRLEAD_CONTROL_CONTROL_H
#define FAIRLEAD_CONTROL_CONTROL_H

#include <time.h>

#include "api/config.h"
#include "control/events.h"
#include "control/history.h"
#include "identity/identities.h"
#include "loop/mailbox.h"
#include "publish/publisher.h"

struct access_log;
struct kernel_path;
struct rules;

struct control {
	struct loop *loop;
	struct publisher *publisher;
	struct mailbox mailbox;
	struct events events;
	struct history history;
	struct identities *identities;
	struct kernel_path *kernel_path;
	struct rules *rules; /* the loop's thread's own */
	struct access_log *access_log;
	const char *version, *commit;
	const char *config_path;
	struct config config;	 /* as it is in force; the loop's thread's own */
	struct timespec started; /* wall-clock time */
	uint64_t started_ns;
	bool ends; /* connections are not accepted any more, and sessions have some time left */
	_Atomic uint64_t log_dropped; /* lines of the access log that were left out */
};

/*
 * config is moved. What else there is to be told of the program, and `rules`, the caller sets.
 * Returns 0 or -errno.
 */
int control_init(struct control *control, struct loop *loop, struct publisher *publisher,
		 struct config *config);
void control_fini(struct control *control);

/* From any other thread: calls it on the loop's thread, and waits until it has been called. */
void control_call(struct control *control, void (*call)(void *context), void *context);

#endif
