/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pump for byte streams.
 *
 * Theory of operation. Small payloads are read into the thread's scratch buffer and sent from
 * there; only if the sink takes less is the rest put into a buffer of its own. A direction that
 * fills the scratch buffer several times in a row is bulk: it moves to splice(2), socket to pipe to
 * socket, and back to copying once little comes at a time.
 *
 * splice's EAGAIN is ambiguous: the pipe is full, or the socket is empty. It is never interpreted
 * while the pipe holds bytes: the pipe is emptied first, so on an empty pipe EAGAIN means an empty
 * socket. (Kernel test splice.) FIONREAD is not asked: it lies where eBPF agents have put the
 * socket into a sockmap, and there splice may find nothing although recv does. So an EAGAIN right
 * at the start of a run, which an event announced bytes for, is checked with recv; if that finds
 * some, the pump copies from then on. So is every EAGAIN of a source that stops short, since splice
 * never passes urgent data; and where the stream has ended behind that, splice tells of the end, or
 * of the error, which it takes out of the socket, as if all had been read. Neither is believed
 * before recv says the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "relay/pump_stream.h"

/* Full scratch buffers in a row after which a direction counts as bulk. */
#define BULK_STREAK 3

/* Splices of less than this in a row, and as many of them, after which it no longer does. */
#define SMALL_BYTES 4096
#define SMALL_STREAK 4

enum step {
	STEP_MOVED,   /* go on */
	STEP_DRAINED, /* the source is (most probably) empty */
	STEP_BLOCKED,
	STEP_ENDED,
	STEP_LIMITED,
	STEP_SOURCE_FAILED,
	STEP_SINK_FAILED,
};

static void give_pipe(struct pump *pump, struct pump_resources *resources)
{
	pipe_pool_give(&resources->pipes, pump->held, pump->held_bytes);
	pump->held = NULL;
	pump->held_bytes = 0;
}

static void give_buffer(struct pump *pump, struct pump_resources *resources)
{
	slots_give(&resources->buffers, pump->held);
	pump->held = NULL;
	pump->held_bytes = 0;
}

static ssize_t send_retrying(int fd, const void *bytes, size_t length, int flags)
{
	ssize_t sent;

	do
		sent = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
	while (sent < 0 && errno == EINTR);
	return sent;
}

