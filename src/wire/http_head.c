/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http_head.h"

#include <string.h>
#include <strings.h>

/* A number of bytes that no message has. */
#define LENGTH_DIGITS_MAX 18

/* RFC 9110 section 5.6.2: letters, digits, and !#$%&'*+-.^_`|~ as bits of a set. */
static bool is_token(uint8_t c)
{
	static const uint64_t tokens[4] = { 0x03ff6cfa00000000, 0x57ffffffc7fffffe };

	return tokens[c / 64] >> (c % 64) & 1;
}

/* What a field's value may have: no control characters but the tab. */
static bool is_text(uint8_t c)
{
	return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/*
 * Whether one of eight bytes is below 0x20 or is 0x7f: those that no text has, and the tab. In each
 * byte of the difference the top bit is set where the byte was less; that of the byte itself must
 * not have been.
 */
static bool has_control(const uint8_t *bytes)
{
	const uint64_t each = ~UINT64_C(0) / 255, top = each << 7;
	uint64_t word, from_delete;

	memcpy(&word, bytes, sizeof(word));
	from_delete = word ^ each * 0x7f;
	return (((word - each * 0x20) & ~word) | ((from_delete - each) & ~from_delete)) & top;
}

/* Most lines have no control characters, so eight bytes are looked at together. */
static bool is_all_text(const uint8_t *bytes, size_t length)
{
	size_t i = 0;

	while (i < length) {
		if (length - i >= sizeof(uint64_t) && !has_control(bytes + i)) {
			i += sizeof(uint64_t);
			continue;
		}
		if (!is_text(bytes[i]))
			return false;
		i++;
	}
	return true;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

bool http_word_is(const uint8_t *bytes, size_t length, const char *word)
{
	return strlen(word) == length && strncasecmp((const char *)bytes, word, length) == 0;
}

bool http_name_is(const struct http_field *field, const char *name)
{
	for (size_t i = 0; i < field->name_bytes; i++) {
		uint8_t c = field->name[i];

		if (c >= 'A' && c <= 'Z')
			c = (uint8_t)(c + ('a' - 'A'));
		if ((c < 'a' || c > 'z') && (c < '0' || c > '9'))
			c = '-';
		if (c != (uint8_t)name[i])
			return false;
	}
	return true;
}

/*
 * The line at `at`: its length with CR LF. A line that has no end yet is good so far only if it has
 * nothing that no line may have.
 */
static enum http_result take_line(const uint8_t *bytes, size_t length, size_t at, size_t *ret_bytes)
{
	const uint8_t *line = bytes + at;
	const uint8_t *end = memchr(line, '\n', length - at);
	size_t checked = end ? (size_t)(end - line) : length - at;

	if (end && (checked == 0 || line[checked - 1] != '\r'))
		return HTTP_BAD;
	/* of a line without its end, the last byte may be the CR */
	if (checked > 0 && line[checked - 1] == '\r')
		checked--;
	if (!is_all_text(line, checked))
		return HTTP_BAD;
	if (!end)
		return HTTP_MORE;
	*ret_bytes = (size_t)(end - line) + 1;
	return HTTP_GOOD;
}

static void trim(const uint8_t **value, size_t *length)
{
	while (*length > 0 && is_blank((*value)[0])) {
		(*value)++;
		(*length)--;
	}
	while (*length > 0 && is_blank((*value)[*length - 1]))
		(*length)--;
}

static bool split_field(struct http_field *field)
{
	size_t line_bytes = field->line_bytes - 2;

	field->name = field->line;
	field->name_bytes = 0;
	if (line_bytes == 0)
		return true;
	while (field->name_bytes < line_bytes && is_token(field->line[field->name_bytes]))
		field->name_bytes++;
	if (field->name_bytes == 0 || field->name_bytes == line_bytes ||
	    field->line[field->name_bytes] != ':')
		return false;
	field->value = field->line + field->name_bytes + 1;
	field->value_bytes = line_bytes - field->name_bytes - 1;
	trim(&field->value, &field->value_bytes);
	return true;
}

enum http_result http_field_next(const uint8_t *bytes, size_t length, size_t *at,
				 struct http_field *ret)
{
	enum http_result result = take_line(bytes, length, *at, &ret->line_bytes);

	if (result != HTTP_GOOD)
		return result;
	ret->line = bytes + *at;
	if (!split_field(ret))
		return HTTP_BAD;
	*at += ret->line_bytes;
	return HTTP_GOOD;
}

bool http_item_next(const struct http_field *field, size_t *at, const uint8_t **ret,
		    size_t *ret_bytes)
{
	const uint8_t *comma;
	size_t left;

	if (*at > field->value_bytes)
		return false;
	left = field->value_bytes - *at;
	comma = left > 0 ? memchr(field->value + *at, ',', left) : NULL;
	*ret = field->value + *at;
	*ret_bytes = comma ? (size_t)(comma - *ret) : left;
	*at += *ret_bytes + 1;
	trim(ret, ret_bytes);
	return true;
}

/* Fields that frame, or say where to. */

static bool read_length(struct http_head *head, const struct http_field *field)
{
	if (head->lengths++ > 0 || field->value_bytes == 0 ||
	    field->value_bytes > LENGTH_DIGITS_MAX)
		return false;
	head->content_length = 0;
	for (size_t i = 0; i < field->value_bytes; i++) {
		if (field->value[i] < '0' || field->value[i] > '9')
			return false;
		head->content_length = head->content_length * 10 +
				       (uint64_t)(field->value[i] - '0');
	}
	return true;
}

/* A list of words, of which the last one, and no other, is chunked. */
static bool read_encoding(struct http_head *head, const struct http_field *field)
{
	bool is_chunked = false;
	const uint8_t *item;
	size_t at = 0, length;

	if (head->encodings++ > 0)
		return false;
	while (http_item_next(field, &at, &item, &length)) {
		if (length == 0 || is_chunked)
			return false;
		for (size_t i = 0; i < length; i++)
			if (!is_token(item[i]))
				return false;
		is_chunked = http_word_is(item, length, "chunked");
	}
	return is_chunked;
}

/* A name or an address, with or without a port; what is between is left to the server. */
static bool read_host(struct http_head *head, const struct http_field *field)
{
	static const char allowed[] = "-._~!$&'()*+;=:[]%";

	if (head->hosts++ > 0)
		return false;
	head->host = field->value;
	head->host_bytes = field->value_bytes;
	for (size_t i = 0; i < field->value_bytes; i++) {
		uint8_t c = field->value[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    !strchr(allowed, c))
			return false;
	}
	return true;
}

static bool names_client(const struct http_field *field)
{
	return http_field_is(field, "x-forwarded-for") || http_field_is(field, "x-real-ip") ||
	       http_field_is(field, "forwarded");
}

bool http_field_is_reserved(const struct http_field *field)
{
	return http_field_is(field, "content-length") ||
	       http_field_is(field, "transfer-encoding") || http_field_is(field, "host") ||
	       names_client(field);
}

/* Fields that are named there are taken out by the next proxy, or by the server. */
static bool read_connection(struct http_head *head, const struct http_field *field)
{
	const uint8_t *item;
	size_t at = 0, length;

	while (http_item_next(field, &at, &item, &length)) {
		const struct http_field named = { .name = item, .name_bytes = length };

		if (http_field_is_reserved(&named))
			return false;
		if (http_word_is(item, length, "upgrade"))
			head->has_connection_upgrade = true;
	}
	return true;
}

static bool read_upgrade(struct http_head *head, const struct http_field *field)
{
	const uint8_t *item;
	size_t at = 0, length;

	head->has_upgrade = true;
	while (http_item_next(field, &at, &item, &length))
		if (http_word_is(item, length, "h2c"))
			head->upgrades_h2c = true;
	return true;
}

static bool read_field(struct http_head *head, const struct http_field *field)
{
	if (http_field_is(field, "content-length"))
		return read_length(head, field);
	if (http_field_is(field, "transfer-encoding"))
		return read_encoding(head, field);
	if (http_field_is(field, "host"))
		return read_host(head, field);
	if (http_field_is(field, "connection"))
		return read_connection(head, field);
	if (http_field_is(field, "upgrade"))
		return read_upgrade(head, field);
	if (names_client(field))
		head->names_client = true;
	return true;
}

static enum http_result read_fields(const uint8_t *bytes, size_t length, struct http_head *head)
{
	size_t at = head->line_bytes;
	struct http_field field;

	do {
		enum http_result result = http_field_next(bytes, length, &at, &field);

		if (result != HTTP_GOOD)
			return result;
		if (!read_field(head, &field))
			return HTTP_BAD;
	} while (field.name_bytes > 0);
	head->length = at;
	head->upgrades = head->has_upgrade && head->has_connection_upgrade;
	return HTTP_GOOD;
}

static bool is_framing_clear(const struct http_head *head)
{
	return !(head->lengths > 0 && head->encodings > 0) &&
	       !(head->encodings > 0 && head->minor == 0);
}

static void set_framing(struct http_head *head, enum http_framing otherwise)
{
	if (head->encodings > 0)
		head->framing = HTTP_CHUNKED;
	else if (head->lengths > 0)
		head->framing = HTTP_LENGTH;
	else
		head->framing = (uint8_t)otherwise;
}

/* "HTTP/1.0" or "HTTP/1.1". */
static enum http_result read_version(const uint8_t *at, struct http_head *head)
{
	if (memcmp(at, "HTTP/", 5) != 0 || at[6] != '.')
		return HTTP_BAD;
	if (at[5] != '1' || (at[7] != '0' && at[7] != '1'))
		return HTTP_BAD_VERSION;
	head->minor = (uint8_t)(at[7] - '0');
	return HTTP_GOOD;
}

/* "http://example.net/path" (RFC 9112 section 3.2.2) says where to, as Host does. */
static void read_authority(const uint8_t *target, size_t length, struct http_head *head)
{
	const uint8_t *begin, *end = target + length;

	if (target[0] == '/')
		return;
	begin = memmem(target, length, "://", 3);
	if (!begin)
		return;
	head->authority = begin + 3;
	for (const uint8_t *c = begin + 3; c < end && !strchr("/?#", *c); c++) {
		head->authority_bytes++;
		if (*c != '@')
			continue;
		head->authority = c + 1; /* behind a user's name, which Host has not */
		head->authority_bytes = 0;
	}
}

/* Servers may go by the one or by the other. */
static bool is_one_place(const struct http_head *head)
{
	return !head->authority || !head->host ||
	       (head->authority_bytes == head->host_bytes &&
		strncasecmp((const char *)head->authority, (const char *)head->host,
			    head->host_bytes) == 0);
}

/* METHOD SP TARGET SP VERSION, with just these two blanks. */
static enum http_result read_request_line(const uint8_t *line, size_t length,
					  struct http_head *head)
{
	const uint8_t *end = line + length - 2, *target, *version;
	size_t method = 0;

	while (line + method < end && is_token(line[method]))
		method++;
	target = line + method + 1;
	if (method == 0 || target >= end || target[-1] != ' ')
		return HTTP_BAD;
	version = memchr(target, ' ', (size_t)(end - target));
	if (!version || version == target || end - version != 9)
		return HTTP_BAD;
	for (const uint8_t *c = target; c < version; c++)
		if (*c <= 0x20 || *c >= 0x7f)
			return HTTP_BAD;
	read_authority(target, (size_t)(version - target), head);
	if (method == 4 && memcmp(line, "HEAD", 4) == 0)
		head->method = HTTP_METHOD_HEAD;
	else if (method == 7 && memcmp(line, "CONNECT", 7) == 0)
		head->method = HTTP_METHOD_CONNECT;
	return read_version(version + 1, head);
}

/* A first line that cannot become one is told before its end has come. */
static enum http_result check_begin(const uint8_t *bytes, size_t length)
{
	return length > 0 && !is_token(bytes[0]) ? HTTP_BAD : HTTP_GOOD;
}

enum http_result http_request_parse(const uint8_t *bytes, size_t length, struct http_head *ret)
{
	enum http_result result = check_begin(bytes, length);

	*ret = (struct http_head){ .minor = 1 };
	if (result == HTTP_GOOD)
		result = take_line(bytes, length, 0, &ret->line_bytes);
	if (result == HTTP_GOOD)
		result = read_request_line(bytes, ret->line_bytes, ret);
	if (result == HTTP_GOOD)
		result = read_fields(bytes, length, ret);
	if (result != HTTP_GOOD)
		return result;
	if (!is_framing_clear(ret) || (ret->minor == 1 && ret->hosts != 1) || !is_one_place(ret))
		return HTTP_BAD;
	set_framing(ret, HTTP_NO_BODY);
	return HTTP_GOOD;
}

/* VERSION SP three digits, and SP or the end. */
static enum http_result read_status_line(const uint8_t *line, size_t length, struct http_head *head)
{
	enum http_result result;

	if (length < 14 || line[8] != ' ' || (length > 14 && line[12] != ' '))
		return HTTP_BAD;
	result = read_version(line, head);
	for (size_t i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return HTTP_BAD;
		head->status = (uint16_t)(head->status * 10 + (line[i] - '0'));
	}
	return head->status < 100 ? HTTP_BAD : result;
}

enum http_result http_response_parse(const uint8_t *bytes, size_t length, struct http_head *ret)
{
	enum http_result result;

	*ret = (struct http_head){ .minor = 1 };
	result = take_line(bytes, length, 0, &ret->line_bytes);
	if (result == HTTP_GOOD)
		result = read_status_line(bytes, ret->line_bytes, ret);
	if (result == HTTP_GOOD)
		result = read_fields(bytes, length, ret);
	if (result != HTTP_GOOD)
		return result;
	if (!is_framing_clear(ret))
		return HTTP_BAD;
	set_framing(ret, HTTP_UNTIL_CLOSE);
	return HTTP_GOOD;
}
