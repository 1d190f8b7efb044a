/* SPDX-License-Identifier: Apache-2.0 */
/* What both programs read of their command lines. */
#ifndef FAIRLEAD_TESTS_TRANSFER_OPTIONS_H
#define FAIRLEAD_TESTS_TRANSFER_OPTIONS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program where it is none. */
static inline uint64_t option_number(const char *text)
{
	char *rest;
	uint64_t value = strtoull(text, &rest, 10);

	if (*rest != '\0' || *text == '\0') {
		(void)fprintf(stderr, "'%s' is no number\n", text);
		exit(2);
	}
	return value;
}

#endif
