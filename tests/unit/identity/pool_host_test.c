/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pool_host.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "identity/pool_route.h"
#include "model/pseudo.h"
#include "net/socket.h"
#include "relay/dial.h"
#include "support.h"

#define OTHER_POOL "198.18.0.0/15"

/* libnftables 1.0 loses about 1 kB with each table that it sets; listing one loses nothing. */
const char *__lsan_default_suppressions(void);
__attribute__((used)) const char *__lsan_default_suppressions(void)
{
	return "leak:libnftables\n";
}

/* What was suppressed would else be a report, and every report is a failure. */
const char *__lsan_default_options(void);
__attribute__((used)) const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

static char run_directory[] = "/tmp/fairlead-test-XXXXXX";
static struct pool_host host;
static struct error err;

/* ip(8), in this program's own network namespace. */
static int run(const char *command)
{
	return system(command);
}

static struct prefix prefix_of(const char *text)
{
	struct prefix prefix;

	assert_int_equal(prefix_parse(text, &prefix), 0);
	return prefix;
}

static int host_open(struct pool_host *opened, const char *pool)
{
	struct prefix prefix = prefix_of(pool);

	return pool_host_open(opened, &prefix, run_directory, &err);
}

/* What a killed process leaves: all but its lock. */
static void host_kill(struct pool_host *killed)
{
	fd_close(&killed->lock);
}

/* A service on any address, of a port that is returned; both families, as many are. */
static int serve_any(int type, int family, uint16_t *ret_port)
{
	struct address any = address_of(family == AF_INET ? "0.0.0.0" : "::", 0);
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(&any, family, &storage);
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), no = 0;

	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
	assert_int_equal(bind(fd, (struct sockaddr *)&storage, length), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	length = sizeof(storage);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&storage, &length), 0);
	address_from_sockaddr(&storage, &any);
	*ret_port = any.port;
	return fd;
}

/* Connects from `from`, and sends a byte; returns 0 or -errno. */
static int reach(int type, const char *from, const char *to, uint16_t port)
{
	struct address source = address_of(from, 0), target = address_of(to, port);
	struct sockaddr_storage storage;
	socklen_t length = address_to_sockaddr(&source, AF_INET, &storage);
	struct timeval limit = { .tv_usec = 200000 };
	OWNED_FD fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	assert_int_equal(bind(fd, (struct sockaddr *)&storage, length), 0);
	length = address_to_sockaddr(&target, AF_INET, &storage);
	if (connect(fd, (struct sockaddr *)&storage, length) < 0 || send(fd, "x", 1, 0) < 0)
		return -errno;
	return 0;
}

static void assert_is_guarded(int type, int family, int expected)
{
	uint16_t port;
	OWNED_FD service = serve_any(type, family, &port);

	/* as of the relay, to a container that shares the host's network */
	assert_int_equal(reach(type, "240.1.2.3", "127.0.0.1", port), 0);
	assert_true(wait_for(service, POLLIN, COMES_MS));
	if (type == SOCK_STREAM)
		close(accept(service, NULL, NULL));
	else
		assert_int_equal(recv(service, &(char){ 0 }, 1, 0), 1);
	/* as of a container */
	assert_int_equal(reach(type, "127.0.0.1", "240.1.2.3", port), expected);
	assert_false(wait_for(service, POLLIN, 50));
}

static void nobody_reaches_services_of_the_host_at_the_pool(void **state)
{
	(void)state;
	assert_int_equal(host_open(&host, PSEUDO_POOL), 0);
	assert_int_equal(host.guard.kind, POOL_GUARD_SOCKETS);
	for (int i = 0; i < 2; i++) {
		assert_is_guarded(SOCK_STREAM, i == 0 ? AF_INET : AF_INET6, -ECONNREFUSED);
		assert_is_guarded(SOCK_DGRAM, i == 0 ? AF_INET : AF_INET6, 0);
	}
	pool_host_close(&host);
}

static void nor_with_connection_tracking(void **state)
{
	(void)state;
	struct prefix pool = prefix_of(PSEUDO_POOL);
	struct pool_guard guard;

	assert_int_equal(pool_route_add(&pool, &err), 0);
	assert_int_equal(pool_guard_open(&guard, &pool, POOL_GUARD_TRACKING, &err), 0);
	assert_int_equal(guard.kind, POOL_GUARD_TRACKING);
	for (int i = 0; i < 2; i++) {
		assert_is_guarded(SOCK_STREAM, i == 0 ? AF_INET : AF_INET6, -EINPROGRESS);
		assert_is_guarded(SOCK_DGRAM, i == 0 ? AF_INET : AF_INET6, 0);
	}
	pool_guard_close(&guard);
	assert_int_equal(pool_route_remove_others(NULL, &err), 1);
}

