/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead publish: published ports without dockerd, in the foreground unless -d is given. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "apps/cli/command.h"
#include "apps/cli/detached.h"
#include "apps/cli/publish_options.h"
#include "apps/cli/summary.h"
#include "apps/common/reporter.h"
#include "base/log.h"
#include "base/text.h"
#include "identity/identities.h"
#include "kernel/kernel_path.h"
#include "loop/signals.h"
#include "model/pseudo.h"
#include "net/socket.h"

/* For how long an address is kept for a client that has gone. */
#define LEASE_S (24 * 3600)

static struct publish {
	struct publish_options options;
	struct settings settings;
	struct loop loop;
	struct signals signals;
	struct reporter reporter;
	FILE *listening; /* what is said once all ports are there */
	struct identities identities;
	struct publisher publisher;
	struct kernel_path kernel_path;
	bool has_kernel_path;
} publish;

static bool is_published(const struct rule *rule)
{
	for (struct published_port *port = publisher_next(&publish.publisher, NULL); port;
	     port = publisher_next(&publish.publisher, port))
		if (port->rule.protocol == rule->protocol &&
		    address_equal(&port->rule.host, &rule->host))
			return true;
	return false;
}

static struct published_port *add_port(const struct port_spec *spec, const struct address *host,
				       uint16_t host_port, uint16_t container_port,
				       struct error *err)
{
	struct rule rule = { .protocol = spec->protocol,
			     .origin = RULE_FROM_COMMAND,
			     .host = *host,
			     .container = publish.options.container,
			     .identity = publish.options.identity };
	struct published_port *port;

	rule.host.port = host_port;
	rule.container.port = container_port;
	port = publisher_add(&publish.publisher, &rule, -1, err);
	if (!port && err->code == -EADDRINUSE && is_published(&rule))
		error_set(err, -EADDRINUSE, "port %u/%s is published by another -p already",
			  host_port, protocol_name(spec->protocol));
	return port;
}

/* Publishes the host port on all of the addresses, or on none. */
static int add_on_all(const struct port_spec *spec, const struct address *hosts, size_t hosts_count,
		      uint16_t host_port, uint16_t container_port, struct error *err)
{
	struct published_port *added[2] = { NULL };

	for (size_t i = 0; i < hosts_count; i++) {
		added[i] = add_port(spec, &hosts[i], host_port, container_port, err);
		if (added[i])
			continue;
		while (i-- > 0)
			publisher_remove(&publish.publisher, added[i]);
		return err->code;
	}
	return 0;
}

static void print_listening(const struct port_spec *spec, const struct address *hosts,
			    size_t hosts_count, uint16_t host_first, uint16_t host_last)
{
	char host[ADDRESS_TEXT_MAX], container[ADDRESS_TEXT_MAX];
	char host_end[8] = "", container_end[8] = "";
	struct address target = publish.options.container;

	target.port = spec->container_first;
	if (host_last != host_first)
		(void)snprintf(host_end, sizeof(host_end), "-%u", host_last);
	if (spec->container_last != spec->container_first)
		(void)snprintf(container_end, sizeof(container_end), "-%u", spec->container_last);
	for (size_t i = 0; i < hosts_count; i++) {
		struct address shown = hosts[i];

		shown.port = host_first;
		(void)fprintf(publish.listening, "Listening on %s%s/%s -> %s%s\n",
			      address_format(&shown, host), host_end, protocol_name(spec->protocol),
			      address_format(&target, container), container_end);
	}
}

/* One host port of the range, the first that is free. */
static int add_choice(const struct port_spec *spec, const struct address *hosts, size_t hosts_count,
		      struct error *err)
{
	for (uint32_t port = spec->host_first; port <= spec->host_last; port++) {
		int r = add_on_all(spec, hosts, hosts_count, (uint16_t)port, spec->container_first,
				   err);

		if (r == 0)
			print_listening(spec, hosts, hosts_count, (uint16_t)port, (uint16_t)port);
		if (r != -EADDRINUSE)
			return r;
	}
	return error_set(err, -EADDRINUSE, "every port from %u to %u is in use", spec->host_first,
			 spec->host_last);
}

