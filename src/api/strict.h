/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JSON that a person or another program wrote, strictly: a value of the wrong type and a
 * key that nobody knows are errors, since what was meant by them would silently not happen.
 *
 * Each error is a sentence that begins with where in the document it is, as rules[3].publish.
 */
#ifndef FAIRLEAD_API_STRICT_H
#define FAIRLEAD_API_STRICT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define STRICT_PATH_MAX 96

/* A value, and where it is: "" for the whole document. */
struct strict {
	const json_t *value;
	char path[STRICT_PATH_MAX];
};

struct strict strict_document(const json_t *value);

/* An error at this place. Returns code. */
int strict_error(const struct strict *at, struct error *err, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Whether it is an object of no other keys than these, which end with NULL. Returns 0 or -EINVAL.
 */
int strict_object(const struct strict *at, const char *const *keys, struct error *err);

/* The member of that key; its value is NULL where there is none. */
struct strict strict_member(const struct strict *at, const char *key);

/* Whether it is an array. Returns 0 or -EINVAL. */
int strict_array(const struct strict *at, struct error *err);
struct strict strict_element(const struct strict *at, size_t index);

/* A string, which points into the document. Returns 0 or -EINVAL, also where there is none. */
int strict_string(const struct strict *at, const char **ret, struct error *err);

/*
 * The line, from 1 on, on which the place of that path begins in the text of the document, which
 * must have been read without an error. 1 where it cannot be found.
 */
unsigned int strict_line(const char *text, size_t length, const char *path);

#endif
