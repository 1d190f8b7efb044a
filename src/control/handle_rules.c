/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules, as the API shows and changes them.
 *
 * What the API may change are its own rules. Each change makes the set that there is to be, records
 * it, and has the loop's thread carry it out; one change at a time.
 */
#include <errno.h>
#include <string.h>

#include "api/rules.h"
#include "base/text.h"
#include "control/handlers.h"
#include "control/record.h"
#include "control/rules.h"
#include "control/shown.h"

static bool take_ports(const struct request *request, struct ports_shown *ret,
		       struct answer *answer)
{
	if (snapshot_ports(request->context->control, ret) == 0)
		return true;
	answer_error(answer, 500, "no memory for a list of all rules");
	return false;
}

void handle_rules(const struct request *request, struct answer *answer)
{
	struct ports_shown shown;
	struct answer_list list;

	if (!take_ports(request, &shown, answer))
		return;
	answer_list_begin(&list, answer, "rules");
	for (size_t i = 0; i < shown.count; i++)
		answer_list_add(&list, shown_port(&shown.ports[i]));
	answer_list_end(&list, NULL);
	ports_shown_free(&shown);
}

void handle_rule(const struct request *request, struct answer *answer)
{
	struct ports_shown shown;
	size_t i = 0;

	if (!take_ports(request, &shown, answer))
		return;
	while (i < shown.count && !rule_has_id(&shown.ports[i].rule, request->id))
		i++;
	if (i < shown.count)
		answer_json(answer, shown_port(&shown.ports[i]));
	else
		answer_error(answer, 404, "there is no rule %.40s", request->id);
	ports_shown_free(&shown);
}

/* A change of the API's rules, on its way. */
struct changing {
	struct control *control;
	const char *id;	      /* of one of them */
	struct ruleset now;   /* as they are */
	struct ruleset after; /* as they shall be */
	struct rules_changed changed;
	struct rule found; /* the one of that id, whoever's */
	bool is_found;
	uint64_t drain_ns;
	struct error *err;
	int result;
};

static void call_copy(void *context)
{
	struct changing *changing = context;
	const struct rules *rules = changing->control->rules;
	const struct published_port *port = changing->id ? rules_find_id(rules, changing->id)
							 : NULL;

	changing->is_found = port;
	if (port)
		changing->found = port->rule;
	changing->result = rules_copy(rules, RULE_FROM_API, &changing->now, changing->err);
}

/* One that shall have time is not left to rules_replace(), which ends sessions at once. */
static void drain_first(struct changing *changing)
{
	struct rules *rules = changing->control->rules;
	struct published_port *port = rules_find(rules, &changing->found);

	if (port && changing->drain_ns > 0)
		rules_remove(rules, port, changing->drain_ns);
}

static void call_replace(void *context)
{
	struct changing *changing = context;

	drain_first(changing);
	changing->result = rules_replace(changing->control->rules, RULE_FROM_API, &changing->after,
					 &changing->changed, changing->err);
}

/* Records and carries out. With the lock held. */
static int carry_out(struct changing *changing)
{
	struct control *control = changing->control;
	struct record record = { .path = "" };
	int r = ruleset_sort(&changing->after, changing->err);

	if (r == 0)
		r = record_prepare(&record, control->config.daemon.state_file, &changing->after,
				   changing->err);
	if (r < 0)
		return r;
	control_call(control, call_replace, changing);
	if (changing->result < 0) {
		record_abandon(&record);
		return changing->result;
	}
	return record_commit(&record, changing->err);
}

static int append(struct ruleset *to, const struct ruleset *from, const struct rule *but,
		  struct error *err)
{
	for (size_t i = 0; i < from->count; i++) {
		if (but && rule_compare_keys(&from->rules[i], but) == 0)
			continue;
		if (ruleset_add(to, &from->rules[i], err) < 0)
			return err->code;
	}
	return 0;
}

static void begin(struct changing *changing, const struct request *request, struct error *err)
{
	*changing = (struct changing){ .control = request->context->control,
				       .id = request->id,
				       .err = err };
	ruleset_init(&changing->now);
	ruleset_init(&changing->after);
	pthread_mutex_lock(&request->context->changing);
	control_call(changing->control, call_copy, changing);
}

static void end(struct changing *changing, const struct request *request, int r,
		struct answer *answer)
{
	pthread_mutex_unlock(&request->context->changing);
	ruleset_fini(&changing->now);
	ruleset_fini(&changing->after);
	if (r < 0)
		answer_failure(answer, changing->err);
}

static json_t *encode_rules(const struct ruleset *set)
{
	json_t *list = json_array();

	for (size_t i = 0; i < set->count; i++)
		(void)json_array_append_new(list, rules_encode(&set->rules[i]));
	return json_pack("{s:o}", "rules", list);
}

/* rules_replace() would take a second one for a change of the first. */
static int check_new(const struct changing *changing, const struct ruleset *added)
{
	for (size_t i = 0; i < added->count; i++) {
		const struct rule *taken = ruleset_find(&changing->now, &added->rules[i]);

		if (taken)
			return rules_taken(taken, changing->err);
	}
	return 0;
}

/* Whoever asks waits for it; further containers are left to identity_watch. */
#define REACH_CHECKS_MAX 8

static bool is_same_container(const struct rule *a, const struct rule *b)
{
	return a && memcmp(a->container.ip, b->container.ip, sizeof(a->container.ip)) == 0;
}

/*
 * What rules with an identity need, before anything is changed; and whether their containers can do
 * with it. Of one container, which may have many ports, that is asked once.
 */
