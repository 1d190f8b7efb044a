/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/kernel_path.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

/* How often what changes is looked at: links and flows, and what is against a rule. */
#define TURN_MS 1000
#define RECONSIDER_NS (30 * NS_PER_S)

/* While no packets come, only time makes sessions end. */
#define QUIET_SWEEP_NS (10 * NS_PER_S)

/* The part of the time that sweeping may take: by itself, and for whoever asks again and again. */
#define SWEEP_SHARE 50
#define SWEEP_SHARE_ASKED 10

static void begin_to_drain(struct kernel_path *path)
{
	pthread_mutex_lock(&path->lock);
	path->is_draining = true;
	path->steering.carrier.services.are_closed = true;
	if (path->steering.carrier.is_open) {
		services_publish(&path->steering.carrier.services);
		flow_table_sweep(&path->steering.carrier.flows);
		flow_table_end_udp(&path->steering.carrier.flows);
	}
	pthread_mutex_unlock(&path->lock);
}

/* Takes what is wanted, if that is new. Returns false when it is to end. */
static bool follow_orders(struct kernel_path *path)
{
	struct rule *wanted;
	uint64_t order;
	size_t count;
	bool is_new, drains, stops;

	pthread_mutex_lock(&path->ordering);
	is_new = path->done != path->orders;
	wanted = path->wanted;
	count = path->wanted_count;
	order = path->orders;
	stops = path->stops;
	drains = path->drains;
	path->wanted = NULL;
	path->wanted_count = 0;
	pthread_mutex_unlock(&path->ordering);
	if (is_new && !stops && !drains) {
		pthread_mutex_lock(&path->lock);
		steering_set_rules(&path->steering, wanted, count);
		pthread_mutex_unlock(&path->lock);
	}
	free(wanted);
	if (drains && !path->is_draining)
		begin_to_drain(path);
	pthread_mutex_lock(&path->ordering);
	path->done = order;
	pthread_cond_broadcast(&path->carried_out);
	pthread_mutex_unlock(&path->ordering);
	return !stops;
}

/* The thread. */

/* Reading large maps that are empty costs something, too. */
static bool has_something_to_sweep(struct kernel_path *path, uint64_t now_ns)
{
	const struct flow_table *flows = &path->steering.carrier.flows;
	uint64_t counts[TRANSLATOR_COUNTERS], packets, age_ns = now_ns - flows->swept_ns;

	if (age_ns < SWEEP_SHARE * flows->sweep_cost_ns)
		return false;
	translator_count(&path->steering.carrier.translator, counts);
	packets = counts[TRANSLATED_FROM_CLIENT] + counts[TRANSLATED_TO_CLIENT];
	if (packets == path->packets_seen && age_ns < QUIET_SWEEP_NS)
		return false;
	path->packets_seen = packets;
	return true;
}

static void look_around(struct kernel_path *path, uint64_t now_ns)
{
	path->looked_ns = now_ns;
	if (path->steering.carrier.is_open) {
		services_look(&path->steering.carrier.services);
		steering_check_forwarding(&path->steering);
		if (has_something_to_sweep(path, now_ns))
			flow_table_sweep(&path->steering.carrier.flows);
		steering_look_for_answers(&path->steering); /* whoever has swept */
	}
	if (now_ns - path->steering.considered_ns >= RECONSIDER_NS)
		steering_consider(&path->steering);
}

static void turn(struct kernel_path *path)
{
	uint64_t now_ns = clock_now_ns();

	pthread_mutex_lock(&path->lock);
	if (path->steering.carrier.is_open)
		translator_take_upcalls(&path->steering.carrier.translator);
	if (now_ns - path->looked_ns >= TURN_MS * NS_PER_MS)
		look_around(path, now_ns);
	pthread_mutex_unlock(&path->lock);
}

static void *run(void *context)
{
	struct kernel_path *path = context;
	uint64_t value;

	do {
		struct pollfd waits[] = {
			{ .fd = path->wake, .events = POLLIN },
			{ .fd = path->steering.carrier.is_open
					? translator_upcall_fd(&path->steering.carrier.translator)
					: -1,
			  .events = POLLIN },
		};

		(void)poll(waits, 2, path->steering.carrier.rules.count > 0 ? TURN_MS : -1);
		(void)!read(path->wake, &value, sizeof(value));
		turn(path);
	} while (follow_orders(path));
	pthread_mutex_lock(&path->lock);
	if (path->steering.carrier.is_open)
		carrier_close(&path->steering.carrier, path->keeps);
	pthread_mutex_unlock(&path->lock);
	return NULL;
}

static void wake(struct kernel_path *path)
{
	uint64_t one = 1;

	(void)!write(path->wake, &one, sizeof(one));
}

int kernel_path_start(struct kernel_path *path, const struct carrier_settings *settings,
		      struct error *err)
{
	int r;