static int add_range(const struct port_spec *spec, const struct address *hosts, size_t hosts_count,
		     struct error *err)
{
	for (uint32_t i = 0; i <= (uint32_t)(spec->host_last - spec->host_first); i++) {
		int r = add_on_all(spec, hosts, hosts_count, (uint16_t)(spec->host_first + i),
				   (uint16_t)(spec->container_first + i), err);

		if (r < 0)
			return r;
	}
	print_listening(spec, hosts, hosts_count, spec->host_first, spec->host_last);
	return 0;
}

static int add_spec_ports(const struct port_spec *spec, struct error *err)
{
	struct address hosts[2] = { spec->host };
	size_t hosts_count = 1;

	if (spec->any_host) {
		hosts[0] = (struct address){ .family = AF_INET };
		hosts[1] = (struct address){ .family = AF_INET6 };
		hosts_count = socket_has_ipv6() ? 2 : 1;
	}
	return port_spec_is_choice(spec) ? add_choice(spec, hosts, hosts_count, err)
					 : add_range(spec, hosts, hosts_count, err);
}

static void on_signal(void *context, int signal)
{
	(void)context;
	(void)signal;
	loop_stop(&publish.loop);
}

/* With a store of this process alone, which ends with it. */
static int start_identities(struct error *err)
{
	const struct publish_options *options = &publish.options;
	struct pseudo_settings settings = { .pool = options->pool,
					    .client_length = options->client_length,
					    .lease_s = LEASE_S };
	int r;

	identities_init(&publish.identities, &settings, IDENTITIES_RUN_DIRECTORY);
	publish.publisher.introducer = &publish.identities.introductions.introducer;
	r = identities_prepare(&publish.identities, &options->identity, err);
	if (r < 0 || !(options->identity.kinds & IDENTITY_PSEUDO_IPV4))
		return r;
	if (identities_reach(&publish.identities, &options->container, err) == POOL_REACH_NONE)
		r = err->code;
	return r;
}

/* The kernel path. The relay has the same ports, for clients of this host. */

static uint64_t next_id(void *context)
{
	return relay_next_id(context);
}

static void on_told(void *context, const struct error *err)
{
	(void)context;
	log_write(err->code < 0 ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, "%s", err->text);
}

static int open_kernel_path(struct error *err)
{
	struct carrier_settings settings = {
		.identities = &publish.identities,
		.udp_idle_ns = publish.settings.udp_idle_timeout_ns,
		.recheck_ns = CARRIER_RECHECK_NS,
		.observer = { .next_id = next_id, .context = &publish.publisher.relay },
	};
	int r = pseudo_parse_transit(PSEUDO_TRANSIT, &settings.transit, err);

	if (publish.options.identity.path == PATH_AUTO)
		settings.told = on_told;
	if (r == 0)
		r = kernel_path_start(&publish.kernel_path, &settings, err);
	publish.has_kernel_path = r == 0;
	return r;
}

static void set_kernel_rules(void)
{
	struct rule *rules = NULL;
	size_t count = 0;

	for (struct published_port *port = publisher_next(&publish.publisher, NULL); port;
	     port = publisher_next(&publish.publisher, port)) {
		struct rule *more = reallocarray(rules, count + 1, sizeof(*rules));

		if (!more)
			break;
		rules = more;
		rules[count++] = port->rule;
	}
	kernel_path_set_rules(&publish.kernel_path, rules, count);
	kernel_path_wait(&publish.kernel_path);
}

/* Whoever asks for the kernel gets it or none; whoever leaves that to us is told. */
static int check_kernel_rules(struct error *err)
{
	for (struct published_port *port = publisher_next(&publish.publisher, NULL); port;
	     port = publisher_next(&publish.publisher, port)) {
		struct kernel_path_state state;
		char text[RULE_TEXT_MAX];

		if (port->rule.host.family != AF_INET6 ||
		    !kernel_path_describe(&publish.kernel_path, &port->rule, &state) ||
		    state.is_carried)
			continue;
		if (publish.options.identity.path == PATH_KERNEL) {
			*err = state.obstacle;
			return err->code;
		}
		(void)fprintf(publish.listening, "%s is carried by the relay: %s\n",
			      rule_format(&port->rule, text), state.obstacle.text);
	}
	return 0;
}

