/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pseudo.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/processors.h"
#include "identity/pseudo_journal.h"
#include "identity/pseudo_map.h"
#include "identity/pseudo_store.h"
#include "wire/bytes.h"

/* New assignments wait so long for company, or until this many do. */
#define BATCH_PERIOD_MS 200
#define BATCH_MAX 4096

/* How often it is recorded when clients were last seen: what a crash may lose of that. */
#define TOUCH_PERIOD_MS 10000

/* How often those are forgotten of whom nothing is to be known any more. */
#define EXPIRY_PERIOD_MS 600000

/* Of the map, under its lock. */
#define ENTRIES_PER_PIECE 1024

/* By so much the clock may be set back, and times are kept in order; more is a correction. */
#define STEP_BACK_MAX_MS (3600 * UINT64_C(1000))

struct pseudo {
	struct pseudo_settings settings;
	pthread_mutex_t mutex; /* of the map, the journal's writing and the counts */
	struct pseudo_map map;
	struct pseudo_journal journal;
	struct pseudo_counts counts;
	uint64_t latest_ms; /* that anything was recorded with */

	pthread_mutex_t storing; /* of the store */
	struct pseudo_store *store;
	bool is_troubled;

	pthread_t thread;
	bool has_thread, stopping;
	pthread_cond_t wake;
	struct pseudo_record *batch; /* BATCH_MAX, the thread's */
};

static uint64_t wall_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / NS_PER_MS;
}

static uint64_t now_ms(const struct pseudo *pseudo)
{
	return pseudo->settings.now_ms ? pseudo->settings.now_ms() : wall_clock_ms();
}

/* For what is recorded, under the lock of the map: does not go back where the clock is set. */
static uint64_t record_ms(struct pseudo *pseudo)
{
	uint64_t now = now_ms(pseudo);

	if (now >= pseudo->latest_ms || pseudo->latest_ms - now > STEP_BACK_MAX_MS)
		pseudo->latest_ms = now;
	return pseudo->latest_ms;
}

/* On threads that carry data. */

static void put_address(uint32_t address, struct address *ret)
{
	*ret = (struct address){ .family = AF_INET };
	bytes_put32(ret->ip, address);
}

/* Counts a new assignment, and writes it into the journal; takes it back where that is full. */
static int record_new(struct pseudo *pseudo, uint32_t index, bool was_evicted)
{
	int r = pseudo_journal_write(&pseudo->journal, &pseudo->map.entries[index].record);

	if (r < 0) {
		pseudo_map_undo(&pseudo->map, index);
		pseudo->counts.refused_behind_total++;
		return r;
	}
	pseudo->counts.assigned_total++;
	pseudo->counts.reassigned_total += was_evicted;
	if (pseudo_journal_waiting(&pseudo->journal) == PSEUDO_JOURNAL_ROOM / 4)
		pthread_cond_signal(&pseudo->wake);
	return 0;
}

int pseudo_take(struct pseudo *pseudo, const struct address *client, struct address *ret,
		uint32_t *ret_lease)
{
	bool is_new, was_evicted;
	int64_t index;
	int r = 0;

	pthread_mutex_lock(&pseudo->mutex);
	/* before anybody loses his, since it could not be recorded that he has */
	if (pseudo_journal_waiting(&pseudo->journal) >= PSEUDO_JOURNAL_ROOM &&
	    !pseudo_map_find(&pseudo->map, client)) {
		pseudo->counts.refused_behind_total++;
		pthread_mutex_unlock(&pseudo->mutex);
		return -EAGAIN;
	}
	index = pseudo_map_take(&pseudo->map, client, record_ms(pseudo), &is_new, &was_evicted);
	if (index < 0) {
		pseudo->counts.refused_full_total++;
		r = (int)index;
	} else if (is_new) {
		r = record_new(pseudo, (uint32_t)index, was_evicted);
	}
	if (r == 0) {
		put_address(pseudo->map.entries[index].record.pseudo, ret);
		*ret_lease = (uint32_t)index;
	}
	pthread_mutex_unlock(&pseudo->mutex);
	return r;
}

