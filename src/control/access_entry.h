/* SPDX-License-Identifier: Apache-2.0 */
/* What the access log tells of one session that has ended, in each of its forms. */
#ifndef FAIRLEAD_CONTROL_ACCESS_ENTRY_H
#define FAIRLEAD_CONTROL_ACCESS_ENTRY_H

#include <jansson.h>
#include <stdbool.h>
#include <time.h>

#include "model/rule.h"
#include "relay/session.h"

struct access_entry {
	struct session_end end; /* its route is not to be looked at */
	struct rule_label rule;
};

/*
 * A line, without its line feed: "2026-11-25T03:04:05.678Z tcp [2001:db8::1]:41534 ..." or an object
 * with the time in front. `when` is when the session ended. The caller frees it; NULL without memory.
 */
char *access_entry_text(const struct access_entry *entry, const struct timespec *when);
char *access_entry_json_line(const struct access_entry *entry, const struct timespec *when);

/* The same object without the time, of which an event has its own. NULL without memory. */
json_t *access_entry_json(const struct access_entry *entry);

/*
 * Sends the line to the journal, with fields for what would else have to be parsed (FAIRLEAD_CLIENT
 * and others). Returns whether it took it.
 */
bool access_entry_to_journal(const struct access_entry *entry, const char *line);

#endif
