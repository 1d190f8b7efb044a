/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"

static void mailbox_event(void *context, struct loop_ref ref, uint32_t events)
{
	struct mailbox *mailbox = context;
	eventfd_t ignored;

	(void)ref;
	(void)events;
	(void)eventfd_read(mailbox->event_fd, &ignored);
	mailbox_receive(mailbox);
}

int mailbox_init(struct mailbox *mailbox, struct loop *loop)
{
	struct loop_ref ref = { .generation = 0 };
	int r;

	mailbox->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (mailbox->event_fd < 0)
		return -errno;
	ref.kind = loop_add_kind(loop, mailbox_event, mailbox);
	r = loop_watch(loop, mailbox->event_fd, EPOLLIN, ref);
	if (r < 0) {
		fd_close(&mailbox->event_fd);
		return r;
	}
	pthread_mutex_init(&mailbox->mutex, NULL);
	pthread_cond_init(&mailbox->changed, NULL);
	mailbox->first = mailbox->count = 0;
	return 0;
}

void mailbox_fini(struct mailbox *mailbox)
{
	fd_close(&mailbox->event_fd);
	pthread_mutex_destroy(&mailbox->mutex);
	pthread_cond_destroy(&mailbox->changed);
}

/* With the mutex held, and room. One wake is enough for all that is received in one go. */
static void put(struct mailbox *mailbox, mailbox_fn *receive, void *context, const void *bytes,
		size_t length)
{
	uint32_t place = (mailbox->first + mailbox->count) % MAILBOX_MESSAGES_MAX;
	struct mailbox_message *message = &mailbox->messages[place];

	message->receive = receive;
	message->context = context;
	if (length > 0)
		memcpy(message->bytes, bytes, length);
	if (mailbox->count++ == 0)
		(void)eventfd_write(mailbox->event_fd, 1);
}

bool mailbox_post(struct mailbox *mailbox, mailbox_fn *receive, void *context, const void *message,
		  size_t bytes)
{
	bool room;

	assert(bytes <= MAILBOX_BYTES_MAX);
	pthread_mutex_lock(&mailbox->mutex);
	room = mailbox->count < MAILBOX_MESSAGES_MAX;
	if (room)
		put(mailbox, receive, context, message, bytes);
	pthread_mutex_unlock(&mailbox->mutex);
	return room;
}

struct call {
	struct mailbox *mailbox;
	mailbox_fn *receive;
	void *context;
	bool done; /* of the mailbox's mutex */
};

static void answer_call(void *context, const void *message)
{
	struct call *call = context;
	struct mailbox *mailbox = call->mailbox;

	call->receive(call->context, message);
	pthread_mutex_lock(&mailbox->mutex);
	call->done = true; /* from here on, the caller may be gone at any time */
	pthread_cond_broadcast(&mailbox->changed);
	pthread_mutex_unlock(&mailbox->mutex);
}

void mailbox_call(struct mailbox *mailbox, mailbox_fn *receive, void *context)
{
	struct call call = { .mailbox = mailbox, .receive = receive, .context = context };

	pthread_mutex_lock(&mailbox->mutex);
	while (mailbox->count == MAILBOX_MESSAGES_MAX)
		pthread_cond_wait(&mailbox->changed, &mailbox->mutex);
	put(mailbox, answer_call, &call, NULL, 0);
	while (!call.done)
		pthread_cond_wait(&mailbox->changed, &mailbox->mutex);
	pthread_mutex_unlock(&mailbox->mutex);
}

/* False: there is none. */
static bool take(struct mailbox *mailbox, struct mailbox_message *ret)
{
	bool some;

	pthread_mutex_lock(&mailbox->mutex);
	some = mailbox->count > 0;
	if (some) {
		*ret = mailbox->messages[mailbox->first];
		mailbox->first = (mailbox->first + 1) % MAILBOX_MESSAGES_MAX;
		if (mailbox->count-- == MAILBOX_MESSAGES_MAX)
			pthread_cond_broadcast(&mailbox->changed);
	}
	pthread_mutex_unlock(&mailbox->mutex);
	return some;
}

static uint32_t waiting(struct mailbox *mailbox)
{
	uint32_t count;

	pthread_mutex_lock(&mailbox->mutex);
	count = mailbox->count;
	pthread_mutex_unlock(&mailbox->mutex);
	return count;
}

/*
 * Those that are there now. One who calls again and again comes once in each turn, and what else
 * there is to do does not wait for him.
 */
void mailbox_receive(struct mailbox *mailbox)
{
	struct mailbox_message message;

	for (uint32_t i = waiting(mailbox); i > 0 && take(mailbox, &message); i--)
		message.receive(message.context, message.bytes);
	if (waiting(mailbox) > 0)
		(void)eventfd_write(mailbox->event_fd, 1); /* look again in the next turn */
}
