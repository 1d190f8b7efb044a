/* SPDX-License-Identifier: Apache-2.0 */
#include "control/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/rules.h"
#include "base/fd.h"

static json_t *encode(const struct ruleset *rules)
{
	json_t *list = json_array();

	for (size_t i = 0; i < rules->count; i++) {
		json_t *rule = rules_encode(&rules->rules[i]);

		/* derived, and not read */
		(void)json_object_del(rule, "id");
		(void)json_object_del(rule, "origin");
		(void)json_array_append_new(list, rule);
	}
	return json_pack("{s:o}", "rules", list);
}

static int write_json(int fd, const json_t *json)
{
	if (json_dumpfd(json, fd, JSON_INDENT(1)) < 0)
		return errno != 0 ? -errno : -EIO;
	return fsync(fd) < 0 ? -errno : 0;
}

int record_prepare(struct record *record, const char *path, const struct ruleset *rules,
		   struct error *err)
{
	OWNED_FD fd = -1;
	json_t *json = encode(rules);
	int r;

	(void)snprintf(record->path, sizeof(record->path), "%s", path);
	(void)snprintf(record->temporary, sizeof(record->temporary), "%.4080s.XXXXXX", path);
	if (!json)
		return error_set(err, -ENOMEM, "no memory to record the rules");
	fd = mkostemp(record->temporary, O_CLOEXEC);
	r = fd < 0 ? -errno : write_json(fd, json);
	json_decref(json);
	if (r == 0)
		return 0;
	if (fd >= 0)
		(void)unlink(record->temporary);
	return error_set(err, r, "the rules cannot be recorded in %.100s: %s", path, error_name(r));
}

int record_commit(struct record *record, struct error *err)
{
	if (rename(record->temporary, record->path) == 0)
		return 0;
	(void)unlink(record->temporary);
	return error_set(
		err, -errno,
		"done, but it could not be recorded in %.100s, and is forgotten at the next "
		"start: %s",
		record->path, error_name(errno));
}

void record_abandon(struct record *record)
{
	(void)unlink(record->temporary);
}

int record_read(const char *path, struct ruleset *into, struct error *err)
{
	json_error_t json_error;
	struct strict document, rules;
	json_t *json;
	int r;

	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	json = json_load_file(path, JSON_REJECT_DUPLICATES, &json_error);
	if (!json)
		return error_set(err, -EINVAL, "%.100s:%d: %.120s", path, json_error.line,
				 json_error.text);
	document = strict_document(json);
	rules = strict_member(&document, "rules");
	r = strict_array(&rules, err);
	if (r == 0)
		r = rules_decode(&rules, RULE_FROM_API, into, err);
	if (r == 0)
		r = ruleset_sort(into, err);
	json_decref(json);
	return r < 0 ? error_prefix(err, "%.100s", path) : 0;
}
