/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers, durations and sizes. The first eight bytes of the input are a number: the most that is
 * allowed, and what is formatted; the rest is the text that is parsed.
 */
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "fuzz.h"

/* Without leading zeros, a number that was accepted is what printf makes of it. */
static void check_number(const char *text, size_t length, uint64_t number)
{
	char written[32];

	while (length > 1 && *text == '0') {
		text++;
		length--;
	}
	(void)snprintf(written, sizeof(written), "%" PRIu64, number);
	assert(strlen(written) == length && memcmp(written, text, length) == 0);
}

static void try_number(const char *text, size_t length, uint64_t max)
{
	uint64_t number = UINT64_C(0x5a5a), unlimited;
	int r = text_parse_number(text, length, max, &number);

	if (r == 0) {
		assert(number <= max);
		check_number(text, length, number);
		return;
	}
	assert(r == -EINVAL || r == -ERANGE);
	assert(number == UINT64_C(0x5a5a));
	/* out of range means that it is a number, but above max */
	if (text_parse_number(text, length, UINT64_MAX, &unlimited) == 0)
		assert(r == -ERANGE && unlimited > max);
}

static uint64_t unit_ns(const char *unit)
{
	if (strcmp(unit, "ms") == 0)
		return NS_PER_MS;
	if (strcmp(unit, "s") == 0)
		return NS_PER_S;
	if (strcmp(unit, "m") == 0)
		return 60 * NS_PER_S;
	assert(strcmp(unit, "h") == 0);
	return 3600 * NS_PER_S;
}

static void try_duration(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t ns = UINT64_C(0x5a5a);
	int r = text_parse_duration(text, &ns);

	if (r < 0) {
		assert(r == -EINVAL || r == -ERANGE);
		assert(ns == UINT64_C(0x5a5a));
	} else if (strcmp(text, "0") == 0) {
		assert(ns == 0);
	} else {
		assert(ns <= INT64_MAX && ns % unit_ns(text + digits) == 0);
		check_number(text, digits, ns / unit_ns(text + digits));
	}
}

/* Three or four characters of number, so that columns stay narrow. */
static void try_size(uint64_t bytes)
{
	char text[TEXT_SIZE_MAX];
	size_t number;

	assert(text_format_size(bytes, text) == text);
	number = strspn(text, "0123456789.");
	assert(number >= 1 && number <= 3);
	assert(text[number] == 'B' || (strchr("kMGTPE", text[number]) && text[number + 1] == 'B'));
}

static void try_format_duration(uint64_t ns)
{
	char text[TEXT_DURATION_MAX];
	unsigned int first = 0;
	char unit = '\0';

	assert(text_format_duration(ns, text) == text);
	assert(strlen(text) < TEXT_DURATION_MAX - 1);
	assert(sscanf(text, "%u%c", &first, &unit) == 2);
	assert(unit == 'm' || unit == '.' || unit == 's' || unit == 'h');
	if (unit == 'h')
		assert(first == ns / (3600 * NS_PER_S));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t number;
	char *text;

	if (size < sizeof(number))
		return 0;
	memcpy(&number, data, sizeof(number));
	text = fuzz_string(data + sizeof(number), size - sizeof(number));
	try_number(text, strlen(text), number);
	try_duration(text);
	try_size(number);
	try_format_duration(number);
	free(text);
	return 0;
}
