/* SPDX-License-Identifier: Apache-2.0 */
#include "model/daemon_settings.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "model/identity.h"
#include "model/pseudo.h"
#include "net/address.h"

enum setting_type {
	SETTING_TEXT,
	SETTING_CHOICE,
	SETTING_DURATION,
	SETTING_NUMBER,
};

struct setting {
	const char *key;
	enum setting_type type;
	size_t offset, size;
	const char *standard, *least, *most;
};

static const struct setting table[] = {
#define TEXT(field, size, standard, meaning)                                                   \
	{                                                                                      \
		#field, SETTING_TEXT, offsetof(struct daemon_settings, field), size, standard, \
		NULL,	NULL                                                                   \
	},
#define CHOICE(field, type, standard, meaning)                                   \
	{ #field,	SETTING_CHOICE, offsetof(struct daemon_settings, field), \
	  sizeof(type), standard,	NULL,                                    \
	  NULL },
#define DURATION(field, key, standard, least, most, meaning) \
	{ key,                                               \
	  SETTING_DURATION,                                  \
	  offsetof(struct daemon_settings, field),           \
	  sizeof(uint64_t),                                  \
	  standard,                                          \
	  least,                                             \
	  most },
#define NUMBER(field, standard, least, most, meaning) \
	{ #field,                                     \
	  SETTING_NUMBER,                             \
	  offsetof(struct daemon_settings, field),    \
	  sizeof(uint64_t),                           \
	  #standard,                                  \
	  #least,                                     \
	  #most },
#include "model/daemon_settings.def"
#undef TEXT
#undef CHOICE
#undef DURATION
#undef NUMBER
};

static const char *const formats[] = {
	[ACCESS_LOG_TEXT] = "text",
	[ACCESS_LOG_JSON] = "json",
};

bool daemon_settings_is_off(const char *text)
{
	return strcmp(text, "off") == 0;
}

static int check_path(const struct setting *setting, const char *text, struct error *err)
{
	if (text[0] == '/')
		return 0;
	return error_set(err, -EINVAL, "%s: '%.80s' is no absolute path", setting->key, text);
}

/* Of the ports of drop-ins. */
static int check_identity(const char *key, const char *text, struct error *err)
{
	struct identity identity = { .kinds = 0 };

	return identity_set(&identity, key, text, err) < 0 ? error_prefix(err, "drop_in_%s", key)
							   : 0;
}

/* What a text must be besides short. */
static int check_text(const struct setting *setting, const char *text, struct error *err)
{
	struct address address;
	struct prefix pool;

	if (strcmp(setting->key, "api_socket") == 0)
		return check_path(setting, text, err);
	if (strcmp(setting->key, "drop_in_socket") == 0 ||
	    strcmp(setting->key, "pseudo_store") == 0)
		return daemon_settings_is_off(text) ? 0 : check_path(setting, text, err);
	if (strcmp(setting->key, "kernel_pins") == 0)
		return daemon_settings_is_off(text) || strcmp(text, "auto") == 0
			       ? 0
			       : check_path(setting, text, err);
	if (strcmp(setting->key, "pseudo_pool") == 0)
		return pseudo_parse_pool(text, &pool, err);
	if (strcmp(setting->key, "drop_in_identity") == 0)
		return check_identity("identity", text, err);
	if (strcmp(setting->key, "drop_in_path") == 0)
		return check_identity("path", text, err);
	if (strcmp(setting->key, "pseudo_transit") == 0)
		return pseudo_parse_transit(text, &pool, err);
	if (strcmp(setting->key, "access_log") == 0) {
		if (daemon_settings_is_off(text) || strcmp(text, "journal") == 0 ||
		    strcmp(text, "stdout") == 0 || text[0] == '/')
			return 0;
		return error_set(err, -EINVAL,
				 "access_log: '%.80s' is none of off, journal, stdout and the "
				 "absolute path of a file",
				 text);
	}
	if (strcmp(setting->key, "status_listen") == 0 && !daemon_settings_is_off(text) &&
	    address_parse(text, &address) < 0)
		return error_set(
			err, -EINVAL,
			"status_listen: '%.80s' is neither off nor an address with a port, "
			"like 127.0.0.1:9469",
			text);
	return 0;
}

static int set_text(void *field, const struct setting *setting, const char *text, struct error *err)
{
	size_t length = strlen(text);

	if (length == 0 || length >= setting->size)
		return error_set(err, -EINVAL, "%s: '%.80s' has not 1 to %zu characters",
				 setting->key, text, setting->size - 1);
	if (check_text(setting, text, err) < 0)
		return err->code;
	memcpy(field, text, length + 1);
	return 0;
}

static int set_choice(void *field, const struct setting *setting, const char *text,
		      struct error *err)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		enum access_log_format value = (enum access_log_format)i;

		if (strcmp(text, formats[i]) == 0) {
			memcpy(field, &value, sizeof(value));
			return 0;
		}
	}
	return error_set(err, -EINVAL, "%s: '%.40s' is neither text nor json", setting->key, text);
}

