/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, durations and sizes as people write and read them. */
#ifndef FAIRLEAD_BASE_TEXT_H
#define FAIRLEAD_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Parses the whole of text[0..length) as a decimal number without sign or space.
 * Returns 0, -EINVAL where it is no number, -ERANGE where it is above max.
 */
int text_parse_number(const char *text, size_t length, uint64_t max, uint64_t *ret_number);

/*
 * Parses a duration as Docker and Go write it, one number and one unit: "500ms", "30s", "2m", "1h";
 * a bare "0" is allowed. Returns 0 or -EINVAL / -ERANGE.
 */
int text_parse_duration(const char *text, uint64_t *ret_ns);

/*
 * Writes e.g. "500ms", "1.5s", "2m30s", "1h2m" into a buffer of TEXT_DURATION_MAX bytes; returns
 * it.
 */
#define TEXT_DURATION_MAX 32
const char *text_format_duration(uint64_t ns, char buffer[TEXT_DURATION_MAX]);

/*
 * Writes e.g. "17B", "1.2kB", "3.4GB" (powers of 1000, as docker stats does) and returns the
 * buffer.
 */
#define TEXT_SIZE_MAX 32
const char *text_format_size(uint64_t bytes, char buffer[TEXT_SIZE_MAX]);

#endif