void pseudo_give(struct pseudo *pseudo, uint32_t lease)
{
	pthread_mutex_lock(&pseudo->mutex);
	pseudo_map_give(&pseudo->map, lease, record_ms(pseudo));
	pthread_mutex_unlock(&pseudo->mutex);
}

/* Looking. */

static void show_record(const struct pseudo_record *record, struct pseudo_assignment *ret)
{
	struct address client;

	*ret = (struct pseudo_assignment){ .since_s = record->since_ms / 1000,
					   .last_seen_s = record->last_seen_ms / 1000 };
	put_address(record->pseudo, &ret->pseudo);
	bytes_get_ipv6(record->client, 0, &client);
	memcpy(ret->client.ip, client.ip, sizeof(client.ip));
	ret->client.family = client.family;
	ret->client.length = client.family == AF_INET ? 32 : record->length;
}

static void show_entry(const struct pseudo_entry *entry, struct pseudo_assignment *ret)
{
	show_record(&entry->record, ret);
	ret->sessions = entry->sessions;
	ret->is_current = true;
}

int pseudo_find(struct pseudo *pseudo, const struct address *either, struct pseudo_assignment *ret)
{
	const struct pseudo_entry *entry;

	pthread_mutex_lock(&pseudo->mutex);
	entry = pseudo_map_find(&pseudo->map, either);
	if (entry)
		show_entry(entry, ret);
	pthread_mutex_unlock(&pseudo->mutex);
	return entry ? 0 : -ENOENT;
}

static int find_record(struct pseudo *pseudo, struct pseudo_record *record, uint64_t at_ms,
		       struct pseudo_assignment *ret, struct error *err)
{
	bool is_current;
	int r;

	pthread_mutex_lock(&pseudo->storing);
	r = pseudo_store_find(pseudo->store, at_ms, record, &is_current, err);
	pthread_mutex_unlock(&pseudo->storing);
	if (r < 0)
		return r;
	show_record(record, ret);
	ret->is_current = is_current;
	return 0;
}

static int find_stored(struct pseudo *pseudo, const struct address *either, uint64_t at_ms,
		       struct pseudo_assignment *ret, struct error *err)
{
	struct pseudo_record as_pseudo = { .pseudo = 0 }, as_client = { .pseudo = 0 };
	int r = -ENOENT;

	if (!pseudo->store)
		return -ENOENT;
	bytes_put_ipv6(as_client.client, either);
	if (either->family == AF_INET)
		as_pseudo.pseudo = bytes_get32(either->ip);
	if (!pseudo_map_is_of_pool(&pseudo->map, either))
		r = find_record(pseudo, &as_client, at_ms, ret, err);
	if (r == -ENOENT && as_pseudo.pseudo != 0) /* of the pool, or of an earlier one */
		r = find_record(pseudo, &as_pseudo, at_ms, ret, err);
	return r;
}

int pseudo_find_at(struct pseudo *pseudo, const struct address *either, uint64_t at_s,
		   struct pseudo_assignment *ret, struct error *err)
{
	/* the last moment of that second, since times are given, and shown, in seconds */
	uint64_t at_ms = at_s < UINT64_MAX / 1000 - 1 ? at_s * 1000 + 999 : INT64_MAX;

	if (at_ms > INT64_MAX)
		at_ms = INT64_MAX;
	/* one in force now is since a later time only where the clock was set back */
	if (pseudo_find(pseudo, either, ret) == 0 &&
	    (ret->since_s <= at_s || now_ms(pseudo) <= at_ms))
		return 0;
	return find_stored(pseudo, either, at_ms, ret, err);
}

