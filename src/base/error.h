/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors that a person will read.
 *
 * Functions return 0 or -errno. Those whose failure ends up in front of somebody also fill a
 * struct error that lives on the caller's stack: one sentence that names the value met and, where
 * there is one, the remedy. Outputs named ret_* are left untouched on failure.
 */
#ifndef FAIRLEAD_BASE_ERROR_H
#define FAIRLEAD_BASE_ERROR_H

#define ERROR_TEXT_MAX 256

struct error {
	int code; /* -errno */
	char text[ERROR_TEXT_MAX];
};

/*
 * Sets code and text, in which control characters become question marks, and returns code, so that
 * `return error_set(err, -ERANGE, "...")` reads well.
 */
int error_set(struct error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the text that is there. The code stays. Returns the code. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The text of an errno value (positive or negative) as the field writes it: "address already in
 * use".
 */
const char *error_name(int code);

#endif
