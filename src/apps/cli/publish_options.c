/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/publish_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/cli/command.h"
#include "apps/cli/command_line.h"
#include "base/text.h"
#include "model/pseudo.h"
#include "model/settings.h"

/* Of long options that have no letter; those of the rule's clients follow. */
enum {
	OPTION_NAME = 256,
	OPTION_SOCKET,
	OPTION_POOL,
	OPTION_CLIENT_LENGTH,
	OPTION_IDENTITY,
};

static const struct option own_options[] = {
	{ "publish", required_argument, NULL, 'p' },
	{ "detach", no_argument, NULL, 'd' },
	{ "name", required_argument, NULL, OPTION_NAME },
	{ "socket", required_argument, NULL, OPTION_SOCKET },
	{ "pseudo-pool", required_argument, NULL, OPTION_POOL },
	{ "pseudo-client-length", required_argument, NULL, OPTION_CLIENT_LENGTH },
	{ "help", no_argument, NULL, 'h' },
};

#define OWN (sizeof(own_options) / sizeof(own_options[0]))
#define IDENTITY_OPTIONS_MAX 16
#define NAME_MAX_BYTES 32
#define HELP_COLUMNS 92

/* "proxy_tlvs" as a flag: "proxy-tlvs". */
static const char *flag_of(const char *key, char buffer[NAME_MAX_BYTES])
{
	(void)snprintf(buffer, NAME_MAX_BYTES, "%s", key);
	for (char *c = buffer; *c; c++)
		if (*c == '_')
			*c = '-';
	return buffer;
}

/* Indented, and broken between words where a line would be long. */
static void print_wrapped(const char *text)
{
	int column = printf("         ");

	while (*text) {
		int length = (int)strcspn(text, " ");

		if (column + 1 + length > HELP_COLUMNS)
			column = printf("\n         ") - 1;
		column += printf(" %.*s", length, text);
		text += length + (int)strspn(text + length, " ");
	}
	printf("\n");
}

static void print_identity_help(void)
{
	char flag[NAME_MAX_BYTES];

	printf("\nClients:\n");
	for (size_t i = 0; identity_keys[i]; i++) {
		printf("      --%s list (%s)\n", flag_of(identity_keys[i], flag),
		       identity_standard(identity_keys[i]));
		print_wrapped(identity_meaning(identity_keys[i]));
	}
	printf("      --pseudo-pool prefix (" PSEUDO_POOL ")\n"
	       "          where pseudo-IPv4 addresses are taken from, in the foreground\n"
	       "      --pseudo-client-length bits (128)\n"
	       "          how much of an IPv6 address is one client there\n");
}

static void print_help(void)
{
	printf("Usage:  fairlead publish -p [HOST-IP:]HOST-PORT[-END]:PORT[-END][/PROTOCOL] [-p ...] "
	       "CONTAINER-IP\n\n"
	       "Publish ports of a container, in the foreground until Ctrl-C, or by the daemon\n\n"
	       "Without HOST-IP a port is published on 0.0.0.0 and [::]. "
	       "An IPv6 HOST-IP stands in brackets.\n"
	       "PROTOCOL is tcp (the default), udp or sctp.\n\n"
	       "Options:\n"
	       "  -p, --publish list   Publish a port or a range of ports\n"
	       "  -d, --detach         Have fairleadd publish them, from now on\n"
	       "      --name name      With -d: what the rules are called\n"
	       "      --socket path    With -d: the daemon's socket (default\n"
	       "                       " COMMAND_LINE_SOCKET ")\n"
	       "  -h, --help           Print this text and quit\n");
	print_identity_help();
	printf("\nEnvironment:\n");
	(void)fflush(stdout);
	settings_describe(STDOUT_FILENO);
	printf("\nExamples:\n"
	       "  fairlead publish -p 8080:80 172.17.0.2\n"
	       "  fairlead publish -p 5353:53/udp -p '[2001:db8::2]:9000-9010:9000-9010' "
	       "172.17.0.2\n"
	       "  fairlead publish -p 25:25 --identity pseudo-ipv4 172.17.0.3\n");
}

static int usage_error(const char *text)
{
	(void)fprintf(stderr, "fairlead publish: %s\nSee 'fairlead publish --help'.\n", text);
	return EXIT_USAGE;
}

static int usage_flag_error(const char *what, char *const argv[])
{
	char text[128];
	const char *argument = argv[optind - 1];

	if (optopt != 0 && optopt < 256 && (argument[0] != '-' || argument[1] != '-'))
		(void)snprintf(text, sizeof(text), "%s: -%c", what, optopt);
	else
		(void)snprintf(text, sizeof(text), "%s: %.60s", what, argument);
	return usage_error(text);
}

static int add_spec(struct publish_options *options, const char *text, struct error *err)
{
	if (options->specs_count == SPECS_MAX)
		return error_set(err, -E2BIG, "more than %d -p options: use ranges", SPECS_MAX);
	options->texts[options->specs_count] = text;
	return port_spec_parse(text, &options->specs[options->specs_count++], err);
}

/* Returns 0, or -errno with a sentence. */
static int take_option(struct publish_options *options, int option, const char *text,
		       struct error *err)
{
	uint64_t number;

