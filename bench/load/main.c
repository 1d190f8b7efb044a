/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(const struct options *options);
	const char *meaning;
} modes[] = {
	{ "serve", serve_run, "the backend, at address and port, until it is ended" },
	{ "stream", stream_run, "bulk data over connections; reverse=1: from the backend" },
	{ "echo", echo_run, "one message and its echo at a time, on one connection" },
	{ "http", http_run, "requests on connections that are kept" },
	{ "connect", connect_run, "connect, one request, close" },
	{ "hold", hold_run, "open connections that then say nothing, until stdin ends" },
	{ "udp", udp_run, "datagrams; window=N: as many under way for each client" },
	{ "udp-hold", udp_hold_run, "UDP clients that then say nothing, until stdin ends" },
	{ "udp-open", udp_open_run, "UDP clients of source and count ports, which are gone then" },
	{ "ports", ports_run, "start and stop count proxies, one after the other" },
};

enum option_type {
	TEXT,
	INTEGER,
	SECONDS,
};

static const struct {
	const char *name;
	enum option_type type;
	size_t offset;
	long most;
} table[] = {
	{ "address", TEXT, offsetof(struct options, address), 0 },
	{ "counters", TEXT, offsetof(struct options, counters), 0 },
	{ "source", TEXT, offsetof(struct options, source), 0 },
	{ "program", TEXT, offsetof(struct options, program), 0 },
	{ "listen", TEXT, offsetof(struct options, listen), 0 },
	{ "proto", TEXT, offsetof(struct options, proto), 0 },
	{ "port", INTEGER, offsetof(struct options, port), 65535 },
	{ "connections", INTEGER, offsetof(struct options, connections), 20000 },
	{ "size", INTEGER, offsetof(struct options, size), DATAGRAM_MAX_BYTES },
	{ "window", INTEGER, offsetof(struct options, window), BATCH },
	{ "count", INTEGER, offsetof(struct options, count), 60000 },
	{ "workers", INTEGER, offsetof(struct options, workers), WORKERS_MAX },
	{ "reverse", INTEGER, offsetof(struct options, reverse), 1 },
	{ "seconds", SECONDS, offsetof(struct options, seconds), 3600 },
	{ "warmup", SECONDS, offsetof(struct options, warmup), 3600 },
};

static void usage(void)
{
	fprintf(stderr, "usage: load MODE [NAME=VALUE...]\n");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		fprintf(stderr, "  %-9s %s\n", modes[i].name, modes[i].meaning);
	fprintf(stderr, "names:");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		fprintf(stderr, " %s", table[i].name);
	fprintf(stderr, "\n");
}

static bool store(struct options *options, size_t row, const char *value)
{
	char *field = (char *)options + table[row].offset;
	char *end = NULL;
	double number;

	if (table[row].type == TEXT) {
		memcpy(field, &value, sizeof(value));
		return *value != '\0';
	}
	number = strtod(value, &end);
	if (end == value || *end != '\0' || !(number >= 0 && number <= (double)table[row].most))
		return false;
	if (table[row].type == SECONDS)
		memcpy(field, &number, sizeof(number));
	else
		memcpy(field, &(long){ (long)number }, sizeof(long));
	return true;
}

static bool parse(struct options *options, const char *word)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		size_t length = strlen(table[i].name);

		if (strncmp(word, table[i].name, length) == 0 && word[length] == '=')
			return store(options, i, word + length + 1);
	}
	return false;
}

int main(int argc, char **argv)
{
	struct options options = {
		.address = "::",
		.listen = "::",
		.proto = "tcp",
		.connections = 1,
		.size = 64,
		.workers = 1,
		.seconds = 1,
	};

	for (int i = 2; i < argc; i++) {
		if (!parse(&options, argv[i])) {
			fprintf(stderr, "load: '%s' is not understood\n", argv[i]);
			usage();
			return 2;
		}
	}
	if (options.size < 1 || options.connections < 1 || options.workers < 1)
		refuse("size, connections and workers are at least 1");
	raise_descriptor_limit();
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(argv[1], modes[i].name) == 0)
			return modes[i].run(&options);
	usage();
	return 2;
}
