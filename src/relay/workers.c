/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/workers.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/processors.h"
#include "net/socket.h"
#include "relay/handover.h"

struct worker {
	struct workers *workers;
	struct relay *relay;
	struct mailbox mailbox;

	/* Not of the owner's. */
	pthread_t thread;
	struct loop loop;
	struct relay own_relay;
	struct timeout_queue giving;
	struct timeout give_again; /* it is to end, and has something that cannot move yet */
	bool pauses;		   /* at the end of this turn; of its own thread */
};

/* Before a thread that is to end tries again to give away what could not be moved. */
#define GIVE_AGAIN_NS (50 * NS_PER_MS)

/* What the other threads tell. */

static void receive_ended(void *context, const void *message)
{
	const struct workers *workers = context;

	workers->observer.session_ended(workers->observer.context, message);
}

/* On a worker's thread. What finds no room is left out. */
static void post_ended(void *context, const struct session_end *end)
{
	struct workers *workers = context;

	if (end_reason_is_telling(end->reason))
		(void)mailbox_post(&workers->threads[0]->mailbox, receive_ended, workers, end,
				   sizeof(*end));
}

/* On a worker's thread, as promised. */
static void log_ended(void *context, const struct session_end *end)
{
	const struct workers *workers = context;

	workers->observer.session_logged(workers->observer.context, end);
}

static void receive_has_room(void *context, const void *message)
{
	const struct workers *workers = context;

	(void)message;
	workers->observer.has_room(workers->observer.context);
}

/* On a worker's thread. If it finds no room, who waits for it tries again by itself. */
static void post_has_room(void *context)
{
	struct workers *workers = context;

	(void)mailbox_post(&workers->threads[0]->mailbox, receive_has_room, workers, NULL, 0);
}

/* Giving sessions away. */

/* On the thread of a worker that is to end. All that was sent to it before has come. */
static void give_all(void *context, const void *message);

static void give_again_expired(void *context, struct timeout *timeout)
{
	(void)timeout;
	give_all(context, NULL);
}

static void receive_empty(void *context, const void *message);

static void give_all(void *context, const void *message)
{
	struct worker *worker = context, *owner = worker->workers->threads[0];

	(void)message;
	handover_all(worker->relay, owner->relay, &owner->mailbox);
	if (worker->relay->flows.used > 0 ||
	    !mailbox_post(&owner->mailbox, receive_empty, worker->workers, NULL, 0))
		timeout_start(&worker->give_again, &worker->giving, &worker->loop);
}

/* Threads. */

