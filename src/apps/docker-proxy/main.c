/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fairlead-docker-proxy: takes the place of Docker's docker-proxy (dockerd --userland-proxy-path).
 *
 * dockerd starts one for each published port and address family, so everything here is small: one
 * thread, no heap, and memory that comes with sessions and goes with them.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "apps/common/reporter.h"
#include "apps/docker-proxy/flags.h"
#include "apps/docker-proxy/inherited.h"
#include "apps/docker-proxy/lease.h"
#include "apps/version.h"
#include "base/fd.h"
#include "base/log.h"
#include "loop/signals.h"
#include "net/socket.h"
#include "publish/publisher.h"

#define EXIT_USAGE 2

/* Zeroed memory, of which only the pages that are used ever exist. */
static struct proxy {
	struct flags flags;
	struct settings settings;
	struct rule rule;
	struct loop loop;
	struct signals signals;
	struct reporter reporter;
	struct lease lease;
	const char *lease_path;
	struct published_port *port;
	struct publisher publisher; /* last: it ends in a large buffer */
} proxy;

static int parse_command_line(int argc, char **argv)
{
	struct error err;

	if (flags_parse(argc, argv, &proxy.flags, &err) < 0) {
		dprintf(STDERR_FILENO, "%s\n", err.text);
		flags_usage(STDERR_FILENO, argv[0]);
		return EXIT_USAGE;
	}
	if (proxy.flags.help) {
		flags_usage(STDERR_FILENO, argv[0]);
		return 0;
	}
	if (proxy.flags.version) {
		dprintf(STDOUT_FILENO, "docker-proxy (commit %s) version %s (fairlead)\n",
			FAIRLEAD_COMMIT, FAIRLEAD_VERSION);
		return 0;
	}
	return -1; /* go on */
}

static int make_rule(struct error *err)
{
	const struct flags *flags = &proxy.flags;
	/* a socket that is handed over knows its port */
	int64_t host_port = flags->use_listen_fd && flags->host_port == -1 ? 0 : flags->host_port;

	if (protocol_parse(flags->proto, &proxy.rule.protocol) < 0)
		return error_set(err, -EINVAL, "unsupported protocol %.40s: use tcp, udp or sctp",
				 flags->proto);
	if (host_port < 0 || host_port > 65535)
		return error_set(err, -EINVAL,
				 "host port %lld is outside 0-65535: set it with -host-port",
				 (long long)host_port);
	if (flags->container_port < 1 || flags->container_port > 65535)
		return error_set(
			err, -EINVAL,
			"container port %lld is outside 1-65535: set it with -container-port",
			(long long)flags->container_port);
	proxy.rule.host = flags->host_ip;
	proxy.rule.host.port = (uint16_t)host_port;
	proxy.rule.container = flags->container_ip;
	proxy.rule.container.port = (uint16_t)flags->container_port;
	return 0;
}

/* dockerd sends SIGINT and waits, one port after the other: leave at once. */
static void on_signal(void *context, int signal)
{
	(void)context;
	(void)signal;
	loop_stop(&proxy.loop);
}

static int publish(struct error *err)
{
	struct publisher_observer observer = reporter_observer(&proxy.reporter, &proxy.loop);
	uint32_t descriptors_max = socket_raise_limit();
	int r = loop_init(&proxy.loop);

	if (r == 0)
		r = signals_init(&proxy.signals, &proxy.loop, on_signal, NULL);
	if (r < 0)
		return error_set(err, r, "epoll or signalfd: %s", error_name(r));
	publisher_init(&proxy.publisher, &proxy.loop, &proxy.settings, descriptors_max, &observer);
	proxy.port = publisher_add(&proxy.publisher, &proxy.rule,
				   proxy.flags.use_listen_fd ? INHERITED_LISTEN_FD : -1, err);
	if (!proxy.port) {
		char host[ADDRESS_TEXT_MAX];

		return error_prefix(err, "failed to listen on %s",
				    address_format(&proxy.rule.host, host));
	}
	return 0;
}

/* Everything up to the served port. */
static int start(int status_fd, struct error *err)
{
	int r;

	settings_init(&proxy.settings);
	r = settings_from_environment(&proxy.settings, err);
	log_open(proxy.settings.log, "fairlead-docker-proxy");
	if (r == 0)
		r = lease_read_environment(&proxy.lease_path, err);
	if (r == 0)
		r = make_rule(err);
	/*
	 * dockerd asks for SIGTERM at its death, but that is lost where the kernel changes
	 * credentials at exec (PR_SET_PDEATHSIG(2const)). By hand nobody asked for it.
	 */
	if (status_fd >= 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (r == 0)
		r = publish(err);
	return r;
}

int main(int argc, char **argv)
{
	struct error err;
	int status_fd = inherited_init();
	int exit_code = parse_command_line(argc, argv);
	int r;

	if (exit_code >= 0)
		return exit_code;
	if (start(status_fd, &err) < 0) {
		log_write(LOG_LEVEL_ERROR, "%s", err.text);
		inherited_report_failure(&status_fd, err.text);
		return EXIT_FAILURE;
	}
	if (inherited_report_ready(&status_fd) < 0)
		return EXIT_SUCCESS; /* dockerd has died meanwhile, and nobody would ever stop us */
	if (proxy.lease_path)
		lease_init(&proxy.lease, &proxy.loop, &proxy.publisher, proxy.port,
			   proxy.lease_path);
	r = loop_run(&proxy.loop);
	if (r < 0)
		log_write(LOG_LEVEL_ERROR, "epoll_wait: %s", error_name(r));
	lease_fini(&proxy.lease);
	publisher_fini(&proxy.publisher);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
