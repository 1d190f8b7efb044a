/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdio.h>

#include "identity/pseudo_map.h"
#include "wire/bytes.h"

#define LEASE_MS 1000

static struct pseudo_map map;
static const struct siphash_key key = { .k0 = 1, .k1 = 2 };

static struct prefix prefix_of(const char *text)
{
	struct prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	return prefix;
}

static void start(const char *pool, uint8_t client_length, uint32_t entries_max)
{
	struct prefix prefix = prefix_of(pool);

	assert_int_equal(pseudo_map_init(&map, &key, &prefix, client_length, LEASE_MS, entries_max),
			 0);
}

static int teardown(void **state)
{
	(void)state;
	pseudo_map_fini(&map);
	return 0;
}

static struct address client_of(uint32_t number)
{
	struct address client = address_of("2001:db8::", 0);

	bytes_put32(client.ip + 12, number);
	return client;
}

static int64_t take(uint32_t number, uint64_t now_ms)
{
	struct address client = client_of(number);
	bool is_new, was_evicted;

	return pseudo_map_take(&map, &client, now_ms, &is_new, &was_evicted);
}

static uint32_t pseudo_of(uint32_t number)
{
	struct address client = client_of(number);
	const struct pseudo_entry *entry = pseudo_map_find(&map, &client);

	return entry ? entry->record.pseudo : 0;
}

static void each_of_many_clients_has_its_own(void **state)
{
	(void)state;
	start("240.0.0.0/4", 128, 1 << 20);
	for (uint32_t i = 0; i < 100000; i++)
		assert_true(take(i, 1) > 0);
	assert_int_equal(map.count, 100000);
	for (uint32_t i = 0; i < 100000; i++) {
		struct address pseudo = { .family = AF_INET };
		const struct pseudo_entry *entry;

		bytes_put32(pseudo.ip, pseudo_of(i));
		assert_in_range(pseudo.ip[0], 240, 255);
		entry = pseudo_map_find(&map, &pseudo);
		assert_int_equal(bytes_get32(entry->record.client + 12), i);
	}
}

static void lost_map_gives_the_same_again(void **state)
{
	uint32_t before[1000];

	(void)state;
	start("240.0.0.0/4", 128, 1 << 16);
	for (uint32_t i = 0; i < COUNT_OF(before); i++) {
		assert_true(take(i, 1) > 0);
		before[i] = pseudo_of(i);
	}
	teardown(NULL);
	start("240.0.0.0/4", 128, 1 << 16);
	for (uint32_t i = COUNT_OF(before); i-- > 0;) {
		assert_true(take(i, 1) > 0);
		assert_int_equal(pseudo_of(i), before[i]);
	}
}

/* Neither the network's own address nor the broadcast address, in whatever order they come. */
static void small_pool_is_given_out_to_the_last(void **state)
{
	bool seen[16] = { false };

	(void)state;
	start("192.0.2.16/28", 128, 100);
	assert_int_equal(map.count_most, 14);
	for (uint32_t i = 0; i < 14; i++) {
		uint32_t last;

		assert_true(take(i, 1) > 0);
		last = pseudo_of(i) & 15;
		assert_in_range(last, 1, 14);
		assert_false(seen[last]);
		seen[last] = true;
	}
	assert_int_equal(take(14, 1), -ENOSPC);
}

static void large_pool_keeps_some_for_the_host(void **state)
{
	struct prefix pool = prefix_of("192.0.2.0/24");
	struct address probe;

	(void)state;
	start("192.0.2.0/24", 128, 1000);
	for (uint32_t i = 0; i < pool_size(&pool); i++) {
		assert_true(take(i, 1) > 0);
		assert_in_range(pseudo_of(i) & 255, 16, 254);
	}
	assert_int_equal(take(1000, 1), -ENOSPC);
	pool_probe_address(&pool, &probe);
	assert_int_equal(probe.ip[3], 1);
}

