/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A filter looks at the bytes of a TCP session, in both directions, and may change them on their
 * way. The relay knows what a filter does with bytes, and nothing of what they mean.
 *
 * It is shown what has come and not been dealt with, says how much of it is done, and what goes out
 * in its place. What it need not see, as the body of a message, it has skipped; those bytes are
 * carried as they would be without it.
 */
#ifndef FAIRLEAD_RELAY_FILTER_H
#define FAIRLEAD_RELAY_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/end_reason.h"

/*
 * What it is shown at a time, at the most, and what it may put out. A filter that wants more than
 * this never gets it, and has to refuse instead.
 */
#define FILTER_SEEN_MAX (16 * 1024)
#define FILTER_OUT_MAX (16 * 1024)

enum filter_direction {
	FILTER_IN,  /* from the client */
	FILTER_OUT, /* from the container */
};

enum filter_verdict {
	FILTER_WANTS_MORE, /* what is not consumed is shown again, with more behind it */
	FILTER_WANTS_ROOM, /* the same, with all of out */
	FILTER_SKIPS,	   /* skip_bytes behind what is consumed pass as they are, unseen */
	FILTER_LETS_GO,	   /* all behind what is consumed does, to the end of this direction */
	FILTER_WAITS,	/* nothing is wanted until the other direction has been shown something */
	FILTER_REFUSES, /* the session ends, as `refusal` says */
};

/* How a session ends that a filter refuses. */
struct filter_refusal {
	const char *reply; /* to the client, before its end of file; NULL: it is reset */
	size_t reply_bytes;
	enum end_reason reason;
};

struct filter_io {
	const uint8_t *in;
	size_t in_bytes;
	bool ended; /* nothing will come behind these */
	uint8_t *out;
	size_t out_room;

	/* Set by the filter. */
	size_t consumed; /* of in */
	size_t produced; /* of out */
	uint64_t skip_bytes;
	struct filter_refusal refusal;
};

/* What the pump knows of one direction of a filter. */
struct filter_side {
	void *unseen; /* a buffer of what has come and is not consumed; NULL: there is nothing */
	uint64_t skip_bytes;
	bool lets_go, waits, wants_more, refuses;
	struct filter_refusal refusal;
};

struct filter {
	const struct filter_ops *ops;
	struct filter_side sides[2]; /* the pump's own; zero at first */
};

/* On the thread that carries the session, one call at a time; that thread may change. */
struct filter_ops {
	/* Called with something new, or after it had wanted to wait. All of io's results are zero. */
	enum filter_verdict (*edit)(struct filter *filter, enum filter_direction direction,
				    struct filter_io *io);
	void (*free)(struct filter *filter);
};

#endif
