/* SPDX-License-Identifier: Apache-2.0 */
/* fairleadd: every published port of a host in one process. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/config.h"
#include "apps/daemon/daemon.h"
#include "apps/daemon/options.h"
#include "apps/version.h"
#include "base/log.h"
#include "identity/identities.h"
#include "kernel/carrier.h"
#include "kernel/pins.h"

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

/* Routes, tables, filters, links: all on this host that is this program's, and nobody's now. */
static int clean_up(const char *path, struct error *err)
{
	struct config config;
	int r = 0, more = 0;

	config_init(&config);
	if (path || access(CONFIG_PATH, F_OK) == 0)
		r = config_read(&config, path ? path : CONFIG_PATH, err);
	if (r == 0)
		r = pool_host_cleanup(IDENTITIES_RUN_DIRECTORY, err);
	if (r >= 0)
		more = carrier_cleanup(pins_directory(config.daemon.kernel_pins));
	config_fini(&config);
	return r < 0 ? r : r + more;
}

static int cleanup(const char *path)
{
	struct error err;
	int count = clean_up(path, &err);

	if (count < 0)
		(void)fprintf(stderr, "fairleadd: %s\n", err.text);
	else if (count == 0)
		printf("Nothing was left\n");
	else
		printf("Removed what was left: %d routes, tables, filters, links and maps\n",
		       count);
	return count < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
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
	if (options.cleanup)
		return cleanup(options.config);
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