static void session_and_lease_keep_an_address(void **state)
{
	int64_t lease[6];

	(void)state;
	start("192.0.2.0/29", 128, 100);
	for (uint32_t i = 0; i < 6; i++)
		lease[i] = take(i, 0);
	assert_int_equal(take(6, 10 * LEASE_MS), -ENOSPC);
	pseudo_map_give(&map, (uint32_t)lease[3], 100);
	pseudo_map_give(&map, (uint32_t)lease[1], 200);
	assert_int_equal(take(6, 99 + LEASE_MS), -ENOSPC);
	assert_true(take(6, 100 + LEASE_MS) > 0); /* that of 3, unused for longest */
	assert_int_equal(pseudo_of(3), 0);
	assert_int_not_equal(pseudo_of(1), 0);
	assert_int_equal(take(7, 199 + LEASE_MS), -ENOSPC);
	assert_true(take(1, 199 + LEASE_MS) > 0); /* who comes again keeps his */
	assert_int_equal(take(7, 10 * LEASE_MS), -ENOSPC);
}

static void several_sessions_are_one_use(void **state)
{
	int64_t lease;

	(void)state;
	start("192.0.2.0/29", 128, 100);
	lease = take(0, 0);
	assert_int_equal(take(0, 0), lease);
	assert_int_equal(map.in_use, 1);
	pseudo_map_give(&map, (uint32_t)lease, 0);
	assert_int_equal(map.in_use, 1);
	assert_int_equal(pseudo_map_oldest(&map, 1000), 0);
	pseudo_map_give(&map, (uint32_t)lease, 0);
	assert_int_equal(map.in_use, 0);
	assert_int_equal(pseudo_map_oldest(&map, 1000), lease);
}

static void bound_on_clients_holds(void **state)
{
	(void)state;
	start("240.0.0.0/4", 128, 10);
	for (uint32_t i = 0; i < 10; i++)
		pseudo_map_give(&map, (uint32_t)take(i, 0), i);
	assert_int_equal(take(10, LEASE_MS - 1), -ENOSPC);
	assert_true(take(10, LEASE_MS) > 0);
	assert_int_equal(map.count, 10);
	assert_int_equal(pseudo_of(0), 0);
}

static int64_t visit(const char *network, uint32_t number, uint64_t now_ms)
{
	struct address client = address_of(network, 0);
	bool is_new, was_evicted;
	int64_t index;

	bytes_put32(client.ip + 12, number);
	index = pseudo_map_take(&map, &client, now_ms, &is_new, &was_evicted);
	if (index > 0)
		pseudo_map_give(&map, (uint32_t)index, now_ms);
	return index;
}

static uint32_t visit_many(const char *network, uint64_t now_ms)
{
	uint32_t count = 0;

	while (visit(network, count, now_ms) > 0)
		count++;
	return count;
}

static void nobody_takes_the_addresses_of_all(void **state)
{
	struct address ipv4 = address_of("192.0.2.1", 0);
	bool is_new, was_evicted;

	(void)state;
	start("240.0.0.0/4", 128, 1 << 20);
	assert_int_equal(visit_many("2001:db8:0:1::", 0), 1 << 17);
	assert_int_equal(visit_many("2001:db8:0:2::", 1), 1 << 17);
	assert_int_equal(visit_many("2001:db8:0:3::", 1), 0); /* all three are of one /48 */
	assert_true(visit("2001:db8:1::", 0, 1) > 0);
	assert_true(pseudo_map_take(&map, &ipv4, 1, &is_new, &was_evicted) > 0);
	assert_true(visit("2001:db8:0:1::", 77, 1) > 0); /* who has one keeps it */
	assert_int_equal(visit("2001:db8:0:1::", 1 << 17, LEASE_MS - 1), -ENOSPC);
}

static void what_a_network_has_had_is_no_more_counted(void **state)
{
	(void)state;
	start("240.0.0.0/4", 128, 1 << 20);
	assert_int_equal(visit_many("2001:db8:0:1::", 0), 1 << 17);
	assert_true(visit("2001:db8:0:1::", 77, 10) > 0);
	assert_int_equal(map.count, 1 << 17);
	/* all leases but that one's have ended, and their addresses are still theirs */
	for (uint32_t i = 0; i < 1 << 16; i++)
		assert_true(visit("2001:db8:0:1::", (1 << 17) + i, LEASE_MS) > 0);
	assert_int_equal(map.count, (1 << 17) + (1 << 16));
	/* who comes again is counted again */
	for (uint32_t i = 100; i < 100 + (1 << 16) - 1; i++)
		assert_true(visit("2001:db8:0:1::", i, LEASE_MS) > 0);
	assert_int_equal(visit("2001:db8:0:1::", 1 << 20, LEASE_MS), -ENOSPC);
	for (uint32_t index; (index = pseudo_map_oldest(&map, LEASE_MS)) != 0;)
		pseudo_map_forget(&map, index);
	assert_int_equal(visit_many("2001:db8:0:1::", LEASE_MS), 1 << 17);
}

