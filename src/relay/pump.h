/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pump moves the bytes of one direction of a session, from a source socket to a sink socket, both
 * non-blocking.
 *
 * There are kinds for streams (TCP), for streams that a filter looks at, and for messages (SCTP),
 * behind one interface. A pump owns
 * what it has read and not yet written; between runs it holds memory or a pipe only while there is
 * such a rest. It reads nothing while it holds a rest, so the sink's pace is the source's:
 * backpressure is the kernel's own, and what a session can take is bounded.
 */
#ifndef FAIRLEAD_RELAY_PUMP_H
#define FAIRLEAD_RELAY_PUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slots.h"
#include "relay/filter.h"
#include "relay/pipe_pool.h"

/*
 * What a copying pump reads at once. HTTP messages and the like fit; a direction that fills it time
 * and again is bulk, and is spliced.
 */
#define PUMP_COPY_BYTES (16 * 1024)

/* To read into, and for what filters put out. */
#define PUMP_SCRATCH_BYTES (2 * PUMP_COPY_BYTES)

/* What one run moves at most, so that no session keeps others waiting for long. */
#define PUMP_BUDGET_BYTES (1024 * 1024)

enum pump_kind {
	PUMP_STREAM,
	PUMP_MESSAGE,
	PUMP_FILTERED,
};

enum pump_result {
	PUMP_IDLE,	   /* the source has no more for now */
	PUMP_BLOCKED,	   /* the sink takes no more for now; a rest is held */
	PUMP_MORE,	   /* the budget is used up: run again soon */
	PUMP_END,	   /* end of file, and everything is written */
	PUMP_SOURCE_ERROR, /* reading failed; what came before is written */
	PUMP_SINK_ERROR,   /* writing failed; what was held is lost */
	PUMP_LIMIT,	   /* stream: as much as was to be moved is */
	PUMP_WAITING,	   /* filtered: for what the other direction brings */
	PUMP_REFUSED,	   /* filtered: the session is to end */
};

/* How a stream pump moves bytes. */
enum pump_mode {
	PUMP_COPY,
	PUMP_SPLICE,
	PUMP_COPY_ONLY, /* splice does not work on these sockets */
};

/* A rest in memory. */
struct pump_buffer {
	struct slot slot;
	uint32_t offset;
	uint32_t length;
	uint8_t bytes[PUMP_COPY_BYTES];
};

struct pump {
	uint8_t kind;
	uint8_t mode;
	uint8_t streak;	      /* runs in a row that speak for the other mode */
	bool source_ended;    /* end of file was read */
	bool was_bulk;	      /* stream: a lot came at once, at least one time */
	uint8_t direction;    /* filtered: enum filter_direction */
	uint16_t added_bytes; /* at the begin of what is held: not the source's, and not counted */
	uint32_t held_bytes;  /* read and not yet written */
	int source_error;     /* stream: splice has met it before all was read; positive errno */
	void *held;	      /* struct pipe or struct pump_buffer; NULL while held_bytes is 0 */
	uint64_t moved_bytes;
	struct filter *filter; /* filtered: that of the session */
};

/* What pumps share: one for each thread. */
struct pump_resources {
	struct pipe_pool pipes;
	struct slots buffers; /* struct pump_buffer */
	uint8_t *scratch;     /* PUMP_SCRATCH_BYTES, the relay's */
	struct pump_message *spare_message;
};

struct pump_ends {
	int source;
	int sink;
	/* In: the source may have something. If not, a rest is written, and no more. */
	bool readable;
	/*
	 * In: epoll told of an end, an error or urgent data of the source. Reading stops short
	 * there with no edge to follow, so read until it shows.
	 */
	bool stops_short;
	/*
	 * In: epoll told of the end of file, and of nothing else that reading would stop at. All
	 * that will ever come has come, so what is short of the room for it has brought the last
	 * byte.
	 */
	bool ending;
	uint64_t *limit; /* in and out, stream: what is to be moved at the most; NULL: all */
	int error;	 /* out: positive errno of PUMP_SOURCE_ERROR and PUMP_SINK_ERROR */

	struct filter_refusal refusal; /* out: of PUMP_REFUSED */
};

struct pump_ops {
	enum pump_result (*run)(struct pump *pump, struct pump_resources *resources,
				struct pump_ends *ends);
	void (*release)(struct pump *pump, struct pump_resources *resources);
};

extern const struct pump_ops pump_stream_ops;  /* pump_stream.c */
extern const struct pump_ops pump_message_ops; /* pump_message.c */
extern const struct pump_ops pump_filter_ops;  /* pump_filter.c */

/* Returns the memory that message pumps keep for later. */
void pump_message_trim(struct pump_resources *resources);

void pump_resources_init(struct pump_resources *resources, struct budget *budget, uint8_t *scratch);
void pump_resources_fini(struct pump_resources *resources);

/* Returns the memory and pipes that are kept for later. */
void pump_resources_trim(struct pump_resources *resources);

/* Moves what it can. Call it when the source may be readable and the sink may be writable. */
enum pump_result pump_run(struct pump *pump, struct pump_resources *resources,
			  struct pump_ends *ends);

/* A stream that has not begun: these bytes go before all that it will read. Returns 0 or -ENOMEM. */
int pump_add(struct pump *pump, struct pump_resources *resources, const uint8_t *bytes,
	     size_t length);

/*
 * For a stream whose sink is not there yet: reads once, behind what was added, and holds what came (PUMP_BLOCKED). Else
 * PUMP_IDLE, PUMP_END or PUMP_SOURCE_ERROR.
 */
enum pump_result pump_read_ahead(struct pump *pump, struct pump_resources *resources,
				 struct pump_ends *ends);

/* Whether there is something to do, though the source has nothing new. */
static inline bool pump_has_rest(const struct pump *pump)
{
	const struct filter_side *side = pump->kind == PUMP_FILTERED
						 ? &pump->filter->sides[pump->direction]
						 : NULL;

	return pump->held_bytes > 0 ||
	       (side && ((side->unseen && !side->wants_more) || side->refuses));
}

/* Whether it holds anything, which only this thread could give back. */
static inline bool pump_is_empty(const struct pump *pump)
{
	return !pump->held &&
	       (pump->kind != PUMP_FILTERED || !pump->filter->sides[pump->direction].unseen);
}

/* Gives back what the pump holds; the rest in it is lost. */
void pump_release(struct pump *pump, struct pump_resources *resources);

#endif
