/* SPDX-License-Identifier: Apache-2.0 */
/* Signals as events of the loop, by signalfd(2). */
#ifndef FAIRLEAD_LOOP_SIGNALS_H
#define FAIRLEAD_LOOP_SIGNALS_H

#include <signal.h>

#include "loop/loop.h"

typedef void signals_fn(void *context, int signal);

struct signals {
	int fd;
	sigset_t set;
	signals_fn *received;
	void *context;
};

/*
 * From now on SIGINT, SIGTERM and, unless it is ignored, SIGHUP call `received` on the loop's thread:
 * a process that a signal kills ends its connections as if all had been said. SIGPIPE, which
 * splice(2) raises whatever the socket's flags, is ignored. Call it before there are other threads.
 * Returns 0 or -errno.
 */
int signals_init(struct signals *signals, struct loop *loop, signals_fn *received, void *context);
void signals_fini(struct signals *signals);

/* One more. Returns 0 or -errno. */
int signals_add(struct signals *signals, int signal);

#endif
