/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pseudo_map.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "wire/bytes.h"

/*
 * Hashes that are tried for an address nobody has, and neighbours after that: in a pool of 1024
 * addresses, all of them are looked at before somebody's is taken.
 */
#define HASHES_MAX 8
#define NEIGHBOURS_MAX 1024

/* Assignments that are looked at when somebody asks for a new one. */
#define ENDED_PER_TURN 4096

/* The first addresses of a pool that is large enough are kept for the host's own use. */
#define RESERVED 16
#define RESERVED_FROM_SIZE 256

static uint64_t addresses_of(const struct prefix *pool)
{
	return UINT64_C(1) << (32 - pool->length);
}

static uint32_t reserved_of(const struct prefix *pool)
{
	return addresses_of(pool) >= RESERVED_FROM_SIZE ? RESERVED : 1;
}

uint32_t pool_size(const struct prefix *pool)
{
	/* not the last one either, which is a broadcast address by its looks, or by its nature */
	return (uint32_t)(addresses_of(pool) - reserved_of(pool) - 1);
}

static void address_of(uint32_t pseudo, struct address *ret)
{
	*ret = (struct address){ .family = AF_INET };
	bytes_put32(ret->ip, pseudo);
}

void pool_probe_address(const struct prefix *pool, struct address *ret)
{
	uint32_t first = bytes_get32(pool->ip);

	address_of(addresses_of(pool) >= RESERVED_FROM_SIZE ? first + 1 : first, ret);
}

