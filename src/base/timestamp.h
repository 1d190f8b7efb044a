/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time as text: RFC 3339, in UTC, with milliseconds. */
#ifndef FAIRLEAD_BASE_TIMESTAMP_H
#define FAIRLEAD_BASE_TIMESTAMP_H

#include <stdint.h>
#include <time.h>

/* "2026-11-25T03:04:05.678Z" */
#define TIMESTAMP_MAX 32

/* Both return the buffer. */
const char *timestamp_format(const struct timespec *when, char buffer[TIMESTAMP_MAX]);
const char *timestamp_now(char buffer[TIMESTAMP_MAX]);

/* Seconds since 1970 of "2026-11-25T03:04:05Z". Returns 0 or -EINVAL. */
int timestamp_parse(const char *text, uint64_t *ret_s);

#endif
