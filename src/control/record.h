/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of the rules that came through the API, for the next start: a file that is replaced as
 * a whole. What goes into it is prepared before the rules are changed, so that a full disk is known
 * while nothing has happened yet.
 */
#ifndef FAIRLEAD_CONTROL_RECORD_H
#define FAIRLEAD_CONTROL_RECORD_H

#include <limits.h>

#include "model/ruleset.h"

struct record {
	char path[PATH_MAX];
	char temporary[PATH_MAX];
};

/* Writes the rules beside the file. Returns 0, or -errno with a sentence. */
int record_prepare(struct record *record, const char *path, const struct ruleset *rules,
		   struct error *err);

/* Puts what was prepared in the file's place, or takes it away. */
int record_commit(struct record *record, struct error *err);
void record_abandon(struct record *record);

/* Reads the rules of the file. Returns 0, also where there is no file, or -errno with a sentence. */
int record_read(const char *path, struct ruleset *into, struct error *err);

#endif
