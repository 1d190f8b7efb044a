/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of the relay.
 *
 * The owner's thread has a relay of its own, accepts all connections, and carries all UDP. While it
 * alone can do the work, there is no other thread. When one thread is busy nearly all the time, a
 * further one is started, on which a loop and a relay of its own run; and when together they have
 * little to do, the last one gives its sessions away and ends. In between, connections are shared
 * out by what each thread has left, and sessions move from a thread that is much busier than
 * another (relay/handover.h). Both sides of a session are always on one thread, so nothing on the
 * path of data is shared or locked.
 *
 * What to do is decided from shares of time every 100 ms (relay/balance.h), on the owner's thread
 * as everything here. The observers of the other relays are called on the owner's thread, too; of
 * ends only those that are worth telling.
 */
#ifndef FAIRLEAD_RELAY_WORKERS_H
#define FAIRLEAD_RELAY_WORKERS_H

#include "loop/mailbox.h"
#include "relay/balance.h"
#include "relay/relay.h"

#define WORKERS_MAX BALANCE_THREADS_MAX

struct worker;

struct workers {
	struct loop *loop; /* the owner's */
	struct relay *relay;
	struct relay_observer observer;
	uint32_t least, most; /* threads, the owner's included */
	uint32_t count;	      /* of threads that take connections, the owner's included */
	bool retiring;	      /* the one behind those is about to end */
	struct worker
		*threads[WORKERS_MAX]; /* [0]: the mailbox of the owner's, once there are others */
	uint64_t busy_ns[WORKERS_MAX]; /* of each loop, at the end of the last period */
	uint64_t period_ns;	       /* when that was */
	uint64_t idle_ns, idle_at_ns;  /* of the machine, when a thread was busy last */
	struct balance balance;
	struct timeout_queue balancing;
	struct timeout tick;

	pthread_mutex_t mutex; /* of both below */
	pthread_cond_t changed;
	uint32_t waiting; /* threads that do */
	bool pausing;
};

/*
 * relay is the owner's, set up. least threads are there always; most is bounded by WORKERS_MAX.
 * Without memory for them there are fewer. Call it when no signal is to be taken by a new thread.
 */
void workers_init(struct workers *workers, struct relay *relay, uint32_t least, uint32_t most);

/* Ends the sessions of all other threads, and the threads. The owner's relay is left alone. */
void workers_fini(struct workers *workers);

/*
 * As relay_accept(), on whichever thread has most time for it. `first`: of those that waited at the
 * same time, if there were more. Where other threads come with load only, that one stays with the
 * owner: waking another thread costs more than a connection unless this one is behind, which more
 * than one waiting is the sign of.
 */
void workers_accept(struct workers *workers, struct relay_route *route, int client_fd,
		    const struct address *client, bool first);

/* As relay_drop_withdrawn(), on all threads. */
void workers_drop_withdrawn(struct workers *workers, bool all);

/*
 * Has all other threads wait, between two turns, until they may go on: what they only read can be
 * changed meanwhile.
 */
void workers_pause(struct workers *workers);
void workers_resume(struct workers *workers);

/* Calls it for the relay of each thread, on that thread, one after the other. */
void workers_for_each(struct workers *workers, void (*call)(void *context, struct relay *relay),
		      void *context);

/* The same without waiting for it. A thread that has much to do meanwhile may be left out. */
void workers_tell_each(struct workers *workers, void (*call)(struct relay *relay));

#endif
