/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules as JSON, in the configuration file and in the API alike.
 *
 * A rule is written in one of two ways, each with a "name" if it shall have one:
 *
 *	{ "publish": "8080:80", "container": "172.17.0.2" }	as `docker run -p` takes it; this may
 *								stand for many rules
 *	{ "protocol": "tcp", "host": "[::]:8080", "container": "172.17.0.2:80" }	one rule
 *
 * and is shown in the second way, with its "id" and "origin".
 */
#ifndef FAIRLEAD_API_RULES_H
#define FAIRLEAD_API_RULES_H

#include "api/strict.h"
#include "model/ruleset.h"

/*
 * Appends the rules that an object stands for, or those of an array of such objects. Returns 0 or
 * -errno with a sentence.
 */
int rules_decode_one(const struct strict *at, enum rule_origin origin, struct ruleset *into,
		     struct error *err);
int rules_decode(const struct strict *at, enum rule_origin origin, struct ruleset *into,
		 struct error *err);

/* A new object, or NULL without memory. */
json_t *rules_encode(const struct rule *rule);

#endif
