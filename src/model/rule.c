/* SPDX-License-Identifier: Apache-2.0 */
#include "model/rule.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/siphash.h"

static const struct {
	const char *name, *meaning;
} origins[RULE_ORIGINS] = {
#define RULE_ORIGIN(symbol, name, meaning) [RULE_FROM_##symbol] = { name, meaning },
#include "model/rule_origin.def"
#undef RULE_ORIGIN
};

const char *rule_origin_name(enum rule_origin origin)
{
	return origins[origin].name;
}

const char *rule_origin_meaning(enum rule_origin origin)
{
	return origins[origin].meaning;
}

const char *rule_format(const struct rule *rule, char buffer[RULE_TEXT_MAX])
{
	char host[ADDRESS_TEXT_MAX], container[ADDRESS_TEXT_MAX];

	(void)snprintf(buffer, RULE_TEXT_MAX, "%s/%s -> %s", address_format(&rule->host, host),
		       protocol_name(rule->protocol), address_format(&rule->container, container));
	return buffer;
}

int rule_compare_keys(const struct rule *a, const struct rule *b)
{
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	if (a->host.port != b->host.port)
		return a->host.port < b->host.port ? -1 : 1;
	return memcmp(&a->host, &b->host, sizeof(a->host));
}

bool rule_same_effect(const struct rule *a, const struct rule *b)
{
	return address_equal(&a->container, &b->container) && strcmp(a->name, b->name) == 0 &&
	       identity_equal(&a->identity, &b->identity);
}

static const char *make_id(enum protocol protocol, const struct address *host,
			   char buffer[RULE_ID_MAX])
{
	/* No secret: whoever sees the id sees the key. It is to be the same at every start. */
	static const struct siphash_key known = { .k0 = 0, .k1 = 0 };
	struct {
		struct address host;
		uint64_t protocol;
	} key = { .host = *host, .protocol = protocol };
	uint64_t hash = siphash(&known, &key, sizeof(key));

	(void)snprintf(buffer, RULE_ID_MAX, "%012llx",
		       (unsigned long long)(hash & 0xffffffffffffULL));
	return buffer;
}

const char *rule_id(const struct rule *rule, char buffer[RULE_ID_MAX])
{
	return make_id(rule->protocol, &rule->host, buffer);
}

void rule_label(const struct rule *rule, struct rule_label *ret)
{
	ret->host = rule->host;
	ret->protocol = rule->protocol;
	ret->identity_kinds = rule->identity.kinds;
	memcpy(ret->name, rule->name, sizeof(ret->name));
}

const char *rule_label_id(const struct rule_label *label, char buffer[RULE_ID_MAX])
{
	return make_id(label->protocol, &label->host, buffer);
}

bool rule_has_id(const struct rule *rule, const char *id)
{
	char text[RULE_ID_MAX];

	return strcmp(rule_id(rule, text), id) == 0;
}

static bool is_name_character(char c, bool first)
{
	return isalnum((unsigned char)c) || (!first && (c == '_' || c == '.' || c == '-'));
}

int rule_set_name(struct rule *rule, const char *name, struct error *err)
{
	size_t length = strlen(name);

	if (length == 0 || length > RULE_NAME_MAX)
		return error_set(err, -EINVAL, "a name has 1 to %d characters, and '%.70s' has %zu",
				 RULE_NAME_MAX, name, length);
	for (size_t i = 0; i < length; i++)
		if (!is_name_character(name[i], i == 0))
			return error_set(err, -EINVAL,
					 "the name '%.70s' may have letters, digits, '_', '.' and "
					 "'-', and must begin with a letter or a digit",
					 name);
	memcpy(rule->name, name, length + 1);
	return 0;
}
