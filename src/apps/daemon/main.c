/* SPDX-License-Identifier: Apache-2.0 */
/* fairleadd: every published port of a host in one process. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/config.h"
#include "apps/daemon/daemon.h"
#include "apps/daemon/options.h"
#include "apps/version.h"
#include "base/log.h"

static int check(const char *path)
{
	struct config config;
	struct error err;
	int r;

	config_init(&config);
	r = config_read(&config, path, &err);
	if (r < 0)
		(void)fprintf(stderr, "%s\n", err.text);
	else
		printf("%s: good, with %zu rules\n", path, config.rules.count);
	config_fini(&config);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options options;
	struct error err;
	int r = options_parse(argc, argv, &options);

	if (r != 0)
		return r;
	if (options.help) {
		options_print_help();
		return EXIT_SUCCESS;
	}
	if (options.version) {
		printf("fairleadd version %s, build %s\n", FAIRLEAD_VERSION, FAIRLEAD_COMMIT);
		return EXIT_SUCCESS;
	}
	if (options.check)
		return check(options.check);
	/* Large blocks, as answers of the API, go back to the system when they are freed. */
	(void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	if (daemon_start(options.config, &err) < 0) {
		log_write(LOG_LEVEL_ERROR, "%s", err.text);
		return EXIT_FAILURE;
	}
	r = daemon_run();
	if (r < 0)
		log_write(LOG_LEVEL_ERROR, "epoll_wait: %s", error_name(r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