static int prepare_identities(struct control *control, const struct ruleset *set, struct error *err)
{
	const struct rule *asked = NULL;
	int checks = 0, r = identities_prepare_all(control->identities, set, err);

	for (size_t i = 0; i < set->count && r == 0; i++) {
		const struct rule *rule = &set->rules[i];

		if (!(rule->identity.kinds & IDENTITY_PSEUDO_IPV4) ||
		    is_same_container(asked, rule) || checks++ == REACH_CHECKS_MAX)
			continue;
		asked = rule;
		if (identities_reach(control->identities, &rule->container, err) == POOL_REACH_NONE)
			r = err->code;
	}
	return r;
}

static bool decode_body(const struct request *request, struct ruleset *ret, struct answer *answer)
{
	struct strict body = strict_document(request->body);
	struct error err;
	int r;

	if (!request->body) {
		answer_error(answer, 400,
			     "the body is missing: a rule, like {\"publish\": \"8080:80\", "
			     "\"container\": \"172.17.0.2\"}, or an array of rules");
		return false;
	}
	r = rules_decode(&body, RULE_FROM_API, ret, &err);
	if (r == 0)
		r = ruleset_sort(ret, &err);
	if (r == 0)
		r = prepare_identities(request->context->control, ret, &err);
	if (r < 0)
		answer_failure(answer, &err);
	return r == 0;
}

void handle_rules_add(const struct request *request, struct answer *answer)
{
	struct changing changing;
	struct ruleset added;
	struct error err;
	int r;

	ruleset_init(&added);
	if (decode_body(request, &added, answer)) {
		begin(&changing, request, &err);
		r = changing.result < 0 ? changing.result : check_new(&changing, &added);
		if (r == 0)
			r = append(&changing.after, &changing.now, NULL, &err);
		if (r == 0)
			r = append(&changing.after, &added, NULL, &err);
		if (r == 0)
			r = carry_out(&changing);
		end(&changing, request, r, answer);
		if (r == 0) {
			answer_json(answer, encode_rules(&added));
			answer->status = 201;
		}
	}
	ruleset_fini(&added);
}

void handle_rules_replace(const struct request *request, struct answer *answer)
{
	struct changing changing;
	struct ruleset wanted;
	struct error err;
	int r;

	ruleset_init(&wanted);
	if (decode_body(request, &wanted, answer)) {
		begin(&changing, request, &err);
		r = append(&changing.after, &wanted, NULL, &err);
		if (r == 0)
			r = carry_out(&changing);
		end(&changing, request, r, answer);
		if (r == 0)
			answer_json(answer, shown_changed(&changing.changed));
	}
	ruleset_fini(&wanted);
}

/* What is to be done with a rule that is not the API's own. */
static int check_own(const struct changing *changing, const char *id)
{
	if (!changing->is_found)
		return error_set(changing->err, -ENOENT, "there is no rule %.40s", id);
	switch (changing->found.origin) {
	case RULE_FROM_API:
		return 0;
	case RULE_FROM_FILE:
		return error_set(
			changing->err, -EBUSY,
			"rule %.40s is in the configuration file: change it there, and reload", id);
	default:
		return error_set(
			changing->err, -EBUSY,
			"rule %.40s belongs to a container engine: it ends with its container", id);
	}
}

static int decode_change(const struct request *request, struct rule *rule, struct error *err)
{
	json_t *whole;
	struct ruleset one;
	struct strict document;
	char host[ADDRESS_TEXT_MAX];
	int r;

	if (!json_is_object(request->body))
		return error_set(err, -EINVAL,
				 "the body is to be an object with \"container\", and \"name\" if "
				 "there is to be one");
	whole = json_copy((json_t *)(uintptr_t)request->body);
	(void)json_object_set_new(whole, "protocol", json_string(protocol_name(rule->protocol)));
	(void)json_object_set_new(whole, "host", json_string(address_format(&rule->host, host)));
	document = strict_document(whole);
	ruleset_init(&one);
	r = rules_decode_one(&document, RULE_FROM_API, &one, err);
	if (r == 0)
		r = prepare_identities(request->context->control, &one, err);
	if (r == 0)
		*rule = one.rules[0];
	ruleset_fini(&one);
	json_decref(whole);
	return r;
}

void handle_rule_change(const struct request *request, struct answer *answer)
{
	struct changing changing;
	struct error err;
	int r;

	begin(&changing, request, &err);
	r = changing.result < 0 ? changing.result : check_own(&changing, request->id);
	if (r == 0)
		r = append(&changing.after, &changing.now, &changing.found, &err);
	if (r == 0)
		r = decode_change(request, &changing.found, &err);
	if (r == 0)
		r = ruleset_add(&changing.after, &changing.found, &err);
	if (r == 0)
		r = carry_out(&changing);
	end(&changing, request, r, answer);
	if (r == 0)
		answer_json(answer, rules_encode(&changing.found));
}

static bool read_drain(const struct request *request, uint64_t *ret, struct answer *answer)
{
	const char *text = request->query(request->query_of, "drain");

	*ret = 0;
	if (!text || text_parse_duration(text, ret) == 0)
		return true;
	answer_error(answer, 400, "drain=%.40s is not a duration like 30s", text);
	return false;
}

void handle_rule_remove(const struct request *request, struct answer *answer)
{
	struct changing changing;
	uint64_t drain_ns;
	struct error err;
	int r;

	if (!read_drain(request, &drain_ns, answer))
		return;
	begin(&changing, request, &err);
	changing.drain_ns = drain_ns;
	r = changing.result < 0 ? changing.result : check_own(&changing, request->id);
	if (r == 0)
		r = append(&changing.after, &changing.now, &changing.found, &err);
	if (r == 0)
		r = carry_out(&changing);
	end(&changing, request, r, answer);
	if (r == 0)
		answer_json(answer, rules_encode(&changing.found));
}
