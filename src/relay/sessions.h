/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at the sessions of a relay, and ending one. On the relay's thread, in pieces, so that the
 * data of others does not have to wait for long.
 */
#ifndef FAIRLEAD_RELAY_SESSIONS_H
#define FAIRLEAD_RELAY_SESSIONS_H

#include "relay/relay.h"

struct session_lister {
	/* Whether it is of interest; host and source are not known yet, as they cost system calls. */
	bool (*wants)(void *context, const struct session *session);
	/* Returns false to stop after this one. */
	bool (*take)(void *context, const struct session *session);
	void *context;
};

/*
 * Shows the sessions of the relay to the lister, of which it looks at `most` at the most. *cursor is
 * 0 at first, and then what the last call has left there. Returns false once all have been looked
 * at. A session that begins meanwhile may be left out.
 */
bool relay_list(struct relay *relay, uint32_t *cursor, uint32_t most,
		const struct session_lister *lister);

/*
 * Counts what the open sessions have moved since it was last counted. Cursor, most and the result
 * are as those of relay_list().
 */
bool relay_count_open(struct relay *relay, uint32_t *cursor, uint32_t most);

/* Ends a session with a reset of both sides. Returns false where there is none of that number. */
bool relay_end_session(struct relay *relay, uint64_t id);

#endif
