/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backends: servers on 127.0.0.1, each a child process, that stand for the container's service.
 */
#ifndef FAIRLEAD_TESTS_SCTP_BACKEND_H
#define FAIRLEAD_TESTS_SCTP_BACKEND_H

#include <stdint.h>
#include <sys/types.h>

struct backend {
	pid_t pid;
	uint16_t port;
	int report; /* what the backend saw, for backend_report() */
};

/* What a backend saw of its first association. */
struct report {
	uint32_t messages;
	uint64_t bytes;
	uint32_t ending; /* enum ending */
};

/* Serves one association; what it returns is its report. */
typedef struct report serve_fn(int fd);

/* Starts a backend that serves each association in a process of its own. */
struct backend backend_start(serve_fn *serve);
void backend_stop(const struct backend *backend);

/* Waits for the report of an association. */
struct report backend_report(const struct backend *backend);

/* A port on which nobody listens. */
uint16_t backend_refusing_port(void);

/* Sends back each message as it came. */
serve_fn serve_echo;

/* Receives all, and closes. */
serve_fn serve_sink;

#endif
