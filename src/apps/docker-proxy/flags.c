/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/docker-proxy/flags.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 64

enum flag_type {
	FLAG_TEXT,
	FLAG_INTEGER,
	FLAG_BOOLEAN,
	FLAG_ADDRESS,
};

struct flag {
	const char *name;
	enum flag_type type;
	size_t offset;
	const char *meaning;
	const char *standard; /* as the usage text shows it; NULL: not shown */
};

static const struct flag table[] = {
	{ "container-ip", FLAG_ADDRESS, offsetof(struct flags, container_ip), "container ip",
	  "0.0.0.0" },
	{ "container-port", FLAG_INTEGER, offsetof(struct flags, container_port), "container port",
	  "-1" },
	{ "h", FLAG_BOOLEAN, offsetof(struct flags, help), "print this text and quit", NULL },
	{ "help", FLAG_BOOLEAN, offsetof(struct flags, help), "print this text and quit", NULL },
	{ "host-ip", FLAG_ADDRESS, offsetof(struct flags, host_ip), "host ip", "0.0.0.0" },
	{ "host-port", FLAG_INTEGER, offsetof(struct flags, host_port), "host port", "-1" },
	{ "proto", FLAG_TEXT, offsetof(struct flags, proto), "proxy protocol: tcp, udp or sctp",
	  "\"tcp\"" },
	{ "use-listen-fd", FLAG_BOOLEAN, offsetof(struct flags, use_listen_fd),
	  "use a supplied listen fd", NULL },
	{ "v", FLAG_BOOLEAN, offsetof(struct flags, version), "print version information and quit",
	  NULL },
	{ "version", FLAG_BOOLEAN, offsetof(struct flags, version),
	  "print version information and quit", NULL },
};

#define FLAGS (sizeof(table) / sizeof(table[0]))

static const char *const type_names[] = {
	[FLAG_TEXT] = " string",
	[FLAG_INTEGER] = " int",
	[FLAG_BOOLEAN] = "",
	[FLAG_ADDRESS] = " value",
};

void flags_usage(int fd, const char *program)
{
	dprintf(fd, "Usage of %s:\n", program);
	for (size_t i = 0; i < FLAGS; i++) {
		dprintf(fd, "  -%s%s\n    \t%s", table[i].name, type_names[table[i].type],
			table[i].meaning);
		if (table[i].standard)
			dprintf(fd, " (default %s)", table[i].standard);
		dprintf(fd, "\n");
	}
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * A Go integer literal with an optional sign (strconv.ParseInt with base 0): 80, 0x50, 0b1010000,
 * 0o120, 0120, 8_0. An underscore may stand only between digits or between prefix and digits.
 */
static int parse_integer(const char *text, int64_t *ret)
{
	static const struct {
		char letter;
		int base;
	} prefixes[] = { { 'x', 16 }, { 'o', 8 }, { 'b', 2 } };
	bool negative = *text == '-';
	bool digit_before = false, any = false;
	uint64_t number = 0;
	int base = 10;

	if (*text == '+' || *text == '-')
		text++;
	if (text[0] == '0' && text[1] != '\0') {
		base = 8;
		digit_before = any = true; /* the zero itself */
		text++;
		for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
			if (tolower((unsigned char)*text) != prefixes[i].letter)
				continue;
			base = prefixes[i].base;
			any = false;
			text++;
			break;
		}
	}
	for (; *text; text++) {
		int digit = digit_value(*text);

		if (*text == '_') {
			if (!digit_before)
				return -EINVAL;
			digit_before = false;
			continue;
		}
		if (digit < 0 || digit >= base)
			return -EINVAL;
		digit_before = any = true;
		if (number > ((uint64_t)INT64_MAX - (uint64_t)digit) / (uint64_t)base)
			return -ERANGE;
		number = number * (uint64_t)base + (uint64_t)digit;
	}
	if (!any || !digit_before)
		return -EINVAL;
	*ret = negative ? -(int64_t)number : (int64_t)number;
	return 0;
}

static int parse_boolean(const char *text, bool *ret)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*ret = strcmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

/* No text is no address, which docker-proxy takes for any IPv6 address. */
static int parse_address(const char *text, struct address *ret)
{
	if (*text)
		return strchr(text, '%') ? -EINVAL : address_parse_ip(text, ret);
	*ret = (struct address){ .family = AF_INET6 };
	return 0;
}

static int store(struct flags *flags, const struct flag *flag, const char *value, struct error *err)
{
	void *field = (char *)flags + flag->offset;
	int r;

	switch (flag->type) {
	case FLAG_TEXT:
		*(const char **)field = value;
		return 0;
	case FLAG_INTEGER:
		r = parse_integer(value, field);
		if (r < 0)
			return error_set(err, -EINVAL, "invalid value \"%.60s\" for flag -%s: %s",
					 value, flag->name,
					 r == -ERANGE ? "value out of range" : "parse error");
		return 0;
	case FLAG_ADDRESS:
		if (parse_address(value, field) < 0)
			return error_set(err, -EINVAL,
					 "invalid value \"%.60s\" for flag -%s: invalid IP address",
					 value, flag->name);
		return 0;
	case FLAG_BOOLEAN:
		if (parse_boolean(value, field) < 0)
			return error_set(err, -EINVAL,
					 "invalid boolean value \"%.60s\" for -%s: parse error",
					 value, flag->name);
		return 0;
	}
	return 0;
}

static const struct flag *find(const char *name, size_t length)
{
	for (size_t i = 0; i < FLAGS; i++)
		if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0)
			return &table[i];
	return NULL;
}

/*
 * One flag at argv[0] and, where its value is an argument of its own, argv[1]. Returns how many it
 * took, or -EINVAL.
 */
static int parse_one(char *const argv[], struct flags *flags, struct error *err)
{
	const char *name = argv[0] + (argv[0][1] == '-' ? 2 : 1);
	const char *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	const struct flag *flag;
	const char *value = equals ? equals + 1 : NULL;
	int taken = 1;

	if (length == 0 || name[0] == '-' || name[0] == '=')
		return error_set(err, -EINVAL, "bad flag syntax: %.60s", argv[0]);
	flag = find(name, length);
	if (!flag)
		return error_set(err, -EINVAL, "flag provided but not defined: -%.*s",
				 length < NAME_MAX_BYTES ? (int)length : NAME_MAX_BYTES, name);
	if (!value && flag->type == FLAG_BOOLEAN)
		value = "true";
	if (!value) {
		value = argv[1];
		taken = 2;
	}
	if (!value)
		return error_set(err, -EINVAL, "flag needs an argument: -%s", flag->name);
	return store(flags, flag, value, err) < 0 ? -EINVAL : taken;
}

int flags_parse(int argc, char *const argv[], struct flags *ret, struct error *err)
{
	struct flags flags = {
		.proto = "tcp",
		.host_ip = { .family = AF_INET },
		.container_ip = { .family = AF_INET },
		.host_port = -1,
		.container_port = -1,
	};

	for (int i = 1; i < argc && !flags.help;) {
		int taken;

		if (argv[i][0] != '-' || argv[i][1] == '\0' || strcmp(argv[i], "--") == 0)
			break;
		taken = parse_one(&argv[i], &flags, err);
		if (taken < 0)
			return taken;
		i += taken;
	}
	*ret = flags;
	return 0;
}
