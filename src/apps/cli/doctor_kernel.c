/* SPDX-License-Identifier: Apache-2.0 */
/* Chapters of `fairlead doctor`: pseudo-IPv4 addresses, and the kernel path. */
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apps/cli/doctor.h"
#include "identity/identities.h"
#include "identity/pool_route.h"
#include "identity/pseudo_map.h"
#include "kernel/carrier.h"
#include "kernel/obstacles.h"
#include "kernel/pins.h"
#include "model/pseudo.h"

/* Where no lock can be taken: this one is alone in its namespace. */
#define NO_DIRECTORY "/proc/self/fairlead"

static void settings_of(struct pseudo_settings *ret)
{
	struct error ignored;

	*ret = (struct pseudo_settings){ .client_length = 128 };
	(void)pseudo_parse_pool(PSEUDO_POOL, &ret->pool, &ignored);
}

/*
 * Has a child try it in a network namespace of its own, which ends with that, and all in it. Returns
 * 0 or -errno with a sentence.
 */
static int try_apart(int (*attempt)(struct error *err), struct error *err)
{
	int ends[2], status;
	pid_t child;

	error_set(err, -EIO, "it could not be tried");
	if (pipe(ends) < 0)
		return err->code;
	(void)fflush(stdout);
	child = fork();
	if (child == 0) {
		if (unshare(CLONE_NEWNET) < 0)
			(void)error_set(err, -errno,
					"it cannot be tried, as a network namespace needs "
					"CAP_SYS_ADMIN: run this as root");
		else if (attempt(err) == 0)
			err->code = 0;
		(void)!write(ends[1], err, sizeof(*err));
		_exit(0);
	}
	(void)close(ends[1]);
	if (child > 0 && read(ends[0], err, sizeof(*err)) != sizeof(*err))
		(void)error_set(err, -EIO,
				"it could not be tried: the process that did so has ended");
	(void)close(ends[0]);
	if (child > 0)
		(void)waitpid(child, &status, 0);
	return err->code;
}

static int try_pool(struct error *err)
{
	struct pseudo_settings settings;
	struct pool_host host;

	settings_of(&settings);
	return pool_host_open(&host, &settings.pool, NO_DIRECTORY, err);
}

static int try_carrier(struct error *err)
{
	static struct identities identities;
	static struct carrier carrier;
	struct carrier_settings settings = { .identities = &identities,
					     .recheck_ns = CARRIER_RECHECK_NS };
	struct pseudo_settings pseudo;
	int r;

	settings_of(&pseudo);
	identities_init(&identities, &pseudo, NO_DIRECTORY);
	(void)pseudo_parse_transit(PSEUDO_TRANSIT, &settings.transit, err);
	carrier_init(&carrier, &settings);
	r = carrier_open(&carrier, err);
	return r < 0 ? r : forwarding_set(&carrier.forwarding, err);
}

static void tell_attempt(struct doctor *doctor, const char *what, int (*attempt)(struct error *err))
{
	struct error err;

	if (try_apart(attempt, &err) == 0)
		doctor_find(doctor, FINDING_GOOD, "%s: tried, it works", what);
	else
		doctor_find(doctor, FINDING_BAD, "%s: %s", what, err.text);
}

/* They are this host's while somebody needs them. */
static bool is_pool_here(const struct prefix *pool)
{
	struct address address;
	struct pool_way way;

	pool_probe_address(pool, &address);
	return pool_route_find_way(&address, &way) == 0 && way.is_local;
}

