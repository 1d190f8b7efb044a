/* SPDX-License-Identifier: Apache-2.0 */
#include "api/strict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_NULL:
		return "null";
	default:
		return "a truth value";
	}
}

struct strict strict_document(const json_t *value)
{
	return (struct strict){ .value = value };
}

int strict_error(const struct strict *at, struct error *err, int code, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (at->path[0] == '\0')
		return error_set(err, code, "%.200s", text);
	return error_set(err, code, "%s: %.150s", at->path, text);
}

int strict_object(const struct strict *at, const char *const *keys, struct error *err)
{
	const char *key;
	json_t *ignored;

	if (!json_is_object(at->value))
		return strict_error(at, err, -EINVAL, "expected an object, not %s",
				    type_name(at->value));
	json_object_foreach((json_t *)(uintptr_t)at->value, key, ignored)
	{
		size_t i = 0;

		while (keys[i] && strcmp(keys[i], key) != 0)
			i++;
		if (!keys[i]) {
			struct strict member = strict_member(at, key);

			return strict_error(&member, err, -EINVAL, "there is no such key");
		}
	}
	return 0;
}

struct strict strict_member(const struct strict *at, const char *key)
{
	struct strict member = { .value = json_object_get(at->value, key) };

	(void)snprintf(member.path, sizeof(member.path), "%.60s%s%.30s", at->path,
		       at->path[0] ? "." : "", key);
	return member;
}

int strict_array(const struct strict *at, struct error *err)
{
	if (json_is_array(at->value))
		return 0;
	return strict_error(at, err, -EINVAL, "expected an array, not %s", type_name(at->value));
}

struct strict strict_element(const struct strict *at, size_t index)
{
	struct strict element = { .value = json_array_get(at->value, index) };

	(void)snprintf(element.path, sizeof(element.path), "%.70s[%zu]", at->path, index);
	return element;
}

int strict_string(const struct strict *at, const char **ret, struct error *err)
{
	if (!at->value)
		return strict_error(at, err, -EINVAL, "is missing");
	if (!json_is_string(at->value))
		return strict_error(at, err, -EINVAL, "expected a string, not %s",
				    type_name(at->value));
	/* A zero character within would hide what is behind it. */
	if (strlen(json_string_value(at->value)) != json_string_length(at->value))
		return strict_error(at, err, -EINVAL, "has a zero character in it");
	*ret = json_string_value(at->value);
	return 0;
}

/*
 * Finding a line. The document has been parsed, so it is known to be JSON, and this only has to
 * step over values; should it be surprised all the same, it ends, and the line is 1.
 */
struct scanner {
	const char *next, *end;
	unsigned int line;
};

static char peek(struct scanner *scanner)
{
	while (scanner->next < scanner->end && strchr(" \t\r\n", *scanner->next)) {
		scanner->line += *scanner->next == '\n';
		scanner->next++;
	}
	return scanner->next < scanner->end ? *scanner->next : '\0';
}

static bool skip(struct scanner *scanner, char c)
{
	if (peek(scanner) != c)
		return false;
	scanner->next++;
	return true;
}

/* Steps over a string; its inside, escapes as they are, is returned with its length. */
static const char *take_string(struct scanner *scanner, size_t *ret_length)
{
	const char *begin;

	if (!skip(scanner, '"'))
		return NULL;
	begin = scanner->next;
	while (scanner->next < scanner->end && *scanner->next != '"')
		scanner->next += *scanner->next == '\\' ? 2 : 1;
	if (scanner->next >= scanner->end)
		return NULL;
	*ret_length = (size_t)(scanner->next - begin);
	scanner->next++;
	return begin;
}

/* Steps over a value of any kind, nested ones included. */
static bool skip_value(struct scanner *scanner)
{
	size_t depth = 0, length;

	do {
		char c = peek(scanner);

		if (c == '\0')
			return false;
		if (c == '"') {
			if (!take_string(scanner, &length))
				return false;
			continue;
		}
		depth += c == '{' || c == '[';
		depth -= depth > 0 && (c == '}' || c == ']');
		scanner->next++;
		while (depth == 0 && scanner->next < scanner->end &&
		       !strchr(" \t\r\n,]}", *scanner->next))
			scanner->next++; /* the rest of a number or a word */
	} while (depth > 0);
	return true;
}

static bool enter_member(struct scanner *scanner, const char *key, size_t key_length)
{
	if (!skip(scanner, '{'))
		return false;
	do {
		size_t length;
		const char *found = take_string(scanner, &length);
		unsigned int line = scanner->line;

		if (!found || !skip(scanner, ':'))
			return false;
		if (length == key_length && memcmp(found, key, length) == 0) {
			scanner->line = line;
			return true;
		}
		if (!skip_value(scanner))
			return false;
	} while (skip(scanner, ','));
	return false;
}

static bool enter_element(struct scanner *scanner, unsigned long index)
{
	if (!skip(scanner, '['))
		return false;
	for (; index > 0; index--)
		if (!skip_value(scanner) || !skip(scanner, ','))
			return false;
	return peek(scanner) != '\0';
}

unsigned int strict_line(const char *text, size_t length, const char *path)
{
	struct scanner scanner = { .next = text, .end = text + length, .line = 1 };
	bool found = true;

	while (found && *path != '\0') {
		size_t key_length = strcspn(path, ".[");

		if (*path == '[') {
			unsigned long index = 0;

			(void)sscanf(path, "[%lu]", &index);
			found = enter_element(&scanner, index);
			path += strcspn(path, "]");
			path += *path == ']';
		} else {
			found = enter_member(&scanner, path, key_length);
			path += key_length;
		}
		path += *path == '.';
	}
	return found ? scanner.line : 1;
}