	if (option >= OPTION_IDENTITY)
		return identity_set(&options->identity, identity_keys[option - OPTION_IDENTITY],
				    text, err);
	switch (option) {
	case 'p':
		return add_spec(options, text, err);
	case 'd':
		options->detached = true;
		return 0;
	case OPTION_NAME:
		options->name = text;
		return 0;
	case OPTION_SOCKET:
		options->socket = text;
		command_line_set_socket(text);
		return 0;
	case OPTION_POOL:
		options->has_pool_options = true;
		return pseudo_parse_pool(text, &options->pool, err);
	default:
		options->has_pool_options = true;
		if (text_parse_number(text, strlen(text), 128, &number) < 0 ||
		    number < PSEUDO_CLIENT_LENGTH_LEAST)
			return error_set(err, -EINVAL,
					 "--pseudo-client-length: '%.20s' is not a number from %d "
					 "to 128",
					 text, PSEUDO_CLIENT_LENGTH_LEAST);
		options->client_length = (uint8_t)number;
		return 0;
	}
}

/* getopt's own sort of table: ours, and a flag for each key of the identity. */
static void make_table(struct option table[OWN + IDENTITY_OPTIONS_MAX + 1],
		       char names[IDENTITY_OPTIONS_MAX][NAME_MAX_BYTES])
{
	size_t count = OWN;

	memcpy(table, own_options, sizeof(own_options));
	for (size_t i = 0; i < IDENTITY_OPTIONS_MAX && identity_keys[i]; i++)
		table[count++] = (struct option){ .name = flag_of(identity_keys[i], names[i]),
						  .has_arg = required_argument,
						  .val = OPTION_IDENTITY + (int)i };
	table[count] = (struct option){ .name = NULL };
}

static int parse_options(int argc, char **argv, struct publish_options *options)
{
	struct option table[OWN + IDENTITY_OPTIONS_MAX + 1];
	char names[IDENTITY_OPTIONS_MAX][NAME_MAX_BYTES];
	struct error err;
	int option;

	make_table(table, names);
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":p:dh", table, NULL)) != -1) {
		if (option == 'h') {
			print_help();
			return EXIT_SUCCESS;
		}
		if (option == ':')
			return usage_flag_error("flag needs an argument", argv);
		if (option == '?')
			return usage_flag_error("unknown flag", argv);
		if (take_option(options, option, optarg, &err) < 0)
			return usage_error(err.text);
	}
	return -1;
}

static int parse_container(struct publish_options *options, const char *text)
{
	struct error err;

	options->container_text = text;
	if (address_parse_ip(text, &options->container) < 0) {
		(void)error_set(&err, -EINVAL,
				"'%.60s' is no IP address (`docker inspect -f "
				"'{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' NAME` "
				"prints a container's)",
				text);
		return usage_error(err.text);
	}
	if (address_is_connectable(&options->container))
		return -1;
	(void)error_set(&err, -EINVAL, "nothing can connect to '%.60s'%s", text,
			address_is_link_local(&options->container)
				? ": name the interface, as in fe80::2%eth0"
				: "");
	return usage_error(err.text);
}

static const char *find_contradiction(const struct publish_options *options)
{
	bool has_pseudo = options->identity.kinds & IDENTITY_PSEUDO_IPV4;

	if (options->name && !options->detached)
		return "--name is of the daemon's rules, and needs -d";
	if (options->socket && !options->detached)
		return "--socket is the daemon's, and needs -d";
	if (options->has_pool_options && options->detached)
		return "--pseudo-pool and --pseudo-client-length are for the foreground: those of the "
		       "daemon are in its configuration";
	if (options->has_pool_options && !has_pseudo)
		return "--pseudo-pool and --pseudo-client-length need --identity pseudo-ipv4";
	if (options->specs_count == 0)
		return "nothing to publish: give a port with -p, like -p 8080:80";
	if (options->identity.path == PATH_KERNEL && options->client_length != 128)
		return "--path kernel tells clients by their whole address: leave out "
		       "--pseudo-client-length";
	return NULL;
}

static int check_identity(const struct publish_options *options)
{
	struct error err;

	for (size_t i = 0; i < options->specs_count; i++)
		if (identity_check(&options->identity, options->specs[i].protocol,
				   &options->container, &err) < 0)
			return usage_error(err.text);
	return -1;
}

int publish_options_parse(int argc, char **argv, struct publish_options *ret)
{
	const char *contradiction;
	struct error err;
	int r;

	ret->client_length = 128;
	(void)pseudo_parse_pool(PSEUDO_POOL, &ret->pool, &err);
	r = parse_options(argc, argv, ret);
	if (r >= 0)
		return r;
	contradiction = find_contradiction(ret);
	if (contradiction)
		return usage_error(contradiction);
	if (optind == argc)
		return usage_error("the container's IP address is missing, like 172.17.0.2");
	if (argc - optind > 1)
		return usage_error("more than one container address: give each container a "
				   "command of its own");
	r = parse_container(ret, argv[optind]);
	return r >= 0 ? r : check_identity(ret);
}
