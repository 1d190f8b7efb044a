/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pump for streams that a filter looks at.
 *
 * Theory of operation. What is read is shown to the filter, and what that puts out is collected in
 * the second half of the scratch buffer and sent in one piece. Bytes that the filter skips are
 * carried by the pump for streams, which is told how many they are, and so copies or splices; those
 * of them that had been read already join what is collected. A filter that lets go makes this a
 * stream pump.
 *
 * Two rests may be held: what was put out and not written (as in every pump), and what was read and
 * not consumed (filter_side.unseen), such as half of a head. The latter is no reason to read no
 * more, unless the filter waits.
 */
#include <errno.h>
#include <string.h>

#include "relay/pump_stream.h"

/* Buffers looked at in one run, so that no session keeps others waiting for long. */
#define ROUNDS_MAX 32

/* NOLINTNEXTLINE(misc-redundant-expression): that they are the same is what is asserted */
_Static_assert(FILTER_SEEN_MAX == PUMP_COPY_BYTES && FILTER_OUT_MAX == PUMP_COPY_BYTES,
	       "pump_filter: both halves of the scratch buffer");

/* What is shown, and what is collected to be sent. */
struct showing {
	const uint8_t *bytes;
	size_t length, done;
	uint8_t *out;
	size_t filled;
};

static struct filter_side *side_of(const struct pump *pump)
{
	return &pump->filter->sides[pump->direction];
}

static enum pump_result send_collected(struct pump *pump, struct pump_resources *resources,
				       struct pump_ends *ends, struct showing *showing)
{
	size_t filled = showing->filled;

	showing->filled = 0;
	if (filled == 0)
		return PUMP_MORE;
	return pump_stream_send(pump, resources, showing->out, filled, ends);
}

/* Passes what has come of that which the filter does not want to see. */
static void pass(struct pump *pump, struct filter_side *side, struct showing *showing)
{
	size_t length = showing->length - showing->done;
	size_t room = FILTER_OUT_MAX - showing->filled;

	if (!side->lets_go && length > side->skip_bytes)
		length = (size_t)side->skip_bytes;
	if (length > room)
		length = room;
	memcpy(showing->out + showing->filled, showing->bytes + showing->done, length);
	showing->filled += length;
	showing->done += length;
	if (!side->lets_go)
		side->skip_bytes -= length;
	pump->moved_bytes += length;
}

/* Has the filter look once. Returns false when it is not to look again now. */
static bool look(struct pump *pump, struct filter_side *side, struct showing *showing)
{
	struct filter_io io = { .in = showing->bytes + showing->done,
				.in_bytes = showing->length - showing->done,
				.ended = pump->source_ended,
				.out = showing->out + showing->filled,
				.out_room = FILTER_OUT_MAX - showing->filled };
	enum filter_verdict verdict =
		pump->filter->ops->edit(pump->filter, (enum filter_direction)pump->direction, &io);

	showing->done += io.consumed;
	showing->filled += io.produced;
	pump->moved_bytes += io.consumed;
	side->wants_more = verdict == FILTER_WANTS_MORE;
	side->waits = verdict == FILTER_WAITS;
	side->lets_go = verdict == FILTER_LETS_GO;
	side->skip_bytes = verdict == FILTER_SKIPS ? io.skip_bytes : 0;
	side->refuses = verdict == FILTER_REFUSES;
	side->refusal = io.refusal;
	return verdict == FILTER_WANTS_ROOM || verdict == FILTER_SKIPS || verdict == FILTER_LETS_GO;
}

static bool is_out_of_room(const struct filter_side *side, const struct showing *showing,
			   size_t done_before)
{
	bool passes = side->lets_go || side->skip_bytes > 0;

	return showing->filled == FILTER_OUT_MAX || (!passes && showing->done == done_before);
}

/* Deals with as much of what is shown as can be. What was collected is sent or held. */
static enum pump_result work(struct pump *pump, struct pump_resources *resources,
			     struct pump_ends *ends, struct showing *showing)
{
	struct filter_side *side = side_of(pump);
	enum pump_result result = PUMP_MORE;
	bool goes_on = true;

	while (goes_on && result == PUMP_MORE && showing->done < showing->length) {
		size_t done_before = showing->done;

		if (side->lets_go || side->skip_bytes > 0)
			pass(pump, side, showing);
		else
			goes_on = look(pump, side, showing);
		if (goes_on && is_out_of_room(side, showing, done_before))
			result = send_collected(pump, resources, ends, showing);
	}
	return result == PUMP_MORE ? send_collected(pump, resources, ends, showing) : result;
}

static void give_unseen(struct filter_side *side, struct pump_resources *resources)
{
	if (side->unseen)
		slots_give(&resources->buffers, side->unseen);
	side->unseen = NULL;
}

