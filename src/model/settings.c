/* SPDX-License-Identifier: Apache-2.0 */
#include "model/settings.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum setting_type {
	SETTING_DURATION,
	SETTING_NUMBER,
};

struct setting {
	const char *variable;
	size_t offset;
	enum setting_type type;
	const char *standard;
	const char *least;
	const char *most;
	const char *meaning;
};

#define SETTING(field, variable, type, standard, least, most, meaning) \
	{ variable, offsetof(struct settings, field), type, standard, least, most, meaning },
#define DURATION(field, variable, standard, least, most, meaning) \
	SETTING(field, variable, SETTING_DURATION, standard, least, most, meaning)
#define NUMBER(field, variable, standard, least, most, meaning) \
	SETTING(field, variable, SETTING_NUMBER, #standard, #least, #most, meaning)
static const struct setting table[] = {
#include "model/settings.def"
};
#undef DURATION
#undef NUMBER

static const char *const log_targets[] = {
	[LOG_TARGET_AUTO] = "auto",	[LOG_TARGET_JOURNAL] = "journal",
	[LOG_TARGET_SYSLOG] = "syslog", [LOG_TARGET_STDERR] = "stderr",
	[LOG_TARGET_OFF] = "off",
};

static int parse(const struct setting *setting, const char *text, uint64_t *ret)
{
	if (setting->type == SETTING_DURATION)
		return text_parse_duration(text, ret);
	return text_parse_number(text, strlen(text), UINT64_MAX, ret);
}

/* The table's own texts are known to parse; the unit tests hold them to that. */
static uint64_t parsed(const struct setting *setting, const char *text)
{
	uint64_t value = 0;

	(void)parse(setting, text, &value);
	return value;
}

static void store(struct settings *settings, const struct setting *setting, uint64_t value)
{
	memcpy((char *)settings + setting->offset, &value, sizeof(value));
}

void settings_init(struct settings *settings)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		store(settings, &table[i], parsed(&table[i], table[i].standard));
	settings->log = LOG_TARGET_AUTO;
}

/* How a sentence names a value: with its variable, or alone, as a file says where it is. */
#define LABEL_MAX 80

static const char *label(const char *variable, const char *text, char buffer[LABEL_MAX])
{
	if (variable)
		(void)snprintf(buffer, LABEL_MAX, "%s=%.40s", variable, text);
	else
		(void)snprintf(buffer, LABEL_MAX, "'%.40s'", text);
	return buffer;
}

static int set_one(struct settings *settings, const struct setting *setting, const char *text,
		   const char *label, struct error *err)
{
	uint64_t value;
	int r = parse(setting, text, &value);

	if (r < 0 || value < parsed(setting, setting->least) ||
	    value > parsed(setting, setting->most))
		return error_set(err, -EINVAL, "%s is not a %s from %s to %s%s", label,
				 setting->type == SETTING_DURATION ? "duration" : "number",
				 setting->least, setting->most,
				 setting->type == SETTING_DURATION
					 ? ", written like 500ms, 30s, 2m or 1h"
					 : "");
	store(settings, setting, value);
	return 0;
}

static int set_log(struct settings *settings, const char *text, const char *label,
		   struct error *err)
{
	for (size_t i = 0; i < sizeof(log_targets) / sizeof(log_targets[0]); i++) {
		if (strcmp(text, log_targets[i]) == 0) {
			settings->log = (enum log_target)i;
			return 0;
		}
	}
	return error_set(err, -EINVAL, "%s is none of auto, journal, syslog, stderr, off", label);
}

/* FAIRLEAD_CONNECT_TIMEOUT has the key connect_timeout. */
static bool has_key(const char *variable, const char *key)
{
	variable += strlen("FAIRLEAD_");
	while (*key != '\0' && tolower((unsigned char)*variable) == *key) {
		variable++;
		key++;
	}
	return *key == '\0' && *variable == '\0';
}

int settings_set(struct settings *settings, const char *key, const char *text, struct error *err)
{
	char buffer[LABEL_MAX];
	const char *alone = label(NULL, text, buffer);

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (has_key(table[i].variable, key))
			return set_one(settings, &table[i], text, alone, err);
	return has_key("FAIRLEAD_LOG", key) ? set_log(settings, text, alone, err) : -ENOENT;
}

bool settings_equal(const struct settings *a, const struct settings *b)
{
	bool equal = a->log == b->log;

#define DURATION(field, variable, standard, least, most, meaning) \
	equal = equal && a->field == b->field;
#define NUMBER(field, variable, standard, least, most, meaning) \
	equal = equal && a->field == b->field;
#include "model/settings.def"
#undef DURATION
#undef NUMBER
	return equal;
}

static int check_threads(const struct settings *settings, const char *least, const char *most,
			 struct error *err)
{
	if (settings->threads_most == 0 || settings->threads_least <= settings->threads_most)
		return 0;
	return error_set(err, -EINVAL, "%s=%" PRIu64 " is more than %s=%" PRIu64 ", the most",
			 least, settings->threads_least, most, settings->threads_most);
}

int settings_check(const struct settings *settings, struct error *err)
{
	return check_threads(settings, "threads_least", "threads", err);
}

static const char *from_environment(const char *variable)
{
	const char *text = getenv(variable);

	return text && *text ? text : NULL;
}

int settings_from_environment(struct settings *settings, struct error *err)
{
	struct settings changed = *settings;
	char buffer[LABEL_MAX];
	const char *text;
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(table) / sizeof(table[0]); i++) {
		text = from_environment(table[i].variable);
		if (text)
			r = set_one(&changed, &table[i], text,
				    label(table[i].variable, text, buffer), err);
	}
	text = from_environment("FAIRLEAD_LOG");
	if (r == 0 && text)
		r = set_log(&changed, text, label("FAIRLEAD_LOG", text, buffer), err);
	if (r == 0)
		r = check_threads(&changed, "FAIRLEAD_THREADS_LEAST", "FAIRLEAD_THREADS", err);
	if (r == 0)
		*settings = changed;
	return r;
}

void settings_describe(int fd)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		dprintf(fd, "  %s (%s)\n      %s\n", table[i].variable, table[i].standard,
			table[i].meaning);
	dprintf(fd, "  FAIRLEAD_LOG (auto)\n"
		    "      where messages go: auto, journal, syslog, stderr or off\n");
}
