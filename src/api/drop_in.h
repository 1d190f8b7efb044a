/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fairlead-docker-proxy hands a port over to the daemon: over a unix socket of sequenced
 * packets (unix(7)), with nothing but libc.
 *
 * The drop-in connects and makes one offer, the rule with its socket (SCM_RIGHTS); the daemon gives
 * one answer. From then on the connection is the lease: when the drop-in closes it, by its end
 * above all, the daemon withdraws the port; when the daemon does, the drop-in serves it itself.
 *
 * Both are of one machine and, as a rule, of one version. A version that does not know the other's
 * messages says so by its answer, or by none.
 */
#ifndef FAIRLEAD_API_DROP_IN_H
#define FAIRLEAD_API_DROP_IN_H

#include <stdbool.h>

#include "model/rule.h"

#define DROP_IN_SOCKET "/run/fairlead/drop-in.sock"

/* How long an answer is waited for. */
#define DROP_IN_PATIENCE_NS (200 * UINT64_C(1000000))

#define DROP_IN_REASON_MAX 200

struct drop_in_answer {
	bool accepted;
	/* Should the daemon end, the port is to be held and not served: new clients wait. */
	bool holds;
	char reason[DROP_IN_REASON_MAX]; /* why it was not accepted; a sentence */
};

/* The drop-in's side. Returns a non-blocking descriptor or -errno, at once. */
int drop_in_connect(const char *path);

/* Returns 0 or -errno. The socket stays the caller's, too. */
int drop_in_offer(int fd, const struct rule *rule, int listener);

/* Returns 0, -EAGAIN where there is none yet, or -errno: -ECONNRESET where there will be none. */
int drop_in_receive_answer(int fd, struct drop_in_answer *ret);

/*
 * The daemon's side. Returns 0 with the socket, which is the caller's; -EAGAIN where there is no
 * offer yet, -ECONNRESET where the drop-in has gone, -EBADMSG where it is none that is understood,
 * -EXDEV where it comes from another network namespace, and so its container's address means nothing
 * here. The rule is as it was claimed: whether the socket is that of such a rule is not looked at.
 */
int drop_in_receive_offer(int fd, struct rule *ret_rule, int *ret_listener);

/* Returns 0 or -errno. */
int drop_in_answer(int fd, const struct drop_in_answer *answer);

#endif
