/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that rules with an identity need of a process and its host: the introducer, and, from the
 * first rule on that wants pseudo-IPv4 addresses, these, their route and its guard. Who had which
 * address can be told without that, if it was recorded.
 *
 * Whoever publishes such rules prepares them first, since that may fail, and takes some time: not on
 * a thread that carries data.
 */
#ifndef FAIRLEAD_IDENTITY_IDENTITIES_H
#define FAIRLEAD_IDENTITY_IDENTITIES_H

#include <pthread.h>

#include "identity/introductions.h"
#include "identity/pool_host.h"
#include "identity/pool_reach.h"
#include "model/ruleset.h"

/* Where locks are, for others of this host to see. */
#define IDENTITIES_RUN_DIRECTORY "/run/fairlead"

struct identities {
	struct introductions introductions;
	struct pseudo_settings settings;
	const char *run_directory; /* for locks */
	pthread_mutex_t opening;   /* of what follows */
	struct pool_host host;
	bool has_host;
};

/* The texts stay the caller's. It does not move afterwards. */
void identities_init(struct identities *identities, const struct pseudo_settings *settings,
		     const char *run_directory);
void identities_fini(struct identities *identities);

/*
 * Makes ready what rules with this identity need. Returns 0, also where that is nothing, or -errno
 * with a sentence.
 */
int identities_prepare(struct identities *identities, const struct identity *identity,
		       struct error *err);
int identities_prepare_all(struct identities *identities, const struct ruleset *rules,
			   struct error *err);

/*
 * Opens what was recorded of pseudo-IPv4 addresses, if it was, and is not open. Returns 0, or -errno
 * with a sentence.
 */
int identities_recall(struct identities *identities, struct error *err);

/*
 * Whether a container can answer pseudo-IPv4 addresses, as far as that can be found out in a moment.
 * POOL_REACH_NONE comes with a sentence.
 */
enum pool_reach identities_reach(const struct identities *identities,
				 const struct address *container, struct error *err);

/* NULL where nobody has needed it, and nothing was recorded. */
struct pseudo *identities_pseudo(struct identities *identities);

/*
 * Whether route and guard are still there; if not, puts them there again, and says so. To be called
 * now and then. Returns 0, or -errno with a sentence, -EAGAIN where something was missing and is
 * there again.
 */
int identities_check_host(struct identities *identities, struct error *err);

#endif
