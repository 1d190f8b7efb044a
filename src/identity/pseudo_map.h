/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which client has which pseudo-IPv4 address, in memory.
 *
 * A client is a prefix: an IPv6 network of client_length, or one IPv4 address. Its address follows
 * from a keyed hash of the prefix, so that it nearly always gets the same one even if the map was
 * lost; where that one is taken, from a further hash. An assignment stays until its address is
 * needed: it is given to somebody else only when no session is open and the lease is over, and then
 * the one unused longest goes first.
 *
 * Pure: no clock, no lock, no disk. Times are in ms of the wall clock, and given. All is O(1).
 */
#ifndef FAIRLEAD_IDENTITY_PSEUDO_MAP_H
#define FAIRLEAD_IDENTITY_PSEUDO_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "identity/pseudo_shares.h"
#include "net/prefix.h"

/* An assignment as it is recorded. */
struct pseudo_record {
	uint64_t since_ms, last_seen_ms;
	uint8_t client[16]; /* IPv4 in the mapped form */
	uint32_t pseudo;    /* host byte order */
	uint8_t length;	    /* of the client's prefix */
};

/* Leaves the network of that length of a recorded client. */
void pseudo_record_cut(struct pseudo_record *record, uint8_t length);

/* An index is kept of each; 0 stands for none, so they begin at 1. */
struct pseudo_entry {
	struct pseudo_record record;
	uint32_t sessions;
	uint32_t next_of_client, next_of_pseudo; /* in their buckets */
	uint32_t older, newer;			 /* among the unused */
	bool is_taken, is_touched;		 /* touched: last_seen is not recorded yet */
	bool is_counted;			 /* in the shares of its networks */
};

struct pseudo_map {
	struct siphash_key key;
	struct prefix pool;
	uint8_t client_length;
	uint64_t lease_ms;
	uint32_t first, count_most; /* addresses: the first that is given out, and how many are */

	struct pseudo_entry *entries; /* entries[0] is the head of the unused */
	struct pseudo_shares shares;  /* of those in use, or within their lease */
	uint32_t ended;		      /* the newest of the unused that is not counted in them */
	uint32_t entries_max, entries_end;
	uint32_t free_entry; /* a chain through next_of_client */
	uint32_t *by_client, *by_pseudo;
	uint32_t buckets; /* a power of two */
	uint32_t count, in_use;
};

/*
 * entries_max bounds the memory, which is touched as it is needed. Returns 0 or -ENOMEM.
 */
int pseudo_map_init(struct pseudo_map *map, const struct siphash_key *key,
		    const struct prefix *pool, uint8_t client_length, uint64_t lease_ms,
		    uint32_t entries_max);
void pseudo_map_fini(struct pseudo_map *map);

/* The address of the pool that no client gets, for what this host has to ask from one. */
void pool_probe_address(const struct prefix *pool, struct address *ret);

/* How many addresses of the pool clients can have. */
uint32_t pool_size(const struct prefix *pool);

/*
 * Begins a use. Returns the entry's index; *ret_new is true where the assignment is a new one, and
 * *ret_evicted the address of whom it was taken from was somebody's before. -ENOSPC: all addresses
 * are in use, or within their lease, or as many as the client's network may have.
 */
int64_t pseudo_map_take(struct pseudo_map *map, const struct address *client, uint64_t now_ms,
			bool *ret_new, bool *ret_evicted);
void pseudo_map_give(struct pseudo_map *map, uint32_t index, uint64_t now_ms);

/* Takes back what pseudo_map_take() has made new, as if it had never been. */
void pseudo_map_undo(struct pseudo_map *map, uint32_t index);

/*
 * Puts in an assignment that was recorded. Returns false where it does not fit: outside of the pool,
 * of another length, or of an address or client that is there.
 */
bool pseudo_map_restore(struct pseudo_map *map, const struct pseudo_record *record);

/* By an address of the pool, or a client's. NULL where there is none. */
const struct pseudo_entry *pseudo_map_find(const struct pseudo_map *map,
					   const struct address *either);

/* The prefix of a client, in its recorded form. */
void pseudo_map_client(const struct pseudo_map *map, const struct address *client,
		       struct pseudo_record *ret);

/* Whether the address is one of the pool. */
bool pseudo_map_is_of_pool(const struct pseudo_map *map, const struct address *address);

/* The one that is unused for longest, if it was last seen before; else 0. */
uint32_t pseudo_map_oldest(const struct pseudo_map *map, uint64_t before_ms);
void pseudo_map_forget(struct pseudo_map *map, uint32_t index);

#endif
