/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of what belongs to the loop's thread, for the threads of HTTP.
 *
 * Each is taken in pieces, between which the loop goes on: what is shown of two ports, or sessions,
 * may be some milliseconds apart.
 */
#ifndef FAIRLEAD_CONTROL_SNAPSHOT_H
#define FAIRLEAD_CONTROL_SNAPSHOT_H

#include "control/control.h"
#include "kernel/kernel_path.h"
#include "net/prefix.h"
#include "relay/session.h"

struct port_shown {
	struct rule rule;
	struct relay_counts counts; /* by both paths */
	struct kernel_path_state by_kernel;
	bool paused; /* new clients wait, for lack of descriptors */
};

struct ports_shown {
	struct port_shown *ports; /* in the order of their keys */
	size_t count;
	uint32_t threads;
	uint32_t descriptors_used, descriptors_most;
};

/* With the bytes of open sessions counted in. Returns 0 or -ENOMEM. */
int snapshot_ports(struct control *control, struct ports_shown *ret);
void ports_shown_free(struct ports_shown *ports);

struct session_shown {
	struct session session; /* its route may be gone: not to be looked at */
	struct rule_label rule;
};

struct sessions_shown {
	struct session_shown *sessions; /* in the order of their numbers */
	size_t count;
};

/* What is of interest; all of it must hold. */
struct session_filter {
	const char *rule;     /* an id, or a name; NULL: any */
	struct prefix client; /* family AF_UNSPEC: any */
	int protocol;	      /* enum protocol; -1: any */
	int state;	      /* enum session_state; -1: any */
};

/* Returns 0 or -ENOMEM. */
int snapshot_sessions(struct control *control, const struct session_filter *filter,
		      struct sessions_shown *ret);
void sessions_shown_free(struct sessions_shown *sessions);

#endif
