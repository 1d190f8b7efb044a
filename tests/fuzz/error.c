/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of any length: what fits is there, as plain text, and the end is always within. Input: text
 * NUL prefix.
 */
#include "base/error.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>

#include "fuzz.h"

/* Control characters have become question marks, all else is as it was. */
static bool is_plain_copy(const char *copy, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (copy[i] != (iscntrl((unsigned char)text[i]) ? '?' : text[i]))
			return false;
	return true;
}

static void check_prefixed(const struct error *before, const struct error *err, const char *prefix)
{
	size_t prefix_length = strlen(prefix), length = strlen(err->text);
	size_t kept;

	if (prefix_length + 2 >= sizeof(err->text)) { /* no room: it stays as it was */
		assert(strcmp(err->text, before->text) == 0);
		return;
	}
	assert(is_plain_copy(err->text, prefix, prefix_length));
	assert(memcmp(err->text + prefix_length, ": ", 2) == 0);
	kept = length - prefix_length - 2;
	assert(memcmp(err->text + prefix_length + 2, before->text, kept) == 0);
	/* cut only at the very end of the room */
	assert(kept == strlen(before->text) || length == sizeof(err->text) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	const char *prefix = strlen(text) < size ? text + strlen(text) + 1 : "";
	struct error err, before;
	size_t length = strlen(text);
	int code = size > 1 ? -(data[0] << 8 | data[1]) : -EIO;

	assert(error_set(&err, code, "%s", text) == code);
	assert(strlen(err.text) == (length < sizeof(err.text) ? length : sizeof(err.text) - 1));
	assert(is_plain_copy(err.text, text, strlen(err.text)));

	before = err;
	assert(error_prefix(&err, "%s", prefix) == code);
	assert(memchr(err.text, '\0', sizeof(err.text)));
	check_prefixed(&before, &err, prefix);

	assert(error_name(code)[0] != '\0');
	assert(strlen(error_name(code)) < 64);
	free(text);
	return 0;
}
