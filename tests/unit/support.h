/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the unit tests share: sockets on the loopback interface, a loop that runs until something
 * has happened, and bounded waiting. Every helper asserts its own success.
 */
#ifndef FAIRLEAD_TESTS_UNIT_SUPPORT_H
#define FAIRLEAD_TESTS_UNIT_SUPPORT_H

/* cmocka.h wants these four first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"
#include "net/address.h"
#include "net/protocol.h"
#include "relay/relay.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* How long to wait for what must come. */
#define COMES_MS 5000

/* The address of that IP text, with this port. */
struct address address_of(const char *ip, uint16_t port);

/* A non-blocking socket bound to that address, listening if it is TCP; the port is the kernel's. */
int listen_on(enum protocol protocol, const char *ip, struct address *ret);

/* A blocking socket that is connected. */
int connect_to(enum protocol protocol, const struct address *address);

/* Waits for a connection; flags are those of accept4(2). */
int accept_from(int listener, int flags);

/* A connected pair of TCP sockets over 127.0.0.1, both non-blocking. */
void stream_pair(int pair[2]);

/* Waits for any of these poll(2) events; false if none came in that time. */
bool wait_for(int fd, short events, int ms);

/* Receives exactly this, waiting for it; a zero-length text is an end of file or empty datagram. */
void assert_receives(int fd, const char *text);
void assert_was_reset(int fd);

/* Writes to a non-blocking socket until it takes no more for good; returns the number of bytes. */
size_t fill(int fd);

/* Reads from a non-blocking socket what comes until it is silent for a short time. */
size_t drain(int fd);

/*
 * The loop of the program. run_until() runs it until done() is true, and fails the test if that
 * takes longer than COMES_MS; run_turns() runs it for a short while.
 */
extern struct loop loop;
void loop_setup(void);
void loop_teardown(void);
void run_until(bool (*done)(void));
void run_turns(void);

/* Ends the sessions of that route, which may be used again. */
void end_sessions(struct relay *relay, struct relay_route *route);

/* From here on standard error is a pipe: what is written there can be read from the descriptor. */
int capture_stderr(void);
void release_stderr(void);

/* Says that a whole program cannot run here, in TAP's way; for main() to return. */
int skip_all(const char *reason);

#endif
