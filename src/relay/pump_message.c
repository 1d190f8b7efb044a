/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pump for messages (SCTP, one-to-one sockets).
 *
 * Theory of operation. A message is passed on as one, with the stream, the PPID and the order it
 * came with. The kernel takes a message only whole, but gives one that is larger than its receive
 * window in parts (partial delivery, RFC 6458 section 5.1, MSG_EOR). They are collected until the
 * last one has come; while some are missing the pump is idle, with a rest held.
 *
 * What is longer than SCTP_MESSAGE_BYTES_MAX is passed on in several messages of that length: a
 * bound on the memory of a session, far above what standard senders can send at all. No byte of it
 * is lost, though the order of its parts is, if its sender asked for none.
 *
 * SCTP has no half-closed state. A sink that has ended in order takes no more (EPIPE), and what
 * still comes for it is read and dropped, as the source's own kernel would drop it had the two
 * been directly connected. An abort is an error.
 */
#include <errno.h>
#include <sys/mman.h>

#include "net/sctp.h"
#include "relay/pump.h"

/* Messages of one run at most: small ones are far from its budget in bytes. */
#define RUN_MESSAGES_MAX 64

/* A message on its way, in memory of its own: too large for the stack, and not often needed at the
 * same time. */
struct pump_message {
	struct sctp_attributes attributes;
	uint32_t length;
	bool complete;
	uint8_t bytes[SCTP_MESSAGE_BYTES_MAX];
};

static struct pump_message *take_message(struct pump_resources *resources)
{
	struct pump_message *message = resources->spare_message;

	if (message) {
		resources->spare_message = NULL;
		return message;
	}
	/* straight from the kernel: pages that no message reaches cost nothing */
	message = mmap(NULL, sizeof(*message), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	return message == MAP_FAILED ? NULL : message;
}

static void free_message(struct pump_message *message)
{
	(void)munmap(message, sizeof(*message));
}

/* One is kept, for the pump that runs next. */
static void give_message(struct pump_resources *resources, struct pump_message *message)
{
	message->length = 0;
	message->complete = false;
	if (resources->spare_message)
		free_message(message);
	else
		resources->spare_message = message;
}

void pump_message_trim(struct pump_resources *resources)
{
	if (resources->spare_message)
		free_message(resources->spare_message);
	resources->spare_message = NULL;
}

/* Reads until the message is complete: then PUMP_MORE. */
static enum pump_result collect(struct pump *pump, struct pump_message *message,
				struct pump_ends *ends)
{
	while (!message->complete) {
		bool complete = false;
		ssize_t got = sctp_receive(ends->source, message->bytes + message->length,
					   sizeof(message->bytes) - message->length,
					   &message->attributes, &complete);

		if (got == -EAGAIN)
			return PUMP_IDLE;
		if (got == 0 && message->length == 0)
			return PUMP_END;
		if (got <= 0) {
			/* an end within a message is none in order */
			ends->error = got < 0 ? (int)-got : ECONNRESET;
			return PUMP_SOURCE_ERROR;
		}
		message->length += (uint32_t)got;
		message->complete = complete || message->length == sizeof(message->bytes);
		pump->held_bytes = message->length;
	}
	return PUMP_MORE;
}

/* Sends the complete message: then PUMP_MORE. */
static enum pump_result pass_on(struct pump *pump, struct pump_message *message,
				struct pump_ends *ends)
{
	int r = sctp_send(ends->sink, message->bytes, message->length, &message->attributes);

	if (r == -EAGAIN)
		return PUMP_BLOCKED;
	if (r == -EINVAL || r == -EMSGSIZE) {
		/* the sink is well: the source used a stream or a length that it does not have */
		ends->error = -r;
		return PUMP_SOURCE_ERROR;
	}
	if (r < 0 && r != -EPIPE && r != -ESHUTDOWN) {
		ends->error = -r;
		return PUMP_SINK_ERROR;
	}
	if (r == 0)
		pump->moved_bytes += message->length;
	message->length = 0;
	message->complete = false;
	pump->held_bytes = 0;
	return PUMP_MORE;
}

static void release(struct pump *pump, struct pump_resources *resources)
{
	if (pump->held)
		give_message(resources, pump->held);
	pump->held = NULL;
	pump->held_bytes = 0;
}

static enum pump_result run(struct pump *pump, struct pump_resources *resources,
			    struct pump_ends *ends)
{
	uint64_t limit = pump->moved_bytes + PUMP_BUDGET_BYTES;
	enum pump_result result = PUMP_MORE;

	if (!pump->held)
		pump->held = take_message(resources);
	if (!pump->held) {
		ends->error = ENOMEM;
		return PUMP_SINK_ERROR;
	}
	for (int i = 0; i < RUN_MESSAGES_MAX && result == PUMP_MORE && pump->moved_bytes < limit;
	     i++) {
		result = collect(pump, pump->held, ends);
		if (result == PUMP_MORE)
			result = pass_on(pump, pump->held, ends);
	}
	if (pump->held_bytes == 0)
		release(pump, resources);
	return result;
}

const struct pump_ops pump_message_ops = { .run = run, .release = release };