static void *map_memory(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void unmap_memory(void *memory, size_t bytes)
{
	if (memory)
		(void)munmap(memory, bytes);
}

static size_t entries_bytes(const struct pseudo_map *map)
{
	return ((size_t)map->entries_max + 1) * sizeof(struct pseudo_entry);
}

static size_t buckets_bytes(const struct pseudo_map *map)
{
	return map->buckets * sizeof(uint32_t);
}

int pseudo_map_init(struct pseudo_map *map, const struct siphash_key *key,
		    const struct prefix *pool, uint8_t client_length, uint64_t lease_ms,
		    uint32_t entries_max)
{
	uint32_t most = entries_max < pool_size(pool) ? entries_max : pool_size(pool);

	*map = (struct pseudo_map){
		.key = *key,
		.pool = *pool,
		.client_length = client_length,
		.lease_ms = lease_ms,
		.first = bytes_get32(pool->ip) + reserved_of(pool),
		.count_most = pool_size(pool),
		.entries_max = entries_max,
		.entries_end = 1,
		.buckets = 1024,
	};
	while (map->buckets < entries_max)
		map->buckets *= 2;
	map->entries = map_memory(entries_bytes(map));
	map->by_client = map_memory(buckets_bytes(map));
	map->by_pseudo = map_memory(buckets_bytes(map));
	if (pseudo_shares_init(&map->shares, key, most) == 0 && map->entries && map->by_client &&
	    map->by_pseudo)
		return 0;
	pseudo_map_fini(map);
	return -ENOMEM;
}

void pseudo_map_fini(struct pseudo_map *map)
{
	pseudo_shares_fini(&map->shares);
	unmap_memory(map->entries, entries_bytes(map));
	unmap_memory(map->by_client, buckets_bytes(map));
	unmap_memory(map->by_pseudo, buckets_bytes(map));
	map->entries = NULL;
	map->by_client = map->by_pseudo = NULL;
}

/* Clients. */

void pseudo_record_cut(struct pseudo_record *record, uint8_t length)
{
	for (uint32_t bit = length; bit < 128; bit++)
		record->client[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
	record->length = length;
}

void pseudo_map_client(const struct pseudo_map *map, const struct address *client,
		       struct pseudo_record *ret)
{
	bytes_put_ipv6(ret->client, client);
	pseudo_record_cut(ret, client->family == AF_INET ? 128 : map->client_length);
}

static uint64_t hash_of(const struct pseudo_map *map, const struct pseudo_record *record,
			uint32_t round)
{
	struct {
		uint8_t client[16];
		uint32_t length, round;
	} key = { .length = record->length, .round = round };

	memcpy(key.client, record->client, sizeof(key.client));
	return siphash(&map->key, &key, sizeof(key));
}

/* Tables. */

static uint32_t *client_bucket(const struct pseudo_map *map, const struct pseudo_record *record)
{
	return &map->by_client[hash_of(map, record, UINT32_MAX) & (map->buckets - 1)];
}

static uint32_t *pseudo_bucket(const struct pseudo_map *map, uint32_t pseudo)
{
	return &map->by_pseudo[siphash(&map->key, &pseudo, sizeof(pseudo)) & (map->buckets - 1)];
}

static uint32_t find_client(const struct pseudo_map *map, const struct pseudo_record *record)
{
	uint32_t index = *client_bucket(map, record);

	while (index != 0 && (memcmp(map->entries[index].record.client, record->client, 16) != 0 ||
			      map->entries[index].record.length != record->length))
		index = map->entries[index].next_of_client;
	return index;
}

static uint32_t find_pseudo(const struct pseudo_map *map, uint32_t pseudo)
{
	uint32_t index = *pseudo_bucket(map, pseudo);

	while (index != 0 && map->entries[index].record.pseudo != pseudo)
		index = map->entries[index].next_of_pseudo;
	return index;
}

/* Those without sessions, from the one unused longest (entries[0].newer) on. */

static void append_unused(struct pseudo_map *map, uint32_t index)
{
	struct pseudo_entry *entries = map->entries;

	entries[index].older = entries[0].older;
	entries[index].newer = 0;
	entries[entries[0].older].newer = index;
	entries[0].older = index;
}

static void remove_unused(struct pseudo_map *map, uint32_t index)
{
	struct pseudo_entry *entries = map->entries;

	if (map->ended == index)
		map->ended = entries[index].older;
	entries[entries[index].older].newer = entries[index].newer;
	entries[entries[index].newer].older = entries[index].older;
}

/* The shares of networks. IPv4 clients have none: they are too few. */

static bool is_ipv4(const struct pseudo_record *record)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	return memcmp(record->client, mapped, sizeof(mapped)) == 0;
}

static void count_in(struct pseudo_map *map, uint32_t index)
{
	struct pseudo_entry *entry = &map->entries[index];

	if (entry->is_counted || is_ipv4(&entry->record))
		return;
	pseudo_shares_add(&map->shares, entry->record.client);
	entry->is_counted = true;
}

static void count_out(struct pseudo_map *map, uint32_t index)
{
	struct pseudo_entry *entry = &map->entries[index];

	if (entry->is_counted)
		pseudo_shares_remove(&map->shares, entry->record.client);
	entry->is_counted = false;
}

static bool is_leased(const struct pseudo_map *map, uint32_t index, uint64_t now_ms)
{
	uint64_t last_seen_ms = map->entries[index].record.last_seen_ms;

	/* seen in the future: the clock was set back, and what is left of the lease unknown */
	return last_seen_ms <= now_ms && now_ms - last_seen_ms < map->lease_ms;
}

/* Counts those out whose lease has ended; each once, so it takes no longer than counting them in. */
static void count_ended_out(struct pseudo_map *map, uint64_t now_ms)
{
	for (uint32_t i = 0; i < ENDED_PER_TURN; i++) {
		uint32_t next = map->entries[map->ended].newer;

		if (next == 0 || is_leased(map, next, now_ms))
			return;
		count_out(map, next);
		map->ended = next;
	}
}

static bool has_share(struct pseudo_map *map, const struct pseudo_record *record, uint64_t now_ms)
{
	if (is_ipv4(record))
		return true;
	count_ended_out(map, now_ms);
	return pseudo_shares_have_room(&map->shares, record->client);
}

/* An entry with that record, unused. 0 where there is no room. */
static uint32_t insert(struct pseudo_map *map, const struct pseudo_record *record)
{
	uint32_t index = map->free_entry;
	struct pseudo_entry *entry;
	uint32_t *bucket;

	if (index != 0)
		map->free_entry = map->entries[index].next_of_client;
	else if (map->entries_end <= map->entries_max)
		index = map->entries_end++;
	else
		return 0;
	entry = &map->entries[index];
	*entry = (struct pseudo_entry){ .record = *record, .is_taken = true };
	bucket = client_bucket(map, record);
	entry->next_of_client = *bucket;
	*bucket = index;
	bucket = pseudo_bucket(map, record->pseudo);
	entry->next_of_pseudo = *bucket;
	*bucket = index;
	append_unused(map, index);
	count_in(map, index);
	map->count++;
	return index;
}

void pseudo_map_forget(struct pseudo_map *map, uint32_t index)
{
	struct pseudo_entry *entry = &map->entries[index];
	uint32_t *link = client_bucket(map, &entry->record);

	while (*link != index)
		link = &map->entries[*link].next_of_client;
	*link = entry->next_of_client;
	link = pseudo_bucket(map, entry->record.pseudo);
	while (*link != index)
		link = &map->entries[*link].next_of_pseudo;
	*link = entry->next_of_pseudo;
	remove_unused(map, index);
	count_out(map, index);
	*entry = (struct pseudo_entry){ .next_of_client = map->free_entry };
	map->free_entry = index;
	map->count--;
}

uint32_t pseudo_map_oldest(const struct pseudo_map *map, uint64_t before_ms)
{
	uint32_t index = map->entries[0].newer;

	return index != 0 && map->entries[index].record.last_seen_ms <= before_ms ? index : 0;
}

/* Choosing an address. */

static uint32_t pseudo_at(const struct pseudo_map *map, uint64_t hash)
{
	return map->first + (uint32_t)(hash % map->count_most);
}

/* One that nobody has; 0 where none was found. */
static uint32_t find_free(const struct pseudo_map *map, const struct pseudo_record *record)
{
	uint64_t hash = 0;

	for (uint32_t round = 0; round < HASHES_MAX; round++) {
		uint32_t pseudo;

		hash = hash_of(map, record, round);
		pseudo = pseudo_at(map, hash);
		if (find_pseudo(map, pseudo) == 0)
			return pseudo;
	}
	for (uint32_t i = 1; i < NEIGHBOURS_MAX && i < map->count_most; i++) {
		uint32_t pseudo = pseudo_at(map, hash + i);

		if (find_pseudo(map, pseudo) == 0)
			return pseudo;
	}
	return 0;
}

/* Takes the address of who has not used it for longest, if his lease is over. */
static uint32_t take_oldest(struct pseudo_map *map, uint64_t now_ms)
{
	uint32_t index = map->entries[0].newer, pseudo;

	if (index == 0 || is_leased(map, index, now_ms))
		return 0;
	pseudo = map->entries[index].record.pseudo;
	pseudo_map_forget(map, index);
	return pseudo;
}

static void begin_use(struct pseudo_map *map, uint32_t index, uint64_t now_ms)
{
	struct pseudo_entry *entry = &map->entries[index];

	if (entry->sessions++ == 0) {
		remove_unused(map, index);
		count_in(map, index);
		map->in_use++;
	}
	entry->record.last_seen_ms = now_ms;
	entry->is_touched = true;
}

int64_t pseudo_map_take(struct pseudo_map *map, const struct address *client, uint64_t now_ms,
			bool *ret_new, bool *ret_evicted)
{
	struct pseudo_record record = { .since_ms = now_ms, .last_seen_ms = now_ms };
	uint32_t index;

	pseudo_map_client(map, client, &record);
	index = find_client(map, &record);
	*ret_new = index == 0;
	*ret_evicted = false;
	if (index == 0 && has_share(map, &record, now_ms)) {
		record.pseudo = map->count < map->entries_max ? find_free(map, &record) : 0;
		*ret_evicted = record.pseudo == 0;
		if (record.pseudo == 0)
			record.pseudo = take_oldest(map, now_ms);
		index = record.pseudo != 0 ? insert(map, &record) : 0;
	}
	if (index == 0)
		return -ENOSPC;
	begin_use(map, index, now_ms);
	return index;
}

void pseudo_map_give(struct pseudo_map *map, uint32_t index, uint64_t now_ms)
{
	struct pseudo_entry *entry = &map->entries[index];

	entry->record.last_seen_ms = now_ms;
	entry->is_touched = true;
	if (--entry->sessions == 0) {
		append_unused(map, index);
		map->in_use--;
	}
}

void pseudo_map_undo(struct pseudo_map *map, uint32_t index)
{
	pseudo_map_give(map, index, map->entries[index].record.last_seen_ms);
	pseudo_map_forget(map, index);
}

static bool is_given_out(const struct pseudo_map *map, uint32_t pseudo)
{
	return pseudo >= map->first && pseudo - map->first < map->count_most;
}

bool pseudo_map_restore(struct pseudo_map *map, const struct pseudo_record *record)
{
	uint8_t length = is_ipv4(record) ? 128 : map->client_length;

	if (!is_given_out(map, record->pseudo) || record->length != length ||
	    find_pseudo(map, record->pseudo) != 0 || find_client(map, record) != 0)
		return false;
	return insert(map, record) != 0;
}

bool pseudo_map_is_of_pool(const struct pseudo_map *map, const struct address *address)
{
	return prefix_contains(&map->pool, address);
}

const struct pseudo_entry *pseudo_map_find(const struct pseudo_map *map,
					   const struct address *either)
{
	struct pseudo_record record;
	uint32_t index = 0;

	if (pseudo_map_is_of_pool(map, either))
		index = find_pseudo(map, bytes_get32(either->ip));
	if (index == 0) {
		pseudo_map_client(map, either, &record);
		index = find_client(map, &record);
	}
	return index != 0 ? &map->entries[index] : NULL;
}
