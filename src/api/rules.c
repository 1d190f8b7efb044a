/* SPDX-License-Identifier: Apache-2.0 */
#include "api/rules.h"

#include <errno.h>

#include "model/port_spec.h"

static int decode_name(const struct strict *at, const char **ret, struct error *err)
{
	struct strict name = strict_member(at, "name");

	*ret = NULL;
	return name.value ? strict_string(&name, ret, err) : 0;
}

/* Puts the place before a sentence that came from the model. */
static int placed(const struct strict *at, struct error *err)
{
	struct error model = *err;

	return strict_error(at, err, model.code, "%s", model.text);
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

static int decode_spec(const struct strict *at, enum rule_origin origin, struct ruleset *into,
		       struct error *err)
{
	static const char *const keys[] = { "publish", "container", "name", NULL };
	struct strict publish = strict_member(at, "publish");
	struct strict container = strict_member(at, "container");
	struct port_spec spec;
	struct address ip;
	const char *text, *name;
	int r = strict_object(at, keys, err);

	if (r == 0)
		r = decode_name(at, &name, err);
	if (r == 0)
		r = strict_string(&publish, &text, err);
	if (r == 0)
		r = decode_ip(&container, &ip, err);
	if (r == 0)
		r = check_container(&container, &ip, err);
	if (r != 0)
		return r;
	if (port_spec_parse(text, &spec, err) < 0)
		return placed(&publish, err);
	r = ruleset_add_spec(into, &spec, &ip, origin, name, err);
	return r < 0 ? placed(at, err) : 0;
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

static int decode_single(const struct strict *at, enum rule_origin origin, struct ruleset *into,
			 struct error *err)
{
	static const char *const keys[] = { "protocol", "host", "container", "name", NULL };
	struct strict protocol = strict_member(at, "protocol");
	struct strict host = strict_member(at, "host");
	struct strict container = strict_member(at, "container");
	struct rule rule = { .protocol = PROTOCOL_TCP, .origin = origin };
	const char *name;
	int r = strict_object(at, keys, err);

	if (r == 0)
		r = decode_name(at, &name, err);
	if (r == 0 && protocol.value)
		r = decode_protocol(&protocol, &rule.protocol, err);
	if (r == 0)
		r = decode_endpoint(&host, &rule.host, err);
	if (r == 0)
		r = decode_endpoint(&container, &rule.container, err);
	if (r == 0)
		r = check_container(&container, &rule.container, err);
	if (r != 0)
		return r;
	if (name && rule_set_name(&rule, name, err) < 0)
		return placed(at, err);
	r = ruleset_add(into, &rule, err);
	return r < 0 ? placed(at, err) : 0;
}

int rules_decode_one(const struct strict *at, enum rule_origin origin, struct ruleset *into,
		     struct error *err)
{
	if (json_object_get(at->value, "publish"))
		return decode_spec(at, origin, into, err);
	if (json_is_object(at->value) && !json_object_get(at->value, "host"))
		return strict_error(at, err, -EINVAL,
				    "a rule has \"publish\", like \"8080:80\", or \"host\", like "
				    "\"[::]:8080\"");
	return decode_single(at, origin, into, err);
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

json_t *rules_encode(const struct rule *rule)
{
	char id[RULE_ID_MAX], host[ADDRESS_TEXT_MAX], container[ADDRESS_TEXT_MAX];

	return json_pack("{s:s, s:s*, s:s, s:s, s:s, s:s}", "id", rule_id(rule, id), "name",
			 rule->name[0] ? rule->name : NULL, "protocol",
			 protocol_name(rule->protocol), "host", address_format(&rule->host, host),
			 "container", address_format(&rule->container, container), "origin",
			 rule_origin_name(rule->origin));
}
