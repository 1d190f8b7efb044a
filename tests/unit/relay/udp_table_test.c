/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "relay/udp_table.h"

enum { MANY = 5000 };

static struct relay relay;
static struct udp_port port, other_port;
static struct udp_client *clients[MANY];

static int setup(void **state)
{
	(void)state;
	memset(&relay, 0, sizeof(relay));
	slots_init(&relay.udp_clients, sizeof(struct udp_client), sizeof(struct udp_client));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	udp_table_fini(&relay.udp_table);
	slots_fini(&relay.udp_clients);
	return 0;
}

static struct address client_address(uint32_t i)
{
	return address_of(i % 2 ? "192.0.2.1" : "2001:db8::1", (uint16_t)(1024 + i / 2));
}

static struct udp_key key_of(uint32_t i)
{
	struct address client = client_address(i);

	return (struct udp_key){ .peer = client,
				 .client = client,
				 .local = address_of("203.0.113.1", 0),
				 .port = &port };
}

static struct udp_client *add(uint32_t i)
{
	struct udp_client *client = slots_take(&relay.udp_clients);

	client->key = key_of(i);
	assert_int_equal(udp_table_insert(&relay, client), 0);
	return client;
}

static struct udp_client *find(uint32_t i)
{
	struct udp_key key = key_of(i);

	return udp_table_find(&relay, &key);
}

static void empty_table_finds_nothing(void **state)
{
	(void)state;
	assert_null(find(0));
	assert_null(relay.udp_table.buckets); /* and costs nothing */
}

static void client_is_found_by_all_of_its_key(void **state)
{
	struct udp_client *client = add(0);
	struct udp_key others[5];

	(void)state;
	/* all in one bucket, so that it is the comparison which tells them apart */
	relay.udp_table.size = 1;
	relay.udp_table.buckets[0] = client->slot.index + 1;
	assert_ptr_equal(find(0), client);
	for (int i = 0; i < 5; i++)
		others[i] = key_of(0);
	others[0].port = &other_port;
	others[1].local = address_of("203.0.113.2", 0);
	others[2].peer.port++;
	others[3].client.port++;
	others[4].host = address_of("2001:db8::53", 53); /* as a proxy has announced */
	for (int i = 0; i < 5; i++)
		assert_null(udp_table_find(&relay, &others[i]));
}

static void all_are_found_while_it_grows_and_shrinks(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		clients[i] = add(i);
	assert_int_equal(relay.udp_table.count, MANY);
	assert_true(relay.udp_table.size >= MANY / 2);
	for (uint32_t i = 0; i < MANY; i++)
		assert_ptr_equal(find(i), clients[i]);
	for (uint32_t i = 0; i < MANY; i += 3) {
		udp_table_remove(&relay, clients[i]);
		slots_give(&relay.udp_clients, clients[i]);
	}
	for (uint32_t i = 0; i < MANY; i++)
		assert_ptr_equal(find(i), i % 3 == 0 ? NULL : clients[i]);
}

/* Buckets are spread with a key that nobody knows: no chain is long. */
static void chains_stay_short(void **state)
{
	uint32_t longest = 0;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		clients[i] = add(i);
	for (uint32_t i = 0; i < relay.udp_table.size; i++) {
		uint32_t length = 0;

		for (uint32_t next = relay.udp_table.buckets[i]; next != 0; length++)
			next = ((struct udp_client *)slots_at(&relay.udp_clients, next - 1))->next;
		longest = length > longest ? length : longest;
	}
	assert_true(longest >= 1 && longest <= 16);
}

int main(void)
{
#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_TABLE(empty_table_finds_nothing),
		WITH_TABLE(client_is_found_by_all_of_its_key),
		WITH_TABLE(all_are_found_while_it_grows_and_shrinks),
		WITH_TABLE(chains_stay_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