/* The table's own texts are known to parse; the unit tests hold them to that. */
static uint64_t parsed(const char *text)
{
	uint64_t value = 0;

	(void)text_parse_duration(text, &value);
	return value;
}

static int set_duration(void *field, const struct setting *setting, const char *text,
			struct error *err)
{
	uint64_t value;

	if (text_parse_duration(text, &value) < 0 || value < parsed(setting->least) ||
	    value > parsed(setting->most))
		return error_set(err, -EINVAL,
				 "%s: '%.40s' is not a duration from %s to %s, written like 500ms, "
				 "30s, 2m or 1h",
				 setting->key, text, setting->least, setting->most);
	memcpy(field, &value, sizeof(value));
	return 0;
}

static uint64_t parsed_number(const char *text)
{
	uint64_t value = 0;

	(void)text_parse_number(text, strlen(text), UINT32_MAX, &value);
	return value;
}

static int set_number(void *field, const struct setting *setting, const char *text,
		      struct error *err)
{
	uint64_t value;

	if (text_parse_number(text, strlen(text), parsed_number(setting->most), &value) < 0 ||
	    value < parsed_number(setting->least))
		return error_set(err, -EINVAL, "%s: '%.40s' is not a number from %s to %s",
				 setting->key, text, setting->least, setting->most);
	memcpy(field, &value, sizeof(value));
	return 0;
}

static int set(struct daemon_settings *settings, const struct setting *setting, const char *text,
	       struct error *err)
{
	void *field = (char *)settings + setting->offset;

	switch (setting->type) {
	case SETTING_TEXT:
		return set_text(field, setting, text, err);
	case SETTING_CHOICE:
		return set_choice(field, setting, text, err);
	case SETTING_NUMBER:
		return set_number(field, setting, text, err);
	default:
		return set_duration(field, setting, text, err);
	}
}

void daemon_settings_init(struct daemon_settings *settings)
{
	struct error ignored;

	memset(settings, 0, sizeof(*settings));
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		(void)set(settings, &table[i], table[i].standard, &ignored);
}

int daemon_settings_set(struct daemon_settings *settings, const char *key, const char *text,
			struct error *err)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(key, table[i].key) == 0)
			return set(settings, &table[i], text, err);
	return -ENOENT;
}

/* Of TCP and UDP to a container with IPv4, as nearly all are. */
int daemon_settings_drop_in_identity(const struct daemon_settings *settings, struct identity *ret,
				     struct error *err)
{
	const struct address container = { .family = AF_INET };
	int r;

	*ret = (struct identity){ .kinds = 0 };
	r = identity_set(ret, "identity", settings->drop_in_identity, err);
	if (r == 0)
		r = identity_set(ret, "path", settings->drop_in_path, err);
	if (r == 0 && identity_check(ret, PROTOCOL_TCP, &container, err) < 0)
		r = error_prefix(err, "drop_in_identity, drop_in_path");
	return r;
}

/* The usual one is not for every pool, and nobody may want it. */
static int check_transit(const struct daemon_settings *settings, struct error *err)
{
	struct prefix pool, network, ignored;

	if (strcmp(settings->pseudo_transit, PSEUDO_TRANSIT) == 0 ||
	    pseudo_parse_pool(settings->pseudo_pool, &pool, err) < 0 ||
	    pseudo_parse_transit(settings->pseudo_transit, &network, err) < 0)
		return 0;
	return pseudo_transit_of(&pool, &network, &ignored, err);
}

int daemon_settings_check(const struct daemon_settings *settings, struct error *err)
{
	struct identity ignored;
	int r = check_transit(settings, err);

	return r < 0 ? r : daemon_settings_drop_in_identity(settings, &ignored, err);
}

bool daemon_settings_equal(const struct daemon_settings *a, const struct daemon_settings *b)
{
	bool equal = true;

#define TEXT(field, size, standard, meaning) equal = equal && strcmp(a->field, b->field) == 0;
#define CHOICE(field, type, standard, meaning) equal = equal && a->field == b->field;
#define DURATION(field, key, standard, least, most, meaning) equal = equal && a->field == b->field;
#define NUMBER(field, standard, least, most, meaning) equal = equal && a->field == b->field;
#include "model/daemon_settings.def"
#undef TEXT
#undef CHOICE
#undef DURATION
#undef NUMBER
	return equal;
}
