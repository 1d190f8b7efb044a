/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/daemon/options.h"

#include <getopt.h>
#include <stdio.h>

#define EXIT_USAGE 2

void options_print_help(void)
{
	printf("Usage:  fairleadd [OPTIONS]\n\n"
	       "All published ports of a host in one process\n\n"
	       "Options:\n"
	       "  -c, --config FILE   Read FILE instead of " CONFIG_PATH "\n"
	       "      --check FILE    Say whether FILE is a good configuration, and quit\n"
	       "      --cleanup       Take away what a killed daemon has left on this host, and quit\n"
	       "  -h, --help          Print this text and quit\n"
	       "  -v, --version       Print version information and quit\n\n"
	       "SIGHUP has the configuration read again. SIGTERM ends it once its sessions have, or\n"
	       "after some time; a second one ends it at once. SIGUSR2 does the same, but what the\n"
	       "kernel path carries goes on, for the daemon that follows.\n");
}

static int wrong(const char *what, const char *value)
{
	(void)fprintf(stderr, "fairleadd: %s: %.60s\nSee 'fairleadd --help'.\n", what, value);
	return EXIT_USAGE;
}

int options_parse(int argc, char **argv, struct options *ret)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", required_argument, NULL, 'k' },
		{ "cleanup", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	int option;

	*ret = (struct options){ .config = NULL };
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":c:hv", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			ret->config = optarg;
			break;
		case 'k':
			ret->check = optarg;
			break;
		case 'l':
			ret->cleanup = true;
			break;
		case 'h':
			ret->help = true;
			break;
		case 'v':
			ret->version = true;
			break;
		case ':':
			return wrong("flag needs an argument", argv[optind - 1]);
		default:
			return wrong("unknown flag", argv[optind - 1]);
		}
	}
	if (optind < argc)
		return wrong("it takes no arguments but flags", argv[optind]);
	return 0;
}
