/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz programs share.
 *
 * Each program is one function, LLVMFuzzerTestOneInput, which asserts properties that hold for
 * every input. In every build it runs over its folder of corpus/ (standalone.c); configured with
 * CC=clang -Dfuzzers=true, it is a libFuzzer program that looks for new inputs.
 */
#ifndef FAIRLEAD_TESTS_FUZZ_FUZZ_H
#define FAIRLEAD_TESTS_FUZZ_FUZZ_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The input up to its first NUL, as a string that is no byte longer, so that AddressSanitizer sees
 * who reads past its end. To be freed.
 */
static inline char *fuzz_string(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	assert(text);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/* An error that a person can read: with a code, with words, and ended. */
static inline void fuzz_check_error(const struct error *err, int code)
{
	assert(code < 0);
	assert(err->code == code);
	assert(err->text[0] != '\0');
	assert(memchr(err->text, '\0', sizeof(err->text)));
}

#endif
