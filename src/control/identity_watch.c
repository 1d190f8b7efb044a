/* SPDX-License-Identifier: Apache-2.0 */
#include "control/identity_watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/processors.h"
#include "control/snapshot.h"

/* Containers take some time to start; an engine's firewall is set up before. */
#define FIRST_PERIOD_S 3
#define PERIOD_S 30

/* What is known of one container. */
struct known {
	struct address container; /* port 0 */
	bool is_there;		  /* a rule still leads to it */
	bool is_settled;
};

struct identity_watch {
	struct control *control;
	void (*tell)(const struct error *err);
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t stop;
	_Atomic bool stopping;
	struct known *known;
	size_t count, room;
};

static struct known *find(struct identity_watch *watch, const struct address *container)
{
	for (size_t i = 0; i < watch->count; i++)
		if (address_equal(&watch->known[i].container, container))
			return &watch->known[i];
	return NULL;
}

static struct known *add(struct identity_watch *watch, const struct address *container)
{
	if (watch->count == watch->room) {
		size_t room = watch->room > 0 ? 2 * watch->room : 16;
		struct known *known = reallocarray(watch->known, room, sizeof(*known));

		if (!known)
			return NULL;
		watch->known = known;
		watch->room = room;
	}
	watch->known[watch->count] = (struct known){ .container = *container };
	return &watch->known[watch->count++];
}

static void check_container(struct identity_watch *watch, struct address container)
{
	struct known *known;
	struct error err;

	container.port = 0;
	known = find(watch, &container);
	if (!known)
		known = add(watch, &container);
	if (!known || known->is_there)
		return; /* looked at in this round */
	known->is_there = true;
	if (known->is_settled)
		return;
	switch (identities_reach(watch->control->identities, &container, &err)) {
	case POOL_REACH_UNKNOWN:
		break; /* it may be starting */
	case POOL_REACH_NONE:
		watch->tell(&err);
		known->is_settled = true;
		break;
	case POOL_REACH_GOOD:
		known->is_settled = true;
		break;
	}
}

/* Addresses are used again, for other containers. */
static void forget_gone(struct identity_watch *watch)
{
	size_t kept = 0;

	for (size_t i = 0; i < watch->count; i++)
		if (watch->known[i].is_there)
			watch->known[kept++] = watch->known[i];
	watch->count = kept;
}

static void check_containers(struct identity_watch *watch)
{
	struct ports_shown shown;

	if (!identities_pseudo(watch->control->identities) ||
	    snapshot_ports(watch->control, &shown) < 0)
		return;
	for (size_t i = 0; i < watch->count; i++)
		watch->known[i].is_there = false;
	for (size_t i = 0; i < shown.count && !watch->stopping; i++)
		if (shown.ports[i].rule.identity.kinds & IDENTITY_PSEUDO_IPV4)
			check_container(watch, shown.ports[i].rule.container);
	ports_shown_free(&shown);
	forget_gone(watch);
}

static void check(struct identity_watch *watch)
{
	struct error err;

	if (identities_check_host(watch->control->identities, &err) < 0)
		watch->tell(&err);
	check_containers(watch);
}

/* Returns false when it is to end. */
static bool wait_for(struct identity_watch *watch, time_t seconds)
{
	struct timespec until;
	bool stopping;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&watch->mutex);
	while (!watch->stopping &&
	       pthread_cond_timedwait(&watch->stop, &watch->mutex, &until) != ETIMEDOUT)
		;
	stopping = watch->stopping;
	pthread_mutex_unlock(&watch->mutex);
	return !stopping;
}

static void *run(void *context)
{
	struct identity_watch *watch = context;
	time_t period = FIRST_PERIOD_S;

	processors_give_way();
	while (wait_for(watch, period)) {
		check(watch);
		period = PERIOD_S;
	}
	return NULL;
}

static void watch_free(struct identity_watch *watch)
{
	pthread_cond_destroy(&watch->stop);
	pthread_mutex_destroy(&watch->mutex);
	free(watch->known);
	free(watch);
}

struct identity_watch *identity_watch_start(struct control *control,
					    void (*tell)(const struct error *err),
					    struct error *err)
{
	struct identity_watch *watch = calloc(1, sizeof(*watch));
	pthread_condattr_t attributes;

	if (!watch) {
		error_set(err, -ENOMEM, "no memory to watch pseudo-IPv4 addresses");
		return NULL;
	}
	watch->control = control;
	watch->tell = tell;
	pthread_mutex_init(&watch->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->stop, &attributes);
	pthread_condattr_destroy(&attributes);
	if (pthread_create(&watch->thread, NULL, run, watch) == 0)
		return watch;
	watch_free(watch);
	error_set(err, -EAGAIN, "no thread to watch pseudo-IPv4 addresses with");
	return NULL;
}

void identity_watch_stop(struct identity_watch *watch)
{
	pthread_mutex_lock(&watch->mutex);
	watch->stopping = true;
	pthread_cond_signal(&watch->stop);
	pthread_mutex_unlock(&watch->mutex);
	pthread_join(watch->thread, NULL);
	watch_free(watch);
}
