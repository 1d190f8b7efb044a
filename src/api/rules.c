/* SPDX-License-Identifier: Apache-2.0 */
#include "api/rules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/port_spec.h"

/* Puts the place before a sentence that came from the model. */
static int placed(const struct strict *at, struct error *err)
{
	struct error model = *err;

	return strict_error(at, err, model.code, "%s", model.text);
}

static int decode_name(const struct strict *at, struct rule *rule, struct error *err)
{
	struct strict name = strict_member(at, "name");
	const char *text;
	int r;

	if (!name.value)
		return 0;
	r = strict_string(&name, &text, err);
	if (r < 0)
		return r;
	return rule_set_name(rule, text, err) < 0 ? placed(at, err) : 0;
}

static int decode_ip(const struct strict *at, struct address *ret, struct error *err)
{
	const char *text;
	int r = strict_string(at, &text, err);

	if (r < 0)
		return r;
	if (address_parse_ip(text, ret) < 0)
		return strict_error(at, err, -EINVAL, "'%.60s' is no IP address, like 172.17.0.2",
				    text);
	return 0;
}

static int decode_endpoint(const struct strict *at, struct address *ret, struct error *err)
{
	const char *text;
	int r = strict_string(at, &text, err);

	if (r < 0)
		return r;
	if (address_parse(text, ret) < 0)
		return strict_error(at, err, -EINVAL,
				    "'%.60s' is no address with a port, like 172.17.0.2:80 or "
				    "[::]:8080",
				    text);
	return 0;
}

static int check_container(const struct strict *at, const struct address *container,
			   struct error *err)
{
	if (address_is_connectable(container))
		return 0;
	return strict_error(at, err, -EINVAL, "nothing can connect to this address");
}

/* A list of the identity: a text with commas, or an array of such texts. */
static int decode_list(const struct strict *at, char buffer[IDENTITY_TEXT_MAX], struct error *err)
{
	size_t count = json_is_array(at->value) ? json_array_size(at->value) : 1, length = 0;

	for (size_t i = 0; i < count; i++) {
		struct strict item = json_is_array(at->value) ? strict_element(at, i) : *at;
		const char *text;
		int r = strict_string(&item, &text, err);

		if (r < 0)
			return r;
		if (length + strlen(text) + 2 > IDENTITY_TEXT_MAX)
			return strict_error(at, err, -EINVAL, "is too long");
		length += (size_t)snprintf(buffer + length, IDENTITY_TEXT_MAX - length, "%s%s",
					   i > 0 ? "," : "", text);
	}
	if (count == 0)
		(void)snprintf(buffer, IDENTITY_TEXT_MAX, "none");
	return 0;
}

static int decode_identity(const struct strict *at, struct identity *ret, struct error *err)
{
	char text[IDENTITY_TEXT_MAX];

	for (size_t i = 0; identity_keys[i]; i++) {
		struct strict member = strict_member(at, identity_keys[i]);
		int r;

		if (!member.value)
			continue;
		r = decode_list(&member, text, err);
		if (r < 0)
			return r;
		if (identity_set(ret, identity_keys[i], text, err) < 0)
			return placed(at, err);
	}
	return 0;
}

/* What both ways to write a rule have. */
#define WORDS(field, key, table, standard, meaning) #key,
#define WORD(field, key, table, standard, meaning) #key,
#define PREFIXES(field, key, meaning) #key,

static const char *const spec_keys[] = {
	"publish",
	"container",
	"name",
#include "model/identity.def"
	NULL,
};

static const char *const single_keys[] = {
	"protocol", "host", "container", "name",
#include "model/identity.def"
	NULL,
};

#undef WORDS
#undef WORD
#undef PREFIXES

static int decode_common(const struct strict *at, const char *const *keys, struct rule *rule,
			 struct error *err)
{
	int r = strict_object(at, keys, err);

	if (r == 0)
		r = decode_name(at, rule, err);
	return r == 0 ? decode_identity(at, &rule->identity, err) : r;
}

