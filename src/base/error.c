/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is quoted may be anything; a sentence is one line, and does nothing to a terminal. */
static void make_plain(char *text)
{
	for (; *text != '\0'; text++)
		if (iscntrl((unsigned char)*text))
			*text = '?';
}

int error_set(struct error *err, int code, const char *format, ...)
{
	va_list args;

	err->code = code;
	va_start(args, format);
	(void)vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	make_plain(err->text);
	return code;
}

int error_prefix(struct error *err, const char *format, ...)
{
	char prefixed[ERROR_TEXT_MAX];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(prefixed, sizeof(prefixed), format, args);
	va_end(args);
	if (length < 0 || (size_t)length >= sizeof(prefixed) - 2)
		return err->code;
	(void)snprintf(prefixed + length, sizeof(prefixed) - (size_t)length, ": %.*s",
		       (int)sizeof(prefixed) - length - 3, err->text);
	make_plain(prefixed);
	memcpy(err->text, prefixed, sizeof(prefixed));
	return err->code;
}

/* Where musl, which the drop-in is built with, has other words than glibc and Go. */
static const char *common_name(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "address already in use";
	case EADDRNOTAVAIL:
		return "cannot assign requested address";
	case EHOSTUNREACH:
		return "no route to host";
	case EMFILE:
		return "too many open files";
	case ENETUNREACH:
		return "network is unreachable";
	case ENOMEM:
		return "cannot allocate memory";
	case ENOTSOCK:
		return "socket operation on non-socket";
	case ETIMEDOUT:
		return "connection timed out";
	default:
		return NULL;
	}
}

/*
 * libc capitalises its messages ("Address already in use"); scripts around docker look for the
 * lower-case form that Go prints, so the first letter is lowered unless an acronym follows.
 */
const char *error_name(int code)
{
	static _Thread_local char name[64];
	const char *common = common_name(abs(code));

	if (common)
		return common;
	(void)snprintf(name, sizeof(name), "%s", strerror(abs(code)));
	if (isupper((unsigned char)name[0]) && islower((unsigned char)name[1]))
		name[0] = (char)tolower((unsigned char)name[0]);
	return name;
}