bool pseudo_list(struct pseudo *pseudo, uint32_t *cursor, uint32_t most,
		 void (*take)(void *context, const struct pseudo_assignment *assignment),
		 void *context)
{
	struct pseudo_assignment assignment;
	bool more;

	pthread_mutex_lock(&pseudo->mutex);
	for (uint32_t i = 0; i < most && *cursor < pseudo->map.entries_end; i++) {
		const struct pseudo_entry *entry = &pseudo->map.entries[(*cursor)++];

		if (!entry->is_taken)
			continue;
		show_entry(entry, &assignment);
		take(context, &assignment);
	}
	more = *cursor < pseudo->map.entries_end;
	pthread_mutex_unlock(&pseudo->mutex);
	return more;
}

void pseudo_count(struct pseudo *pseudo, struct pseudo_counts *ret)
{
	pthread_mutex_lock(&pseudo->mutex);
	*ret = pseudo->counts;
	ret->pool_size = pseudo->map.count_most;
	ret->assignments = pseudo->map.count;
	ret->in_use = pseudo->map.in_use;
	pthread_mutex_unlock(&pseudo->mutex);
}

/* On the thread of the store. */

/* Says when it begins to fail, and when it is well again; counts each failure. */
static void tell(struct pseudo *pseudo, int r, struct error *err)
{
	bool changes = pseudo->is_troubled != (r < 0);

	if (r < 0) {
		pthread_mutex_lock(&pseudo->mutex);
		pseudo->counts.store_errors_total++;
		pthread_mutex_unlock(&pseudo->mutex);
	}
	pseudo->is_troubled = r < 0;
	if (!changes || !pseudo->settings.troubled)
		return;
	if (r == 0)
		(void)error_set(err, 0, "%.150s: works again", pseudo->settings.store);
	pseudo->settings.troubled(pseudo->settings.context, err);
}

/* Takes what waits in the journal to the store. Returns whether there may be more. */
static bool store_batch(struct pseudo *pseudo)
{
	size_t count = pseudo_journal_read(&pseudo->journal, pseudo->batch, BATCH_MAX);
	struct error err;
	int r;

	if (count == 0)
		return false;
	pthread_mutex_lock(&pseudo->storing);
	r = pseudo_store_add(pseudo->store, pseudo->batch, count, &err);
	pthread_mutex_unlock(&pseudo->storing);
	if (r == 0)
		pseudo_journal_done(&pseudo->journal, count);
	tell(pseudo, r, &err);
	return r == 0;
}

/* Those that were seen since the last time, of a piece of the map. */
static size_t collect_touched(struct pseudo *pseudo, uint32_t *cursor, bool *ret_more)
{
	size_t count = 0;

	pthread_mutex_lock(&pseudo->mutex);
	for (uint32_t i = 0; i < ENTRIES_PER_PIECE && *cursor < pseudo->map.entries_end; i++) {
		struct pseudo_entry *entry = &pseudo->map.entries[(*cursor)++];

		if (!entry->is_taken || !entry->is_touched)
			continue;
		if (entry->sessions > 0)
			entry->record.last_seen_ms = record_ms(pseudo);
		entry->is_touched = entry->sessions > 0;
		pseudo->batch[count++] = entry->record;
	}
	*ret_more = *cursor < pseudo->map.entries_end;
	pthread_mutex_unlock(&pseudo->mutex);
	return count;
}

/* Those that were collected, and could not be stored; some more do no harm. */
static void touch_again(struct pseudo *pseudo, uint32_t from, uint32_t to)
{
	pthread_mutex_lock(&pseudo->mutex);
	for (uint32_t i = from; i < to; i++)
		if (pseudo->map.entries[i].is_taken)
			pseudo->map.entries[i].is_touched = true;
	pthread_mutex_unlock(&pseudo->mutex);
}

