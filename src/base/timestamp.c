/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timestamp.h"

#include <errno.h>
#include <stdio.h>

const char *timestamp_format(const struct timespec *when, char buffer[TIMESTAMP_MAX])
{
	struct tm parts;
	size_t length;

	gmtime_r(&when->tv_sec, &parts);
	length = strftime(buffer, TIMESTAMP_MAX, "%Y-%m-%dT%H:%M:%S", &parts);
	(void)snprintf(buffer + length, TIMESTAMP_MAX - length, ".%03ldZ", when->tv_nsec / 1000000);
	return buffer;
}

const char *timestamp_now(char buffer[TIMESTAMP_MAX])
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return timestamp_format(&now, buffer);
}

int timestamp_parse(const char *text, uint64_t *ret_s)
{
	struct tm parts = { .tm_isdst = 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
	time_t seconds;

	if (!rest || rest[0] != 'Z' || rest[1] != '\0')
		return -EINVAL;
	seconds = timegm(&parts);
	if (seconds < 0)
		return -EINVAL;
	*ret_s = (uint64_t)seconds;
	return 0;
}
