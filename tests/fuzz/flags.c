/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docker-proxy's command line. The input is the arguments, one a line. What is accepted, written
 * out again as dockerd would, means the same.
 */
#include "apps/docker-proxy/flags.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "fuzz.h"

#define ARGUMENTS_MAX 64

static void format_ip(const struct address *address, const char *name, char *buffer, size_t room)
{
	char ip[ADDRESS_TEXT_MAX];

	(void)snprintf(buffer, room, "-%s=%s", name, address_format_ip(address, ip));
}

/* Both ways that Go's flag package has for a value. */
static void parse_again(const struct flags *flags, struct flags *ret)
{
	char host_ip[128], container_ip[128], container_port[32], host_port[64];
	char *argv[] = { (char[]){ "docker-proxy" },
			 (char[]){ "-proto" },
			 (char *)flags->proto,
			 host_ip,
			 host_port,
			 container_ip,
			 (char[]){ "--container-port" },
			 container_port,
			 flags->use_listen_fd ? (char[]){ "-use-listen-fd" }
					      : (char[]){ "-use-listen-fd=0" },
			 flags->version ? (char[]){ "-v" } : (char[]){ "-v=false" },
			 flags->help ? (char[]){ "-h" } : (char[]){ "-h=F" },
			 NULL };
	struct error err;

	format_ip(&flags->host_ip, "host-ip", host_ip, sizeof(host_ip));
	format_ip(&flags->container_ip, "-container-ip", container_ip, sizeof(container_ip));
	(void)snprintf(host_port, sizeof(host_port), "-host-port=%" PRId64, flags->host_port);
	(void)snprintf(container_port, sizeof(container_port), "%" PRId64, flags->container_port);
	assert(flags_parse((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv, ret, &err) == 0);
}

static void check_same(const struct flags *a, const struct flags *b)
{
	assert(strcmp(a->proto, b->proto) == 0);
	assert(address_equal(&a->host_ip, &b->host_ip));
	assert(address_equal(&a->container_ip, &b->container_ip));
	assert(a->host_port == b->host_port && a->container_port == b->container_port);
	assert(a->use_listen_fd == b->use_listen_fd);
	assert(a->version == b->version && a->help == b->help);
}

static void try_arguments(int argc, char **argv)
{
	struct flags flags, untouched, again;
	struct error err;

	memset(&flags, 0x5a, sizeof(flags));
	untouched = flags;
	if (flags_parse(argc, argv, &flags, &err) < 0) {
		fuzz_check_error(&err, -EINVAL);
		assert(memcmp(&flags, &untouched, sizeof(flags)) == 0);
		return;
	}
	assert(flags.host_ip.port == 0 && flags.container_ip.port == 0);
	assert(flags.host_ip.family == AF_INET || flags.host_ip.family == AF_INET6);
	parse_again(&flags, &again);
	check_same(&flags, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), *rest = text;
	char *argv[ARGUMENTS_MAX + 2] = { strdup("docker-proxy") };
	int argc = 1;

	/* each in memory of its own, of its very size */
	while (rest && argc <= ARGUMENTS_MAX)
		argv[argc++] = strdup(strsep(&rest, "\n"));
	free(text);
	try_arguments(argc, argv);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return 0;
}
