/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "base/list.h"

struct item {
	int value;
	struct list node;
};

static struct list head;
static struct item items[3];

static int setup(void **state)
{
	(void)state;
	list_init(&head);
	for (int i = 0; i < 3; i++) {
		items[i].value = i;
		list_init(&items[i].node);
	}
	return 0;
}

static int first_value(void)
{
	return container_of(list_first(&head), struct item, node)->value;
}

static void appended_nodes_come_in_order(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		list_append(&head, &items[i].node);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(first_value(), i);
		list_remove(list_first(&head));
	}
	assert_null(list_first(&head));
	assert_true(list_is_empty(&head));
}

static void first_stays_on_the_list(void **state)
{
	(void)state;
	list_append(&head, &items[1].node);
	assert_ptr_equal(list_first(&head), &items[1].node);
	assert_ptr_equal(list_first(&head), &items[1].node);
}

static void removing_twice_is_harmless(void **state)
{
	(void)state;
	list_append(&head, &items[0].node);
	list_append(&head, &items[1].node);
	list_append(&head, &items[2].node);
	list_remove(&items[1].node);
	list_remove(&items[1].node);
	assert_true(list_is_empty(&items[1].node));
	list_remove(&items[0].node);
	assert_int_equal(first_value(), 2);
	assert_ptr_equal(head.previous, &items[2].node);
}

static void node_tells_whether_it_is_linked(void **state)
{
	(void)state;
	assert_true(list_is_empty(&items[0].node));
	list_append(&head, &items[0].node);
	assert_false(list_is_empty(&items[0].node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(appended_nodes_come_in_order, setup),
		cmocka_unit_test_setup(first_stays_on_the_list, setup),
		cmocka_unit_test_setup(removing_twice_is_harmless, setup),
		cmocka_unit_test_setup(node_tells_whether_it_is_linked, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