/* The source that a service at 127.0.0.1 sees of a connection from the pool. */
static void assert_seen(const char *expected)
{
	struct address target, seen, source = address_of("240.1.2.3", 0);
	OWNED_FD listener = listen_on(PROTOCOL_TCP, "127.0.0.1", &target), fd = -1, accepted = -1;
	char text[ADDRESS_TEXT_MAX];

	assert_int_equal(dial_start(PROTOCOL_TCP, &target, &source, false, &fd), 0);
	accepted = accept_from(listener, 0);
	socket_peer_address(accepted, &seen);
	(void)address_format_ip(&seen, text);
	assert_string_equal(text, expected);
}

static bool has_chain(const char *name)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "nft list chain ip fairlead %s >/dev/null 2>&1",
		       name);
	return run(command) == 0;
}

/* As Docker does with --userland-proxy=false, before the pool is set or behind that. */
static void no_other_rule_translates_the_pool(void **state)
{
	static const char masquerade[] =
		"nft 'table ip other { chain c { type nat hook postrouting priority srcnat; "
		"fib saddr type local masquerade; }; }'";

	(void)state;
	assert_int_equal(run("ip addr add 192.0.2.1/32 dev lo"), 0);
	assert_int_equal(host_open(&host, PSEUDO_POOL), 0);
	assert_false(has_chain("postrouting")); /* nobody tracks connections */
	assert_seen("240.1.2.3");
	if (run(masquerade) != 0) {
		pool_host_close(&host);
		skip();
	}
	assert_seen("192.0.2.1");
	assert_int_equal(pool_host_check(&host, &err), -EAGAIN);
	assert_true(has_chain("postrouting"));
	assert_seen("240.1.2.3");
	pool_host_close(&host);

	assert_int_equal(host_open(&host, PSEUDO_POOL), 0);
	assert_seen("240.1.2.3");
	assert_int_equal(run("nft delete table ip other"), 0);
	assert_int_equal(pool_host_check(&host, &err), -EAGAIN);
	assert_false(has_chain("postrouting"));
	pool_host_close(&host);
	assert_int_equal(run("ip addr del 192.0.2.1/32 dev lo"), 0);
}

static void all_goes_with_it(void **state)
{
	(void)state;
	assert_int_equal(host_open(&host, PSEUDO_POOL), 0);
	pool_host_close(&host);
	assert_int_equal(pool_host_cleanup(run_directory, &err), 0);
}

static void what_a_killed_one_leaves_is_taken_over(void **state)
{
	(void)state;
	struct pool_host killed;

	assert_int_equal(host_open(&killed, PSEUDO_POOL), 0);
	host_kill(&killed);
	assert_int_equal(host_open(&host, PSEUDO_POOL), 0);
	assert_int_equal(pool_host_check(&host, &err), 0);
	host_kill(&host);
	assert_int_equal(pool_host_cleanup(run_directory, &err), 2);
	assert_int_equal(pool_host_cleanup(run_directory, &err), 0);
}

static void another_pool_leaves_nothing_of_the_first(void **state)
{
	(void)state;
	struct prefix first = prefix_of(PSEUDO_POOL);
	struct pool_host killed;

	assert_int_equal(host_open(&killed, PSEUDO_POOL), 0);
	host_kill(&killed);
	assert_int_equal(host_open(&host, OTHER_POOL), 0);
	assert_int_equal(pool_route_add(&first, &err), 0); /* it was not there */
	assert_int_equal(pool_route_remove_others(&first, &err), 1);
	assert_int_equal(pool_route_remove_others(NULL, &err), 1);
	pool_host_close(&host);
}

static void a_second_one_is_refused(void **state)
{
	(void)state;
	struct pool_host second;
	char expected[32];

	assert_int_equal(host_open(&host, PSEUDO_POOL), 0);
	assert_int_equal(host_open(&second, OTHER_POOL), -EBUSY);
	(void)snprintf(expected, sizeof(expected), "process %d:", (int)getpid());
	assert_non_null(strstr(err.text, expected));
	assert_int_equal(pool_host_cleanup(run_directory, &err), -EBUSY);
	assert_int_equal(pool_host_check(&host, &err), 0);
	pool_host_close(&host);
	assert_int_equal(host_open(&second, OTHER_POOL), 0);
	pool_host_close(&second);
}

static void a_lock_whose_file_was_removed_is_taken_anew(void **state)
{
	(void)state;
	struct pool_host second;
	char command[64];

	assert_int_equal(host_open(&host, PSEUDO_POOL), 0);
	(void)snprintf(command, sizeof(command), "rm -r %s", run_directory);
	assert_int_equal(run(command), 0);
	assert_int_equal(pool_host_check(&host, &err), 0);
	assert_int_equal(host_open(&second, OTHER_POOL), -EBUSY);
	pool_host_close(&host);
}

static void without_a_place_for_it_there_is_no_lock(void **state)
{
	(void)state;
	struct prefix pool = prefix_of(PSEUDO_POOL);

	assert_int_equal(pool_host_open(&host, &pool, "/proc/nowhere", &err), 0);
	assert_int_equal(host.lock, -1);
	assert_int_equal(pool_host_check(&host, &err), 0);
	pool_host_close(&host);
}