static void look_at_container(struct doctor *doctor)
{
	struct pseudo_settings settings;
	struct identities identities;
	char text[ADDRESS_TEXT_MAX];
	struct error err;

	if (!doctor->container)
		return;
	settings_of(&settings);
	identities_init(&identities, &settings, NO_DIRECTORY);
	(void)address_format_ip(doctor->container, text);
	switch (identities_reach(&identities, doctor->container, &err)) {
	case POOL_REACH_GOOD:
		doctor_find(doctor, FINDING_GOOD, "%s answers to such addresses", text);
		break;
	case POOL_REACH_NONE:
		doctor_find(doctor, FINDING_BAD, "%s", err.text);
		break;
	default:
		if (doctor->container->family != AF_INET)
			doctor_find(doctor, FINDING_BAD,
				    "%s has IPv6, and such addresses are for containers with IPv4",
				    text);
		else if (is_pool_here(&settings.pool))
			doctor_find(doctor, FINDING_NOTE,
				    "%s does not answer: is there such a container? It may be one "
				    "that does not answer to ping(8)",
				    text);
		else
			doctor_find(doctor, FINDING_NOTE,
				    "%s: whether it answers to such addresses can be found out "
				    "while a rule has identity pseudo-ipv4",
				    text);
	}
	identities_fini(&identities);
}

void doctor_pseudo(struct doctor *doctor)
{
	struct pseudo_settings settings;
	struct error err;

	settings_of(&settings);
	if (pool_route_check_free(&settings.pool, &err) == 0)
		doctor_find(doctor, FINDING_GOOD, "nobody else uses " PSEUDO_POOL " here");
	else
		doctor_find(doctor, FINDING_BAD, "%s", err.text);
	tell_attempt(doctor, "the route and its guard in nftables", try_pool);
	look_at_container(doctor);
}

/* The kernel path. */

static void look_at_release(struct doctor *doctor)
{
	unsigned long major, minor;
	struct utsname name;
	char *rest;

	(void)uname(&name);
	major = strtoul(name.release, &rest, 10);
	minor = strtoul(*rest == '.' ? rest + 1 : rest, NULL, 10);
	if (major > 5 || (major == 5 && minor >= 15))
		doctor_find(doctor, FINDING_GOOD, "the kernel is Linux %s", name.release);
	else
		doctor_find(doctor, FINDING_BAD,
			    "the kernel is Linux %s: it has to be 5.15 or later", name.release);
}

static void look_at_links(struct doctor *doctor)
{
	struct link_address *links;
	int count = links_read(&links);
	struct error err;

	for (int i = 0; i < count; i++) {
		char name[IF_NAMESIZE] = "", host[ADDRESS_TEXT_MAX];

		(void)if_indextoname(links[i].ifindex, name);
		if (obstacle_of_link(&links[i], &err) < 0)
			doctor_find(doctor, FINDING_BAD, "%s", err.text);
		else
			doctor_find(doctor, FINDING_GOOD, "clients can come to %s on %s",
				    address_format_ip(&links[i].host, host), name);
	}
	if (count <= 0)
		doctor_find(doctor, FINDING_BAD,
			    "no link has an IPv6 address for clients from outside: give it one");
	if (count >= 0)
		free(links);
}

static void look_at_way(struct doctor *doctor)
{
	char text[ADDRESS_TEXT_MAX];
	struct error err;
	uint32_t ifindex;

	if (!doctor->container)
		return;
	if (obstacle_to_container(doctor->container, &ifindex, &err) == 0)
		doctor_find(doctor, FINDING_GOOD, "there is a way to the container %s",
			    address_format_ip(doctor->container, text));
	else
		doctor_find(doctor, FINDING_BAD, "%s", err.text);
}

static void look_at_notes(struct doctor *doctor)
{
	struct error err;

	if (obstacle_of_filters(&err) < 0)
		doctor_find(doctor, FINDING_NOTE, "with path auto it is the relay: %s", err.text);
	if (forwarding_needs_aims())
		doctor_find(doctor, FINDING_NOTE,
			    "iptables' table raw is in use, as by Docker 28: it is passed by");
	if (!pins_can_be(pins_directory("auto")))
		doctor_find(doctor, FINDING_NOTE,
			    "connections will not outlive the daemon: mount a BPF file system at "
			    "/sys/fs/bpf (mount -t bpf bpf /sys/fs/bpf)");
}

void doctor_kernel(struct doctor *doctor)
{
	look_at_release(doctor);
	tell_attempt(doctor, "its programs, links and tables", try_carrier);
	look_at_links(doctor);
	look_at_way(doctor);
	look_at_notes(doctor);
}