/* Keeps what is not consumed, to be shown again. */
static int keep(struct filter_side *side, struct pump_resources *resources,
		const struct showing *showing)
{
	size_t rest = showing->length - showing->done;
	struct pump_buffer *buffer = side->unseen;

	if (rest == 0) {
		give_unseen(side, resources);
		return 0;
	}
	if (!buffer)
		buffer = slots_take(&resources->buffers);
	if (!buffer)
		return -ENOMEM;
	memmove(buffer->bytes, showing->bytes + showing->done, rest);
	buffer->length = (uint32_t)rest;
	side->unseen = buffer;
	return 0;
}

static enum pump_result refused(const struct filter_side *side, struct pump_ends *ends)
{
	ends->refusal = side->refusal;
	return PUMP_REFUSED;
}

static enum pump_result show(struct pump *pump, struct pump_resources *resources,
			     struct pump_ends *ends, const uint8_t *bytes, size_t length)
{
	struct filter_side *side = side_of(pump);
	struct showing showing = { .bytes = bytes,
				   .length = length,
				   .out = resources->scratch + PUMP_COPY_BYTES };
	enum pump_result result = work(pump, resources, ends, &showing);

	if (result == PUMP_SINK_ERROR)
		return result;
	if (keep(side, resources, &showing) < 0) {
		ends->error = ENOMEM;
		return PUMP_SINK_ERROR;
	}
	if (result == PUMP_MORE && side->refuses)
		return refused(side, ends);
	return result == PUMP_MORE && side->waits ? PUMP_WAITING : result;
}

/* Reads behind what is unseen. *ret_full: there may be more at once. */
static enum pump_result read_more(struct pump *pump, struct pump_resources *resources,
				  struct pump_ends *ends, bool *ret_full)
{
	struct filter_side *side = side_of(pump);
	struct pump_buffer *buffer = side->unseen;
	uint8_t *bytes = buffer ? buffer->bytes : resources->scratch;
	size_t length = buffer ? buffer->length : 0, got = 0;
	enum pump_result result;

	*ret_full = true;
	if (length == PUMP_COPY_BYTES) { /* it cannot be shown more */
		side->refuses = true;
		side->refusal.reason = END_BAD_REQUEST;
		return PUMP_MORE;
	}
	result = pump_stream_receive(pump, ends, bytes + length, PUMP_COPY_BYTES - length, &got);
	*ret_full = got == PUMP_COPY_BYTES - length;
	if (result == PUMP_END && buffer) {
		result = PUMP_MORE; /* the rest is shown once more, as the last one */
		*ret_full = true;
	}
	if (result != PUMP_MORE)
		return result;
	return show(pump, resources, ends, bytes, length + got);
}

static enum pump_result skip(struct pump *pump, struct pump_resources *resources,
			     struct pump_ends *ends)
{
	enum pump_result result;

	ends->limit = &side_of(pump)->skip_bytes;
	result = pump_stream_ops.run(pump, resources, ends);
	ends->limit = NULL;
	return result == PUMP_LIMIT ? PUMP_MORE : result;
}

static enum pump_result show_again(struct pump *pump, struct pump_resources *resources,
				   struct pump_ends *ends)
{
	const struct pump_buffer *buffer = side_of(pump)->unseen;

	return show(pump, resources, ends, buffer->bytes, buffer->length);
}

static enum pump_result take_step(struct pump *pump, struct pump_resources *resources,
				  struct pump_ends *ends)
{
	struct filter_side *side = side_of(pump);
	bool full;
	enum pump_result result;

	if (side->refuses)
		return refused(side, ends);
	if (side->unseen && !side->wants_more)
		return show_again(pump, resources, ends);
	if (pump->source_ended)
		return PUMP_END; /* half of a head, which the filter did not mind, is nothing */
	if (side->skip_bytes > 0)
		return skip(pump, resources, ends);
	if (!ends->readable)
		return PUMP_IDLE;
	result = read_more(pump, resources, ends, &full);
	/* What has come since makes a new edge (kernel test epoll). */
	return result == PUMP_MORE && !full && !ends->stops_short ? PUMP_IDLE : result;
}

static enum pump_result run(struct pump *pump, struct pump_resources *resources,
			    struct pump_ends *ends)
{
	enum pump_result result = pump_stream_flush(pump, resources, ends);

	for (int round = 0; result == PUMP_MORE && round < ROUNDS_MAX; round++) {
		const struct filter_side *side = side_of(pump);

		if (side->lets_go && !side->unseen) {
			pump->kind = PUMP_STREAM;
			return pump_stream_ops.run(pump, resources, ends);
		}
		result = take_step(pump, resources, ends);
	}
	return result;
}

static void release(struct pump *pump, struct pump_resources *resources)
{
	pump_stream_ops.release(pump, resources);
	give_unseen(side_of(pump), resources);
}

const struct pump_ops pump_filter_ops = { .run = run, .release = release };
