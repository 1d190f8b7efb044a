/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

int text_parse_number(const char *text, size_t length, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (length == 0)
		return -EINVAL;
	for (size_t i = 0; i < length; i++)
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
	for (size_t i = 0; i < length; i++) {
		unsigned int digit = (unsigned int)(text[i] - '0');

		if (number > (max - digit) / 10 || digit > max)
			return -ERANGE;
		number = number * 10 + digit;
	}
	*ret_number = number;
	return 0;
}

int text_parse_duration(const char *text, uint64_t *ret_ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "ms", NS_PER_MS },
		{ "s", NS_PER_S },
		{ "m", 60 * NS_PER_S },
		{ "h", 3600 * NS_PER_S },
	};
	size_t digits = strspn(text, "0123456789");
	uint64_t number;
	int r;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text + digits, units[i].name) != 0)
			continue;
		r = text_parse_number(text, digits, INT64_MAX / units[i].ns, &number);
		if (r == 0)
			*ret_ns = number * units[i].ns;
		return r;
	}
	if (strcmp(text, "0") != 0)
		return -EINVAL;
	*ret_ns = 0;
	return 0;
}

const char *text_format_duration(uint64_t ns, char buffer[TEXT_DURATION_MAX])
{
	uint64_t ms = ns / NS_PER_MS, seconds = ms / 1000;
	uint64_t hours = seconds / 3600, minutes = seconds / 60 % 60;

	if (ms < 1000)
		(void)snprintf(buffer, TEXT_DURATION_MAX, "%" PRIu64 "ms", ms);
	else if (seconds < 60 && ms % 1000 >= 100)
		(void)snprintf(buffer, TEXT_DURATION_MAX, "%" PRIu64 ".%" PRIu64 "s", seconds,
			       ms % 1000 / 100);
	else if (seconds < 60)
		(void)snprintf(buffer, TEXT_DURATION_MAX, "%" PRIu64 "s", seconds);
	else if (hours == 0)
		(void)snprintf(buffer, TEXT_DURATION_MAX, "%" PRIu64 "m%" PRIu64 "s", minutes,
			       seconds % 60);
	else
		(void)snprintf(buffer, TEXT_DURATION_MAX, "%" PRIu64 "h%" PRIu64 "m", hours,
			       minutes);
	return buffer;
}

const char *text_format_size(uint64_t bytes, char buffer[TEXT_SIZE_MAX])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	uint64_t tenths = bytes, unit = 0;

	if (bytes < 1000) {
		(void)snprintf(buffer, TEXT_SIZE_MAX, "%" PRIu64 "B", bytes);
		return buffer;
	}
	for (tenths = bytes, unit = 1; tenths >= 1000 * 1000 && unit < 6; unit++)
		tenths /= 1000;
	tenths /= 100;
	if (tenths < 100)
		(void)snprintf(buffer, TEXT_SIZE_MAX, "%" PRIu64 ".%" PRIu64 "%s", tenths / 10,
			       tenths % 10, units[unit]);
	else
		(void)snprintf(buffer, TEXT_SIZE_MAX, "%" PRIu64 "%s", tenths / 10, units[unit]);
	return buffer;
}
