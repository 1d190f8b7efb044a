/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pseudo-IPv4 addresses: each client has one of its own, which containers see.
 *
 * The map in memory (pseudo_map.h) is what threads that carry data ask; a journal (pseudo_journal.h)
 * makes sure that an assignment is known after a crash before anybody has seen it; and a thread takes
 * it to the store (pseudo_store.h), which knows the past, too.
 */
#ifndef FAIRLEAD_IDENTITY_PSEUDO_H
#define FAIRLEAD_IDENTITY_PSEUDO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "net/prefix.h"

/* Of the assignments in memory, with 64 bytes each. */
#define PSEUDO_CLIENTS_MAX 1048576u

struct pseudo_settings {
	struct prefix pool;
	uint8_t client_length; /* of the prefix of IPv6 that is one client */
	uint64_t lease_s;      /* for how long an unused address is kept for its client */
	uint64_t history_s;    /* for how long the store knows of clients that have gone */
	uint32_t clients_max;  /* 0: PSEUDO_CLIENTS_MAX */
	const char *store;     /* the path of the database; NULL: there is none */

	/*
	 * Told on a thread of its own when the store begins to fail (code below 0), and when it works
	 * again. May be NULL.
	 */
	void (*troubled)(void *context, const struct error *err);
	void *context;

	uint64_t (*now_ms)(void); /* for tests; NULL: the wall clock */
};

struct pseudo;

/* Takes some time. NULL with a sentence where it cannot be. */
struct pseudo *pseudo_open(const struct pseudo_settings *settings, struct error *err);
void pseudo_close(struct pseudo *pseudo);

/*
 * From any thread, without waiting for a disk: begins a session of that client. *ret has its address
 * (port 0), and *ret_lease, which is never 0, ends it. Returns 0; -ENOSPC where all addresses are in
 * use or within their lease; -EAGAIN where there are too many new clients for the store.
 */
int pseudo_take(struct pseudo *pseudo, const struct address *client, struct address *ret,
		uint32_t *ret_lease);
void pseudo_give(struct pseudo *pseudo, uint32_t lease);

struct pseudo_assignment {
	struct address pseudo; /* port 0 */
	struct prefix client;
	uint64_t since_s, last_seen_s; /* Unix time */
	uint32_t sessions;	       /* open ones */
	bool is_current;
};

/* By an address of the pool, or a client's. From any thread. Returns 0 or -ENOENT. */
int pseudo_find(struct pseudo *pseudo, const struct address *either, struct pseudo_assignment *ret);

/*
 * The one in force at that time. Waits for the disk. Returns 0, -ENOENT, or -errno with a sentence.
 */
int pseudo_find_at(struct pseudo *pseudo, const struct address *either, uint64_t at_s,
		   struct pseudo_assignment *ret, struct error *err);

/*
 * Shows those in force, of which it looks at `most` at the most. *cursor is 0 at first, and then what
 * the last call has left there. Returns false once all have been looked at.
 */
bool pseudo_list(struct pseudo *pseudo, uint32_t *cursor, uint32_t most,
		 void (*take)(void *context, const struct pseudo_assignment *assignment),
		 void *context);

struct pseudo_counts {
	uint64_t pool_size;
	uint64_t assignments, in_use;
	uint64_t assigned_total, reassigned_total;
	uint64_t refused_full_total, refused_behind_total, store_errors_total;
};

void pseudo_count(struct pseudo *pseudo, struct pseudo_counts *ret);

#endif