static void store_touched(struct pseudo *pseudo)
{
	uint32_t cursor = 1;
	bool more = true;
	struct error err;
	int r = 0;

	while (r == 0 && more) {
		uint32_t first = cursor;
		size_t count = collect_touched(pseudo, &cursor, &more);

		if (count == 0)
			continue;
		pthread_mutex_lock(&pseudo->storing);
		r = pseudo_store_touch(pseudo->store, pseudo->batch, count, &err);
		pthread_mutex_unlock(&pseudo->storing);
		if (r < 0)
			touch_again(pseudo, first, cursor);
		tell(pseudo, r, &err);
	}
}

/* Takes some out of the map that are not to be known any more. */
static size_t take_expired(struct pseudo *pseudo, uint64_t before_ms)
{
	size_t count = 0;
	uint32_t index;

	pthread_mutex_lock(&pseudo->mutex);
	while (count < ENTRIES_PER_PIECE &&
	       (index = pseudo_map_oldest(&pseudo->map, before_ms)) != 0) {
		pseudo->batch[count++] = pseudo->map.entries[index].record;
		pseudo_map_forget(&pseudo->map, index);
	}
	pthread_mutex_unlock(&pseudo->mutex);
	return count;
}

static void expire(struct pseudo *pseudo)
{
	const struct pseudo_settings *settings = &pseudo->settings;
	uint64_t kept_ms = 1000 * (settings->history_s > settings->lease_s ? settings->history_s
									   : settings->lease_s);
	uint64_t now = now_ms(pseudo);
	struct error err;
	size_t count;
	int r = 0;

	if (now < kept_ms)
		return;
	while (r == 0 && (count = take_expired(pseudo, now - kept_ms)) > 0) {
		pthread_mutex_lock(&pseudo->storing);
		r = pseudo_store_forget(pseudo->store, pseudo->batch, count, &err);
		pthread_mutex_unlock(&pseudo->storing);
	}
	if (r == 0) {
		pthread_mutex_lock(&pseudo->storing);
		r = pseudo_store_expire(pseudo->store, now - 1000 * settings->history_s, &err);
		pthread_mutex_unlock(&pseudo->storing);
	}
	tell(pseudo, r, &err);
}

/* Returns false when it is to end. */
static bool wait_for_work(struct pseudo *pseudo)
{
	struct timespec until;
	bool goes_on;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(BATCH_PERIOD_MS * NS_PER_MS);
	until.tv_sec += until.tv_nsec / (long)NS_PER_S;
	until.tv_nsec %= (long)NS_PER_S;
	pthread_mutex_lock(&pseudo->mutex);
	if (!pseudo->stopping)
		(void)pthread_cond_timedwait(&pseudo->wake, &pseudo->mutex, &until);
	goes_on = !pseudo->stopping;
	pthread_mutex_unlock(&pseudo->mutex);
	return goes_on;
}

static void *run(void *context)
{
	struct pseudo *pseudo = context;
	uint64_t touched_ns = clock_now_ns(), expired_ns = 0;

	processors_give_way();
	while (wait_for_work(pseudo)) {
		uint64_t now = clock_now_ns();

		while (store_batch(pseudo))
			;
		if (now - touched_ns >= TOUCH_PERIOD_MS * NS_PER_MS) {
			store_touched(pseudo);
			touched_ns = now;
		}
		if (expired_ns == 0 || now - expired_ns >= EXPIRY_PERIOD_MS * NS_PER_MS) {
			expire(pseudo);
			expired_ns = now;
		}
	}
	while (store_batch(pseudo))
		;
	store_touched(pseudo);
	return NULL;
}

/* Opening. */

static bool restore(void *context, const struct pseudo_record *record)
{
	struct pseudo *pseudo = context;

	if (record->last_seen_ms > pseudo->latest_ms)
		pseudo->latest_ms = record->last_seen_ms;
	return pseudo_map_restore(&pseudo->map, record);
}

