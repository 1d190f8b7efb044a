/* SPDX-License-Identifier: Apache-2.0 */
/* The table that `fairlead publish` ends with. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include "apps/cli/summary.h"

static struct publisher publisher;

static int setup(void **state)
{
	(void)state;
	slots_init(&publisher.ports, sizeof(struct published_port), sizeof(struct published_port));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	slots_fini(&publisher.ports);
	return 0;
}

static struct published_port *add(enum protocol protocol, uint16_t host_port)
{
	struct published_port *port = slots_take(&publisher.ports);

	port->rule = (struct rule){
		.protocol = protocol,
		.host = address_of("::", host_port),
		.container = address_of("172.17.0.2", 80),
	};
	return port;
}

static void assert_printed(const char *expected)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	assert_non_null(out);
	summary_print(out, &publisher, NULL);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

/* Columns are as wide as what is in them. */
#define HEAD(name) name "   CONTAINER       SESSIONS       IN      OUT   NOTES\n"

static void port_without_sessions_is_counted_only(void **state)
{
	(void)state;
	assert_printed("");
	add(PROTOCOL_TCP, 8080);
	assert_printed("1 port carried nothing\n");
	add(PROTOCOL_UDP, 53);
	assert_printed("2 ports carried nothing\n");
}

static void port_with_sessions_has_a_line(void **state)
{
	struct published_port *port = add(PROTOCOL_TCP, 8080);

	(void)state;
	port->route.counters.sessions = 12;
	port->route.counters.in_bytes = 1234;
	port->route.counters.out_bytes = 3400000000;
	port->route.counters.ended[END_DONE] = 12;
	add(PROTOCOL_TCP, 8081);
	assert_printed(
		HEAD("PUBLISHED    ") "[::]:8080/tcp   172.17.0.2:80         12    1.2kB    3.4GB\n"
				      "1 other port carried nothing\n");
}

static void what_did_not_end_well_is_noted(void **state)
{
	struct published_port *port = add(PROTOCOL_TCP, 8080);

	(void)state;
	port->route.counters.sessions = 9;
	port->route.counters.ended[END_DONE] = 4;
	port->route.counters.ended[END_REFUSED] = 2;
	port->route.counters.ended[END_CONNECT_TIMEOUT] = 1;
	port->route.counters.ended[END_STOPPED] = 2;
	assert_printed(
		HEAD("PUBLISHED    ") "[::]:8080/tcp   172.17.0.2:80          9       0B       0B"
				      "   2 refused, 1 connect-timeout, 2 stopped\n");
}

/* UDP knows no good end, so those that were open, or idle, are nothing to note. */
static void datagrams_are_noted_that_did_not_arrive(void **state)
{
	struct published_port *port = add(PROTOCOL_UDP, 53);

	(void)state;
	port->route.counters.sessions = 3;
	port->route.counters.ended[END_IDLE] = 1;
	port->route.counters.ended[END_STOPPED] = 2;
	port->route.counters.dropped_datagrams = 5;
	port->route.counters.refused_datagrams = 6;
	assert_printed(
		HEAD("PUBLISHED  ") "[::]:53/udp   172.17.0.2:80          3       0B       0B"
				    "   5 datagrams dropped, 6 datagrams refused\n");
}

/* A port all of whose datagrams were dropped had no session, and yet was used. */
static void dropped_datagrams_alone_are_shown(void **state)
{
	struct published_port *port = add(PROTOCOL_UDP, 53);

	(void)state;
	port->route.counters.dropped_datagrams = 1;
	assert_printed(
		HEAD("PUBLISHED  ") "[::]:53/udp   172.17.0.2:80          0       0B       0B"
				    "   1 datagram dropped\n");
}

int main(void)
{
#define WITH_PORTS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_PORTS(port_without_sessions_is_counted_only),
		WITH_PORTS(port_with_sessions_has_a_line),
		WITH_PORTS(what_did_not_end_well_is_noted),
		WITH_PORTS(datagrams_are_noted_that_did_not_arrive),
		WITH_PORTS(dropped_datagrams_alone_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
