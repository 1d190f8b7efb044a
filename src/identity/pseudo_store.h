/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assignments of pseudo-IPv4 addresses in an SQLite database: those in force, and those that were.
 *
 * One thread at a time. Every function returns 0 or -errno with a sentence, unless it says else.
 */
#ifndef FAIRLEAD_IDENTITY_PSEUDO_STORE_H
#define FAIRLEAD_IDENTITY_PSEUDO_STORE_H

#include "base/error.h"
#include "identity/pseudo_map.h"

struct pseudo_store;

/* Opens the database, or makes it. A newer or damaged one is refused, and left as it is. */
struct pseudo_store *pseudo_store_open(const char *path, struct error *err);
void pseudo_store_close(struct pseudo_store *store);

/* The key of the hash, which is made with the database. */
int pseudo_store_key(struct pseudo_store *store, struct siphash_key *ret, struct error *err);

/*
 * Shows those in force, the one unused longest first, and ends the ones for which `take` returns
 * false.
 */
int pseudo_store_load(struct pseudo_store *store,
		      bool (*take)(void *context, const struct pseudo_record *record),
		      void *context, struct error *err);

/* Adds new ones, which end those of the same addresses. All or none. */
int pseudo_store_add(struct pseudo_store *store, const struct pseudo_record *records, size_t count,
		     struct error *err);

/* Records when these were last seen. All or none. */
int pseudo_store_touch(struct pseudo_store *store, const struct pseudo_record *records,
		       size_t count, struct error *err);

/* Forgets some in force. All or none. */
int pseudo_store_forget(struct pseudo_store *store, const struct pseudo_record *records,
			size_t count, struct error *err);

/* Forgets those that have ended, and were last seen before. */
int pseudo_store_expire(struct pseudo_store *store, uint64_t before_ms, struct error *err);

/*
 * The one in force at a time, of an address of the pool or (pseudo 0) of a client, as it stands in
 * *ret: with its whole address, since networks of other lengths may have been clients by then.
 * *ret_is_current: it still is. -ENOENT: there is none.
 */
int pseudo_store_find(struct pseudo_store *store, uint64_t at_ms, struct pseudo_record *ret,
		      bool *ret_is_current, struct error *err);

#endif
