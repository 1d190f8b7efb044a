/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings from the environment. The input is lines VARIABLE=value, as `env` prints them; lines of
 * other names are left out, so that the test does not change what libc does.
 */
#include "model/settings.h"

#include <errno.h>
#include <stdbool.h>

#include "base/text.h"
#include "fuzz.h"

enum type { DURATION, NUMBER };

static const struct variable {
	const char *name;
	enum type type;
	size_t offset;
	const char *least, *most;
} variables[] = {
#define DURATION(field, variable, standard, least, most, meaning) \
	{ variable, DURATION, offsetof(struct settings, field), least, most },
#define NUMBER(field, variable, standard, least, most, meaning) \
	{ variable, NUMBER, offsetof(struct settings, field), #least, #most },
#include "model/settings.def"
#undef DURATION
#undef NUMBER
	{ .name = "FAIRLEAD_LOG" },
};

#define VARIABLES (sizeof(variables) / sizeof(variables[0]))

static uint64_t parse(const struct variable *variable, const char *text)
{
	uint64_t value;

	if (variable->type == DURATION)
		assert(text_parse_duration(text, &value) == 0);
	else
		assert(text_parse_number(text, strlen(text), UINT64_MAX, &value) == 0);
	return value;
}

static void check_range(const struct settings *settings, const struct variable *variable)
{
	uint64_t value;

	memcpy(&value, (const char *)settings + variable->offset, sizeof(value));
	assert(value >= parse(variable, variable->least));
	assert(value <= parse(variable, variable->most));
}

static void set_variable(const char *line)
{
	const char *equals = strchr(line, '=');

	for (size_t i = 0; equals && i < VARIABLES; i++)
		if (strlen(variables[i].name) == (size_t)(equals - line) &&
		    memcmp(variables[i].name, line, (size_t)(equals - line)) == 0)
			assert(setenv(variables[i].name, equals + 1, 1) == 0);
}

static bool names_a_variable(const char *sentence)
{
	for (size_t i = 0; i < VARIABLES; i++)
		if (strncmp(sentence, variables[i].name, strlen(variables[i].name)) == 0)
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), *rest = text;
	struct settings settings, before;
	struct error err;

	for (size_t i = 0; i < VARIABLES; i++)
		(void)unsetenv(variables[i].name);
	while (rest)
		set_variable(strsep(&rest, "\n"));
	free(text);

	memset(&settings, 0, sizeof(settings));
	settings_init(&settings);
	before = settings;
	if (settings_from_environment(&settings, &err) < 0) {
		fuzz_check_error(&err, -EINVAL);
		assert(names_a_variable(err.text));
		assert(memcmp(&settings, &before, sizeof(settings)) == 0);
		return 0;
	}
	for (size_t i = 0; i + 1 < VARIABLES; i++)
		check_range(&settings, &variables[i]);
	assert(settings.log <= LOG_TARGET_OFF);
	return 0;
}