	*path = (struct kernel_path){ .wake = -1 };
	carrier_init(&path->steering.carrier, settings);
	path->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (path->wake < 0)
		return error_set(err, -errno, "the kernel path: eventfd: %s", error_name(errno));
	pthread_mutex_init(&path->ordering, NULL);
	pthread_mutex_init(&path->lock, NULL);
	pthread_cond_init(&path->carried_out, NULL);
	r = pthread_create(&path->thread, NULL, run, path);
	path->has_thread = r == 0;
	if (r != 0)
		kernel_path_stop(path, false);
	return r != 0 ? error_set(err, -r, "the kernel path: no thread: %s", error_name(r)) : 0;
}

void kernel_path_stop(struct kernel_path *path, bool keeps)
{
	pthread_mutex_lock(&path->ordering);
	path->stops = true;
	path->keeps = keeps;
	pthread_mutex_unlock(&path->ordering);
	if (path->has_thread) {
		wake(path);
		(void)pthread_join(path->thread, NULL);
	}
	path->has_thread = false;
	kernel_rules_fini(&path->steering.carrier.rules);
	free(path->wanted);
	path->wanted = NULL;
	fd_close(&path->wake);
	pthread_cond_destroy(&path->carried_out);
	pthread_mutex_destroy(&path->ordering);
	pthread_mutex_destroy(&path->lock);
}

void kernel_path_set_rules(struct kernel_path *path, struct rule *rules, size_t count)
{
	pthread_mutex_lock(&path->ordering);
	free(path->wanted);
	path->wanted = rules;
	path->wanted_count = count;
	path->orders++;
	pthread_mutex_unlock(&path->ordering);
	wake(path);
}

void kernel_path_drain(struct kernel_path *path)
{
	pthread_mutex_lock(&path->ordering);
	path->drains = true;
	pthread_mutex_unlock(&path->ordering);
	wake(path);
}

void kernel_path_wait(struct kernel_path *path)
{
	pthread_mutex_lock(&path->ordering);
	while (path->done != path->orders && !path->stops)
		pthread_cond_wait(&path->carried_out, &path->ordering);
	pthread_mutex_unlock(&path->ordering);
}

/* What is shown. */

/* As it is now, or was a moment ago. With the lock held. */
static void refresh(struct kernel_path *path)
{
	uint64_t age_ns = clock_now_ns() - path->steering.carrier.flows.swept_ns;

	if (path->steering.carrier.is_open &&
	    age_ns >= SWEEP_SHARE_ASKED * path->steering.carrier.flows.sweep_cost_ns)
		flow_table_sweep(&path->steering.carrier.flows);
}

void kernel_path_refresh(struct kernel_path *path)
{
	pthread_mutex_lock(&path->lock);
	if (path->steering.carrier.is_open)
		flow_table_sweep(&path->steering.carrier.flows);
	pthread_mutex_unlock(&path->lock);
}

bool kernel_path_describe(struct kernel_path *path, const struct rule *key,
			  struct kernel_path_state *ret)
{
	const struct kernel_rule *rule;

	pthread_mutex_lock(&path->lock);
	refresh(path);
	rule = kernel_rules_find(&path->steering.carrier.rules, key);
	if (rule) {
		*ret = (struct kernel_path_state){ .is_carried = rule->is_carried,
						   .obstacle = rule->obstacle,
						   .in_packets = rule->in_packets,
						   .out_packets = rule->out_packets };
		relay_counters_read(&rule->counters, &ret->counts);
	}
	pthread_mutex_unlock(&path->lock);
	return rule;
}

void kernel_path_list(struct kernel_path *path,
		      void (*take)(void *context, const struct session *session,
				   const struct kernel_rule *rule),
		      void *context)
{
	pthread_mutex_lock(&path->lock);
	if (path->steering.carrier.is_open) {
		flow_table_sweep(&path->steering.carrier.flows);
		flow_table_list(&path->steering.carrier.flows, take, context);
	}
	pthread_mutex_unlock(&path->lock);
}

bool kernel_path_end_session(struct kernel_path *path, uint64_t id)
{
	bool found;

	pthread_mutex_lock(&path->lock);
	found = path->steering.carrier.is_open && flow_table_end(&path->steering.carrier.flows, id);
	pthread_mutex_unlock(&path->lock);
	return found;
}

void kernel_path_sum_up(const struct kernel_path *path, struct kernel_path_totals *ret)
{
	const struct flow_table *flows = &path->steering.carrier.flows;

	*ret = (struct kernel_path_totals){ .open = flows->count,
					    .in_bytes = flows->in_bytes,
					    .out_bytes = flows->out_bytes };
}

void kernel_path_count(struct kernel_path *path, struct kernel_path_counts *ret)
{
	*ret = (struct kernel_path_counts){ .is_open = false };
	pthread_mutex_lock(&path->lock);
	ret->is_open = path->steering.carrier.is_open;
	if (path->steering.carrier.is_open) {
		ret->flows = path->steering.carrier.flows.count;
		translator_count(&path->steering.carrier.translator, ret->packets);
	}
	pthread_mutex_unlock(&path->lock);
}
