/* SPDX-License-Identifier: Apache-2.0 */
/* What the ports have carried, as a table for people. */
#ifndef FAIRLEAD_APPS_CLI_SUMMARY_H
#define FAIRLEAD_APPS_CLI_SUMMARY_H

#include <stdbool.h>
#include <stdio.h>

#include "publish/publisher.h"

/* "s", unless there is one. */
const char *plural(uint64_t number);

/*
 * One line for each port that had a session, and how many had none, but for those that somebody else
 * has carried: NULL stands for nobody. Sessions must have ended.
 */
void summary_print(FILE *out, const struct publisher *publisher,
		   bool (*is_carried_otherwise)(const struct published_port *port));

#endif
