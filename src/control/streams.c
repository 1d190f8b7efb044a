/* SPDX-License-Identifier: Apache-2.0 */
#include "control/streams.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 16384

struct stream {
	struct list node; /* on streams.open */
	struct streams *streams;
	struct MHD_Connection *connection;
	struct events_subscriber subscriber;
	bool suspended;
	char *line; /* what is left of the one that is being sent */
	size_t sent;
};

void streams_init(struct streams *streams, struct events *events)
{
	streams->events = events;
	pthread_mutex_init(&streams->mutex, NULL);
	list_init(&streams->open);
	streams->ending = false;
}

void streams_fini(struct streams *streams)
{
	pthread_mutex_destroy(&streams->mutex);
}

/* With the mutex held. */
static void resume(struct stream *stream)
{
	if (stream->suspended)
		MHD_resume_connection(stream->connection);
	stream->suspended = false;
}

static void wake(void *context)
{
	struct stream *stream = context;

	pthread_mutex_lock(&stream->streams->mutex);
	resume(stream);
	pthread_mutex_unlock(&stream->streams->mutex);
}

/* Nothing is there: the connection sleeps, unless something has come meanwhile, or all is ending. */
static ssize_t wait_for_line(struct stream *stream)
{
	struct streams *streams = stream->streams;
	ssize_t result = 0;

	pthread_mutex_lock(&streams->mutex);
	if (streams->ending) {
		result = MHD_CONTENT_READER_END_OF_STREAM;
	} else {
		stream->suspended = true;
		MHD_suspend_connection(stream->connection);
	}
	pthread_mutex_unlock(&streams->mutex);
	if (result == 0) {
		stream->line = events_take(&stream->subscriber);
		if (stream->line)
			wake(stream);
	}
	return result;
}

static ssize_t read_stream(void *context, uint64_t position, char *buffer, size_t room)
{
	struct stream *stream = context;
	size_t length;

	(void)position;
	if (!stream->line) {
		stream->line = events_take(&stream->subscriber);
		stream->sent = 0;
	}
	if (!stream->line)
		return wait_for_line(stream);
	length = strlen(stream->line + stream->sent);
	if (length > room)
		length = room;
	memcpy(buffer, stream->line + stream->sent, length);
	stream->sent += length;
	if (stream->line[stream->sent] == '\0') {
		free(stream->line);
		stream->line = NULL;
	}
	return (ssize_t)length;
}

static void close_stream(void *context)
{
	struct stream *stream = context;

	events_unsubscribe(&stream->subscriber);
	pthread_mutex_lock(&stream->streams->mutex);
	list_remove(&stream->node);
	pthread_mutex_unlock(&stream->streams->mutex);
	free(stream->line);
	free(stream);
}

struct MHD_Response *streams_open(struct streams *streams, struct MHD_Connection *connection,
				  unsigned int types)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	struct MHD_Response *response;

	if (!stream)
		return NULL;
	stream->streams = streams;
	stream->connection = connection;
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_stream,
						     stream, close_stream);
	if (!response) {
		free(stream);
		return NULL;
	}
	(void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
	pthread_mutex_lock(&streams->mutex);
	list_append(&streams->open, &stream->node);
	pthread_mutex_unlock(&streams->mutex);
	events_subscribe(streams->events, &stream->subscriber, types, wake, stream);
	return response;
}

void streams_end(struct streams *streams)
{
	pthread_mutex_lock(&streams->mutex);
	streams->ending = true;
	for (struct list *node = streams->open.next; node != &streams->open; node = node->next)
		resume(container_of(node, struct stream, node));
	pthread_mutex_unlock(&streams->mutex);
}
