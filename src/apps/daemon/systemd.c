/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/daemon/systemd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/socket.h"

/* Only what is said under systemd has an effect; elsewhere these calls do nothing. */

static void feed(void *context, struct timeout *timeout)
{
	struct systemd *systemd = context;

	(void)sd_notify(0, "WATCHDOG=1");
	timeout_start(timeout, &systemd->watchdog, systemd->loop);
}

static void start_watchdog(struct systemd *systemd)
{
	uint64_t limit_us = 0;

	timeout_init(&systemd->tick);
	if (sd_watchdog_enabled(0, &limit_us) <= 0)
		return;
	timeout_queue_init(&systemd->watchdog, systemd->loop, limit_us * 1000 / 3, feed, systemd);
	timeout_start(&systemd->tick, &systemd->watchdog, systemd->loop);
}

static void sort_in(struct systemd *systemd, int fd, const char *name)
{
	struct systemd_socket *it;

	if (strcmp(name, SYSTEMD_NAME_API) == 0) {
		systemd->api = fd;
	} else if (strcmp(name, SYSTEMD_NAME_DROP_IN) == 0) {
		systemd->drop_in = fd;
	} else if (strcmp(name, SYSTEMD_NAME_STATUS) == 0) {
		systemd->status = fd;
	} else {
		it = &systemd->sockets[systemd->sockets_count++];
		it->fd = fd;
		it->protocol = socket_protocol(fd);
		socket_local_address(fd, &it->address);
	}
}

void systemd_init(struct systemd *systemd, struct loop *loop)
{
	char **names = NULL;
	int count = sd_listen_fds_with_names(1, &names);

	*systemd = (struct systemd){ .loop = loop, .api = -1, .drop_in = -1, .status = -1 };
	start_watchdog(systemd);
	if (count <= 0)
		return;
	systemd->sockets = calloc((size_t)count, sizeof(*systemd->sockets));
	for (int i = 0; i < count; i++) {
		if (systemd->sockets)
			sort_in(systemd, SD_LISTEN_FDS_START + i, names[i]);
		free(names[i]);
	}
	free(names);
}

void systemd_fini(struct systemd *systemd)
{
	timeout_stop(&systemd->tick);
	for (size_t i = 0; i < systemd->sockets_count; i++)
		fd_close(&systemd->sockets[i].fd);
	free(systemd->sockets);
}

int systemd_take_port(void *context, const struct rule *rule)
{
	struct systemd *systemd = context;

	for (size_t i = 0; i < systemd->sockets_count; i++) {
		struct systemd_socket *it = &systemd->sockets[i];
		struct error ignored;

		if (it->fd >= 0 && it->protocol == rule->protocol &&
		    address_equal(&it->address, &rule->host) &&
		    socket_adopt(it->fd, rule->protocol, &ignored) == 0)
			return fd_take(&it->fd);
	}
	return -1;
}

/* Of the kind that the store takes: no colon, no control characters. */
static const char *store_name(const struct rule *rule, char buffer[32])
{
	char id[RULE_ID_MAX];

	(void)snprintf(buffer, 32, "port-%s", rule_id(rule, id));
	return buffer;
}

void systemd_store_port(void *context, const struct rule *rule, int fd)
{
	char name[32], state[64];

	(void)context;
	(void)snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s", store_name(rule, name));
	(void)sd_pid_notify_with_fds(0, 0, state, &fd, 1);
}

void systemd_forget_port(void *context, const struct rule *rule)
{
	char name[32];

	(void)context;
	(void)sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", store_name(rule, name));
}

void systemd_drop_rest(struct systemd *systemd)
{
	for (size_t i = 0; i < systemd->sockets_count; i++) {
		struct systemd_socket *it = &systemd->sockets[i];
		struct rule rule = { .protocol = it->protocol, .host = it->address };

		if (it->fd < 0)
			continue;
		systemd_forget_port(systemd, &rule);
		fd_close(&it->fd);
	}
}

void systemd_ready(const char *status)
{
	(void)sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void systemd_reloading(void)
{
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
			 (unsigned long long)(clock_now_ns() / 1000));
}

void systemd_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}
