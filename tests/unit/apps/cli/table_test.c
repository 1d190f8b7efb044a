/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include "apps/cli/table.h"

static const struct table_column columns[] = {
	{ "ID", 2, false },
	{ "CLIENT", 0, false },
	{ "BYTES", 1, true },
};

static struct table table;

static int setup(void **state)
{
	static const char *const rows[][3] = { { "1", "[2001:db8::1]:80", "8B" },
					       { "22", "192.0.2.1:443", "1.2kB" } };

	(void)state;
	table_init(&table, columns, COUNT_OF(columns));
	table_add(&table, rows[0]);
	table_add(&table, rows[1]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	table_fini(&table);
	return 0;
}

static void assert_lines(int width, const char *head, const char *first, const char *second)
{
	struct table_layout layout;
	char line[TABLE_LINE_MAX];

	table_lay_out(&table, width, &layout);
	assert_string_equal(table_format(&table, &layout, -1, line), head);
	assert_string_equal(table_format(&table, &layout, 0, line), first);
	assert_string_equal(table_format(&table, &layout, 1, line), second);
}

static void columns_stand_below_each_other(void **state)
{
	(void)state;
	assert_lines(0, "ID   CLIENT             BYTES", "1    [2001:db8::1]:80      8B",
		     "22   192.0.2.1:443      1.2kB");
}

static void narrow_terminal_loses_what_matters_least(void **state)
{
	(void)state;
	assert_lines(29, "ID   CLIENT             BYTES", "1    [2001:db8::1]:80      8B",
		     "22   192.0.2.1:443      1.2kB");
	assert_lines(28, "CLIENT             BYTES", "[2001:db8::1]:80      8B",
		     "192.0.2.1:443      1.2kB");
	assert_lines(20, "CLIENT", "[2001:db8::1]:80", "192.0.2.1:443");
	/* what must stay, stays */
	assert_lines(5, "CLIENT", "[2001:db8::1]:80", "192.0.2.1:443");
}

static void a_column_that_is_kept_stays(void **state)
{
	(void)state;
	table_keep(&table, "ID");
	assert_lines(28, "ID   CLIENT", "1    [2001:db8::1]:80", "22   192.0.2.1:443");
	assert_lines(5, "ID   CLIENT", "1    [2001:db8::1]:80", "22   192.0.2.1:443");
}

static void many_rows_are_kept(void **state)
{
	static const char *const row[] = { "3", "::1", "0B" };
	struct table_layout layout;
	char line[TABLE_LINE_MAX];

	(void)state;
	for (int i = 0; i < 1000; i++)
		table_add(&table, row);
	assert_int_equal(table.rows, 1002);
	table_lay_out(&table, 0, &layout);
	assert_string_equal(table_format(&table, &layout, 1001, line),
			    "3    ::1                   0B");
}

int main(void)
{
#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_TABLE(columns_stand_below_each_other),
		WITH_TABLE(narrow_terminal_loses_what_matters_least),
		WITH_TABLE(a_column_that_is_kept_stays),
		WITH_TABLE(many_rows_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