static int start_kernel_path(struct error *err)
{
	int r;

	if (publish.options.identity.path == PATH_RELAY)
		return 0;
	r = open_kernel_path(err);
	if (r < 0)
		return r;
	set_kernel_rules();
	return check_kernel_rules(err);
}

/* What was carried without the relay, which has counted nothing of it. */
static bool find_by_kernel(const struct published_port *port, struct kernel_path_state *ret)
{
	return publish.has_kernel_path &&
	       kernel_path_describe(&publish.kernel_path, &port->rule, ret) &&
	       ret->counts.sessions > 0;
}

static bool is_carried_by_kernel(const struct published_port *port)
{
	struct kernel_path_state state;

	return find_by_kernel(port, &state);
}

static void print_kernel_summary(void)
{
	for (struct published_port *port = publisher_next(&publish.publisher, NULL); port;
	     port = publisher_next(&publish.publisher, port)) {
		char name[RULE_TEXT_MAX], in[TEXT_SIZE_MAX], out[TEXT_SIZE_MAX];
		struct kernel_path_state state;

		if (!find_by_kernel(port, &state))
			continue;
		printf("%s by the kernel: %" PRIu64 " session%s, %s in, %s out\n",
		       rule_format(&port->rule, name), state.counts.sessions,
		       plural(state.counts.sessions), text_format_size(state.counts.in_bytes, in),
		       text_format_size(state.counts.out_bytes, out));
	}
}

static int start(struct error *err)
{
	struct publisher_observer observer = reporter_observer(&publish.reporter, &publish.loop);
	int r;

	settings_init(&publish.settings);
	r = settings_from_environment(&publish.settings, err);
	if (r < 0)
		return r;
	log_open(publish.settings.log, "fairlead");
	r = loop_init(&publish.loop);
	if (r == 0)
		r = signals_init(&publish.signals, &publish.loop, on_signal, NULL);
	if (r < 0)
		return error_set(err, r, "epoll or signalfd: %s", error_name(r));
	publisher_init(&publish.publisher, &publish.loop, &publish.settings, socket_raise_limit(),
		       &observer);
	r = start_identities(err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < publish.options.specs_count; i++) {
		r = add_spec_ports(&publish.options.specs[i], err);
		if (r < 0)
			return error_prefix(err, "-p %.60s", publish.options.texts[i]);
	}
	return start_kernel_path(err);
}

static void end(void)
{
	if (publish.has_kernel_path)
		kernel_path_stop(&publish.kernel_path, false);
	identities_fini(&publish.identities);
}

int command_publish(int argc, char **argv)
{
	struct error err;
	char *listening = NULL;
	size_t length;
	int exit_code = publish_options_parse(argc, argv, &publish.options);
	int r;

	if (exit_code >= 0)
		return exit_code;
	if (publish.options.detached)
		return publish_detached(&publish.options);
	publish.listening = open_memstream(&listening, &length);
	if (!publish.listening || start(&err) < 0) {
		(void)fprintf(stderr, "fairlead publish: %s\n",
			      publish.listening ? err.text : error_name(-ENOMEM));
		end();
		return EXIT_FAILURE;
	}
	(void)fclose(publish.listening);
	printf("%sPress Ctrl-C to stop.\n", listening);
	free(listening);
	(void)fflush(stdout);
	r = loop_run(&publish.loop);
	if (r < 0) {
		(void)fprintf(stderr, "fairlead publish: epoll_wait: %s\n", error_name(r));
		end();
		return EXIT_FAILURE;
	}
	workers_drop_withdrawn(&publish.publisher.workers, true);
	printf("\n");
	if (publish.has_kernel_path)
		kernel_path_refresh(&publish.kernel_path);
	summary_print(stdout, &publish.publisher, is_carried_by_kernel);
	print_kernel_summary();
	publisher_fini(&publish.publisher);
	end();
	return EXIT_SUCCESS;
}
