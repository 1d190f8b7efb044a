/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports that fairlead-docker-proxy hands over: see api/drop_in.h. On the loop's thread.
 *
 * Each connection is a lease on one port, which is withdrawn when it ends.
 */
#ifndef FAIRLEAD_CONTROL_DROP_INS_H
#define FAIRLEAD_CONTROL_DROP_INS_H

#include "base/slots.h"
#include "control/rules.h"
#include "loop/loop.h"

struct drop_ins {
	struct loop *loop;
	struct rules *rules;
	struct identity identity; /* of all ports */
	int listener;
	uint8_t listener_kind, lease_kind;
	struct slots leases;
	bool paused; /* without descriptors: looked at again when a lease ends */
};

/*
 * Serves the listening socket, which is its own from then on. The ports get the identity; those that
 * cannot have it are left to their drop-ins. Returns 0 or -errno.
 */
int drop_ins_init(struct drop_ins *drop_ins, struct loop *loop, struct rules *rules,
		  const struct identity *identity, int listener);

/* Ends all leases; the ports are left to the rules. */
void drop_ins_fini(struct drop_ins *drop_ins);

#endif
