/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: one per thread, over epoll(7).
 *
 * What epoll hands back is no pointer but a loop_ref: which kind of thing, its index and its
 * generation. The kind selects a handler; the handler looks the rest up, and an event whose owner
 * has gone finds nothing (base/slots.h).
 *
 * Three things happen in a turn: events, expired timeouts (loop/timeout.h), and then the `work`
 * functions, such as the one that continues what did not fit into the turn's budgets.
 *
 * Nothing of a loop may be touched by another thread, but for loop_busy_ns(). Messages for its
 * thread are in loop/mailbox.h.
 */
#ifndef FAIRLEAD_LOOP_LOOP_H
#define FAIRLEAD_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/list.h"
#include "base/slots.h"

#define LOOP_KINDS_MAX 16
#define LOOP_WORKS_MAX 4

struct loop_ref {
	uint32_t generation;
	uint32_t index : 24;
	uint32_t kind : 8;
};

/* The reference to something in a slot. */
static inline struct loop_ref loop_ref_to(uint8_t kind, const struct slot *slot)
{
	return (struct loop_ref){
		.generation = slot->generation,
		.index = slot->index & 0xffffff,
		.kind = kind,
	};
}

_Static_assert(SLOTS_MAX <= 1u << 24, "loop: the index of a slot must fit a loop_ref");

typedef void loop_event_fn(void *context, struct loop_ref ref, uint32_t events);

/* Returns true if it wants to be called again without waiting for events. */
typedef bool loop_work_fn(void *context);

struct loop {
	int epoll_fd;
	bool stopping;
	uint64_t now_ns; /* the time of this turn */
	uint64_t turn;	 /* its number */
	struct list timeout_queues;
	struct {
		loop_event_fn *event;
		void *context;
	} kinds[LOOP_KINDS_MAX];
	uint32_t kinds_used;
	struct {
		loop_work_fn *work;
		void *context;
	} works[LOOP_WORKS_MAX];
	uint32_t works_used;
	_Atomic uint64_t busy_ns; /* in all turns so far */
};

/* Returns 0 or -errno. */
int loop_init(struct loop *loop);
void loop_fini(struct loop *loop);

/* Registers a handler and returns its kind. At most LOOP_KINDS_MAX. */
uint8_t loop_add_kind(struct loop *loop, loop_event_fn *event, void *context);

/* At most LOOP_WORKS_MAX. */
void loop_add_work(struct loop *loop, loop_work_fn *work, void *context);

/*
 * epoll_ctl(2): ADD, MOD and DEL. Closing the descriptor removes it, too. Return 0 or -errno. Events
 * of this turn that were already told by the kernel still come after loop_unwatch().
 */
int loop_watch(struct loop *loop, int fd, uint32_t events, struct loop_ref ref);
int loop_rewatch(struct loop *loop, int fd, uint32_t events, struct loop_ref ref);
int loop_unwatch(struct loop *loop, int fd);

/* The time for which it has not been waiting, all turns so far summed up. From any thread. */
uint64_t loop_busy_ns(const struct loop *loop);

/* Runs until loop_stop. Returns 0 or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

#endif
