/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <stdlib.h>

#include "base/slots.h"

struct item {
	struct slot slot;
	uint64_t value;
};

static struct slots slots;

static int setup(void **state)
{
	(void)state;
	slots_init(&slots, sizeof(struct item), sizeof(struct item));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	slots_fini(&slots);
	return 0;
}

static struct item *take(void)
{
	struct item *item = slots_take(&slots);

	assert_non_null(item);
	return item;
}

static void taken_item_is_zeroed_and_found(void **state)
{
	struct item *item = take();

	(void)state;
	assert_true(item->value == 0);
	assert_true(item->slot.generation != 0);
	assert_ptr_equal(slots_find(&slots, item->slot.index, item->slot.generation), item);
	assert_ptr_equal(slots_at(&slots, item->slot.index), item);
	assert_int_equal(slots.used, 1);
}

/* The promise: an event of a session that has gone never finds the next one in its slot. */
static void slot_taken_again_has_another_generation(void **state)
{
	struct item *item = take(), *again;
	uint32_t index = item->slot.index, generation = item->slot.generation;

	(void)state;
	item->value = 7;
	slots_give(&slots, item);
	assert_null(slots_find(&slots, index, generation));
	again = take();
	assert_int_equal(again->slot.index, index);
	assert_true(again->value == 0);
	assert_null(slots_find(&slots, index, generation));
	assert_ptr_equal(slots_find(&slots, index, again->slot.generation), again);
}

static void generation_zero_and_unknown_indices_find_nothing(void **state)
{
	struct item *item = take();

	(void)state;
	assert_null(slots_find(&slots, item->slot.index, 0));
	assert_null(slots_find(&slots, item->slot.index + 1, item->slot.generation));
	assert_null(slots_find(&slots, SLOTS_PER_CHUNK, item->slot.generation));
	assert_null(slots_find(&slots, UINT32_MAX, item->slot.generation));
}

/* A generation never is 0, which means free, even when the count runs over. */
static void generation_skips_zero(void **state)
{
	struct item *item;

	(void)state;
	slots.generation = UINT32_MAX;
	item = take();
	assert_int_equal(item->slot.generation, 1);
}

static void all_items_are_distinct_and_walked_once(void **state)
{
	enum { COUNT = 3 * SLOTS_PER_CHUNK + 5 };
	uint64_t sum = 0;
	uint32_t seen = 0;

	(void)state;
	for (uint64_t i = 1; i <= COUNT; i++)
		take()->value = i;
	for (struct item *item = slots_next(&slots, NULL); item; item = slots_next(&slots, item)) {
		sum += item->value;
		seen++;
	}
	assert_int_equal(seen, COUNT);
	assert_true(sum == (uint64_t)COUNT * (COUNT + 1) / 2);
}

static void walked_items_may_be_given_back(void **state)
{
	struct item *next;

	(void)state;
	for (uint32_t i = 0; i < 2 * SLOTS_PER_CHUNK; i++)
		take();
	next = slots_next(&slots, NULL);
	while (next) {
		struct item *item = next;

		next = slots_next(&slots, item);
		slots_give(&slots, item);
	}
	assert_int_equal(slots.used, 0);
	assert_null(slots_next(&slots, NULL));
}

/* Freed chunks leave gaps, over which the walk goes and into which later items come. */
static void gap_of_a_freed_chunk_is_used_again(void **state)
{
	struct item *items[3 * SLOTS_PER_CHUNK];
	uint32_t seen = 0;

	(void)state;
	for (uint32_t i = 0; i < COUNT_OF(items); i++)
		items[i] = take();
	/* another chunk has room, so the next that is emptied is not kept */
	slots_give(&slots, items[2 * SLOTS_PER_CHUNK + 5]);
	for (uint32_t i = SLOTS_PER_CHUNK; i < 2 * SLOTS_PER_CHUNK; i++)
		slots_give(&slots, items[i]);
	for (struct item *item = slots_next(&slots, NULL); item; item = slots_next(&slots, item))
		seen++;
	assert_int_equal(seen, 2 * SLOTS_PER_CHUNK - 1);
	for (uint32_t i = 0; i <= SLOTS_PER_CHUNK; i++)
		assert_true(take()->slot.index < COUNT_OF(items));
}

static void table_has_an_end(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SLOTS_MAX; i++)
		(void)take();
	assert_int_equal(slots.used, SLOTS_MAX);
	assert_null(slots_take(&slots));
	slots_give(&slots, slots_at(&slots, 12345));
	assert_int_equal(take()->slot.index, 12345);
}

static void trim_frees_only_an_empty_table(void **state)
{
	struct item *item = take();
	uint32_t index = item->slot.index, generation = item->slot.generation;

	(void)state;
	slots_trim(&slots);
	assert_ptr_equal(slots_find(&slots, index, generation), item);
	slots_give(&slots, item);
	slots_trim(&slots);
	assert_null(slots.chunk);
	assert_null(slots_find(&slots, index, generation));
	/* and what comes after it is still not taken for what was before */
	assert_true(take()->slot.generation != generation);
}

/* Many random turns against a plain model. */
static void stays_sound_whatever_comes_and_goes(void **state)
{
	static struct item *held[4 * SLOTS_PER_CHUNK];
	uint32_t generations[COUNT_OF(held)] = { 0 }, count = 0;
	unsigned int seed = 20261123;

	(void)state;
	memset(held, 0, sizeof(held));
	for (int turn = 0; turn < 200000; turn++) {
		size_t i = (size_t)rand_r(&seed) % COUNT_OF(held);

		if (held[i]) {
			assert_true(held[i]->value == i);
			assert_ptr_equal(slots_find(&slots, held[i]->slot.index, generations[i]),
					 held[i]);
			slots_give(&slots, held[i]);
			held[i] = NULL;
			count--;
		} else if (rand_r(&seed) % 8 < (turn / 20000 % 2 ? 1 : 7)) {
			held[i] = take();
			held[i]->value = i;
			generations[i] = held[i]->slot.generation;
			count++;
		}
		assert_int_equal(slots.used, count);
	}
}

int main(void)
{
#define WITH_SLOTS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_SLOTS(taken_item_is_zeroed_and_found),
		WITH_SLOTS(slot_taken_again_has_another_generation),
		WITH_SLOTS(generation_zero_and_unknown_indices_find_nothing),
		WITH_SLOTS(generation_skips_zero),
		WITH_SLOTS(all_items_are_distinct_and_walked_once),
		WITH_SLOTS(walked_items_may_be_given_back),
		WITH_SLOTS(gap_of_a_freed_chunk_is_used_again),
		WITH_SLOTS(table_has_an_end),
		WITH_SLOTS(trim_frees_only_an_empty_table),
		WITH_SLOTS(stays_sound_whatever_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
