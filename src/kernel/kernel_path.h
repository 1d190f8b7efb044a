/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel path: outside IPv6 clients of some rules are carried by the kernel, packet by packet,
 * and no socket of ours sees them. Rules that take it are published by the relay, too, which serves
 * whoever cannot be carried so: clients of this host, and those that a rule denies.
 *
 * One thread does what there is to do: it gets each client's first packet, reads now and then what
 * the kernel has carried, and follows the host's addresses. What it needs of the host is there while
 * there is a rule for it. Functions are for any thread, unless they say otherwise.
 */
#ifndef FAIRLEAD_KERNEL_KERNEL_PATH_H
#define FAIRLEAD_KERNEL_KERNEL_PATH_H

#include <pthread.h>
#include <stdbool.h>

#include "kernel/steering.h"

struct kernel_path {
	pthread_t thread;
	int wake; /* an eventfd(2) */
	bool has_thread;

	pthread_mutex_t ordering; /* of what is wanted: held for moments */
	pthread_cond_t carried_out;
	struct rule *wanted;
	size_t wanted_count;
	uint64_t orders, done; /* sets of rules that were wanted, and those that are in force */
	bool drains, stops, keeps;

	pthread_mutex_t lock; /* of what is: the rest */
	struct steering steering;
	bool is_draining;
	uint64_t looked_ns;    /* when it was done last */
	uint64_t packets_seen; /* by the last sweep */
};

/* Starts the thread. Nothing of the host is touched yet. Returns 0 or -errno with a sentence. */
int kernel_path_start(struct kernel_path *path, const struct carrier_settings *settings,
		      struct error *err);

/*
 * Ends it, and takes away what it has made of the host; or leaves that, with the connections that
 * are open, for the next run.
 */
void kernel_path_stop(struct kernel_path *path, bool keeps);

/*
 * The rules that there are to be from now on; those that are to be carried by the relay alone need
 * not be among them. Does not wait. The array is the path's, to be freed.
 */
void kernel_path_set_rules(struct kernel_path *path, struct rule *rules, size_t count);

/* Takes no further clients. Sessions of TCP go on, those of UDP end. */
void kernel_path_drain(struct kernel_path *path);

/* Waits until the rules that were set are in force, as far as they can be. */
void kernel_path_wait(struct kernel_path *path);

/* Has what is shown of rules be as it is now, and not as it was some milliseconds ago. */
void kernel_path_refresh(struct kernel_path *path);

/* How it is about a rule. */
struct kernel_path_state {
	bool is_carried;
	struct error obstacle; /* why not: a sentence */
	struct relay_counts counts;
	uint64_t in_packets, out_packets;
};

/* Returns false where it knows of no such rule. */
bool kernel_path_describe(struct kernel_path *path, const struct rule *key,
			  struct kernel_path_state *ret);

/* Shows the sessions that are open, as they are now. */
void kernel_path_list(struct kernel_path *path,
		      void (*take)(void *context, const struct session *session,
				   const struct kernel_rule *rule),
		      void *context);

/* Returns false where there is no such session. */
bool kernel_path_end_session(struct kernel_path *path, uint64_t id);

/*
 * All sessions together, as the last sweep has found them. Does not wait. Bytes begin anew with the
 * first rule.
 */
struct kernel_path_totals {
	uint64_t open, in_bytes, out_bytes;
};
void kernel_path_sum_up(const struct kernel_path *path, struct kernel_path_totals *ret);

struct kernel_path_counts {
	bool is_open;
	uint64_t flows;
	uint64_t packets[TRANSLATOR_COUNTERS];
};
void kernel_path_count(struct kernel_path *path, struct kernel_path_counts *ret);

#endif
