/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the daemon: HTTP over its unix socket, by libcurl.
 *
 * Each function returns 0, or the exit code with which the command is to end: EXIT_FAILURE where the
 * daemon has refused, EXIT_USAGE where it has not understood, EXIT_UNREACHABLE where there is none, or
 * no permission. The sentence for it is in *err.
 */
#ifndef FAIRLEAD_APPS_CLI_CLIENT_H
#define FAIRLEAD_APPS_CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

/* A path of the API as "/v1/rules", the query included. body may be NULL. The answer is the caller's. */
int client_request(const char *method, const char *path, const json_t *body, json_t **ret,
		   struct error *err);

/* The same for a GET, which most are. */
int client_get(const char *path, json_t **ret, struct error *err);

/* How long an answer may take, where it is waited for by somebody who has less time than usual. */
void client_set_limit(long seconds);

/*
 * Calls `line` for each line of an answer that has no end, until that returns false. Returns 0 then,
 * and where the daemon has ended it.
 */
int client_stream(const char *path, bool (*line)(void *context, const char *text), void *context,
		  struct error *err);

/*
 * Appends NAME=VALUE to a path's query, escaped; nothing where the value is NULL. The buffer has
 * CLIENT_PATH_MAX bytes.
 */
#define CLIENT_PATH_MAX 1024
void client_add_query(char *path, const char *name, const char *value);

/* Says what went wrong on standard error, and returns the code. */
int client_failed(const char *command, const struct error *err, int code);

#endif