static void what_is_taken_away_comes_back(void **state)
{
	(void)state;
	assert_int_equal(host_open(&host, PSEUDO_POOL), 0);
	assert_int_equal(pool_route_remove_others(NULL, &err), 1);
	assert_int_equal(pool_host_check(&host, &err), -EAGAIN);
	assert_non_null(strstr(err.text, "routes, and what"));
	assert_int_equal(pool_guard_remove(&err), 1);
	assert_int_equal(pool_host_check(&host, &err), -EAGAIN);
	assert_non_null(strstr(err.text, "nftables, and what"));
	assert_int_equal(pool_host_check(&host, &err), 0);
	pool_host_close(&host);
}

static void the_hosts_own_addresses_and_routes_are_respected(void **state)
{
	static const struct {
		const char *add, *remove, *named;
	} cases[] = {
		{ "ip addr add 240.5.5.5/32 dev lo", "ip addr del 240.5.5.5/32 dev lo",
		  "the address 240.5.5.5/32 on interface lo" },
		{ "ip route add 240.5.0.0/16 dev lo table 77", "ip route flush table 77",
		  "a route to 240.5.0.0/16 on interface lo" },
		{ "ip route add local 240.0.0.0/5 dev lo", "ip route del local 240.0.0.0/5 dev lo",
		  "a route to 240.0.0.0/5" },
	};
	(void)state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(run(cases[i].add), 0);
		assert_int_equal(host_open(&host, PSEUDO_POOL), -EADDRINUSE);
		assert_non_null(strstr(err.text, cases[i].named));
		assert_non_null(strstr(err.text, "choose another pseudo_pool"));
		assert_int_equal(host_open(&host, OTHER_POOL), 0);
		pool_host_close(&host);
		assert_int_equal(run(cases[i].remove), 0); /* it is still there */
	}
}

static void a_pool_within_a_network_of_the_host_is_refused(void **state)
{
	(void)state;
	assert_int_equal(run("ip route add 10.0.0.0/8 dev lo"), 0);
	assert_int_equal(host_open(&host, "10.128.0.0/16"), -EADDRINUSE);
	assert_non_null(strstr(err.text, "a route to 10.0.0.0/8"));
	assert_int_equal(run("ip route del 10.0.0.0/8"), 0);
}

static void routes_to_nearly_everywhere_or_nowhere_are_not_in_the_way(void **state)
{
	(void)state;
	assert_int_equal(run("ip route add 128.0.0.0/1 dev lo && ip route add default dev lo && "
			     "ip route add blackhole 240.0.0.0/5"),
			 0);
	assert_int_equal(host_open(&host, PSEUDO_POOL), 0);
	pool_host_close(&host);
	assert_int_equal(run("ip route del 128.0.0.0/1 && ip route del default && "
			     "ip route del 240.0.0.0/5"),
			 0);
}

/* In a child, since rights do not come back. Returns what its opening said. */
static int open_without_rights(char text[ERROR_TEXT_MAX])
{
	int pipes[2], r, status;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (child == 0) {
		r = setresuid(65534, 65534, 65534) == 0 ? host_open(&host, PSEUDO_POOL) : 0;
		_exit(write(pipes[1], err.text, sizeof(err.text)) > 0 ? -r : 0);
	}
	assert_int_equal(read(pipes[0], text, ERROR_TEXT_MAX), ERROR_TEXT_MAX);
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return -WEXITSTATUS(status);
}

static void without_the_capability_it_says_so(void **state)
{
	(void)state;
	char text[ERROR_TEXT_MAX];

	assert_int_equal(open_without_rights(text), -EPERM);
	assert_non_null(strstr(text, "needs CAP_NET_ADMIN"));
}

static bool has_own_network(void)
{
	return unshare(CLONE_NEWNET) == 0 && run("ip link set lo up") == 0 &&
	       mkdtemp(run_directory) != NULL;
}

static int remove_directory(void **state)
{
	char command[64];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", run_directory);
	return run(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_reaches_services_of_the_host_at_the_pool),
		cmocka_unit_test(nor_with_connection_tracking),
		cmocka_unit_test(no_other_rule_translates_the_pool),
		cmocka_unit_test(all_goes_with_it),
		cmocka_unit_test(what_a_killed_one_leaves_is_taken_over),
		cmocka_unit_test(another_pool_leaves_nothing_of_the_first),
		cmocka_unit_test(a_second_one_is_refused),
		cmocka_unit_test(a_lock_whose_file_was_removed_is_taken_anew),
		cmocka_unit_test(without_a_place_for_it_there_is_no_lock),
		cmocka_unit_test(what_is_taken_away_comes_back),
		cmocka_unit_test(the_hosts_own_addresses_and_routes_are_respected),
		cmocka_unit_test(a_pool_within_a_network_of_the_host_is_refused),
		cmocka_unit_test(routes_to_nearly_everywhere_or_nowhere_are_not_in_the_way),
		cmocka_unit_test(without_the_capability_it_says_so),
	};

	if (!has_own_network())
		return skip_all("no network namespace of its own, or no ip(8)");
	return cmocka_run_group_tests(tests, NULL, remove_directory);
}
