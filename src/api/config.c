/* SPDX-License-Identifier: Apache-2.0 */
#include "api/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/rules.h"
#include "api/strict.h"
#include "base/fd.h"

void config_init(struct config *config)
{
	daemon_settings_init(&config->daemon);
	settings_init(&config->settings);
	ruleset_init(&config->rules);
}

void config_fini(struct config *config)
{
	ruleset_fini(&config->rules);
}

/* A value of a setting as text: numbers may be written as numbers. */
static int setting_text(const struct strict *at, char buffer[32], const char **ret,
			struct error *err)
{
	if (json_is_integer(at->value)) {
		(void)snprintf(buffer, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(at->value));
		*ret = buffer;
		return 0;
	}
	return strict_string(at, ret, err);
}

typedef int set_fn(void *settings, const char *key, const char *text, struct error *err);

static int set_daemon(void *settings, const char *key, const char *text, struct error *err)
{
	return daemon_settings_set(settings, key, text, err);
}

static int set_common(void *settings, const char *key, const char *text, struct error *err)
{
	return settings_set(settings, key, text, err);
}

/* The model names its setting first, and so does the place. */
static const char *without_name(const char *text, const char *name)
{
	size_t length = strlen(name);

	return strncmp(text, name, length) == 0 && strncmp(text + length, ": ", 2) == 0
		       ? text + length + 2
		       : text;
}

static int decode_settings(const struct strict *at, set_fn *set, void *settings, struct error *err)
{
	const char *key;
	json_t *ignored;

	if (!at->value)
		return 0;
	if (!json_is_object(at->value))
		return strict_error(at, err, -EINVAL, "expected an object of settings");
	json_object_foreach((json_t *)(uintptr_t)at->value, key, ignored)
	{
		struct strict member = strict_member(at, key);
		struct error model;
		const char *text;
		char buffer[32];
		int r = setting_text(&member, buffer, &text, err);

		if (r < 0)
			return r;
		r = set(settings, key, text, &model);
		if (r == -ENOENT)
			return strict_error(&member, err, -EINVAL, "there is no such setting");
		if (r < 0)
			return strict_error(&member, err, -EINVAL, "%s",
					    without_name(model.text, key));
	}
	return 0;
}

static int decode(struct config *config, const json_t *root, struct error *err)
{
	static const char *const keys[] = { "daemon", "settings", "rules", NULL };
	struct strict document = strict_document(root);
	struct strict daemon = strict_member(&document, "daemon");
	struct strict settings = strict_member(&document, "settings");
	struct strict rules = strict_member(&document, "rules");
	struct error model;
	int r = strict_object(&document, keys, err);

	if (r == 0)
		r = decode_settings(&daemon, set_daemon, &config->daemon, err);
	if (r == 0 && daemon_settings_check(&config->daemon, &model) < 0)
		r = strict_error(&daemon, err, -EINVAL, "%s", model.text);
	if (r == 0)
		r = decode_settings(&settings, set_common, &config->settings, err);
	if (r == 0 && settings_check(&config->settings, &model) < 0)
		r = strict_error(&settings, err, -EINVAL, "%s", model.text);
	if (r == 0 && rules.value)
		r = strict_array(&rules, err);
	if (r == 0 && rules.value)
		r = rules_decode(&rules, RULE_FROM_FILE, &config->rules, err);
	return r;
}

/* The place, with which sentences begin: "rules[3].publish: ..." */
static void take_path(const struct error *err, char path[STRICT_PATH_MAX])
{
	size_t length = strcspn(err->text, ":");

	path[0] = '\0';
	if (length < STRICT_PATH_MAX && err->text[length] == ':') {
		memcpy(path, err->text, length);
		path[length] = '\0';
	}
}

static int syntax_error(const char *name, const json_error_t *json, struct error *err)
{
	return error_set(err, -EINVAL, "%.100s:%d:%d: %.140s", name,
			 json->line > 0 ? json->line : 1, json->column > 0 ? json->column : 1,
			 json->text);
}

int config_parse(struct config *config, const char *name, const char *text, size_t length,
		 struct error *err)
{
	struct config read = { .daemon = config->daemon, .settings = config->settings };
	char path[STRICT_PATH_MAX];
	json_error_t json;
	json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &json);
	int r;

	if (!root)
		return syntax_error(name, &json, err);
	ruleset_init(&read.rules);
	r = decode(&read, root, err);
	json_decref(root);
	if (r < 0) {
		take_path(err, path);
		r = error_prefix(err, "%.100s:%u", name, strict_line(text, length, path));
	} else if (ruleset_sort(&read.rules, err) < 0) {
		r = error_prefix(err, "%.100s:%u", name, strict_line(text, length, "rules"));
	}
	if (r < 0) {
		ruleset_fini(&read.rules);
		return r;
	}
	ruleset_fini(&config->rules);
	*config = read;
	return 0;
}

/* The whole file; the caller frees it. */
static int read_file(const char *path, char **ret_text, size_t *ret_length, struct error *err)
{
	OWNED_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;
	size_t length = 0;
	char *text;

	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set(err, -errno, "%.150s: %s", path, error_name(errno));
	if (!S_ISREG(status.st_mode))
		return error_set(err, -EINVAL, "%.150s is not a file", path);
	if (status.st_size > CONFIG_BYTES_MAX)
		return error_set(err, -EFBIG, "%.150s is larger than %d MiB", path,
				 CONFIG_BYTES_MAX / 1024 / 1024);
	text = malloc((size_t)status.st_size + 1);
	if (!text)
		return error_set(err, -ENOMEM, "%.150s: no memory to read it", path);
	while (length < (size_t)status.st_size) {
		ssize_t got = read(fd, text + length, (size_t)status.st_size - length);

		if (got <= 0)
			break;
		length += (size_t)got;
	}
	*ret_text = text;
	*ret_length = length;
	return 0;
}

int config_read(struct config *config, const char *path, struct error *err)
{
	char *text = NULL;
	size_t length = 0;
	int r = read_file(path, &text, &length, err);

	if (r < 0)
		return r;
	r = config_parse(config, path, text, length, err);
	free(text);
	return r;
}
