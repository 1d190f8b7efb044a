/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/udp_table.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define SIZE_FIRST 1024u /* one page of buckets */

_Static_assert(sizeof(struct udp_key) == 4 * sizeof(struct address) + sizeof(void *),
	       "udp_table: the key is hashed as bytes, and so must not have holes");

static uint32_t *bucket_of(struct udp_table *table, const struct udp_key *key)
{
	return &table->buckets[siphash(&table->key, key, sizeof(*key)) & (table->size - 1)];
}

/* Chains hold indices of clients that are in use, so the slot is always there. */
static struct udp_client *client_at(struct relay *relay, uint32_t index)
{
	return slots_at(&relay->udp_clients, index);
}

struct udp_client *udp_table_find(struct relay *relay, const struct udp_key *key)
{
	struct udp_table *table = &relay->udp_table;

	if (table->size == 0)
		return NULL;
	for (uint32_t next = *bucket_of(table, key); next != 0;) {
		struct udp_client *candidate = client_at(relay, next - 1);

		if (memcmp(&candidate->key, key, sizeof(*key)) == 0)
			return candidate;
		next = candidate->next;
	}
	return NULL;
}

static void link_client(struct udp_table *table, struct udp_client *client)
{
	uint32_t *bucket = bucket_of(table, &client->key);

	client->next = *bucket;
	*bucket = client->slot.index + 1;
}

static int resize(struct relay *relay, uint32_t size)
{
	struct udp_table *table = &relay->udp_table;
	struct udp_table larger = { .size = size, .count = table->count, .key = table->key };

	larger.buckets = mmap(NULL, size * sizeof(uint32_t), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (larger.buckets == MAP_FAILED)
		return -ENOMEM;
	for (uint32_t i = 0; i < table->size; i++) {
		for (uint32_t next = table->buckets[i]; next != 0;) {
			struct udp_client *client = client_at(relay, next - 1);

			next = client->next;
			link_client(&larger, client);
		}
	}
	udp_table_fini(table);
	*table = larger;
	return 0;
}

int udp_table_insert(struct relay *relay, struct udp_client *client)
{
	struct udp_table *table = &relay->udp_table;
	int r;

	if (table->size == 0) {
		r = siphash_key_init(&table->key);
		if (r == 0)
			r = resize(relay, SIZE_FIRST);
		if (r < 0)
			return r;
	} else if (table->count >= table->size) {
		(void)resize(relay, table->size * 2); /* without memory, chains grow longer */
	}
	link_client(table, client);
	table->count++;
	return 0;
}

void udp_table_remove(struct relay *relay, struct udp_client *client)
{
	struct udp_table *table = &relay->udp_table;
	uint32_t *link = bucket_of(table, &client->key);

	while (*link != client->slot.index + 1)
		link = &client_at(relay, *link - 1)->next;
	*link = client->next;
	table->count--;
}

void udp_table_fini(struct udp_table *table)
{
	if (table->size > 0)
		(void)munmap(table->buckets, table->size * sizeof(uint32_t));
	table->buckets = NULL;
	table->size = 0;
}
