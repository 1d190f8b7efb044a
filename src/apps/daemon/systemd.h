/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What systemd hands over and wants to hear: sockets (sd_listen_fds(3)), its file descriptor store,
 * readiness and the watchdog (sd_notify(3)).
 *
 * Listening sockets of ports are kept in the store, so that who connects while the daemon restarts
 * waits instead of being refused.
 */
#ifndef FAIRLEAD_APPS_DAEMON_SYSTEMD_H
#define FAIRLEAD_APPS_DAEMON_SYSTEMD_H

#include "loop/loop.h"
#include "loop/timeout.h"
#include "model/rule.h"

/* The names of sockets in .socket units. */
#define SYSTEMD_NAME_API "api"
#define SYSTEMD_NAME_DROP_IN "drop-in"
#define SYSTEMD_NAME_STATUS "status"

struct systemd_socket {
	int fd; /* -1: taken */
	enum protocol protocol;
	struct address address;
};

struct systemd {
	struct loop *loop;
	struct timeout_queue watchdog;
	struct timeout tick;
	struct systemd_socket *sockets; /* of ports */
	size_t sockets_count;
	int api, drop_in, status; /* -1: not handed over */
};

/* Takes what was handed over, and begins to feed the watchdog if it wants that. */
void systemd_init(struct systemd *systemd, struct loop *loop);
void systemd_fini(struct systemd *systemd);

/* The socket that was handed over for the rule, which is the caller's then; -1: none. */
int systemd_take_port(void *systemd, const struct rule *rule);

/* Closes what nobody has taken, and has it dropped from the store. */
void systemd_drop_rest(struct systemd *systemd);

/* Keeps the socket of a port in the store, or takes it out. */
void systemd_store_port(void *systemd, const struct rule *rule, int fd);
void systemd_forget_port(void *systemd, const struct rule *rule);

void systemd_ready(const char *status);
void systemd_reloading(void);
void systemd_stopping(void);

#endif