static ssize_t splice_retrying(int from, int to, size_t length)
{
	ssize_t moved;

	do
		moved = splice(from, NULL, to, NULL, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (moved < 0 && errno == EINTR);
	return moved;
}

static enum step sink_stopped(struct pump_ends *ends)
{
	if (errno == EAGAIN)
		return STEP_BLOCKED;
	ends->error = errno;
	return STEP_SINK_FAILED;
}

static void count(struct pump *pump, size_t moved)
{
	size_t added = moved < pump->added_bytes ? moved : pump->added_bytes;

	pump->added_bytes -= (uint16_t)added;
	pump->moved_bytes += moved - added;
}

/* Writes the rest that is held. */
static enum step flush(struct pump *pump, struct pump_resources *resources, struct pump_ends *ends)
{
	while (pump->held_bytes > 0) {
		struct pump_buffer *buffer = pump->held;
		struct pipe *pipe = pump->held;
		ssize_t moved;

		if (pump->mode == PUMP_SPLICE)
			moved = splice_retrying(pipe->read_fd, ends->sink, pump->held_bytes);
		else
			moved = send_retrying(ends->sink, buffer->bytes + buffer->offset,
					      pump->held_bytes, 0);
		if (moved <= 0)
			return sink_stopped(ends);
		pump->held_bytes -= (uint32_t)moved;
		count(pump, (size_t)moved);
		if (pump->mode != PUMP_SPLICE)
			buffer->offset += (uint32_t)moved;
	}
	if (pump->held && pump->mode != PUMP_SPLICE)
		give_buffer(pump, resources);
	return STEP_MOVED;
}

static void leave_splice(struct pump *pump, struct pump_resources *resources, enum pump_mode mode)
{
	if (pump->held)
		give_pipe(pump, resources);
	pump->mode = (uint8_t)mode;
	pump->streak = 0;
}

/* Keeps what the sink did not take. What is held is a pipe while the mode says so, and no longer. */
static enum step hold(struct pump *pump, struct pump_resources *resources, const uint8_t *bytes,
		      size_t length, struct pump_ends *ends)
{
	struct pump_buffer *buffer = slots_take(&resources->buffers);

	if (pump->mode == PUMP_SPLICE)
		leave_splice(pump, resources, PUMP_COPY);

	if (!buffer) {
		ends->error = ENOMEM;
		return STEP_SINK_FAILED;
	}
	memcpy(buffer->bytes, bytes, length);
	pump->held = buffer;
	pump->held_bytes = (uint32_t)length;
	return STEP_BLOCKED;
}

static enum step source_stopped(struct pump *pump, ssize_t got, struct pump_ends *ends)
{
	if (got == 0 && pump->source_error != 0) {
		ends->error = pump->source_error;
		return STEP_SOURCE_FAILED;
	}
	if (got == 0) {
		pump->source_ended = true;
		return STEP_ENDED;
	}
	if (errno == EAGAIN)
		return STEP_DRAINED;
	ends->error = errno;
	return STEP_SOURCE_FAILED;
}

static ssize_t receive_retrying(int fd, void *bytes, size_t room)
{
	ssize_t got;

	do
		got = recv(fd, bytes, room, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	return got;
}

/* How much may be read at once, of that much at the most. */
static size_t within_limit(const struct pump_ends *ends, size_t most)
{
	return ends->limit && *ends->limit < most ? (size_t)*ends->limit : most;
}

static void count_against_limit(struct pump_ends *ends, size_t got)
{
	if (ends->limit)
		*ends->limit -= got;
}

static enum step copy(struct pump *pump, struct pump_resources *resources, struct pump_ends *ends)
{
	size_t room = within_limit(ends, PUMP_COPY_BYTES);
	ssize_t got = receive_retrying(ends->source, resources->scratch, room), sent;

	if (got <= 0)
		return source_stopped(pump, got, ends);
	count_against_limit(ends, (size_t)got);

	/* the last bytes wait for the end of file, which follows at once, and share its packet */
	sent = send_retrying(ends->sink, resources->scratch, (size_t)got,
			     ends->ending && !ends->limit ? MSG_MORE : 0);
	if (sent < 0 && errno != EAGAIN)
		return sink_stopped(ends);
	if (sent < 0)
		sent = 0;
	pump->moved_bytes += (uint64_t)sent;
	if (sent < got)
		return hold(pump, resources, resources->scratch + sent, (size_t)(got - sent), ends);

	if ((size_t)got < room) {
		pump->streak = 0;
		if (ends->ending)
			return source_stopped(pump, 0, ends);
		/*
		 * Nothing is lost if more has come since: it makes a new edge (kernel test
		 * epoll).
		 */
		return ends->stops_short ? STEP_MOVED : STEP_DRAINED;
	}
	if (pump->mode == PUMP_COPY && room == PUMP_COPY_BYTES && ++pump->streak >= BULK_STREAK) {
		pump->streak = 0;
		pump->was_bulk = true;
		pump->held = pipe_pool_take(&resources->pipes);
		if (pump->held)
			pump->mode = PUMP_SPLICE;
	}
	return STEP_MOVED;
}

/*
 * splice found nothing where an event had promised something: believe it only if recv says the
 * same.
 */
static enum step doubt_splice(struct pump *pump, struct pump_resources *resources,
			      struct pump_ends *ends)
{
	uint64_t moved_bytes = pump->moved_bytes;
	enum step step;

	leave_splice(pump, resources, PUMP_COPY);
	step = copy(pump, resources, ends);
	if (step == STEP_DRAINED && pump->moved_bytes == moved_bytes)
		pump->mode = PUMP_SPLICE;
	return step;
}

static enum step splice_in(struct pump *pump, struct pump_resources *resources,
			   struct pump_ends *ends, bool first)
{
	struct pipe *pipe;
	ssize_t got;

	if (!pump->held)
		pump->held = pipe_pool_take(&resources->pipes);
	if (!pump->held) {
		leave_splice(pump, resources, PUMP_COPY);
		return STEP_MOVED;
	}
	pipe = pump->held;
	got = splice_retrying(ends->source, pipe->write_fd,
			      within_limit(ends, pipe->capacity_bytes));
	if (got < 0 && errno == EINVAL) {
		leave_splice(pump, resources, PUMP_COPY_ONLY);
		return STEP_MOVED;
	}
	if (got < 0 && errno == EAGAIN && !first && !ends->stops_short)
		return STEP_DRAINED;
	if (got < 0 && errno != EAGAIN)
		pump->source_error = errno;
	if (got <= 0)
		return doubt_splice(pump, resources, ends);
	count_against_limit(ends, (size_t)got);
	pump->held_bytes = (uint32_t)got;
	pump->streak = got < SMALL_BYTES ? (uint8_t)(pump->streak + 1) : 0;
	return STEP_MOVED;
}

static enum pump_result result_of(enum step step)
{
	switch (step) {
	case STEP_DRAINED:
		return PUMP_IDLE;
	case STEP_BLOCKED:
		return PUMP_BLOCKED;
	case STEP_ENDED:
		return PUMP_END;
	case STEP_LIMITED:
		return PUMP_LIMIT;
	case STEP_SOURCE_FAILED:
		return PUMP_SOURCE_ERROR;
	case STEP_SINK_FAILED:
		return PUMP_SINK_ERROR;
	default:
		return PUMP_MORE;
	}
}

/* A pipe is held only while bytes are in it. */
static void give_empty_pipe(struct pump *pump, struct pump_resources *resources)
{
	if (pump->held && pump->held_bytes == 0)
		give_pipe(pump, resources);
}

static enum pump_result run(struct pump *pump, struct pump_resources *resources,
			    struct pump_ends *ends)
{
	uint64_t limit = pump->moved_bytes + PUMP_BUDGET_BYTES;
	enum step step = flush(pump, resources, ends);

	for (bool first = true; step == STEP_MOVED; first = false) {
		if (pump->source_ended) {
			step = STEP_ENDED;
		} else if (ends->limit && *ends->limit == 0) {
			step = STEP_LIMITED;
		} else if (!ends->readable) {
			step = STEP_DRAINED;
		} else if (pump->moved_bytes >= limit) {
			break;
		} else if (pump->mode == PUMP_SPLICE) {
			step = splice_in(pump, resources, ends, first);
			if (step == STEP_MOVED)
				step = flush(pump, resources, ends);
			if (step == STEP_MOVED && pump->streak >= SMALL_STREAK)
				leave_splice(pump, resources, PUMP_COPY);
		} else {
			step = copy(pump, resources, ends);
		}
	}
	give_empty_pipe(pump, resources);
	return result_of(step);
}

enum pump_result pump_stream_flush(struct pump *pump, struct pump_resources *resources,
				   struct pump_ends *ends)
{
	enum step step = flush(pump, resources, ends);

	give_empty_pipe(pump, resources);
	return result_of(step);
}

enum pump_result pump_stream_send(struct pump *pump, struct pump_resources *resources,
				  const uint8_t *bytes, size_t length, struct pump_ends *ends)
{
	ssize_t sent = send_retrying(ends->sink, bytes, length, 0);

	if (sent < 0 && errno != EAGAIN)
		return result_of(sink_stopped(ends));
	if (sent < 0)
		sent = 0;
	if ((size_t)sent == length)
		return PUMP_MORE;
	if (hold(pump, resources, bytes + sent, length - (size_t)sent, ends) == STEP_BLOCKED)
		pump->added_bytes = (uint16_t)pump->held_bytes;
	return pump->held ? PUMP_BLOCKED : PUMP_SINK_ERROR;
}

enum pump_result pump_stream_receive(struct pump *pump, struct pump_ends *ends, void *bytes,
				     size_t room, size_t *ret_got)
{
	ssize_t got = receive_retrying(ends->source, bytes, room);

	if (got <= 0)
		return result_of(source_stopped(pump, got, ends));
	*ret_got = (size_t)got;
	return PUMP_MORE;
}

int pump_add(struct pump *pump, struct pump_resources *resources, const uint8_t *bytes,
	     size_t length)
{
	struct pump_ends ignored;

	if (hold(pump, resources, bytes, length, &ignored) != STEP_BLOCKED)
		return -ENOMEM;
	pump->added_bytes = (uint16_t)length;
	return 0;
}

enum pump_result pump_read_ahead(struct pump *pump, struct pump_resources *resources,
				 struct pump_ends *ends)
{
	struct pump_buffer *buffer = pump->held ? pump->held : slots_take(&resources->buffers);
	ssize_t got;

	if (!buffer)
		return PUMP_IDLE;
	got = receive_retrying(ends->source, buffer->bytes + pump->held_bytes,
			       PUMP_COPY_BYTES - pump->held_bytes);
	if (got <= 0) {
		if (!pump->held)
			slots_give(&resources->buffers, buffer);
		return result_of(source_stopped(pump, got, ends));
	}
	pump->held = buffer;
	pump->held_bytes += (uint32_t)got;
	return PUMP_BLOCKED;
}

static void release(struct pump *pump, struct pump_resources *resources)
{
	if (!pump->held)
		return;
	if (pump->mode == PUMP_SPLICE)
		give_pipe(pump, resources);
	else
		give_buffer(pump, resources);
}

const struct pump_ops pump_stream_ops = { .run = run, .release = release };
