/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxy under test, started as dockerd starts one: a status pipe as descriptor 3 and, for some,
 * a listening socket as descriptor 4.
 */
#ifndef FAIRLEAD_TESTS_SCTP_PROXY_H
#define FAIRLEAD_TESTS_SCTP_PROXY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct proxy {
	pid_t pid;
	uint16_t port;
	const char *client_host; /* where clients connect to */
	char status[512];	 /* all that came through descriptor 3 */
};

/* How the proxy comes by its listener. */
enum listener {
	OWN_LISTENER,
	PASSED_LISTENER,
};

/* The program to run; set once by main(). */
extern const char *proxy_program;

/*
 * Starts it on `host` ("0.0.0.0" or "::") and a port of its own, towards the backend on 127.0.0.1,
 * and waits until it serves.
 */
struct proxy proxy_start(const char *host, enum listener listener, uint16_t backend_port);

/* The same with this listener, which it takes over; it may have clients waiting. */
struct proxy proxy_start_with(int listener, const char *host, uint16_t backend_port);

/* Starts it for a port that may be taken, and returns what became of it: status, and the exit
 * code. */
int proxy_try(const char *host, uint16_t port, struct proxy *ret);

/* Stops it with SIGINT and fails the test unless it exits with 0. */
void proxy_stop(const struct proxy *proxy);

/* Its resident memory. */
long proxy_resident_kib(const struct proxy *proxy);

/* How many descriptors it has open. */
int proxy_descriptors(const struct proxy *proxy);

#endif
