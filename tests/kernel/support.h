/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tests share: sockets on the loopback interface, and bounded waiting.
 *
 * Every helper asserts its own success, so that a test shows only the calls it is about. Waiting is
 * by poll() with a limit: long where something must come, short where nothing may come.
 */
#ifndef FAIRLEAD_TESTS_KERNEL_SUPPORT_H
#define FAIRLEAD_TESTS_KERNEL_SUPPORT_H

/* cmocka.h wants these four first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* How long to wait for what must come, and for what may not come. */
enum { COMES_MS = 5000, STAYS_AWAY_MS = 50 };

/* Asserts that a system call failed with this errno; evaluates the call once. */
#define assert_fails(call, error)                 \
	do {                                      \
		assert_int_equal((call), -1);     \
		assert_int_equal(errno, (error)); \
	} while (0)

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* The socket address for numeric `host` (either family) and `port` in host order. */
union address address_parse(const char *host, uint16_t port);
socklen_t address_length(const union address *address);

/* The local address of a socket. */
union address address_of(int fd);

/* A socket of `type` bound to `host`, a port of the kernel's choice. */
int socket_bound(int type, const char *host);

/* A listening TCP socket on 127.0.0.1, with SO_REUSEADDR. */
int tcp_listen(void);

/* A connected TCP pair over 127.0.0.1; both ends block. */
struct tcp_pair {
	int client;
	int server;
};
struct tcp_pair tcp_pair_open(void);
void tcp_pair_close(struct tcp_pair pair);

/* A connected TCP socket to the listener; blocks until the handshake is over. */
int tcp_connect(int listener);

/* Closes so that the peer sees a reset: SO_LINGER with a time of zero. */
void close_with_reset(int fd);

void set_nonblocking(int fd);
int get_int_option(int fd, int level, int option);
void set_int_option(int fd, int level, int option, int value);

/* Reads and clears the pending error of a socket. */
int take_socket_error(int fd);

/* Waits until poll() reports one of `events` (or an error), and returns what it reports. */
short wait_for(int fd, short events);

/* True if nothing of `events` shows up within STAYS_AWAY_MS. */
bool stays_quiet(int fd, short events);

/* Sends all of it, in one call. */
void send_all(int fd, const void *data, size_t length);

/* Receives exactly this text, waiting for each part. */
void assert_receives(int fd, const char *text);

/* Writes zeros to a non-blocking socket until it takes no more; returns how many it took. */
size_t fill(int fd);

/* Reads from a socket until end of file or error; returns the bytes, and the errno or 0. */
size_t drain(int fd, int *ret_error);

/* Moves this process into a network namespace of its own, with its loopback interface up at this
 * MTU. False, with errno set, where that is not permitted. */
bool enter_own_network(int loopback_mtu);

/* Says that a whole program cannot run here, in TAP's way; for main() to return. */
int skip_all(const char *reason);

#endif