static int decode_spec(const struct strict *at, struct rule *like, struct ruleset *into,
		       struct error *err)
{
	struct strict publish = strict_member(at, "publish");
	struct strict container = strict_member(at, "container");
	struct port_spec spec;
	const char *text;
	int r = decode_common(at, spec_keys, like, err);

	if (r == 0)
		r = strict_string(&publish, &text, err);
	if (r == 0)
		r = decode_ip(&container, &like->container, err);
	if (r == 0)
		r = check_container(&container, &like->container, err);
	if (r != 0)
		return r;
	if (port_spec_parse(text, &spec, err) < 0)
		return placed(&publish, err);
	if (identity_check(&like->identity, spec.protocol, &like->container, err) < 0 ||
	    ruleset_add_spec(into, &spec, like, err) < 0)
		return placed(at, err);
	return 0;
}

static int decode_protocol(const struct strict *at, enum protocol *ret, struct error *err)
{
	const char *text;
	int r = strict_string(at, &text, err);

	if (r < 0)
		return r;
	if (protocol_parse(text, ret) < 0)
		return strict_error(at, err, -EINVAL, "'%.40s' is none of tcp, udp, sctp", text);
	return 0;
}

static int decode_single(const struct strict *at, struct rule *rule, struct ruleset *into,
			 struct error *err)
{
	struct strict protocol = strict_member(at, "protocol");
	struct strict host = strict_member(at, "host");
	struct strict container = strict_member(at, "container");
	int r = decode_common(at, single_keys, rule, err);

	if (r == 0 && protocol.value)
		r = decode_protocol(&protocol, &rule->protocol, err);
	if (r == 0)
		r = decode_endpoint(&host, &rule->host, err);
	if (r == 0)
		r = decode_endpoint(&container, &rule->container, err);
	if (r == 0)
		r = check_container(&container, &rule->container, err);
	if (r != 0)
		return r;
	if (identity_check(&rule->identity, rule->protocol, &rule->container, err) < 0 ||
	    ruleset_add(into, rule, err) < 0)
		return placed(at, err);
	return 0;
}

int rules_decode_one(const struct strict *at, enum rule_origin origin, struct ruleset *into,
		     struct error *err)
{
	struct rule rule = { .protocol = PROTOCOL_TCP, .origin = origin };

	if (json_object_get(at->value, "publish"))
		return decode_spec(at, &rule, into, err);
	if (json_is_object(at->value) && !json_object_get(at->value, "host"))
		return strict_error(at, err, -EINVAL,
				    "a rule has \"publish\", like \"8080:80\", or \"host\", like "
				    "\"[::]:8080\"");
	return decode_single(at, &rule, into, err);
}

int rules_decode(const struct strict *at, enum rule_origin origin, struct ruleset *into,
		 struct error *err)
{
	int r;

	if (!json_is_array(at->value))
		return rules_decode_one(at, origin, into, err);
	for (size_t i = 0; i < json_array_size(at->value); i++) {
		struct strict element = strict_element(at, i);

		r = rules_decode_one(&element, origin, into, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What differs from the defaults; and what kinds there are, always. */
static void encode_identity(json_t *object, const struct identity *identity)
{
	char buffer[IDENTITY_TEXT_MAX];

	(void)json_object_set_new(object, "identity", json_string("none"));
	for (size_t i = 0; object && identity_keys[i]; i++) {
		const char *text = identity_format(identity, identity_keys[i], buffer);

		if (text)
			(void)json_object_set_new(object, identity_keys[i], json_string(text));
	}
}

json_t *rules_encode(const struct rule *rule)
{
	char id[RULE_ID_MAX], host[ADDRESS_TEXT_MAX], container[ADDRESS_TEXT_MAX];
	json_t *object = json_pack("{s:s, s:s*, s:s, s:s, s:s, s:s}", "id", rule_id(rule, id),
				   "name", rule->name[0] ? rule->name : NULL, "protocol",
				   protocol_name(rule->protocol), "host",
				   address_format(&rule->host, host), "container",
				   address_format(&rule->container, container), "origin",
				   rule_origin_name(rule->origin));

	encode_identity(object, &rule->identity);
	return object;
}
