/* SPDX-License-Identifier: Apache-2.0 */
/* The container is a process in a network namespace of its own, behind a link of this one. */
#include "identity/pool_reach.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "identity/pool_host.h"
#include "identity/pseudo_map.h"
#include "support.h"

#define TIMEOUT_MS 300

static struct pool_host host;
static struct address source;
static struct error err;
static pid_t container;
static int orders[2], results[2];

static int run(const char *command)
{
	return system(command);
}

/* The container's side: runs what it is told. */
static void contain(void)
{
	char command[256];
	ssize_t n;
	int r = unshare(CLONE_NEWNET);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)!write(results[1], &r, sizeof(r));
	while ((n = read(orders[0], command, sizeof(command) - 1)) > 0) {
		command[n] = '\0';
		r = run(command);
		(void)!write(results[1], &r, sizeof(r));
	}
	_exit(0);
}

static void in_container(const char *command)
{
	int r = -1;

	assert_int_equal(write(orders[1], command, strlen(command)), strlen(command));
	assert_int_equal(read(results[0], &r, sizeof(r)), sizeof(r));
	assert_int_equal(r, 0);
}

static bool start_container(void)
{
	int r = -1;

	if (pipe(orders) < 0 || pipe(results) < 0)
		return false;
	container = fork();
	if (container == 0)
		contain();
	return read(results[0], &r, sizeof(r)) == sizeof(r) && r == 0;
}

static int set_up(void **state)
{
	struct prefix pool;
	char command[256];

	(void)state;
	(void)snprintf(command, sizeof(command),
		       "ip link add to_c type veth peer name eth0 netns %d && "
		       "ip addr add 172.20.0.1/24 dev to_c && ip link set to_c up",
		       (int)container);
	assert_int_equal(run(command), 0);
	in_container("ip addr add 172.20.0.2/24 dev eth0 && ip link set eth0 up");
	assert_int_equal(prefix_parse("240.0.0.0/4", &pool), 0);
	pool_probe_address(&pool, &source);
	return pool_host_open(&host, &pool, "/proc/nowhere", &err);
}

static int tear_down(void **state)
{
	(void)state;
	pool_host_close(&host);
	kill(container, SIGKILL);
	return waitpid(container, NULL, 0) == container ? 0 : -1;
}

static enum pool_reach check(const char *ip)
{
	struct address address = address_of(ip, 80);

	err.text[0] = '\0';
	return pool_reach_check(&address, &source, TIMEOUT_MS, &err);
}

/* Once with a socket for echoes, which a group may have, and once with one for raw ICMP. */
static void check_both(const char *ip, enum pool_reach expected)
{
	assert_int_equal(run("sysctl -qw net.ipv4.ping_group_range='1 0'"), 0);
	assert_int_equal(check(ip), expected);
	assert_int_equal(run("sysctl -qw net.ipv4.ping_group_range='0 2147483647'"), 0);
	assert_int_equal(check(ip), expected);
}

static void a_container_whose_default_route_is_this_host_is_good(void **state)
{
	uint64_t start_ns = clock_now_ns();

	(void)state;
	in_container("ip route add default via 172.20.0.1");
	check_both("172.20.0.2", POOL_REACH_GOOD);
	assert_true(clock_now_ns() - start_ns < TIMEOUT_MS * NS_PER_MS);
	in_container("ip route del default");
}

static void one_without_a_default_route_is_not(void **state)
{
	(void)state;
	check_both("172.20.0.2", POOL_REACH_NONE);
	assert_int_equal(err.code, -EHOSTUNREACH);
	assert_string_equal(
		err.text,
		"172.20.0.2 answers this host, but not pseudo-IPv4 addresses: its default route is "
		"not this host (an --internal, macvlan or ipvlan network, or another network of "
		"its that has the default route)");
}

static void one_behind_a_gateway_names_that(void **state)
{
	(void)state;
	in_container("ip link set lo up && ip addr add 10.9.9.9/32 dev lo");
	assert_int_equal(run("ip route add 10.9.9.0/24 via 172.20.0.2"), 0);
	check_both("10.9.9.9", POOL_REACH_NONE);
	assert_non_null(strstr(err.text, "it is behind the gateway 172.20.0.2"));
	assert_int_equal(run("ip route del 10.9.9.0/24"), 0);
}

static void one_on_macvlan_names_that(void **state)
{
	(void)state;
	if (run("ip link add shim0 link to_c type macvlan mode bridge 2>/dev/null") != 0)
		skip();
	assert_int_equal(run("ip link set shim0 up && ip route add 172.20.1.2/32 dev shim0"), 0);
	in_container("ip addr add 172.20.1.2/32 dev eth0");
	check_both("172.20.1.2", POOL_REACH_NONE);
	assert_non_null(strstr(err.text, "it is on a macvlan network (shim0)"));
	assert_int_equal(run("ip link del shim0"), 0);
}

static void of_one_that_does_not_answer_nothing_is_known(void **state)
{
	(void)state;
	check_both("172.20.0.3", POOL_REACH_UNKNOWN);
	in_container("sysctl -qw net.ipv4.icmp_echo_ignore_all=1");
	check_both("172.20.0.2", POOL_REACH_UNKNOWN);
	in_container("sysctl -qw net.ipv4.icmp_echo_ignore_all=0");
	check_both("192.0.2.1", POOL_REACH_UNKNOWN); /* there is no route */
	assert_string_equal(err.text, "");
}

static void this_host_itself_is_good(void **state)
{
	(void)state;
	check_both("127.0.0.1", POOL_REACH_GOOD);
	check_both("172.20.0.1", POOL_REACH_GOOD);
}

static void without_a_right_to_ask_nothing_is_known(void **state)
{
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(run("sysctl -qw net.ipv4.ping_group_range='1 0'"), 0);
	child = fork();
	if (child == 0)
		_exit(setresuid(65534, 65534, 65534) == 0 ? (int)check("172.20.0.2") : 99);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), POOL_REACH_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_container_whose_default_route_is_this_host_is_good),
		cmocka_unit_test(one_without_a_default_route_is_not),
		cmocka_unit_test(one_behind_a_gateway_names_that),
		cmocka_unit_test(one_on_macvlan_names_that),
		cmocka_unit_test(of_one_that_does_not_answer_nothing_is_known),
		cmocka_unit_test(this_host_itself_is_good),
		cmocka_unit_test(without_a_right_to_ask_nothing_is_known),
	};

	if (unshare(CLONE_NEWNET) != 0 || run("ip link set lo up") != 0 || !start_container())
		return skip_all("no network namespace of its own, or no ip(8)");
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
