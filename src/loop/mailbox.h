/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to the thread of a loop.
 *
 * Whatever belongs to a loop is touched by that loop's thread alone. Another thread that wants
 * something of it posts a function and its argument, and the loop's thread calls it in its next
 * turn. Messages are copied, arrive in the order in which they were posted, and their number is
 * bounded: who finds no room does the work himself, or leaves it.
 */
#ifndef FAIRLEAD_LOOP_MAILBOX_H
#define FAIRLEAD_LOOP_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"

/* Of one message. */
#define MAILBOX_BYTES_MAX 400

/* A turn of a busy thread takes a millisecond or so: what others think of meanwhile must fit. */
#define MAILBOX_MESSAGES_MAX 128

/* Called on the loop's thread; the message is the copy, which ends with the call. */
typedef void mailbox_fn(void *context, const void *message);

struct mailbox_message {
	mailbox_fn *receive;
	void *context;
	_Alignas(max_align_t) uint8_t bytes[MAILBOX_BYTES_MAX];
};

struct mailbox {
	int event_fd;
	pthread_mutex_t mutex; /* of all below */
	pthread_cond_t changed;
	uint32_t first, count;
	struct mailbox_message messages[MAILBOX_MESSAGES_MAX];
};

/* Returns 0 or -errno. Does not move afterwards. */
int mailbox_init(struct mailbox *mailbox, struct loop *loop);
void mailbox_fini(struct mailbox *mailbox);

/* From any thread: copies the message. Returns false where there is no room. */
bool mailbox_post(struct mailbox *mailbox, mailbox_fn *receive, void *context, const void *message,
		  size_t bytes);

/*
 * From any thread but the loop's own, which must be running: returns when `receive` has been called
 * (with no message), and all that was posted before.
 */
void mailbox_call(struct mailbox *mailbox, mailbox_fn *receive, void *context);

/* On the loop's own thread: receives what has been posted so far, without waiting for the turn. */
void mailbox_receive(struct mailbox *mailbox);

#endif