/* What the last run has not brought to the store, to begin with. */
static int replay(struct pseudo *pseudo, struct error *err)
{
	size_t count;

	while ((count = pseudo_journal_read(&pseudo->journal, pseudo->batch, BATCH_MAX)) > 0) {
		int r = pseudo_store_add(pseudo->store, pseudo->batch, count, err);

		if (r < 0)
			return r;
		pseudo_journal_done(&pseudo->journal, count);
	}
	return 0;
}

static int open_store(struct pseudo *pseudo, struct siphash_key *ret_key, struct error *err)
{
	char path[300];
	int r;

	(void)snprintf(path, sizeof(path), "%.280s.journal", pseudo->settings.store);
	pseudo->store = pseudo_store_open(pseudo->settings.store, err);
	if (!pseudo->store)
		return err->code;
	r = pseudo_store_key(pseudo->store, ret_key, err);
	if (r == 0)
		r = pseudo_journal_open(&pseudo->journal, path, err);
	return r == 0 ? replay(pseudo, err) : r;
}

static int start_thread(struct pseudo *pseudo, struct error *err)
{
	int r = -pthread_create(&pseudo->thread, NULL, run, pseudo);

	if (r < 0)
		return error_set(err, r, "no thread for the store of pseudo-IPv4 addresses: %s",
				 error_name(r));
	pseudo->has_thread = true;
	return 0;
}

static int begin(struct pseudo *pseudo, struct error *err)
{
	const struct pseudo_settings *settings = &pseudo->settings;
	struct siphash_key key;
	int r = settings->store ? open_store(pseudo, &key, err) : siphash_key_init(&key);

	if (r < 0)
		return settings->store ? r : error_set(err, r, "getrandom: %s", error_name(r));
	r = pseudo_map_init(&pseudo->map, &key, &settings->pool, settings->client_length,
			    settings->lease_s * 1000, settings->clients_max);
	if (r < 0)
		return error_set(err, r, "no memory for pseudo-IPv4 addresses");
	if (!settings->store)
		return 0;
	r = pseudo_store_load(pseudo->store, restore, pseudo, err);
	return r == 0 ? start_thread(pseudo, err) : r;
}

struct pseudo *pseudo_open(const struct pseudo_settings *settings, struct error *err)
{
	struct pseudo *pseudo = calloc(1, sizeof(*pseudo));
	pthread_condattr_t attributes;

	if (pseudo)
		pseudo->batch = calloc(BATCH_MAX, sizeof(pseudo->batch[0]));
	if (!pseudo || !pseudo->batch) {
		free(pseudo);
		error_set(err, -ENOMEM, "no memory for pseudo-IPv4 addresses");
		return NULL;
	}
	pseudo->settings = *settings;
	if (settings->clients_max == 0)
		pseudo->settings.clients_max = PSEUDO_CLIENTS_MAX;
	pthread_mutex_init(&pseudo->mutex, NULL);
	pthread_mutex_init(&pseudo->storing, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&pseudo->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	if (begin(pseudo, err) == 0)
		return pseudo;
	pseudo_close(pseudo);
	return NULL;
}

static void stop_thread(struct pseudo *pseudo)
{
	pthread_mutex_lock(&pseudo->mutex);
	pseudo->stopping = true;
	pthread_cond_signal(&pseudo->wake);
	pthread_mutex_unlock(&pseudo->mutex);
	(void)pthread_join(pseudo->thread, NULL);
}

void pseudo_close(struct pseudo *pseudo)
{
	if (pseudo->has_thread)
		stop_thread(pseudo);
	pseudo_journal_close(&pseudo->journal);
	if (pseudo->store)
		pseudo_store_close(pseudo->store);
	if (pseudo->map.entries)
		pseudo_map_fini(&pseudo->map);
	pthread_cond_destroy(&pseudo->wake);
	pthread_mutex_destroy(&pseudo->storing);
	pthread_mutex_destroy(&pseudo->mutex);
	free(pseudo->batch);
	free(pseudo);
}