static void *map(void)
{
	void *memory = mmap(NULL, sizeof(struct worker), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void unmap(struct worker *worker)
{
	(void)munmap(worker, sizeof(*worker));
}

static struct worker *owner_new(struct workers *workers)
{
	struct worker *owner = map();

	if (!owner)
		return NULL;
	owner->workers = workers;
	owner->relay = workers->relay;
	if (mailbox_init(&owner->mailbox, workers->loop) == 0)
		return owner;
	unmap(owner);
	return NULL;
}

/* Pausing. */

static void receive_pause(void *context, const void *message)
{
	struct worker *worker = context;

	(void)message;
	worker->pauses = true;
}

/* At the end of each turn of a worker. */
static bool pause_work(void *context)
{
	struct worker *worker = context;
	struct workers *workers = worker->workers;

	if (!worker->pauses)
		return false;
	worker->pauses = false;
	pthread_mutex_lock(&workers->mutex);
	workers->waiting++;
	pthread_cond_broadcast(&workers->changed);
	while (workers->pausing)
		pthread_cond_wait(&workers->changed, &workers->mutex);
	workers->waiting--;
	pthread_cond_broadcast(&workers->changed);
	pthread_mutex_unlock(&workers->mutex);
	return false;
}

static int worker_init(struct worker *worker, struct workers *workers)
{
	struct relay_observer observer = {
		.session_ended = workers->observer.session_ended ? post_ended : NULL,
		.session_logged = workers->observer.session_logged ? log_ended : NULL,
		.has_room = workers->observer.has_room ? post_has_room : NULL,
		.context = workers,
	};
	int r = loop_init(&worker->loop);

	if (r < 0)
		return r;
	r = mailbox_init(&worker->mailbox, &worker->loop);
	if (r < 0) {
		loop_fini(&worker->loop);
		return r;
	}
	worker->workers = workers;
	worker->relay = &worker->own_relay;
	relay_init(worker->relay, &worker->loop, &workers->relay->settings, workers->relay->shared,
		   &observer);
	loop_add_work(&worker->loop, pause_work, worker);
	timeout_queue_init(&worker->giving, &worker->loop, GIVE_AGAIN_NS, give_again_expired,
			   worker);
	timeout_init(&worker->give_again);
	return 0;
}

static void worker_fini(struct worker *worker)
{
	relay_fini(worker->relay);
	mailbox_fini(&worker->mailbox);
	loop_fini(&worker->loop);
}

static void *run(void *context)
{
	struct worker *worker = context;
	int r = loop_run(&worker->loop);

	assert(r == 0); /* there is no reason for epoll_wait(2) to fail but a bug */
	return NULL;
}

static struct worker *worker_new(struct workers *workers)
{
	struct worker *worker = map();

	if (!worker)
		return NULL;
	if (worker_init(worker, workers) == 0) {
		if (pthread_create(&worker->thread, NULL, run, worker) == 0)
			return worker;
		worker_fini(worker);
	}
	unmap(worker);
	return NULL;
}

static void stop_loop(void *context, const void *message)
{
	(void)message;
	loop_stop(context);
}

static void worker_free(struct worker *worker)
{
	mailbox_call(&worker->mailbox, stop_loop, &worker->loop);
	(void)pthread_join(worker->thread, NULL);
	worker_fini(worker);
	unmap(worker);
}

static uint64_t busy_ns(const struct workers *workers, uint32_t index)
{
	return loop_busy_ns(index == 0 ? workers->loop : &workers->threads[index]->loop);
}

/* Returns false where there is no memory, or no descriptor, for it. */
static bool start_one(struct workers *workers)
{
	if (!workers->threads[0])
		workers->threads[0] = owner_new(workers);
	if (!workers->threads[0])
		return false;
	workers->threads[workers->count] = worker_new(workers);
	if (!workers->threads[workers->count])
		return false;
	workers->busy_ns[workers->count] = 0;
	workers->count++;
	timeout_start(&workers->tick, &workers->balancing, workers->loop);
	return true;
}

static uint32_t threads_end(const struct workers *workers)
{
	return workers->count + workers->retiring;
}

/* The last thread has nothing left. */
static void receive_empty(void *context, const void *message)
{
	struct workers *workers = context;

	(void)message;
	assert(workers->retiring);
	worker_free(workers->threads[workers->count]);
	workers->threads[workers->count] = NULL;
	workers->retiring = false;
}

/* So that nothing is on its way from one worker to another. */
static void stop_handover(void *context, struct relay *relay)
{
	(void)context;
	handover_stop(relay);
}

static void retire_last(struct workers *workers)
{
	struct worker *last = workers->threads[workers->count - 1];

	workers_for_each(workers, stop_handover, NULL);
	workers->count--;
	workers->retiring = true;
	mailbox_call(&last->mailbox, give_all, last);
}

/* Balancing. */

struct move {
	struct relay *from, *to;
	struct mailbox *mailbox;
	uint32_t permille;
};

static void receive_move(void *context, const void *message)
{
	const struct move *move = message;

	(void)context;
	handover_begin(move->from, move->to, move->mailbox, move->permille);
}

static void move_sessions(struct workers *workers, const struct balance_order *order)
{
	struct worker *from = workers->threads[order->from], *to = workers->threads[order->to];
	struct move move = { from->relay, to->relay, &to->mailbox, order->permille };

	if (order->from == 0)
		receive_move(NULL, &move);
	else
		(void)mailbox_post(&from->mailbox, receive_move, NULL, &move, sizeof(move));
}

static void take_shares(struct workers *workers, uint32_t shares[WORKERS_MAX])
{
	uint64_t period_ns = workers->loop->now_ns - workers->period_ns;

	for (uint32_t i = 0; i < workers->count; i++) {
		uint64_t total_ns = busy_ns(workers, i);
		uint64_t share = (total_ns - workers->busy_ns[i]) * 1000 / period_ns;

		shares[i] = share < 1000 ? (uint32_t)share : 1000;
		workers->busy_ns[i] = total_ns;
	}
	workers->period_ns = workers->loop->now_ns;
}

/* A further thread could take nothing from one that has no sessions of a kind that moves. */
static bool can_share(const struct workers *workers)
{
	return !workers->retiring && (workers->count > 1 || workers->relay->flows.used > 1);
}

static bool any_is_busy(const uint32_t *shares, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (shares[i] >= BALANCE_BUSY_SHARE)
			return true;
	return false;
}

/*
 * What the machine had left since it was last asked. Only while a thread is busy; what it was before
 * that is of no interest, and so the first time the answer is nothing.
 */
static uint32_t take_idle(struct workers *workers)
{
	uint64_t now_ns = workers->loop->now_ns, idle_ns = processors_idle_ns();
	uint64_t period_ns = now_ns - workers->idle_at_ns, since_ns = idle_ns - workers->idle_ns;

	workers->idle_at_ns = now_ns;
	workers->idle_ns = idle_ns;
	return period_ns > 3 * BALANCE_PERIOD_NS ? 0 : (uint32_t)(since_ns * 1000 / period_ns);
}

static void balance(struct workers *workers)
{
	uint32_t shares[WORKERS_MAX];
	struct balance_order order;
	uint32_t idle;

	take_shares(workers, shares);
	idle = workers->count < workers->most && any_is_busy(shares, workers->count)
		       ? take_idle(workers)
		       : 0;
	order = balance_decide(&workers->balance, shares, workers->count, idle, workers->least,
			       workers->most);
	if (order.action == BALANCE_START && can_share(workers))
		(void)start_one(workers);
	else if (order.action == BALANCE_RETIRE && !workers->retiring)
		retire_last(workers);
	else if (order.action == BALANCE_MOVE)
		move_sessions(workers, &order);
}

/* While there is one thread, its own turns are often enough: it is about one that is busy. */
static bool work(void *context)
{
	struct workers *workers = context;

	if (workers->loop->now_ns - workers->period_ns >= BALANCE_PERIOD_NS)
		balance(workers);
	return false;
}

static void tick_expired(void *context, struct timeout *timeout)
{
	struct workers *workers = context;

	if (threads_end(workers) > 1)
		timeout_start(timeout, &workers->balancing, workers->loop);
}

void workers_init(struct workers *workers, struct relay *relay, uint32_t least, uint32_t most)
{
	memset(workers, 0, sizeof(*workers));
	workers->loop = relay->loop;
	workers->relay = relay;
	workers->observer = relay->observer;
	workers->most = most < WORKERS_MAX ? most : WORKERS_MAX;
	workers->least = least < workers->most ? least : workers->most;
	workers->count = 1;
	pthread_mutex_init(&workers->mutex, NULL);
	pthread_cond_init(&workers->changed, NULL);
	workers->period_ns = relay->loop->now_ns;
	balance_init(&workers->balance);
	timeout_queue_init(&workers->balancing, workers->loop, BALANCE_PERIOD_NS, tick_expired,
			   workers);
	timeout_init(&workers->tick);
	if (workers->most > 1)
		loop_add_work(workers->loop, work, workers);
	while (workers->count < workers->least && start_one(workers))
		;
}

void workers_fini(struct workers *workers)
{
	timeout_stop(&workers->tick);
	workers_for_each(workers, stop_handover, NULL);
	for (uint32_t i = 1; i < threads_end(workers); i++)
		worker_free(workers->threads[i]);
	if (workers->threads[0]) {
		/* sessions that were on their way here end as the others of this thread */
		mailbox_receive(&workers->threads[0]->mailbox);
		mailbox_fini(&workers->threads[0]->mailbox);
		unmap(workers->threads[0]);
	}
	workers->count = 1;
	workers->retiring = false;
	workers->threads[0] = NULL;
	pthread_mutex_destroy(&workers->mutex);
	pthread_cond_destroy(&workers->changed);
}

/* For all threads. */

struct accepted {
	struct relay_route *route;
	int fd;
	struct address client;
};

static void receive_accepted(void *context, const void *message)
{
	const struct accepted *accepted = message;

	relay_accept(context, accepted->route, accepted->fd, &accepted->client);
}

void workers_accept(struct workers *workers, struct relay_route *route, int client_fd,
		    const struct address *client, bool first)
{
	struct accepted accepted = { route, client_fd, *client };
	bool stays = workers->count == 1 || (first && workers->least == 1);
	uint32_t index = stays ? 0 : balance_pick(&workers->balance, workers->count);
	struct worker *worker = workers->threads[index];

	if (index == 0 || !mailbox_post(&worker->mailbox, receive_accepted, worker->relay,
					&accepted, sizeof(accepted)))
		relay_accept(workers->relay, route, client_fd, client);
}

void workers_pause(struct workers *workers)
{
	uint32_t others = threads_end(workers) - 1;

	pthread_mutex_lock(&workers->mutex);
	workers->pausing = true;
	pthread_mutex_unlock(&workers->mutex);
	for (uint32_t i = 1; i <= others; i++)
		mailbox_call(&workers->threads[i]->mailbox, receive_pause, workers->threads[i]);
	pthread_mutex_lock(&workers->mutex);
	while (workers->waiting < others)
		pthread_cond_wait(&workers->changed, &workers->mutex);
	pthread_mutex_unlock(&workers->mutex);
}

void workers_resume(struct workers *workers)
{
	pthread_mutex_lock(&workers->mutex);
	workers->pausing = false;
	pthread_cond_broadcast(&workers->changed);
	while (workers->waiting > 0) /* or the next pause would count who has not left this one */
		pthread_cond_wait(&workers->changed, &workers->mutex);
	pthread_mutex_unlock(&workers->mutex);
}

struct each {
	void (*call)(void *context, struct relay *relay);
	void *context;
	struct relay *relay;
};

static void receive_each(void *context, const void *message)
{
	const struct each *each = context;

	(void)message;
	each->call(each->context, each->relay);
}

void workers_for_each(struct workers *workers, void (*call)(void *context, struct relay *relay),
		      void *context)
{
	for (uint32_t i = 1; i < threads_end(workers); i++) {
		struct worker *worker = workers->threads[i];
		struct each each = { call, context, worker->relay };

		mailbox_call(&worker->mailbox, receive_each, &each);
	}
	call(context, workers->relay);
}

struct tell {
	void (*call)(struct relay *relay);
	struct relay *relay;
};

static void receive_tell(void *context, const void *message)
{
	const struct tell *tell = message;

	(void)context;
	tell->call(tell->relay);
}

void workers_tell_each(struct workers *workers, void (*call)(struct relay *relay))
{
	for (uint32_t i = 1; i < threads_end(workers); i++) {
		struct worker *worker = workers->threads[i];
		struct tell tell = { call, worker->relay };

		(void)mailbox_post(&worker->mailbox, receive_tell, NULL, &tell, sizeof(tell));
	}
	call(workers->relay);
}

static void drop_withdrawn(void *context, struct relay *relay)
{
	relay_drop_withdrawn(relay, *(const bool *)context);
}

/*
 * Sessions move meanwhile: from one worker to another not any more after the first round; and those
 * that came to the owner's thread before the last of the others had dropped its own are in its
 * mailbox by then.
 */
void workers_drop_withdrawn(struct workers *workers, bool all)
{
	workers_for_each(workers, stop_handover, NULL);
	workers_for_each(workers, drop_withdrawn, &all);
	if (!workers->threads[0])
		return;
	mailbox_receive(&workers->threads[0]->mailbox);
	relay_drop_withdrawn(workers->relay, all);
}
