/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rule: one port of the host, published to one port of a container.
 *
 * Its protocol and host address are its key: no two rules can share them, as no two sockets can.
 * Ranges, and both address families, are several rules.
 */
#ifndef FAIRLEAD_MODEL_RULE_H
#define FAIRLEAD_MODEL_RULE_H

#include <stdbool.h>

#include "base/error.h"
#include "model/identity.h"
#include "net/address.h"
#include "net/protocol.h"

/* Who brought the rule, and so who may take it away: see model/rule_origin.def. */
enum rule_origin {
#define RULE_ORIGIN(symbol, name, meaning) RULE_FROM_##symbol,
#include "model/rule_origin.def"
#undef RULE_ORIGIN
	RULE_ORIGINS
};

#define RULE_NAME_MAX 63

struct rule {
	enum protocol protocol;
	enum rule_origin origin;
	struct address host;
	struct address container;
	struct identity identity;
	char name[RULE_NAME_MAX + 1]; /* for people; may be empty, and need not be unique */
};

/* "[::]:8080/tcp -> 172.17.0.2:80"; returns the buffer. */
#define RULE_TEXT_MAX (2 * ADDRESS_TEXT_MAX + 16)
const char *rule_format(const struct rule *rule, char buffer[RULE_TEXT_MAX]);

/* By key, in an order that people like: protocol, port, address. Negative, 0 or positive. */
int rule_compare_keys(const struct rule *a, const struct rule *b);

/* Whether both lead to the same place, and differ in nothing else that a session could notice. */
bool rule_same_effect(const struct rule *a, const struct rule *b);

/* Twelve hexadecimal digits that stand for the key, the same at every start. Returns the buffer. */
#define RULE_ID_MAX 13
const char *rule_id(const struct rule *rule, char buffer[RULE_ID_MAX]);
bool rule_has_id(const struct rule *rule, const char *id);

/* What is told of a session's rule; a rule is much more, and there are many sessions. */
struct rule_label {
	struct address host;
	enum protocol protocol;
	uint8_t identity_kinds;
	char name[RULE_NAME_MAX + 1];
};

void rule_label(const struct rule *rule, struct rule_label *ret);
const char *rule_label_id(const struct rule_label *label, char buffer[RULE_ID_MAX]);

/*
 * Sets the name. Returns 0, or -EINVAL with a sentence: letters, digits, '_', '.' and '-', beginning
 * with a letter or digit, at most RULE_NAME_MAX.
 */
int rule_set_name(struct rule *rule, const char *name, struct error *err);

/* "file", and "the configuration file". */
const char *rule_origin_name(enum rule_origin origin);
const char *rule_origin_meaning(enum rule_origin origin);

#endif
