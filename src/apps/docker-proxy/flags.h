/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line of docker-proxy, in the syntax of Go's flag package (pkg.go.dev/flag, "Command
 * line flag syntax"): -x v, -x=v, --x v, --x=v; a boolean is -x or -x=value; parsing stops at the
 * first argument that is no flag, or at "--"; the last value wins; integers are Go literals.
 */
#ifndef FAIRLEAD_APPS_DOCKER_PROXY_FLAGS_H
#define FAIRLEAD_APPS_DOCKER_PROXY_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "net/address.h"

struct flags {
	const char *proto;
	struct address host_ip;
	struct address container_ip;
	int64_t host_port;
	int64_t container_port;
	bool use_listen_fd;
	bool version;
	bool help;
};

/*
 * Fills *ret from the arguments, with docker-proxy's defaults for what is missing. Returns 0, or
 * -EINVAL with Go's sentence for it.
 */
int flags_parse(int argc, char *const argv[], struct flags *ret, struct error *err);

/* Writes the usage text, as Go prints it. */
void flags_usage(int fd, const char *program);

#endif