static void network_can_be_one_client(void **state)
{
	struct address first = address_of("2001:db8:0:1::1", 0);
	struct address second = address_of("2001:db8:0:1:ffff::1", 0);
	struct address other = address_of("2001:db8:0:2::1", 0);
	bool is_new, was_evicted;
	int64_t index;

	(void)state;
	start("240.0.0.0/4", 64, 100);
	index = pseudo_map_take(&map, &first, 0, &is_new, &was_evicted);
	assert_true(is_new);
	assert_int_equal(pseudo_map_take(&map, &second, 0, &is_new, &was_evicted), index);
	assert_false(is_new);
	assert_int_not_equal(pseudo_map_take(&map, &other, 0, &is_new, &was_evicted), index);
	assert_int_equal(map.entries[index].record.length, 64);
}

static void ipv4_clients_are_single_ones(void **state)
{
	struct address first = address_of("192.0.2.1", 0), second = address_of("192.0.2.2", 0);
	bool is_new, was_evicted;
	int64_t index;

	(void)state;
	start("240.0.0.0/4", 48, 100);
	index = pseudo_map_take(&map, &first, 0, &is_new, &was_evicted);
	assert_int_not_equal(pseudo_map_take(&map, &second, 0, &is_new, &was_evicted), index);
	assert_ptr_equal(pseudo_map_find(&map, &first), &map.entries[index]);
}

static void what_was_recorded_is_restored(void **state)
{
	struct pseudo_record record;

	(void)state;
	start("240.0.0.0/4", 128, 100);
	record = map.entries[take(1, 5)].record;
	teardown(NULL);
	start("240.0.0.0/4", 128, 100);
	record.pseudo++; /* as it was assigned, whatever the hash says */
	assert_true(pseudo_map_restore(&map, &record));
	assert_false(pseudo_map_restore(&map, &record));
	assert_true(take(1, 6) > 0);
	assert_int_equal(pseudo_of(1), record.pseudo);
	record.client[0]++;
	assert_false(pseudo_map_restore(&map, &record)); /* the address is taken */
	record.pseudo = 0x0a000001;
	assert_false(pseudo_map_restore(&map, &record)); /* not of the pool */
	record.pseudo = 0xf0001234;
	record.length = 64;
	assert_false(pseudo_map_restore(&map, &record)); /* another kind of client */
}

static void new_one_can_be_undone(void **state)
{
	(void)state;
	start("240.0.0.0/4", 128, 100);
	pseudo_map_undo(&map, (uint32_t)take(1, 0));
	assert_int_equal(map.count, 0);
	assert_int_equal(map.in_use, 0);
	assert_int_equal(pseudo_of(1), 0);
	assert_true(take(1, 0) > 0);
}

int main(void)
{
#define WITH_MAP(test) cmocka_unit_test_teardown(test, teardown)
	const struct CMUnitTest tests[] = {
		WITH_MAP(each_of_many_clients_has_its_own),
		WITH_MAP(lost_map_gives_the_same_again),
		WITH_MAP(small_pool_is_given_out_to_the_last),
		WITH_MAP(large_pool_keeps_some_for_the_host),
		WITH_MAP(session_and_lease_keep_an_address),
		WITH_MAP(several_sessions_are_one_use),
		WITH_MAP(bound_on_clients_holds),
		WITH_MAP(nobody_takes_the_addresses_of_all),
		WITH_MAP(what_a_network_has_had_is_no_more_counted),
		WITH_MAP(network_can_be_one_client),
		WITH_MAP(ipv4_clients_are_single_ones),
		WITH_MAP(what_was_recorded_is_restored),
		WITH_MAP(new_one_can_be_undone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
