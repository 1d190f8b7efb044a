/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/identities.h"

#include <unistd.h>

#include "identity/pseudo_map.h"

/* A container on this host answers within a millisecond. */
#define REACH_TIMEOUT_MS 300

void identities_init(struct identities *identities, const struct pseudo_settings *settings,
		     const char *run_directory)
{
	introductions_init(&identities->introductions);
	identities->settings = *settings;
	identities->run_directory = run_directory;
	identities->has_host = false;
	pthread_mutex_init(&identities->opening, NULL);
}

void identities_fini(struct identities *identities)
{
	if (identities->introductions.pseudo)
		pseudo_close(identities->introductions.pseudo);
	if (identities->has_host)
		pool_host_close(&identities->host);
	pthread_mutex_destroy(&identities->opening);
}

/* With the lock held, as those that follow. */
static int open_pseudo(struct identities *identities, struct error *err)
{
	if (!identities->introductions.pseudo)
		identities->introductions.pseudo = pseudo_open(&identities->settings, err);
	return identities->introductions.pseudo ? 0 : err->code;
}

static int open_host(struct identities *identities, struct error *err)
{
	if (!identities->has_host && pool_host_open(&identities->host, &identities->settings.pool,
						    identities->run_directory, err) < 0)
		return err->code;
	identities->has_host = true;
	return 0;
}

int identities_prepare(struct identities *identities, const struct identity *identity,
		       struct error *err)
{
	int r;

	if (!(identity->kinds & IDENTITY_PSEUDO_IPV4))
		return 0;
	pthread_mutex_lock(&identities->opening);
	r = open_host(identities, err);
	if (r == 0)
		r = open_pseudo(identities, err);
	pthread_mutex_unlock(&identities->opening);
	return r;
}

int identities_recall(struct identities *identities, struct error *err)
{
	const char *store = identities->settings.store;
	int r;

	if (!store || access(store, F_OK) < 0)
		return 0;
	pthread_mutex_lock(&identities->opening);
	r = open_pseudo(identities, err);
	pthread_mutex_unlock(&identities->opening);
	return r;
}

int identities_prepare_all(struct identities *identities, const struct ruleset *rules,
			   struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < rules->count && r == 0; i++)
		r = identities_prepare(identities, &rules->rules[i].identity, err);
	return r;
}

enum pool_reach identities_reach(const struct identities *identities,
				 const struct address *container, struct error *err)
{
	struct address source;

	pool_probe_address(&identities->settings.pool, &source);
	return pool_reach_check(container, &source, REACH_TIMEOUT_MS, err);
}

struct pseudo *identities_pseudo(struct identities *identities)
{
	return identities->introductions.pseudo;
}

int identities_check_host(struct identities *identities, struct error *err)
{
	int r = 0;

	pthread_mutex_lock(&identities->opening);
	if (identities->has_host)
		r = pool_host_check(&identities->host, err);
	pthread_mutex_unlock(&identities->opening);
	return r;
}
